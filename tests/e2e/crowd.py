# SPDX-License-Identifier: Apache-2.0
"""A process with a great many connections, each of which holds a few locks, to be killed as a whole."""
import resource
import selectors
import subprocess
import sys

from process import Process
from ttrpc import Client

TTL_MS = 3000


class Crowd(Process):
    """All locks are held when the constructor returns. What is heard after that is a loss."""

    def __init__(self, server, connections, locks):
        self.popen = subprocess.Popen(
            [sys.executable, __file__, server.unix, str(connections), str(locks)],
            stdout=subprocess.PIPE,
            text=True,
        )
        held = self.popen.stdout.readline()
        assert held == "held\n", f"the crowd did not get its locks: {held!r}"

    def has_heard(self):
        with selectors.DefaultSelector() as selector:
            selector.register(self.popen.stdout, selectors.EVENT_READ)
            return bool(selector.select(0))

    def close(self):
        if self.is_running():
            self.kill()
        self.popen.stdout.close()


def main(address, connections, locks):
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    clients = [Client(address) for _ in range(int(connections))]
    for number, client in enumerate(clients):
        streams = [client.hold(f"{number}-{i}", TTL_MS) for i in range(int(locks))]
        for stream in streams:
            stream.expect("granted")
    print("held", flush=True)
    with selectors.DefaultSelector() as selector:
        for client in clients:
            selector.register(client.sock, selectors.EVENT_READ)
        while True:
            for key, _ in selector.select():
                print("heard", key.fileobj.recv(4096), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
