# SPDX-License-Identifier: Apache-2.0
"""A private redis-server or valkey-server on a unix socket in a temporary directory."""

import os
import shutil
import signal
import subprocess
import tempfile
import time

from resp import Client, RedisError

START_TIMEOUT_S = 20.0


def find_program():
    names = (os.environ.get("HOLDFAST_REDIS_SERVER"), "redis-server", "valkey-server")
    for name in filter(None, names):
        path = shutil.which(name)
        if path:
            return path
    raise RuntimeError("install the package redis-server or valkey-server")


class Server:
    def __init__(self, *options):
        self._directory = tempfile.mkdtemp(prefix="hf-", dir="/tmp")
        self.socket = os.path.join(self._directory, "redis.sock")
        self._options = options
        self._process = None
        self.start()

    def start(self):
        arguments = [find_program(), "--port", "0", "--unixsocket", self.socket, "--save", "",
                     "--appendonly", "no", "--dir", self._directory, "--loglevel", "warning",
                     *self._options]
        self._process = subprocess.Popen(arguments, stdout=subprocess.DEVNULL)
        deadline = time.monotonic() + START_TIMEOUT_S
        while not self._answers():
            if time.monotonic() > deadline or self._process.poll() is not None:
                raise RuntimeError(f"{arguments[0]} does not answer")

    def _answers(self):
        try:
            client = self.connect()
        except OSError:
            return False
        try:
            return client("PING") == b"PONG"
        except (OSError, RedisError):
            return False
        finally:
            client.close()

    def connect(self):
        return Client(self.socket)

    def stop(self):
        """Returns when the process is stopped."""
        self._process.send_signal(signal.SIGSTOP)
        os.waitpid(self._process.pid, os.WUNTRACED)

    def resume(self):
        self._process.send_signal(signal.SIGCONT)

    def kill(self):
        self._process.kill()
        self._process.wait()

    def close(self):
        self.kill()
        shutil.rmtree(self._directory)
