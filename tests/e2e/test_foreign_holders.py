# SPDX-License-Identifier: Apache-2.0
"""Programs that lock the same keys with SET NX PX exclude Holdfast, and Holdfast excludes them."""
import os
import time

import pytest

from holdfast.v1 import locks_pb2
from ttrpc import RpcError, Status
from waiting import FACTOR, always

TTL_MS = 60000
TTL_SHORT_MS = 1500


def test_a_foreign_lock_is_busy(client, redis):
    assert redis("SET", "lock:k", "theirs", "NX", "PX", TTL_MS) == "OK"
    for holder in (client.acquire("k").busy, client.hold("k").expect("busy"), client.inspect("k")):
        assert holder.foreign
        assert TTL_MS - 5000 < holder.remaining_ms <= TTL_MS
        assert (holder.label, holder.fence, holder.since_ms) == ("", 0, 0)


def test_a_foreign_lock_without_expiry(client, redis):
    redis("SET", "lock:k", "theirs")
    holder = client.acquire("k").busy
    assert holder.foreign and holder.remaining_ms == -1
    assert redis.pttl("k") == -1


def test_a_held_lock_refuses_a_foreign_set(client, redis):
    client.held("held")
    client.lease("acquired")
    client.lease("detached", detached=True)
    for key in ("held", "acquired", "detached"):
        before = redis.value(key)
        assert redis("SET", f"lock:{key}", "theirs", "NX", "PX", TTL_MS) is None
        assert redis.value(key) == before


def test_a_foreign_lock_is_never_touched(client, redis):
    """Not by acquire, nor by renew or release with tokens, its own bytes included."""
    value = os.urandom(16)
    redis("SET", "lock:k", value, "PX", TTL_MS)
    expiry = redis.expires_at_ms("k")
    tokens = [value, os.urandom(16), bytes(15) + b"\1"]
    for token in tokens:
        assert not client.release("k", token)
        assert client.renew("k", token, ttl_ms=600000) is None
        assert client.acquire("k", detached=True, token=token).HasField("busy")
    assert client.acquire("k").HasField("busy")
    assert client.hold("k").expect("busy").foreign
    always(lambda: redis.expires_at_ms("k") == expiry and redis.value("k") == value, 1)


@pytest.mark.parametrize("size", [0, 1, 15, 40, 64, 600])
def test_any_foreign_value_is_foreign(client, redis, size):
    """Short values, values as long as ours, values that begin like ours."""
    client.lease("ours", label="a label")
    for value in (b"x" * size, redis.value("ours")[:size], redis.value("ours")[: size % 8] + b"y" * size):
        if value == redis.value("ours"):
            continue
        redis("SET", "lock:k", value, "PX", TTL_MS)
        expiry = redis.expires_at_ms("k")
        assert client.acquire("k").HasField("busy")
        assert client.inspect("k") is not None
        assert redis.value("k") == value and redis.expires_at_ms("k") == expiry


def test_a_lock_taken_over_by_force_is_lost(client, redis):
    """A foreign program that overwrites a held lock has it: the holder is told, nothing is undone."""
    stream = client.held("k", ttl_ms=1500)
    redis("SET", "lock:k", "theirs", "PX", TTL_MS)
    expiry = redis.expires_at_ms("k")
    lost = stream.expect("lost")
    assert lost.reason == lost.REASON_TAKEN
    assert stream.receive() is None
    always(lambda: redis.value("k") == b"theirs" and redis.expires_at_ms("k") == expiry, 1)


def test_a_deleted_lock_is_lost_and_stays_free(client, redis):
    stream = client.held("k", ttl_ms=1500)
    redis("DEL", "lock:k")
    lost = stream.expect("lost")
    assert lost.reason == lost.REASON_TAKEN
    always(lambda: not redis.holds("k"), 1, "a free lock")


def test_a_deleted_lock_is_lost_by_all_who_share_it(redis, start_server):
    servers = [start_server(redis) for _ in range(2)]
    streams = [
        servers[i % 2].connect().held("k", ttl_ms=1500, mode=locks_pb2.MODE_SHARED, limit=limit)
        for i, limit in enumerate([0, 0, 5, 5])
    ]
    redis("DEL", "lock:k")
    for stream in streams:
        lost = stream.expect("lost")
        assert lost.reason == lost.REASON_TAKEN
        assert stream.receive() is None
    always(lambda: not redis.holds("k"), 1, "a free lock")


@pytest.mark.parametrize("mode", [locks_pb2.MODE_EXCLUSIVE, locks_pb2.MODE_SHARED])
@pytest.mark.parametrize("waits_at", [0, 1])
def test_a_deleted_lock_goes_to_who_waits(redis, start_server, mode, waits_at):
    """The holder's server finds it gone at its next renewal; others ask when its ttl would end."""
    servers = [start_server(redis) for _ in range(2)]
    holder = servers[0].connect().held("k", ttl_ms=TTL_SHORT_MS, mode=mode)
    waiter = servers[waits_at].connect().hold("k", ttl_ms=TTL_MS, wait_ms=TTL_MS)
    waiter.expect("queued")
    start = time.monotonic()
    redis("DEL", "lock:k")
    lost = holder.expect("lost")
    assert lost.reason == lost.REASON_TAKEN
    assert waiter.expect("granted").fence > holder.lease.fence
    assert time.monotonic() - start < TTL_SHORT_MS / 1000 + 0.5 * FACTOR
    record = redis.value("k")
    always(lambda: redis.value("k") == record, 1, "the waiter's lock")
    waiter.release()


def test_a_key_of_another_type_is_left_alone(client, redis):
    redis("RPUSH", "lock:k", "a", "b")
    with pytest.raises(RpcError, match="list") as caught:
        client.acquire("k")
    assert caught.value.code == Status.FAILED_PRECONDITION
    with pytest.raises(RpcError) as caught:
        client.held("k")
    assert caught.value.code == Status.FAILED_PRECONDITION
    with pytest.raises(RpcError) as caught:
        client.inspect("k")
    assert caught.value.code == Status.FAILED_PRECONDITION
    assert redis("LRANGE", "lock:k", 0, -1) == [b"a", b"b"]
    assert client.lease("other").fence > 0


def test_a_released_lock_is_free_for_everybody(client, redis):
    stream = client.held("k")
    stream.release()
    assert redis("SET", "lock:k", "theirs", "NX", "PX", TTL_MS) == "OK"
    redis("DEL", "lock:k")
    assert client.lease("k").fence > stream.lease.fence


def test_the_prefix_is_an_option(redis, start_server):
    client = start_server(redis, key_prefix="app:locks:").connect()
    client.lease("k")
    assert redis("EXISTS", "app:locks:k") == 1 and not redis.holds("k")
