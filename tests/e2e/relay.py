# SPDX-License-Identifier: Apache-2.0
"""A way to a server that can be broken, or fall silent with both ends none the wiser."""
import contextlib
import select
import socket
import threading

CHUNK = 65536


class Relay:
    """Passes on what comes over its unix socket. Who connects again after a break gets through."""

    def __init__(self, path, server_path):
        self.url = f"unix://{path}"
        self.server_path = str(server_path)
        self.lock = threading.Lock()
        self.is_passing = threading.Event()
        self.is_passing.set()
        self.pairs = []
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(str(path))
        self.listener.listen()
        self.is_open = True
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        with contextlib.suppress(OSError):
            while self.is_open:
                client, _ = self.listener.accept()
                server = socket.socket(socket.AF_UNIX)
                try:
                    server.connect(self.server_path)
                except OSError:
                    client.close()
                    continue
                with self.lock:
                    self.pairs.append((client, server))
                threading.Thread(target=self._pass_on, args=[client, server], daemon=True).start()

    def _pass_on(self, client, server):
        others = {client: server, server: client}
        with client, server, contextlib.suppress(OSError):
            while self.is_passing.wait():
                for sock in select.select(list(others), [], [])[0]:
                    self.is_passing.wait()
                    data = sock.recv(CHUNK)
                    if not data:
                        return
                    others[sock].sendall(data)

    def freeze(self):
        """From now on nothing is passed on."""
        self.is_passing.clear()

    def thaw(self):
        self.is_passing.set()

    def kill(self):
        """Breaks every connection; what was held back is gone."""
        with self.lock:
            for pair in self.pairs:
                for sock in pair:
                    with contextlib.suppress(OSError):
                        sock.shutdown(socket.SHUT_RDWR)
            self.pairs.clear()
        self.thaw()

    def close(self):
        self.is_open = False
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.kill()
