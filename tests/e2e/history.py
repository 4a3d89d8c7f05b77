# SPDX-License-Identifier: Apache-2.0
"""What contenders believed, and whether all of it can be true together (see contender.c)."""
import collections
import dataclasses
import struct


@dataclasses.dataclass
class Belief:
    lock: int
    fence: int
    start: int
    end: int  # the last moment at which it was certainly held


def read(directory):
    """All beliefs, and how many counts reached each resource."""
    beliefs, counts = [], collections.Counter()
    for path in directory.glob("*.log"):
        held = None
        for line in path.read_text().splitlines():
            words = line.split()
            if len(words) != 4:
                continue  # cut by a kill
            event, lock, fence, time = words[0], *map(int, words[1:])
            if event == "G":
                held = Belief(lock, fence, time, time)
                beliefs.append(held)
            elif held is not None and (held.lock, held.fence) == (lock, fence):
                if event == "R":
                    held.end = time
                elif event == "C":
                    counts[lock] += 1
    return beliefs, counts


def check(beliefs):
    """No two holders of a lock at one time; fences rise in the order of grants."""
    by_lock = collections.defaultdict(list)
    for belief in beliefs:
        by_lock[belief.lock].append(belief)
    for lock, found in by_lock.items():
        found.sort(key=lambda belief: belief.start)
        for one, two in zip(found, found[1:]):
            assert one.end <= two.start, f"lock {lock} was held twice: {one} {two}"
            assert one.fence < two.fence, f"fences of lock {lock} fall: {one} {two}"


def check_permits(beliefs, limit):
    """Never more holders of a lock at one time, and no fence twice. The most that there were."""
    fences = collections.Counter((belief.lock, belief.fence) for belief in beliefs)
    twice = [found for found, count in fences.items() if count > 1]
    assert not twice, f"fences given twice: {twice}"
    moments = [(belief.lock, belief.start, 1) for belief in beliefs]
    moments += [(belief.lock, belief.end, -1) for belief in beliefs]
    holders, most = collections.Counter(), 0
    for lock, moment, step in sorted(moments):  # at one moment, ends come first
        holders[lock] += step
        most = max(most, holders[lock])
        assert holders[lock] <= limit, f"lock {lock} has {holders[lock]} holders at {moment}"
    return most


def resource_count(directory, lock):
    path = directory / f"resource{lock}"
    if not path.exists():
        return 0
    _, count = struct.unpack("=QQ", path.read_bytes())
    return count
