# SPDX-License-Identifier: Apache-2.0
"""Without --redis: holdfastd brings its own redis-server, and takes it away again."""
import os
import pathlib
import signal
import time

import pytest

from process import children_of, is_alive
from server import clean_environment, run_holdfastd
from waiting import FACTOR, eventually


@pytest.fixture
def temporary(directory):
    """Where the embedded server puts its directory."""
    path = directory / "tmp"
    path.mkdir()
    return path


@pytest.fixture
def embedded(start_server, temporary):
    return start_server(env=clean_environment(TMPDIR=temporary))


def redis_pid(server):
    """The one child of holdfastd; None while there is none."""
    children = [pid for pid in children_of(server.pid) if is_alive(pid)]
    return children[0] if len(children) == 1 else None


def test_it_works_without_any_option(embedded):
    client = embedded.connect()
    lease = client.lease("k")
    assert client.inspect("k").fence == lease.fence
    assert client.release("k", lease.token)
    client.held("k").release()


def test_the_first_lock_is_not_delayed(start_server, temporary):
    """A Redis that is known to be new needs no recovery window."""
    server = start_server(env=clean_environment(TMPDIR=temporary))
    client = server.connect()
    started = time.monotonic()
    client.lease("k")
    assert time.monotonic() - started < 0.5 * FACTOR


def test_a_killed_redis_is_started_again(embedded):
    """It comes back empty; what was held is written again with its fence."""
    client = embedded.connect()
    stream = client.held("k")
    lease = client.lease("unary")
    for _ in range(2):
        old = redis_pid(embedded)
        os.kill(old, signal.SIGKILL)
        eventually(lambda: redis_pid(embedded) not in (None, old), 10, "another redis-server")
        assert client.acquire("k").busy.fence == stream.lease.fence
        assert client.inspect("unary").fence == lease.fence
    assert client.lease("fresh").fence > lease.fence
    assert {kind for kind in heard(stream)} <= {"at_risk", "renewed"}
    assert client.release("unary", lease.token)
    stream.release()


def heard(stream):
    kinds = []
    while stream.has_heard():
        kinds.append(stream.next()[0])
    return kinds


def test_it_is_gone_when_holdfastd_has_ended(embedded, temporary):
    pid = redis_pid(embedded)
    assert list(temporary.iterdir()) != []
    embedded.close_clients()
    assert embedded.stop() == 0
    assert not is_alive(pid)
    assert list(temporary.iterdir()) == []


def test_it_is_gone_when_holdfastd_is_killed(embedded):
    pid = redis_pid(embedded)
    embedded.kill()
    eventually(lambda: not is_alive(pid), 5, "the end of redis-server")


def test_its_directory_is_private(embedded, temporary):
    for path in temporary.iterdir():
        assert path.stat().st_mode & 0o077 == 0


def test_a_missing_redis_server_is_named(directory):
    result = run_holdfastd(
        "--listen", f"unix://{directory}/x.sock",
        env=clean_environment(PATH=str(directory)),
    )
    assert result.returncode == 1
    assert "redis-server" in result.stderr
    assert "install" in result.stderr or "package" in result.stderr


def test_a_redis_server_that_cannot_run_ends_the_start(directory):
    fake = pathlib.Path(directory) / "redis-server"
    fake.write_text("#!/bin/sh\nexit 3\n")
    fake.chmod(0o755)
    result = run_holdfastd(
        "--listen", f"unix://{directory}/x.sock",
        env=clean_environment(PATH=f"{directory}:/bin:/usr/bin"),
        seconds=30,
    )
    assert result.returncode == 1
    assert "embedded.exited" in result.stderr and "--redis" in result.stderr


def test_a_signal_to_the_terminal_drains_in_order(start_server, temporary):
    """Ctrl-C reaches the whole process group: redis-server must outlive the drain."""
    server = start_server(
        env=clean_environment(TMPDIR=temporary), prefix=["setsid"], drain_timeout="1s"
    )
    stream = server.connect().held("k", 600)
    os.killpg(os.getpgid(server.pid), signal.SIGINT)
    *_, (kind, lost) = iter(lambda: stream.next(), (None, None))
    assert kind == "lost" and lost.reason == lost.REASON_SHUTDOWN
    assert not server.find_events("embedded.exited")
    assert server.wait(10 * FACTOR) == 0
