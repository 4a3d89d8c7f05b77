# SPDX-License-Identifier: Apache-2.0
"""HTTP/2 peers that break the rules, or keep them and mean harm: each is answered or cut off as RFC
9113 has it, the server's memory stays where it was, and others are served meanwhile."""
import contextlib
import socket
import struct

import pytest

from holdfast.v1 import locks_pb2
from http2 import (
    ACK, CANCEL, COMPRESSION_ERROR, CONTINUATION, DATA, END_HEADERS, END_STREAM,
    ENHANCE_YOUR_CALM, FLOW_CONTROL_ERROR, FRAME_SIZE_ERROR, GOAWAY, HEADERS, NO_ERROR, PADDED,
    PING, PREFACE, PRIORITY, PROTOCOL_ERROR, PUSH_PROMISE, REFUSED_STREAM, RST_STREAM, SETTINGS,
    STREAM_CLOSED, WINDOW_UPDATE, Closed, Http2, block, dial, fields_of, frame, literal, message,
)
from waiting import FACTOR, eventually

INSPECT = "/holdfast.v1.Locks/Inspect"
HOLD = "/holdfast.v1.Locks/Hold"
WATCH = "/holdfast.v1.Locks/Watch"
REQUEST = locks_pb2.InspectRequest(key="k").SerializeToString()
ASK = locks_pb2.HoldRequest(ask=locks_pb2.HoldAsk(key="held")).SerializeToString()
OPENING = block(fields_of(INSPECT))

# What one peer may cost the server, all told. (A sanitizer keeps what is freed for a while.)
MEMORY_MAX = (24 if FACTOR == 1 else 400) * 1024 * 1024


def resident(server):
    with open(f"/proc/{server.pid}/status", encoding="ascii") as status:
        for line in status:
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    raise AssertionError("no VmHWM")


@pytest.fixture
def connect(server, actors):
    def make(greet=True):
        return Http2(actors.enter_context(dial(server)), greet)

    return make


@pytest.fixture
def peer(connect):
    return connect()


@pytest.fixture(autouse=True)
def unharmed(server):
    """Whatever a test does: afterwards the server serves, and has not grown."""
    before = resident(server)
    yield
    with dial(server) as sock:
        assert is_served(Http2(sock))
    with contextlib.closing(server.connect()) as client:
        assert client.inspect("k") is None
    assert resident(server) - before < MEMORY_MAX


def is_served(peer, stream=1):
    peer.call(stream, INSPECT, REQUEST)
    return peer.answer(stream).get("grpc-status") == "0"


def push(peer, data):
    """Sends all that the server takes of it."""
    with contextlib.suppress(OSError):
        peer.sock.settimeout(5)
        peer.send(data)


# The beginning


@pytest.mark.parametrize(
    "opening",
    [PREFACE[:18] + b"XX\r\n\r\n", PREFACE + b"GET / HTTP/1.1\r\n\r\n", PREFACE + b"\xff" * 100,
     PREFACE + frame(PING, payload=bytes(8)), PREFACE + frame(HEADERS, 5, 1, OPENING),
     PREFACE + frame(SETTINGS, ACK), PREFACE + PREFACE],
    ids=["preface", "http1", "ff", "ping", "headers", "ack", "twice"],
)
def test_who_does_not_greet_is_cut_off(connect, opening):
    peer = connect(greet=False)
    push(peer, opening)
    assert peer.end() in (None, PROTOCOL_ERROR, FRAME_SIZE_ERROR)


def test_a_greeting_may_come_byte_by_byte(connect):
    peer = connect(greet=False)
    peer.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for byte in PREFACE + frame(SETTINGS):
        peer.send(bytes([byte]))
    assert is_served(peer)


def test_http1_is_told_to_upgrade(connect):
    peer = connect(greet=False)
    peer.send(b"POST / HTTP/1.1\r\nHost: x\r\n\r\n")
    assert peer.sock.recv(100).startswith(b"HTTP/1.1 426 ")


# Frames that break the rules


@pytest.mark.parametrize(
    "bad, errors",
    [
        (frame(DATA, 0, 0, b"x"), {PROTOCOL_ERROR}),
        (frame(DATA, 0, 5, b"x"), {PROTOCOL_ERROR, STREAM_CLOSED}),
        (frame(DATA, 0, 2, b"x"), {PROTOCOL_ERROR, STREAM_CLOSED}),
        (frame(HEADERS, END_HEADERS, 0, OPENING), {PROTOCOL_ERROR}),
        (frame(HEADERS, END_HEADERS, 2, OPENING), {PROTOCOL_ERROR}),
        (frame(HEADERS, END_HEADERS | PADDED, 1, b"\xff" + OPENING[:20]), {PROTOCOL_ERROR}),
        (frame(HEADERS, END_HEADERS, 1, b"\x80"), {COMPRESSION_ERROR}),
        (frame(HEADERS, END_HEADERS, 1, b"\xff\xff\xff\xff\xff\xff\x0f"), {COMPRESSION_ERROR}),
        (frame(HEADERS, 0, 1, OPENING) + frame(DATA, 0, 1, b"x"), {PROTOCOL_ERROR}),
        (frame(HEADERS, 0, 1, OPENING) + frame(CONTINUATION, 4, 3), {PROTOCOL_ERROR}),
        (frame(CONTINUATION, END_HEADERS, 1, OPENING), {PROTOCOL_ERROR}),
        (frame(RST_STREAM, 0, 0, bytes(4)), {PROTOCOL_ERROR}),
        (frame(RST_STREAM, 0, 8, bytes(4)), {PROTOCOL_ERROR}),
        (frame(RST_STREAM, 0, 1, bytes(3)), {FRAME_SIZE_ERROR}),
        (frame(SETTINGS, 0, 1), {PROTOCOL_ERROR}),
        (frame(SETTINGS, ACK, 0, bytes(6)), {FRAME_SIZE_ERROR}),
        (frame(SETTINGS, 0, 0, bytes(5)), {FRAME_SIZE_ERROR}),
        (frame(SETTINGS, 0, 0, struct.pack(">HI", 4, 2**31)), {FLOW_CONTROL_ERROR}),
        (frame(SETTINGS, 0, 0, struct.pack(">HI", 5, 100)), {PROTOCOL_ERROR}),
        (frame(SETTINGS, 0, 0, struct.pack(">HI", 2, 2)), {PROTOCOL_ERROR}),
        (frame(PUSH_PROMISE, END_HEADERS, 1, bytes(4) + OPENING), {PROTOCOL_ERROR}),
        (frame(PING, 0, 1, bytes(8)), {PROTOCOL_ERROR}),
        (frame(PING, 0, 0, bytes(7)), {FRAME_SIZE_ERROR}),
        (frame(GOAWAY, 0, 1, bytes(8)), {PROTOCOL_ERROR}),
        (frame(WINDOW_UPDATE, 0, 0, bytes(4)), {PROTOCOL_ERROR}),
        (frame(WINDOW_UPDATE, 0, 0, bytes(3)), {FRAME_SIZE_ERROR}),
        (frame(WINDOW_UPDATE, 0, 9, struct.pack(">I", 1)), {PROTOCOL_ERROR}),
        (frame(WINDOW_UPDATE, 0, 0, struct.pack(">I", 2**31 - 1)), {FLOW_CONTROL_ERROR}),
        (frame(DATA, 0, 1, bytes(16385)), {FRAME_SIZE_ERROR}),
        (b"\xff\xff\xff" + bytes(100), {FRAME_SIZE_ERROR}),
    ],
)
def test_a_broken_connection_is_told_why(peer, bad, errors):
    assert is_served(peer)
    peer.call(3, HOLD, end=False)
    push(peer, bad)
    assert peer.end() in errors


@pytest.mark.parametrize(
    "fields",
    [
        {"connection": "keep-alive"},
        {"Upper": "case"},
        {"te": "gzip"},
        {"bad name": "x"},
        {"x": "line\nend"},
        {":path": None},
        {":unknown": "x"},
        {":method": None},
        {"content-length": "nonsense"},
        {"transfer-encoding": "chunked"},
        {":authority": "line\nend"},
    ],
    ids=str,
)
def test_a_malformed_request_costs_only_itself(peer, fields):
    peer.send(frame(HEADERS, END_HEADERS | END_STREAM, 1, block({**fields_of(INSPECT), **fields})))
    peer.answer(1)
    assert peer.resets.get(1) == PROTOCOL_ERROR
    assert is_served(peer, 3)


def test_a_path_may_be_the_authority(peer):
    """As grpcurl has it on a unix socket."""
    fields = block({**fields_of(INSPECT), ":authority": "/run/holdfast.sock"})
    peer.send(frame(HEADERS, END_HEADERS, 1, fields) + frame(DATA, END_STREAM, 1, message(REQUEST)))
    assert peer.answer(1)["grpc-status"] == "0"


def test_pseudo_fields_come_first_and_once(peer):
    fields = block(fields_of(INSPECT))
    peer.send(frame(HEADERS, END_HEADERS | END_STREAM, 1, fields + literal(":path", INSPECT)))
    peer.answer(1)
    assert peer.resets[1] == PROTOCOL_ERROR
    assert is_served(peer, 3)


def test_unknown_frames_and_settings_are_ignored(peer):
    peer.send(frame(0x77, 0xFF, 0, b"?" * 100) + frame(0x77, 0xFF, 1, b"?" * 100))
    peer.send(frame(SETTINGS, 0, 0, struct.pack(">HI", 0x7777, 7)))
    peer.send(frame(PRIORITY, 0, 9, bytes(5)))
    assert is_served(peer)


def test_a_stream_may_be_reset_before_it_is_opened(peer):
    """An offence, but gRPC's C library commits it when a deadline passes at the wrong moment."""
    peer.call(1, HOLD, ASK, end=False)
    peer.send(frame(RST_STREAM, 0, 9, struct.pack(">I", CANCEL)))
    assert is_served(peer, 11)
    push(peer, frame(RST_STREAM, 0, 99, struct.pack(">I", CANCEL)) * 60000)
    assert peer.end() in (None, ENHANCE_YOUR_CALM)


def test_data_on_a_closed_stream_is_dropped(peer):
    assert is_served(peer)
    for _ in range(50):
        peer.send(frame(DATA, 0, 1, bytes(1000)))
    with contextlib.suppress(Closed):  # RFC 9113 leaves the choice
        assert is_served(peer, 3)


def test_a_stream_id_is_used_once(peer):
    assert is_served(peer, 5)
    peer.call(3, INSPECT, REQUEST)
    peer.call(5, INSPECT, REQUEST)
    assert is_served(peer, 7)
    assert set(peer.headers) == {5, 7}


def test_the_window_of_a_stream_holds(peer):
    peer.call(1, HOLD, end=False)
    prefix = struct.pack(">BI", 0, 60000)
    push(peer, b"".join(frame(DATA, 0, 1, prefix + bytes(9000)) for _ in range(20)))
    peer.answer(1)
    # a message of nonsense ends the call; more than the window would end stream or connection
    assert peer.headers[1].get("grpc-status") or peer.resets[1] == FLOW_CONTROL_ERROR


# gRPC's own rules


@pytest.mark.parametrize(
    "fields, status",
    [({"content-type": "application/json"}, "415"), ({"content-type": None}, "415"),
     ({":method": "GET"}, "405")],
)
def test_what_is_no_grpc_gets_an_http_status(peer, fields, status):
    fields = {**fields_of(INSPECT), **fields}
    peer.send(frame(HEADERS, END_HEADERS | END_STREAM, 1, block(fields)))
    assert peer.answer(1)[":status"] == status
    assert is_served(peer, 3)


@pytest.mark.parametrize(
    "data, status",
    [
        (b"", "3"),
        (b"\x00\x00", "13"),
        (message(REQUEST) + message(REQUEST), "3"),
        (message(REQUEST)[:-1], "13"),
        (b"\x01" + message(REQUEST)[1:], "12"),
        (b"\x02" + message(REQUEST)[1:], "13"),
        (b"\x00\xff\xff\xff\xff", "8"),
    ],
    ids=["none", "cut-prefix", "two", "cut", "compressed", "flag", "huge"],
)
def test_messages_that_make_no_sense(peer, data, status):
    peer.call(1, INSPECT, end=False)
    peer.send(frame(DATA, END_STREAM, 1, data))
    answer = peer.answer(1)
    # two: the first was answered before the second came
    assert answer["grpc-status"] == status or (status == "3" and data.startswith(message(REQUEST)))
    assert is_served(peer, 3)


def test_metadata_has_a_limit(peer):
    fields = {**fields_of(INSPECT), **{f"x-{number}": "v" * 200 for number in range(100)}}
    out = block(fields)
    peer.send(frame(HEADERS, END_STREAM, 1, out[:16000])
              + frame(CONTINUATION, END_HEADERS, 1, out[16000:]))
    assert peer.answer(1)["grpc-status"] == "8"
    assert is_served(peer, 3)


@pytest.mark.parametrize("timeout", ["", "x", "1", "100000000S", "-1S", "1.5S"])
def test_bad_timeouts_are_refused(peer, timeout):
    peer.call(1, INSPECT, REQUEST, timeout=timeout)
    assert peer.answer(1)["grpc-status"] == "3"
    assert is_served(peer, 3)


# Floods


def test_a_continuation_flood_is_cut_off(peer):
    push(peer, frame(HEADERS, 0, 1, OPENING) + frame(CONTINUATION, 0, 1) * 100000)
    assert peer.end() in (None, ENHANCE_YOUR_CALM, PROTOCOL_ERROR, 2)


def test_an_endless_header_is_cut_off(peer):
    parts = [frame(CONTINUATION, 0, 1, literal(f"x-{n}", "v" * 10000)) for n in range(1000)]
    push(peer, frame(HEADERS, 0, 1, OPENING) + b"".join(parts))
    assert peer.end() in (None, ENHANCE_YOUR_CALM, PROTOCOL_ERROR, COMPRESSION_ERROR, 2)


def test_a_table_bomb_stays_small(peer):
    """One large entry in the table, named a thousand times: what counts is the list, not its bytes."""
    entry = b"\x40" + literal("x", "v" * 3000)[1:]
    peer.send(frame(HEADERS, END_HEADERS | END_STREAM, 1, block(fields_of(INSPECT)) + entry
                    + b"\xbe" * 3000))
    with contextlib.suppress(Closed):
        assert peer.answer(1).get("grpc-status") == "8" or 1 in peer.resets


@pytest.mark.parametrize(
    "unit",
    [frame(PING, payload=bytes(8)), frame(SETTINGS), frame(SETTINGS, 0, 0, bytes(6) * 30)],
    ids=["ping", "settings", "large-settings"],
)
def test_a_flood_whose_answers_are_not_read(server, peer, unit):
    """The server stops reading when its output is full, or ends it; it does not pile answers up."""
    for _ in range(300):
        push(peer, unit * (60000 // len(unit)))
        if server.find_events("connection.refused"):
            break
    peer.sock.close()


@pytest.mark.parametrize("unit", [frame(PING, payload=bytes(8)), frame(SETTINGS)])
def test_a_flood_whose_answers_are_read_is_served_in_turns(server, peer, unit):
    for _ in range(100):
        peer.send(unit * 100)
        peer.ping()
    assert is_served(peer)


def test_empty_data_is_not_endless(peer):
    peer.call(1, HOLD, ASK, end=False)
    push(peer, frame(DATA, 0, 1) * 200000)
    assert peer.end() == ENHANCE_YOUR_CALM


def test_padding_alone_is_not_endless(peer):
    peer.call(1, HOLD, ASK, end=False)
    push(peer, frame(DATA, PADDED, 1, b"\x00") * 200000)
    assert peer.end() == ENHANCE_YOUR_CALM


def test_a_rapid_reset_is_not_endless(server, peer, redis):
    out = b"".join(
        frame(HEADERS, END_HEADERS, stream, block(fields_of(HOLD))) + frame(DATA, 0, stream, message(ASK))
        + frame(RST_STREAM, 0, stream, struct.pack(">I", CANCEL))
        for stream in range(1, 80001, 2)
    )
    push(peer, out)
    assert peer.end() in (None, ENHANCE_YOUR_CALM)
    refused = server.find_events("connection.refused")
    assert "bring no work" in refused[0]["reason"]
    eventually(lambda: not redis.holds("held"), 5)


def test_priorities_and_window_updates_cost_nothing(peer):
    peer.send(frame(PRIORITY, 0, 1, bytes([0, 0, 0, 0, 9])) * 50000)
    peer.call(1, HOLD, ASK, end=False)
    peer.send(frame(WINDOW_UPDATE, 0, 1, struct.pack(">I", 1)) * 50000)
    assert is_served(peer, 3)


def test_more_streams_than_allowed(peer):
    """Who has not heard of the limit is refused; the others are served."""
    peer.send(b"".join(
        frame(HEADERS, END_HEADERS, stream, block(fields_of(HOLD))) for stream in range(1, 6001, 2)
    ))
    peer.until(lambda: len(peer.resets) + len(peer.ended) >= 3000 - 1000)
    assert set(peer.resets.values()) <= {REFUSED_STREAM, NO_ERROR}
    peer.ping()


def test_messages_begun_and_not_ended_have_a_limit(peer):
    """A thousand streams that each announce a message and send nearly all of it."""
    part = struct.pack(">BI", 0, 65536) + bytes(16000)
    with contextlib.suppress(Closed, OSError):
        for stream in range(1, 2001, 2):
            peer.call(stream, HOLD, end=False)
            for piece in (part, bytes(16000), bytes(16000)):
                peer.send(frame(DATA, 0, stream, piece))
            if stream % 20 == 1:
                peer.ping()
    assert {fields.get("grpc-status") for fields in peer.headers.values()} == {"8"}


def test_answers_that_are_not_let_through_have_a_limit(server, peer):
    """No window for answers: what piles up ends the stream, and then more than that the connection."""
    peer.send(frame(SETTINGS, 0, 0, struct.pack(">HI", 4, 0)))
    peer.call(1, HOLD, ASK, end=False)
    ping = message(locks_pb2.HoldRequest(ping=locks_pb2.HoldPing()).SerializeToString())
    sent = 0
    while 1 not in peer.resets and sent < 100:
        push(peer, frame(DATA, 0, 1, ping * 2000))
        peer.ping()
        sent += 1
    # the stream was not listened to once its answers had piled up: its window is spent
    assert peer.resets.get(1) in (ENHANCE_YOUR_CALM, FLOW_CONTROL_ERROR)
    assert is_served_without_window(peer)


def is_served_without_window(peer):
    peer.call(3, INSPECT, REQUEST)
    peer.until(lambda: 3 in peer.headers)
    peer.send(frame(WINDOW_UPDATE, 0, 3, struct.pack(">I", 1000)))
    return peer.answer(3).get("grpc-status") == "0"


def test_unread_answers_have_a_limit(server, peer):
    """A peer without a window that asks for answer after answer: more than the agreed streams."""
    peer.send(frame(SETTINGS, 0, 0, struct.pack(">HI", 4, 0)))
    asked = 0
    with contextlib.suppress(Closed, OSError):
        for stream in range(1, 200001, 2):
            peer.call(stream, INSPECT, REQUEST)
            asked += 1
            if stream % 200 == 1:
                peer.ping()
    assert asked < 5000
    assert server.wait_event("connection.refused")["reason"] == "PROTOCOL_ERROR"
