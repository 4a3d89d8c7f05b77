# SPDX-License-Identifier: Apache-2.0
"""Leader election is a lock with a value: whoever holds it leads, and shows where it can be reached."""
from __future__ import annotations

import asyncio
import inspect
import random
from typing import TYPE_CHECKING, Any, Callable, Optional

from . import errors

if TYPE_CHECKING:
    from .aio import Lease, Lock

# Between two candidacies where the first came to nothing at once.
_PAUSE_FIRST = 0.1
_PAUSE_LAST = 2.0

# Standing again may come to something else.
_PASSING = (
    errors.Busy,
    errors.ServerAway,
    errors.TimedOut,
    errors.NotHeld,
    errors.LimitReached,
    errors.Deadlock,
)

# What to do when elected: a function; or a coroutine function, which is cancelled when the term ends, and ends
# the candidacy when it returns.
OnElected = Callable[["Lease"], Any]


class Election:
    """Stands for a lock, and again after each term, until it resigns. Used with `async with`."""

    def __init__(self, lock: Lock, on_elected: OnElected, on_deposed: Callable[[], object]):
        self._lock = lock
        self._on_elected = on_elected
        self._on_deposed = on_deposed
        self._task: Optional[asyncio.Task[None]] = None
        self._failure: Optional[Exception] = None  # of on_elected
        self._is_done = False
        self.lease: Optional[Lease] = None  # while it leads

    @property
    def is_leading(self) -> bool:
        lease = self.lease
        return lease is not None and lease.is_valid

    async def __aenter__(self) -> Election:
        self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.resign()

    def start(self) -> None:
        if self._task is not None:
            raise RuntimeError("an election can be used once")
        self._task = asyncio.create_task(self._stand())

    def close(self) -> None:
        if self._task is not None:
            self._task.cancel()

    async def resign(self) -> None:
        """Does not stand any more; returns when the lock is free. Raises as wait does."""
        self.close()
        await self.wait()

    async def wait(self) -> None:
        """Until the candidacy is over; raises what ended it, if something did."""
        if self._task is None:
            return
        await asyncio.wait([self._task])
        if not self._task.cancelled() and (error := self._task.exception()) is not None:
            raise error

    async def _stand(self) -> None:
        pause = _PAUSE_FIRST
        while not self._is_done:
            try:
                async with self._lock as lease:
                    pause = _PAUSE_FIRST
                    await self._lead(lease)
            except errors.HoldfastError as error:
                if error is self._failure or not isinstance(error, (errors.LeaseLost, *_PASSING)):
                    raise
                if isinstance(error, errors.LeaseLost):
                    self._on_deposed()
                else:
                    await asyncio.sleep(random.uniform(pause / 2, pause))
                    pause = min(2 * pause, _PAUSE_LAST)

    async def _lead(self, lease: Lease) -> None:
        """One term, which is cancelled when the lease is lost."""
        self.lease = lease
        try:
            work = self._on_elected(lease)
            if inspect.iscoroutine(work):
                await work
                self._is_done = True
            else:
                await asyncio.Event().wait()
        except Exception as error:
            self._failure = error
            raise
        finally:
            self.lease = None
