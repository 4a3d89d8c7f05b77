#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""driver.py redis-py SOCKET pairs|hot CONCURRENCY SECONDS: redis-py's Lock, one thread for each."""
import json
import os
import sys
import threading
import time

import redis

TTL = 30
WARM_UP = 0.5


class Load:
    def __init__(self, socket, mix, concurrency):
        self.client = redis.Redis(unix_socket_path=socket)
        self.mix = mix
        self.concurrency = concurrency
        self.owner = None
        self.hand_offs = 0

    def _work(self, number, until, samples):
        key = f"bench-python-{os.getpid()}-{0 if self.mix == 'hot' else number}"
        while time.monotonic() < until:
            lock = self.client.lock(key, timeout=TTL)  # waits by trying every 100 ms
            started = time.monotonic()
            lock.acquire()
            took = time.monotonic() - started
            if self.owner != number:
                self.hand_offs += 1
            self.owner = number
            lock.release()
            samples.append(took * 1e6)

    def run(self, seconds):
        samples = []
        started = time.monotonic()
        threads = [
            threading.Thread(target=self._work, args=[number, started + seconds, samples], daemon=True)
            for number in range(self.concurrency)
        ]
        for thread in threads:
            thread.start()
        if self.mix == "hot":  # the last ones wait long after the end
            threads[0].join(seconds)
        else:
            for thread in threads:
                thread.join()
        counted = sorted(samples)
        return counted, time.monotonic() - started


def at(counted, part):
    return counted[min(len(counted) - 1, int(len(counted) * part))] if counted else 0


def main():
    _, socket, mix, concurrency, seconds = sys.argv[1:]
    load = Load(socket, mix, int(concurrency))
    Load(socket, "pairs", 1).run(WARM_UP)
    print("ready", flush=True)
    sys.stdin.readline()
    counted, took = load.run(float(seconds))
    result = {
        "operations": len(counted),
        "hand_offs": load.hand_offs,
        "seconds": took,
        "acquire_p50_us": at(counted, 0.5),
        "acquire_p99_us": at(counted, 0.99),
    }
    print(json.dumps(result), flush=True)
    sys.stdin.read()
    os._exit(0)


if __name__ == "__main__":
    main()
