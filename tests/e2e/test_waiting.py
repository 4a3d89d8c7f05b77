# SPDX-License-Identifier: Apache-2.0
"""Waiting for a lock: at one server, between servers, and every way out of it."""
import signal
import statistics
import subprocess
import time
from collections import Counter

import pytest

from holdfast.v1 import locks_pb2
from ttrpc import RpcError
from waiting import FACTOR, eventually, wait_until

HOUR_MS = 3_600_000


def percentile(values, share):
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


def commands(redis):
    """How often Redis was asked to do what, by its own count, which knows this question as well."""
    text = redis("INFO", "commandstats").decode()
    calls = {}
    for line in text.splitlines():
        if line.startswith("cmdstat_"):
            name, fields = line[len("cmdstat_") :].split(":", 1)
            calls[name] = int(fields.split("calls=")[1].split(",")[0])
    return Counter(calls)


def scripts(redis):
    """How many batches it was sent."""
    calls = commands(redis)
    return calls["evalsha"] + calls["eval"]


def commands_in(redis, seconds):
    """What Redis is asked to do meanwhile, by others than the test."""
    before = commands(redis)
    wait_until(time.monotonic() + seconds)
    return commands(redis) - before - Counter(info=1)


def test_the_next_gets_it_when_it_is_released(server):
    one, two = server.connect(), server.connect()
    first = one.lease("k", label="first")
    waiter = two.hold("k", wait_ms=HOUR_MS, label="second")
    queued = waiter.expect("queued")
    assert (queued.position, queued.holder.label) == (1, "first")
    assert one.release("k", first.token)
    lease = waiter.expect("granted")
    assert lease.fence > first.fence
    waiter.release()


def test_first_come_first_served(server):
    holder = server.connect().held("k")
    waiters = []
    for _ in range(10):
        waiters.append(server.connect().hold("k", wait_ms=HOUR_MS))
        waiters[-1].expect("queued")
    fences = []
    holder.release()
    for waiter in waiters:
        fences.append(waiter.expect("granted").fence)
        waiter.release()
    assert fences == sorted(set(fences))


def test_an_acquire_waits_and_gives_up(server):
    one, two = server.connect(), server.connect()
    one.lease("k", label="me")
    start = time.monotonic()
    response = two.acquire("k", wait_ms=300)
    assert response.busy.label == "me"
    assert 0.3 <= time.monotonic() - start < 0.3 + 1 * FACTOR


@pytest.mark.parametrize("how", ["close", "half_close", "deadline", "kill"])
def test_whoever_leaves_is_forgotten(server, redis, start, how):
    one, two, three = server.connect(), server.connect(), server.connect()
    holder = one.held("k")
    if how == "kill":
        waiter = start("hold", "k", "--wait", "--json")
        waiter.wait_for('"position":1')
        waiter.kill()
    elif how == "deadline":
        call = two.start_acquire("k", wait_ms=HOUR_MS, timeout_s=0.2)
        with pytest.raises(RpcError) as error:
            call.result()
        assert error.value.code == 4
    else:
        waiter = two.hold("k", wait_ms=HOUR_MS)
        waiter.expect("queued")
        if how == "half_close":
            waiter.close_send()
            waiter.expect("released")
        else:
            two.close()
    last = three.hold("k", wait_ms=HOUR_MS)
    assert eventually(lambda: last.expect("queued").position == 1)
    holder.release()
    last.expect("granted")
    last.release()
    eventually(lambda: not redis.holds("k"))


def test_between_servers_it_is_handed_over(redis, start_server):
    servers = [start_server(redis) for _ in range(3)]
    holder = servers[0].connect().held("k", ttl_ms=HOUR_MS)
    waiters = []
    for server in servers[1:]:
        waiters.append(server.connect().hold("k", ttl_ms=HOUR_MS, wait_ms=HOUR_MS))
        waiters[-1].expect("queued")
    fences = [holder.lease.fence]
    for waiter in waiters:
        holder.release()
        fences.append(waiter.expect("granted", timeout=2 * FACTOR).fence)
        holder = waiter
    holder.release()
    assert fences == sorted(set(fences))


def by_release(holder, waiter):
    """Milliseconds from the release to the waiter's grant."""
    held = holder.held("k", ttl_ms=HOUR_MS)
    waits = waiter.hold("k", ttl_ms=HOUR_MS, wait_ms=HOUR_MS)
    waits.expect("queued")
    start = time.monotonic()
    held.close_send()
    waits.expect("granted")
    took_ms = (time.monotonic() - start) * 1000
    held.expect("released")
    waits.release()
    return took_ms


def by_kill(holder, key, waiter):
    """Milliseconds from before the kill, so that the end of a process is part of it."""
    waits = waiter.hold(key, ttl_ms=HOUR_MS, wait_ms=HOUR_MS)
    waits.expect("queued")
    start = time.monotonic()
    holder.signal(signal.SIGKILL)
    waits.expect("granted")
    took_ms = (time.monotonic() - start) * 1000
    assert holder.wait(20 * FACTOR) == -signal.SIGKILL
    waits.release()
    return took_ms


def judge_handover(figure, what, took_ms, bound_ms):
    p99_ms = percentile(took_ms, 0.99)
    figure(
        f"{what} p50 {statistics.median(took_ms):.2f} ms, p99 {p99_ms:.2f} ms, "
        f"max {max(took_ms):.2f} ms over {len(took_ms)} trials"
    )
    assert p99_ms < bound_ms * FACTOR


# The bounds are ten times what is promised of an idle machine.
NEXT_AT = pytest.mark.parametrize(
    "other, bound_ms", [(0, 10), (1, 30)], ids=["same server", "another server"]
)


@NEXT_AT
def test_handover_is_quick(undisturbed, redis, start_server, figure, other, bound_ms):
    servers = [start_server(redis) for _ in range(2)]
    holder, waiter = servers[0].connect(), servers[other].connect()
    took_ms = [by_release(holder, waiter) for _ in range(200)]
    judge_handover(figure, "release to grant", took_ms, bound_ms)


@NEXT_AT
def test_a_killed_client_is_followed_by_the_next(
    undisturbed, redis, start_server, start_cli, figure, other, bound_ms
):
    """The holder is a program with the C library, and nothing of it survives to release the lock."""
    servers = [start_server(redis) for _ in range(2)]
    waiter = servers[other].connect()
    took_ms = []
    for batch in range(10):
        holders = {}
        for key in [f"k{batch}-{number}" for number in range(20)]:
            words = ["hold", key, "--ttl", "1h"]
            holders[key] = start_cli(*words, server=servers[0], stdin=subprocess.PIPE)
        for holder in holders.values():
            holder.wait_for("holding")
        took_ms += [by_kill(holder, key, waiter) for key, holder in holders.items()]
    judge_handover(figure, "kill to grant", took_ms, bound_ms)


def wait_in_line(server, ttl_ms):
    """Who holds the lock, and a thousand who wait for it."""
    server.wait_event("redis.subscribed")
    holder = server.connect().held("k", ttl_ms=ttl_ms)
    clients = [server.connect() for _ in range(10)]
    waiters = []
    for number in range(1000):
        waiters.append(clients[number % 10].hold("k", ttl_ms=ttl_ms, wait_ms=HOUR_MS))
        waiters[-1].expect("queued", timeout=20)
    return holder, waiters


def test_a_thousand_waiters_cost_redis_nothing(server, redis, figure):
    """Not one command of any kind."""
    holder, waiters = wait_in_line(server, HOUR_MS)
    spent = commands_in(redis, 6.0)
    figure(f"1000 waiters, 6 s: {sum(spent.values())} commands")
    assert not spent
    holder.release()
    fences = []
    for waiter in waiters:
        fences.append(waiter.expect("granted", timeout=20).fence)
        waiter.release()
    assert fences == sorted(set(fences))


def test_a_thousand_waiters_cost_redis_the_renewals_of_their_holder(server, redis, figure):
    """One script every third of the ttl (4 s)."""
    wait_in_line(server, 12_000)
    monitor = redis.monitor()
    redis.freshly_renewed("k", 12_000)
    start = time.monotonic()
    eventually(lambda: monitor.lines and "PEXPIRETIME" in monitor.lines[-1][1], what="our own")
    seen = len(monitor.lines)
    wait_until(start + 10)
    asked = [line.split('"')[1] for _, line in monitor.lines[seen:] if " lua]" not in line]
    figure(f"1000 waiters and a holder with a ttl of 12 s, 10 s: {len(asked)} commands")
    assert asked == ["EVALSHA"] * 2


def test_a_server_that_is_dead_costs_the_others_nothing(redis, start_server):
    servers = [start_server(redis) for _ in range(3)]
    holder = servers[0].connect().held("k", ttl_ms=HOUR_MS)
    dead = servers[1].connect().hold("k", ttl_ms=HOUR_MS, wait_ms=HOUR_MS)
    dead.expect("queued")
    alive = servers[2].connect().hold("k", ttl_ms=HOUR_MS, wait_ms=HOUR_MS)
    alive.expect("queued")
    servers[1].kill()
    eventually(lambda: redis("PUBSUB", "NUMPAT") == 0 and len(redis("PUBSUB", "CHANNELS", "holdfast:server:*")) == 2)
    start = time.monotonic()
    holder.release()
    alive.expect("granted")
    assert time.monotonic() - start < 0.5 * FACTOR
    alive.release()


def test_a_deadlock_is_refused_and_spelled_out(server):
    one, two = server.connect(), server.connect()
    one.lease("a")
    two.lease("b")
    waits = one.hold("b", wait_ms=HOUR_MS)
    waits.expect("queued")
    with pytest.raises(RpcError) as error:
        two.acquire("a", wait_ms=HOUR_MS)
    assert error.value.code == 10
    assert "would wait for a" in error.value.message


def test_several_locks_all_or_none(server, redis):
    one, two = server.connect(), server.connect()
    response = one.acquire("", keys=["b", "a", "c"])
    lease = response.lease
    assert [lock.key for lock in lease.locks] == ["a", "b", "c"]
    busy = two.acquire("", keys=["c", "d"]).busy
    assert busy.key == "c"
    assert not redis.holds("d")
    waiter = two.hold("", keys=["c", "d"], wait_ms=HOUR_MS)
    waiter.expect("queued")
    assert one.release("a", lease.token)
    granted = waiter.expect("granted")
    assert [lock.key for lock in granted.locks] == ["c", "d"]
    waiter.release()
    eventually(lambda: not redis.holds("a") and not redis.holds("b"))


def test_a_foreign_holder_that_lets_go_is_noticed(server, redis):
    assert redis("SET", "lock:k", "x", "NX", "PX", HOUR_MS) == "OK"
    waiter = server.connect().hold("k", wait_ms=HOUR_MS)
    assert waiter.expect("queued").holder.foreign
    redis("DEL", "lock:k")
    waiter.expect("granted", timeout=2 * FACTOR)
    waiter.release()


def test_a_lock_delay_holds_after_a_crash_but_not_after_a_release(server, redis):
    one, two = server.connect(), server.connect()
    held = one.held("k", lock_delay_ms=500, label="me")
    held.release()
    assert not redis.holds("k")
    one.held("k", lock_delay_ms=500, label="me")
    start = time.monotonic()
    one.close()
    eventually(lambda: two.inspect("k") is not None and two.inspect("k").closed)
    two.hold("k", wait_ms=HOUR_MS).expect("granted")
    assert time.monotonic() - start >= 0.5


def test_max_hold(server):
    held = server.connect().held("k", max_hold_ms=300)
    assert held.lease.valid_for_ms <= 300
    lost = held.expect("lost")
    assert lost.reason == locks_pb2.HoldLost.REASON_MAX_HOLD


class Contenders:
    """Clients of one thread each way: every one asks again as soon as it has released."""

    def __init__(self, servers, each):
        for server in servers:
            server.wait_event("redis.subscribed")  # before that it cannot queue
        self.clients = [server.connect() for server in servers]
        self.streams = []
        self.grants = []
        for _ in range(each):
            for client in self.clients:
                self.ask(client)

    def ask(self, client):
        self.streams.append((client, client.hold("k", ttl_ms=HOUR_MS, wait_ms=HOUR_MS)))

    def serve_one(self):
        """Finds who was granted, releases and asks again; who it was."""

        def granted():
            for client in self.clients:
                for entry in list(self.streams):
                    if entry[0] is client and entry[1].has_heard():
                        kind, event = entry[1].next()
                        if kind == "granted":
                            return entry, event
            return None

        (client, stream), lease = eventually(granted, what="a grant", every=0)
        self.streams.remove((client, stream))
        self.grants.append((self.clients.index(client), lease.fence))
        stream.release()
        self.ask(client)


def test_many_waiters_cost_redis_little(redis, start_server, figure):
    """100 waiters at four servers; hand-offs of one server cost no command each."""
    servers = [start_server(redis, handoff_run="1s", failover_grace="2s") for _ in range(4)]
    contenders = Contenders(servers, 25)
    before = scripts(redis)
    for _ in range(600):
        contenders.serve_one()
    spent = scripts(redis) - before
    figure(f"{spent / 600:.3f} calls of Redis per hand-off")
    assert spent / 600 <= 0.2
    fences = [fence for _, fence in contenders.grants]
    assert fences == sorted(set(fences))


def test_strict_fairness_alternates(redis, start_server):
    servers = [start_server(redis, fairness="strict") for _ in range(3)]
    contenders = Contenders(servers, 4)
    eventually(lambda: redis("ZCARD", "holdfast:queue:{lock:k}") >= 2, what="two servers in line")
    for _ in range(30):
        contenders.serve_one()
    order = [number for number, _ in contenders.grants][3:]
    assert order == [order[i % 3] for i in range(len(order))], order
    assert len(set(order[:3])) == 3
