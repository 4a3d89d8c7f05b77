# SPDX-License-Identifier: Apache-2.0
"""Redis forgets: restarted empty, scripts flushed, connections killed, memory full."""
import time

import pytest
from holdfast.v1 import locks_pb2

from load import Load
from ttrpc import RpcError, Status
from waiting import FACTOR, always, eventually, wait_until

TTL_MS = 10000
HOUR_MS = 3_600_000


@pytest.fixture
def server(redis, start_server):
    """With the recovery window of real life."""
    return start_server(redis, failover_grace=None)


@pytest.fixture
def load(server, actors):
    running = Load(server)
    actors.callback(running.stop)
    return running


def lost_of(streams):
    heard = []
    for stream in streams:
        while stream.has_heard():
            heard.append(stream.next()[0])
    return [kind for kind in heard if kind not in ("at_risk", "renewed")]


def test_held_leases_survive_an_empty_restart(server, redis):
    """Each is written again with its fence, in the recovery window, before anybody else may have it."""
    client = server.connect()
    streams = {f"held-{n}": client.held(f"held-{n}", TTL_MS) for n in range(20)}
    leases = {f"unary-{n}": client.lease(f"unary-{n}", TTL_MS) for n in range(20)}
    fences = {key: stream.lease.fence for key, stream in streams.items()}
    fences.update({key: lease.fence for key, lease in leases.items()})
    values = {key: redis.value(key) for key in fences}
    redis.restart()
    assert redis("DBSIZE") == 0 or any(map(redis.holds, fences))
    rival = server.connect()
    calls = {key: rival.start_acquire(key, TTL_MS) for key in fences}
    fresh = rival.start_acquire("fresh", TTL_MS)
    eventually(lambda: all(map(redis.holds, fences)), 8, "writing the leases again")
    for key, call in calls.items():
        assert call.result().busy.fence == fences[key]
    fence = fresh.result().lease.fence
    assert fence > max(fences.values())
    assert {key: redis.value(key) for key in fences} == values
    assert lost_of(streams.values()) == []
    for key, lease in leases.items():
        assert client.renew(key, lease.token).valid_for_ms > 0
        assert client.release(key, lease.token)
    for stream in streams.values():
        stream.release()
    assert client.lease("held-0").fence > fence


def test_a_new_grant_waits_for_the_recovery_window(redis, start_server):
    """Another server may still come to claim what it held: grants wait until it had its chance."""
    server = start_server(redis, failover_grace="1500ms")
    client = server.connect()
    client.lease("warm")
    client.held("held", TTL_MS)
    redis.restart()
    started = time.monotonic()
    eventually(lambda: redis.holds("held"), 8, "writing the lease again")
    assert client.lease("fresh").fence > 0
    assert time.monotonic() - started > 1.2


def test_flushall_is_forgetting_too(server, redis):
    """Everything is gone, the register as well: what is held is written again."""
    client = server.connect()
    stream = client.held("k", 1500)
    value = redis.value("k")
    redis("FLUSHALL")
    eventually(lambda: redis.holds("k"), 3, "writing the lease again")
    assert redis.value("k") == value and lost_of([stream]) == []
    assert client.lease("other").fence > stream.lease.fence
    assert [event["level"] for event in server.find_events("redis.data_lost")][-1] == "warn"


def test_flushall_is_noticed_long_before_the_next_renewal(redis, start_server):
    """No connection breaks and no renewal is due, and yet nobody else gets in, here or elsewhere."""
    one, two = [start_server(redis, failover_grace=None) for _ in range(2)]
    streams = {f"k{n}": one.connect().held(f"k{n}", 60000) for n in range(5)}
    rivals = [one.connect(), two.connect()]
    rivals[1].lease("warm")
    redis("FLUSHALL")
    calls = [rival.start_acquire(key) for key in streams for rival in rivals]
    for call in calls:
        assert call.result().HasField("busy")
    assert lost_of(streams.values()) == []
    assert all(redis.holds(key) for key in streams)


@pytest.fixture
def start_warm(redis, start_server):
    """start_warm(**options): a server that hears messages from a Redis which is not new to it."""

    def start(**options):
        first = start_server(redis, failover_grace=0)
        first.connect().lease("warm")
        first.close()
        server = start_server(redis, **options)
        server.wait_event("redis.subscribed")
        return server

    return start


def time_to_restore(redis, key, *command):
    start = time.monotonic()
    assert redis(*command) == "OK"
    eventually(lambda: redis.holds(key), 5, "writing the lease again", every=0.0005)
    return (time.monotonic() - start) * 1000


@pytest.mark.parametrize("command", ["FLUSHALL", "FLUSHDB", "FLUSHALL ASYNC"])
def test_a_flush_is_told_by_redis(redis, start_warm, figure, command):
    """Long before it would have been asked for, every 15 s."""
    server = start_warm(failover_grace="60s")
    stream = server.connect().held("k", HOUR_MS)
    value = redis.value("k")
    took = [time_to_restore(redis, "k", *command.split()) for _ in range(10)]
    figure(f"{command}: restored after {min(took):.1f} to {max(took):.1f} ms")
    assert max(took) < 100 * FACTOR
    assert redis.value("k") == value and lost_of([stream]) == []


def test_a_flush_while_messages_are_not_heard(redis, start_warm):
    """It is told to nobody, but asked for, at once and when messages are heard again."""
    server = start_warm(failover_grace="60s")
    stream = server.connect().held("k", HOUR_MS)
    for _ in range(5):
        redis("MULTI")
        redis("CLIENT", "KILL", "TYPE", "pubsub")
        redis("FLUSHALL")
        assert redis("EXEC") == [1, "OK"]
        eventually(lambda: redis.holds("k"), 2, "writing the lease again")
        eventually(lambda: redis("PUBSUB", "CHANNELS", "holdfast:server:*"), 2)
        for _ in range(3):
            assert time_to_restore(redis, "k", "FLUSHALL") < 100 * FACTOR
    assert lost_of([stream]) == []


def test_where_redis_does_not_tell_it_is_asked(redis, start_warm, figure):
    """Four times in a recovery window; and the log says why, once."""
    redis("ACL", "SETUSER", "default", "-client")
    server = start_warm(failover_grace="1s")
    stream = server.connect().held("k", HOUR_MS)
    took = [time_to_restore(redis, "k", "FLUSHALL") for _ in range(3)]
    figure(f"asked every 250 ms: restored after {min(took):.0f} to {max(took):.0f} ms")
    assert max(took) < 1000 * FACTOR and lost_of([stream]) == []
    redis("ACL", "SETUSER", "default", "+client")
    untold, = server.find_events("redis.untold")
    assert untold["level"] == "info" and "CLIENT ID: NOPERM" in untold["reason"]
    assert redis("CLIENT", "KILL", "TYPE", "pubsub") == 1
    eventually(lambda: redis("PUBSUB", "CHANNELS", "holdfast:server:*"), 2)
    assert len(server.find_events("redis.untold")) == 1
    assert time_to_restore(redis, "k", "FLUSHALL") < 100 * FACTOR


def test_databases_are_swapped(redis, start_server):
    """Nobody is told of that. Whoever finds out tells the others, before it can be granted anything."""
    one, two = [start_server(redis, failover_grace=None) for _ in range(2)]
    for server in (one, two):
        server.wait_event("redis.subscribed")
    stream = one.connect().held("k", HOUR_MS)
    redis("SWAPDB", 0, 1)
    assert not redis.holds("k")
    answer = two.connect().acquire("k", timeout_s=10 * FACTOR)
    assert answer.busy.fence == stream.lease.fence
    assert redis.holds("k") and lost_of([stream]) == []


def test_a_lease_that_redis_had_seen_is_not_recreated(server, redis):
    """Without the register's loss, a missing key was deleted by somebody: Lost."""
    client = server.connect()
    streams = [client.held(f"k{n}", 1500) for n in range(3)]
    redis("DEL", "lock:k0", "lock:k1")
    for stream in streams[:2]:
        assert stream.expect("lost").reason == locks_pb2.HoldLost.REASON_TAKEN
    always(lambda: not redis.holds("k0") and not redis.holds("k1"), 1.5)
    assert redis.holds("k2") and lost_of(streams[2:]) == []


def test_two_servers_after_an_empty_restart(redis, start_server):
    """What one server held the other one does not get, whoever reconnects first."""
    one, two = [start_server(redis, failover_grace=None) for _ in range(2)]
    holder, rival = one.connect(), two.connect()
    streams = {f"k{n}": holder.held(f"k{n}", TTL_MS) for n in range(10)}
    rival.lease("warm")
    for _ in range(2):
        redis.restart()
        calls = {key: rival.start_acquire(key) for key in streams}
        for key, call in calls.items():
            answer = call.result()
            assert answer.HasField("busy"), f"{key} was granted twice"
        assert lost_of(streams.values()) == []
        eventually(lambda: all(map(redis.holds, streams)), 5)


def test_a_restart_that_takes_longer_than_the_ttl_loses_the_leases(server, redis):
    stream = server.connect().held("k", 1500)
    redis.kill()
    lost = [kind for kind, _ in iter(lambda: stream.next(), (None, None))]
    assert lost == ["at_risk", "lost"]
    redis.start()
    client = server.connect()
    assert client.lease("k").fence > stream.lease.fence


def test_acquire_while_redis_is_dead(server, redis):
    """UNAVAILABLE with a deadline of its own or DEADLINE_EXCEEDED with the caller's; never silence."""
    client = server.connect()
    client.lease("warm")
    redis.kill()
    with pytest.raises(RpcError) as caught:
        client.acquire("k", timeout_s=1.0)
    assert caught.value.code in (Status.UNAVAILABLE, Status.DEADLINE_EXCEEDED)
    redis.start()
    eventually(lambda: granted(client, "k"), 10, "a grant after the restart")


def granted(client, key):
    try:
        return client.acquire(key, timeout_s=2.0).HasField("lease")
    except RpcError:
        return False


def test_script_flush_is_not_noticed(client, redis):
    leases = []
    for number in range(5):
        redis("SCRIPT", "FLUSH")
        leases.append(client.lease(f"k{number}"))
    redis("SCRIPT", "FLUSH")
    for number, lease in enumerate(leases):
        assert client.release(f"k{number}", lease.token)
    stream = client.held("renewed", 1500)
    redis("SCRIPT", "FLUSH")
    redis.freshly_renewed("renewed", 1500)
    always(lambda: redis.holds("renewed"), 2)
    assert not stream.has_heard()


def test_script_flush_under_load(server, redis, load):
    for _ in range(20):
        count = load.count()
        redis("SCRIPT", "FLUSH")
        eventually(lambda: load.count() > count + 20, 10, "progress")
    load.stop()
    load.check()
    assert set(load.answers) <= {"lease", "busy", "released"}, load.answers


def test_killed_redis_connections_under_load(server, redis, load, figure):
    """CLIENT KILL in mid-pipeline: every request is answered exactly once, no double grant."""
    stream = server.connect().held("held", TTL_MS)
    for _ in range(15):
        count = load.count()
        redis("CLIENT", "KILL", "TYPE", "normal")
        eventually(lambda: load.count() > count + 20, 20, "progress")
    load.stop()
    load.check()
    figure(dict(load.answers))
    assert load.answers["lease"] == load.count()
    assert lost_of([stream]) == []
    keys = [f"load-{n}" for n in range(load.keys)]
    eventually(lambda: not any(map(redis.holds, keys)), 5, "everything released")


def test_empty_restarts_under_load(server, redis, load):
    """Fences rise across restarts that forget the register; no grant overlaps another."""
    stream = server.connect().held("held", TTL_MS)
    for _ in range(2):
        eventually(lambda: load.count() > 50, 20, "a first load")
        count = load.count()
        redis.restart()
        eventually(lambda: load.count() > count + 20, 20, "progress after the restart")
    load.stop()
    load.check()
    assert lost_of([stream]) == []


def test_full_memory_refuses_acquires_and_renews_leases(server, redis):
    client = server.connect()
    stream = client.held("held", 2000)
    lease = client.lease("unary", 2000)
    redis("SET", "filler", "x" * 2_000_000)  # an idle Redis 8 needs less than 1 MB
    redis("CONFIG", "SET", "maxmemory", "1mb")
    with pytest.raises(RpcError, match="(?i)memory") as caught:
        client.acquire("k", timeout_s=5.0)
    assert caught.value.code == Status.UNAVAILABLE
    wait_until(time.monotonic() + 3, lambda: redis.holds("held") and redis.holds("unary"))
    assert lost_of([stream]) == []
    assert client.release("unary", lease.token)
    redis("CONFIG", "SET", "maxmemory", "0")
    assert client.lease("k").fence > lease.fence
    stream.release()


def test_an_evicting_redis_is_named_in_the_log(start_redis, start_server):
    redis = start_redis("--maxmemory", "100mb", "--maxmemory-policy", "allkeys-lru")
    server = start_server(redis)
    assert server.connect().lease("k").fence > 0
    warnings = [event for event in server.events if "allkeys-lru" in str(event)]
    assert warnings and warnings[0]["level"] == "warn"


def test_an_evicting_redis_can_be_refused(start_redis, start_server):
    redis = start_redis("--maxmemory", "100mb", "--maxmemory-policy", "allkeys-lru")
    server = start_server(redis, wait=False, require_noeviction=True)
    eventually(lambda: "noeviction" in server.log(), 10, "the refusal in the log")
    assert not server.find_events("ready")
    redis("CONFIG", "SET", "maxmemory-policy", "noeviction")
    server.wait_event("ready")
    assert server.connect().lease("k").fence > 0


def test_a_thousand_leases_survive_flushall(redis, start_server, figure):
    """All are re-created within a second, with their fences, and none is granted twice, here or elsewhere."""
    servers = [start_server(redis, failover_grace="2s") for _ in range(2)]
    client, *others = [servers[0].connect(), *(server.connect() for server in servers)]
    calls = [client.start_acquire(f"k{number}", ttl_ms=10_000) for number in range(1000)]
    fences = {}
    for number, call in enumerate(calls):
        lease = call.result().lease
        servers[0].tokens.add(lease.token)
        fences[number] = lease.fence
    redis("FLUSHALL")
    start = time.monotonic()
    rivals = [[other.start_acquire(f"k{n}", timeout_s=20) for n in range(500)] for other in others]
    eventually(lambda: redis("EVAL", "return #redis.call('KEYS', 'lock:k*')", 0) == 1000, 5)
    took = time.monotonic() - start
    figure(f"1000 leases were back after {took * 1000:.0f} ms")
    assert took < 1.0 * FACTOR
    for calls in rivals:
        for number, call in enumerate(calls):
            assert call.result().busy.fence == fences[number]
    for number in range(1000):
        assert others[1].acquire(f"k{number}", timeout_s=10).busy.fence == fences[number]
