# SPDX-License-Identifier: Apache-2.0
"""A model of the store, from the words of server/lease/store.h alone. Time comes with every call; a
fence that only the store knows is None until the store's own record is shown to adopt()."""

from dataclasses import dataclass, field

EXCLUSIVE, SHARED = 0, 1
NOBODY = bytes(16)
FOR_EVER = 10**18  # somebody has taken the ttl away


def later(stored_us, asked_us):
    """Only a new grant may shorten what was given; and what was not given for ever is not."""
    return asked_us if stored_us == FOR_EVER else max(stored_us, asked_us)


@dataclass
class Grant:
    tenure: bytes
    token: bytes
    since_ms: int
    until_us: int
    fence: int = None
    label: bytes = b""
    value: bytes = b""
    is_closed: bool = False


@dataclass
class Entry:
    tenure: bytes
    token: bytes
    mode: int
    limit: int
    grant_ms: int


@dataclass
class Lock:
    mode: int = EXCLUSIVE
    grants: list = field(default_factory=list)
    is_foreign: bool = False
    foreign_until_us: int = 0
    queue: dict = field(default_factory=dict)  # server -> Entry, in order of arrival
    floor: int = 0  # no later grant may have this fence

    def find(self, **wanted):
        for grant in self.grants:
            if all(getattr(grant, name) == value for name, value in wanted.items()):
                return grant
        return None

    def first(self):
        return min(self.grants, key=lambda grant: (grant.until_us, grant.token))


class Model:
    def __init__(self):
        self.locks = {}
        self.listening = set()  # servers that hear what is published to them
        self.told = []  # (server, tenure, key)
        self.changed = set()
        self.adopted = []  # grants whose fences are new in this call
        self.now_us = 0

    def lock(self, key):
        return self.locks.setdefault(key, Lock())

    def at(self, now_us):
        self.now_us = now_us
        for lock in self.locks.values():
            lock.grants = [grant for grant in lock.grants if grant.until_us > now_us]

    def _is_free(self, lock):
        return not lock.is_foreign and not lock.grants

    def _admits(self, lock, mode, limit, token):
        if self._is_free(lock):
            return True
        return (not lock.is_foreign and mode == lock.mode == SHARED
                and (limit == 0 or len(lock.grants) < limit) and not lock.find(token=token))

    def _grant(self, key, mode, grant):
        lock = self.lock(key)
        lock.mode = mode
        lock.grants.append(grant)
        self.changed.add(key)

    def _tell_first(self, key):
        """Whoever is first has to know when the lock may be had."""
        queue = self.lock(key).queue
        while queue:
            server, entry = next(iter(queue.items()))
            if server in self.listening:
                self.told.append((server, entry.tenure, key))
                return
            del queue[server]

    def _serve(self, key):
        if self._pass_on(key):
            self._tell_first(key)

    def _pass_on(self, key):
        """Whether the queue has moved."""
        lock, has_moved = self.lock(key), False
        while lock.queue:
            server, entry = next(iter(lock.queue.items()))
            if not self._admits(lock, entry.mode, entry.limit, entry.token):
                break
            del lock.queue[server]
            has_moved = True
            if server not in self.listening:
                continue
            self.told.append((server, entry.tenure, key))
            token = NOBODY if entry.mode == EXCLUSIVE else entry.token
            self._grant(key, entry.mode, Grant(entry.tenure, token, self.now_us // 1000,
                                               self.now_us + entry.grant_ms * 1000))
        return has_moved

    def _leave(self, key, server, tenure):
        queue = self.lock(key).queue
        if server in queue and queue[server].tenure == tenure:
            was_first = next(iter(queue)) == server
            del queue[server]
            if was_first:
                self._tell_first(key)
            return True
        return False

    def waiting(self, key, server=None):
        return sum(1 for waiting in self.lock(key).queue if waiting != server)

    def holder(self, key):
        """(is_foreign, is_closed, mode, holders, grant)"""
        lock = self.lock(key)
        if lock.is_foreign:
            return True, False, EXCLUSIVE, 1, None
        first = lock.first()
        return False, first.is_closed, lock.mode, len(lock.grants), first

    def acquire(self, key, server, ask, ttl_ms, mode=EXCLUSIVE, limit=0, wants_queue=False,
                grant_ms=1000):
        """OK and the grant, or BUSY or QUEUED."""
        lock = self.lock(key)
        wanted = Grant(ask.tenure, ask.token, self.now_us // 1000, self.now_us + ttl_ms * 1000,
                       None, ask.label, ask.data)
        ours = None
        if not lock.is_foreign and lock.mode == EXCLUSIVE == mode:
            ours = lock.find(tenure=ask.tenure)
        for is_first in (True, False):
            if mode == SHARED == lock.mode:
                ours = lock.find(tenure=ask.tenure, token=ask.token)
            if ours:
                wanted.fence, wanted.since_ms = ours.fence, ours.since_ms
                wanted.until_us = later(ours.until_us, wanted.until_us)
                if mode == EXCLUSIVE and ours.token != NOBODY:
                    # A late command knows less than the record: only the ttl is restored.
                    wanted.token, wanted.label, wanted.value = ours.token, ours.label, ours.value
                if (ours.token, ours.label, ours.value) != (wanted.token, wanted.label, wanted.value):
                    self.changed.add(key)
                lock.grants[lock.grants.index(ours)] = wanted
                break
            if not self._admits(lock, mode, limit, ask.token):
                break
            head = next(iter(lock.queue.values()), None)
            if mode == EXCLUSIVE or not head or head.tenure == ask.tenure:
                self._grant(key, mode, wanted)
                ours = wanted
                break
            if is_first:
                self._serve(key)
        if ours:
            if self._leave(key, server, ask.tenure) and mode == SHARED:
                self._serve(key)
            return "OK", wanted
        if wants_queue:
            lock.queue[server] = Entry(ask.tenure, ask.token, mode, limit, grant_ms)
            return "QUEUED", None
        return "BUSY", None

    def renew(self, key, ask, ttl_ms):
        lock = self.lock(key)
        ours = None
        if not lock.is_foreign:
            ours = (lock.find(tenure=ask.tenure, token=ask.token) if lock.mode == SHARED
                    else lock.find(tenure=ask.tenure))
        if not ours:
            return "NOT_HELD", None
        until_us = self.now_us + ttl_ms * 1000
        if ask.fence <= ours.fence:
            ours.until_us = later(ours.until_us, until_us)
        else:
            is_shorter, ours.until_us = until_us < ours.until_us, until_us
            if is_shorter:
                self._tell_first(key)
            ours.token, ours.fence, ours.since_ms = ask.token, ask.fence, ask.since_ms
            ours.label, ours.value = ask.label, ask.data
            lock.floor = max(lock.floor, ask.fence)
            self.changed.add(key)
        return "OK", ours

    def release(self, key, server, ask, wants_queue=False, delay_ms=0):
        lock = self.lock(key)
        ours = None
        if not lock.is_foreign:
            ours = (lock.find(tenure=ask.tenure, token=ask.token) if lock.mode == SHARED
                    else lock.find(tenure=ask.tenure))
        if ours:
            self.changed.add(key)
            if delay_ms:
                ours.tenure, ours.is_closed, ours.value = NOBODY, True, b""
                if lock.mode == EXCLUSIVE:
                    ours.token = NOBODY
                ours.until_us = self.now_us + delay_ms * 1000
            else:
                lock.grants.remove(ours)
        has_left = wants_queue and self._leave(key, server, ask.tenure)
        if ours or has_left:
            self._serve(key)
        if ours and delay_ms:
            self._tell_first(key)
        return "OK" if ours else "NOT_HELD"

    def leave(self, key, server, tenure):
        if self._leave(key, server, tenure):
            self._serve(key)
        return "OK"

    def resume(self, key, tenure, token, ttl_ms):
        lock = self.lock(key)
        found = None if lock.is_foreign or token == NOBODY else lock.find(token=token)
        if not found or found.is_closed:
            return "NOT_HELD", None
        if found.tenure != tenure:
            self.changed.add(key)
        found.tenure = tenure
        found.until_us = later(found.until_us, self.now_us + ttl_ms * 1000)
        return "OK", found

    def adopt(self, key, grant, fence):
        """A fence that the model could not know must be above all that were given before."""
        assert fence > self.lock(key).floor
        grant.fence = fence
        self.adopted.append((key, grant))

    def settle(self):
        """Ends a call: of one lock, later grants have higher fences."""
        for key, lock in self.locks.items():
            fences = [grant.fence for grant in lock.grants if (key, grant) in self.adopted]
            assert fences == sorted(set(fences))
            lock.floor = max([lock.floor, *fences])
        self.adopted = []
