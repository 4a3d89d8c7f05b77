# SPDX-License-Identifier: Apache-2.0
"""
A redis-server of the test's own. HOLDFAST_REDIS_SERVER names another program than the redis-server
or valkey-server in PATH.
"""
import contextlib
import os
import shutil
import signal
import socket
import subprocess

from process import Process
from resp import Monitor, Resp, RespError
from waiting import eventually

NAMES = (os.environ.get("HOLDFAST_REDIS_SERVER"), "redis-server", "valkey-server")
PROGRAM = next(filter(None, map(shutil.which, filter(None, NAMES))), None)
PREFIX = "lock:"


def free_port():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


class Redis(Process):
    """On a unix socket, and on a TCP port as well when asked for one. Without persistence."""

    def __init__(self, directory, *arguments, tcp=False, password=None):
        self.directory = directory
        self.directory.mkdir(exist_ok=True)
        self.socket = directory / "redis.sock"
        self.log = directory / "redis.log"
        self.port = free_port() if tcp else 0
        self.arguments = [str(argument) for argument in arguments]
        self.password = password
        self.connection = None
        self.monitors = []
        self.start()

    @property
    def url(self):
        return f"unix://{self.socket}"

    @property
    def tcp_url(self):
        return f"redis://127.0.0.1:{self.port}"

    def start(self):
        assert PROGRAM, "redis-server is not installed"
        command = [PROGRAM, "--port", str(self.port), "--bind", "127.0.0.1", "--save", ""]
        command += ["--appendonly", "no", "--unixsocket", str(self.socket)]
        command += ["--dir", str(self.directory), "--logfile", str(self.log), *self.arguments]
        self.popen = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        eventually(self._answers, what=f"redis-server (see {self.log})")

    def _answers(self):
        assert self.popen.poll() is None, f"redis-server ended: {self.log.read_text()}"
        try:
            self.disconnect()
            return self("PING") == "PONG"
        except (OSError, RespError) as error:
            return "NOAUTH" in str(error)

    def connect(self):
        connection = Resp(path=self.socket)
        if self.password is not None:
            with contextlib.suppress(RespError):
                connection("AUTH", self.password)
        return connection

    def disconnect(self):
        if self.connection is not None:
            self.connection.close()
            self.connection = None

    def __call__(self, *words):
        """One command on the test's own connection."""
        if self.connection is None:
            self.connection = self.connect()
        return self.connection(*words)

    def monitor(self):
        monitor = Monitor(self.connect())
        self.monitors.append(monitor)
        return monitor

    # Locks

    def holds(self, key):
        return self("EXISTS", PREFIX + key) == 1

    def value(self, key):
        return self("GET", PREFIX + key)

    def pttl(self, key):
        return self("PTTL", PREFIX + key)

    def expires_at_ms(self, key):
        """Milliseconds since 1970 on this machine's clock, -2 when the key is gone."""
        return self("PEXPIRETIME", PREFIX + key)

    def freshly_renewed(self, key, ttl_ms):
        """Waits for the moment right after a renewal; the key's expiry, which now stays a while."""

        def expiry():
            return self.expires_at_ms(key) if self.pttl(key) > ttl_ms * 0.95 else None

        return eventually(expiry, ttl_ms / 1000 + 2, f"a renewal of {key}", every=0.001)

    # Faults

    def kill(self):
        self.disconnect()
        super().kill()
        self.socket.unlink(missing_ok=True)

    def restart(self):
        """Killed and started again, empty."""
        if self.is_running():
            self.kill()
        self.start()

    def close(self):
        for monitor in self.monitors:
            with contextlib.suppress(OSError):
                monitor.close()
        self.disconnect()
        if self.is_running():
            self.signal(signal.SIGCONT)
            self.kill()
