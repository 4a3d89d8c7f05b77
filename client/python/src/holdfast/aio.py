# SPDX-License-Identifier: Apache-2.0
"""The client for asyncio. In an `async with` block the task is cancelled when the lease is lost."""
from __future__ import annotations

import asyncio
import weakref
from types import TracebackType
from typing import Any, Callable, Coroutine, Optional, TypeVar

from . import address, detached, errors
from .ask import Ask, Duration, check_token, milliseconds, seconds
from .asking import Asking
from .connection import Connection
from .election import Election
from .hold import Hold
from .lease import BaseLease
from .question import Question
from .states import Holder, Loss, holder_of
from .v1 import locks_pb2
from .watch import Watch

__all__ = ["Client", "DetachedLease", "Election", "Lease", "Lock", "Watch"]

DEFAULT_TIMEOUT = 5.0

_T = TypeVar("_T")


class Lease(BaseLease):
    """A lease that lives as long as its connection, kept alive by the library."""

    def __init__(self, hold: Hold, timeout: float):
        super().__init__(hold)
        self._hold = hold
        self._timeout = timeout

    async def renew(self) -> float:
        """Asks the server; the seconds for which it is certainly valid. (It is kept alive anyway.)"""
        try:
            await asyncio.wait_for(self._hold.renew(), self._timeout)
        except asyncio.TimeoutError:
            raise errors.TimedOut("the server did not answer in time") from None
        return self.valid_for

    async def release(self) -> None:
        """Returns when the lock is free. Raises NotHeld when the lease was lost before."""
        await asyncio.shield(self._hold.release())

    def abandon(self) -> None:
        """Releases it in the background, without a word."""
        self._hold.abandon()

    async def leave(self, has_failed: bool) -> None:
        """Ends a block that held it. What was done in the block was done under a valid lease unless it is
        lost, so that the server goes away during the release is no failure of the block."""
        try:
            await self.release()
        except (errors.ServerAway, errors.TimedOut):
            pass
        except errors.HoldfastError:
            if has_failed:
                return
            if self.loss is not None:
                raise errors.LeaseLost(self.loss) from None
            raise

    def hear_lost(self, hear: Callable[[Loss], object]) -> None:
        self._hold.on_lost.append(hear)


class DetachedLease(BaseLease):
    """A lease that is bound to nothing but its ttl: renew it, and release it, from anywhere."""

    def __init__(self, connection: Connection, core: detached.Detached):
        super().__init__(core)
        self._connection = connection
        self._core = core

    async def renew(self, ttl: Optional[Duration] = None) -> float:
        """Extends it to `ttl` from now; never cuts it short."""
        ttl_ms = milliseconds("ttl", ttl)
        await detached.renew(self._connection, self._core, self.key, ttl_ms)
        return self.valid_for

    async def release(self) -> None:
        await detached.release(self._connection, self._core, self.key)


class Lock:
    """A lock to be held, again and again if you like, but not twice at a time."""

    def __init__(self, client: Client, ask: Ask):
        self._client = client
        self._ask = ask
        self._lease: Optional[Lease] = None
        self._task: Optional[asyncio.Task[Any]] = None
        self._cancelling = 0
        self._has_cancelled = False

    async def acquire(self) -> Lease:
        """The lease is the caller's to release. Raises Busy, or what else went wrong; cancelling takes the
        question back."""
        return await self._client.hold(self._ask)

    async def __aenter__(self) -> Lease:
        if self._task is not None:
            raise RuntimeError("this lock object is in use; make another one")
        self._task = asyncio.current_task()
        assert self._task is not None
        self._cancelling = self._task.cancelling()
        self._has_cancelled = False
        try:
            self._lease = await self.acquire()
        except BaseException:
            self._task = None
            raise
        self._lease.hear_lost(self._on_lost)
        return self._lease

    def _on_lost(self, loss: Loss) -> None:
        if self._task is not None:
            self._has_cancelled = True
            self._task.cancel(f"the lease was lost: {loss.value}")

    async def __aexit__(
        self,
        kind: Optional[type[BaseException]],
        error: Optional[BaseException],
        traceback: Optional[TracebackType],
    ) -> None:
        lease, self._lease = self._lease, None
        task, self._task = self._task, None
        assert lease is not None and task is not None
        if not self._has_cancelled:
            await lease.leave(error is not None)
            return
        is_ours = task.uncancel() <= self._cancelling and kind is asyncio.CancelledError
        if lease.loss is not None and (is_ours or error is None):
            raise errors.LeaseLost(lease.loss) from error


class Client(Asking[Lock, Election]):
    """One connection to a server, made when it is first used and again whenever it drops.

    server       unix:///path, tcp://host:port or tls://host:port; None: $HOLDFAST_SERVER, else
                 tcp://127.0.0.1:7420
    ca_file      tls: PEM of the authorities to trust; None: the system's
    cert_file    tls: our certificate, if the server asks, and key_file its key; PEM
    timeout      for connecting and for each request
    bearer_token sent with each call as `authorization: Bearer ...`
    """

    def __init__(
        self,
        server: Optional[str] = None,
        *,
        ca_file: Optional[str] = None,
        cert_file: Optional[str] = None,
        key_file: Optional[str] = None,
        timeout: Duration = DEFAULT_TIMEOUT,
        bearer_token: Optional[str] = None,
    ):
        where = address.parse(server)
        trust = address.credentials(where, ca_file, cert_file, key_file)
        self._connection = Connection(where, trust, seconds("timeout", timeout), bearer_token)
        self._live: weakref.WeakSet[Any] = weakref.WeakSet()  # what ends with the client
        self._is_closed = False

    @property
    def server(self) -> str:
        return self._connection.address.url

    def __repr__(self) -> str:
        return f"<holdfast.aio.Client {self.server}>"

    async def __aenter__(self) -> Client:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Leases still held are given up, without on_lost; what others wait for is cancelled."""
        self._is_closed = True
        for living in list(self._live):
            living.close()
        await self._connection.close()

    def _check_open(self) -> None:
        if self._is_closed:
            raise errors.Cancelled("the client was closed")

    # Locks

    def _lock(self, ask: Ask) -> Lock:
        return Lock(self, ask)

    async def hold(self, ask: Ask) -> Lease:
        """What Lock.acquire does."""
        self._check_open()
        question = Question(self._connection, ask, self._give_up)
        self._live.add(question)
        try:
            hold = await question.answer
        except asyncio.CancelledError:
            question.take_back()
            raise
        self._live.add(hold)
        return Lease(hold, self._connection.timeout)

    async def acquire_detached(
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
        """With a `token` of your own (16 random bytes) asking again is the same acquire: after ServerAway, TimedOut
        or a cancel the lock may have been obtained; ask again, or release it by that token. Without, the library
        sees to it."""
        ask = Ask(
            keys=(key,),
            wait_ms=milliseconds("wait", wait),
            ttl_ms=milliseconds("ttl", ttl),
            label=label,
            value=value,
            shared=shared,
            limit=limit,
            lock_delay_ms=milliseconds("lock_delay", lock_delay),
        )
        own = check_token(token) if token is not None else None
        core = await self._run(detached.acquire(self._connection, ask, own, self._give_up))
        return DetachedLease(self._connection, core)

    async def renew(self, key: str, token: bytes, ttl: Optional[Duration] = None) -> DetachedLease:
        """Extends the detached lease of another process. Its fence is 0 where the server does not tell."""
        ttl_ms = milliseconds("ttl", ttl)
        core = await self._run(
            detached.renew_token(self._connection, key, check_token(token), ttl_ms)
        )
        return DetachedLease(self._connection, core)

    async def release(self, key: str, token: bytes) -> None:
        """Releases the lease of another process, detached or not. Raises NotHeld when it is gone."""
        await self._run(detached.release_token(self._connection, key, check_token(token)))

    async def inspect(self, key: str) -> Optional[Holder]:
        """Who holds the lock; None when it is free."""
        request = locks_pb2.InspectRequest(key=key)
        _, answer = await self._run(self._connection.ask("Inspect", lambda: request))
        return holder_of(answer.held) if answer.HasField("held") else None

    def watch(self, key: str) -> Watch:
        """async with client.watch(key) as states: async for state in states: ..."""
        self._check_open()
        watch = Watch(self._connection, key)
        self._live.add(watch)
        return watch

    def _election(
        self, lock: Lock, on_elected: Callable[..., Any], on_deposed: Callable[[], object]
    ) -> Election:
        election = Election(lock, on_elected, on_deposed)
        self._live.add(election)
        return election

    async def check_health(self) -> None:
        """Raises ServerAway unless the server serves: it is up, not draining, and its Redis is there."""
        await self._run(self._connection.check_health())

    # What goes on behind a caller's back

    async def _run(self, work: Coroutine[Any, Any, _T]) -> _T:
        """Work that close() cancels."""
        if self._is_closed:
            work.close()
        self._check_open()
        task = self._connection.spawn(work)
        try:
            return await task
        except asyncio.CancelledError:
            current = asyncio.current_task()
            if self._is_closed and current is not None and not current.cancelling():
                raise errors.Cancelled("the client was closed") from None
            raise

    def _give_up(self, key: str, token: bytes) -> asyncio.Future[None]:
        task = self._connection.spawn(detached.release_token(self._connection, key, token))
        task.add_done_callback(lambda done: done.cancelled() or done.exception())
        return task
