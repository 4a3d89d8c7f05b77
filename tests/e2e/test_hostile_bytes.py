# SPDX-License-Identifier: Apache-2.0
"""
Thousands of connections that say what no client says: good conversations that are cut off anywhere,
changed at random, or random from the first byte on, in pieces of any size. HOLDFAST_SEED repeats them.
"""
import contextlib
import os
import random
import signal
import time

import pytest
from holdfast.v1 import locks_pb2

from ttrpc import DATA, HEADER, NO_DATA, REMOTE_CLOSED, REMOTE_OPEN, REQUEST, dial
from waiting import always, eventually

CONNECTIONS = 10_000


def frame(stream_id, kind, flags, data=b""):
    return HEADER.pack(len(data), stream_id, kind, flags) + data


@pytest.fixture
def conversation(client):
    """A bit of everything that a good client says."""

    def request(stream_id, flags, method, payload):
        payload = payload.SerializeToString() if payload else b""
        return frame(stream_id, REQUEST, flags, client.request_bytes(method, payload, timeout_s=5))

    ask = locks_pb2.HoldAsk(key="held", label="somebody", value=b"v" * 40, wait_ms=50)
    said = [
        request(1, 0, "Acquire", locks_pb2.AcquireRequest(key="k", ttl_ms=2000, label="l" * 20)),
        request(3, REMOTE_OPEN, "Hold", None),
        frame(3, DATA, 0, locks_pb2.HoldRequest(ask=ask).SerializeToString()),
        frame(3, DATA, 0, locks_pb2.HoldRequest(ping=locks_pb2.HoldPing()).SerializeToString()),
        request(5, 0, "Acquire", locks_pb2.AcquireRequest(keys=["x", "y", "z"], wait_ms=20)),
        request(7, REMOTE_OPEN, "Watch", locks_pb2.WatchRequest(key="k")),
        request(9, 0, "Renew", locks_pb2.RenewRequest(key="k", token=b"t" * 16)),
        request(11, 0, "Inspect", locks_pb2.InspectRequest(key="k")),
        frame(3, DATA, REMOTE_CLOSED | NO_DATA),
    ]
    return b"".join(said)


def spoilt(rng, conversation):
    """What one connection says."""
    kind = rng.randrange(4)
    if kind == 0:
        return rng.randbytes(rng.randrange(1, 200))
    if kind == 1:
        return conversation[: rng.randrange(1, len(conversation))]
    data = bytearray(conversation)
    for _ in range(rng.choice([1, 1, 2, 5, 20])):
        at = rng.randrange(len(data))
        if kind == 2:
            data[at] = rng.choice([0, 1, 0x7F, 0x80, 0xFF, data[at] ^ (1 << rng.randrange(8))])
        else:
            data[at:at + rng.randrange(3)] = rng.randbytes(rng.randrange(3))
    return bytes(data)


def say(rng, address, data):
    """In pieces or at once; then hangs up, after a look at the answers or before."""
    with contextlib.closing(dial(address)) as sock, contextlib.suppress(OSError):
        sock.settimeout(1)
        size = rng.choice([len(data), len(data), 100, 7] + [1] * (rng.random() < 0.1))
        for at in range(0, len(data), size):
            sock.sendall(data[at:at + size])
        if rng.random() < 0.3:
            sock.settimeout(0.02)
            sock.recv(65536)


def is_at_rest(server):
    """Leases may be left: some of what was said asks for a grace, or for a lock to be left behind."""
    before = len(server.find_events("metrics"))
    server.signal(signal.SIGUSR1)
    metrics = server.wait_event("metrics", count=before + 1)
    return metrics["connections_now"] == 1 and metrics["calls_now"] == 0


def test_nothing_that_is_said_does_harm(server, client, conversation, figure):
    seed = int(os.environ.get("HOLDFAST_SEED", "0")) or random.randrange(1 << 32)
    print(f"HOLDFAST_SEED={seed}", flush=True)
    rng = random.Random(seed)
    start = time.monotonic()
    for _ in range(CONNECTIONS):
        say(rng, rng.choice([server.unix, server.tcp]), spoilt(rng, conversation))
    assert client.inspect("free") is None
    eventually(lambda: is_at_rest(server), 10, "rest", every=0.05)
    figure(f"seed {seed}: {CONNECTIONS} connections in {time.monotonic() - start:.0f} s")


def test_what_is_said_is_good_as_it_is(server, client, conversation):
    """Or the other test would only say nonsense."""
    other = server.connect()
    other.send_raw(conversation)
    kinds = {stream_id: other.frame_of(stream_id).type for stream_id in (1, 3, 5, 7, 9, 11)}
    assert kinds == {1: 2, 3: 3, 5: 2, 7: 3, 9: 2, 11: 2}
    always(client.is_open, 0.1)
