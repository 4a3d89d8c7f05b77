# SPDX-License-Identifier: Apache-2.0
"""One call of Hold: starts when there is a connection, and tells its owner what arrives, in order."""
from __future__ import annotations

import asyncio
from typing import Any, Optional, Protocol

import grpc

from .connection import Connection
from .v1 import locks_pb2

# How long a stream that nobody wants any more may take to end by itself.
LEAVE_TIMEOUT = 5.0


class Owner(Protocol):
    def on_ready(self) -> None: ...

    def on_event(self, event: locks_pb2.HoldEvent) -> None: ...

    def on_end(self, error: Optional[Exception]) -> None: ...


class Stream:
    def __init__(self, connection: Connection, owner: Owner):
        self._connection = connection
        self._owner: Optional[Owner] = owner
        self._output: asyncio.Queue[Optional[locks_pb2.HoldRequest]] = asyncio.Queue()
        self.is_started = False
        self._task = connection.spawn(self._run())

    def pass_to(self, owner: Owner) -> None:
        self._owner = owner

    def send(self, message: locks_pb2.HoldRequest) -> None:
        """The owner limits how many messages may be under way."""
        self._output.put_nowait(message)

    def half_close(self) -> None:
        self._output.put_nowait(None)

    def leave(self) -> None:
        """Gives up what the stream has or may still get: half-closing it does, and is acknowledged.
        (Cancelling it would be a dropped connection, which a grace outlives.)"""
        self._owner = None
        if self.is_started:
            self.half_close()
            self._connection.let_leave(self._task)
            asyncio.get_running_loop().call_later(LEAVE_TIMEOUT, self._task.cancel)
        else:
            self._task.cancel()

    async def _write(self, call: Any) -> None:
        try:
            while (message := await self._output.get()) is not None:
                await call.write(message)
            await call.done_writing()
        except (grpc.aio.AioRpcError, asyncio.InvalidStateError):
            pass  # the reader hears of it, too

    async def _run(self) -> None:
        await self._connection.wait_up()
        self.is_started = True
        if self._owner is not None:
            self._owner.on_ready()
        call = self._connection.hold()
        writer = self._connection.spawn(self._write(call))
        try:
            failure = await self._read(call)
        finally:
            writer.cancel()
        owner, self._owner = self._owner, None
        if owner is not None:
            owner.on_end(failure)

    async def _read(self, call: Any) -> Optional[Exception]:
        """To the end of the stream, which may be a failure."""
        while True:
            try:
                event = await call.read()
            except Exception as error:  # whatever it is, the stream has ended
                return error
            if event is grpc.aio.EOF:
                return None
            if self._owner is not None:
                self._owner.on_event(event)
