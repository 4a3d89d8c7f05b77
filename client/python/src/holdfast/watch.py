# SPDX-License-Identifier: Apache-2.0
"""Watching a lock: its state now, and again whenever that changes, across lost connections."""
from __future__ import annotations

import asyncio
from typing import Any, Optional

import grpc

from . import errors
from .connection import Connection
from .states import WatchState, holder_of
from .v1 import locks_pb2

# Until the server is asked again, when it says "not now".
_RETRY_PAUSE = 0.25


class Watch:
    """An asynchronous iterator of WatchState, used with `async with`. That the state is not known is told
    once, and the watch goes on by itself. Who is slow to iterate hears of the newest state only."""

    def __init__(self, connection: Connection, key: str):
        self._connection = connection
        self._key = key
        self._task: Optional[asyncio.Task[None]] = None
        self._news: Optional[WatchState] = None
        self._error: Optional[errors.HoldfastError] = None
        self._is_over = False
        self._is_unknown = False  # and the application knows
        self._changed = asyncio.Event()

    async def __aenter__(self) -> Watch:
        self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        if self._task is not None:
            raise RuntimeError("a watch can be used once")
        self._task = self._connection.spawn(self._run())

    def stop(self) -> None:
        """Ends the iteration."""
        self._end(None)
        if self._task is not None:
            self._task.cancel()

    def close(self) -> None:
        """Of the client."""
        self.stop()

    def __aiter__(self) -> Watch:
        return self

    async def __anext__(self) -> WatchState:
        state = await self.next()
        if state is None:
            raise StopAsyncIteration
        return state

    async def next(self) -> Optional[WatchState]:
        """None at the end."""
        if self._task is None:
            raise RuntimeError("a watch begins with `async with`")
        await self._changed.wait()
        news, self._news = self._news, None
        if news is not None:
            if not self._is_over:
                self._changed.clear()
            return news
        if self._error is not None:
            raise self._error
        return None

    def _tell(self, state: WatchState) -> None:
        self._is_unknown = not state.is_known
        self._news = state
        self._changed.set()

    def _tell_unknown(self, why: str) -> None:
        if not self._is_unknown:
            self._tell(WatchState(why_unknown=why))

    def _end(self, error: Optional[errors.HoldfastError]) -> None:
        self._is_over = True
        self._error = error
        if error is None:
            self._news = None
        self._changed.set()

    async def _run(self) -> None:
        while not self._is_over:
            await self._wait_up()
            call = self._connection.watch(self._key)
            try:
                await self._follow(call)
            except grpc.aio.AioRpcError as error:
                if error.code() is not grpc.StatusCode.UNAVAILABLE:
                    self._end(errors.of_status(error))
                    return
                self._tell_unknown(error.details() or "the connection was lost")
            else:
                self._tell_unknown("the server ended the watch")
            await asyncio.sleep(_RETRY_PAUSE)

    async def _wait_up(self) -> None:
        try:
            await self._connection.ready(self._connection.timeout)
        except errors.ServerAway as error:
            self._tell_unknown(str(error))
            await self._connection.wait_up()

    async def _follow(self, call: Any) -> None:
        late = asyncio.get_running_loop().call_later(
            self._connection.timeout,
            self._tell_unknown,
            "the server did not answer in time; perhaps its Redis is away",
        )
        try:
            while (event := await call.read()) is not grpc.aio.EOF:
                late.cancel()
                self._take(event)
        finally:
            late.cancel()

    def _take(self, event: locks_pb2.WatchEvent) -> None:
        state = event.WhichOneof("state")
        if state == "held":
            self._tell(WatchState(holder=holder_of(event.held)))
        elif state == "free":
            self._tell(WatchState())
