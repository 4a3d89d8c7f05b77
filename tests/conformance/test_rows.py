# SPDX-License-Identifier: Apache-2.0
"""What is told in short and done in rows is the same as what is told in full, one by one."""

import random

import pytest

from batch import REGISTER, Batches, Record, acquire, inspect, read_record, release, renew
from batch import write_register

HOUR_US = 3600 * 1_000_000
SEQUENCES = 60
WATCH_US = 60 * 1_000_000


def holder(number, **fields):
    return Record(b"%016d" % number, b"%016d" % (number + 500), **fields)


def raw(batches, *operations):
    """The reply as it comes, without the clock."""
    batches.send(*operations)
    return batches.client.receive()[1:]


def granted(batches, *keys, first=0):
    """Locks that are held, by who has them."""
    now_us, results = batches.run(*[acquire(key, holder(first + i)) for i, key in enumerate(keys)])
    return [holder(first + i, fence=result[1], since_ms=result[2])
            for i, result in enumerate(results)]


def has_rows_of_renewals(client):
    """Since Redis 7: before, PEXPIREAT does not know GT."""
    version = next(line for line in client("INFO", "server").split(b"\r\n")
                   if line.startswith(b"redis_version:"))
    return int(version.split(b":")[1].split(b".")[0]) >= 7


def test_a_row_of_everything_is_told_by_two_numbers(batches, client):
    a, b, c = granted(batches, "a", "b", "c")
    operations = [release("b", b), release("c", c), acquire("b", holder(7), 60000),
                  acquire("d", holder(8), 60000)]
    if has_rows_of_renewals(client):
        operations.insert(0, renew("a", a, 60000))
    count, fence = raw(batches, *operations)
    assert count == -len(operations)
    assert client("PTTL", "d") > 50000
    assert client("PTTL", "a") > 50000 or not has_rows_of_renewals(client)
    assert client("EXISTS", "c") == 0
    assert read_record(client("GET", "b")).fence == fence
    assert read_record(client("GET", "d")).fence == fence + 1 == batches.fence()


@pytest.mark.parametrize("low", [0, 1, 253, 254, 255])
def test_fences_of_a_row_go_on_past_a_byte(batches, client, low):
    ahead = (client.time_us() + HOUR_US) // 256 * 256 + low
    write_register(client, fence=ahead)
    grants = granted(batches, *map(str, range(300)))
    assert [grant.fence for grant in grants] == list(range(ahead + 1, ahead + 301))
    for i, grant in enumerate(grants):
        assert read_record(client("GET", str(i))) == grant


def test_a_lock_that_stands_twice_is_released_once(batches, client):
    a, b = granted(batches, "a", "b")
    results = batches.run(renew("a", a), release("a", a), release("b", b), release("a", a),
                          acquire("b", holder(3)), acquire("b", holder(4)))[1]
    assert results[:4] == [["OK"], ["OK"], ["OK"], ["NOT_HELD"]]
    assert [result[0] for result in results[4:]] == ["OK", "BUSY"]
    assert client("EXISTS", "a") == 0


def test_a_row_ends_where_something_is_not_plain(batches, client):
    a, b, c = granted(batches, "a", "b", "c")
    client("RPUSH", "list", "x")
    client("SET", "foreign", a.value()[:18] + b"x")
    client("SET", "empty", "")
    lost = holder(9, fence=5)
    results = batches.run(renew("a", a), renew("list", a), renew("b", b))[1]
    assert results == [["OK"], ["WRONG_TYPE", b"list"], ["OK"]]
    results = batches.run(release("a", a), release("list", a), release("empty", a),
                          release("gone", a), release("b", lost), release("c", c))[1]
    assert results == [["OK"], ["WRONG_TYPE", b"list"], *[["NOT_HELD"]] * 3, ["OK"]]
    results = batches.run(*[acquire(key, holder(7)) for key in ("a", "list", "b", "empty", "d")])[1]
    assert [result[0] for result in results] == ["OK", "WRONG_TYPE", "BUSY", "BUSY", "OK"]
    assert client("LRANGE", "list", 0, -1) == [b"x"] and client("GET", "empty") == b""
    assert client("PTTL", "foreign") == -1


def test_a_renewal_in_a_row_does_not_cut_short_what_a_later_one_gave(batches, client):
    a, b = granted(batches, "a", "b")
    client("PEXPIRE", "a", 90000)
    assert batches.run(renew("a", a, 30000), renew("b", b, 30000))[1] == [["OK"]] * 2
    assert client("PTTL", "a") > 80000 and client("PTTL", "b") > 20000


def test_a_renewal_in_a_row_ends_what_was_for_ever(batches, client):
    a, b = granted(batches, "a", "b")
    client("PERSIST", "a")
    assert batches.run(renew("a", a), renew("b", b))[1] == [["OK"]] * 2
    assert 0 < client("PTTL", "a") <= 5000


def test_a_row_tells_who_watches(client, script, shared_server):
    hearing = shared_server.connect()
    hearing("PSUBSCRIBE", "holdfast:lock:*")
    batches = Batches(client, script, watch_us=WATCH_US)
    batches.run()
    a, b = granted(batches, "a", "b")
    batches.run(renew("a", a), renew("b", b), release("a", a), release("b", b),
                acquire("c", holder(1)))
    names = [hearing.receive()[2] for _ in range(5)]
    assert names == [b"holdfast:lock:" + key for key in (b"a", b"b", b"a", b"b", b"c")]
    hearing.close()


def test_a_user_who_may_not_read_many_at_once_is_served_one_by_one(batches, client, shared_server):
    client("ACL", "SETUSER", "poor", "reset", "on", ">secret", "~*", "&*", "+@all", "-mget")
    poor = shared_server.connect()
    poor("AUTH", "poor", "secret")
    a, b = granted(batches, "a", "b")
    users = Batches(poor, batches._script)
    assert users.run(renew("a", a), renew("b", b), release("a", a), release("b", b))[1] == [["OK"]] * 4
    poor.close()
    client("ACL", "DELUSER", "poor")


def test_out_of_memory_in_a_row(batches, client):
    a, b, c = granted(batches, "a", "b", "c")
    client("CONFIG", "SET", "maxmemory", "1")
    results = batches.run(renew("a", a, 60000), renew("b", b, 60000), release("a", a),
                          release("c", c), acquire("d", holder(1), 60000))[1]
    assert results == [["OK"]] * 4 + [["ERROR", b"OOM"]]
    assert client("PTTL", "b") > 50000 and client("EXISTS", "a", "c", "d") == 0


def test_rows_in_the_window(batches, client):
    a, b = granted(batches, "a", "b")
    new = Batches(client, batches._script, run_id="run-2", window_us=HOUR_US)
    results = new.run(renew("a", a), renew("b", b), release("b", b), acquire("b", holder(1)))[1]
    assert results[:3] == [["OK"]] * 3 and results[3][0] == "RECOVERING"


class Chance:
    """Operations on few locks by few holders, so that most meet; in the order a server sends them,
    or in none."""

    def __init__(self, seed):
        self.random = random.Random(seed)
        self.held = {}

    def operation(self, verb):
        key = f"k{self.random.randrange(12)}"
        ttl_ms = self.random.choice([60000, 60000, 60000, 90000])
        if verb == "acquire":
            label = self.random.choice([b"", b"", b"label"])
            asks = self.random.choice([{}, {}, {}, {"wants_queue": True}])
            return acquire(key, holder(self.random.randrange(40), label=label), ttl_ms, **asks)
        mine = self.held.get(key, holder(0, fence=5))
        if self.random.random() < 0.1:
            mine = holder(41, fence=5)
        if verb == "renew":
            return renew(key, mine, ttl_ms)
        if verb == "release":
            return release(key, mine, wants_queue=self.random.random() < 0.1)
        return inspect(key)

    def batch(self):
        verbs = self.random.choices(["renew", "release", "acquire", "inspect"], [5, 5, 8, 1],
                                    k=self.random.randint(1, 16))
        if self.random.random() < 0.8:
            verbs.sort(key=["renew", "release", "acquire", "inspect"].index)
        return [self.operation(verb) for verb in verbs]

    def learn(self, client):
        self.held = {}
        for number in range(12):
            value = client("GET", f"k{number}") if number != 1 else None
            if value and len(value) >= 51:
                self.held[f"k{number}"] = read_record(value)


def without_remaining(result):
    """A holder's, which is a matter of when."""
    return result[:5] + result[6:] if len(result) > 6 else result


def about(ttl_ms):
    return ttl_ms if ttl_ms < 0 else round(ttl_ms / 30000)


def without_clock(value):
    """The record that is stored, but for since when."""
    return value and value[:42] + value[50:]


@pytest.mark.parametrize("part", range(5))
def test_short_is_the_same_as_full(client, script, part):
    for seed in range(part * SEQUENCES, (part + 1) * SEQUENCES):
        client("FLUSHALL")
        chance = Chance(seed)
        short, full = Batches(client, script), Batches(client, script, in_short=False)
        ahead = client.time_us() + HOUR_US
        for database, batches in enumerate((full, short)):
            client("SELECT", database)
            batches.run()
            write_register(client, fence=ahead)
        for step in range(8):
            asked, told, found = chance.batch(), [], []
            for database, batches in enumerate((full, short)):
                client("SELECT", database)
                if not step:
                    client("SET", "k0", "another program's")
                    client("RPUSH", "k1", "x")
                _, results = batches.run(*asked)
                told.append([[word for word in without_remaining(result)
                              if not isinstance(word, int) or not 10**12 < word < 10**14]
                             for result in results])
                found.append([without_clock(client("GET", f"k{i}")) if i != 1 else None
                              for i in range(12)])
                found[-1].append([about(client("PTTL", f"k{i}")) for i in range(12)])
                found[-1].append(client("GET", REGISTER)[:9])
            assert told[0] == told[1], (seed, step, asked)
            assert found[0] == found[1], (seed, step, asked)
            chance.learn(client)
        client("SELECT", 0)
