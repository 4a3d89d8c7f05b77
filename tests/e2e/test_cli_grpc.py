# SPDX-License-Identifier: Apache-2.0
"""`holdfast list`, `describe` and `call` over gRPC, with servers that are not Holdfast's, and with what is no gRPC
server. What both protocols have in common is in test_cli_call.py."""
import base64
import json
import re
import signal
import socket
import subprocess
import threading

import grpc
import pytest

import http2
from shop_server import MEGABYTE, ShopServer
from waiting import FACTOR, eventually

TILL = "shop.v1.Till"


@pytest.fixture
def start_shop(actors, directory):
    def start(**options):
        shop = ShopServer(directory, **options)
        actors.callback(shop.close)
        return shop

    return start


@pytest.fixture
def shop(start_shop):
    return start_shop()


@pytest.fixture
def ask(start_cli):
    """ask(server, *words): over gRPC, to its end."""

    def run(server, *words, **options):
        cli = start_cli(words[0], "--grpc", *words[1:], server=server, **options)
        cli.code = cli.end()
        return cli

    return run


def rows(cli):
    return [json.loads(line) for line in cli.out.splitlines()]


def answers(cli):
    assert (cli.code, cli.err) == (0, "")
    return rows(cli)


def varint(value):
    out = b""
    while value >= 128:
        out += bytes([value % 128 + 128])
        value //= 128
    return out + bytes([value])


# Somebody else's server


@pytest.mark.parametrize("versions", [("v1",), ("v1alpha",), ("v1", "v1alpha")], ids="+".join)
def test_list_by_either_version_of_reflection(ask, start_shop, versions):
    shop = start_shop(versions=versions)
    cli = ask(shop.tcp, "list")
    assert (cli.code, cli.err) == (0, "")
    assert cli.out.splitlines() == sorted(shop.services)
    assert answers(ask(shop.tcp, "call", f"{TILL}/Echo", '{"id": "7"}')) == [{"id": "7"}]


def test_without_reflection(ask, start_shop):
    shop = start_shop(versions=())
    for words in (["list"], ["describe", TILL], ["call", f"{TILL}/Echo"]):
        cli = ask(shop.tcp, *words)
        assert (cli.code, cli.out) == (70, "")
        assert "it has no reflection" in cli.err


def test_list_and_describe(ask, shop):
    assert ask(shop.tcp, "list", TILL).out.splitlines()[:2] == ["shop.v1.Till.Echo", "shop.v1.Till.Count"]
    assert ask(shop.tcp, "list", "Bare").out == "Bare.Echo\n"
    till = ask(shop.tcp, "describe", TILL)
    assert "// Counts up to `count`.\n  rpc Count(Amount) returns (stream Amount);" in till.out
    part = ask(shop.tcp, "describe", "shop.parts.Part")
    assert "  required string name = 1;\n  optional int32 count = 2;\n  repeated sint32 marks = 3;" in part.out
    assert ask(shop.tcp, "describe", "BareMessage").out.startswith("BareMessage is a message:")
    everything = ask(shop.tcp, "describe")
    assert re.findall(r"^(\S+) is a service:$", everything.out, re.M) == sorted(shop.services)


ORDER = {
    "id": "é🔒",
    "priceCents": "-9007199254740993",
    "parts": [{"name": "p", "count": 0, "marks": [-1, 2], "size": "SIZE_LARGE"}, {"name": ""}],
    "notes": {"a": "b", "": ""},
    "discount": 0,
    "cash": False,
    "replaces": {"replaces": {"card": ""}},
}


def test_a_message_goes_there_and_back(ask, shop):
    """Oneofs, presence, maps, enums, the older syntax, types of another file."""
    assert answers(ask(shop.tcp, "call", f"{TILL}/Echo", json.dumps(ORDER))) == [ORDER]
    assert answers(ask(shop.tcp, "call", "Bare/Echo", '{"text": "x"}')) == [{"text": "x"}]
    assert answers(ask(shop.tcp, "call", "Bare.Echo")) == [{}]


def test_types_with_a_form_of_their_own(ask, shop):
    visit = {"at": "2000-12-31T23:59:59.021Z", "lasted": "-0.500s", "fact": None, "facts": {"a": [1.5, None, {}]}}
    assert answers(ask(shop.tcp, "call", "shop.v1.Door/Echo", json.dumps(visit))) == [visit]
    assert answers(ask(shop.tcp, "call", "shop.v1.Door/Name")) == ["front"]


@pytest.mark.parametrize(
    "words, expected",
    [
        (["shop.v1.Door/Echo", '{"at": "2000-02-30T00:00:00Z"}'], "at: not a Timestamp"),
        ([f"{TILL}/Echo", '{"idd": 1}'], "idd: no such field in shop.v1.Order"),
        ([f"{TILL}/Echo", '{"cash": true, "card": ""}'], "another field of the same oneof"),
        ([f"{TILL}/Echo", '{"parts": [{"size": "HUGE"}]}'], 'parts[0].size: "HUGE" is no Size'),
        ([f"{TILL}/Refund"], "Refund: shop.v1.Till has no such method"),
        (["shop.v1.Tills/Echo"], "the server has nothing of that name"),
        ([f"{TILL}/Echo", "-H", "grpc-timeout: 1S"], "gRPC's own"),
        ([f"{TILL}/Echo", "-H", "a b: 1"], "HTTP/2 does not allow"),
    ],
)
def test_what_is_wrong_with_the_question(ask, shop, words, expected):
    cli = ask(shop.tcp, "call", *words)
    assert (cli.code, cli.out) == (64, "")
    assert expected in cli.err and cli.err.count("\n") == 1


def test_streams(ask, shop):
    count = answers(ask(shop.tcp, "call", f"{TILL}/Count", '{"count": 5000}'))
    assert count == [{"count": number} for number in range(1, 5001)]
    assert answers(ask(shop.tcp, "call", f"{TILL}/Sum", '{"count": 3}{"count": 4}')) == [{"count": 7}]
    assert answers(ask(shop.tcp, "call", f"{TILL}/Sum")) == [{}]


def test_a_conversation(start_cli, shop):
    cli = start_cli("call", "--grpc", f"{TILL}/Chat", "-", server=shop.unix, stdin=subprocess.PIPE)
    for number in range(3):
        cli.tell(json.dumps({"id": str(number)}))
        cli.wait_for(f'{{"id":"{number}"}}')
    assert cli.end() == 0
    assert cli.err == ""


@pytest.mark.parametrize("source", ["file", "input"])
def test_more_than_the_server_takes_at_once(ask, shop, directory, source):
    """What is sent waits for the server's windows, and is not kept in memory meanwhile: were it, its limit would end
    the call."""
    path = directory / "blobs.json"
    blob = json.dumps({"data": base64.b64encode(bytes(MEGABYTE)).decode()})
    path.write_text("\n".join([blob] * 40))
    if source == "file":
        cli = ask(shop.tcp, "call", f"{TILL}/Weigh", f"@{path}")
    else:
        with path.open("rb") as file:
            cli = ask(shop.tcp, "call", f"{TILL}/Weigh", "-", stdin=file)
    assert answers(cli) == [{"count": 40 * MEGABYTE}]


def test_metadata_and_deadline(ask, shop):
    words = ["-H", "Trace-Id: 7:1", "--header", "empty:", "-H", "key-bin: AAE=", "--deadline", "20s"]
    (order,) = answers(ask(shop.tcp, "call", *words, f"{TILL}/Metadata"))
    notes = order["notes"]
    assert (notes["trace-id"], notes["empty"]) == ("7:1", "")
    assert notes["key-bin"] == str(b"\0\1")
    assert notes["user-agent"].startswith("holdfast/")
    assert 0 < float(notes["left"]) <= 20


def test_the_deadline_passes(ask, shop):
    cli = ask(shop.tcp, "call", "--deadline", "300ms", f"{TILL}/Wait", '{"id": "x"}')
    assert (cli.code, rows(cli)) == (69, [{"id": "x"}])
    assert "DEADLINE_EXCEEDED" in cli.err
    assert shop.till.cancelled.wait(10 * FACTOR)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_call_that_is_taken_back(start_cli, shop, number):
    cli = start_cli("call", "--grpc", f"{TILL}/Wait", '{"id": "x"}', server=shop.tcp)
    cli.wait_for('{"id":"x"}')
    assert not shop.till.cancelled.is_set()
    cli.signal(number)
    assert cli.wait(20 * FACTOR) == -number
    assert shop.till.cancelled.wait(10 * FACTOR)


@pytest.mark.parametrize(
    "code, exit_code, name",
    [
        (1, 70, "CANCELLED"),
        (3, 64, "INVALID_ARGUMENT"),
        (4, 69, "DEADLINE_EXCEEDED"),
        (8, 69, "RESOURCE_EXHAUSTED"),
        (10, 75, "ABORTED"),
        (14, 69, "UNAVAILABLE"),
        (16, 70, "UNAUTHENTICATED"),
    ],
)
def test_the_exit_code_follows_the_status(ask, shop, code, exit_code, name):
    text = "nö% 🔒 100%25"
    cli = ask(shop.tcp, "call", f"{TILL}/Fail", json.dumps({"priceCents": code, "id": text}))
    assert (cli.code, cli.out) == (exit_code, "")
    assert cli.err == f"holdfast: {TILL}/Fail: {name}: {text}\n"


def test_the_largest_message(ask, shop):
    (blob,) = answers(ask(shop.tcp, "call", f"{TILL}/Large", '{"count": 4194299}'))  # 4 MiB with its tag and length
    assert len(base64.b64decode(blob["data"])) == 4194299
    cli = ask(shop.tcp, "call", f"{TILL}/Large", '{"count": 4194300}')
    assert (cli.code, cli.out) == (69, "")
    assert "RESOURCE_EXHAUSTED: a message of the server's answer is longer than 4194304 bytes" in cli.err


def test_tls(ask, start_shop, certificates):
    certificate, key = certificates.issue("shop")
    pair = (key.read_bytes(), certificate.read_bytes())
    shop = start_shop(credentials=grpc.ssl_server_credentials([pair]))
    words = ["call", f"{TILL}/Echo", '{"id": "x"}']
    assert answers(ask(shop.tls, *words, "--ca-file", certificates.authority)) == [{"id": "x"}]
    stranger = ask(shop.tls, *words, "--ca-file", certificates.stranger)
    assert stranger.code == 69 and "certificate" in stranger.err and stranger.err.count("\n") == 1
    plain = ask(shop.tls.replace("tls:", "tcp:"), *words, "--timeout", "2s")
    assert plain.code == 69 and plain.err.count("\n") == 1
    not_tls = ask(shop.tcp.replace("tcp:", "tls:"), *words, "--ca-file", certificates.authority)
    assert not_tls.code == 69 and not_tls.err.count("\n") == 1


def test_tls_with_holdfast(ask, redis, start_server, certificates):
    certificate, key = certificates.issue("server")
    client_certificate, client_key = certificates.issue("client")
    server = start_server(
        redis, listen="tls://127.0.0.1:0", tls_cert=certificate, tls_key=key, tls_client_ca=certificates.authority
    )
    words = ["--ca-file", certificates.authority, "--cert-file", client_certificate, "--key-file", client_key]
    assert answers(ask(server.address("tls"), "call", "Health/Check", *words)) == [{"status": "SERVING"}]
    plain = ask(server.address("tls").replace("tls:", "tcp:"), "call", "Locks/Inspect", '{"key": "k"}')
    assert plain.code == 70 and plain.err.count("\n") == 1


def test_the_server_says_goodbye(start_cli, shop):
    """grpcio's stop: no new calls, and after the grace the rest is cut off."""
    cli = start_cli("call", "--grpc", f"{TILL}/Chat", "-", server=shop.tcp, stdin=subprocess.PIPE)
    cli.tell('{"id": "0"}')
    cli.wait_for('{"id":"0"}')
    stopped = shop.grpc.stop(None)
    assert cli.wait(20 * FACTOR) == 69 or "CANCELLED" in cli.err
    assert cli.err.count("\n") == 1
    assert stopped.wait(10)


# What answers by script


class Peer:
    """A server for one connection, which a function serves in a thread of its own."""

    def __init__(self, serve):
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.address = f"tcp://127.0.0.1:{self.socket.getsockname()[1]}"
        self.thread = threading.Thread(target=self.run, args=(serve,), daemon=True)
        self.thread.start()

    def run(self, serve):
        connection, _ = self.socket.accept()
        connection.settimeout(http2.WAIT)
        with connection:
            try:
                serve(connection)
                while connection.recv(65536):
                    pass
            except OSError:
                pass

    def close(self):
        self.socket.close()
        self.thread.join(http2.WAIT)
        assert not self.thread.is_alive()


@pytest.fixture
def peer(actors):
    def start(serve):
        made = Peer(serve)
        actors.callback(made.close)
        return made.address

    return start


def greeted(connection):
    """HTTP/2 from the server's side, up to the end of the first request."""
    preface = b""
    while len(preface) < len(http2.PREFACE):
        preface += connection.recv(len(http2.PREFACE) - len(preface))
    assert preface == http2.PREFACE
    connection.sendall(http2.frame(http2.SETTINGS))
    server = http2.Http2(connection, greet=False)
    server.until(lambda: 1 in server.ended)
    return server


def head(flags=0, **fields):
    fields = {name.replace("_", "-"): value for name, value in fields.items()}
    return http2.frame(http2.HEADERS, http2.END_HEADERS | flags, 1, http2.block(fields))


OK = {":status": "200", "content-type": "application/grpc"}


def good_head():
    return http2.frame(http2.HEADERS, http2.END_HEADERS, 1, http2.block(OK))


def data(payload, flags=0):
    return http2.frame(http2.DATA, flags, 1, payload)


def trailers(**fields):
    return head(http2.END_STREAM, **fields)


def scripted(*frames):
    def serve(connection):
        server = greeted(connection)
        for frame in frames:
            server.send(frame)

    return serve


CALL = ["call", "Health/Check", "--timeout", "2s"]


def continued(fields):
    """A header list of many frames."""
    out = http2.frame(http2.HEADERS, 0, 1, http2.block(OK))
    for name, value in fields[:-1]:
        out += http2.frame(http2.CONTINUATION, 0, 1, http2.literal(name, value))
    return out + http2.frame(http2.CONTINUATION, http2.END_HEADERS, 1, http2.literal(*fields[-1]))


@pytest.mark.parametrize(
    "frames, code, expected",
    [
        ([good_head(), data(http2.message(b"\x08\x01")), trailers(grpc_status="0")], 0, ""),
        ([head(**{":status": "103"}), good_head(), data(http2.message(b"")), trailers(grpc_status="0")], 0, ""),
        ([head(http2.END_STREAM, **OK, grpc_status="5", grpc_message="n%C3%B6%")], 70, "NOT_FOUND: nö%"),
        ([head(http2.END_STREAM, **OK, grpc_status="77")], 70, "UNKNOWN: "),
        ([head(http2.END_STREAM, **OK, grpc_status="x")], 70, "UNKNOWN: "),
        ([good_head(), trailers(grpc_status="0")], 70, "INTERNAL: the server answered without a message"),
        ([good_head(), *[data(http2.message(b""))] * 2, trailers(grpc_status="0")], 70, "INTERNAL: .* several messages"),
        ([good_head(), data(http2.message(b"12")[:6]), trailers(grpc_status="0")], 70, "INTERNAL: .* within a message"),
        ([good_head(), data(http2.message(b""), http2.END_STREAM)], 70, "INTERNAL: .* without a status"),
        ([good_head(), data(b"\1\0\0\0\0")], 70, "INTERNAL: the server compresses"),
        ([good_head(), data(b"\7\0\0\0\0")], 70, "INTERNAL: .* no gRPC message"),
        ([good_head(), data(b"\0\xff\xff\xff\xff")], 69, "RESOURCE_EXHAUSTED: .* longer than 4194304"),
        ([good_head(), data(http2.message(b"\x0a")), trailers(grpc_status="0")], 70, "makes no sense"),
        ([head(**{":status": "404", "content-type": "text/html"})], 70, "UNIMPLEMENTED: .* HTTP status 404"),
        ([head(**{":status": "503"})], 69, "UNAVAILABLE: .* HTTP status 503"),
        ([head(**{":status": "200", "content-type": "text/html"})], 70, 'UNKNOWN: .* content-type "text/html"'),
        ([http2.frame(http2.RST_STREAM, 0, 1, b"\0\0\0\7")], 69, "UNAVAILABLE: .* REFUSED_STREAM"),
        ([http2.frame(http2.RST_STREAM, 0, 1, b"\0\0\0\x08")], 70, "CANCELLED: "),
        ([http2.frame(http2.RST_STREAM, 0, 1, b"\0\0\0\x0b")], 69, "RESOURCE_EXHAUSTED: "),
        ([http2.frame(http2.GOAWAY, 0, 0, bytes(7) + b"\x0b")], 69, "UNAVAILABLE: "),
        ([continued([("x", "v" * 16000)] * 5)], 69, "RESOURCE_EXHAUSTED: the header of the server's answer"),
        ([http2.frame(http2.PUSH_PROMISE, http2.END_HEADERS, 1, b"\0\0\0\2")], 69, "UNAVAILABLE: .* rules of HTTP/2"),
        ([b"\xff" * 64], 69, "UNAVAILABLE: "),
    ],
)
def test_what_a_server_may_answer(ask, peer, frames, code, expected):
    cli = ask(peer(scripted(*frames)), *CALL)
    assert cli.code == code
    assert cli.err.count("\n") == (1 if expected else 0)
    assert re.search(expected, cli.err)


def test_a_farewell_lets_calls_end(ask, peer):
    """GOAWAY that takes the request, and the answer behind it."""
    goaway = http2.frame(http2.GOAWAY, 0, 0, b"\0\0\0\1" + bytes(4))
    cli = ask(peer(scripted(goaway, good_head(), data(http2.message(b"\x08\x01")), trailers(grpc_status="0"))), *CALL)
    assert answers(cli) == [{"status": "SERVING"}]


def test_what_is_sent(ask, peer):
    seen = {}

    def serve(connection):
        server = greeted(connection)
        seen.update(server.headers[1], body=server.data[1])
        server.send(good_head() + data(http2.message(b"")) + trailers(grpc_status="0"))

    assert answers(ask(peer(serve), "call", "-H", "A: b", "--deadline", "90s", "Health/Check", '{"service":"x"}')) == [{}]
    assert re.fullmatch(r"\d{5}m", seen.pop("grpc-timeout"))
    assert re.fullmatch(r"127\.0\.0\.1:\d+", seen.pop(":authority"))
    assert seen.pop("user-agent").startswith("holdfast/")
    assert seen == {
        ":method": "POST",
        ":scheme": "http",
        ":path": "/grpc.health.v1.Health/Check",
        "content-type": "application/grpc",
        "te": "trailers",
        "grpc-accept-encoding": "identity",
        "a": "b",
        "body": http2.message(b"\x0a\x01x"),
    }


def test_a_ping_is_answered_while_a_call_waits(ask, peer):
    pongs = []

    def serve(connection):
        server = greeted(connection)
        server.send(http2.frame(http2.PING, 0, 0, bytes(8)))
        server.until(lambda: server.pongs == 1)
        pongs.append(server.pongs)
        server.send(good_head() + data(http2.message(b"")) + trailers(grpc_status="0"))

    assert answers(ask(peer(serve), *CALL)) == [{}]
    assert pongs == [1]


def test_a_cancel_resets_the_stream(start_cli, peer):
    resets = []
    asked = threading.Event()

    def serve(connection):
        server = greeted(connection)
        asked.set()
        server.until(lambda: server.resets)
        resets.append(server.resets)

    cli = start_cli("call", "--grpc", "Health/Watch", server=peer(serve))
    assert asked.wait(http2.WAIT)
    cli.signal(signal.SIGINT)
    assert cli.wait(20 * FACTOR) == -signal.SIGINT
    eventually(lambda: resets == [{1: http2.CANCEL}], what="the reset")


def test_a_server_that_makes_no_end_of_pings(ask, peer):
    """It reads none of the answers, which must not pile up."""

    def serve(connection):
        server = greeted(connection)
        ping = http2.frame(http2.PING, 0, 0, bytes(8))
        for _ in range(2000):
            server.send(ping * 1000)

    cli = ask(peer(serve), *CALL, "--deadline", "20s")
    assert cli.code == 69
    assert "UNAVAILABLE" in cli.err and cli.err.count("\n") == 1


def test_a_message_that_is_nested_without_end(ask, shop):
    """Deeper than a stack may carry: refused, not crashed."""
    nested = b""
    for _ in range(20000):
        nested = b"\x42" + varint(len(nested)) + nested
    shop.till.raw = nested
    cli = ask(shop.tcp, "call", f"{TILL}/Raw")
    assert (cli.code, cli.out) == (70, "")
    assert "makes no sense" in cli.err


# What is no gRPC at all


def http1(connection):
    connection.recv(1024)
    connection.sendall(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
    connection.shutdown(socket.SHUT_WR)


def garbage(connection):
    connection.sendall(bytes(range(200)))


def a_line(connection):
    connection.sendall(b"220 mail.example ESMTP\r\n")


def hang_up(connection):
    connection.recv(24)
    connection.shutdown(socket.SHUT_RDWR)


def silence(connection):
    pass


@pytest.mark.parametrize("words", [["list"], ["describe"], ["call", "Health/Check"], ["call", "a.B/C"]], ids=" ".join)
@pytest.mark.parametrize(
    "serve, expected",
    [
        (http1, "speaks HTTP/1, and gRPC needs HTTP/2"),
        (garbage, "does not speak gRPC"),
        (a_line, "does not speak gRPC"),
        (hang_up, "does it speak gRPC there?"),
        (silence, "does not answer; does it speak gRPC?"),
    ],
)
def test_what_does_not_speak_grpc(ask, peer, serve, expected, words):
    address = peer(serve)
    cli = ask(address, *words, "--timeout", "300ms" if serve is silence else "5s")
    assert (cli.code, cli.out) == (69, "")
    assert expected in cli.err and address in cli.err and cli.err.count("\n") == 1


def test_a_server_that_speaks_ttrpc_only(ask, peer):
    """It takes the greeting for a frame of a length that it does not take, and hangs up."""

    def ttrpc(connection):
        assert int.from_bytes(connection.recv(24)[:4], "big") > 4 * MEGABYTE
        connection.shutdown(socket.SHUT_RDWR)

    cli = ask(peer(ttrpc), *CALL)
    assert cli.code == 69 and "does it speak gRPC there?" in cli.err and cli.err.count("\n") == 1


def test_ttrpc_with_a_server_that_speaks_grpc_only(start_cli, shop):
    cli = start_cli("call", "Health/Check", "--timeout", "1s", server=shop.tcp)
    assert cli.end() == 69
    assert "UNAVAILABLE" in cli.err and cli.err.count("\n") == 1


def test_other_commands_speak_ttrpc_only(start_cli):
    cli = start_cli("inspect", "k", "--grpc")
    assert cli.end() == 64
    assert "--grpc" in cli.err
