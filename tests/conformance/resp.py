# SPDX-License-Identifier: Apache-2.0
"""A RESP2 client, blocking, just large enough for these tests."""

import socket


class RedisError(Exception):
    """An error reply; the text is Redis' own."""

    @property
    def word(self):
        return str(self).split(" ", 1)[0]


def _bytes(argument):
    if isinstance(argument, bytes):
        return argument
    return str(argument).encode()


class Client:
    """One connection over a unix socket. Error replies are raised, nested ones too."""

    def __init__(self, path, timeout_s=10.0):
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(timeout_s)
        self._socket.connect(path)
        self._reader = self._socket.makefile("rb")

    def close(self):
        self._reader.close()
        self._socket.close()

    def send(self, *arguments):
        parts = [b"*%d\r\n" % len(arguments)]
        for argument in map(_bytes, arguments):
            parts.append(b"$%d\r\n%s\r\n" % (len(argument), argument))
        self._socket.sendall(b"".join(parts))

    def receive(self):
        line = self._reader.readline()
        if not line.endswith(b"\r\n"):
            raise ConnectionError("the server closed the connection")
        kind, rest = line[:1], line[1:-2]
        if kind == b"+":
            return rest
        if kind == b"-":
            raise RedisError(rest.decode())
        if kind == b":":
            return int(rest)
        if kind == b"$":
            return None if rest == b"-1" else self._reader.read(int(rest) + 2)[:-2]
        if kind == b"*":
            return None if rest == b"-1" else [self.receive() for _ in range(int(rest))]
        raise ConnectionError(f"not RESP2: {line!r}")

    def __call__(self, *arguments):
        self.send(*arguments)
        return self.receive()

    def time_us(self):
        seconds, rest_us = self("TIME")
        return int(seconds) * 1_000_000 + int(rest_us)
