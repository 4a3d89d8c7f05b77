# SPDX-License-Identifier: Apache-2.0
"""Reader locks and semaphores, resuming, watching."""
import time

from holdfast.v1 import locks_pb2
from waiting import FACTOR, eventually

SHARED = locks_pb2.MODE_SHARED
HOUR_MS = 3_600_000


def test_readers_share_and_a_writer_excludes(redis, start_server):
    servers = [start_server(redis) for _ in range(2)]
    readers = [server.connect().held("k", mode=SHARED) for server in servers for _ in range(3)]
    fences = [reader.lease.fence for reader in readers]
    assert len(set(fences)) == len(fences)
    busy = servers[0].connect().acquire("k").busy
    assert (busy.mode, busy.holders) == (SHARED, 6)
    writer = servers[1].connect().hold("k", wait_ms=HOUR_MS)
    writer.expect("queued")
    for reader in readers:
        reader.release()
    assert writer.expect("granted").fence > max(fences)
    assert servers[0].connect().acquire("k", mode=SHARED).HasField("busy")
    writer.release()


def test_a_semaphore_has_so_many_permits(redis, start_server):
    servers = [start_server(redis) for _ in range(2)]
    held = [servers[i % 2].connect().held("k", mode=SHARED, limit=5) for i in range(5)]
    assert servers[0].connect().acquire("k", mode=SHARED, limit=5).busy.holders == 5
    waiter = servers[1].connect().hold("k", mode=SHARED, limit=5, wait_ms=HOUR_MS)
    waiter.expect("queued")
    held[0].release()
    waiter.expect("granted")
    for stream in held[1:] + [waiter]:
        stream.release()
    eventually(lambda: not redis.holds("k"))


def test_a_writer_gets_in_within_a_generation_of_readers(redis, start_server):
    """Readers keep coming at two servers; none that came after the writer is granted before it."""
    servers = [start_server(redis) for _ in range(2)]
    first = [server.connect().held("k", mode=SHARED, ttl_ms=HOUR_MS) for server in servers]
    writer = servers[0].connect().hold("k", wait_ms=HOUR_MS, ttl_ms=HOUR_MS)
    writer.expect("queued")
    late = [
        servers[i % 2].connect().hold("k", mode=SHARED, wait_ms=HOUR_MS, ttl_ms=HOUR_MS)
        for i in range(6)
    ]
    for stream in late:
        stream.expect("queued")
    for stream in first:
        stream.release()
    fence = writer.expect("granted").fence
    writer.release()
    for stream in late:
        assert stream.expect("granted", timeout=5 * FACTOR).fence > fence
        stream.release()


def test_a_semaphores_permits_survive_kills(redis, start_server, holders):
    server = start_server(redis)
    started = [
        holders.start(server, "k", ttl_ms=HOUR_MS, mode=int(SHARED), limit=5) for _ in range(5)
    ]
    assert server.connect().acquire("k", mode=SHARED, limit=5).HasField("busy")
    started[2].kill()
    server.connect().hold("k", mode=SHARED, limit=5, wait_ms=HOUR_MS).expect("granted")


def test_a_lease_with_grace_is_resumed_here_and_elsewhere(redis, start_server):
    servers = [start_server(redis) for _ in range(2)]
    one = servers[0].connect()
    lease = one.lease("k", ttl_ms=HOUR_MS, grace_ms=HOUR_MS, label="me", value=b"v")
    one.close()
    for server in (servers[0], servers[1]):
        client = server.connect()
        eventually(lambda: redis.holds("k"))
        resumed = client.resume("k", lease.token, ttl_ms=HOUR_MS, grace_ms=HOUR_MS)
        assert resumed.fence == lease.fence
        seen = client.inspect("k")
        assert (seen.label, seen.value) == ("me", b"v")
        client.close()
    last = servers[1].connect()
    assert last.resume("k", lease.token, ttl_ms=HOUR_MS) is not None
    assert last.release("k", lease.token)
    assert last.resume("k", lease.token) is None


def test_grace_ends_and_the_next_is_served(server):
    one = server.connect()
    one.lease("k", ttl_ms=HOUR_MS, grace_ms=300)
    waiter = server.connect().hold("k", wait_ms=HOUR_MS)
    waiter.expect("queued")
    start = time.monotonic()
    one.close()
    waiter.expect("granted")
    assert time.monotonic() - start >= 0.3
    waiter.release()


def test_a_hold_resumes(server):
    one, two = server.connect(), server.connect()
    held = one.held("k", grace_ms=HOUR_MS)
    again = two.hold("k", resume_token=held.lease.token)
    assert again.expect("granted").fence == held.lease.fence
    assert held.expect("lost").reason == locks_pb2.HoldLost.REASON_RESUMED
    again.release()
    gone = two.hold("k", resume_token=held.lease.token)
    assert gone.expect("lost").reason == locks_pb2.HoldLost.REASON_TAKEN


def test_without_a_grace_there_is_nothing_to_resume(redis, start_server):
    """Its server may have handed the lock on in memory, of which Redis does not know."""
    servers = [start_server(redis) for _ in range(2)]
    client = servers[0].connect()
    lease = client.lease("k", ttl_ms=HOUR_MS)
    for server in servers:
        assert server.connect().resume("k", lease.token) is None
    assert client.release("k", lease.token)


def test_watching_follows_the_holder_across_servers(redis, start_server):
    servers = [start_server(redis) for _ in range(2)]
    stream = servers[0].connect().watch("k")
    assert stream.receive().HasField("free")
    client = servers[1].connect()
    held = client.held("k", label="leader", value=b"10.0.0.1:80")
    state = stream.receive().held
    assert (state.label, state.value) == ("leader", b"10.0.0.1:80")
    held.release()
    assert stream.receive().HasField("free")
    other = servers[0].connect().held("k", label="other")
    assert stream.receive().held.label == "other"
    redis("DEL", "lock:k")  # no message tells of that; the holder's renewal finds it
    stream.close_send()
    assert other is not None


def test_watching_sees_what_expires(redis, start_server):
    servers = [start_server(redis) for _ in range(2)]
    stream = servers[0].connect().watch("k")
    assert stream.receive().HasField("free")
    servers[1].connect().lease("k", ttl_ms=400, detached=True)
    assert stream.receive().HasField("held")
    assert stream.receive().HasField("free")


def test_watching_goes_on_when_redis_came_back(redis, start_server):
    server = start_server(redis)
    stream = server.connect().watch("k")
    assert stream.receive().HasField("free")
    redis.restart()
    server.wait_event("redis.subscribed", count=2)
    held = server.connect().hold("k", wait_ms=HOUR_MS)
    held.expect("granted", timeout=20)
    assert stream.receive(timeout=10 * FACTOR).HasField("held")
