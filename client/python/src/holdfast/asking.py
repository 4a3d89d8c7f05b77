# SPDX-License-Identifier: Apache-2.0
"""How locks are asked for: the same words for both kinds of clients."""
from __future__ import annotations

from typing import Any, Callable, Generic, Optional, TypeVar

from .ask import DAY, Ask, Duration, OnAtRisk, OnLost, OnQueued, check_token, milliseconds

LockT = TypeVar("LockT")
ElectionT = TypeVar("ElectionT")


class Asking(Generic[LockT, ElectionT]):
    """Times are seconds, or timedeltas; at most a day."""

    def _lock(self, ask: Ask) -> LockT:
        raise NotImplementedError

    def _election(
        self, lock: LockT, on_elected: Callable[..., Any], on_deposed: Callable[[], object]
    ) -> ElectionT:
        raise NotImplementedError

    def lock(
        self,
        *keys: str,
        wait: Duration = 0.0,
        ttl: Optional[Duration] = None,
        label: str = "",
        value: bytes = b"",
        shared: bool = False,
        limit: int = 0,
        grace: Optional[Duration] = None,
        lock_delay: Optional[Duration] = None,
        max_hold: Optional[Duration] = None,
        heartbeat: Optional[Duration] = None,
        on_queued: Optional[OnQueued] = None,
        on_at_risk: Optional[OnAtRisk] = None,
        on_lost: Optional[OnLost] = None,
    ) -> LockT:
        """A lock to be held in a `with` block, or by acquire(). Nothing is asked for yet.

        keys        a lock's name; or several, which are taken all or none
        wait        how long to wait for it; 0: Busy at once. The client's timeout counts on top
        ttl         how long Redis keeps the lock if this server dies; None: the server's default
        label       who is asking, shown to whoever finds the lock busy
        value       bytes for whoever inspects or watches the lock
        shared      hold it together with other shared holders (readers), at most `limit` if that is
                    not 0 (a semaphore)
        grace       a dropped connection ends the lease only after this time, in which the client
                    reconnects and resumes it; not with several keys
        lock_delay  how long the lock stays closed after its holder was lost
        max_hold    the lease ends at the latest that long after its grant
        heartbeat   the server revokes the lease when it hears nothing from this process for so long
        on_queued   called with the position in the queue (1: the next) and with who is in the way
        on_at_risk  called with the seconds left, when the lease could not be confirmed for long
        on_lost     called once with the Loss, never after a release
        """
        return self._lock(
            Ask(
                keys=keys,
                wait_ms=milliseconds("wait", wait),
                ttl_ms=milliseconds("ttl", ttl),
                label=label,
                value=value,
                shared=shared,
                limit=limit,
                grace_ms=milliseconds("grace", grace),
                lock_delay_ms=milliseconds("lock_delay", lock_delay),
                max_hold_ms=milliseconds("max_hold", max_hold),
                heartbeat_ms=milliseconds("heartbeat", heartbeat),
                on_queued=on_queued,
                on_at_risk=on_at_risk,
                on_lost=on_lost,
            )
        )

    def resume(
        self,
        key: str,
        token: bytes,
        *,
        ttl: Optional[Duration] = None,
        grace: Optional[Duration] = None,
        lock_delay: Optional[Duration] = None,
        max_hold: Optional[Duration] = None,
        heartbeat: Optional[Duration] = None,
        on_at_risk: Optional[OnAtRisk] = None,
        on_lost: Optional[OnLost] = None,
    ) -> LockT:
        """The lock of a lease that is taken over by its token, within its grace, with the fence it had. Whoever
        held it has lost it. Entering raises NotHeld when it has ended."""
        return self._lock(
            Ask(
                keys=(key,),
                token=check_token(token),
                ttl_ms=milliseconds("ttl", ttl),
                grace_ms=milliseconds("grace", grace),
                lock_delay_ms=milliseconds("lock_delay", lock_delay),
                max_hold_ms=milliseconds("max_hold", max_hold),
                heartbeat_ms=milliseconds("heartbeat", heartbeat),
                on_at_risk=on_at_risk,
                on_lost=on_lost,
            )
        )

    def elect(
        self,
        key: str,
        on_elected: Callable[..., Any],
        on_deposed: Callable[[], object] = lambda: None,
        *,
        value: bytes = b"",
        label: str = "",
        ttl: Optional[Duration] = None,
        grace: Optional[Duration] = None,
        lock_delay: Optional[Duration] = None,
    ) -> ElectionT:
        """Stands for leadership for the length of a `with` block, and again after each lost term. `value`
        tells whoever watches the lock where the leader is. `on_elected` is called with the lease."""
        lock = self.lock(
            key, wait=DAY, ttl=ttl, value=value, label=label, grace=grace, lock_delay=lock_delay
        )
        return self._election(lock, on_elected, on_deposed)
