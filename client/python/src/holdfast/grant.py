# SPDX-License-Identifier: Apache-2.0
"""What the server grants, as far as it makes sense."""
from __future__ import annotations

from dataclasses import dataclass, field
from typing import Optional

from .ask import TOKEN_SIZE
from .v1 import locks_pb2


@dataclass(frozen=True)
class Grant:
    token: bytes = field(repr=False)
    fences: dict[str, int]  # by key, in the order of their names


def grant_of(
    message: locks_pb2.Lease, keys: tuple[str, ...], token: bytes, needs_fence: bool = True
) -> Optional[Grant]:
    """None: it makes no sense."""
    fences = {lock.key: lock.fence for lock in message.locks} or {message.key: message.fence}
    is_right = len(message.token) == TOKEN_SIZE and token in (b"", message.token)
    is_whole = set(fences) == set(keys) and message.ttl_ms > 0
    has_fences = not needs_fence or 0 not in fences.values()
    return Grant(message.token, fences) if is_right and is_whole and has_fences else None
