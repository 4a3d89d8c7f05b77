# SPDX-License-Identifier: Apache-2.0
"""Every queue and count has a limit, and what happens there is a clear refusal."""
import contextlib
import time

import pytest
from holdfast.v1 import locks_pb2

from process import cpu_seconds
from ttrpc import DATA, HEADER, ConnectionGone, RpcError, Status, dial
from waiting import FACTOR, always, eventually


def refusal(call):
    with pytest.raises(RpcError) as caught:
        call()
    assert caught.value.code == Status.RESOURCE_EXHAUSTED
    return caught.value.message


def test_a_thousand_calls_at_once_on_one_connection(client, redis):
    calls = [client.start_acquire(f"k{n}", 60000) for n in range(1000)]
    leases = [call.result().lease for call in calls]
    assert len({lease.token for lease in leases}) == 1000
    assert len({lease.fence for lease in leases}) == 1000
    assert len(redis("KEYS", "lock:*")) == 1000
    calls = [client.start_release(lease.key, lease.token) for lease in leases]
    assert all(call.result().outcome == call.answer.OUTCOME_RELEASED for call in calls)
    assert redis("KEYS", "lock:*") == []


def test_calls_in_flight_per_connection(redis, start_server):
    server = start_server(redis, max_calls_per_connection=10)
    client = server.connect()
    client.lease("warm")
    redis.freeze()
    calls = [client.start_acquire(f"k{n}", timeout_s=5.0) for n in range(15)]
    for call in calls[10:]:
        assert "max-calls-per-connection" in refusal(call.result)
    redis.thaw()
    for call in calls[:10]:
        assert call.result().HasField("lease")
    client.lease("after")


def test_calls_in_flight_of_all_connections(redis, start_server):
    server = start_server(redis, max_calls=10)
    one, two = server.connect(), server.connect()
    one.lease("warm"), two.lease("warm too")
    redis.freeze()
    calls = [one.start_acquire(f"k{n}", timeout_s=5.0) for n in range(10)]
    one.is_open()

    def is_full():
        with contextlib.suppress(TimeoutError):
            try:
                two.start_acquire("more", timeout_s=0.05).result()
            except RpcError as error:
                return error.code == Status.RESOURCE_EXHAUSTED and "max-calls" in error.message
        return False

    eventually(is_full, 5, "a refusal")
    redis.thaw()
    for call in calls:
        assert call.result().HasField("lease")


def test_leases_per_connection(redis, start_server):
    client = start_server(redis, max_leases_per_connection=5).connect()
    leases = [client.lease(f"k{n}") for n in range(4)]
    stream = client.held("held")
    assert "max-leases-per-connection" in refusal(lambda: client.acquire("more"))
    assert "max-leases-per-connection" in refusal(lambda: client.held("more"))
    assert client.release("k0", leases[0].token)
    client.lease("more")
    stream.release()
    client.held("held")


def test_leases_of_the_server(redis, start_server):
    server = start_server(redis, max_leases=5)
    one, two = server.connect(), server.connect()
    for number in range(5):
        (one if number % 2 else two).lease(f"k{number}")
    assert "max-leases" in refusal(lambda: two.acquire("more"))
    one.close()
    eventually(lambda: granted(two, "more"), 5, "room after a connection went")


def granted(client, key):
    try:
        return client.acquire(key).HasField("lease")
    except RpcError:
        return False


def test_connections(redis, start_server):
    """One too many is closed; a place that is given back can be taken."""
    server = start_server(redis, max_connections=10)
    clients = [server.connect() for _ in range(10)]
    for number, client in enumerate(clients):
        client.lease(f"k{number}")
    for address in (server.unix, server.tcp):
        refused = server.connect(address)
        with pytest.raises(ConnectionGone):
            refused.inspect("k0")
    for number, client in enumerate(clients):
        assert client.inspect(f"k{number}") is not None
    clients[0].close()

    def has_place():
        try:
            return server.connect().inspect("free") is None
        except ConnectionGone:
            return False

    eventually(has_place, 5, "a free place")


def test_many_connections_come_and_go(server, redis):
    for _ in range(3):
        clients = [server.connect() for _ in range(300)]
        for number, client in enumerate(clients):
            client.start_acquire(f"k{number}", 60000)
        eventually(lambda: len(redis("KEYS", "lock:k*")) == 300, 10, "300 leases")
        server.close_clients()
        eventually(lambda: redis("KEYS", "lock:k*") == [], 10, "freeing all")


def test_out_of_descriptors(redis, start_server, figure):
    """Accepting pauses, without spinning; who is connected goes on; it resumes by itself."""
    server = start_server(redis, prefix=["prlimit", "--nofile=60:60"], max_connections=1000)
    first = server.connect()
    stream = first.held("k", 2000)
    crowd = [dial(server.unix) for _ in range(80)]
    before = cpu_seconds(server.pid)
    started = time.monotonic()
    always(lambda: redis.holds("k"), 2.5, "the lease of the connected client")
    used = (cpu_seconds(server.pid) - before) / (time.monotonic() - started)
    figure(f"CPU while out of descriptors: {used * 100:.0f} %")
    assert used < 0.5
    assert first.inspect("k").fence == stream.lease.fence
    for sock in crowd:
        sock.close()

    def accepts():
        try:
            return server.connect().inspect("free") is None
        except (ConnectionGone, OSError, TimeoutError):
            return False

    eventually(accepts, 10, "accepting again")
    assert not stream.has_heard()


def test_a_client_that_takes_no_answers_is_closed(redis, start_server):
    """Its output passes the limit: the connection is closed and its leases are revoked."""
    server = start_server(redis, max_output=65536, max_calls_per_connection=5000)
    server.connect().lease("busy", 60000, label="x" * 128)
    slow = server.connect()
    slow.lease("k", 60000)
    redis.freeze()
    for _ in range(4000):
        slow.start_acquire("busy")
    redis.thaw()
    eventually(lambda: not redis.holds("k"), 10, "revoking")
    assert redis.holds("busy")
    assert server.connect().inspect("k") is None


@pytest.mark.parametrize("scheme", ["unix", "tcp"])
def test_a_client_that_asks_and_does_not_read_is_closed(redis, start_server, scheme):
    """It sends pings for ever and reads none of the answers."""
    server = start_server(redis, max_output=65536)
    slow = server.connect(server.address(scheme))
    stream = slow.held("k", 60000)
    ping = locks_pb2.HoldRequest(ping=locks_pb2.HoldPing()).SerializeToString()
    frames = (HEADER.pack(len(ping), stream.stream_id, DATA, 0) + ping) * 5000
    slow.sock.settimeout(1)
    with contextlib.suppress(OSError):
        while redis.holds("k"):
            slow.sock.sendall(frames)
    eventually(lambda: not redis.holds("k"), 10, "revoking")
    assert server.connect().inspect("k") is None


def test_a_slow_client_does_not_slow_the_others(redis, start_server):
    server = start_server(redis, max_output="1048576")
    slow = server.connect()
    payload = locks_pb2.InspectRequest(key="k" * 512)
    for _ in range(500):
        slow.start("Inspect", payload, locks_pb2.InspectResponse)
    client = server.connect()
    for number in range(50):
        started = time.monotonic()
        client.release("k", client.lease("k").token)
        assert time.monotonic() - started < 1 * FACTOR


def test_half_a_frame_holds_nothing_up(server):
    half = server.connect()
    half.lease("half", 60000)
    half.send_raw(b"\0\0\x10\0\0\0")
    client = server.connect()
    for number in range(20):
        client.lease(f"k{number}")
    assert half.is_open()
