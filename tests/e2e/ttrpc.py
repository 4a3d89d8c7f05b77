# SPDX-License-Identifier: Apache-2.0
"""A small synchronous ttRPC client, with the raw frames within reach for hostile tests.

One thread, one socket: whoever waits for a stream reads frames and keeps those of other streams
for later. Protocol: https://github.com/containerd/ttrpc/blob/main/PROTOCOL.md
"""
import collections
import enum
import socket
import ssl
import struct
import time
import urllib.parse

import ttrpc_pb2
from holdfast.v1 import locks_pb2

from waiting import FACTOR

REQUEST, RESPONSE, DATA = 1, 2, 3
REMOTE_CLOSED, REMOTE_OPEN, NO_DATA = 1, 2, 4
HEADER = struct.Struct(">IIBB")
DATA_MAX = 4 << 20
LOCKS = "holdfast.v1.Locks"
WAIT = 10 * FACTOR


class Status(enum.IntEnum):
    OK = 0
    CANCELLED = 1
    UNKNOWN = 2
    INVALID_ARGUMENT = 3
    DEADLINE_EXCEEDED = 4
    NOT_FOUND = 5
    ALREADY_EXISTS = 6
    PERMISSION_DENIED = 7
    RESOURCE_EXHAUSTED = 8
    FAILED_PRECONDITION = 9
    ABORTED = 10
    OUT_OF_RANGE = 11
    UNIMPLEMENTED = 12
    INTERNAL = 13
    UNAVAILABLE = 14
    DATA_LOSS = 15
    UNAUTHENTICATED = 16


class RpcError(Exception):
    def __init__(self, code, message):
        super().__init__(f"{Status(code).name}: {message}")
        self.code = Status(code)
        self.message = message


class ConnectionGone(Exception):
    """The peer closed the connection, or it broke."""


Frame = collections.namedtuple("Frame", "stream_id type flags data")


def dial(address, context=None, server_name="localhost", timeout=WAIT):
    """A connected socket for unix:///PATH, tcp://HOST:PORT or tls://HOST:PORT."""
    url = urllib.parse.urlsplit(address)
    if url.scheme == "unix":
        sock = socket.socket(socket.AF_UNIX)
        sock.settimeout(timeout)
        sock.connect(url.path)
    else:
        sock = socket.create_connection((url.hostname, url.port), timeout=timeout)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if url.scheme == "tls":
        sock = (context or ssl.create_default_context()).wrap_socket(
            sock, server_hostname=server_name
        )
    return sock


class Connection:
    def __init__(self, address, context=None, timeout=WAIT):
        self.address = address
        self.sock = dial(address, context, timeout=timeout)
        self.next_id = 1
        self.buffer = bytearray()
        self.is_gone = False
        self.waiting = {}  # stream id -> frames not yet asked for
        self.ended = set()  # streams whose end has been seen

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.sock.close()

    # Frames

    def send_raw(self, data):
        try:
            self.sock.settimeout(WAIT)
            self.sock.sendall(data)
        except (ConnectionError, ssl.SSLError) as error:
            raise ConnectionGone(str(error)) from error

    def send_frame(self, stream_id, frame_type, flags, data=b""):
        self.send_raw(HEADER.pack(len(data), stream_id, frame_type, flags) + data)

    def _read_more(self, end):
        """Reads what is there; waits for it until `end`."""
        try:
            self.sock.settimeout(max(0.0, end - time.monotonic()))
            data = self.sock.recv(1 << 16)
        except (BlockingIOError, ssl.SSLWantReadError, TimeoutError):
            raise TimeoutError("no frame arrived in time") from None
        except (ConnectionError, ssl.SSLError) as error:
            self.is_gone = True
            raise ConnectionGone(str(error)) from error
        if not data:
            self.is_gone = True
            raise ConnectionGone("end of stream")
        self.buffer += data

    def receive_frame(self, timeout=WAIT):
        """The next frame, whatever stream it belongs to."""
        end = time.monotonic() + timeout
        while True:
            if len(self.buffer) >= HEADER.size:
                length, stream_id, frame_type, flags = HEADER.unpack_from(self.buffer)
                if len(self.buffer) >= HEADER.size + length:
                    data = bytes(self.buffer[HEADER.size : HEADER.size + length])
                    del self.buffer[: HEADER.size + length]
                    return Frame(stream_id, frame_type, flags, data)
            self._read_more(end)

    def frame_of(self, stream_id, timeout=WAIT):
        """The next frame of one stream."""
        end = time.monotonic() + timeout
        while True:
            queue = self.waiting.get(stream_id)
            if queue:
                return queue.popleft()
            self._keep(self.receive_frame(max(0.0, end - time.monotonic())))

    def _keep(self, frame):
        assert frame.stream_id not in self.ended, f"a frame after the end of its stream: {frame}"
        if frame.type == RESPONSE:
            self.ended.add(frame.stream_id)
        self.waiting.setdefault(frame.stream_id, collections.deque()).append(frame)

    def wait_closed(self, timeout=WAIT):
        """Reads until the peer has closed; fails if it does not in time."""
        end = time.monotonic() + timeout
        try:
            while True:
                self.buffer.clear()
                self._read_more(end)
        except ConnectionGone:
            return

    def is_open(self):
        """Whether the peer has not closed yet. Keeps what arrived."""
        if self.is_gone:
            return False
        try:
            while True:
                self._read_more(time.monotonic())
        except TimeoutError:
            return True
        except ConnectionGone:
            return False

    # Calls

    def take_id(self):
        stream_id = self.next_id
        self.next_id += 2
        return stream_id

    def request_bytes(self, method, payload, timeout_s=None, service=LOCKS):
        request = ttrpc_pb2.Request(service=service, method=method, payload=payload)
        if timeout_s is not None:
            request.timeout_nano = int(timeout_s * 1e9)
        return request.SerializeToString()

    def start(self, method, message, answer, timeout_s=None, service=LOCKS):
        """Sends a unary call; read it with Call.result()."""
        payload = message if isinstance(message, bytes) else message.SerializeToString()
        stream_id = self.take_id()
        self.send_frame(stream_id, REQUEST, 0, self.request_bytes(method, payload, timeout_s, service))
        return Call(self, stream_id, answer)

    def open_stream(self, method, event, timeout_s=None, service=LOCKS, payload=b""):
        stream_id = self.take_id()
        self.send_frame(
            stream_id, REQUEST, REMOTE_OPEN, self.request_bytes(method, payload, timeout_s, service)
        )
        return Stream(self, stream_id, event)


class Call:
    """One unary call on its way."""

    def __init__(self, connection, stream_id, answer):
        self.connection = connection
        self.stream_id = stream_id
        self.answer = answer

    def result(self, timeout=WAIT):
        frame = self.connection.frame_of(self.stream_id, timeout)
        assert frame.type == RESPONSE, f"a unary call was answered with {frame}"
        return parse_response(frame, self.answer)


def parse_response(frame, answer):
    response = ttrpc_pb2.Response.FromString(frame.data)
    if response.status.code != 0:
        raise RpcError(response.status.code, response.status.message)
    return answer.FromString(response.payload)


class Stream:
    """One streaming call. receive() returns None at its end."""

    def __init__(self, connection, stream_id, event):
        self.connection = connection
        self.stream_id = stream_id
        self.event = event
        self.is_ended = False

    def send(self, message):
        data = message if isinstance(message, bytes) else message.SerializeToString()
        self.connection.send_frame(self.stream_id, DATA, 0, data)

    def close_send(self):
        self.connection.send_frame(self.stream_id, DATA, REMOTE_CLOSED | NO_DATA)

    def receive(self, timeout=WAIT):
        if self.is_ended:
            return None
        frame = self.connection.frame_of(self.stream_id, timeout)
        if frame.type == RESPONSE:
            self.is_ended = True
            parse_response(frame, self.event)
            return None
        assert frame.type == DATA, f"unexpected {frame}"
        if frame.flags & REMOTE_CLOSED:
            self.is_ended = True
        if frame.flags & NO_DATA:
            return None
        return self.event.FromString(frame.data)


class Client(Connection):
    """The Locks service. `on_token` hears of every token that is granted."""

    def __init__(self, address, context=None, timeout=WAIT, on_token=lambda token: None):
        super().__init__(address, context, timeout)
        self.on_token = on_token

    def start_acquire(self, key, ttl_ms=0, timeout_s=None, **fields):
        request = locks_pb2.AcquireRequest(key=key, ttl_ms=ttl_ms, **fields)
        return self.start("Acquire", request, locks_pb2.AcquireResponse, timeout_s)

    def acquire(self, key, ttl_ms=0, timeout_s=None, wait=WAIT, **fields):
        """An AcquireResponse: its lease or its busy is set."""
        response = self.start_acquire(key, ttl_ms, timeout_s, **fields).result(wait)
        if response.HasField("lease"):
            self.on_token(response.lease.token)
        return response

    def lease(self, key, ttl_ms=0, **fields):
        """A Lease; fails when the lock is busy."""
        response = self.acquire(key, ttl_ms, **fields)
        assert response.HasField("lease"), f"{key} is busy: {response.busy}"
        return response.lease

    def start_release(self, key, token):
        request = locks_pb2.ReleaseRequest(key=key, token=token)
        return self.start("Release", request, locks_pb2.ReleaseResponse)

    def release(self, key, token):
        """True: it was held with this token. False: it was not."""
        outcome = self.start_release(key, token).result().outcome
        assert outcome in (1, 2), outcome
        return outcome == locks_pb2.ReleaseResponse.OUTCOME_RELEASED

    def renew(self, key, token, ttl_ms=0):
        """A Lease, or None when it is not held."""
        request = locks_pb2.RenewRequest(key=key, token=token, ttl_ms=ttl_ms)
        response = self.start("Renew", request, locks_pb2.RenewResponse).result()
        return response.lease if response.HasField("lease") else None

    def inspect(self, key):
        """A Holder, or None when the lock is free."""
        request = locks_pb2.InspectRequest(key=key)
        response = self.start("Inspect", request, locks_pb2.InspectResponse).result()
        assert response.WhichOneof("state") is not None
        return response.held if response.HasField("held") else None

    def resume(self, key, token, ttl_ms=0, **fields):
        """A Lease, or None when it is gone."""
        request = locks_pb2.ResumeRequest(key=key, token=token, ttl_ms=ttl_ms, **fields)
        response = self.start("Resume", request, locks_pb2.ResumeResponse).result()
        return response.lease if response.HasField("lease") else None

    def watch(self, key):
        """A stream of WatchEvents; the first one is not read yet."""
        payload = locks_pb2.WatchRequest(key=key).SerializeToString()
        return self.open_stream("Watch", locks_pb2.WatchEvent, payload=payload)

    def hold(self, key, ttl_ms=0, **fields):
        """Starts a Hold; the first event is not read yet."""
        stream = HoldStream(self, self.open_stream("Hold", locks_pb2.HoldEvent).stream_id)
        stream.send(locks_pb2.HoldRequest(ask=locks_pb2.HoldAsk(key=key, ttl_ms=ttl_ms, **fields)))
        return stream

    def held(self, key, ttl_ms=0, **fields):
        """A Hold that has been granted; the lease is its attribute."""
        stream = self.hold(key, ttl_ms, **fields)
        stream.lease = stream.expect("granted")
        return stream


class HoldStream(Stream):
    def __init__(self, connection, stream_id):
        super().__init__(connection, stream_id, locks_pb2.HoldEvent)
        self.lease = None

    def ping(self):
        self.send(locks_pb2.HoldRequest(ping=locks_pb2.HoldPing()))

    def next(self, timeout=WAIT):
        """(kind, event) of the next event, or (None, None) at the end."""
        event = self.receive(timeout)
        if event is None:
            return None, None
        kind = event.WhichOneof("event")
        if kind == "granted":
            self.connection.on_token(event.granted.token)
        return kind, getattr(event, kind)

    def expect(self, kind, timeout=WAIT):
        found, event = self.next(timeout)
        while found == "queued" and kind != "queued":
            found, event = self.next(timeout)
        assert found == kind, f"expected {kind}, heard {found}: {event}"
        return event

    def has_heard(self):
        """Whether an event waits to be read."""
        if self.connection.waiting.get(self.stream_id):
            return True
        try:
            while True:
                self.connection._keep(self.connection.receive_frame(0))
                if self.connection.waiting.get(self.stream_id):
                    return True
        except TimeoutError:
            return False

    def release(self):
        self.close_send()
        self.expect("released")
        assert self.receive() is None
