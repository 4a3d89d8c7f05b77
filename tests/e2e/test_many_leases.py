# SPDX-License-Identifier: Apache-2.0
"""Ten thousand leases on a thousand connections: none is lost while they live, all go when they die."""
import time

import pytest

from crowd import TTL_MS, Crowd
from process import cpu_seconds
from waiting import always, eventually

CONNECTIONS, LOCKS = 1000, 10
SECONDS = 30


@pytest.fixture
def crowd(server, actors):
    crowd = Crowd(server, CONNECTIONS, LOCKS)
    actors.callback(crowd.close)
    return crowd


def keys_of_locks(redis):
    return redis("DBSIZE") - len(redis("KEYS", "holdfast:*"))


def test_ten_thousand_leases(server, redis, crowd, figure):
    """With a ttl of 3 s, for ten of them, each is renewed in time and keeps its fence."""
    held = CONNECTIONS * LOCKS
    assert keys_of_locks(redis) == held
    keys = [f"lock:{number}-0" for number in range(CONNECTIONS)]
    fences = [record[34:42] for record in redis("MGET", *keys)]
    used, started = cpu_seconds(server.pid), time.monotonic()
    always(lambda: redis("DBSIZE") >= held and not crowd.has_heard(), SECONDS, "holding", every=0.1)
    used = (cpu_seconds(server.pid) - used) / (time.monotonic() - started)
    assert keys_of_locks(redis) == held
    assert [record[34:42] for record in redis("MGET", *keys)] == fences
    assert not server.find_events("lease.lost")

    killed = time.monotonic()
    crowd.kill()
    eventually(lambda: keys_of_locks(redis) == 0, 10, "freeing all", every=0.005)
    took = time.monotonic() - killed
    figure(f"{held} leases with a ttl of {TTL_MS} ms: {used * 100:.0f} % of a core; "
           f"all gone {took * 1000:.0f} ms after the kill")
    assert took < 2
