# SPDX-License-Identifier: Apache-2.0
"""The client for threads: the asyncio client, turned by a thread of its own.

Callbacks run in that thread: they must not block, nor call what waits.
"""
from __future__ import annotations

import contextlib
from types import TracebackType
from typing import Any, Callable, Optional

from . import aio, errors
from .ask import Ask, Duration
from .asking import Asking
from .background import Background
from .lease import BaseLease
from .states import Holder, WatchState


class Lease(BaseLease):
    """A lease that lives as long as its connection, kept alive by the library's thread. Once it is lost, its
    check() and its fence raise LeaseLost."""

    def __init__(self, background: Background, lease: aio.Lease):
        super().__init__(lease.source)
        self._background = background
        self._lease = lease

    def renew(self) -> float:
        """Asks the server; the seconds for which it is certainly valid. (It is kept alive anyway.)"""
        return self._background.run(self._lease.renew)

    def release(self) -> None:
        """Returns when the lock is free. Raises NotHeld when the lease was lost before."""
        self._background.run(self._lease.release)

    def leave(self, has_failed: bool) -> None:
        try:
            self._background.run(lambda: self._lease.leave(has_failed))
        except errors.Cancelled:
            if not has_failed:
                raise


class DetachedLease(BaseLease):
    """A lease that is bound to nothing but its ttl: renew it, and release it, from anywhere."""

    def __init__(self, background: Background, lease: aio.DetachedLease):
        super().__init__(lease.source)
        self._background = background
        self._lease = lease

    def renew(self, ttl: Optional[Duration] = None) -> float:
        """Extends it to `ttl` from now; never cuts it short."""
        return self._background.run(lambda: self._lease.renew(ttl))

    def release(self) -> None:
        self._background.run(self._lease.release)


class Lock:
    """A lock to be held, again and again if you like, but not twice at a time."""

    def __init__(self, background: Background, lock: aio.Lock):
        self._background = background
        self.core = lock
        self._lease: Optional[Lease] = None
        self._is_in_use = False
        self._cancel: Callable[[], object] = lambda: None

    def acquire(self) -> Lease:
        """The lease is the caller's to release. Raises Busy, or what else went wrong."""
        lease = self._background.run(self.core.acquire, aio.Lease.abandon, self._on_start)
        return Lease(self._background, lease)

    def _on_start(self, cancel: Callable[[], object]) -> None:
        self._cancel = cancel

    def cancel(self) -> None:
        """From another thread: takes the question back, so that acquire raises Cancelled. Nothing happens when
        it has been answered."""
        self._cancel()

    def __enter__(self) -> Lease:
        if self._is_in_use:
            raise RuntimeError("this lock object is in use; make another one")
        self._is_in_use = True
        try:
            self._lease = self.acquire()
        except BaseException:
            self._is_in_use = False
            raise
        return self._lease

    def __exit__(
        self,
        kind: Optional[type[BaseException]],
        error: Optional[BaseException],
        traceback: Optional[TracebackType],
    ) -> None:
        lease, self._lease = self._lease, None
        self._is_in_use = False
        assert lease is not None
        lease.leave(error is not None)


class Watch:
    """An iterator of WatchState, used with `with`; see aio.Watch."""

    def __init__(self, background: Background, watch: aio.Watch):
        self._background = background
        self._watch = watch

    def __enter__(self) -> Watch:
        self._background.run(self._watch.__aenter__)
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """From any thread: ends the iteration."""
        with contextlib.suppress(errors.Cancelled):
            self._background.run(self._watch.__aexit__)

    def __iter__(self) -> Watch:
        return self

    def __next__(self) -> WatchState:
        state = self._background.run(self._watch.next)
        if state is None:
            raise StopIteration
        return state


class Election:
    """Stands for a lock, and again after each term, until it resigns. Used with `with`."""

    def __init__(self, background: Background, election: aio.Election):
        self._background = background
        self._election = election

    @property
    def is_leading(self) -> bool:
        return self._election.is_leading

    def __enter__(self) -> Election:
        self._background.run(self._election.__aenter__)
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(errors.Cancelled):
            self.resign()

    def wait(self) -> None:
        """Until the candidacy is over; raises what ended it, if something did."""
        self._background.run(self._election.wait)

    def resign(self) -> None:
        """Does not stand any more; returns when the lock is free. Raises as wait does."""
        self._background.run(self._election.resign)


class Client(Asking[Lock, Election]):
    """One connection to a server, which any number of threads may use. See aio.Client for the arguments.
    After fork only the parent may use it."""

    def __init__(
        self,
        server: Optional[str] = None,
        *,
        ca_file: Optional[str] = None,
        cert_file: Optional[str] = None,
        key_file: Optional[str] = None,
        timeout: Duration = aio.DEFAULT_TIMEOUT,
        bearer_token: Optional[str] = None,
    ):
        self._client = aio.Client(
            server,
            ca_file=ca_file,
            cert_file=cert_file,
            key_file=key_file,
            timeout=timeout,
            bearer_token=bearer_token,
        )
        self._background = Background()

    def __repr__(self) -> str:
        return f"<holdfast.Client {self._client.server}>"

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Leases still held are given up, without on_lost; what other threads wait for raises Cancelled."""
        with contextlib.suppress(errors.Cancelled):
            self._background.run(self._client.close)
            self._background.stop()

    def _lock(self, ask: Ask) -> Lock:
        return Lock(self._background, aio.Lock(self._client, ask))

    def _election(
        self, lock: Lock, on_elected: Callable[..., Any], on_deposed: Callable[[], object]
    ) -> Election:
        def tell(lease: aio.Lease) -> None:
            on_elected(Lease(self._background, lease))

        return Election(self._background, self._client._election(lock.core, tell, on_deposed))

    def acquire_detached(
        self,
        key: str,
        *,
        token: Optional[bytes] = None,
        wait: Duration = 0.0,
        ttl: Optional[Duration] = None,
        label: str = "",
        value: bytes = b"",
        shared: bool = False,
        limit: int = 0,
        lock_delay: Optional[Duration] = None,
    ) -> DetachedLease:
        """See aio.Client.acquire_detached."""
        lease = self._background.run(
            lambda: self._client.acquire_detached(
                key,
                token=token,
                wait=wait,
                ttl=ttl,
                label=label,
                value=value,
                shared=shared,
                limit=limit,
                lock_delay=lock_delay,
            )
        )
        return DetachedLease(self._background, lease)

    def renew(self, key: str, token: bytes, ttl: Optional[Duration] = None) -> DetachedLease:
        """Extends the detached lease of another process. Its fence is 0 where the server does not tell."""
        return DetachedLease(
            self._background, self._background.run(lambda: self._client.renew(key, token, ttl))
        )

    def release(self, key: str, token: bytes) -> None:
        """Releases the lease of another process, detached or not. Raises NotHeld when it is gone."""
        self._background.run(lambda: self._client.release(key, token))

    def inspect(self, key: str) -> Optional[Holder]:
        """Who holds the lock; None when it is free."""
        return self._background.run(lambda: self._client.inspect(key))

    def watch(self, key: str) -> Watch:
        """with client.watch(key) as states: for state in states: ..."""
        return Watch(self._background, self._client.watch(key))

    def check_health(self) -> None:
        """Raises ServerAway unless the server serves: it is up, not draining, and its Redis is there."""
        self._background.run(self._client.check_health)
