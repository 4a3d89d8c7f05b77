# SPDX-License-Identifier: Apache-2.0
"""
Requests on their way, any number on a connection, none of which is waited for: each is told what
arrives for it, checks that it may arrive now, and reports to the storm that it belongs to (storm.py).
"""
import dataclasses
import math
import socket
import struct
import time

from holdfast.v1 import locks_pb2
from ledger import Grant
from ttrpc import NO_DATA, REMOTE_CLOSED, RESPONSE, Client, RpcError, Status, parse_response

TTL_MS = 30_000  # so that a wake-up that got lost is not made good by the end of a ttl
DETACHED_TTL_MS = 1000  # what nobody releases ends with it
GRACE_MS = 300
READERS = ["reader-a", "reader-b", "reader-c"]
PERMITS = ["permit-a", "permit-b", "permit-c"]
LIMIT = 3
EARLY_S = 0.005
HASTE_MS = 100  # a wait may be over before Redis has said anything


@dataclasses.dataclass
class Terms:
    """What is asked for."""

    keys: list
    is_shared: bool = False
    limit: int = 0
    wait_ms: int = 0
    timeout_s: float = None
    grace_ms: int = 0
    detached: bool = False

    @classmethod
    def drawn(cls, rng):
        family = rng.choice([READERS, PERMITS])
        terms = cls(rng.sample(family, rng.choices([1, 2, 3], [6, 1, 1])[0]))
        terms.is_shared = rng.random() < 0.4
        terms.limit = LIMIT if terms.is_shared and family is PERMITS else 0
        terms.wait_ms = rng.choice([0, 1, 10, 100, 1000, 60_000, 60_000, 60_000])
        if rng.random() < 0.3:
            terms.timeout_s = rng.choice([0.0005, 0.005, 0.05, 0.5])
        if len(terms.keys) == 1 and rng.random() < 0.4:
            terms.grace_ms = GRACE_MS
        elif len(terms.keys) == 1:
            terms.detached = rng.random() < 0.05
        return terms

    def fields(self):
        fields = {"ttl_ms": DETACHED_TTL_MS if self.detached else TTL_MS, "wait_ms": self.wait_ms}
        fields["mode"] = locks_pb2.MODE_SHARED if self.is_shared else locks_pb2.MODE_EXCLUSIVE
        fields |= {"limit": self.limit, "grace_ms": self.grace_ms}
        if len(self.keys) == 1:
            return fields | {"key": self.keys[0]}
        return fields | {"key": "", "keys": self.keys}

    def patience_s(self):
        """When the answer is due."""
        return min(self.wait_ms / 1000, math.inf if self.timeout_s is None else self.timeout_s)


class Peer(Client):
    """A connection; `asks` are those whose last frame has not been heard."""

    def __init__(self, server, address):
        super().__init__(address, on_token=server.tokens.add)
        self.server = server
        self.asks = {}  # stream id -> Ask or Release
        self.leases = set()  # Asks that were granted and are not known to be over

    def hear(self):
        """Everything that has arrived."""
        try:
            while True:
                frame = self.receive_frame(0)
                assert frame.stream_id in self.asks, f"a frame for a call that is over: {frame}"
                self.asks[frame.stream_id].hear(frame)
        except TimeoutError:
            return

    def break_off(self):
        """As a crash does: what was not read is lost, and the server gets a reset over TCP."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close()


class Ask:
    """One Acquire, Hold or Resume on its way, and then the lease that it brought."""

    def __init__(self, storm, peer, terms, concerns=None):
        self.storm, self.peer, self.terms = storm, peer, terms
        self.concerns = concerns  # the ask whose lease this one takes over
        self.floor = storm.ledger.floor(terms.keys)
        self.sent = time.monotonic()
        self.due = self.sent + terms.patience_s()  # when the next word must come
        self.is_answered = False
        self.is_taken_back = False  # half-closed
        self.is_ending = False  # something has been sent that ends the lease, or should have
        self.grant = None
        self.token = b""

    def until(self, lease):
        if self.terms.detached:
            return self.sent + lease.valid_for_ms / 1000
        return math.inf

    def granted(self, lease):
        now = time.monotonic()
        terms, ledger = self.terms, self.storm.ledger
        assert not self.is_answered
        self.is_answered = True
        self.due = math.inf if not self.is_taken_back else self.due
        self.token = lease.token
        self.peer.on_token(lease.token)
        locks = {lock.key: lock.fence for lock in lease.locks} or {lease.key: lease.fence}
        assert sorted(locks) == sorted(terms.keys), f"{locks} for {terms}"
        who = f"{type(self).__name__} at {self.peer.server.directory.name}"
        self.grant = Grant(locks, terms.is_shared, terms.limit, who, self.until(lease))
        if self.concerns is not None:
            assert locks == self.concerns.grant.locks, "another fence after a resume"
            if not self.is_taken_back:
                ledger.enter_again(self.grant, now)
            self.concerns.was_resumed()
        elif self.is_taken_back:
            ledger.note(locks, self.floor, terms.is_shared)
        else:
            ledger.enter(self.grant, self.floor, now)
        self.storm.count("granted" if self.concerns is None else "resumed")
        self.peer.leases.add(self)
        self.storm.plan_end(self)

    def refused(self):
        """Busy, or nothing to resume."""
        assert not self.is_answered
        self.is_answered = True
        waited = time.monotonic() - self.sent
        if self.concerns is not None:
            self.storm.plan_end(self.concerns)
        elif not self.is_taken_back:
            assert waited >= self.terms.wait_ms / 1000 - EARLY_S, f"{waited} of {self.terms}"
        self.storm.count("busy" if self.concerns is None else "not resumed")

    def failed(self, error):
        waited = time.monotonic() - self.sent
        self.is_answered = True
        self.over()
        if error.code == Status.DEADLINE_EXCEEDED and self.terms.timeout_s is not None:
            assert waited >= self.terms.timeout_s - EARLY_S, f"{waited} of {self.terms}"
        elif error.code == Status.UNAVAILABLE:
            assert 0 < self.terms.wait_ms <= HASTE_MS, f"{error} for {self.terms}"
        else:
            assert error.code == Status.ABORTED and self.terms.wait_ms, f"{error} for {self.terms}"
        self.storm.count(error.code.name.lower())

    def over(self):
        """The lease, if any, is known to be over."""
        self.storm.ledger.end(self.grant)
        self.peer.leases.discard(self)
        if self.concerns is not None and self.grant is None:
            self.storm.plan_end(self.concerns)


class Acquire(Ask):
    def start(self):
        terms = self.terms
        if self.concerns is not None:
            request = locks_pb2.ResumeRequest(key=terms.keys[0], token=self.concerns.token, ttl_ms=TTL_MS)
            call = self.peer.start("Resume", request, locks_pb2.ResumeResponse)
        else:
            fields = terms.fields() | {"detached": terms.detached}
            call = self.peer.start_acquire(timeout_s=terms.timeout_s, **fields)
        self.call = call
        self.peer.asks[call.stream_id] = self

    def hear(self, frame):
        del self.peer.asks[frame.stream_id]
        assert frame.type == RESPONSE, frame
        try:
            response = parse_response(frame, self.call.answer)
        except RpcError as error:
            self.failed(error)
            return
        self.granted(response.lease) if response.HasField("lease") else self.refused()

    def let_go(self):
        is_certain = not self.is_ending and not self.terms.detached
        self.is_ending = True
        Release(self.storm, self.peer, self, is_certain).start()

    def was_resumed(self):
        """Nobody tells of it."""
        self.over()


class Hold(Ask):
    is_queued = False
    is_settled = False  # nothing but the end of the stream may follow

    def start(self):
        terms = self.terms
        if self.concerns is not None:
            fields = {"key": terms.keys[0], "resume_token": self.concerns.token, "ttl_ms": TTL_MS}
        else:
            fields = terms.fields()
        self.stream = self.peer.open_stream("Hold", locks_pb2.HoldEvent, terms.timeout_s)
        self.peer.asks[self.stream.stream_id] = self
        self.stream.send(locks_pb2.HoldRequest(ask=locks_pb2.HoldAsk(**fields)))

    def until(self, lease):
        return math.inf if self.terms.timeout_s is None else self.sent + self.terms.timeout_s

    def hear(self, frame):
        if frame.type == RESPONSE or frame.flags & REMOTE_CLOSED:
            del self.peer.asks[frame.stream_id]
        if frame.type == RESPONSE:
            try:
                parse_response(frame, locks_pb2.HoldEvent)
                assert self.is_settled, "a Hold that ended without a word"
            except RpcError as error:
                assert not self.is_settled
                self.failed(error)
        elif not frame.flags & NO_DATA:
            event = locks_pb2.HoldEvent.FromString(frame.data)
            assert not self.is_settled, f"after the last event: {event}"
            getattr(self, "on_" + event.WhichOneof("event"))(event)

    def on_queued(self, event):
        assert not self.is_answered and self.terms.wait_ms > 0, event
        self.is_queued = True
        self.storm.count("queued")

    def on_granted(self, event):
        self.granted(event.granted)

    def on_busy(self, event):
        self.is_settled = True
        self.refused()

    def on_released(self, event):
        assert self.is_taken_back, "released without having been asked to"
        self.is_settled = self.is_answered = True
        self.is_taken_back = False
        self.over()
        self.storm.count("released")

    def on_lost(self, event):
        self.is_settled = True
        if self.grant is None:
            assert self.concerns is not None, event
            self.refused()
            return
        assert self.is_ending, f"{self.grant} was lost: {event}"
        self.is_taken_back = False
        self.over()
        self.storm.count("lost")

    def let_go(self):
        self.is_taken_back = self.is_ending = True
        self.due = time.monotonic()
        self.stream.close_send()

    def was_resumed(self):
        """It may hear of it only at its next renewal, and leaves before that."""
        self.storm.plan_end(self)


class Release:
    """One Release on its way."""

    is_taken_back = False

    def __init__(self, storm, peer, ask, is_certain):
        self.storm, self.peer, self.concerns = storm, peer, ask
        self.terms = ask.terms
        self.is_certain = is_certain  # that it is held
        self.due = time.monotonic()

    def start(self):
        key = self.concerns.terms.keys[0]
        self.peer.asks[self.peer.start_release(key, self.concerns.token).stream_id] = self

    def hear(self, frame):
        del self.peer.asks[frame.stream_id]
        outcome = parse_response(frame, locks_pb2.ReleaseResponse).outcome
        is_certain = self.is_certain and self.concerns.grant.until > time.monotonic()
        assert outcome == 1 or not is_certain, f"not held: {self.concerns.terms}"
        self.concerns.over()
        self.storm.count("released" if outcome == 1 else "not held")
