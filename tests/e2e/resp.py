# SPDX-License-Identifier: Apache-2.0
"""A small Redis client: one command, one reply."""
import socket
import threading
import time

from waiting import FACTOR


class RespError(Exception):
    """An error reply; its first word says which."""


class Resp:
    def __init__(self, path=None, port=None, timeout=10 * FACTOR):
        if path is not None:
            self.sock = socket.socket(socket.AF_UNIX)
            self.sock.settimeout(timeout)
            self.sock.connect(str(path))
        else:
            self.sock = socket.create_connection(("127.0.0.1", port), timeout=timeout)
        self.file = self.sock.makefile("rb")

    def close(self):
        self.file.close()
        self.sock.close()

    def send(self, *words):
        parts = [b"*%d\r\n" % len(words)]
        for word in words:
            data = word if isinstance(word, bytes) else str(word).encode()
            parts.append(b"$%d\r\n%s\r\n" % (len(data), data))
        self.sock.sendall(b"".join(parts))

    def reply(self):
        line = self.file.readline()
        if not line.endswith(b"\r\n"):
            raise ConnectionError("Redis closed the connection")
        kind, rest = line[:1], line[1:-2]
        if kind == b"+":
            return rest.decode()
        if kind == b"-":
            raise RespError(rest.decode())
        if kind == b":":
            return int(rest)
        if kind == b"$":
            if int(rest) < 0:
                return None
            return self.file.read(int(rest) + 2)[:-2]
        assert kind == b"*", line
        return None if int(rest) < 0 else [self.reply() for _ in range(int(rest))]

    def __call__(self, *words):
        self.send(*words)
        return self.reply()


class Monitor:
    """What MONITOR shows, from now on: (time.monotonic(), line)."""

    def __init__(self, resp):
        self.resp = resp
        self.lines = []
        assert resp("MONITOR") == "OK"
        resp.sock.settimeout(None)
        self.thread = threading.Thread(target=self._read, daemon=True)
        self.thread.start()

    def _read(self):
        try:
            while True:
                line = self.resp.reply()
                self.lines.append((time.monotonic(), line))
        except (OSError, ValueError, AssertionError):
            return

    def since(self, moment):
        return [line for when, line in list(self.lines) if when >= moment]

    def close(self):
        self.resp.sock.shutdown(socket.SHUT_RDWR)
        self.thread.join()
        self.resp.close()
