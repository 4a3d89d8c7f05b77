# SPDX-License-Identifier: Apache-2.0
"""Redis stops answering for a while."""
import concurrent.futures
import contextlib
import time

import pytest

from holdfast.v1 import locks_pb2
from redis_server import PREFIX
from ttrpc import DATA, NO_DATA, RpcError, Status
from waiting import FACTOR, always, eventually, wait_until

TTL_MS = 3000


def wall_ms():
    return time.time() * 1000


def events_until_now(stream):
    kinds = []
    while stream.has_heard():
        kinds.append(stream.next()[0])
    return kinds


@pytest.mark.parametrize("seconds", [0.3, 1.0, 1.7])
def test_a_pause_shorter_than_the_ttl_loses_nothing(server, redis, seconds):
    """Whatever the phase: a lease was renewed at most ttl/3 before the pause, so two thirds of the
    ttl are left to it (3 s: 1.97 s)."""
    client = server.connect()
    streams = []
    started = time.monotonic()
    for number in range(20):
        streams.append(client.held(f"k{number}", TTL_MS))
        wait_until(started + (number + 1) * TTL_MS / 3000 / 20)
    fences = {f"k{number}": stream.lease.fence for number, stream in enumerate(streams)}
    for _ in range(2):
        redis.freeze()
        wait_until(time.monotonic() + seconds)
        redis.thaw()
        for key in fences:
            redis.freshly_renewed(key, TTL_MS)
    for stream in streams:
        assert set(events_until_now(stream)) <= {"at_risk", "renewed"}
    for key, fence in fences.items():
        assert client.inspect(key).fence == fence


def test_a_pause_of_almost_the_ttl_right_after_a_renewal(server, redis):
    """2.5 s of 3 s, from the best phase: what is left must suffice to renew."""
    client = server.connect()
    stream = client.held("k", TTL_MS)
    for _ in range(3):
        redis.freshly_renewed("k", TTL_MS)
        redis.freeze()
        wait_until(time.monotonic() + 2.5)
        redis.thaw()
        redis.freshly_renewed("k", TTL_MS)
        heard = events_until_now(stream)
        assert "lost" not in heard and heard[0] == "at_risk", heard
    assert client.inspect("k").fence == stream.lease.fence


def stop_redis(redis, keys, seconds):
    """What Redis had promised of each key when it stopped, in one step with the stop, and the span in
    which it woke: a wall clock's milliseconds all."""
    connection = redis.connect()
    earliest_ms = wall_ms() + seconds * 1000
    connection("MULTI")
    for key in keys:
        connection("PEXPIRETIME", PREFIX + key)
    connection("DEBUG", "SLEEP", seconds)
    *expiries_ms, done = connection("EXEC")
    latest_ms = wall_ms()
    connection.close()
    assert done == "OK", done
    return dict(zip(keys, expiries_ms)), earliest_ms, latest_ms


class Told:
    """What the holders of a connection's leases are told, and when."""

    def __init__(self, client, streams):
        self.client = client
        self.keys = {stream.stream_id: key for key, stream in streams.items()}
        self.events = {key: {} for key in streams}

    def listen(self):
        """Takes the next event, if one comes soon."""
        with contextlib.suppress(TimeoutError):
            frame = self.client.receive_frame(0.02)
            if frame.type == DATA and not frame.flags & NO_DATA:
                kind = locks_pb2.HoldEvent.FromString(frame.data).WhichOneof("event")
                self.events[self.keys[frame.stream_id]].setdefault(kind, wall_ms())

    def is_decided(self, redis, expiries_ms):
        self.listen()
        return all(
            "lost" in self.events[key] or redis.expires_at_ms(key) > expiry_ms
            for key, expiry_ms in expiries_ms.items()
        )


def staggered(client, count, ttl_ms):
    """Leases whose renewals are spread over a third of the ttl."""
    streams = {}
    started = time.monotonic()
    for number in range(count):
        streams[f"k{number}"] = client.held(f"k{number}", ttl_ms)
        wait_until(started + (number + 1) * ttl_ms / 3000 / count)
    return streams


def test_what_redis_still_has_is_kept(undisturbed, start_redis, start_server, figure):
    """Every lease whose key lives when Redis wakes, but for the safety margin of ttl/100 + 2 ms and
    the time that a renewal takes; every other one was at risk, and lost while its key still lived."""
    ttl_ms = 9000
    redis = start_redis("--enable-debug-command", "local")
    client = start_server(redis).connect()
    streams = staggered(client, 120, ttl_ms)
    told = Told(client, streams)
    with concurrent.futures.ThreadPoolExecutor(1) as other:
        stopping = other.submit(stop_redis, redis, list(streams), 0.83 * ttl_ms / 1000)
        eventually(lambda: told.listen() or stopping.done(), 20, "Redis to wake", every=0)
    expiries_ms, earliest_ms, latest_ms = stopping.result()
    eventually(lambda: told.is_decided(redis, expiries_ms), 5, "word of every lease")
    kept_ms, lost_ms = [], []
    for key, expiry_ms in expiries_ms.items():
        events = told.events[key]
        if "lost" in events:
            assert list(events) == ["at_risk", "lost"]
            assert events["lost"] < expiry_ms < latest_ms + ttl_ms / 100 + 2 + 30 * FACTOR
            lost_ms.append(expiry_ms - latest_ms)
        else:
            assert list(events) in ([], ["at_risk"])
            assert expiry_ms > earliest_ms
            assert client.inspect(key).fence == streams[key].lease.fence
            streams[key].ping()
            assert streams[key].expect("renewed").valid_for_ms > ttl_ms / 3
            kept_ms.append(expiry_ms - latest_ms)
    figure(
        f"kept {len(kept_ms)}, the closest had {min(kept_ms):.0f} ms left; "
        f"lost {len(lost_ms)}, the closest had {max(lost_ms):.0f} ms left"
    )
    assert min(len(kept_ms), len(lost_ms)) > len(streams) / 4


def test_a_longer_pause_is_at_risk_then_lost_before_redis_lets_go(server, redis, figure):
    ttl_ms = 6000
    client = server.connect()
    stream = client.held("k", ttl_ms)
    unary = server.connect()
    unary_lease = unary.lease("u", ttl_ms)
    expiry_ms = redis.freshly_renewed("k", ttl_ms)
    redis.freeze()
    at_risk = stream.expect("at_risk")
    at_risk_ms = wall_ms()
    lost = stream.expect("lost")
    lost_ms = wall_ms()
    figure(f"at risk {expiry_ms - at_risk_ms:.0f} ms, lost {expiry_ms - lost_ms:.0f} ms before expiry")
    assert lost.reason == lost.REASON_EXPIRED
    assert at_risk.valid_for_ms <= ttl_ms / 3
    assert abs((expiry_ms - at_risk_ms) - ttl_ms / 3) < 300 * FACTOR
    assert lost_ms < expiry_ms
    assert stream.receive() is None
    redis.thaw()
    eventually(lambda: not redis.holds("k") and not redis.holds("u"), 5, "the end of both")
    assert unary.renew("u", unary_lease.token) is None
    always(lambda: not redis.holds("k") and not redis.holds("u"), 1, "free locks")
    assert client.lease("k").fence > stream.lease.fence


def test_at_risk_ends_when_redis_is_back(server, redis):
    stream = server.connect().held("k", TTL_MS)
    redis.freshly_renewed("k", TTL_MS)
    redis.freeze()
    stream.expect("at_risk")
    redis.thaw()
    redis.freshly_renewed("k", TTL_MS)
    always(lambda: not [k for k in events_until_now(stream) if k in ("lost", "at_risk")], 1.5)
    stream.ping()
    assert stream.expect("renewed").valid_for_ms > TTL_MS / 3


def test_deadline_passes_while_redis_is_stopped(server, redis):
    """The caller hears DEADLINE_EXCEEDED in time, and nothing stays held for it afterwards."""
    client = server.connect()
    client.lease("warm")
    redis.freeze()
    started = time.monotonic()
    calls = [client.start_acquire(f"k{n}", 60000, timeout_s=0.4) for n in range(5)]
    for call in calls:
        with pytest.raises(RpcError) as caught:
            call.result()
        assert caught.value.code == Status.DEADLINE_EXCEEDED
    assert 0.35 < time.monotonic() - started < 0.4 + 0.3 * FACTOR
    redis.thaw()
    keys = [f"k{n}" for n in range(5)]
    eventually(lambda: not any(map(redis.holds, keys)), 5, "undoing")
    always(lambda: not any(map(redis.holds, keys)), 1.5, "nothing held")
    assert client.lease("k0").fence > 0


def test_a_connection_dropped_while_redis_is_stopped_leaves_nothing(server, redis):
    client = server.connect()
    client.held("held", 60000)
    redis.freeze()
    client.start_acquire("asked", 60000)
    client.hold("streamed", 60000)
    client.close()
    eventually(lambda: server.connect().is_open(), 2)
    redis.thaw()
    keys = ["held", "asked", "streamed"]
    eventually(lambda: not any(map(redis.holds, keys)), 8, "freeing all three")
    always(lambda: not any(map(redis.holds, keys)), 1.5, "nothing held")


def test_release_during_a_pause_is_answered_after_it(server, redis):
    client = server.connect()
    lease = client.lease("k", 60000)
    redis.freeze()
    call = client.start_release("k", lease.token)
    always(lambda: client.is_open(), 0.5)
    redis.thaw()
    assert call.result().outcome == call.answer.OUTCOME_RELEASED
    assert not redis.holds("k")


def test_client_pause_of_redis_itself(server, redis):
    """CLIENT PAUSE delays answers inside Redis; the ttl is long enough, nothing is lost."""
    client = server.connect()
    stream = client.held("k", 6000)
    redis("CLIENT", "PAUSE", 1500, "ALL")
    lease = client.acquire("other", wait=10 * FACTOR)
    assert lease.HasField("lease")
    redis.freshly_renewed("k", 6000)
    assert "lost" not in events_until_now(stream)
