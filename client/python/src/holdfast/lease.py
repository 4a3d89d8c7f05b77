# SPDX-License-Identifier: Apache-2.0
"""What the application has of a lease: whether it is valid, and the fences to hand on."""
from __future__ import annotations

from types import MappingProxyType
from typing import Mapping, Optional, Protocol

from . import clock
from .grant import Grant
from .states import Loss
from .term import Term


class Source(Protocol):
    grant: Grant
    term: Term

    def check(self) -> None: ...


class BaseLease:
    """Readable from any thread. A lease is not mutual exclusion against a paused process: hand its fence to
    the resource that it protects."""

    def __init__(self, source: Source):
        self._source = source

    @property
    def source(self) -> Source:
        """For the library."""
        return self._source

    def check(self) -> None:
        """Raises LeaseLost, or NotHeld after a release, unless the lease is valid now. Call it right before
        you act."""
        self._source.check()

    @property
    def valid_for(self) -> float:
        """Seconds for which the lease is certainly valid; 0.0 when it is not. Never raises."""
        return max(0.0, self._source.term.left(clock.now()))

    @property
    def is_valid(self) -> bool:
        return self.valid_for > 0

    @property
    def loss(self) -> Optional[Loss]:
        """Why it was lost; None when it was not."""
        return self._source.term.loss

    @property
    def key(self) -> str:
        """With several locks: the first in the order of their names."""
        return next(iter(self._source.grant.fences))

    @property
    def fence(self) -> int:
        """Rises with every grant of the lock; for the protected resource to compare. Checks the lease. With
        several locks: that of `key`."""
        return self.fences[self.key]

    @property
    def fences(self) -> Mapping[str, int]:
        """The fence of each lock, by its key. Checks the lease."""
        self.check()
        return MappingProxyType(self._source.grant.fences)

    @property
    def token(self) -> bytes:
        """A secret: whoever has it can release or resume the lease. Never raises."""
        return self._source.grant.token

    @property
    def ttl(self) -> float:
        return self._source.term.ttl

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.key!r} valid for {self.valid_for:.3f} s>"
