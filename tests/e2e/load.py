# SPDX-License-Identifier: Apache-2.0
"""Many clients that take and release a few locks as fast as they can, and keep a record of it."""
import collections
import threading
import time

from ttrpc import RpcError, Status

Grant = collections.namedtuple("Grant", "key fence from_s until_s")


class Load:
    """
    Each worker is one connection with several acquires on their way at once. A lease counts as held
    from the arrival of its grant until its release is sent or its validity ends, so two overlapping
    grants of one key are a proof that two clients could work at the same time.
    """

    def __init__(self, server, workers=4, depth=8, keys=6, ttl_ms=10000):
        self.server = server
        self.keys = keys
        self.depth = depth
        self.ttl_ms = ttl_ms
        self.stopping = threading.Event()
        self.lock = threading.Lock()
        self.grants = []
        self.answers = collections.Counter()
        self.errors = []
        self.threads = [
            threading.Thread(target=self._run, args=[server.connect(), number])
            for number in range(workers)
        ]
        for thread in self.threads:
            thread.start()

    def _run(self, client, number):
        try:
            turn = number
            while not self.stopping.is_set():
                self._round(client, turn)
                turn += 1
        except BaseException as error:  # reported by stop()
            self.errors.append(error)

    def _round(self, client, turn):
        """`depth` acquires at once; each answer is awaited, each lease is released."""
        calls = []
        for index in range(self.depth):
            key = f"load-{(turn + index) % self.keys}"
            calls.append((key, time.monotonic(), client.start_acquire(key, self.ttl_ms)))
        releases = []
        for key, sent, call in calls:
            lease = self._answer(key, call)
            if lease is not None:
                granted = time.monotonic()
                client.on_token(lease.token)
                release = time.monotonic()
                releases.append(client.start_release(key, lease.token))
                until = min(release, sent + lease.valid_for_ms / 1000)
                with self.lock:
                    self.grants.append(Grant(key, lease.fence, granted, until))
        for call in releases:
            self._settle(call)

    def _answer(self, key, call):
        try:
            response = call.result()
        except RpcError as error:
            self.answers[error.code.name] += 1
            assert error.code in (Status.UNAVAILABLE, Status.DEADLINE_EXCEEDED), error
            return None
        if response.HasField("lease"):
            assert response.lease.key == key
            self.answers["lease"] += 1
            return response.lease
        self.answers["busy"] += 1
        return None

    def _settle(self, call):
        try:
            outcome = call.result().outcome
            assert outcome in (1, 2)
            self.answers["released" if outcome == 1 else "not held"] += 1
        except RpcError as error:
            self.answers["release " + error.code.name] += 1
            assert error.code in (Status.UNAVAILABLE, Status.DEADLINE_EXCEEDED), error

    def count(self):
        return len(self.grants)

    def stop(self):
        """Ends the load; fails on the first thing that went wrong in it."""
        self.stopping.set()
        for thread in self.threads:
            thread.join()
        if self.errors:
            raise self.errors[0]

    def check(self):
        """No two grants of a key overlap, and fences rise in their order."""
        by_key = collections.defaultdict(list)
        for grant in self.grants:
            by_key[grant.key].append(grant)
        for key, grants in by_key.items():
            grants.sort(key=lambda grant: grant.fence)
            for before, after in zip(grants, grants[1:]):
                assert before.fence < after.fence, f"{key}: fence {before.fence} twice"
                assert before.until_s <= after.from_s, f"{key}: {before} overlaps {after}"
        assert all(grant.fence < 2**53 for grant in self.grants)
