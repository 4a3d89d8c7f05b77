# SPDX-License-Identifier: Apache-2.0
"""Asking for a lease on the Hold stream: until it is granted, refused, or taken back.

Nothing in here waits: the stream and a timer tell what happened, and a future tells whoever asked.
"""
from __future__ import annotations

import asyncio
from typing import Optional

from . import clock, errors
from .ask import Ask
from .connection import Connection
from .grant import grant_of
from .hold import GiveUp, Hold
from .states import holder_of
from .stream import Stream
from .v1 import locks_pb2


class Question:
    def __init__(
        self,
        connection: Connection,
        ask: Ask,
        give_up: GiveUp,
    ):
        self._connection = connection
        self._ask = ask
        self._give_up = give_up
        self._loop = asyncio.get_running_loop()
        self._timer: Optional[asyncio.TimerHandle] = None
        self._wait_until: Optional[float] = None
        self._asked_at = 0.0
        self._was_queued = False
        self._hold: Optional[Hold] = None  # granted, and not certain enough yet
        # Cancelling it takes the question back.
        self.answer: asyncio.Future[Hold] = self._loop.create_future()
        self.answer.add_done_callback(self._on_done)
        self._start(connection.timeout)

    def _start(self, timeout: float) -> None:
        self._stream = Stream(self._connection, self)
        self._set_timer(timeout)

    def _set_timer(self, timeout: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_later(timeout, self._on_timeout)

    # Its end

    def _on_done(self, answer: asyncio.Future[Hold]) -> None:
        """Whatever was not handed over is given up."""
        if self._timer is not None:
            self._timer.cancel()
        if not answer.cancelled() and answer.exception() is None:
            return
        if self._hold is not None:
            self._hold.abandon()
        else:
            self._stream.leave()

    def take_back(self) -> None:
        """Nobody hears of the answer any more, even if it has been given just now."""
        is_given = not self.answer.cancel() and self.answer.exception() is None
        if is_given and self._hold is not None:
            self._hold.abandon()

    def close(self) -> None:
        """Of the client."""
        self._fail(errors.Cancelled("the client was closed"))

    def _settle(self, hold: Hold) -> None:
        if self.answer.done():
            return
        if hold.settle():
            self.answer.set_result(hold)
        else:
            self._fail(errors.NotHeld("the lease was lost before it could be used"))

    def _fail(self, error: Exception) -> None:
        if not self.answer.done():
            self.answer.set_exception(error)

    def _on_timeout(self) -> None:
        if self._stream.is_started and self._connection.is_up:
            self._fail(errors.TimedOut("the server did not answer in time"))
        else:
            self._fail(errors.ServerAway(self._connection.down))

    # What the stream tells

    def on_ready(self) -> None:
        """The wait began when the server heard of it first."""
        now = clock.now()
        self._asked_at = now
        if self._ask.token:
            self._stream.send(self._ask.resume_message(self._ask.token))
            return
        if self._wait_until is None:
            self._wait_until = now + self._ask.wait_ms / 1000
        wait = max(0.0, self._wait_until - now)
        self._stream.send(self._ask.hold_message(int(wait * 1000)))
        self._set_timer(wait + self._connection.timeout)

    def on_event(self, event: locks_pb2.HoldEvent) -> None:
        kind = event.WhichOneof("event")
        if kind == "queued":
            self._take_queued(event.queued)
        elif kind == "granted":
            self._take_granted(event.granted)
        elif kind == "busy":
            self._take_busy(event.busy)
        elif kind == "lost" and self._ask.token:
            self._fail(errors.NotHeld("the lease has ended meanwhile"))
        elif kind is not None:
            self._fail(errors.Refused("the server's answer makes no sense"))

    def on_end(self, error: Optional[Exception]) -> None:
        """Where the connection was lost during the wait nothing is held: it is asked anew, with what is
        left of the wait."""
        is_waiting = self._was_queued and clock.now() < (self._wait_until or 0.0)
        if is_waiting and errors.is_disconnected(error):
            self._start(self._connection.timeout)
        else:
            self._fail(errors.of_failure(error))

    def _take_queued(self, queued: locks_pb2.HoldQueued) -> None:
        self._was_queued = True
        if self._ask.on_queued is not None:
            holder = holder_of(queued.holder) if queued.HasField("holder") else None
            self._loop.call_soon(self._tell_queued, queued.position, holder)

    def _tell_queued(self, *what: object) -> None:
        """Never after the answer."""
        if self._ask.on_queued is not None and not self.answer.done():
            self._ask.on_queued(*what)  # type: ignore[arg-type]

    def _take_busy(self, message: locks_pb2.Holder) -> None:
        closed = "the lock is closed for a while after its holder was lost"
        text = closed if message.closed else "somebody else holds the lock"
        self._fail(errors.Busy(text, holder_of(message)))

    def _take_granted(self, message: locks_pb2.Lease) -> None:
        grant = grant_of(message, self._ask.keys, self._ask.token)
        if grant is None:
            self._fail(errors.Refused("the server's grant makes no sense"))
            return
        now = clock.now()
        hold = Hold(self._connection, self._ask, grant, self._stream, self._give_up)
        hold.start_term(message, self._asked_at)
        self._hold = hold
        self._stream.pass_to(hold)
        if self._ask.wait_ms and not self._ask.token:
            self._confirm(hold, now)
        elif hold.term.left(now) > 0:
            self._settle(hold)
        else:
            self._fail(errors.TimedOut("the lease had expired when its grant was read"))

    def _confirm(self, hold: Hold, now: float) -> None:
        """After a wait the grant may be as old as the question, for a process that was frozen reads what
        came long ago: a ping tells. Where enough is left, nobody has to wait for its answer."""
        confirmed = hold.confirm()
        if hold.term.left(now) > 2 * hold.term.at_risk:
            self._settle(hold)
        else:
            self._set_timer(self._connection.timeout)
        confirmed.add_done_callback(lambda done: self._on_confirmed(hold, done))

    def _on_confirmed(self, hold: Hold, confirmed: asyncio.Future[None]) -> None:
        error = confirmed.exception()
        if error is None:
            self._settle(hold)
        elif isinstance(error, Exception):
            self._fail(error)
