# SPDX-License-Identifier: Apache-2.0
"""The tests' own ttRPC client, against a scripted peer: a wrong tool would prove nothing."""
import socket
import threading

import pytest
import ttrpc_pb2
from holdfast.v1 import locks_pb2

from ttrpc import (
    DATA, HEADER, NO_DATA, REMOTE_CLOSED, REMOTE_OPEN, REQUEST, RESPONSE, Client, ConnectionGone,
    RpcError, Status,
)


class Peer:
    """Accepts one connection and runs a script on it: script(peer) in a thread."""

    def __init__(self, path, script):
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(str(path))
        self.listener.listen()
        self.error = None
        self.thread = threading.Thread(target=self._run, args=[script])
        self.thread.start()

    def _run(self, script):
        self.sock, _ = self.listener.accept()
        try:
            script(self)
        except Exception as error:  # shown by the test's thread
            self.error = error
        finally:
            self.sock.close()

    def read(self, size):
        data = b""
        while len(data) < size:
            more = self.sock.recv(size - len(data))
            assert more, "the client closed"
            data += more
        return data

    def frame(self):
        length, stream_id, frame_type, flags = HEADER.unpack(self.read(HEADER.size))
        return stream_id, frame_type, flags, self.read(length)

    def send(self, stream_id, frame_type, flags, data):
        self.sock.sendall(HEADER.pack(len(data), stream_id, frame_type, flags) + data)

    def respond(self, stream_id, message=None, code=0, text=""):
        response = ttrpc_pb2.Response()
        if code:
            response.status.code, response.status.message = code, text
        if message is not None:
            response.payload = message.SerializeToString()
        self.send(stream_id, RESPONSE, 0, response.SerializeToString())

    def join(self):
        self.thread.join()
        self.listener.close()
        if self.error is not None:
            raise self.error


@pytest.fixture
def against(directory):
    """against(script): a Client whose peer runs the script."""
    made = []

    def connect(script):
        path = directory / "peer.sock"
        made.append(Peer(path, script))
        made.append(Client(f"unix://{path}"))
        return made[1]

    yield connect
    for one in reversed(made):
        (one.close if isinstance(one, Client) else one.join)()


def lease(fence):
    return locks_pb2.AcquireResponse(lease=locks_pb2.Lease(key="k", token=b"t" * 16, fence=fence))


def test_a_unary_call(against):
    def script(peer):
        stream_id, frame_type, flags, data = peer.frame()
        request = ttrpc_pb2.Request.FromString(data)
        assert (stream_id, frame_type, flags) == (1, REQUEST, 0)
        assert (request.service, request.method) == ("holdfast.v1.Locks", "Acquire")
        assert request.timeout_nano == 1_500_000_000
        assert locks_pb2.AcquireRequest.FromString(request.payload).ttl_ms == 700
        peer.respond(1, lease(7))

    tokens = []
    client = against(script)
    client.on_token = tokens.append
    assert client.acquire("k", ttl_ms=700, timeout_s=1.5).lease.fence == 7
    assert tokens == [b"t" * 16]


def test_an_error_status(against):
    def script(peer):
        peer.frame()
        peer.respond(1, code=14, text="Redis is away")

    with pytest.raises(RpcError, match="UNAVAILABLE: Redis is away") as caught:
        against(script).acquire("k")
    assert caught.value.code == Status.UNAVAILABLE


def test_answers_out_of_order_and_in_small_pieces(against):
    def script(peer):
        ids = [peer.frame()[0] for _ in range(3)]
        assert ids == [1, 3, 5]
        for stream_id in reversed(ids):
            data = ttrpc_pb2.Response(payload=lease(stream_id).SerializeToString()).SerializeToString()
            for byte in HEADER.pack(len(data), stream_id, RESPONSE, 0) + data:
                peer.sock.sendall(bytes([byte]))

    client = against(script)
    calls = [client.start_acquire(f"k{i}") for i in range(3)]
    assert [call.result().lease.fence for call in calls] == [1, 3, 5]


def test_a_second_answer_is_noticed(against):
    def script(peer):
        peer.frame()
        peer.respond(1, lease(1))
        peer.respond(1, lease(2))
        peer.frame()

    client = against(script)
    client.acquire("k")
    with pytest.raises(AssertionError, match="after the end"):
        client.acquire("k")


def test_a_stream(against):
    def script(peer):
        assert peer.frame()[:3] == (1, REQUEST, REMOTE_OPEN)
        _, frame_type, flags, data = peer.frame()
        assert (frame_type, flags) == (DATA, 0)
        assert locks_pb2.HoldRequest.FromString(data).ask.key == "k"
        peer.send(1, DATA, 0, locks_pb2.HoldEvent(granted=lease(9).lease).SerializeToString())
        peer.frame()
        event = locks_pb2.HoldEvent(renewed=locks_pb2.HoldRenewed(valid_for_ms=5))
        peer.send(1, DATA, 0, event.SerializeToString())
        assert peer.frame() == (1, DATA, REMOTE_CLOSED | NO_DATA, b"")
        event = locks_pb2.HoldEvent(released=locks_pb2.HoldReleased())
        peer.send(1, DATA, 0, event.SerializeToString())
        peer.respond(1)

    stream = against(script).held("k")
    assert stream.lease.fence == 9
    stream.ping()
    assert stream.expect("renewed").valid_for_ms == 5
    stream.release()


def test_a_stream_that_fails(against):
    def script(peer):
        peer.frame()
        peer.frame()
        peer.respond(1, code=3, text="key: empty")

    with pytest.raises(RpcError, match="key: empty"):
        against(script).held("")


def test_a_closed_connection(against):
    client = against(lambda peer: peer.frame())
    with pytest.raises(ConnectionGone):
        client.acquire("k")
    assert not client.is_open()


def test_silence_is_a_timeout(against):
    def script(peer):
        peer.frame()
        peer.sock.recv(1)

    client = against(script)
    with pytest.raises(TimeoutError):
        client.start_acquire("k").result(timeout=0.05)
    assert client.is_open()
