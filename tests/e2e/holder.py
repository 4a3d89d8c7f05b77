# SPDX-License-Identifier: Apache-2.0
"""Processes that hold a lock, to be killed, stopped and cut off."""
import ctypes
import multiprocessing
import os
import signal

from process import Process, is_alive
from ttrpc import Client, ConnectionGone
from waiting import FACTOR

CLONE_NEWNET = 0x40000000


def enter_namespace(name):
    libc = ctypes.CDLL(None, use_errno=True)
    with open(f"/run/netns/{name}", "rb") as file:
        if libc.setns(file.fileno(), CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), f"setns {name}")


def hold(pipe, address, key, ttl_ms, method, namespace, fields):
    """The child: tells the parent of its grant, then of every event, until it dies."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if namespace is not None:
        enter_namespace(namespace)
    with Client(address) as client:
        if method == "Acquire":
            lease = client.lease(key, ttl_ms, **fields)
            pipe.send(("granted", lease.fence, lease.token))
            client.wait_closed(timeout=3600)
            return
        stream = client.held(key, ttl_ms, **fields)
        pipe.send(("granted", stream.lease.fence, stream.lease.token))
        try:
            while True:
                kind, _ = stream.next(timeout=3600)
                pipe.send((kind, 0, b""))
                if kind is None:
                    return
        except ConnectionGone:
            pipe.send(("gone", 0, b""))


class Holder(Process):
    """One child process; it holds the lock when the constructor returns."""

    def __init__(self, context, server, key, ttl_ms, address, method, namespace, fields):
        self.pipe, other = context.Pipe(duplex=False)
        address = address or server.unix
        arguments = (other, address, key, ttl_ms, method, namespace, fields)
        self.process = context.Process(target=hold, args=arguments, daemon=True)
        self.process.start()
        other.close()
        kind, self.fence, self.token = self.hear()
        assert kind == "granted", kind
        server.tokens.add(self.token)

    @property
    def pid(self):
        return self.process.pid

    def signal(self, number):
        os.kill(self.pid, number)

    def is_running(self):
        return is_alive(self.pid)

    def hear(self, seconds=10):
        """The next thing that the child reports."""
        assert self.pipe.poll(seconds * FACTOR), "the holder process reports nothing"
        return self.pipe.recv()

    def kill(self):
        """SIGKILL, and back at once."""
        self.signal(signal.SIGKILL)

    def close(self):
        self.process.kill()
        self.process.join()
        self.pipe.close()


class Holders:
    """Starts holders quickly, by forking one that has everything loaded."""

    def __init__(self):
        self.context = multiprocessing.get_context("forkserver")
        self.context.set_forkserver_preload(["holder"])
        self.started = []

    def start(self, server, key, ttl_ms=0, address=None, method="Hold", namespace=None, **fields):
        holder = Holder(self.context, server, key, ttl_ms, address, method, namespace, fields)
        self.started.append(holder)
        return holder

    def close(self):
        for holder in self.started:
            holder.close()
