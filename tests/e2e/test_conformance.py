# SPDX-License-Identifier: Apache-2.0
"""ttRPC and the Locks API, asked rightly and wrongly, byte by byte where it matters."""
import os
import struct

import pytest
import ttrpc_pb2
from holdfast.v1 import locks_pb2

from ttrpc import (
    DATA, DATA_MAX, HEADER, LOCKS, NO_DATA, REMOTE_CLOSED, REMOTE_OPEN, REQUEST, RESPONSE, RpcError,
    Status, parse_response,
)
from waiting import always, eventually


def refusal(call):
    """The RpcError that a call ends with."""
    with pytest.raises(RpcError) as caught:
        call()
    return caught.value


def raw_acquire(client, stream_id, key="k", flags=0):
    payload = locks_pb2.AcquireRequest(key=key).SerializeToString()
    client.send_frame(stream_id, REQUEST, flags, client.request_bytes("Acquire", payload))


def response_to(client, stream_id):
    frame = client.frame_of(stream_id)
    assert frame.type == RESPONSE
    return parse_response(frame, locks_pb2.AcquireResponse)


def assert_goes_on(client):
    """The connection still works."""
    assert client.inspect("assert-goes-on") is None


# Stream ids


def test_ids_may_have_gaps(client):
    raw_acquire(client, 101, "a")
    assert response_to(client, 101).HasField("lease")
    raw_acquire(client, 0x7FFFFFFF, "b")
    assert response_to(client, 0x7FFFFFFF).HasField("lease")


@pytest.mark.parametrize("stream_id", [0, 2, 0x80000000])
def test_an_even_id_is_refused(client, redis, stream_id):
    raw_acquire(client, stream_id)
    error = refusal(lambda: response_to(client, stream_id))
    assert error.code == Status.INVALID_ARGUMENT and "odd" in error.message
    assert not redis.holds("k")
    assert_goes_on(client)


def test_a_reused_id_is_refused(client, redis):
    raw_acquire(client, 9, "first")
    assert response_to(client, 9).HasField("lease")
    client.ended.clear()
    for stream_id in (9, 7):
        raw_acquire(client, stream_id, "second")
        assert refusal(lambda: response_to(client, stream_id)).code == Status.INVALID_ARGUMENT
        client.ended.clear()
    assert not redis.holds("second")
    client.next_id = 11
    assert_goes_on(client)


def test_data_for_an_unknown_stream_does_no_harm(client):
    client.send_frame(99, DATA, 0, b"nobody asked")
    client.send_frame(98, DATA, REMOTE_CLOSED | NO_DATA)
    client.next_id = 101
    client.waiting.clear()
    assert_goes_on(client)


def test_frames_of_unknown_types_are_ignored(client):
    for frame_type in (0, 4, 127, 255):
        client.send_frame(1, frame_type, 0xFF, b"from the future")
    client.send_frame(1, RESPONSE, 0, b"")
    assert_goes_on(client)


def test_data_on_a_unary_call_does_no_harm(client, redis):
    raw_acquire(client, 1)
    client.send_frame(1, DATA, 0, b"more")
    client.next_id = 3
    assert_goes_on(client)
    assert response_to(client, 1).HasField("lease")


def test_flags_of_a_unary_request(client):
    """Empty flags mean unary; "remote closed" says the same in newer words."""
    raw_acquire(client, 1, "a", REMOTE_CLOSED)
    assert response_to(client, 1).HasField("lease")


# Service and method


def test_unknown_names(client):
    for service, method in (
        (LOCKS, "Nothing"), (LOCKS, ""), (LOCKS, "acquire"), (LOCKS, "Acquire "), ("", "Acquire"),
        ("holdfast.v1.Nothing", "Acquire"), ("x" * 1000, "y" * 1000),
    ):
        call = client.start(method, b"", locks_pb2.AcquireResponse, service=service)
        assert refusal(call.result).code == Status.UNIMPLEMENTED, (service, method)
    assert_goes_on(client)


def test_a_unary_method_called_as_a_stream(client, redis):
    stream = client.open_stream("Acquire", locks_pb2.AcquireResponse)
    stream.send(locks_pb2.AcquireRequest(key="k"))
    stream.close_send()
    frame = client.frame_of(stream.stream_id)
    assert frame.type == RESPONSE
    code = ttrpc_pb2.Response.FromString(frame.data).status.code
    assert code in (Status.OK, Status.INVALID_ARGUMENT, Status.UNIMPLEMENTED)
    assert_goes_on(client)


# Sizes


def test_an_oversized_frame_is_refused_and_skipped(client):
    client.send_raw(HEADER.pack(DATA_MAX + 1, 1, REQUEST, 0) + bytes(DATA_MAX + 1))
    error = refusal(lambda: response_to(client, 1))
    assert error.code == Status.RESOURCE_EXHAUSTED
    client.next_id = 3
    assert_goes_on(client)


def test_an_oversized_message_is_refused(redis, start_server):
    client = start_server(redis, max_message_size=4096).connect()
    payload = locks_pb2.AcquireRequest(key="k", token=bytes(5000)).SerializeToString()
    call = client.start("Acquire", payload, locks_pb2.AcquireResponse)
    error = refusal(call.result)
    assert error.code == Status.RESOURCE_EXHAUSTED and "4096" in error.message
    assert_goes_on(client)


def test_a_header_in_pieces(client):
    request = client.request_bytes("Inspect", locks_pb2.InspectRequest(key="k").SerializeToString())
    for byte in HEADER.pack(len(request), 1, REQUEST, 0) + request:
        client.send_raw(bytes([byte]))
    assert client.frame_of(1).type == RESPONSE


# Bad bytes


@pytest.mark.parametrize(
    "payload",
    [
        b"\xff\xff\xff\xff",  # no field
        b"\x0a\x7f" + b"k" * 5,  # a length beyond the end
        b"\x0a\x02\xc3\x28",  # key: not UTF-8
        b"\x0a\x03a\0b",  # key: a NUL inside
        b"\x0a\x00",  # key: empty
        b"",  # key: missing
        b"\x0d\x01\x02\x03\x04",  # key: another wire type
        b"\x1a\x02\xff\xfe" + b"\x0a\x01k",  # label: not UTF-8
        b"\x0b\x0b\x0b\x0b",  # groups
        b"\x80" * 20,  # a varint without an end
    ],
)
def test_bad_payloads_are_invalid(client, redis, payload):
    call = client.start("Acquire", payload, locks_pb2.AcquireResponse)
    error = refusal(call.result)
    assert error.code == Status.INVALID_ARGUMENT and error.message
    assert redis("KEYS", "lock:*") == []
    assert_goes_on(client)


def test_too_many_elements_are_invalid(client):
    payload = b"\x0a\x01k" + b"\x98\x06\x01" * 10000
    call = client.start("Acquire", payload, locks_pb2.AcquireResponse)
    assert refusal(call.result).code in (Status.INVALID_ARGUMENT, Status.RESOURCE_EXHAUSTED)
    assert_goes_on(client)


def test_unknown_fields_are_ignored(client):
    payload = b"\x0a\x01k" + b"\x98\x06\x01" + b"\xa2\x06\x03abc"
    call = client.start("Acquire", payload, locks_pb2.AcquireResponse)
    assert call.result().lease.key == "k"


def test_a_bad_envelope_is_refused(client):
    client.send_frame(1, REQUEST, 0, b"\xff" * 30)
    assert refusal(lambda: response_to(client, 1)).code == Status.INVALID_ARGUMENT
    client.next_id = 3
    assert_goes_on(client)


def test_metadata_is_ignored(client):
    request = ttrpc_pb2.Request(
        service=LOCKS, method="Acquire",
        payload=locks_pb2.AcquireRequest(key="k").SerializeToString(),
    )
    request.metadata.add(key="trace-id", value="abc")
    client.send_frame(1, REQUEST, 0, request.SerializeToString())
    assert response_to(client, 1).lease.key == "k"


# Bounds


@pytest.mark.parametrize("key", ["k", "k" * 512, "é" * 256, "a/b c\n\t{x}", "\U0001f512"])
def test_keys_within_bounds(client, redis, key):
    lease = client.lease(key)
    assert lease.key == key and redis.holds(key)
    assert client.inspect(key).fence == lease.fence
    assert client.release(key, lease.token)
    client.held(key).release()


@pytest.mark.parametrize("key", ["", "k" * 513, "é" * 256 + "k", "a\0b", "\0"])
def test_keys_out_of_bounds(client, redis, key):
    token = bytes(16)
    for call in (
        lambda: client.acquire(key), lambda: client.held(key), lambda: client.inspect(key),
        lambda: client.renew(key, token), lambda: client.release(key, token),
    ):
        error = refusal(call)
        assert error.code == Status.INVALID_ARGUMENT and "key" in error.message
    assert redis("KEYS", "lock:*") == []


@pytest.mark.parametrize("ttl_ms", [0, 100, 86400000])
def test_ttls_within_bounds(client, redis, ttl_ms):
    for lease in (client.lease("a", ttl_ms), client.held("b", ttl_ms).lease):
        assert lease.ttl_ms == (ttl_ms or 10000)
        assert 0 < lease.valid_for_ms <= lease.ttl_ms * 0.99


@pytest.mark.parametrize("ttl_ms", [1, 99, 86400001, 2**32 - 1])
def test_ttls_out_of_bounds(client, redis, ttl_ms):
    for call in (
        lambda: client.acquire("k", ttl_ms), lambda: client.held("k", ttl_ms),
        lambda: client.acquire("k", ttl_ms, detached=True),
    ):
        error = refusal(call)
        assert error.code == Status.INVALID_ARGUMENT
        assert "ttl_ms" in error.message and "100" in error.message and "86400000" in error.message
    assert not redis.holds("k")


def test_labels(client):
    label = "é" * 64
    client.lease("a", label=label)
    assert client.inspect("a").label == label
    assert client.acquire("a").busy.label == label
    client.held("b", label="worker 7")
    assert client.hold("b").expect("busy").label == "worker 7"
    for bad in ("x" * 129, "a\0b"):
        error = refusal(lambda: client.acquire("c", label=bad))
        assert error.code == Status.INVALID_ARGUMENT and "label" in error.message


@pytest.mark.parametrize("size", [0, 1, 15, 17, 32])
def test_tokens_of_the_wrong_size(client, size):
    for call in (lambda: client.release("k", bytes(size)), lambda: client.renew("k", bytes(size))):
        error = refusal(call)
        assert error.code == Status.INVALID_ARGUMENT and "token" in error.message
    if size:
        error = refusal(lambda: client.acquire("k", detached=True, token=bytes(size)))
        assert error.code == Status.INVALID_ARGUMENT and "token" in error.message


def test_nobodys_token_opens_no_closed_lock(server):
    """All bytes 0 is the owner of a lock that is closed: it must be nobody's to say."""
    one, two = server.connect(), server.connect()
    one.held("k", lock_delay_ms=60000)
    one.close()
    eventually(lambda: two.inspect("k").closed, 5, "a closed lock")
    nobody = bytes(16)
    for call in (
        lambda: two.acquire("k", detached=True, token=nobody),
        lambda: two.release("k", nobody),
        lambda: two.renew("k", nobody),
        lambda: two.resume("k", nobody),
        lambda: two.held("k", resume_token=nobody),
    ):
        error = refusal(call)
        assert error.code == Status.INVALID_ARGUMENT and "token: all bytes are 0" in error.message
    assert two.inspect("k").closed


def test_a_token_without_detached_is_invalid(client, redis):
    error = refusal(lambda: client.acquire("k", token=os.urandom(16)))
    assert error.code == Status.INVALID_ARGUMENT and "token" in error.message
    assert not redis.holds("k")


def test_a_ttl_on_a_bound_lease_is_invalid(client):
    lease = client.lease("k", 5000)
    assert 0 < client.renew("k", lease.token).valid_for_ms <= 5000
    error = refusal(lambda: client.renew("k", lease.token, ttl_ms=5000))
    assert error.code == Status.INVALID_ARGUMENT and "ttl_ms" in error.message


@pytest.mark.parametrize("heartbeat_ms", [1, 99, 86400001])
def test_heartbeats_out_of_bounds(client, redis, heartbeat_ms):
    error = refusal(lambda: client.held("k", heartbeat_ms=heartbeat_ms))
    assert error.code == Status.INVALID_ARGUMENT and "heartbeat_ms" in error.message
    assert not redis.holds("k")


# Deadlines


def test_negative_deadline(client, redis):
    call = client.start_acquire("k", timeout_s=-1)
    assert refusal(call.result).code in (Status.INVALID_ARGUMENT, Status.DEADLINE_EXCEEDED)
    always(lambda: not redis.holds("k"), 0.2)


def test_a_deadline_of_a_nanosecond_leaves_nothing(client, redis):
    for number in range(20):
        call = client.start_acquire(f"k{number}", timeout_s=1e-9)
        try:
            lease = call.result().lease
            assert client.release(f"k{number}", lease.token)
        except RpcError as error:
            assert error.code == Status.DEADLINE_EXCEEDED
    eventually(lambda: redis("KEYS", "lock:*") == [], 3)


# Streams


def test_hold_ping_and_half_close(client, redis):
    stream = client.held("k", 5000)
    assert redis.holds("k")
    stream.ping()
    assert 0 < stream.expect("renewed").valid_for_ms <= 5000
    stream.close_send()
    stream.expect("released")
    assert not redis.holds("k")
    assert stream.receive() is None


def test_a_busy_hold_ends_with_ok(client):
    client.held("k", label="first")
    stream = client.hold("k")
    assert stream.expect("busy").label == "first"
    assert stream.receive() is None


def test_half_close_with_the_ask(client, redis):
    """All input at once takes the question back: what was granted meanwhile is released."""
    stream = client.open_stream("Hold", locks_pb2.HoldEvent)
    ask = locks_pb2.HoldRequest(ask=locks_pb2.HoldAsk(key="k")).SerializeToString()
    client.send_frame(stream.stream_id, DATA, REMOTE_CLOSED, ask)
    kinds = [event.WhichOneof("event") for event in iter(stream.receive, None)]
    assert kinds == ["released"]
    assert not redis.holds("k")


def test_half_close_before_the_ask(client):
    stream = client.open_stream("Hold", locks_pb2.HoldEvent)
    stream.close_send()
    assert refusal(stream.receive).code == Status.INVALID_ARGUMENT
    assert_goes_on(client)


@pytest.mark.parametrize("first", ["ping", "nothing", "garbage"])
def test_hold_must_begin_with_an_ask(client, first):
    stream = client.open_stream("Hold", locks_pb2.HoldEvent)
    stream.send({
        "ping": locks_pb2.HoldRequest(ping=locks_pb2.HoldPing()),
        "nothing": b"",
        "garbage": b"\xff\xff",
    }[first])
    assert refusal(stream.receive).code == Status.INVALID_ARGUMENT
    assert_goes_on(client)


@pytest.mark.parametrize("second", ["ask", "garbage"])
def test_a_second_ask_ends_the_hold_and_frees_the_lock(client, redis, second):
    stream = client.held("k")
    ask = locks_pb2.HoldRequest(ask=locks_pb2.HoldAsk(key="other"))
    stream.send(ask if second == "ask" else b"\xff\xff")

    def read_to_the_end():
        while stream.receive() is not None:
            pass

    assert refusal(read_to_the_end).code == Status.INVALID_ARGUMENT
    eventually(lambda: not redis.holds("k"), 2)
    assert not redis.holds("other")
    assert_goes_on(client)


def test_two_holds_on_one_connection_exclude_each_other(client):
    stream = client.held("k")
    assert client.hold("k").expect("busy").fence == stream.lease.fence
    assert client.acquire("k").busy.fence == stream.lease.fence
    stream.release()
    client.held("k").release()


def test_a_lease_of_another_connection_cannot_be_guessed_but_released_with_its_token(server):
    one, two = server.connect(), server.connect()
    lease = one.lease("k")
    assert not two.release("k", os.urandom(16))
    assert two.release("k", lease.token)
    assert not one.release("k", lease.token)


def test_pings_before_the_grant_do_no_harm(client):
    """Ask and pings in one packet: granted comes first; each ping after it is answered."""
    stream = client.hold("k")
    for _ in range(3):
        stream.ping()
    stream.expect("granted")
    while stream.has_heard():
        stream.expect("renewed")
    for _ in range(3):
        stream.ping()
        stream.expect("renewed")
    stream.release()


# Other protocols on the same port


def test_http_1_gets_426(server):
    for address in (server.unix, server.tcp):
        client = server.connect(address)
        client.send_raw(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        text = read_all(client)
        assert text.startswith(b"HTTP/1.1 426 "), text
        assert b"\r\n\r\n" in text


def read_all(client):
    data = bytearray()
    while True:
        more = client.sock.recv(65536)
        if not more:
            return bytes(data)
        data += more


@pytest.mark.parametrize(
    "garbage",
    [b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"hello there, server\r\n", b"\xff" * 64,
     b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", struct.pack(">I", 0x01000000) + bytes(60)],
    ids=["tls", "text", "ff", "http2", "huge"],
)
def test_garbage_is_closed(server, garbage):
    client = server.connect(server.tcp)
    client.send_raw(garbage)
    client.wait_closed()
    assert_goes_on(server.connect())


def test_garbage_after_a_good_call_is_closed_and_frees(server, redis):
    client = server.connect()
    client.lease("k")
    client.send_raw(b"\xff" * 100)
    client.wait_closed()
    eventually(lambda: not redis.holds("k"), 3)


def test_a_client_may_connect_early_and_speak_late(redis, start_server):
    """What must go on in time is what was begun: silence is nobody's fault."""
    server = start_server(redis, handshake_timeout="300ms")
    silent, half = server.connect(), server.connect()
    half.send_raw(b"\0\0")
    half.wait_closed(timeout=5)
    assert_goes_on(silent)
