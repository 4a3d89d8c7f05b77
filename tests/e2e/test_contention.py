# SPDX-License-Identifier: Apache-2.0
"""Many processes fight for a few locks at several servers while everything is killed and stopped."""
import os
import random
import signal
import subprocess
import time

import pytest

import history
from server import BIN_DIR
from waiting import FACTOR, always, eventually

CONTENDER = BIN_DIR / "contender"
LOCKS = 10
# Seconds per run. With sanitizers, where it is their reports that count, a few.
SHORT = 12
SECONDS = 60 if FACTOR == 1 else SHORT


class Crowd:
    """Contenders, each with its server; who dies is followed by another."""

    def __init__(self, directory, servers, size, locks=LOCKS, ttl_ms=3000, hold_us=500, limit=0):
        self.directory = directory
        self.servers = servers
        self.words = list(map(str, [locks, ttl_ms, hold_us, limit]))
        self.started = 0
        self.living = [self.start() for _ in range(size)]

    def start(self):
        server = self.servers[self.started % len(self.servers)]
        self.started += 1
        return subprocess.Popen(
            [CONTENDER, server.unix, self.directory, str(self.started), *self.words],
            stdin=subprocess.DEVNULL,
        )

    def kill_one(self, rng):
        index = rng.randrange(len(self.living))
        self.living[index].kill()
        self.living[index].wait()
        self.living[index] = self.start()

    def stop_one(self, rng):
        process = rng.choice(self.living)
        process.send_signal(signal.SIGSTOP)
        return process

    def close(self):
        for process in self.living:
            process.send_signal(signal.SIGCONT)
            process.kill()
        for process in self.living:
            process.wait()


def torment(crowd, servers, redis, rng, seconds):
    """One fault after the other; nothing that is stopped stays so for long. Redis may be None."""
    end = time.monotonic() + seconds
    restarts = [end - seconds * 2 / 3, end - seconds / 3] if redis else []
    faults = 0
    while time.monotonic() < end:
        kind = rng.random()
        if restarts and time.monotonic() > restarts[0]:
            restarts.pop(0)
            redis.restart()
        elif kind < 0.5:
            crowd.kill_one(rng)
        elif kind < 0.75:
            process = crowd.stop_one(rng)
            always(lambda: True, rng.uniform(0.05, 0.5))
            process.send_signal(signal.SIGCONT)
        elif kind < 0.9:
            server = rng.choice(servers)
            server.signal(signal.SIGSTOP)
            always(lambda: True, rng.uniform(0.05, 0.6))
            server.signal(signal.SIGCONT)
        else:
            server = rng.choice(servers)
            server.kill()
            server.start(wait=False)
        faults += 1
        always(lambda: True, rng.uniform(0.0, 0.2))
    return faults


def total(directory):
    return len(history.read(directory)[0])


@pytest.mark.parametrize("number", [2, 4, 8])
def test_nothing_overlaps_whatever_dies(redis, start_server, directory, actors, figure, number):
    seed = int(os.environ.get("HOLDFAST_SEED", "0")) or random.randrange(1 << 32)
    print(f"HOLDFAST_SEED={seed}")
    rng = random.Random(seed)
    servers = [start_server(redis, failover_grace="500ms") for _ in range(number)]
    crowd = Crowd(directory, servers, int(200 / FACTOR))
    actors.callback(crowd.close)
    eventually(lambda: total(directory) > 100, 30, "contention")
    faults = torment(crowd, servers, redis, rng, SECONDS)
    before = total(directory)
    eventually(lambda: total(directory) > before + 100, 30, "everything to recover")
    crowd.close()
    beliefs, counts = history.read(directory)
    figure(f"{number} servers, {faults} faults, {len(beliefs)} grants")
    history.check(beliefs)
    for lock in range(LOCKS):
        # A count that reached the file just before a kill may not have been noted.
        assert 0 <= history.resource_count(directory, lock) - counts[lock] <= crowd.started


def test_five_permits_are_never_six(redis, start_server, directory, actors, figure):
    """A semaphore at three servers; clients and servers are killed and stopped."""
    seed = int(os.environ.get("HOLDFAST_SEED", "0")) or random.randrange(1 << 32)
    print(f"HOLDFAST_SEED={seed}")
    servers = [start_server(redis) for _ in range(3)]
    crowd = Crowd(directory, servers, 30, locks=1, ttl_ms=1000, hold_us=5000, limit=5)
    actors.callback(crowd.close)
    eventually(lambda: total(directory) > 100, 30, "contention")
    faults = torment(crowd, servers, None, random.Random(seed), SHORT)
    before = total(directory)
    eventually(lambda: total(directory) > before + 100, 30, "everything to recover")
    crowd.close()
    beliefs, _ = history.read(directory)
    figure(f"{faults} faults, {len(beliefs)} grants")
    assert history.check_permits(beliefs, 5) == 5


def test_a_legacy_locker_and_holdfast_exclude_each_other(redis, start_server, directory, actors, figure):
    """SET NX PX and compare-and-delete, in a loop, beside contenders at two servers."""
    delete = "if redis.call('GET',KEYS[1])==ARGV[1] then return redis.call('DEL',KEYS[1]) end return 0"
    servers = [start_server(redis) for _ in range(2)]
    crowd = Crowd(directory, servers, 20)
    actors.callback(crowd.close)
    end = time.monotonic() + SECONDS
    beliefs = []
    while time.monotonic() < end:
        for lock in range(LOCKS):
            if redis("SET", f"lock:lock{lock}", "legacy", "NX", "PX", 1000) != "OK":
                continue
            start = time.monotonic_ns() // 1000
            always(lambda: True, 0.002)
            stop = time.monotonic_ns() // 1000
            if redis("EVAL", delete, 1, f"lock:lock{lock}", "legacy") == 1:
                beliefs.append(history.Belief(lock, 0, start, stop))
    crowd.close()
    ours, _ = history.read(directory)
    figure(f"{len(beliefs)} legacy grants beside {len(ours)} of ours")
    assert beliefs and ours
    history.check(ours)
    both = sorted(beliefs + ours, key=lambda belief: (belief.lock, belief.start))
    for one, two in zip(both, both[1:]):
        assert one.lock != two.lock or one.end <= two.start, f"held twice: {one} {two}"
