# SPDX-License-Identifier: Apache-2.0
"""grpcurl, which HOLDFAST_GRPCURL names, against the server: every command of docs/probing.md as it
is written there, but for the address, over TCP and on a unix socket."""
import itertools
import json
import os
import pathlib
import shlex
import signal
import subprocess

import pytest

from cli import Cli
from server import clean_environment
from waiting import FACTOR, eventually

GRPCURL = os.environ["HOLDFAST_GRPCURL"]
PAGE = pathlib.Path(__file__).parents[2] / "docs/probing.md"
PLACE = "127.0.0.1:7420"  # as the page has it

SERVICES = [
    "grpc.health.v1.Health",
    "grpc.reflection.v1.ServerReflection",
    "grpc.reflection.v1alpha.ServerReflection",
    "holdfast.v1.Admin",
    "holdfast.v1.Locks",
]

# grpcurl ends with 64 and gRPC's code.
INVALID_ARGUMENT, DEADLINE_EXCEEDED, NOT_FOUND, RESOURCE_EXHAUSTED, UNAVAILABLE = 67, 68, 69, 72, 78


def commands():
    """{what: words} of the page's table."""
    rows = [line.split(" | ") for line in PAGE.read_text().splitlines() if "| `grpcurl " in line]
    return {row[0].strip("| "): shlex.split(row[2].strip("|` ")) for row in rows}


COMMANDS = commands()


@pytest.fixture
def start(actors, directory):
    """start(*words): grpcurl with a pipe as input."""
    numbers = itertools.count()

    def start_grpcurl(*words):
        path = directory / f"grpcurl{next(numbers)}"
        command = Cli(path, words, subprocess.PIPE, clean_environment(), program=GRPCURL)
        actors.callback(command.close)
        return command

    return start_grpcurl


@pytest.fixture(params=["tcp", "unix"])
def place(request, server):
    """How this server is named instead of the page's: (options, address)."""
    if request.param == "unix":
        return ["-unix"], str(server.socket)
    return [], server.tcp.removeprefix("tcp://")


@pytest.fixture
def begin(start, place):
    """begin(what): starts the page's command."""
    options, address = place

    def begin_as_written(what):
        words = [address if word == PLACE else word for word in COMMANDS[what][1:]]
        assert address in words
        return start(*options, *words)

    return begin_as_written


@pytest.fixture
def run(begin):
    """run(what): the output of the page's command, which must end well."""

    def run_as_written(what):
        command = begin(what)
        assert command.end() == 0, command.err
        return command.out

    return run_as_written


@pytest.fixture
def call(start, place):
    """call(code, method, request, ...): a call that is in no table; what it wrote to stderr."""
    options, address = place

    def call_method(code, method, request="{}", *more):
        command = start("-plaintext", *options, *more, "-d", request, address, method)
        assert command.end() == code, command.err
        return command.err

    return call_method


# The page


def test_every_command_of_the_page_is_tried():
    tried = pathlib.Path(__file__).read_text()
    assert len(COMMANDS) >= 10
    assert not [what for what in COMMANDS if f'("{what}")' not in tried]


def test_services(run):
    assert run("which services").split() == SERVICES


def test_methods(run):
    methods = ["Acquire", "Hold", "Inspect", "Release", "Renew", "Resume", "Watch"]
    assert run("which methods").split() == [f"holdfast.v1.Locks.{method}" for method in methods]


def test_a_method_is_described_with_its_comment(run):
    text = run("what a method does")
    assert "rpc Acquire ( .holdfast.v1.AcquireRequest )" in text
    assert "Losing is an answer" in text


def test_a_message_is_described(run):
    assert "uint32 wait_ms = 6" in run("what a message holds")


def test_a_holder_is_shown(client, run):
    assert json.loads(run("who holds a lock")) == {"free": {}}
    client.lease("deploy", label="zoë — 鎖")
    assert json.loads(run("who holds a lock"))["held"]["label"] == "zoë — 鎖"


def test_a_detached_lease(redis, run):
    assert int(json.loads(run("a try, detached"))["lease"]["fence"]) > 0
    assert redis.holds("deploy")
    assert json.loads(run("a try, detached"))["busy"]["holders"] == 1


def test_a_wait_and_its_deadline(client, begin, run):
    lease = client.lease("build")
    waiting = begin("wait, at most 5 s")
    assert waiting.end() == DEADLINE_EXCEEDED, waiting.err
    assert "DeadlineExceeded" in waiting.err
    client.release("build", lease.token)
    assert "lease" in json.loads(run("wait, at most 5 s"))


def test_metadata_harms_nothing(run):
    assert json.loads(run("with metadata")) == {"status": "SERVING"}


def test_hold_until_the_end_of_input(redis, begin):
    holder = begin("hold until Ctrl-D")
    holder.tell('{"ask": {"key": "deploy", "label": "me"}}')
    holder.wait_for('"granted"')
    holder.tell('{"ping": {}}')
    holder.wait_for('"renewed"')
    assert redis.holds("deploy")
    assert holder.end() == 0, holder.err
    assert '"released"' in holder.out
    assert not redis.holds("deploy")


def test_health(redis, begin, run, call):
    assert json.loads(run("is it well")) == {"status": "SERVING"}
    assert "NotFound" in call(NOT_FOUND, "grpc.health.v1.Health/Check", '{"service": "no.Such"}')
    redis.kill()
    eventually(lambda: "NOT_SERVING" in run("is it well"))


# What no table has


def test_errors_have_code_and_text(call):
    text = call(INVALID_ARGUMENT, "holdfast.v1.Locks/Acquire")
    assert "Code: InvalidArgument" in text
    assert "Message: key: missing; 1 to 512 bytes are required" in text


def test_an_error_text_may_hold_anything(call):
    name = "zoë 100% — 鎖"
    text = call(NOT_FOUND, "grpc.health.v1.Health/Check", json.dumps({"service": name}))
    assert name in text


def test_a_large_message_is_refused(call):
    request = json.dumps({"key": "k", "label": "x" * 100000})
    text = call(RESOURCE_EXHAUSTED, "holdfast.v1.Locks/Acquire", request)
    assert "max-message-size" in text


def test_a_stream_goes_on_until_it_is_cancelled(client, start, place):
    options, address = place
    watch = start("-plaintext", *options, "-d", '{"key": "k"}', address, "holdfast.v1.Locks/Watch")
    watch.wait_for('"free"')
    client.lease("k", label="me")
    watch.wait_for('"label": "me"')
    watch.signal(signal.SIGINT)
    assert watch.end() != 0


def test_a_killed_holder_frees_its_lock(redis, begin):
    holder = begin("hold until Ctrl-D")
    holder.tell('{"ask": {"key": "deploy"}}')
    holder.wait_for('"granted"')
    holder.kill()
    eventually(lambda: not redis.holds("deploy"), 2)


def test_a_hold_goes_on_while_the_server_drains(server, redis, begin):
    holder = begin("hold until Ctrl-D")
    holder.tell('{"ask": {"key": "deploy"}}')
    holder.wait_for('"granted"')
    server.signal(signal.SIGTERM)
    server.wait_event("drain.begin")
    holder.tell('{"ping": {}}')
    holder.wait_for('"renewed"')
    assert redis.holds("deploy")
    assert holder.end() == 0, holder.err
    assert '"released"' in holder.out
    assert server.wait(10 * FACTOR) == 0


def test_a_drain_tells_watches_of_health(server, start, place):
    options, address = place
    watch = start("-plaintext", *options, address, "grpc.health.v1.Health/Watch")
    watch.wait_for('"SERVING"')
    server.signal(signal.SIGTERM)
    watch.wait_for('"NOT_SERVING"')
    assert watch.end() == UNAVAILABLE, watch.err
    assert server.wait(10 * FACTOR) == 0


def test_tls(redis, start_server, certificates, start):
    certificate, key = certificates.issue("server")
    server = start_server(redis, listen="tls://127.0.0.1:0", tls_cert=certificate, tls_key=key)
    address = server.address("tls").removeprefix("tls://")
    listing = start("-cacert", certificates.authority, address, "list")
    assert listing.end() == 0, listing.err
    assert listing.out.split() == SERVICES
