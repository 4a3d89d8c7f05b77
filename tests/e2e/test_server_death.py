# SPDX-License-Identifier: Apache-2.0
"""holdfastd dies, or sleeps through the end of its leases."""
import time

import pytest

from ttrpc import ConnectionGone
from waiting import FACTOR, always, eventually, wait_until

TTL_MS = 3000


def wall_ms():
    return time.time() * 1000


def test_killed_server_leaves_its_locks_to_their_ttl(server, redis, figure):
    """kill -9: the lock ends with its ttl, not before, and not more than 1 s after."""
    client = server.connect()
    client.held("held", TTL_MS)
    client.lease("acquired", TTL_MS)
    expiry = {key: redis.freshly_renewed(key, TTL_MS) for key in ("held", "acquired")}
    server.kill()
    expiry = {key: redis.expires_at_ms(key) for key in expiry}
    gone = {}

    def all_gone():
        for key in expiry:
            if key not in gone and not redis.holds(key):
                gone[key] = wall_ms()
        return len(gone) == len(expiry)

    eventually(all_gone, TTL_MS / 1000 + 2, "the end of the leases", every=0.002)
    for key, moment in expiry.items():
        figure(f"{key} gone {gone[key] - moment:.0f} ms after its ttl ended")
        assert moment > 0
        assert moment - 2 <= gone[key] <= moment + 1000
    with pytest.raises(ConnectionGone):
        client.inspect("held")


def test_restarted_server_adopts_nothing(server, redis):
    client = server.connect()
    client.lease("k", TTL_MS)
    expiry = redis.freshly_renewed("k", TTL_MS)
    server.kill()
    expiry = redis.expires_at_ms("k")
    server.restart()
    client = server.connect()
    holder = client.acquire("k", TTL_MS).busy
    assert 0 < holder.remaining_ms <= TTL_MS and not holder.foreign
    always(lambda: redis.expires_at_ms("k") in (expiry, -2), 1.5, "an untouched expiry")
    eventually(lambda: client.acquire("k", TTL_MS).HasField("lease"), TTL_MS / 1000 + 1, "the lock")


class ForeignTaker:
    """Another program takes the lock with SET NX PX."""

    def __init__(self, redis, start_server):
        self.redis = redis

    def take(self):
        return self.redis("SET", "lock:k", "theirs", "NX", "PX", 600000) == "OK"


class HoldfastTaker:
    """Another holdfastd takes the lock."""

    def __init__(self, redis, start_server):
        self.client = start_server(redis).connect()

    def take(self):
        return self.client.acquire("k", ttl_ms=600000).HasField("lease")


@pytest.mark.parametrize("taker_class", [ForeignTaker, HoldfastTaker])
def test_stopped_server_wakes_harmless(redis, start_server, taker_class):
    """SIGSTOP for longer than the ttl, somebody else takes the lock, SIGCONT: nothing happens to
    what is theirs, and the old holders hear Lost."""
    server = start_server(redis)
    taker = taker_class(redis, start_server)
    client = server.connect()
    stream = client.held("k", TTL_MS)
    unary = server.connect()
    lease = unary.lease("other", TTL_MS)
    redis.freshly_renewed("k", TTL_MS)
    server.freeze()
    stopped = time.monotonic()
    eventually(taker.take, TTL_MS / 1000 + 2, "taking the lock over")
    wait_until(stopped + TTL_MS / 1000 + 0.5)
    value, expiry = redis.value("k"), redis.expires_at_ms("k")
    monitor = redis.monitor()
    woken = time.monotonic()
    server.thaw()
    lost = [kind for kind, _ in iter(lambda: stream.next(), (None, None))]
    assert lost[-1] == "lost" and set(lost) <= {"at_risk", "lost"}
    assert time.monotonic() - woken < 1 * FACTOR
    assert unary.renew("other", lease.token) is None
    assert not unary.release("k", stream.lease.token)

    def is_untouched():
        return redis.value("k") == value and redis.expires_at_ms("k") == expiry

    always(is_untouched, TTL_MS / 1000, "the other's value and expiry")
    writes = [
        line
        for line in monitor.since(woken)
        if '"lock:k"' in line and " lua]" in line and not reads_only(line)
    ]
    assert not writes, writes
    assert server.connect().inspect("k") is not None


def reads_only(line):
    command = line.split("] ", 1)[1].split(" ")[0].strip('"').upper()
    return command in {"GET", "MGET", "GETRANGE", "EXISTS", "TYPE", "PTTL", "PEXPIRETIME"}


def test_stopped_server_recreates_nothing_that_ended(redis, server):
    """Nobody took the lock: it stays free all the same, for its holder was told Lost."""
    client = server.connect()
    stream = client.held("k", TTL_MS)
    redis.freshly_renewed("k", TTL_MS)
    server.freeze()
    eventually(lambda: not redis.holds("k"), TTL_MS / 1000 + 2, "the end of the lease")
    server.thaw()
    assert [kind for kind, _ in iter(lambda: stream.next(), (None, None))][-1] == "lost"
    always(lambda: not redis.holds("k"), 1.5, "a free lock")


def test_shortly_stopped_server_keeps_its_leases(redis, server):
    stream = server.connect().held("k", TTL_MS)
    redis.freshly_renewed("k", TTL_MS)
    stopped = time.monotonic()
    server.freeze()
    wait_until(stopped + TTL_MS / 1000 * 0.6)
    server.thaw()
    redis.freshly_renewed("k", TTL_MS)
    kinds = set()
    while stream.has_heard():
        kinds.add(stream.next()[0])
    assert "lost" not in kinds
    stream.release()
