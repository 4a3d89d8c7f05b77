# SPDX-License-Identifier: Apache-2.0
"""
Cancel, time out and disconnect at every stage of waiting, between and inside two servers, thousands
of times in random order. HOLDFAST_SEED repeats what is drawn, though not the timing.
"""
import os
import random
import signal
import time

from asking import LIMIT, PERMITS, READERS
from storm import Storm
from waiting import eventually

ASKS = 20_000
EMPTY = ["connections_now", "calls_now", "leases_now", "leases_waiting_now", "redis_operations_now"]
TRACES = ["lock:*", "holdfast:queue:*", "holdfast:entries:*", "holdfast:holders:*"]


def is_at_rest(server):
    """Whether nobody is connected, holds, waits or is being settled."""
    before = len(server.find_events("metrics"))
    server.signal(signal.SIGUSR1)
    metrics = server.wait_event("metrics", count=before + 1)
    return all(metrics[name] == 0 for name in EMPTY)


def traces(redis):
    return [key for pattern in TRACES for key in redis("KEYS", pattern)]


def test_a_storm_leaves_nothing_behind(redis, start_server, actors, figure):
    seed = int(os.environ.get("HOLDFAST_SEED", "0")) or random.randrange(1 << 32)
    print(f"HOLDFAST_SEED={seed}", flush=True)
    servers = [start_server(redis) for _ in range(2)]
    for server in servers:
        server.wait_event("redis.subscribed")
        server.connect().held("warm", wait_ms=5000).release()  # the recovery window is over
        server.close_clients()
    storm = Storm(servers, seed)
    actors.callback(storm.close)
    start = time.monotonic()
    storm.rage(ASKS)
    seconds = time.monotonic() - start
    storm.calm_down(20)
    storm.close()
    told = ", ".join(f"{count} {what}" for what, count in sorted(storm.counts.items()))
    figure(f"seed {seed}, {seconds:.0f} s: {told}")

    for server in servers:
        eventually(lambda: is_at_rest(server), 10, "rest", every=0.05)
    eventually(lambda: not traces(redis), 10, "an empty Redis")
    for server in servers:
        client = server.connect()
        for key in READERS + PERMITS:
            assert client.release(key, client.lease(key).token)
    assert storm.counts["granted"] > ASKS / 10
    assert all(storm.counts[what] for what in ("queued", "busy", "resumed", "lost", "dropped"))
    assert max(storm.ledger.most[key] for key in PERMITS) == LIMIT
