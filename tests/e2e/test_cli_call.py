# SPDX-License-Identifier: Apache-2.0
"""`holdfast list`, `describe` and `call`: the API by name, JSON in and out; and shell completion."""
import base64
import json
import re
import shutil
import signal
import socket
import subprocess
import threading

import pytest

import schema
import ttrpc
import ttrpc_pb2
from server import HOLDFAST, clean_environment
from waiting import FACTOR, eventually

SERVICES = [
    "grpc.health.v1.Health",
    "grpc.reflection.v1.ServerReflection",
    "grpc.reflection.v1alpha.ServerReflection",
    "holdfast.v1.Admin",
    "holdfast.v1.Locks",
]


@pytest.fixture(params=["ttRPC", "gRPC"])
def protocol(request):
    """Options that make holdfast speak it."""
    return {"ttRPC": [], "gRPC": ["--grpc"]}[request.param]


@pytest.fixture
def start(start, protocol):
    """As everywhere, over either protocol."""
    return lambda *words, **options: start(*words, *protocol, **options)


def rows(cli):
    return [json.loads(line) for line in cli.out.splitlines()]


def answer(run, *words, **options):
    """The one message that a call answers."""
    cli = run("call", *words, **options)
    assert (cli.code, cli.err) == (0, "")
    (row,) = rows(cli)
    return row


# list and describe


def test_list(run):
    cli = run("list")
    assert (cli.code, cli.err) == (0, "")
    assert cli.out.splitlines() == SERVICES


@pytest.mark.parametrize("name", ["Locks", "holdfast.v1.Locks"])
def test_list_methods(run, name):
    cli = run("list", name)
    assert cli.code == 0
    assert cli.out.splitlines() == [
        f"holdfast.v1.Locks.{method.name}"
        for method in schema.built().pool.FindServiceByName("holdfast.v1.Locks").methods
    ]


@pytest.mark.parametrize("words", [["list", "Lock"], ["describe", "Lock"], ["describe", "Locks/Steal"]])
def test_what_the_server_does_not_have(run, words):
    cli = run(*words)
    assert (cli.code, cli.out) == (64, "")
    assert f"{words[1]}: the server has nothing of that name" in cli.err


def test_list_of_what_is_no_service(run):
    cli = run("list", "Lease")
    assert (cli.code, cli.out) == (64, "")
    assert "Lease is no service" in cli.err


@pytest.mark.parametrize(
    "name, head, text",
    [
        ("Locks", "holdfast.v1.Locks is a service:", "rpc Hold(stream HoldRequest) returns (stream HoldEvent);"),
        ("Locks/Acquire", "holdfast.v1.Locks.Acquire is a method:", "// the way. Losing is an answer, not an error."),
        ("holdfast.v1.Locks.Watch", "holdfast.v1.Locks.Watch is a method:", "returns (stream WatchEvent);"),
        ("Lease", "holdfast.v1.Lease is a message:", "  repeated LockFence locks = 7;"),
        ("AcquireResponse", "holdfast.v1.AcquireResponse is a message:", "  oneof result {"),
        ("Lease.fence", "holdfast.v1.Lease.fence is a field:", "// Rises with every grant of this lock"),
        ("Mode", "holdfast.v1.Mode is an enum:", "  MODE_SHARED = 2;"),
        ("MODE_SHARED", "holdfast.v1.MODE_SHARED is an enum value:", "// Many holders"),
        ("HoldLost.Reason", "holdfast.v1.HoldLost.Reason is an enum:", "  REASON_EXPIRED = 1;"),
        ("HoldLost.REASON_EXPIRED", "holdfast.v1.HoldLost.REASON_EXPIRED is an enum value:", "REASON_EXPIRED = 1;"),
        ("NotHeld", "holdfast.v1.NotHeld is a message:", "message NotHeld {}"),
        (
            "grpc.health.v1.HealthListResponse",
            "grpc.health.v1.HealthListResponse is a message:",
            "  map<string, HealthCheckResponse> statuses = 1;",
        ),
    ],
)
def test_describe(run, name, head, text):
    cli = run("describe", name)
    assert (cli.code, cli.err) == (0, "")
    lines = cli.out.splitlines()
    assert lines[0] == head
    assert any(text in line for line in lines[1:]), cli.out


def test_describe_everything(run):
    cli = run("describe")
    assert (cli.code, cli.err) == (0, "")
    assert re.findall(r"^(\S+) is a service:$", cli.out, re.M) == SERVICES


def described(cli):
    return "\n".join(line for line in cli.out.splitlines() if not line.endswith(":") or line.lstrip().startswith("//"))


def test_what_is_described_can_be_compiled(run, directory):
    """All that locks.proto defines, described one by one, makes the same file again."""
    names = ["Locks", "Mode", *schema.built().pool.FindFileByName("holdfast/v1/locks.proto").message_types_by_name]
    parts = ['syntax = "proto3";', "package holdfast.v1;", *(described(run("describe", name)) for name in names)]
    (directory / "again.proto").write_text("\n".join(parts))
    protoc = shutil.which("protoc")
    subprocess.run([protoc, "-I", directory, "--descriptor_set_out", directory / "set", "again.proto"], check=True)
    again = schema.Schema(schema.read(directory / "set")).pool.FindFileByName("again.proto")
    for name, message in schema.built().pool.FindFileByName("holdfast/v1/locks.proto").message_types_by_name.items():
        found = {(f.name, f.number, f.type, f.label) for f in again.message_types_by_name[name].fields}
        assert found == {(f.name, f.number, f.type, f.label) for f in message.fields}


# call: one message, one answer


def test_a_unary_call(run, client):
    client.lease("k", 60000, label="somebody")
    row = answer(run, "Locks/Inspect", '{"key": "k"}')
    assert row["held"]["label"] == "somebody"
    assert row["held"]["mode"] == "MODE_EXCLUSIVE"
    assert row["held"]["fence"] == str(client.inspect("k").fence)


@pytest.mark.parametrize("name", ["Locks/Inspect", "Locks.Inspect", "holdfast.v1.Locks/Inspect"])
def test_names(run, name):
    assert answer(run, name, '{"key": "k"}') == {"free": {}}


def test_where_the_message_comes_from(run, start, directory):
    (directory / "ask.json").write_text('{\n  "key": "k"\n}\n')
    assert answer(run, "Locks/Inspect", "-d", '{"key": "k"}') == {"free": {}}
    assert answer(run, "Locks/Inspect", "--data", f"@{directory}/ask.json") == {"free": {}}
    assert answer(run, "Locks/Inspect", f"@{directory}/ask.json") == {"free": {}}
    for words in (["-d", "-"], ["-"]):
        cli = start("call", "Locks/Inspect", *words)
        cli.tell('{"key": "k"}')
        assert cli.end() == 0
        assert rows(cli) == [{"free": {}}]


def test_nothing_is_an_empty_message(run):
    assert answer(run, "Health/Check") == {"status": "SERVING"}
    assert answer(run, "Admin/ListConnections")["connections"][0]["peer"] == "unix"


def test_a_detached_lease_by_calls(run, redis):
    lease = answer(run, "Locks/Acquire", '{"key": "k", "ttlMs": 60000, "detached": true}')["lease"]
    assert redis.holds("k")
    assert answer(run, "Locks/Acquire", '{"key": "k"}')["busy"]["holders"] == 1
    ask = json.dumps({"key": "k", "token": lease["token"]})
    assert answer(run, "Locks/Release", ask) == {"outcome": "OUTCOME_RELEASED"}
    assert answer(run, "Locks/Release", ask) == {"outcome": "OUTCOME_NOT_HELD"}


@pytest.mark.parametrize(
    "words, expected",
    [
        (["Locks/Inspect", "{"], "ends within an object"),
        (["Locks/Inspect", "k"], "an object begins with {"),
        (["Locks/Inspect", '{"key": 7}'], "key: not a text"),
        (["Locks/Inspect", '{"kez": "k"}'], "kez: no such field in holdfast.v1.InspectRequest"),
        (["Locks/Inspect", '{"key": "k"}{"key": "l"}'], "takes one message"),
        (["Locks/Inspect", "@/nonexistent"], "/nonexistent"),
        (["Locks/Hold", '{"ask": {"key": "k"}} {"pong": {}}'], "pong: no such field"),
        (["Acquire"], "a method is written as SERVICE/METHOD"),
    ],
)
def test_what_is_refused_before_anybody_is_asked(start_cli, directory, words, expected):
    cli = start_cli("call", "--server", f"unix://{directory}/nobody", *words)
    assert (cli.end(), cli.out) == (64, "")
    assert expected in cli.err


@pytest.mark.parametrize(
    "words, expected",
    [
        (["Locks/Steal"], "Steal: holdfast.v1.Locks has no such method; `holdfast list holdfast.v1.Locks`"),
        (["Lock/Acquire"], "the server has nothing of that name; `holdfast list`"),
        (["holdfast.v1.Lease/Acquire"], "Acquire: holdfast.v1.Lease has no such method"),
    ],
)
def test_what_the_server_is_asked_for_in_vain(run, words, expected):
    cli = run("call", *words)
    assert (cli.code, cli.out) == (64, "")
    assert expected in cli.err


def test_a_method_that_was_not_built_in(run):
    """Its types come from the server's own description."""
    name = "grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"
    row = answer(run, name, '{"listServices": ""}')
    assert [service["name"] for service in row["listServicesResponse"]["service"]] != []
    assert row["originalRequest"] == {"listServices": ""}


# Statuses


@pytest.mark.parametrize(
    "words, code, expected",
    [
        (["Locks/Inspect"], 64, "Locks/Inspect: INVALID_ARGUMENT: key: missing"),
        (["Health/Check", '{"service": "x"}'], 70, "Health/Check: NOT_FOUND: "),
        (["Locks/Hold"], 64, "INVALID_ARGUMENT: no request message"),
        (["Locks/Acquire", '{"key": "held", "waitMs": 60000}', "--deadline", "100ms"], 69, "DEADLINE_EXCEEDED: "),
        (["Locks/Inspect", '{"key": "list"}'], 70, "FAILED_PRECONDITION: "),
    ],
)
def test_the_exit_code_follows_the_status(run, redis, client, words, code, expected):
    client.lease("held", 60000)
    redis("RPUSH", "lock:list", "x")
    cli = run("call", *words)
    assert (cli.code, cli.out) == (code, "")
    assert expected in cli.err


def test_a_limit_is_69(redis, start_server, start_cli):
    server = start_server(redis, max_leases=1)
    server.connect().lease("k", 60000)
    cli = start_cli("call", "Locks/Acquire", '{"key": "l"}', server=server)
    assert cli.end() == 69
    assert "RESOURCE_EXHAUSTED: max-leases" in cli.err


def test_redis_is_away(run, redis):
    redis.kill()
    cli = run("call", "Locks/Inspect", '{"key": "k"}', "--deadline", "20s")
    assert cli.code == 69
    assert re.search("UNAVAILABLE: .*Redis", cli.err)


@pytest.mark.parametrize("words", [["list"], ["describe"], ["call", "Health/Check"]], ids=" ".join)
def test_no_server(start_cli, directory, protocol, words):
    address = f"unix://{directory}/nobody"
    cli = start_cli("--timeout", "200ms", "--server", address, *words, *protocol)
    assert (cli.end(), cli.out) == (69, "")
    assert address in cli.err and ("is holdfastd running there?" in cli.err or protocol)
    assert "cannot connect" in cli.err


@pytest.mark.parametrize(
    "words", [["list"], ["describe", "Locks"], ["call", "Health/Check", "--deadline", "200ms"]], ids=" ".join
)
def test_a_server_that_does_not_answer(start, server, words):
    server.freeze()
    cli = start("--timeout", "200ms", *words)
    assert cli.wait(20 * FACTOR) == 69
    assert re.search("DEADLINE_EXCEEDED|UNAVAILABLE: .* does not answer", cli.err)


def test_the_server_dies(start, server):
    cli = start("call", "Locks/Watch", '{"key": "k"}')
    cli.wait_for('{"free":{}}')
    server.kill()
    assert cli.wait(20 * FACTOR) == 69
    assert "UNAVAILABLE" in cli.err


# Streams


def test_a_stream_of_answers(start, client):
    cli = start("call", "Locks/Watch", '{"key": "k"}')
    cli.wait_for('{"free":{}}')
    lease = client.lease("k", 60000, label="me")
    cli.wait_for('"label":"me"')
    client.release("k", lease.token)
    eventually(lambda: len(rows(cli)) == 3, what="the third state")
    assert rows(cli)[2] == {"free": {}}
    cli.signal(signal.SIGINT)
    assert cli.wait(20 * FACTOR) == -signal.SIGINT


def test_hold_until_end_of_input(start, redis):
    cli = start("call", "Locks/Hold", "-d", "-")
    cli.tell('{"ask": {"key": "k", "label": "me"}}')
    cli.wait_for("granted")
    cli.tell('{"ping"')
    cli.tell(': {}}')
    cli.wait_for("renewed")
    assert redis.holds("k")
    assert cli.end() == 0
    assert [list(row) for row in rows(cli)] == [["granted"], ["renewed"], ["released"]]
    assert not redis.holds("k")
    assert cli.err == ""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_call_that_ends_gives_the_lock_up(start, redis, number):
    cli = start("call", "Locks/Hold", "-")
    cli.tell('{"ask": {"key": "k", "ttlMs": 60000}}')
    cli.wait_for("granted")
    cli.signal(number)
    assert cli.wait(20 * FACTOR) == -number
    eventually(lambda: not redis.holds("k"), what="k to be free")


def test_several_messages_at_once(run, client):
    """All are sent and then half-closed: the lock is taken and given back."""
    cli = run("call", "Locks/Hold", '{"ask": {"key": "k", "waitMs": 100}}')
    assert cli.code == 0
    assert list(rows(cli)[-1]) == ["released"]
    client.lease("k")


def test_a_wrong_message_in_the_middle_ends_the_call(start, redis):
    cli = start("call", "Locks/Hold", "-")
    cli.tell('{"ask": {"key": "k", "ttlMs": 60000}}')
    cli.wait_for("granted")
    cli.tell('{"ping": 7}')
    assert cli.wait(20 * FACTOR) == 64
    assert "ping: not an object" in cli.err
    eventually(lambda: not redis.holds("k"), what="k to be free")


def test_input_that_ends_within_an_object(start, redis):
    cli = start("call", "Locks/Hold", "-")
    cli.tell('{"ask": {"key": "k", "ttlMs": 60000}}')
    cli.wait_for("granted")
    cli.tell('{"ping": ')
    assert cli.end() == 64
    assert "ends within an object" in cli.err
    eventually(lambda: not redis.holds("k"), what="k to be free")


def test_a_deadline_ends_a_stream(start, redis):
    cli = start("call", "--deadline", "300ms", "Locks/Hold", "-")
    cli.tell('{"ask": {"key": "k", "ttlMs": 60000}}')
    assert cli.wait(20 * FACTOR) == 69
    assert "DEADLINE_EXCEEDED" in cli.err
    eventually(lambda: not redis.holds("k"), what="k to be free")


def test_a_hold_on_a_terminal_ends_with_ctrl_d(shell):
    shell.send("holdfast call Locks/Hold -; echo code $?\n")
    shell.expect("echo code $?")
    shell.send('{"ask":{"key":"k"}}\n')
    shell.expect('{"granted":')
    shell.send("\x04")
    shell.expect('{"released":{}}')
    shell.expect("code 0")


def test_a_server_that_drains(start, server):
    cli = start("call", "Health/Watch")
    cli.wait_for("SERVING")
    server.signal(signal.SIGTERM)
    assert cli.wait(20 * FACTOR) == 69
    assert [row["status"] for row in rows(cli)] == ["SERVING", "NOT_SERVING"]
    assert "shutting down" in cli.err
    assert server.wait(20 * FACTOR) == 0


# What goes over the wire


class Recorder:
    """A ttRPC server for one unary call, which it answers with an empty message."""

    def __init__(self, directory):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.bind(str(directory / "recorder"))
        self.socket.listen()
        self.address = f"unix://{directory}/recorder"
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()

    def serve(self):
        peer, _ = self.socket.accept()
        stream = peer.makefile("rb")
        length, stream_id, _, self.flags = ttrpc.HEADER.unpack(stream.read(ttrpc.HEADER.size))
        self.request = ttrpc_pb2.Request.FromString(stream.read(length))
        data = ttrpc_pb2.Response().SerializeToString()
        peer.sendall(ttrpc.HEADER.pack(len(data), stream_id, ttrpc.RESPONSE, 0) + data)
        stream.read()


def test_metadata_and_deadline_are_sent(start_cli, directory):
    recorder = Recorder(directory)
    words = ["-H", "Trace-Id: 7:1", "--header", "empty:", "--deadline", "20s"]
    cli = start_cli("call", *words, "Locks/Release", '{"key":"k","token":"AAE="}', server=recorder.address)
    assert (cli.end(), cli.out, cli.err) == (0, "{}\n", "")
    recorder.thread.join(10)
    request = recorder.request
    assert (request.service, request.method) == ("holdfast.v1.Locks", "Release")
    assert [(pair.key, pair.value) for pair in request.metadata] == [("trace-id", "7:1"), ("empty", "")]
    assert 0 < request.timeout_nano <= 20e9
    sent = schema.built().message("holdfast.v1.ReleaseRequest").FromString(request.payload)
    assert (sent.key, sent.token) == ("k", b"\0\1")


def test_a_large_message(run, server):
    """The server's limit answers, and ours does beyond what fits into a frame."""
    value = base64.b64encode(bytes(1 << 20)).decode()
    cli = run("call", "Locks/Acquire", "-", stdin=file_with(server.directory, {"key": "k", "value": value}))
    assert cli.code == 69
    assert "RESOURCE_EXHAUSTED: max-message-size" in cli.err
    value = base64.b64encode(bytes(5 << 20)).decode()
    cli = run("call", "Locks/Acquire", "-", stdin=file_with(server.directory, {"key": "k", "value": value}))
    assert cli.code == 64
    assert "4194304 bytes" in cli.err


def file_with(directory, value):
    path = directory / "large.json"
    path.write_text(json.dumps(value))
    return path.open("rb")


# Completion


def complete_in_bash(line):
    """What bash offers for the last word of the line."""
    words = line.split(" ")
    script = (
        'source <("$0" completion bash)\n'
        'COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))\n'
        '_holdfast 2>&1 | grep -v compopt >&2\n'
        '_holdfast 2>/dev/null\n'
        'printf "%s\\n" "${COMPREPLY[@]}"\n'
    )
    done = subprocess.run(
        ["bash", "-c", script, HOLDFAST, *words], capture_output=True, text=True, env=clean_environment(PATH="/usr/bin:/bin")
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.split()


@pytest.mark.parametrize(
    "line, expected",
    [
        ("holdfast ru", ["run"]),
        ("holdfast re", ["resume", "release", "renew"]),
        ("holdfast --server unix:///x ru", ["run"]),
        ("holdfast run --ttl", ["--ttl"]),
        ("holdfast run --sh", ["--shared"]),
        ("holdfast ls --fl", ["--fleet"]),
        ("holdfast run --fl", []),
        ("holdfast run k --ttl ", []),
        ("holdfast run k --ttl 3s --gra", ["--grace"]),
        ("holdfast run k --ttl = 3s --gra", ["--grace"]),
        ("holdfast run k --wait = ", []),
        ("holdfast help tr", ["try"]),
        ("holdfast completion ", ["--help", "--version", "bash", "zsh"]),
        ("holdfast call Locks/A", ["Locks/Acquire"]),
        ("holdfast call -d {} Locks/H", ["Locks/Hold"]),
        ("holdfast inspect --ca-file /etc/hostn", ["/etc/hostname"]),
    ],
)
def test_bash_completes(line, expected):
    assert complete_in_bash(line) == expected


def test_every_command_and_option_is_completed(start_cli):
    commands = [word for word in complete_in_bash("holdfast ") if not word.startswith("-")]
    overview = start_cli("--help")
    assert overview.end() == 0
    assert set(commands) == set(re.findall(r"^  ([a-z]+)", overview.out.split("A busy lock")[0], re.M))
    for command in commands:
        if command == "help":
            continue
        cli = start_cli("help", command)
        assert cli.end() == 0
        table = cli.out.split("options:\n")[1].split("[NAME]")[0]
        options = re.findall(r"^  (?:-\w, )?(--[a-z-]+)", table, re.M)
        assert options == [word for word in complete_in_bash(f"holdfast {command} ") if word.startswith("--")]


def test_zsh_takes_the_script(directory, start_cli):
    zsh = shutil.which("zsh")
    if zsh is None:
        pytest.skip("no zsh here")
    cli = start_cli("completion", "zsh")
    assert cli.end() == 0
    (directory / "_holdfast").write_text(cli.out)
    subprocess.run([zsh, "-n", directory / "_holdfast"], check=True)
    script = f"autoload -U compinit; compinit -D -u; source {directory}/_holdfast; echo $_comps[holdfast]"
    done = subprocess.run([zsh, "-fc", script], capture_output=True, text=True, env={"PATH": "/usr/bin:/bin"})
    assert (done.returncode, done.stdout, done.stderr) == (0, "_holdfast\n", "")
    for word in complete_in_bash("holdfast "):
        assert f" {word}" in cli.out or word.startswith("-")


def test_other_shells(start_cli):
    cli = start_cli("completion", "fish")
    assert (cli.end(), cli.out) == (64, "")
    assert "bash and zsh" in cli.err
