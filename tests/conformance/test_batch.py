# SPDX-License-Identifier: Apache-2.0
"""What the operations of a batch share: fences, incarnations, deadlines, refusals."""

import time

import pytest

from batch import FOR_EVER_US, LIMIT, REGISTER, SERVER, Batches, Record, acquire, inspect
from batch import read_record, release, renew, times, write_register
from resp import RedisError
from server import Server

SECOND_US = 1_000_000
WINDOW_US = 60 * SECOND_US


def holder(number, **fields):
    return Record(b"%016d" % number, b"%016d" % (number + 500), **fields)


def held(client, key, record, ttl_ms=60000):
    client("SET", key, record.value(), "PX", ttl_ms)
    return record


# Fences


def test_fence_of_the_first_grant_is_the_time(batches):
    now_us, (result,) = batches.run(acquire("a", holder(1)))
    assert result[1] == now_us == batches.fence()


def test_fences_rise_within_a_batch_and_between(batches):
    fences = []
    for _ in range(3):
        grants = [acquire(f"{len(fences)}.{i}", holder(i)) for i in range(20)]
        fences += [result[1] for result in batches.run(*grants)[1]]
    assert fences == sorted(set(fences))
    assert batches.fence() >= fences[-1]


def test_fences_of_one_lock_rise(batches):
    fences = []
    for i in range(10):
        fences.append(batches.one(acquire("a", holder(i)))[1])
        batches.one(release("a", holder(i)))
    assert fences == sorted(set(fences))


def test_a_clock_behind_the_register_does_not_lower_fences(batches, client):
    ahead = client.time_us() + 3600 * SECOND_US
    write_register(client, fence=ahead)
    assert batches.one(acquire("a", holder(1)))[1] == ahead + 1
    assert batches.one(acquire("b", holder(2)))[1] == ahead + 2


def test_a_stale_register_moves_with_the_clock(batches, client):
    write_register(client, fence=5)
    now_us, (result,) = batches.run(acquire("a", holder(1)))
    assert result[1] == now_us


def test_a_wiped_register_moves_with_the_clock(batches, client):
    first = batches.one(acquire("a", holder(1)))[1]
    client("DEL", REGISTER)
    assert batches.one(acquire("b", holder(2)))[1] > first
    assert batches.register()["v"] == 1


@pytest.mark.parametrize("fence", [-5, 0.5, float("nan"), float("inf"), -float("inf")])
def test_nonsense_in_the_register_gives_no_fence_twice(batches, client, fence):
    write_register(client, fence=fence)
    result = batches.one(acquire("a", holder(1)))
    if result[0] == "OK":
        assert result[1] > SECOND_US
    else:
        assert result == ["ERROR", b"EXHAUSTED"]


def test_the_last_fence_below_2_53_is_exact(batches, client):
    write_register(client, fence=LIMIT - 3)
    assert batches.one(acquire("a", holder(1)))[1] == LIMIT - 2
    assert read_record(client("GET", "a")).fence == LIMIT - 2
    assert batches.one(acquire("b", holder(2)))[1] == LIMIT - 1
    assert batches.fence() == LIMIT - 1
    assert batches.one(inspect("b"))[3] == LIMIT - 1


def test_no_fence_reaches_2_53(batches, client):
    write_register(client, fence=LIMIT - 1)
    held(client, "mine", holder(1, fence=5))
    results = batches.run(acquire("a", holder(1)), renew("mine", holder(1, fence=5)))[1]
    assert results == [["ERROR", b"EXHAUSTED"], ["OK"]]
    assert client("EXISTS", "a") == 0


def test_a_batch_that_needs_more_fences_than_there_are_gets_none(batches, client):
    write_register(client, fence=LIMIT - 3)
    results = batches.run(*[acquire(str(i), holder(i)) for i in range(3)])[1]
    assert results == [["ERROR", b"EXHAUSTED"]] * 3


def test_a_busy_lock_costs_no_order(batches, client):
    held(client, "a", holder(9, fence=1))
    results = batches.run(acquire("a", holder(1)), acquire("b", holder(1)))[1]
    assert results[0][0] == "BUSY"
    assert results[1][1] <= batches.fence()


# Time


def test_not_after_is_inclusive_and_everything_later_is_expired(batches, client):
    mine = held(client, "mine", holder(1, fence=5))
    before = client("GET", REGISTER)
    now_us, results = batches.run(
        acquire("a", holder(1)), renew("mine", mine), release("mine", mine), inspect("mine"),
        not_after_us=client.time_us() - 1)
    assert results == [["EXPIRED"]] * 4
    assert abs(client.time_us() - now_us) < 10 * SECOND_US
    assert client("EXISTS", "a") == 0 and client("PTTL", "mine") > 50000
    assert client("GET", REGISTER) == before


def test_what_waited_in_a_stopped_server_is_refused(batches, client, shared_server):
    not_after_us = client.time_us() + 1000
    shared_server.stop()
    try:
        batches.send(acquire("a", holder(1)), not_after_us=not_after_us)
        deadline = time.monotonic() + 5
        while time.time() * SECOND_US <= not_after_us + 1000:
            assert time.monotonic() < deadline
    finally:
        shared_server.resume()
    assert client.receive()[1:] == [b"EXPIRED"]
    assert client("EXISTS", "a") == 0


def test_in_time(batches, client):
    result = batches.one(acquire("a", holder(1)), not_after_us=client.time_us() + 10 * SECOND_US)
    assert result[0] == "OK"


def test_an_empty_batch_tells_the_time(batches, client):
    before_us = client.time_us()
    now_us, results = batches.run()
    assert results == [] and before_us <= now_us <= client.time_us()


# Incarnations


def restarted(batches, fence=None, window_us=WINDOW_US):
    """The same data under a server with another run_id."""
    if fence is not None:
        write_register(batches.client, fence=fence)
    return Batches(batches.client, batches._script, run_id="run-2", window_us=window_us)


def test_the_first_batch_of_a_run_opens_the_window(client, script):
    batches = Batches(client, script, run_id="run-1", window_us=WINDOW_US)
    now_us, _ = batches.run()
    register = batches.register()
    assert register["run"] == b"run-1" and register["v"] == 1
    assert register["until_us"] == now_us + WINDOW_US
    assert register["mark"] == 0 and register["fence"] == 0


def test_the_mark_is_the_fence_at_that_moment(batches):
    new = restarted(batches, fence=123456789012345)
    new.run()
    assert new.register()["mark"] == 123456789012345
    assert new.register()["fence"] == 123456789012345


def test_the_same_run_opens_no_second_window(batches):
    new = restarted(batches)
    new.run()
    before = new.register()
    new.run()
    assert new.register() == before


def test_no_grants_in_the_window(batches, client):
    new = restarted(batches)
    word, remaining_us = new.one(acquire("a", holder(1)))
    assert word == "RECOVERING" and 0 < remaining_us <= WINDOW_US
    assert client("EXISTS", "a") == 0


def test_grants_after_the_window(batches, client):
    new = restarted(batches)
    new.run()
    write_register(client, until_us=client.time_us() - 1)
    assert new.one(acquire("a", holder(1)))[0] == "OK"


def test_a_window_of_nothing_is_no_window(batches):
    assert restarted(batches, window_us=0).one(acquire("a", holder(1)))[0] == "OK"


def test_in_the_window_a_held_lock_is_busy_and_ours_is_ours(batches, client):
    held(client, "theirs", holder(9, fence=7))
    mine = held(client, "mine", holder(1, fence=5, since_ms=8))
    client("SET", "foreign", "")
    client("RPUSH", "list", "x")
    results = restarted(batches).run(
        acquire("theirs", holder(1)), acquire("mine", mine), acquire("foreign", holder(1)),
        acquire("list", holder(1)))[1]
    assert [result[0] for result in results] == ["BUSY", "OK", "BUSY", "WRONG_TYPE"]
    assert results[1] == ["OK", 5, 8]


def test_renewals_and_releases_do_not_mind_the_window(batches, client):
    mine = held(client, "mine", holder(1, fence=5))
    new = restarted(batches)
    assert new.one(renew("mine", mine)) == ["OK"]
    assert new.one(release("mine", mine)) == ["OK"]


def test_a_lease_above_the_mark_is_created_again(batches, client):
    new = restarted(batches, fence=1000)
    mine = holder(1, fence=2000, since_ms=77, label=b"label")
    assert new.one(renew("mine", mine, 4000)) == ["OK"]
    assert client("GET", "mine") == mine.value()
    assert 0 < client("PTTL", "mine") <= 4000
    assert new.fence() == 2000
    assert new.register()["mark"] == 1000
    assert new.one(renew("mine", mine)) == ["OK"]


@pytest.mark.parametrize("fence", [999, 1000])
def test_a_lease_at_or_below_the_mark_was_deleted(batches, client, fence):
    new = restarted(batches, fence=1000)
    assert new.one(renew("mine", holder(1, fence=fence))) == ["NOT_HELD"]
    assert client("EXISTS", "mine") == 0


def test_a_lease_created_again_does_not_lower_the_register(batches):
    new = restarted(batches, fence=1000)
    new.run(renew("a", holder(1, fence=5000)), renew("b", holder(2, fence=3000)))
    assert new.fence() == 5000


def test_nothing_is_created_again_after_the_window(batches, client):
    new = restarted(batches, fence=1000)
    new.run()
    write_register(client, until_us=client.time_us() - 1)
    assert new.one(renew("mine", holder(1, fence=2000))) == ["NOT_HELD"]


def test_nothing_is_created_over_another_key(batches, client):
    held(client, "theirs", holder(9, fence=7))
    client("SET", "empty", "")
    new = restarted(batches, fence=1)
    mine = holder(1, fence=2000)
    assert new.run(renew("theirs", mine), renew("empty", mine))[1] == [["NOT_HELD"]] * 2
    assert client("GET", "empty") == b""


def test_who_renews_without_knowing_the_fence_is_told(batches):
    _, fence, _ = batches.one(acquire("a", holder(1)))
    assert batches.one(renew("a", holder(1))) == ["OK", fence]
    assert batches.one(renew("a", holder(1, fence=fence))) == ["OK"]
    assert batches.one(renew("a", holder(2))) == ["NOT_HELD"]


def test_a_fence_that_is_not_known_is_not_created_again(batches):
    new = restarted(batches, fence=1)
    assert new.one(renew("a", holder(1))) == ["NOT_HELD"]


def test_a_fence_of_2_53_is_not_created_again(batches):
    new = restarted(batches, fence=1)
    assert new.one(renew("a", holder(1, fence=LIMIT - 1))) == ["OK"]
    assert new.one(renew("b", holder(2, fence=LIMIT))) == ["NOT_HELD"]
    assert new.fence() == LIMIT - 1


def test_a_grant_after_the_window_is_above_what_came_back(batches, client):
    new = restarted(batches, fence=1)
    ahead = client.time_us() + 3600 * SECOND_US
    mine = holder(1, fence=ahead)
    new.one(renew("a", mine))
    new.one(release("a", mine))
    write_register(client, until_us=0)
    assert new.one(acquire("a", holder(2)))[1] == ahead + 1


def test_a_window_that_a_clock_set_back_made_long_is_cut(batches, client):
    new = restarted(batches, fence=1000)
    new.run()
    write_register(client, until_us=client.time_us() + 3600 * SECOND_US)
    now_us, (result,) = new.run(acquire("a", holder(1)))
    assert result == ["RECOVERING", WINDOW_US]
    assert new.register()["until_us"] == now_us + WINDOW_US
    assert new.register()["mark"] == 1000


def test_a_server_with_a_shorter_window_does_not_cut_the_one_that_is_open(batches, client):
    new = restarted(batches, fence=1000)
    now_us, _ = new.run()
    other = Batches(client, batches._script, run_id=new.run_id, window_us=1000)
    assert other.one(acquire("a", holder(1)))[0] == "RECOVERING"
    assert new.register()["until_us"] == now_us + WINDOW_US


def test_a_call_without_operations_tells_what_is_left_of_the_window(batches, client):
    batches.run()
    assert batches.window_left_us == 0
    new = restarted(batches, fence=1000)
    new.run()
    assert new.window_left_us == WINDOW_US
    now_us, _ = new.run()
    assert new.window_left_us == new.register()["until_us"] - now_us


def test_a_wiped_redis_opens_the_window(batches, client):
    mine = batches.one(acquire("a", holder(1)))
    client("FLUSHALL")
    new = Batches(client, batches._script, run_id="run-1", window_us=WINDOW_US)
    assert new.one(acquire("b", holder(2)))[0] == "RECOVERING"
    assert new.one(renew("a", holder(1, fence=mine[1], since_ms=mine[2]))) == ["OK"]


def test_a_register_of_another_version_is_left_alone(batches, client):
    write_register(client, v=2)
    before = client("GET", REGISTER)
    with pytest.raises(RedisError) as error:
        batches.run(acquire("a", holder(1)))
    assert "VERSION" in str(error.value)
    assert client("GET", REGISTER) == before and client("EXISTS", "a") == 0


@pytest.mark.parametrize("text", ["mine", "\1 cut short", "\2" + "x" * 88])
def test_a_string_that_is_no_register_is_left_alone(batches, client, text):
    client("SET", REGISTER, text)
    with pytest.raises(RedisError) as error:
        batches.run(acquire("a", holder(1)))
    assert "VERSION" in str(error.value)
    assert client("GET", REGISTER) == text.encode() and client("EXISTS", "a") == 0


def test_a_register_of_another_type_is_left_alone(batches, client):
    client("DEL", REGISTER)
    client("RPUSH", REGISTER, "x")
    with pytest.raises(RedisError) as error:
        batches.run(acquire("a", holder(1)))
    assert "WRONGTYPE" in str(error.value)
    assert client("EXISTS", "a") == 0


# Batches


def test_a_bad_key_answers_for_itself_alone(batches, client):
    client("RPUSH", "list", "x")
    results = batches.run(
        acquire("a", holder(1)), acquire("list", holder(1)), renew("list", holder(1)),
        release("list", holder(1)), inspect("list"), acquire("b", holder(1)))[1]
    assert [result[0] for result in results] == ["OK"] + ["WRONG_TYPE"] * 4 + ["OK"]
    assert client("LRANGE", "list", 0, -1) == [b"x"]


def test_operations_of_a_batch_see_each_other(batches, client):
    one, two = holder(1), holder(2)
    results = batches.run(acquire("a", one), acquire("a", two), release("a", one),
                          acquire("a", two), inspect("a"))[1]
    assert [result[0] for result in results] == ["OK", "BUSY", "OK", "OK", "HELD"]
    assert results[3][1] > results[0][1]


def test_a_large_batch(batches, client):
    label = b"l" * 128
    grants = [acquire(f"{i:0512d}", holder(i, label=label)) for i in range(128)]
    results = batches.run(*grants)[1]
    assert [result[0] for result in results] == ["OK"] * 128
    assert client("DBSIZE") == 129
    results = batches.run(*[release(f"{i:0512d}", holder(i)) for i in range(128)])[1]
    assert results == [["OK"]] * 128
    assert client("DBSIZE") == 1


def test_a_bad_ttl_is_an_error_of_its_own(batches, client):
    results = batches.run(acquire("a", holder(1), 0), acquire("b", holder(1)))[1]
    assert results[0] == ["ERROR", b"ERR"] and results[1][0] == "OK"
    assert client("EXISTS", "a") == 0


@pytest.mark.parametrize("arguments", [
    ["X"], [""], ["A", "x", "y"], ["R"], ["N", "x"], [], ["I", "I"], ["R", "x", "y"],
])
def test_a_malformed_batch_does_nothing(batches, client, script, arguments):
    before = client("GET", REGISTER)
    with pytest.raises(RedisError):
        client("EVAL", script, 2, REGISTER, "a", "run-9", SERVER, times(FOR_EVER_US), "", *arguments)
    with pytest.raises(RedisError):
        client("EVAL", script, 2, REGISTER, "a", "run-9", SERVER, "soon", "", "I")
    assert client("GET", REGISTER) == before


def test_no_reply_tells_token_or_tenure(batches):
    mine = holder(1, label=b"label")
    batches.one(acquire("a", mine))
    batches.send(acquire("a", holder(2)), inspect("a"))
    text = repr(batches.client.receive())
    assert mine.tenure.decode() not in text and mine.token.decode() not in text


# Refusals


def test_out_of_memory_refuses_grants_and_nothing_else(batches, client):
    mine = batches.one(acquire("mine", holder(1)))
    kept = holder(1, fence=mine[1], since_ms=mine[2])
    fence = batches.fence()
    client("CONFIG", "SET", "maxmemory", "1")
    results = batches.run(
        renew("mine", kept, 40000), acquire("a", holder(2)), acquire("mine", holder(2)),
        inspect("mine"), acquire("b", holder(2)))[1]
    assert [result[0] for result in results] == ["OK", "ERROR", "BUSY", "HELD", "ERROR"]
    assert results[1] == ["ERROR", b"OOM"]
    assert client("PTTL", "mine") > 30000
    assert client("EXISTS", "a", "b") == 0 and batches.fence() == fence
    assert batches.one(release("mine", kept)) == ["OK"]


def test_out_of_memory_in_a_new_incarnation(batches, client):
    mine = held(client, "mine", holder(1, fence=5))
    client("CONFIG", "SET", "maxmemory", "1")
    new = restarted(batches, fence=None)
    results = new.run(renew("lost", holder(2, fence=2000)), renew("mine", mine),
                      acquire("a", holder(3)))[1]
    assert results[:2] == [["ERROR", b"OOM"], ["OK"]]
    assert results[2][0] == "RECOVERING"
    assert client("EXISTS", "lost") == 0
    client("CONFIG", "SET", "maxmemory", "0")
    assert new.one(renew("lost", holder(2, fence=2000))) == ["OK"]
    assert new.register()["run"] == b"run-2"


def test_a_replica_says_so_in_every_result_that_would_write(script):
    server = Server()
    try:
        client = server.connect()
        batches = Batches(client, script)
        batches.run(acquire("mine", holder(1)))
        client("REPLICAOF", "127.0.0.1", "1")
        results = batches.run(acquire("a", holder(2)), renew("mine", holder(1)),
                              release("mine", holder(1)), inspect("mine"))[1]
        assert results[:3] == [["ERROR", b"READONLY"]] * 3
        assert results[3][0] == "HELD"
        client.close()
    finally:
        server.close()


def test_evalsha_knows_the_script_by_its_digest(batches, client, script):
    import hashlib

    sha = hashlib.sha1(script).hexdigest()
    now_us = client("EVALSHA", sha, 1, REGISTER, "run-1", SERVER, times(FOR_EVER_US), "")[0]
    assert now_us <= client.time_us()
    client("SCRIPT", "FLUSH")
    with pytest.raises(RedisError) as error:
        client("EVALSHA", sha, 1, REGISTER, "run-1", SERVER, times(FOR_EVER_US), "")
    assert error.value.word == "NOSCRIPT"


def test_a_restart_with_its_data_keeps_fences_rising(script):
    server = Server("--appendonly", "yes", "--appendfsync", "always")
    try:
        client = server.connect()
        first = Batches(client, script, run_id="run-1").one(acquire("a", holder(1)))
        client.close()
        server.kill()
        server.start()
        client = server.connect()
        new = Batches(client, script, run_id="run-2", window_us=WINDOW_US)
        kept = holder(1, fence=first[1], since_ms=first[2])
        assert new.one(renew("a", kept)) == ["OK"]
        assert new.register()["mark"] == first[1]
        assert new.one(release("a", kept)) == ["OK"]
        assert new.one(renew("a", kept)) == ["NOT_HELD"]
        write_register(client, until_us=client.time_us() - 1)
        assert new.one(acquire("a", holder(2)))[1] > first[1]
        client.close()
    finally:
        server.close()


def test_expiry_frees_a_lock(batches, client):
    batches.one(acquire("a", holder(1), 1))
    deadline = time.monotonic() + 5
    while batches.one(acquire("a", holder(2)))[0] != "OK":
        assert time.monotonic() < deadline


# Rights


RIGHTS = ("+eval +info +time +select +getrange +mget +setrange +strlen +exists +set +pexpire +pexpireat "
          "+pttl +del +type +hset +hget +hdel +hexists +zadd +zrem +zrange +zrangebyscore "
          "+zscore +zcard +zcount +publish").split()


@pytest.fixture
def as_user_without(client, shared_server, script):
    """Batches run by a user who has every right that is needed, except the given one."""
    clients = []

    def make(right):
        rights = [name for name in RIGHTS if name != right]
        client("ACL", "SETUSER", "poor", "reset", "on", ">secret", "~*", "resetchannels",
               "&holdfast:*", *rights)
        poor = shared_server.connect()
        clients.append(poor)
        poor("AUTH", "poor", "secret")
        return Batches(poor, script)

    yield make
    for poor in clients:
        poor.close()
    client("ACL", "DELUSER", "poor")


@pytest.mark.parametrize("right", ["+set", "+setrange"])
def test_a_missing_right_of_an_operation_is_noperm(batches, as_user_without, right):
    batches.run()
    assert as_user_without(right).one(acquire("a", holder(1))) == ["ERROR", b"NOPERM"]


def test_a_missing_right_of_the_whole_batch_is_told(batches, as_user_without):
    poor = as_user_without("+getrange")
    with pytest.raises(RedisError, match="user executing the script|ACL failure in script|NOPERM"):
        poor.one(acquire("a", holder(1)))


def test_a_user_with_the_rights_may_do_all(batches, as_user_without):
    users = as_user_without(None)
    assert users.one(acquire("a", holder(1)))[0] == "OK"
    assert users.one(inspect("a"))[0] == "HELD"
    assert users.one(release("a", holder(1))) == ["OK"]
