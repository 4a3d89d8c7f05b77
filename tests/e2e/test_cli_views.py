# SPDX-License-Identifier: Apache-2.0
"""The command line looks at locks and waits for them: watch, ls, top, the queue, elect, resume."""
import json
import signal

import pytest

from process import children_of, is_alive
from waiting import FACTOR, eventually

HOUR_MS = 3_600_000
TOKEN = "00112233445566778899aabbccddeeff"

# Says that it runs and with which fence, until it is ended.
LEADER = 'echo "leads $HOLDFAST_FENCE"; exec cat'


def lines_of(cli):
    return [json.loads(line) for line in cli.out.splitlines()]


def wait_lines(cli, count):
    return eventually(
        lambda: len(found := cli.out.splitlines()) >= count and found, what=f"line {count} of {cli.err}"
    )


# watch


def test_watch_follows_a_lock(start, client):
    cli = start("watch", "k")
    wait_lines(cli, 1)
    held = client.held("k", label="anna", value=b"10.0.0.1:80")
    cli.wait_for("anna")
    held.release()
    free, taken, again = wait_lines(cli, 3)
    assert free == again == "k is free"
    assert "anna" in taken and f"fence {held.lease.fence}" in taken and "10.0.0.1:80" in taken
    cli.signal(signal.SIGINT)
    assert cli.end() == -signal.SIGINT


def test_watch_as_json(start, redis, start_server):
    """What a client of another server does is seen as well."""
    cli = start("watch", "k", "--json")
    wait_lines(cli, 1)
    held = start_server(redis).connect().held("k", label="anna", value=b"v")
    wait_lines(cli, 2)
    held.release()
    wait_lines(cli, 3)
    states = lines_of(cli)
    assert [state["state"] for state in states] == ["free", "held", "free"]
    assert all(state["key"] == "k" for state in states)
    holder = states[1]["holder"]
    assert (holder["label"], holder["value"], holder["fence"]) == ("anna", "v", held.lease.fence)
    assert "holder" not in states[0]
    cli.signal(signal.SIGTERM)
    assert cli.end() == -signal.SIGTERM


def test_watch_survives_a_restart_of_the_server(start, server):
    cli = start("watch", "k")
    wait_lines(cli, 1)
    server.kill()
    eventually(lambda: "Watching goes on" in cli.err, what="the interruption to be told")
    server.restart()
    server.connect().lease("k", HOUR_MS, label="anna")
    cli.wait_for("anna")
    cli.signal(signal.SIGINT)
    assert cli.end() == -signal.SIGINT


# ls


def test_ls_shows_holders_and_waiters(run, server):
    client = server.connect()
    client.lease("batch/1", HOUR_MS, label="anna")
    client.lease("other", HOUR_MS, label="bert")
    waiter = server.connect().hold("batch/1", wait_ms=HOUR_MS)
    waiter.expect("queued")
    cli = run("ls")
    assert cli.code == 0
    head, first, second = cli.out.splitlines()
    assert "WAITING" in head
    assert "batch/1" in first and "anna" in first
    assert "other" in second and "bert" in second
    cli = run("ls", "batch/", "--json")
    (lock,) = lines_of(cli)
    assert (lock["key"], lock["waiting"]) == ("batch/1", 1)
    assert run("ls", "nothing/").out == ""


def test_ls_goes_on_from_page_to_page(run, client):
    for first in (0, 500, 1000):
        calls = [client.start_acquire(f"k{i:04d}", HOUR_MS) for i in range(first, first + 500)]
        for call in calls:
            client.on_token(call.result().lease.token)
    cli = run("ls", "--json")
    assert cli.code == 0
    assert [lock["key"] for lock in lines_of(cli)] == [f"k{i:04d}" for i in range(1500)]


def test_the_fleet_is_every_server(run, redis, start_server):
    other = start_server(redis)
    other.connect().lease("theirs", HOUR_MS, label="bert")
    waiter = other.connect().hold("theirs", wait_ms=HOUR_MS)
    waiter.expect("queued")
    redis("SET", "lock:foreign", "x")
    lost = other.connect()
    lost.held("after", label="eve", lock_delay_ms=HOUR_MS)
    lost.close()
    eventually(lambda: other.connect().inspect("after").closed)
    assert lines_of(run("ls", "--json")) == []
    found = {lock["key"]: lock["holders"][0] for lock in lines_of(run("ls", "--fleet", "--json"))}
    assert set(found) == {"theirs", "foreign", "after"}
    assert {key for key, holder in found.items() if holder["closed"]} == {"after"}
    assert "bert" in run("ls", "--fleet", "the").out
    assert "eve (lost)" in run("ls", "--fleet", "after").out


# top


def test_top_once(run, server):
    server.connect().lease("k", HOUR_MS, label="anna")
    waiter = server.connect().hold("k", wait_ms=HOUR_MS)
    waiter.expect("queued")
    cli = run("top", "--once")
    assert cli.code == 0
    assert "locks 1 (held 1), waiting 1" in cli.out
    assert "anna" in cli.out


@pytest.mark.parametrize("end", ["q", "\x03"])
def test_top_on_a_terminal(shell, server, end):
    shell.send("holdfast top; echo \"code=$?\"\n")
    shell.expect("locks 0 (held 0)")
    server.connect().lease("k", HOUR_MS, label="anna")
    shell.expect("locks 1 (held 1)")
    shell.send(end)
    shell.expect("code=0")
    shell.expect("shell$ ")
    shell.send("stty -a; echo \"<done>\"\n")
    modes = shell.expect("<done>\r\n")
    assert " icanon" in modes and " echo " in modes.replace("\r\n", " ")


# A wait that is shown


@pytest.mark.parametrize("command", ["holdfast hold k --wait", "holdfast run k --wait -- true"])
def test_the_place_in_the_queue_is_shown(shell, server, command):
    client = server.connect()
    held = client.held("k", HOUR_MS, label="anna")
    ahead = server.connect().hold("k", wait_ms=HOUR_MS)
    ahead.expect("queued")
    shell.send(f"{command}; echo \"code=$?\"\n")
    shell.expect("waiting for k: position 2, held by anna")
    held.release()
    ahead.expect("granted")
    shell.expect("waiting for k: position 1")
    ahead.release()
    if "hold " in command:
        shell.expect("held")
        shell.send("\x04")
    shell.expect("code=0")


def test_ctrl_c_leaves_the_queue(shell, server, run):
    server.connect().lease("k", HOUR_MS, label="anna")
    shell.send("holdfast run k --wait -- true\n")
    shell.expect("position 1")
    shell.send("\x03")
    shell.expect("shell$ ")
    shell.send("echo \"code=$?\"\n")
    shell.expect("code=130")
    eventually(lambda: lines_of(run("ls", "--json"))[0]["waiting"] == 0, every=0.05)


def test_a_wait_that_is_no_use_ends(run, client):
    client.lease("k", HOUR_MS, label="anna")
    cli = run("run", "k", "--wait=200ms", "--", "true")
    assert cli.code == 75 and "anna" in cli.err and "\033" not in cli.err


# elect


def test_elect_leads_one_after_another(start, client):
    """The leader's holdfast is killed: its command dies with it, and the other leads."""
    words = ["elect", "e", "--ttl", "2s"]
    one = start(*words, "--value", "one:80", "--", "sh", "-c", LEADER)
    one.wait_for("leads")
    two = start(*words, "--value", "two:80", "--", "sh", "-c", LEADER)
    eventually(lambda: "one:80" in two.err, what="the leader to be told")
    assert "leading, fence" in one.err and two.out == ""
    assert client.inspect("e").value == b"one:80"
    children = children_of(one.pid)
    one.kill()
    two.wait_for("leads")
    eventually(lambda: not any(map(is_alive, children)), what="the old leader's command to be gone")
    fences = [int(cli.out.split()[1]) for cli in (one, two)]
    assert fences[0] < fences[1]
    assert client.inspect("e").value == b"two:80"
    assert two.end() == 0
    assert client.inspect("e") is None


def test_elect_stands_again(start, redis):
    """Leadership is taken by force: the command ends first, then it leads once more."""
    cli = start("elect", "e", "--ttl", "1s", "--value", "v", "--", "sh", "-c", LEADER)
    cli.wait_for("leads")
    redis("DEL", "lock:e")
    eventually(lambda: cli.out.count("leads") == 2, seconds=15, what=f"a second term: {cli.err}")
    cli.signal(signal.SIGTERM)
    assert cli.wait(20 * FACTOR) == 143


def test_elect_exits_with_its_commands_code(run):
    assert run("elect", "e", "--value", "v", "--", "sh", "-c", "exit 7").code == 7


# resume


def test_resume_within_grace(start, run, redis):
    one = start("hold", "k", "--json", "--grace", "1m")
    one.wait_for("granted")
    lease = lines_of(one)[0]
    one.kill()
    two = start("resume", "k", "--grace", "1m", "--json", env={"HOLDFAST_TOKEN": lease["token"]})
    two.wait_for("granted")
    assert lines_of(two)[0]["fence"] == lease["fence"]
    assert two.end() == 0
    eventually(lambda: not redis.holds("k"))
    late = run("resume", "k", "--token", lease["token"])
    assert late.code == 76 and "k" in late.err


def test_resume_needs_the_right_token(run, client):
    client.lease("k", HOUR_MS, grace_ms=HOUR_MS)
    assert run("resume", "k", "--token", TOKEN).code == 76
    assert client.inspect("k") is not None
