# SPDX-License-Identifier: Apache-2.0
"""
What all clients of a test believe at one moment, kept by the one thread that drives them, so that
"before" and "after" are known: a grant is written down when it is seen, its end before whatever ends
it is sent. What is entered here was true in between; two beliefs that exclude each other are a bug.
"""
import collections
import dataclasses
import math
import time


@dataclasses.dataclass(eq=False)
class Grant:
    locks: dict  # key -> fence
    is_shared: bool
    limit: int  # 0: none
    who: str = ""  # for whoever looks into a failure
    until: float = math.inf  # what the time.monotonic() of its end is, at the earliest
    is_over: bool = False


class Ledger:
    def __init__(self):
        self.grants = collections.defaultdict(set)  # key -> beliefs
        self.fences = collections.defaultdict(set)  # key -> every fence ever seen
        self.highest = collections.Counter()  # key -> the highest of them
        self.highest_exclusive = collections.Counter()
        self.trails = collections.defaultdict(lambda: collections.deque(maxlen=40))
        self.most = collections.Counter()  # key -> most holders at one time

    def tell(self, key):
        """What happened last, for whoever looks into a failure."""
        return "\n".join(map(str, self.trails[key]))

    def floor(self, keys):
        """The fences that a grant which is asked for now must exceed."""
        return {key: self.highest[key] for key in keys}

    def holders(self, key, now):
        return [grant for grant in self.grants[key] if grant.until > now]

    def note(self, locks, floor, is_shared):
        """A grant that was seen, but may be over: its fences count all the same."""
        for key, fence in locks.items():
            assert fence not in self.fences[key], f"{key}: fence {fence} was given twice"
            assert floor[key] < fence < 2**53, f"{key}: fence {fence}, asked for above {floor[key]}"
            self.fences[key].add(fence)
            self.highest[key] = max(self.highest[key], fence)
            if not is_shared:
                self.highest_exclusive[key] = max(self.highest_exclusive[key], fence)

    def enter(self, grant, floor, now):
        """A new grant. If it lasts, whoever was seen to hold the lock in a mode that excludes it did so
        before."""
        above = self.highest_exclusive if grant.is_shared else self.highest
        for key, fence in grant.locks.items():
            is_later = fence > above[key] or grant.until <= now
            assert is_later, f"{key}: fence {fence} of {grant} after {above[key]}\n{self.tell(key)}"
        self.note(grant.locks, floor, grant.is_shared)
        self.enter_again(grant, now)

    def enter_again(self, grant, now):
        """A grant that was known and is held again."""
        for key in grant.locks:
            others = self.holders(key, now)
            if grant.until > now:
                self._check_room(key, grant, others)
                self.most[key] = max(self.most[key], len(others) + 1)
            self.grants[key].add(grant)
            self.trails[key].append((now, "held", grant))

    def _check_room(self, key, grant, others):
        has_room = not others
        if grant.is_shared:
            has_room = all(other.is_shared for other in others)
            has_room = has_room and not 0 < grant.limit <= len(others)
        assert has_room, f"{key}: {grant} beside {others}\n{self.tell(key)}"

    def end(self, grant):
        """Called before anything is sent that ends it."""
        if grant is not None and not grant.is_over:
            grant.is_over = True
            for key in grant.locks:
                self.grants[key].discard(grant)
                self.trails[key].append((time.monotonic(), "ended", grant))
