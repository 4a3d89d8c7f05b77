# SPDX-License-Identifier: Apache-2.0
"""Readers that never cease to arrive, and a writer; writers that never cease, and a reader."""
import heapq
import itertools
import statistics
import time

import pytest

from asking import Hold, Peer, Terms
from storm import Storm
from waiting import FACTOR

KEY = "k"
WAIT_MS = 60_000
READER_HOLD_S, READER_EVERY_S = 0.03, 0.004
WRITER_HOLD_S, WRITERS = 0.002, 4
RUNS = 2 * WRITERS + 2  # on a slow machine each writer before the reader is a run, and causes one
SLACK_S = 0.25 * FACTOR
TRIALS = 20


class Traffic(Storm):
    """Holds of one lock, each for as long as its mode says, on two connections a server."""

    def __init__(self, servers):
        super().__init__(servers, seed=1)
        self.is_calm = True  # nobody leaves at random
        self.granted = []
        self.writing = [self.join(Peer(server, server.unix)) for server in servers]
        self.writers = itertools.cycle(self.writing)
        self.readers = itertools.cycle([self.join(Peer(server, server.unix)) for server in servers])
        self.next_reader = time.monotonic()

    def hold(self, is_shared):
        return self.hold_at(next(self.readers if is_shared else self.writers), is_shared)

    def hold_at(self, peer, is_shared):
        ask = Hold(self, peer, Terms([KEY], is_shared, wait_ms=WAIT_MS))
        ask.start()
        return ask

    def plan_end(self, ask):
        self.granted.append(ask)
        ask.granted_at = time.monotonic()
        delay_s = READER_HOLD_S if ask.terms.is_shared else WRITER_HOLD_S
        heapq.heappush(self.ends, (ask.granted_at + delay_s, next(self.numbers), ask))

    def end_lease(self, ask):
        ask.ended_at = time.monotonic()
        self.let_go(ask)

    def waiting(self):
        return [ask for ask in self.asks() if ask.grant is None]

    def turn_until(self, condition, arrive):
        end = time.monotonic() + 20 * FACTOR
        while not condition():
            assert time.monotonic() < end, "nobody gets in"
            arrive()
            self.turn()

    def readers_arrive(self):
        while self.next_reader <= time.monotonic():
            self.hold(is_shared=True)
            self.next_reader = max(self.next_reader + READER_EVERY_S, time.monotonic() - 0.1)

    def writers_arrive(self):
        """Whoever has had it asks again, where it was."""
        for peer in self.writing:
            for _ in range(WRITERS - len(peer.asks)):
                self.hold_at(peer, is_shared=False)


@pytest.fixture
def traffic(redis, start_server, actors):
    servers = [start_server(redis) for _ in range(2)]
    for server in servers:
        server.wait_event("redis.subscribed")
        server.connect().held("warm", wait_ms=5000).release()  # the recovery window is over
    traffic = Traffic(servers)
    actors.callback(traffic.close)
    return traffic


def test_a_writer_gets_in_before_the_readers_that_come_after_it(traffic, figure):
    """When those who held the lock at its coming are done; the others wait behind it."""
    waits = []
    for _ in range(TRIALS):
        held = traffic.ledger.grants[KEY]
        traffic.turn_until(lambda: len(held) > 3 and not traffic.waiting(), traffic.readers_arrive)
        traffic.granted.clear()
        writer = traffic.hold(is_shared=False)
        traffic.turn_until(lambda: writer.is_queued or writer.grant, traffic.readers_arrive)
        queued = time.monotonic()
        present = [ask for ask in traffic.asks() if ask.terms.is_shared and ask.grant]
        traffic.turn_until(lambda: writer.grant is not None, traffic.readers_arrive)
        last = max([queued, *(ask.ended_at for ask in present)])
        waits.append(writer.granted_at - queued)
        assert writer.granted_at - last < SLACK_S, "it waited for more than those before it"
        traffic.turn_until(lambda: not traffic.waiting(), traffic.readers_arrive)
        late = [ask for ask in traffic.granted if ask.sent > queued]
        assert late, "no reader came while it waited"
        for ask in late:
            assert ask.grant.locks[KEY] > writer.grant.locks[KEY], "a later reader was let in first"
    figure(f"{traffic.counts['granted']} grants; a writer waited {statistics.median(waits) * 1000:.0f} ms, "
           f"at most {max(waits) * 1000:.0f} ms, for readers of {READER_HOLD_S * 1000:.0f} ms")


def test_a_reader_gets_in_while_writers_never_cease(traffic, figure):
    """Those before it at its server, a run at the other one, and what that began with."""
    waits, runs = [], []
    traffic.turn_until(lambda: traffic.counts["granted"] > 100, traffic.writers_arrive)
    for _ in range(TRIALS):
        traffic.granted.clear()
        reader = traffic.hold(is_shared=True)
        traffic.turn_until(lambda: reader.grant is not None, traffic.writers_arrive)
        waits.append(reader.granted_at - reader.sent)
        runs.append(len(list(itertools.groupby(ask.peer for ask in traffic.granted[:-1]))))
        assert runs[-1] <= RUNS, "servers went on taking turns while the reader waited"
    figure(f"{traffic.counts['granted']} grants; a reader waited {statistics.median(waits) * 1000:.0f} ms, "
           f"at most {max(waits) * 1000:.0f} ms and {max(runs)} runs of writers")
