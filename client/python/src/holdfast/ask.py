# SPDX-License-Identifier: Apache-2.0
"""What is asked for, in the server's terms: milliseconds, and no None."""
from __future__ import annotations

import math
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Callable, Optional, Union

from .errors import InvalidRequest
from .states import Holder, Loss
from .v1 import locks_pb2

# Seconds, or a timedelta.
Duration = Union[float, timedelta]

OnQueued = Callable[[int, Optional[Holder]], object]
OnAtRisk = Callable[[float], object]
OnLost = Callable[[Loss], object]

DAY = 86400.0
TOKEN_SIZE = 16


def seconds(name: str, value: Duration) -> float:
    number = value.total_seconds() if isinstance(value, timedelta) else value
    if not 0 <= number <= DAY:
        raise InvalidRequest(f"{name}: must be 0 to {DAY:.0f} seconds (a day), not {value}")
    return number


def milliseconds(name: str, value: Optional[Duration]) -> int:
    """Rounded up: a short time must not become 0, which means something else."""
    return 0 if value is None else math.ceil(round(seconds(name, value) * 1000, 3))


def check_token(token: bytes) -> bytes:
    if not isinstance(token, bytes) or len(token) != TOKEN_SIZE:
        raise InvalidRequest(f"token: must be {TOKEN_SIZE} bytes")
    return token


@dataclass(frozen=True)
class Ask:
    """A lock or several, how to hold them, and who wants to hear of it."""

    keys: tuple[str, ...]
    wait_ms: int = 0
    ttl_ms: int = 0
    label: str = ""
    value: bytes = b""
    shared: bool = False
    limit: int = 0
    grace_ms: int = 0
    lock_delay_ms: int = 0
    max_hold_ms: int = 0
    heartbeat_ms: int = 0
    on_queued: Optional[OnQueued] = None
    on_at_risk: Optional[OnAtRisk] = None
    on_lost: Optional[OnLost] = None
    token: bytes = field(default=b"", repr=False)  # take this lease over instead

    def __post_init__(self) -> None:
        if not self.keys:
            raise InvalidRequest("key: missing")

    def _fields(self, names: str) -> dict[str, Any]:
        return {name: getattr(self, name) for name in names.split()}

    def _what(self, wait_ms: int) -> dict[str, Any]:
        fields = self._fields("ttl_ms label value limit lock_delay_ms")
        mode = locks_pb2.MODE_SHARED if self.shared else locks_pb2.MODE_EXCLUSIVE
        return {"wait_ms": wait_ms, "mode": mode, **fields}

    def hold_message(self, wait_ms: int) -> locks_pb2.HoldRequest:
        several: dict[str, Any] = {"keys": self.keys}
        if len(self.keys) == 1:
            several = {"key": self.keys[0]}
        bounds = self._fields("grace_ms max_hold_ms heartbeat_ms")
        return locks_pb2.HoldRequest(
            ask=locks_pb2.HoldAsk(**several, **bounds, **self._what(wait_ms))
        )

    def resume_message(self, token: bytes) -> locks_pb2.HoldRequest:
        kept = self._fields("ttl_ms grace_ms lock_delay_ms max_hold_ms heartbeat_ms")
        return locks_pb2.HoldRequest(
            ask=locks_pb2.HoldAsk(key=self.keys[0], resume_token=token, **kept)
        )

    def acquire_message(self, token: bytes, wait_ms: int) -> locks_pb2.AcquireRequest:
        return locks_pb2.AcquireRequest(
            key=self.keys[0], detached=True, token=token, **self._what(wait_ms)
        )
