# SPDX-License-Identifier: Apache-2.0
"""The command line: every command and exit code, and `run` under every way to lose a lock."""
import json
import os
import re
import signal
import subprocess
import sys
import time

import pytest

from process import children_of, is_alive, state_of
from server import HOLDFAST
from waiting import FACTOR, always, eventually, wait_until

COMMANDS = {
    "run": "KEY",
    "hold": "KEY",
    "try": "KEY",
    "elect": "NAME",
    "inspect": "KEY",
    "watch": "KEY",
    "ls": "PREFIX",
    "top": "",
    "list": "SERVICE",
    "describe": "SYMBOL",
    "call": "SERVICE/METHOD",
    "completion": "bash|zsh",
    "bench": "",
    "release": "KEY",
    "renew": "KEY",
    "resume": "KEY",
}
TOKEN = "00112233445566778899aabbccddeeff"

# Writes the time until it dies, whatever it is asked. The group has a second such process.
TICKER = """
import os, signal, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
os.fork()
with open(sys.argv[1], "a", buffering=1) as file:
    while True:
        file.write(f"{os.getpid()} {time.time() * 1000:.3f}\\n")
"""

# Counts the signals it gets, and ends by itself when its input does.
# A signal may come while "ready" is being written; print is not made for that.
COUNTER = """
import os, signal, sys
def count(number, frame):
    os.write(1, signal.Signals(number).name.encode() + b"\\n")
for name in sys.argv[1:]:
    signal.signal(signal.Signals[name], count)
os.write(1, b"ready\\n")
sys.stdin.read()
"""


def python(script, *words):
    return ["--", sys.executable, "-c", script, *words]


def busy(client, key="k", label="somebody"):
    return client.lease(key, 60000, label=label)


def free(redis, key="k"):
    return eventually(lambda: not redis.holds(key), what=f"{key} to be free", every=0.001)


# Help and usage


@pytest.mark.parametrize("words", [["--help"], ["help"]] + [["help", name] for name in COMMANDS])
def test_help(start_cli, words):
    cli = start_cli(*words)
    assert (cli.end(), cli.err) == (0, "")
    for code in ("0", "64", "69", "70", "75", "76", "126", "127"):
        assert re.search(rf"^  {code} ", cli.out, re.M)
    assert "examples:" in cli.out
    assert max(map(len, cli.out.splitlines())) <= 100
    for name in COMMANDS if len(words) == 1 else [words[1]]:
        operand = COMMANDS[name] if len(words) > 1 else COMMANDS[name].replace("bash|zsh", "SHELL")
        assert re.search(rf"\b{name} .*{re.escape(operand)}", cli.out)


@pytest.mark.parametrize("name", COMMANDS)
def test_help_of_a_command_in_two_ways(start_cli, name):
    one, two = start_cli("help", name), start_cli(name, "--help")
    assert (one.end(), two.end()) == (0, 0)
    assert one.out == two.out


def test_version(start_cli):
    cli = start_cli("--version")
    assert cli.end() == 0
    assert re.fullmatch(r"holdfast \d+\.\d+\.\d+\n", cli.out)


@pytest.mark.parametrize(
    "words, expected",
    [
        ([], "command is missing"),
        (["holt", "k"], 'did you mean "hold"?'),
        (["try", "k", "--detatched"], "did you mean --detached?"),
        (["try"], "needs a key"),
        (["run", "k", "true"], "holdfast run k -- true"),
        (["try", "k", "--nope"], "`holdfast help try`"),
        (["--nope", "try", "k"], "`holdfast help COMMAND`"),
        (["try", "-x", "k"], "`holdfast help try`"),
        (["run", "k"], "needs a command"),
        (["try", "k", "--ttl", "1"], "not a duration"),
        (["try", "k", "--ttl", "99ms"], "100ms"),
        (["release", "k"], "HOLDFAST_TOKEN"),
        (["release", "k", "--token", "abc"], "32 hex digits"),
        (["inspect", "k", "--server", "http://x"], "http://x"),
        (["inspect", "k", "--server", "tls://localhost:1", "--ca-file", "/nonexistent"], "/nonexistent"),
        (["try", "k" * 513], "k" * 40 + "...: key: longer"),
        (["run", "k" * 513, "--", "true"], "k" * 40 + "...: key: longer"),
        (["run", "k\udcff\x1b", "true"], "run k?? -- true"),
        (["try", "k", "--label", "l" * 129], "128"),
        (["run", "k", "--wait=never", "--", "true"], "not a duration"),
        (["hold", "k", "--limit", "5"], "goes with --shared"),
        (["watch"], "needs a key"),
        (["watch", "k", "more"], '"more"'),
        (["ls", "a", "b"], '"b"'),
        (["ls", "--pages"], "`holdfast help ls`"),
        (["top", "k"], "`holdfast help top`"),
        (["bench", "k"], "`holdfast help bench`"),
        (["bench", "--mix", "warm"], "one of pairs, hot and hold"),
        (["bench", "--mix", "hot", "--depth", "2"], "--connections"),
        (["bench", "--connections", "0"], "not a number from 1 to 20000"),
        (["bench", "--connections", "1000", "--depth", "1001"], "at most 1000000"),
        (["bench", "--rate", "fast"], "not a number"),
        (["bench", "--duration", "3"], "not a duration"),
        (["elect", "e", "--", "true"], "--value TEXT"),
        (["elect", "e", "--value", "v"], "holdfast elect e -- COMMAND"),
        (["resume", "k"], "HOLDFAST_TOKEN"),
        (["resume", "k", "--token", "00"], "32 hex digits"),
        (["list", "a", "b"], '"b"'),
        (["describe", "--json"], "`holdfast help describe`"),
        (["call"], "SERVICE/METHOD"),
        (["call", "Locks"], "SERVICE/METHOD: Locks/Acquire"),
        (["call", "Locks/Acquire", "{}", "{}"], '"{}"'),
        (["call", "Locks/Acquire", "-d", "{}", "{}"], '"{}"'),
        (["call", "Locks/Acquire", "-d"], "--data JSON"),
        (["call", "Locks/Acquire", "-H", "nonsense"], "NAME: VALUE"),
        (["call", "Locks/Acquire", "-H", ": x"], "NAME: VALUE"),
        (["call", "Locks/Acquire", "--deadline", "5"], "not a duration"),
        (["inspect", "k", "-d", "{}"], "--data does not go with inspect"),
        (["completion"], "bash or zsh"),
        (["completion", "fish"], '"fish"'),
    ],
)
def test_usage(start_cli, words, expected):
    cli = start_cli(*words)
    assert cli.end() == 64
    assert expected in cli.err
    assert cli.out == ""
    assert re.fullmatch(r"holdfast: [^\n]+\n", cli.err)


def commands_of_a_lock():
    yield ["run", "k", "--", "touch", "marker"]
    yield ["hold", "k"]
    yield ["try", "k"]
    yield ["try", "k", "--detached"]
    yield ["release", "k", "--token", TOKEN]
    yield ["renew", "k", "--token", TOKEN]
    yield ["resume", "k", "--token", TOKEN]
    yield ["inspect", "k"]
    yield ["watch", "k"]


def all_commands():
    """Those that end by themselves when the server or Redis is away; elect stands on."""
    yield from commands_of_a_lock()
    yield ["ls"]
    yield ["top", "--once"]
    yield ["bench", "--count", "1"]


ELECT = ["elect", "k", "--value", "v", "--", "touch", "marker"]


@pytest.mark.parametrize("words", [*all_commands(), ELECT], ids=" ".join)
def test_no_server(start_cli, directory, words):
    address = f"unix://{directory}/nobody"
    cli = start_cli("--timeout", "200ms", "--server", address, *words, cwd=directory)
    assert cli.end() == 69
    assert address in cli.err
    assert cli.out == ""
    assert not (directory / "marker").exists()


@pytest.mark.parametrize("words", all_commands(), ids=" ".join)
def test_a_server_that_does_not_answer(start, server, directory, words):
    server.freeze()
    cli = start("--timeout", "200ms", *words, cwd=directory)
    assert cli.wait(20 * FACTOR) == 69
    assert re.match(r"holdfast: (k|ls|top|bench): ", cli.err)
    assert not (directory / "marker").exists()


@pytest.mark.parametrize("words", commands_of_a_lock(), ids=" ".join)
def test_no_redis(start, redis, directory, words):
    redis.kill()
    cli = start(*words, cwd=directory)
    assert cli.wait(20 * FACTOR) == 69
    assert "Redis" in cli.err
    assert not (directory / "marker").exists()


def test_lost_output_is_noticed(run):
    with open("/dev/full", "wb") as full:
        process = subprocess.run(
            [HOLDFAST, "--version"], stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )
    assert process.returncode == 70
    assert "standard output" in process.stderr


def test_tls(start_cli, redis, start_server, certificates):
    certificate, key = certificates.issue("server")
    server = start_server(
        redis,
        listen="tls://127.0.0.1:0",
        tls_cert=certificate,
        tls_key=key,
        tls_client_ca=certificates.authority,
    )
    address = server.address("tls")
    mine = certificates.issue("cli")
    files = ["--ca-file", certificates.authority, "--cert-file", mine[0], "--key-file", mine[1]]
    good = start_cli("run", "k", *files, "--", "true", server=address)
    assert (good.end(), good.err) == (0, "")
    bad = start_cli("try", "k", "--timeout", "300ms", server=address)
    assert bad.end() == 69
    assert "certificate" in bad.err
    patient = start_cli("try", "k", "--timeout", "10m", "--ca-file", mine[0], server=address)
    assert patient.end() == 69
    assert "ca_file (--ca-file)" in patient.err
    plain = start_cli("try", "k", server=address.replace("tls:", "tcp:"))
    assert plain.end() == 69
    assert "tls://" in plain.err.split("; ")[1]


# try, release, renew, inspect


def test_try(run, redis, client):
    free_cli = run("try", "k")
    assert free_cli.code == 0
    assert free_cli.out.startswith("k was free")
    assert not redis.holds("k")
    busy(client, label="anna")
    busy_cli = run("try", "k")
    assert (busy_cli.code, busy_cli.out) == (75, "")
    assert re.match(r"holdfast: k is held by anna since \d{4}-.*, [\d.]+ s left\.\n$", busy_cli.err)


def test_try_as_json(run, client):
    answer = json.loads(run("try", "k", "--json").out)
    assert (answer["key"], answer["outcome"]) == ("k", "free")
    lease = busy(client, label="anna\x1b[2J\u00e9")
    cli = run("try", "k", "--json")
    answer = json.loads(cli.out)
    assert (cli.code, answer["outcome"]) == (75, "busy")
    holder = answer["holder"]
    assert (holder["label"], holder["fence"]) == ("anna\x1b[2J\u00e9", lease.fence)
    assert (holder["foreign"], 0 < holder["remaining_ms"] <= 60000) == (False, True)
    assert abs(holder["since_ms"] - time.time() * 1000) < 60000
    assert "\x1b" not in cli.err and "\u00e9" in cli.err


def test_a_detached_lease_from_try_to_release(run, redis, server):
    taken = run("try", "k", "--detached", "--ttl", "20s", "--json")
    answer = json.loads(taken.out)
    server.tokens.add(bytes.fromhex(answer["token"]))
    assert (taken.code, answer["key"], answer["ttl_ms"]) == (0, "k", 20000)
    assert 15000 < answer["valid_for_ms"] < 20000
    assert redis.holds("k")
    assert run("try", "k").code == 75
    environment = {"HOLDFAST_TOKEN": answer["token"]}
    renewed = json.loads(run("renew", "k", "--ttl", "1h", "--json", env=environment).out)
    assert renewed["outcome"] == "renewed"
    assert renewed["fence"] in (None, answer["fence"])
    assert redis.pttl("k") > 3000000
    assert "renewed" in run("renew", "k", env=environment).out
    assert redis.pttl("k") > 3_500_000  # a renewal never cuts a lock short
    released = run("release", "k", "--token", answer["token"])
    assert (released.code, released.out) == (0, "k is released\n")
    assert not redis.holds("k")
    for words in (["release", "k"], ["renew", "k", "--ttl", "1h"]):
        gone = run(*words, "--json", env=environment)
        assert (gone.code, json.loads(gone.out)["outcome"]) == (76, "not_held")
    assert not redis.holds("k")


def test_a_detached_lease_as_text(run):
    taken = run("try", "k", "--detached", "--quiet")
    token, fence = re.fullmatch(r"token ([0-9a-f]{32})\nfence (\d+)\n", taken.out).groups()
    assert int(fence) > 0
    assert run("release", "k", "--quiet", env={"HOLDFAST_TOKEN": token}).out == ""


def test_asking_again_with_the_same_token(run):
    words = ["try", "k", "--detached", "--json", "--token", TOKEN]
    one, two = run(*words), run(*words)
    assert json.loads(one.out)["fence"] == json.loads(two.out)["fence"]
    assert "token" not in json.loads(two.out)
    text = run("try", "k", "--detached", env={"HOLDFAST_TOKEN": TOKEN})
    assert re.fullmatch(r"key k\nfence \d+\n", text.out)
    assert run("try", "k", "--detached").code == 75


def test_inspect(run, redis, client):
    assert run("inspect", "k").out == "k is free\n"
    assert json.loads(run("inspect", "k", "--json").out) == {"key": "k", "state": "free"}
    lease = busy(client)
    held = run("inspect", "k")
    assert held.code == 0
    assert re.fullmatch(
        rf"k is held by somebody since .*, [\d.]+ s left, fence {lease.fence}\n", held.out
    )
    answer = json.loads(run("inspect", "k", "--json").out)
    assert (answer["state"], answer["holder"]["label"]) == ("held", "somebody")
    assert lease.token.hex() not in held.out + json.dumps(answer)
    client.held("after", lock_delay_ms=60000)
    client.close()
    eventually(lambda: "is closed after its holder was lost" in run("inspect", "after").out)
    assert json.loads(run("inspect", "after", "--json").out)["state"] == "closed"
    redis("SET", "lock:foreign", "x")
    assert "another program" in run("inspect", "foreign").out
    holder = json.loads(run("inspect", "foreign", "--json").out)["holder"]
    assert (holder["foreign"], holder["remaining_ms"], holder["fence"]) == (True, None, None)


def test_a_key_like_an_option(run):
    assert json.loads(run("inspect", "--json", "--", "--json").out)["key"] == "--json"


def test_a_key_of_another_type(run, redis):
    redis("SADD", "lock:k", "x")
    for words in (["try", "k"], ["run", "k", "--", "true"]):
        cli = run(*words)
        assert cli.code == 70
        assert "another type of value (set)" in cli.err


def test_a_key_that_is_no_text(run):
    key = "k\udcff\x1b"
    for words in (["try", key], ["run", key, "--", "true"], ["inspect", key]):
        cli = run(*words)
        assert cli.code == 64
        assert re.fullmatch(r"holdfast: k\?\?: key: [^\n]*UTF-8[^\n]*\n", cli.err)


def test_a_key_with_control_characters(run, client):
    key = "k\x1b[2J\u00e9\n" + "x" * 60
    shown = "k?[2J\u00e9?" + "x" * 32 + "..."
    assert run("inspect", key).out == f"{shown} is free\n"
    busy(client, key)
    assert run("inspect", key).out.startswith(f"{shown} is held by somebody")
    assert run("try", key).err.startswith(f"holdfast: {shown} is held by somebody")
    assert json.loads(run("inspect", key, "--json").out)["key"] == key


# hold


def test_hold_until_end_of_input(start, redis):
    cli = start("hold", "k", "--ttl", "3s")
    cli.wait_for("holding k: fence ")
    assert re.fullmatch(r"holding k: fence \d+, ttl 3\.0 s\n", cli.out)
    cli.tell("what is typed does not matter\n")
    always(lambda: redis.holds("k"), 0.2)
    assert cli.end() == 0
    assert not redis.holds("k")
    assert cli.out.endswith("released k\n")
    assert cli.err == ""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_hold_until_a_signal(start, redis, number):
    cli = start("hold", "k", "--quiet")
    eventually(lambda: redis.holds("k"))
    eventually(lambda: redis.holds("k") and catches(cli.pid, number), what="the signal's handler")
    cli.signal(number)
    assert cli.wait(20 * FACTOR) == 0
    assert not redis.holds("k")
    assert (cli.out, cli.err) == ("", "")


def catches(pid, number):
    with open(f"/proc/{pid}/status") as file:
        mask = next(line.split()[1] for line in file if line.startswith("SigCgt"))
    return int(mask, 16) >> (number - 1) & 1 == 1


def test_hold_with_an_empty_file_as_input(start, redis, directory):
    (directory / "empty").touch()
    with open(directory / "empty", "rb") as empty:
        for stdin in (empty, subprocess.DEVNULL):
            cli = start("hold", "k", "--json", stdin=stdin)
            assert cli.wait(20 * FACTOR) == 0
            events = [json.loads(line) for line in cli.out.splitlines()]
            assert [event["event"] for event in events] == ["granted", "released"]
            assert {event["key"] for event in events} == {"k"}
            assert events[0]["fence"] > 0
            assert not redis.holds("k")


def test_hold_is_seen_and_busy(start, run):
    cli = start("hold", "k", "--label", "the holder")
    cli.wait_for("holding")
    assert "the holder" in run("inspect", "k").out
    other = run("hold", "k", "--json")
    assert (other.code, json.loads(other.out)["event"]) == (75, "busy")
    assert "the holder" in other.err


def test_the_default_label_names_the_process(start, run):
    cli = start("hold", "k")
    cli.wait_for("holding")
    label = json.loads(run("inspect", "k", "--json").out)["holder"]["label"]
    assert re.fullmatch(rf"[^@]+@[^:]+:{cli.pid}", label)


def test_hold_hears_of_its_end(start, redis):
    cli = start("hold", "k", "--ttl", "600ms", "--json")
    cli.wait_for("granted")
    redis.freeze()
    assert cli.wait(20 * FACTOR) == 76
    events = [json.loads(line) for line in cli.out.splitlines()]
    assert [event["event"] for event in events] == ["granted", "at_risk", "lost"]
    assert events[2]["reason"]
    assert "k is at risk" in cli.err and "k is lost" in cli.err


def test_hold_when_the_server_dies(start, server):
    cli = start("hold", "k")
    cli.wait_for("holding")
    server.kill()
    assert cli.wait(20 * FACTOR) == 76
    assert "k is lost: " in cli.err


def test_a_frozen_hold_loses_its_heartbeat(start, redis):
    cli = start("hold", "k", "--ttl", "60s", "--heartbeat", "500ms")
    cli.wait_for("holding")
    always(lambda: redis.holds("k"), 1.0)
    cli.freeze()
    free(redis)
    cli.thaw()
    assert cli.wait(20 * FACTOR) == 76


# run: what the program sees, and its end


def test_run_gives_the_program_everything(start, server, redis):
    script = 'echo "$HOLDFAST_KEY $HOLDFAST_FENCE $HOLDFAST_SERVER"; cat; echo oops >&2'
    cli = start("run", "k", "--server", server.tcp, "--", "sh", "-c", script)
    cli.wait_for("k ")
    assert redis.holds("k")
    cli.tell("through\n")
    cli.wait_for("through")
    assert cli.end() == 0
    assert not redis.holds("k")
    assert re.fullmatch(rf"k \d+ {server.tcp}\nthrough\n", cli.out)
    assert cli.err == "oops\n"


def test_fences_rise_from_run_to_run(run):
    fences = [
        int(run("run", "k", "--", "sh", "-c", "echo $HOLDFAST_FENCE").out) for _ in range(5)
    ]
    assert fences == sorted(set(fences))


def test_run_passes_the_environment_on(run, server):
    cli = run("run", "k", "--", "env", env={"HOLDFAST_TIMEOUT": "3s", "LEAVE": "alone"})
    assert {"LEAVE=alone", "HOLDFAST_KEY=k", f"HOLDFAST_SERVER={server.unix}"} <= set(
        cli.out.splitlines()
    )


def test_run_leaks_nothing_into_the_program(run):
    """Descriptors, ignored and blocked signals are the user's; ours stay ours."""
    script = (
        "import os; fds = os.listdir('/proc/self/fd');"
        "print([fd for fd in fds if os.path.exists('/proc/self/fd/' + fd)]);"
        "print([l for l in open('/proc/self/status') if l.startswith(('SigBlk', 'SigIgn'))])"
    )
    read, write = os.pipe()
    command = [sys.executable, "-I", "-S", "-c", script]
    options = {"pass_fds": [write], "restore_signals": False}
    plain = subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=True, **options
    )
    cli = run("run", "k", "--", *command, **options)
    os.close(read)
    os.close(write)
    assert cli.code == 0
    assert str(write) in cli.out
    assert cli.out == plain.stdout


@pytest.mark.parametrize(
    "command, code",
    [
        (["true"], 0),
        (["false"], 1),
        (["sh", "-c", "exit 76"], 76),
        (["sh", "-c", "exit 255"], 255),
        (["sh", "-c", "kill -TERM $$"], 128 + signal.SIGTERM),
        (["sh", "-c", "kill -KILL $$"], 128 + signal.SIGKILL),
        (["/nonexistent/program"], 127),
        (["no-such-program-anywhere"], 127),
        (["/"], 126),
        (["/etc/passwd"], 126),
    ],
)
def test_run_exits_with_the_programs_code(run, redis, command, code):
    cli = run("run", "k", "--", *command)
    assert cli.code == code
    assert cli.out == ""
    assert not redis.holds("k")
    if code in (126, 127):
        assert command[0] in cli.err


def test_run_starts_nothing_when_busy(run, client, directory):
    busy(client, label="anna")
    cli = run("run", "k", "--", "touch", "marker", cwd=directory)
    assert (cli.code, cli.out) == (75, "")
    assert "k is held by anna since" in cli.err
    assert not (directory / "marker").exists()


def test_only_one_of_many_runs(start, redis, directory):
    script = "echo $HOLDFAST_FENCE >> started; cat"
    clis = [start("run", "k", "--", "sh", "-c", script, cwd=directory) for _ in range(12)]
    eventually(lambda: sum(cli.is_running() for cli in clis) == 1, what="one winner")
    codes = sorted(cli.end() for cli in clis)
    assert codes == [0] + [75] * 11
    assert len((directory / "started").read_text().split()) == 1


# run: signals


FORWARDED = ["SIGTERM", "SIGINT", "SIGHUP", "SIGQUIT", "SIGUSR1", "SIGUSR2", "SIGWINCH", "SIGCONT"]


def test_signals_are_passed_on_once(start):
    cli = start("run", "k", *python(COUNTER, *FORWARDED))
    cli.wait_for("ready")
    for name in FORWARDED:
        cli.signal(signal.Signals[name])
        cli.wait_for(name)
    assert cli.end() == 0
    assert cli.out.split() == ["ready", *FORWARDED]


def test_a_signal_to_the_whole_job_arrives_once(start):
    cli = start("run", "k", *python(COUNTER, "SIGINT", "SIGUSR1"), start_new_session=True)
    cli.wait_for("ready")
    os.killpg(cli.pid, signal.SIGINT)
    cli.wait_for("SIGINT")
    cli.signal(signal.SIGUSR1)
    cli.wait_for("SIGUSR1")
    assert cli.end() == 0
    assert cli.out.split() == ["ready", "SIGINT", "SIGUSR1"]


def test_a_signal_that_ends_the_program_releases_the_lock(start, redis):
    cli = start("run", "k", "--", "sh", "-c", "echo ready; cat")
    cli.wait_for("ready")
    cli.signal(signal.SIGTERM)
    assert cli.wait(20 * FACTOR) == 128 + signal.SIGTERM
    assert not redis.holds("k")


def test_what_is_ignored_stays_ignored(start, redis):
    cli = start(
        "run", "k", "--", "sh", "-c", "echo ready; cat",
        preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN),
    )
    cli.wait_for("ready")
    program = program_of(cli)
    cli.signal(signal.SIGHUP)
    os.killpg(program, signal.SIGHUP)
    always(lambda: is_alive(program) and redis.holds("k"), 0.2)
    assert cli.end() == 0


def test_inherited_oddities_do_not_matter(start, redis):
    """SIGCHLD ignored, everything blocked: as some parents leave it."""

    def spoil():
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())

    cli = start("run", "k", "--", "sh", "-c", "exit 5", preexec_fn=spoil)
    assert cli.wait(20 * FACTOR) == 5
    assert not redis.holds("k")


def test_a_stopped_program_keeps_the_lock(start, redis):
    """Without a terminal nobody would continue us, so only the program stops."""
    cli = start("run", "k", "--ttl", "500ms", "--", "cat", start_new_session=True)
    eventually(lambda: redis.holds("k"))
    program = program_of(cli)
    cli.signal(signal.SIGTSTP)
    eventually(lambda: state_of(program) == "T", what="the program to stop")
    always(lambda: redis.holds("k") and cli.is_running(), 1.0)
    cli.signal(signal.SIGCONT)
    eventually(lambda: state_of(program) == "S", what="the program to go on")
    assert cli.end() == 0


# run: losing the lease


def program_of(cli):
    """The process of the program: it is the leader of a group, but not of a session."""

    def find():
        for pid in children_of(cli.pid):
            if os.getpgid(pid) == pid and os.getsid(pid) != pid:
                with open(f"/proc/{pid}/cmdline") as file:
                    if not file.read().startswith(str(HOLDFAST)):
                        return pid
        return None

    return eventually(find, what="the program to start")


def start_ticker(start, directory, *options):
    """A run whose program and grandchild write the time, and do so already."""
    path = directory / "ticks"
    cli = start("run", "k", *options, *python(TICKER, path))
    eventually(lambda: path.exists() and len(pids_in(path)) == 2, what="both processes to tick")
    return cli, path


def ticks_in(path):
    lines = path.read_text().split("\n")[:-1]
    return [line.split() for line in lines if line.count(" ") == 1]


def pids_in(path):
    return {int(pid) for pid, _ in ticks_in(path)}


def last_tick_ms(path):
    return max(float(ms) for _, ms in ticks_in(path))


def assert_all_dead(path):
    for pid in pids_in(path):
        eventually(lambda pid=pid: not is_alive(pid), 2, f"process {pid} to be dead")


def test_the_program_is_dead_before_the_lease_ends(start, redis, directory):
    """Redis stops; nobody else can be granted the lock before its key expires there."""
    cli, path = start_ticker(start, directory, "--ttl", "1500ms")
    expires_at_ms = redis.freshly_renewed("k", 1500)
    redis.freeze()
    assert cli.wait(20 * FACTOR) == 76
    assert_all_dead(path)
    assert last_tick_ms(path) < expires_at_ms
    assert last_tick_ms(path) > expires_at_ms - 1000, "it was killed much too early"
    assert "stopping" in cli.err


def test_the_program_is_asked_before_it_is_killed(start, redis, directory):
    """SIGTERM comes when a quarter of the ttl is left; the exit code is 76 all the same."""
    script = "trap 'date +%s%3N > asked; exit 0' TERM; echo ready; while :; do read line; done"
    cli = start("run", "k", "--ttl", "4s", "--", "sh", "-c", script, cwd=directory)
    cli.wait_for("ready")
    expires_at_ms = redis.freshly_renewed("k", 4000)
    redis.freeze()
    assert cli.wait(20 * FACTOR) == 76
    asked_ms = int((directory / "asked").read_text())
    assert expires_at_ms - 1500 < asked_ms < expires_at_ms - 500
    assert "no renewal is confirmed" in cli.err


def test_a_pause_that_ends_in_time_is_no_harm(start, redis):
    cli = start("run", "k", "--ttl", "6s", *python(COUNTER, "SIGTERM"))
    cli.wait_for("ready")
    redis.freshly_renewed("k", 6000)
    redis.freeze()
    eventually(lambda: "k is at risk" in cli.err, what="the warning")
    redis.thaw()
    redis.freshly_renewed("k", 6000)
    always(cli.is_running, 0.5)
    assert cli.end() == 0
    assert cli.out == "ready\n"


def test_the_lock_is_taken_away(start, redis, directory):
    cli, path = start_ticker(start, directory, "--ttl", "1500ms")
    redis("SET", "lock:k", b"somebody else")
    assert cli.wait(20 * FACTOR) == 76
    assert_all_dead(path)
    assert "k is lost: " in cli.err
    assert redis.value("k") == b"somebody else"


@pytest.mark.parametrize("kill_after", [[], ["--kill-after", "0"]])
def test_the_server_dies(start, server, directory, kill_after):
    cli, path = start_ticker(start, directory, "--ttl", "3s", *kill_after)
    server.kill()
    killed_ms = time.time() * 1000
    assert cli.wait(20 * FACTOR) == 76
    assert_all_dead(path)
    assert last_tick_ms(path) < killed_ms + (100 if kill_after else 400) * FACTOR
    assert "k is lost: " in cli.err


def test_time_to_clean_up_after_a_sudden_loss(start, server, directory):
    script = "trap 'touch cleaned; exit 0' TERM; echo ready; while :; do read line; done"
    cli = start(
        "run", "k", "--ttl", "60s", "--kill-after", "10s", "--", "sh", "-c", script, cwd=directory
    )
    cli.wait_for("ready")
    server.kill()
    assert cli.wait(20 * FACTOR) == 76
    assert (directory / "cleaned").exists()


def test_a_stopped_program_is_killed_as_well(start, server):
    cli = start("run", "k", "--ttl", "60s", "--kill-after", "60s", "--", "cat")
    program = program_of(cli)
    os.kill(program, signal.SIGSTOP)
    eventually(lambda: state_of(program) == "T", what="the program to stop")
    server.kill()
    assert cli.wait(20 * FACTOR) == 76
    assert not is_alive(program)


def test_run_is_killed(start, redis, directory):
    """kill -9: the program's whole group dies with it, and the lock is free at once."""
    cli, path = start_ticker(start, directory, "--ttl", "60s")
    cli.kill()
    killed_ms = time.time() * 1000
    assert_all_dead(path)
    free(redis)
    assert last_tick_ms(path) < killed_ms + 100 * FACTOR
    assert "is gone" in cli.err


def test_run_is_killed_while_it_waits_for_the_server(start, server, directory):
    server.freeze()
    cli = start("run", "k", "--", "touch", "marker", cwd=directory)
    eventually(lambda: len(children_of(cli.pid)) == 2, what="its processes")
    waiting = children_of(cli.pid)
    cli.signal(signal.SIGTERM)
    assert cli.wait(20 * FACTOR) == -signal.SIGTERM
    eventually(lambda: not any(map(is_alive, waiting)), what="its processes to end")
    assert not (directory / "marker").exists()
    assert cli.err == ""


def test_run_is_stopped_beyond_the_validity(start, redis, directory):
    """Nobody can renew what a stopped process knows; the program is dead before it would end."""
    cli, path = start_ticker(start, directory, "--ttl", "1500ms")
    cli.freeze()
    stopped_ms = time.time() * 1000
    assert_all_dead(path)
    assert last_tick_ms(path) < stopped_ms + 1500
    cli.thaw()
    assert cli.wait(20 * FACTOR) == 76
    assert re.fullmatch(r"holdfast: k(: the lease ha[sd] run out| is lost: )[^\n]*\n", cli.err)
    free(redis)


def test_a_stopped_run_with_a_heartbeat_frees_the_lock(start, redis, directory):
    """The program is dead by the time the server gives the lock to others."""
    cli, path = start_ticker(start, directory, "--ttl", "60s", "--heartbeat", "1s")
    always(cli.is_running, 1.5)
    cli.freeze()
    free(redis)
    freed_ms = time.time() * 1000
    assert last_tick_ms(path) < freed_ms
    assert_all_dead(path)
    cli.thaw()
    assert cli.wait(20 * FACTOR) == 76


def test_a_short_ttl_is_kept_up(start, redis):
    cli = start("run", "k", "--ttl", f"{int(400 * FACTOR)}ms", "--", "cat")
    eventually(lambda: redis.holds("k"))
    always(lambda: redis.holds("k") and cli.is_running(), 3)
    assert cli.end() == 0
    assert cli.err == ""


def test_the_release_cannot_be_confirmed(start, redis):
    """The program's own code counts when it ended in time; the user is told."""
    cli = start("run", "k", "--ttl", "30s", "--timeout", "300ms", "--", "cat")
    eventually(lambda: redis.holds("k"))
    redis.freeze()
    assert cli.end() == 0
    assert "not confirmed" in cli.err
    redis.thaw()
    free(redis)


# run: the terminal


def test_the_program_has_the_terminal(shell, redis):
    shell.send("holdfast run k -- sh -c 'read line; echo \"got <$line>\"'; echo \"code=$?\"\n")
    eventually(lambda: redis.holds("k"))
    shell.send("words\n")
    shell.expect("got <words>")
    shell.expect("code=0")
    shell.expect("shell$ ")
    assert not redis.holds("k")
    shell.send("read back; echo \"<$back>\"\n")
    shell.send("the shell's again\n")
    shell.expect("<the shell's again>")


def test_ctrl_c_arrives_once(shell, directory):
    (directory / "counter.py").write_text(COUNTER)
    command = f"{sys.executable} {directory}/counter.py SIGINT"
    shell.send(f"holdfast run k -- {command}; echo \"code=$?\"\n")
    shell.expect("\nready")
    shell.send("\x03")
    shell.expect("SIGINT\r\n")
    shell.send("\x04")
    assert "SIGINT" not in shell.expect("code=0")


def test_ctrl_z_and_fg(shell, redis):
    shell.send("holdfast run k --ttl 60s -- cat; echo \"code=$?\"\n")
    eventually(lambda: redis.holds("k"))
    shell.send("before\n")
    shell.expect("before\r\nbefore")
    shell.send("\x1a")
    shell.expect("Stopped")
    shell.expect("shell$ ")
    assert redis.holds("k")
    shell.send("fg\n")
    shell.expect("holdfast run")
    shell.send("after\n")
    shell.expect("after\r\nafter")
    shell.send("\x04")
    shell.expect("shell$ ")
    eventually(lambda: not redis.holds("k"))


def test_in_the_background_and_back(shell, redis):
    shell.send("holdfast run k --ttl 60s -- cat &\n")
    shell.expect("shell$ ")
    eventually(lambda: redis.holds("k"))
    shell.send("\n")
    eventually(lambda: "Stopped" in shell.read() or shell.send("\n"), every=0.1)
    shell.expect("Stopped")
    shell.expect("holdfast run k --ttl 60s -- cat\r\n")
    shell.send("fg\n")
    shell.expect("holdfast run k --ttl 60s -- cat\r\n")
    shell.send("hello\n")
    shell.expect("hello\r\nhello")
    shell.send("\x04")
    shell.expect("shell$ ")
    eventually(lambda: not redis.holds("k"))


def test_a_pipeline_keeps_its_terminal(shell, redis):
    """Somebody else in the job reads the terminal: it must not be taken away from him."""
    reader = "sh -c 'cat >/dev/null; read line </dev/tty; echo \"reader <$line>\"'"
    shell.send(f"holdfast run k -- echo one | {reader}; echo \"code=$?\"\n")
    eventually(lambda: not redis.holds("k"))
    shell.send("typed\n")
    shell.expect("reader <typed>")
    shell.expect("code=0")


def test_a_program_in_a_pipeline_gets_the_terminal_when_it_asks(shell, redis):
    shell.send("holdfast run k -- sh -c 'read line; echo \"program <$line>\"' | cat; echo done\n")
    eventually(lambda: redis.holds("k"))
    shell.send("typed\n")
    shell.expect("program <typed>")
    shell.expect("done")


def test_modes_are_restored_after_a_kill(shell, redis):
    shell.send("holdfast run k -- sh -c 'stty -echo; echo quiet; kill -9 $$'; stty -a | tr ' ;' '\\n'\n")
    shell.expect("\nquiet")
    shell.expect("\necho\r")


def test_a_held_lock_in_the_background(shell, redis):
    """It may not read the terminal there, and goes on holding; in the foreground Ctrl-D ends it."""
    shell.send("holdfast hold k &\n")
    shell.expect("holding k")
    shell.send("echo still $((40 + 2))\n")
    shell.expect("still 42")
    moment = time.monotonic() + 0.5
    wait_until(moment, lambda: redis.holds("k"))
    shell.send("fg\n")
    shell.expect("holdfast hold k")
    eventually(lambda: not redis.holds("k") or shell.send("\x04"), every=0.1)
    shell.expect("released k")
