# SPDX-License-Identifier: Apache-2.0
"""SIGTERM: no new connections, holders keep their leases until they leave or the time is up."""
import signal
import socket
import subprocess
import time

import pytest

from server import HOLDFASTD, clean_environment
from ttrpc import Client, ConnectionGone, RpcError, Status, dial
from waiting import FACTOR, always, eventually


def is_refused(address):
    try:
        dial(address).close()
        return False
    except (ConnectionRefusedError, FileNotFoundError):
        return True


@pytest.fixture
def draining(redis, start_server):
    """A server that holds two leases and has just been told to end; it waits 2 s for them."""
    server = start_server(redis, drain_timeout="2s")
    server.addresses = [server.unix, server.tcp]
    server.holding = server.connect()
    server.stream = server.holding.held("held", 1200)
    server.lease = server.connect().lease("acquired", 1200)
    server.signal(signal.SIGTERM)
    server.told = time.monotonic()
    eventually(lambda: all(map(is_refused, server.addresses)), 2, "refusing connections")
    return server


def test_holders_keep_their_leases_then_hear_lost(draining, redis):
    always(lambda: redis.holds("held") and redis.holds("acquired"), 1.4, "holding while draining")
    draining.stream.ping()
    draining.stream.expect("renewed")
    lost = draining.stream.expect("lost")
    assert lost.reason == lost.REASON_SHUTDOWN
    assert draining.stream.receive() is None
    assert 1.9 < time.monotonic() - draining.told < 2 + 1 * FACTOR
    assert draining.wait(5 * FACTOR) == 0
    assert not redis.holds("held") and not redis.holds("acquired")


def test_new_leases_are_refused_while_draining(draining):
    with pytest.raises(RpcError) as caught:
        draining.holding.acquire("more")
    assert caught.value.code == Status.UNAVAILABLE
    with pytest.raises(RpcError) as caught:
        draining.holding.held("more")
    assert caught.value.code == Status.UNAVAILABLE
    assert draining.holding.inspect("held") is not None


def test_it_ends_when_the_last_holder_has_left(draining, redis):
    draining.stream.release()
    always(draining.is_running, 0.2)
    draining.close_clients()
    assert draining.wait(1.5 * FACTOR) == 0
    assert time.monotonic() - draining.told < 2 * FACTOR
    assert not redis.holds("acquired")


def test_a_second_signal_ends_at_once(draining, redis):
    draining.signal(signal.SIGTERM)
    started = time.monotonic()
    draining.wait(5 * FACTOR)
    assert time.monotonic() - started < 1 * FACTOR
    with pytest.raises((ConnectionGone, AssertionError)):
        draining.holding.inspect("held")


def test_an_idle_server_ends_at_once(server):
    idle = server.connect()
    assert idle.inspect("k") is None
    started = time.monotonic()
    assert server.stop() == 0
    assert time.monotonic() - started < 1 * FACTOR


def test_sigint_is_the_same(server, redis):
    server.connect().lease("k", detached=True, ttl_ms=60000)
    server.signal(signal.SIGINT)
    assert server.wait(5 * FACTOR) == 0
    assert redis.holds("k")


def test_it_ends_while_redis_is_dead(redis, start_server, figure):
    server = start_server(redis, drain_timeout="500ms")
    client = server.connect()
    stream = client.held("k", 60000)
    redis.kill()
    started = time.monotonic()
    server.signal(signal.SIGTERM)
    kinds = [kind for kind, _ in iter(lambda: stream.next(), (None, None))]
    assert kinds[-1] == "lost"
    assert server.wait(10 * FACTOR) == 0
    figure(f"ended after {time.monotonic() - started:.1f} s")


def test_it_ends_while_redis_is_stopped(redis, start_server):
    server = start_server(redis, drain_timeout="500ms")
    server.connect().held("k", 60000)
    redis.freeze()
    server.signal(signal.SIGTERM)
    assert server.wait(10 * FACTOR) == 0


def test_it_starts_and_ends_without_redis(start_server, directory):
    server = start_server(f"unix://{directory}/nothing.sock", wait=False)
    server.wait_event("listen")
    assert server.stop() == 0


def test_a_closed_log_does_not_end_it(redis, directory):
    """Nobody reads stderr any more: the server goes on."""
    address = f"unix://{directory}/holdfast.sock"
    popen = subprocess.Popen(
        [HOLDFASTD, "--redis", redis.url, "--listen", address, "--log-level", "debug"],
        env=clean_environment(), stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    )
    try:
        next(line for line in popen.stderr if '"ready"' in line)
        popen.stderr.close()
        with Client(address) as client:
            for number in range(50):
                lease = client.lease(f"k{number}")
                assert client.release(f"k{number}", lease.token)
        popen.terminate()
        assert popen.wait(10 * FACTOR) == 0
    finally:
        popen.kill()
        popen.wait()


def test_the_service_manager_is_told(redis, start_server, directory):
    """sd_notify(3): READY once listening, RELOADING around SIGHUP, STOPPING at the end."""
    manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    manager.settimeout(10)
    manager.bind(str(directory / "notify.sock"))
    server = start_server(redis, env=clean_environment(NOTIFY_SOCKET=str(directory / "notify.sock")))

    def heard(word):
        return word in manager.recv(4096).decode()

    eventually(lambda: heard("READY=1"), 10, "READY")
    server.popen.send_signal(signal.SIGHUP)
    eventually(lambda: heard("RELOADING=1"), 10, "RELOADING")
    server.popen.send_signal(signal.SIGTERM)
    eventually(lambda: heard("STOPPING=1"), 10, "STOPPING")
    manager.close()
