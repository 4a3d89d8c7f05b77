# SPDX-License-Identifier: Apache-2.0
"""The actors that tests start: each is stopped, checked and printed at the end of its test."""
import contextlib
import itertools
import pathlib
import sys
import tempfile

import pytest

from certificates import Certificates
from holder import Holders
from netns import Network
from redis_server import Redis
from server import HOLDFASTD, Server

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
