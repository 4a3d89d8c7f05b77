# SPDX-License-Identifier: Apache-2.0
"""The actors that tests start: each is stopped, checked and printed at the end of its test."""
import contextlib
import itertools
import os
import pathlib
import subprocess
import sys
import tempfile

import pytest

from certificates import Certificates
from cli import Cli, Shell
from holder import Holders
from netns import Network
from redis_server import Redis
from server import HOLDFAST, HOLDFASTD, Server, clean_environment

sys.dont_write_bytecode = True


def pytest_configure(config):
    config.addinivalue_line("markers", "network: needs network namespaces (CAP_NET_ADMIN)")


def pytest_report_header():
    return f"holdfastd: {HOLDFASTD}"


FIGURES = pytest.StashKey()


@pytest.fixture
def figure(request):
    """figure(text): a measurement, shown at the end of the run also when everything passed."""
    lines = request.config.stash.setdefault(FIGURES, [])
    return lambda text: lines.append(f"{request.node.name}: {text}")


def pytest_terminal_summary(terminalreporter, config):
    for line in config.stash.get(FIGURES, []):
        terminalreporter.write_line(line)


@pytest.fixture
def undisturbed():
    """The test and all that it starts run before other programs, where that is allowed, as if the
    machine were idle. To be asked for first."""
    with contextlib.suppress(PermissionError):
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))
    yield
    os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))


@pytest.fixture
def actors(directory):
    """Closes what was entered, last first, even when one of them complains."""
    with contextlib.ExitStack() as stack:
        yield stack


@pytest.fixture
def directory():
    """As tmp_path, with a path short enough for unix sockets; gone after the test."""
    with tempfile.TemporaryDirectory(prefix="hf-") as path:
        yield pathlib.Path(path)


@pytest.fixture
def start_redis(actors, directory):
    """start_redis(*redis_arguments, tcp=False): another redis-server."""
    numbers = itertools.count()

    def start(*arguments, **options):
        redis = Redis(directory / f"redis{next(numbers)}", *arguments, **options)
        actors.callback(redis.close)
        return redis

    return start


@pytest.fixture
def redis(start_redis):
    return start_redis()


@pytest.fixture
def start_server(actors, directory):
    """start_server(redis=..., **options): another holdfastd. Without redis: the embedded one."""
    numbers = itertools.count()

    def start(redis=None, **options):
        server = Server(directory / f"server{next(numbers)}", redis, **options)
        actors.callback(server.close)
        return server

    return start


@pytest.fixture
def server(redis, start_server):
    return start_server(redis)


@pytest.fixture
def client(server):
    return server.connect()


@pytest.fixture
def holders(actors):
    """Starts processes that hold a lock, to be stopped and killed."""
    started = Holders()
    actors.callback(started.close)
    return started


@pytest.fixture
def start_cli(actors, directory):
    """start_cli(*words, server=None, **popen_options): another holdfast."""
    numbers = itertools.count()

    def start(*words, server=None, stdin=subprocess.DEVNULL, env=None, **options):
        env = clean_environment(**(env or {}))
        if server is not None:
            env["HOLDFAST_SERVER"] = getattr(server, "unix", server)
        cli = Cli(directory / f"cli{next(numbers)}", words, stdin, env, **options)
        actors.callback(cli.close)
        return cli

    return start


@pytest.fixture
def start(start_cli, server):
    """start(*words): with the server of the test, and a pipe as input."""

    def start_with_server(*words, stdin=subprocess.PIPE, **options):
        return start_cli(*words, server=server, stdin=stdin, **options)

    return start_with_server


@pytest.fixture
def run(start):
    """run(*words): to its end."""

    def run_to_end(*words, **options):
        cli = start(*words, stdin=options.pop("stdin", subprocess.DEVNULL), **options)
        cli.code = cli.end()
        return cli

    return run_to_end


@pytest.fixture
def shell(actors, server):
    environment = clean_environment(HOLDFAST_SERVER=server.unix)
    shell = Shell(environment)
    actors.callback(shell.close)
    shell.send(f"PATH={HOLDFAST.parent}:$PATH\n")
    shell.expect("shell$ ")
    return shell


@pytest.fixture
def network(actors):
    """Two network namespaces joined by a link that can be cut."""
    reason = Network.why_not()
    if reason:
        pytest.skip(reason)
    made = Network()
    actors.callback(made.close)
    return made


@pytest.fixture(scope="session")
def certificates(tmp_path_factory):
    return Certificates(tmp_path_factory.mktemp("certificates"))
