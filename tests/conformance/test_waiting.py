# SPDX-License-Identifier: Apache-2.0
"""Queues and SHARED locks where random sequences do not go: recovery, no memory, lives of keys."""

import dataclasses
import time

import pytest

from batch import CONTENDED, SHARED, Batches, Record, acquire, beside, inspect
from batch import leave, read_record, release, renew, resume, write_register
from resp import RedisError

SECOND_US = 1_000_000
WINDOW_US = 60 * SECOND_US
A, B, C = ("%032x" % number for number in (10, 11, 12))


def holder(number, **fields):
    return Record(b"%016d" % number, b"%016d" % (number + 500), **fields)


def queue_up(key, record, **fields):
    return acquire(key, record, wants_queue=True, **fields)


class Ear:
    """Hears the channels it is given; messages in order."""

    def __init__(self, client, *channels):
        self._client = client
        for channel in channels:
            client("SUBSCRIBE", channel)

    def take(self):
        self._client.send("PING")
        messages = []
        while True:
            message = self._client.receive()
            if message[0] == b"pong":
                return messages
            messages.append((message[1].decode(), message[2]))


@pytest.fixture
def hear(shared_server):
    clients = []

    def make(*channels):
        clients.append(shared_server.connect())
        return Ear(clients[-1], *channels)

    yield make
    for client in clients:
        client.close()


@pytest.fixture
def server_of(client, script, batches):
    """Batches as the server of an id sends them; they are the same Redis' to all."""
    batches.run()

    def make(server, **options):
        return Batches(client, script, server=server, **options)

    return make


def in_recovery(client, fence=1000):
    """Another run of Redis with the same data, its window open."""
    write_register(client, fence=fence)
    return {"run_id": "run-2", "window_us": WINDOW_US}


def close_window(client):
    write_register(client, until_us=client.time_us() - 1)


# The queue


@pytest.mark.parametrize("ttl_ms,life_ms", [(5000, 65000), (7_200_000, 3_660_000)])
def test_a_queue_lives_a_while_longer_than_the_holder(server_of, client, ttl_ms, life_ms):
    server_of(A).one(acquire("k", holder(1), ttl_ms))
    server_of(B).one(queue_up("k", holder(2)))
    for kind in ("queue", "entries"):
        assert life_ms - 2000 < client("PTTL", beside(kind, "k")) <= life_ms
    assert server_of(A).register()["queued_until_us"] >= client.time_us() + life_ms * 1000


def test_a_queue_behind_a_key_that_never_ends_lives_for_an_hour(server_of, client):
    client("SET", "k", "x")
    server_of(B).one(queue_up("k", holder(2)))
    assert 3_650_000 < client("PTTL", beside("queue", "k")) <= 3_660_000


def test_a_queue_is_never_shortened(server_of, client):
    server_of(A).one(acquire("k", holder(1), 60000))
    server_of(B).one(queue_up("k", holder(2)))
    client("PEXPIRE", "k", 100)
    server_of(C).one(queue_up("k", holder(3)))
    for kind in ("queue", "entries"):
        assert client("PTTL", beside(kind, "k")) > 110_000


def test_who_asks_again_under_another_tenure_keeps_the_arrival(server_of, client):
    server_of(A).one(acquire("k", holder(1)))
    server_of(B).one(queue_up("k", holder(2)))
    arrival = client("ZSCORE", beside("queue", "k"), B)
    server_of(C).one(queue_up("k", holder(3)))
    server_of(B).one(queue_up("k", holder(4)))
    assert client("ZSCORE", beside("queue", "k"), B) == arrival
    assert client("HGET", beside("entries", "k"), B)[1:17] == holder(4).tenure


def test_a_grant_lasts_as_long_as_it_may_and_its_message_names_it(server_of, client, hear):
    ear = hear(f"holdfast:server:{B}")
    first = server_of(A).one(acquire("lock:k", holder(1)))
    server_of(B).one(queue_up("lock:k", holder(2), grant_ms=700))
    assert server_of(A).one(release("lock:k", holder(1))) == ["OK"]
    assert ear.take() == [(f"holdfast:server:{B}", holder(2).tenure + b"lock:k")]
    record = read_record(client("GET", "lock:k"))
    assert (record.tenure, record.token, record.flags) == (holder(2).tenure, bytes(16), 0)
    assert record.fence > first[1] and record.fence == server_of(A).fence()
    assert 0 < client("PTTL", "lock:k") <= 700
    assert server_of(A).one(resume("lock:k", holder(1).tenure, bytes(16))) == ["NOT_HELD"]
    assert server_of(B).one(queue_up("lock:k", holder(2)))[1:] == [record.fence, record.since_ms]
    assert client("PTTL", "lock:k") > 4000


def test_dead_servers_are_passed_over_and_a_grant_knows_who_still_waits(server_of, client, hear):
    last = "%032x" % 13
    ear = hear(f"holdfast:server:{C}", f"holdfast:server:{last}")
    server_of(A).one(acquire("k", holder(1)))
    for number, server in enumerate((B, C, last), 2):
        server_of(server).one(queue_up("k", holder(number)))
    server_of(A).one(release("k", holder(1)))
    record = read_record(client("GET", "k"))
    assert (record.tenure, record.flags) == (holder(3).tenure, CONTENDED)
    assert client("ZRANGE", beside("queue", "k"), 0, -1) == [last.encode()]
    given, first = (f"holdfast:server:{C}", holder(3).tenure + b"k"), f"holdfast:server:{last}"
    assert ear.take() == [given, (first, holder(4).tenure + b"k")]  # who is first now is told
    assert server_of(C).one(release("k", holder(3))) == ["OK"]
    assert read_record(client("GET", "k")).tenure == holder(4).tenure
    assert client("EXISTS", beside("queue", "k"), beside("entries", "k")) == 0


def test_who_only_leaves_keeps_the_lock_and_what_waits_elsewhere(server_of, client, hear):
    ear = hear(f"holdfast:server:{C}")
    mine, waiter = holder(1), holder(3)
    server_of(A).one(acquire("k", holder(2)))
    server_of(A).one(queue_up("k", mine))
    server_of(B).one(queue_up("k", mine))  # the same, asked for elsewhere
    server_of(C).one(queue_up("k", waiter))
    assert server_of(A).one(leave("k", mine)) == ["OK"]
    assert client("ZRANGE", beside("queue", "k"), 0, -1) == [C.encode()]
    assert ear.take() == [(f"holdfast:server:{C}", waiter.tenure + b"k")]
    assert server_of(A).one(release("k", holder(2))) == ["OK"]
    value = client("GET", "k")
    assert read_record(value).tenure == waiter.tenure
    assert server_of(C).one(leave("k", waiter)) == ["OK"]
    assert client("GET", "k") == value
    assert server_of(C).one(release("k", waiter)) == ["OK"]


def test_the_first_to_leave_a_free_locks_queue_gives_it_on(server_of, client, hear):
    ear = hear(f"holdfast:server:{C}")
    server_of(A).one(acquire("k", holder(1)))
    server_of(B).one(queue_up("k", holder(2)))
    server_of(C).one(queue_up("k", holder(3)))
    client("DEL", "k")
    assert server_of(A).one(leave("k", holder(2))) == ["OK"]  # not this server's
    assert client("ZCARD", beside("queue", "k")) == 2 and ear.take() == []
    assert server_of(B).one(leave("k", holder(2))) == ["OK"]
    assert read_record(client("GET", "k")).tenure == holder(3).tenure
    assert ear.take()[-1] == (f"holdfast:server:{C}", holder(3).tenure + b"k")
    assert client("EXISTS", beside("queue", "k"), beside("entries", "k")) == 0


def test_nobody_is_passed_over_where_publishing_is_not_allowed(server_of, client, shared_server,
                                                               script):
    server_of(A).one(acquire("k", holder(1)))
    server_of(B).one(queue_up("k", holder(2)))
    client("ACL", "SETUSER", "mute", "reset", "on", ">secret", "~*", "+@all", "-publish")
    mute = shared_server.connect()
    try:
        mute("AUTH", "mute", "secret")
        assert Batches(mute, script, server=A).one(release("k", holder(1))) == ["OK"]
        assert client("EXISTS", "k") == 0 and client("ZCARD", beside("queue", "k")) == 1
    finally:
        mute.close()
        client("ACL", "DELUSER", "mute")


def test_an_entry_that_makes_no_sense_is_dropped(server_of, client, hear):
    hear(f"holdfast:server:{B}", f"holdfast:server:{C}")
    server_of(A).one(acquire("k", holder(1)))
    server_of(B).one(queue_up("k", holder(2)))
    server_of(C).one(queue_up("k", holder(3)))
    client("HSET", beside("entries", "k"), B, "nonsense")
    server_of(A).one(release("k", holder(1)))
    assert read_record(client("GET", "k")).tenure == holder(3).tenure


def test_locks_with_and_without_a_hash_tag_have_queues_of_their_own(server_of, client):
    keys = ["x", "{x}", "{{x}}", "a{x}", "{}x", "x}"]
    for key in keys:
        server_of(A).one(acquire(key, holder(1)))
        server_of(B).one(queue_up(key, holder(2)))
        assert client("ZCARD", beside("queue", key)) == 1
    assert len({beside("queue", key) for key in keys}) == len(keys)


def test_a_closed_lock_is_nobodys_until_the_delay_is_over(server_of, client, hear):
    ear = hear(f"holdfast:server:{B}")
    server_of(A).one(acquire("k", holder(1, label=b"me")))
    server_of(B).one(queue_up("k", holder(2)))
    assert server_of(A).one(release("k", holder(1), delay_ms=300)) == ["OK"]
    assert server_of(A).one(inspect("k"))[1] == 2
    assert ear.take() == [(f"holdfast:server:{B}", holder(2).tenure + b"k")]
    assert server_of(B).one(queue_up("k", holder(2)))[0] == "QUEUED"
    assert ear.take() == []
    deadline = time.monotonic() + 5
    while server_of(B).one(queue_up("k", holder(2)))[0] != "OK":
        assert time.monotonic() < deadline
    assert client("EXISTS", beside("queue", "k")) == 0


# Watching


def test_changes_are_published_only_while_somebody_watches(server_of, client, hear):
    ear = hear("holdfast:lock:k")
    server_of(A).one(acquire("k", holder(1)))
    server_of(A).one(release("k", holder(1)))
    assert ear.take() == []
    now_us, _ = server_of(B, watch_us=60 * SECOND_US).run()
    assert server_of(A).register()["watched_until_us"] == now_us + 60 * SECOND_US
    server_of(A).one(acquire("k", holder(1)))
    server_of(A).one(renew("k", holder(1)))
    server_of(A).one(release("k", holder(1)))
    assert ear.take() == [("holdfast:lock:k", b"")] * 2
    write_register(client, watched_until_us=client.time_us() - 1)
    server_of(A).one(acquire("k", holder(1)))
    assert ear.take() == []


def test_a_shorter_watch_does_not_cut_a_longer_one(server_of):
    server_of(A, watch_us=60 * SECOND_US).run()
    until = server_of(A).register()["watched_until_us"]
    server_of(B, watch_us=SECOND_US).run()
    assert server_of(A).register()["watched_until_us"] == until


# Recovery


def test_whoever_finds_that_redis_forgot_tells_everybody(server_of, client, hear):
    ear = hear("holdfast:forgotten")
    server_of(A).one(acquire("k", holder(1)))
    assert ear.take() == []
    client("FLUSHALL")
    server_of(B).one(acquire("k", holder(2)))
    server_of(A).run()
    assert ear.take() == [("holdfast:forgotten", b"")]
    write_register(client, until_us=client.time_us() - 1, run=b"another")
    server_of(A).run()
    server_of(B).run()
    assert ear.take() == [("holdfast:forgotten", b"")]


def test_while_redis_recovers_who_waits_is_told_to_ask(server_of, client, hear):
    ear = hear(f"holdfast:server:{B}")
    server_of(A).one(acquire("k", holder(1)))
    server_of(C).one(queue_up("k", holder(3)))  # is not there
    server_of(B).one(queue_up("k", holder(2)))
    new = in_recovery(client)
    assert server_of(A, **new).one(release("k", holder(1))) == ["OK"]
    assert ear.take() == [(f"holdfast:server:{B}", holder(2).tenure + b"k")]
    assert client("EXISTS", "k") == 0
    assert client("ZRANGE", beside("queue", "k"), 0, -1) == [B.encode()]
    assert server_of(B, **new).one(queue_up("k", holder(2)))[0] == "RECOVERING"
    close_window(client)
    assert server_of(B, **new).one(queue_up("k", holder(2)))[0] == "OK"
    assert client("EXISTS", beside("queue", "k")) == 0


def test_shared_grants_wait_for_recovery_and_holders_do_not(server_of, client):
    granted = server_of(A).one(acquire("k", holder(1), mode=SHARED))
    mine = holder(1, fence=granted[1], since_ms=granted[2])
    new = server_of(A, **in_recovery(client))
    assert new.one(acquire("k", holder(2), mode=SHARED))[0] == "RECOVERING"
    assert new.one(acquire("free", holder(2), mode=SHARED))[0] == "RECOVERING"
    assert new.one(acquire("k", holder(2), mode=SHARED, limit=1))[0] == "BUSY"
    assert new.one(acquire("k", holder(1), mode=SHARED)) == granted
    assert new.one(renew("k", mine, mode=SHARED)) == ["OK"]
    assert new.one(resume("k", holder(3).tenure, holder(2).token))[0] == "RECOVERING"
    assert new.one(resume("k", holder(3).tenure, holder(1).token))[0] == "RECOVERING"
    close_window(client)
    assert new.one(resume("k", holder(3).tenure, holder(1).token))[0] == "OK"


def test_shared_holders_above_the_mark_are_created_again(server_of, client):
    new = server_of(A, **in_recovery(client, fence=1000))
    first, second, old = holder(1, fence=2000), holder(2, fence=1500), holder(3, fence=1000)
    results = [new.one(renew("k", record, 4000, mode=SHARED)) for record in (first, second, old)]
    assert results == [["OK"], ["OK"], ["NOT_HELD"]]
    assert new.one(inspect("k"))[2] == 2 and new.fence() == 2000
    assert client("HGET", beside("holders", "k"), first.token) == first.value()
    assert new.one(renew("k", holder(4, fence=3000))) == ["NOT_HELD"]  # in another mode
    close_window(client)
    assert new.one(renew("k", holder(5, fence=3000), mode=SHARED)) == ["NOT_HELD"]


def test_what_is_created_again_knows_who_waits(server_of, client):
    server_of(A).one(acquire("k", holder(1)))
    server_of(B).one(queue_up("k", holder(2)))
    client("DEL", "k")
    new = server_of(A, **in_recovery(client))
    assert new.one(renew("k", holder(1, fence=2000))) == ["OK"]
    assert read_record(client("GET", "k")).flags == CONTENDED


# No memory


def full(client):
    client("CONFIG", "SET", "maxmemory", "1")


def test_without_memory_holders_are_renewed_and_released(server_of, client):
    shared = server_of(A).one(acquire("s", holder(1), mode=SHARED))
    plain = server_of(A).one(acquire("k", holder(1)))
    full(client)
    ours = server_of(A)
    assert ours.one(renew("s", holder(1, fence=shared[1]), 40000, mode=SHARED)) == ["OK"]
    assert ours.one(renew("k", holder(1, fence=plain[1]), 40000)) == ["OK"]
    assert client("PTTL", "s") > 30000 and client("PTTL", "k") > 30000
    assert ours.one(acquire("k", holder(1), 50000)) == plain
    assert client("PTTL", "k") > 45000
    assert ours.one(release("s", holder(1), shared=True)) == ["OK"]
    assert ours.one(release("k", holder(1))) == ["OK"]


def test_without_memory_what_is_not_written_through_is_renewed(server_of, client):
    granted = server_of(A).one(acquire("k", holder(1), block=8))
    full(client)
    later = holder(1, fence=granted[1] + 1, label=b"next")
    assert server_of(A).one(renew("k", later, 40000)) == ["OK"]
    assert client("PTTL", "k") > 30000 and read_record(client("GET", "k")).fence == granted[1]
    client("CONFIG", "SET", "maxmemory", "0")
    assert server_of(A).one(renew("k", later)) == ["OK"]
    assert read_record(client("GET", "k")) == later


def test_without_memory_nobody_queues_or_is_granted(server_of, client):
    server_of(A).one(acquire("k", holder(1)))
    full(client)
    results = server_of(B).run(queue_up("k", holder(2)), acquire("s", holder(2), mode=SHARED))[1]
    assert results == [["ERROR", b"OOM"]] * 2
    assert client("EXISTS", "s", beside("queue", "k"), beside("entries", "k")) == 0


# SHARED


def test_a_shared_lock_ends_with_its_last_holder(server_of, client):
    ours = server_of(A)
    ours.one(acquire("k", holder(1), 90000, mode=SHARED))
    ours.one(acquire("k", holder(2), 30000, mode=SHARED))
    assert client("PTTL", "k") > 80000
    ours.one(release("k", holder(1), shared=True))
    for key in ("k", beside("holders", "k")):
        assert 25000 < client("PTTL", key) <= 30001
    ours.one(release("k", holder(2), shared=True))
    assert client("EXISTS", "k", beside("holders", "k")) == 0


def test_a_thousand_and_more_holders_end_together(server_of, client):
    for at in range(0, 2500, 100):
        server_of(A).run(*[acquire("k", holder(i), 90000, mode=SHARED)
                           for i in range(at, at + 100)])
    past = client.time_us() - 1
    tokens = client("ZRANGE", "k", 0, -1)
    client("ZADD", "k", *[part for token in tokens for part in (past, token)])
    assert server_of(A).one(acquire("k", holder(9999)))[0] == "OK"
    assert client("TYPE", "k") == b"string" and client("EXISTS", beside("holders", "k")) == 0


def test_what_an_expired_lock_left_beside_is_cleared(server_of, client):
    client("HSET", beside("holders", "k"), holder(1).token, holder(1).value())
    server_of(A).one(acquire("k", holder(2), mode=SHARED))
    assert client("HKEYS", beside("holders", "k")) == [holder(2).token]


def test_a_writer_is_not_overtaken_by_readers(server_of, client, hear):
    hear(f"holdfast:server:{B}", f"holdfast:server:{C}")
    server_of(A).one(acquire("k", holder(1), mode=SHARED))
    server_of(B).one(queue_up("k", holder(2)))
    assert server_of(C).one(acquire("k", holder(3), mode=SHARED))[0] == "BUSY"
    assert server_of(C).one(queue_up("k", holder(3), mode=SHARED))[0] == "QUEUED"
    server_of(A).one(release("k", holder(1), shared=True))
    assert server_of(A).one(inspect("k"))[1] == 0
    assert server_of(B).one(release("k", holder(2))) == ["OK"]
    assert server_of(A).one(inspect("k"))[1] == 4


@pytest.mark.parametrize("parts", [
    ["A", "x", "y"], ["S", "x", "y"], ["N", "x"], ["R"],
])
def test_a_call_with_too_few_arguments_does_nothing(server_of, client, parts):
    with pytest.raises(RedisError):
        server_of(A).one(("k", parts, 0))
    assert client("EXISTS", "k") == 0


# Commands that come late


def test_only_a_new_grant_shortens_a_lock(server_of, client):
    """A late command of an older grant must not cut short what a later one gave."""
    server = server_of(A)
    granted = server.one(acquire("k", holder(1), 60_000))
    mine = holder(1, fence=granted[1], since_ms=granted[2])
    newer = dataclasses.replace(mine, fence=granted[1] + 1, token=holder(2).token)
    assert server.one(renew("k", newer, 50_000)) == ["OK"]
    assert 40_000 < client("PTTL", "k") <= 50_000
    for late in (renew("k", mine, 1000), renew("k", newer, 1000), acquire("k", holder(1), 1000)):
        assert server.one(late)[0] == "OK"
        assert 40_000 < client("PTTL", "k") <= 50_000
        assert read_record(client("GET", "k")).token == newer.token
    assert server.one(resume("k", holder(3).tenure, newer.token, 1000))[0] == "OK"
    assert client("PTTL", "k") > 40_000


def test_whoever_is_first_hears_that_the_holder_may_end_sooner(server_of, client, hear):
    ear = hear(f"holdfast:server:{B}")
    granted = server_of(A).one(acquire("k", holder(1), 60_000))
    server_of(B).one(queue_up("k", holder(2)))
    newer = holder(1, fence=granted[1] + 1, since_ms=granted[2])
    assert server_of(A).one(renew("k", newer, 60_000)) == ["OK"]
    assert ear.take() == []
    newest = holder(1, fence=granted[1] + 2, since_ms=granted[2])
    assert server_of(A).one(renew("k", newest, 2000)) == ["OK"]
    assert ear.take() == [(f"holdfast:server:{B}", holder(2).tenure + b"k")]
