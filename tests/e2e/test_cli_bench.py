# SPDX-License-Identifier: Apache-2.0
"""holdfast bench: what it counts is what happened, and nothing is left of it."""
import json
import signal

import pytest

from waiting import FACTOR, always, eventually


def counters(server):
    """What the server has counted so far."""
    before = len(server.find_events("metrics"))
    server.signal(signal.SIGUSR1)
    return server.wait_event("metrics", count=before + 1)


def locks(redis):
    return redis("KEYS", "lock:*")


def result(cli, code=0):
    assert cli.code == code, cli.err
    return json.loads(cli.out)


def is_in_order(durations):
    names = ["p50", "p90", "p99", "p999", "max"]
    values = [durations[name] for name in names]
    return values == sorted(values) and 0 < durations["mean"] <= durations["max"]


def test_pairs_are_counted_as_the_server_does(run, server, redis):
    found = result(run("bench", "--count", 500, "--connections", 8, "--depth", 3, "--json"))
    assert found["operations"] == 500
    assert found["acquire_us"]["count"] == found["release_us"]["count"] == 500
    assert is_in_order(found["acquire_us"]) and is_in_order(found["release_us"])
    counted = counters(server)
    assert (counted["leases_granted"], counted["leases_released"]) == (500, 500)
    assert counted["connections_accepted"] == 8
    assert locks(redis) == []


def test_it_ends_in_time_and_leaves_nothing(run, server, redis):
    found = result(run("bench", "--duration", "500ms", "--connections", 4, "--json"))
    assert 0.49 < found["seconds"] < 0.5 + 2 * FACTOR  # the loop's clock may be a turn old
    # What was under way at the end is given up and not counted.
    assert 0 <= counters(server)["leases_released"] - found["operations"] <= 4
    assert found["per_second"] == pytest.approx(found["operations"] / found["seconds"])
    assert locks(redis) == []


def test_hot_is_one_lock_handed_on(run, server, redis):
    found = result(run("bench", "--mix", "hot", "--connections", 20, "--count", 300, "--json"))
    assert found["operations"] == found["acquire_us"]["count"] == 300
    counted = counters(server)
    assert counted["leases_handed_on"] > 150
    assert counted["leases_waiting_now"] == 0
    # What a waiter was just given goes with its connection.
    eventually(lambda: locks(redis) == [], 2, "the lock to be free")


def test_hold_keeps_its_leases_until_ctrl_c(start, server, redis):
    cli = start("bench", "--mix", "hold", "--connections", 3, "--depth", 250, "--ttl", "2s",
                "--duration", "10m", "--json")
    eventually(lambda: len(locks(redis)) == 750, what="750 leases")
    always(lambda: len(locks(redis)) == 750, 4.2, "holding through two ttls")
    cli.signal(signal.SIGINT)
    cli.code = cli.end()
    found = result(cli)
    assert (found["operations"], found["lost"]) == (750, 0)
    assert found["seconds"] - found["busy_seconds"] > 4
    assert counters(server)["leases_released"] == 750
    assert locks(redis) == []


def test_a_lost_lease_is_told(start, redis):
    cli = start("bench", "--mix", "hold", "--connections", 1, "--depth", 3, "--ttl", "3s",
                "--duration", "3s", "--json")
    eventually(lambda: len(locks(redis)) == 3, what="3 leases")
    redis("DEL", locks(redis)[0])
    cli.code = cli.end()
    assert result(cli, code=76)["lost"] == 1
    assert "1 leases were lost" in cli.err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_with_what_it_has(start, server, redis, number):
    cli = start("bench", "--duration", "10m", "--connections", 5)
    eventually(lambda: counters(server)["leases_released"] > 100, what="some load")
    cli.signal(number)
    assert (cli.end(), cli.err) == (0, "")
    lines = cli.out.splitlines()
    assert lines[0] == "pairs: 5 connections, 1 on each"
    assert int(lines[1].split(" pairs in ")[0]) > 100
    assert [line.split()[0] for line in lines[2:5]] == ["ms", "acquire", "release"]
    assert locks(redis) == []


def test_a_second_signal_does_not_wait_for_the_server(start, server):
    cli = start("bench", "--duration", "10m", "--timeout", "5m")
    eventually(lambda: counters(server)["leases_released"] > 100, what="some load")
    server.freeze()
    cli.signal(signal.SIGINT)
    always(cli.is_running, 0.3, "waiting for the server")
    cli.signal(signal.SIGINT)
    assert cli.end() == 128 + signal.SIGINT
    server.thaw()


@pytest.mark.parametrize("rate", [None, 200])
def test_a_stall_counts_for_all_that_it_kept_from_starting(start, server, rate):
    """Two seconds of load, 0.6 s of which the server stands still."""
    pace = [] if rate is None else ["--rate", rate]
    cli = start("bench", "--connections", 1, "--duration", "2s", "--json", *pace)
    eventually(lambda: counters(server)["leases_released"] > 20, what="some load")
    server.freeze()
    always(lambda: True, 0.6)
    server.thaw()
    cli.code = cli.end()
    found = result(cli)
    assert max(found["acquire_us"]["max"], found["release_us"]["max"]) > 500_000
    if rate is None:
        assert found["acquire_us"]["p90"] < 100_000
    else:
        assert found["acquire_us"]["p90"] > 150_000
        assert found["operations"] + found["behind"] == pytest.approx(rate * found["seconds"], abs=3)


def test_what_cannot_keep_up_is_behind(run):
    found = result(run("bench", "--connections", 1, "--rate", 1_000_000, "--duration", "300ms", "--json"))
    assert found["behind"] > 100_000
    assert found["operations"] + found["behind"] == pytest.approx(1_000_000 * found["seconds"], rel=0.01)


def test_a_refusal_ends_it(start_cli, redis, start_server):
    server = start_server(redis, max_leases=3)
    cli = start_cli("bench", "--mix", "hold", "--connections", 1, "--depth", 9, server=server)
    assert cli.end() == 69
    assert "max-leases" in cli.err
    assert locks(redis) == []


@pytest.mark.parametrize("scheme", ["tcp", "tls"])
def test_over_the_network(start_cli, redis, start_server, certificates, scheme):
    certificate, key = certificates.issue("server")
    server = start_server(
        redis,
        listen=["tcp://127.0.0.1:0", "tls://127.0.0.1:0"],
        tls_cert=certificate,
        tls_key=key,
    )
    files = ["--ca-file", certificates.authority] if scheme == "tls" else []
    cli = start_cli("bench", "--count", 50, "--json", *files, server=server.address(scheme))
    cli.code = cli.end()
    assert result(cli)["operations"] == 50


def test_progress_on_a_terminal(shell):
    shell.send("holdfast bench --duration 10m\n")
    shell.expect(" pairs, ")
    shell.expect("taken in p50")
    shell.send("\x03")
    shell.expect("16 connections")
    shell.send("holdfast bench --quiet --count 5; echo code=$?\n")
    before = shell.expect("code=0")
    assert "taken in" not in before.split("pairs: ", 1)[0].rsplit("bench", 1)[1]
