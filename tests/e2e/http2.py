# SPDX-License-Identifier: Apache-2.0
"""HTTP/2 by hand: frames as a peer may send them, in order or not. Header fields go out as plain
literals, so that a test may put anything into them."""
import contextlib
import socket
import struct
import time

from hpack import Decoder

from waiting import FACTOR

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, \
    CONTINUATION = range(10)
END_STREAM, ACK, END_HEADERS, PADDED = 1, 1, 4, 8
WAIT = 10 * FACTOR

NO_ERROR, PROTOCOL_ERROR, INTERNAL_ERROR, FLOW_CONTROL_ERROR, SETTINGS_TIMEOUT, STREAM_CLOSED, \
    FRAME_SIZE_ERROR, REFUSED_STREAM, CANCEL, COMPRESSION_ERROR, CONNECT_ERROR, \
    ENHANCE_YOUR_CALM = range(12)


class Closed(Exception):
    """The server has closed the connection."""


def frame(kind, flags=0, stream=0, payload=b""):
    return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload


def message(payload):
    return struct.pack(">BI", 0, len(payload)) + payload


def integer(value, bits):
    """HPACK's integer; the bits before it are 0."""
    limit = (1 << bits) - 1
    if value < limit:
        return bytes([value])
    out, value = [limit], value - limit
    while value >= 128:
        out.append(value % 128 + 128)
        value //= 128
    return bytes([*out, value])


def literal(name, value):
    """A field that enters no table."""
    out = b"\x00"
    for text in (name, value):
        text = text if isinstance(text, bytes) else text.encode()
        out += integer(len(text), 7) + text
    return out


def fields_of(path, timeout=None, **more):
    fields = {
        ":method": "POST", ":scheme": "http", ":path": path, ":authority": "localhost",
        "content-type": "application/grpc", "te": "trailers",
    }
    if timeout is not None:
        fields["grpc-timeout"] = timeout
    fields.update({name.replace("_", "-"): value for name, value in more.items()})
    return fields


def block(fields):
    return b"".join(literal(name, value) for name, value in fields.items() if value is not None)


class Http2:
    def __init__(self, sock, greet=True):
        self.sock = sock
        self.sock.settimeout(WAIT)
        self.decoder = Decoder()
        self.buffer = b""
        self.headers = {}  # of each stream: fields, trailers included
        self.data = {}
        self.resets = {}
        self.ended = set()
        self.goaways = []
        self.pongs = 0
        if greet:
            self.send(PREFACE + frame(SETTINGS))

    def send(self, data):
        self.sock.sendall(data)

    def call(self, stream, path, payload=None, end=True, **more):
        """A request; without a payload only its header."""
        flags = END_HEADERS | (END_STREAM if end and payload is None else 0)
        out = frame(HEADERS, flags, stream, block(fields_of(path, **more)))
        if payload is not None:
            out += frame(DATA, END_STREAM if end else 0, stream, message(payload))
        self.send(out)

    def _fill(self, size, deadline):
        while len(self.buffer) < size:
            self.sock.settimeout(max(0.001, deadline - time.monotonic()))
            try:
                more = self.sock.recv(65536)
            except ConnectionError as error:
                raise Closed from error
            if not more:
                raise Closed
            self.buffer += more

    def receive(self, seconds=WAIT):
        """The next frame: (kind, flags, stream, payload). Keeps what it means."""
        deadline = time.monotonic() + seconds
        self._fill(9, deadline)
        length = int.from_bytes(self.buffer[:3], "big")
        kind, flags, stream = struct.unpack(">BBI", self.buffer[3:9])
        self._fill(9 + length, deadline)
        payload, self.buffer = self.buffer[9 : 9 + length], self.buffer[9 + length :]
        self._keep(kind, flags, stream, payload)
        return kind, flags, stream, payload

    def _keep(self, kind, flags, stream, payload):
        if kind == HEADERS:
            self.headers.setdefault(stream, {}).update(self.decoder.decode(payload))
        elif kind == DATA:
            self.data[stream] = self.data.get(stream, b"") + payload
        elif kind == RST_STREAM:
            self.resets[stream] = int.from_bytes(payload, "big")
        elif kind == GOAWAY:
            self.goaways.append(struct.unpack(">II", payload[:8]))
        elif kind == PING and flags & ACK:
            self.pongs += 1
        elif kind == SETTINGS and not flags & ACK:
            with contextlib.suppress(OSError):  # what it has sent before it closed counts
                self.send(frame(SETTINGS, ACK))
        if kind in (HEADERS, DATA) and flags & END_STREAM:
            self.ended.add(stream)

    def until(self, condition, seconds=WAIT):
        """Reads until the condition holds."""
        deadline = time.monotonic() + seconds
        while not condition():
            self.receive(deadline - time.monotonic())

    def answer(self, stream, seconds=WAIT):
        """The fields of a whole answer."""
        self.until(lambda: stream in self.ended or stream in self.resets, seconds)
        return self.headers.get(stream, {})

    def ping(self):
        """A ping comes back: the connection is in order."""
        pongs = self.pongs
        self.send(frame(PING, payload=b"12345678"))
        self.until(lambda: self.pongs > pongs)

    def end(self, seconds=WAIT):
        """The error of the GOAWAY with which the server closes; None: it closes without one."""
        try:
            self.until(lambda: False, seconds)
        except Closed:
            return self.goaways[-1][1] if self.goaways else None


def dial(server):
    host, port = server.tcp.removeprefix("tcp://").split(":")
    return socket.create_connection((host, int(port)))
