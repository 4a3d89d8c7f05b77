# SPDX-License-Identifier: Apache-2.0
"""
Clients that ask for a few locks in every way there is, and leave in every way there is, drawn at
random. One thread drives all connections, so that what is believed at one moment is known (ledger.py).
"""
import collections
import heapq
import itertools
import random
import selectors
import time

from asking import GRACE_MS, Acquire, Hold, Peer, Release, Terms
from ledger import Ledger
from ttrpc import HEADER, REQUEST
from waiting import FACTOR

PEERS = 40
PEER_ASKS = 6
LATE_S = 4 * FACTOR
TURN_S = 0.002


class Storm:
    def __init__(self, servers, seed):
        self.servers = servers
        self.rng = random.Random(seed)
        self.ledger = Ledger()
        self.counts = collections.Counter()
        self.selector = selectors.DefaultSelector()
        self.peers = []
        self.ends = []  # heap of (when, number, Ask): leases to be ended
        self.numbers = itertools.count()
        self.orphans = []  # (until when, Ask): to be resumed
        self.is_calm = False

    def count(self, what):
        self.counts[what] += 1

    # Connections

    def open_peer(self):
        server = self.rng.choice(self.servers)
        return self.join(Peer(server, self.rng.choice([server.unix, server.tcp])))

    def join(self, peer):
        self.peers.append(peer)
        self.selector.register(peer.sock, selectors.EVENT_READ, peer)
        return peer

    def some_peer(self):
        if len(self.peers) < PEERS and self.rng.random() < 0.5:
            return self.open_peer()
        return self.rng.choice(self.peers) if self.peers else self.open_peer()

    def drop(self, peer):
        """In the middle of whatever it does; also of a message."""
        now = time.monotonic()
        for ask in peer.leases:
            if ask.terms.detached:
                continue
            self.ledger.end(ask.grant)
            if ask.terms.grace_ms and not ask.is_ending:
                self.orphans.append((now + GRACE_MS / 1000, ask))
            ask.is_ending = True
        for ask in peer.asks.values():
            if ask.concerns is not None:
                self.plan_end(ask.concerns)
        self.selector.unregister(peer.sock)
        self.peers.remove(peer)
        if self.rng.random() < 0.2:
            peer.send_raw(HEADER.pack(100, peer.take_id(), REQUEST, 0) + b"half of it")
        self.rng.choice([peer.close, peer.break_off])()
        self.count("dropped")

    def asks(self):
        """Those that are to hear something, or hold a lease."""
        return list({ask for peer in self.peers for ask in [*peer.asks.values(), *peer.leases]})

    # What is done

    def ask(self):
        peer = self.some_peer()
        if len(peer.asks) < PEER_ASKS:
            terms = Terms.drawn(self.rng)
            kind = Acquire if terms.detached else self.rng.choice([Acquire, Hold])
            kind(self, peer, terms).start()
            self.count("asked")

    def take_back(self):
        """Half-closes a Hold, whatever it has heard yet."""
        holds = [ask for peer in self.peers for ask in peer.asks.values() if type(ask) is Hold]
        holds = [ask for ask in holds if not ask.is_taken_back]
        if holds:
            self.let_go(self.rng.choice(holds))
            self.count("taken back")

    def let_go(self, ask):
        self.ledger.end(ask.grant)
        ask.let_go()

    def release_elsewhere(self, ask):
        """By its token, on another connection of the same server."""
        others = [peer for peer in self.peers if peer.server is ask.peer.server]
        self.ledger.end(ask.grant)
        is_certain = not ask.is_ending
        release = Release(self, self.rng.choice(others), ask, is_certain)
        ask.is_ending = True
        release.start()

    def resume(self, ask):
        """What its holder believes ends now. On any server, unless nobody there would let go of it."""
        if len(ask.terms.keys) > 1:
            self.let_go(ask)
            return
        self.ledger.end(ask.grant)
        ask.is_ending = True
        terms = Terms(ask.terms.keys, ask.terms.is_shared, ask.terms.limit)
        kind = self.rng.choice([Acquire, Hold])
        peer = self.some_peer()
        if type(ask) is Acquire and ask.peer in self.peers and peer.server is not ask.peer.server:
            peer = ask.peer
        kind(self, peer, terms, concerns=ask).start()
        self.count("resuming")

    def resume_an_orphan(self):
        now = time.monotonic()
        self.orphans = [(until, ask) for until, ask in self.orphans if until > now]
        if self.orphans:
            _, ask = self.orphans.pop(self.rng.randrange(len(self.orphans)))
            self.resume(ask)

    def drop_one(self):
        if self.peers:
            self.drop(self.rng.choice(self.peers))

    def plan_end(self, ask):
        """A lease is held for a moment, or for none."""
        delay_s = self.rng.choice([0, 0, 0.001, 0.004, 0.02])
        heapq.heappush(self.ends, (time.monotonic() + delay_s, next(self.numbers), ask))

    def end_lease(self, ask):
        if ask.peer not in self.peers or ask not in ask.peer.leases or ask.is_taken_back:
            return
        ways = [self.let_go] if ask.is_ending else [self.let_go, self.release_elsewhere, self.resume]
        self.rng.choices(ways, [8, 1, 1][: len(ways)])[0](ask)

    # Turns

    def turn(self):
        self.listen()
        now = time.monotonic()
        while self.ends and self.ends[0][0] <= now:
            self.end_lease(heapq.heappop(self.ends)[2])
        for peer in self.peers:
            for ask in peer.asks.values():
                assert now < ask.due + LATE_S, f"no answer: {ask.terms}"

    def listen(self):
        for key, _ in self.selector.select(self.rng.choice([0, 0, TURN_S])):
            peer = key.data
            if not self.is_calm and peer.asks and self.rng.random() < 0.005:
                self.drop(peer)  # with what it was just told
            elif peer in self.peers:
                peer.hear()

    def rage(self, asks):
        """Until so many requests for leases have been made."""
        deeds = [self.ask, self.take_back, self.resume_an_orphan, self.drop_one]
        while self.counts["asked"] < asks:
            for deed in self.rng.choices(deeds, [100, 15, 10, 1], k=self.rng.randrange(4)):
                deed()
            self.turn()

    def calm_down(self, seconds):
        """No new requests: whoever waits is served, or has waited long enough."""
        self.is_calm = True
        end = time.monotonic() + seconds * FACTOR
        while self.asks():
            assert time.monotonic() < end, f"not served: {[ask.terms for ask in self.asks()]}"
            self.turn()

    def close(self):
        for peer in self.peers:
            peer.close()
        self.peers.clear()
        self.selector.close()
