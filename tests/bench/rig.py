# SPDX-License-Identifier: Apache-2.0
"""What a measurement runs against: one Redis, some holdfastd, and for the competitor an etcd."""
import contextlib
import pathlib
import shutil
import socket
import subprocess
import tempfile

from process import Process
from redis_server import Redis, free_port
from server import BIN_DIR, Server
from waiting import eventually

BENCH = BIN_DIR / "bench"
CLIENTS_MAX = 18000


class Rig:
    """Entered it runs; afterwards everything is gone at once, however much it held."""

    def __init__(self, servers=1, **options):
        self.options = {"max_connections": CLIENTS_MAX, "max_leases": 1_100_000, **options}
        self.server_count = servers
        self.servers = []

    def __enter__(self):
        self.directory = tempfile.TemporaryDirectory(prefix="hf-")
        home = pathlib.Path(self.directory.name)
        self.redis = Redis(home / "redis", "--maxclients", CLIENTS_MAX, tcp=True)
        for number in range(self.server_count):
            self.servers.append(Server(home / f"server{number}", self.redis, **self.options))
        return self

    def __exit__(self, *_):
        for server in self.servers:
            server.kill()
        self.redis.close()
        self.directory.cleanup()

    @property
    def sockets(self):
        return [server.socket for server in self.servers]

    @property
    def processes(self):
        return {"redis": [self.redis.pid], "server": [server.pid for server in self.servers]}

    def holdfast(self, mix, connections, seconds, *words):
        return [BENCH, "ttrpc", mix, connections, seconds, *words, *self.sockets]

    def grpc(self, mix, connections, seconds, *words):
        return [BENCH, "grpc", mix, connections, seconds, *words, *self.sockets]

    def direct(self, mix, connections, seconds, *words):
        return [BENCH, "redis", mix, connections, seconds, *words, self.redis.socket]


class Etcd(Process):
    """As Debian packages it, with its defaults, keeping its log on disk as etcd does."""

    PROGRAM = shutil.which("etcd")

    def __enter__(self):
        self.directory = tempfile.TemporaryDirectory(prefix="hf-")
        client, peer = free_port(), free_port()
        self.address = f"127.0.0.1:{client}"
        self.popen = subprocess.Popen(
            [
                self.PROGRAM, "--data-dir", self.directory.name,
                "--listen-client-urls", f"http://{self.address}",
                "--advertise-client-urls", f"http://{self.address}",
                "--listen-peer-urls", f"http://127.0.0.1:{peer}",
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        eventually(lambda: self._listens(client), what="etcd to listen")
        return self

    def _listens(self, port):
        assert self.popen.poll() is None, "etcd ended"
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return True
        return False

    def __exit__(self, *_):
        self.kill()
        self.directory.cleanup()
