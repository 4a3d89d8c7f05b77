# SPDX-License-Identifier: Apache-2.0
"""What the server tells about locks, in Python's terms."""
from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Optional

from .v1 import locks_pb2


class Loss(enum.Enum):
    """Why a lease ended."""

    EXPIRED = "expired"  # no renewal was confirmed before its deadline
    TAKEN = "taken"  # somebody else has the lock, or deleted or released it
    HEARTBEAT = "heartbeat"  # the server missed our heartbeat
    SHUTDOWN = "shutdown"  # the server shut down
    CONNECTION = "connection"  # the connection dropped, and within a grace did not come back
    MAX_HOLD = "max_hold"  # it was held for its longest hold
    RESUMED = "resumed"  # somebody resumed it with its token


_REASONS = {
    locks_pb2.HoldLost.REASON_EXPIRED: Loss.EXPIRED,
    locks_pb2.HoldLost.REASON_TAKEN: Loss.TAKEN,
    locks_pb2.HoldLost.REASON_HEARTBEAT_MISSED: Loss.HEARTBEAT,
    locks_pb2.HoldLost.REASON_SHUTDOWN: Loss.SHUTDOWN,
    locks_pb2.HoldLost.REASON_MAX_HOLD: Loss.MAX_HOLD,
    locks_pb2.HoldLost.REASON_RESUMED: Loss.RESUMED,
}


def loss_of(message: locks_pb2.HoldLost) -> Loss:
    return _REASONS.get(message.reason, Loss.CONNECTION)


@dataclass(frozen=True)
class Holder:
    """Who holds a lock, for people and for deciding when to ask again."""

    key: str  # which lock, where several were asked for; else ""
    label: str  # "" when there is none
    value: bytes  # only inspect and watch tell it
    fence: int  # 0 when foreign
    shared: bool
    holders: int  # how many hold it; the rest tells of one of them
    foreign: bool  # another program's key
    closed: bool  # nobody has it, but its lock_delay is not over
    since: Optional[float]  # seconds since 1970; None when unknown
    remaining: Optional[float]  # seconds until Redis lets go unless renewed; None: never


def holder_of(message: locks_pb2.Holder) -> Holder:
    return Holder(
        key=message.key,
        label=message.label,
        value=message.value,
        fence=message.fence,
        shared=message.mode == locks_pb2.MODE_SHARED,
        holders=message.holders,
        foreign=message.foreign,
        closed=message.closed,
        since=message.since_ms / 1000 if message.since_ms else None,
        remaining=message.remaining_ms / 1000 if message.remaining_ms >= 0 else None,
    )


@dataclass(frozen=True)
class WatchState:
    """What a watch tells: who holds the lock, or that this is not known now, and why."""

    holder: Optional[Holder] = None  # None: the lock is free, if the state is known
    why_unknown: str = ""

    @property
    def is_known(self) -> bool:
        return not self.why_unknown
