# SPDX-License-Identifier: Apache-2.0
"""A lease on the Hold stream, from its grant to its end: kept alive, resumed, warned of, lost, released.

Everything runs in the event loop and nothing waits: the stream and one timer tell what happened, futures
tell whoever waits. The application's callbacks run in turns of their own.
"""
from __future__ import annotations

import asyncio
import enum
from collections import deque
from dataclasses import dataclass
from typing import Callable, Optional

from . import clock, errors
from .ask import Ask, OnLost
from .connection import Connection
from .grant import Grant, grant_of
from .states import Loss, loss_of
from .stream import Stream
from .term import Term
from .v1 import locks_pb2

# Pings the server has not answered. More would not wake it.
PINGS_MAX = 64

_PING = locks_pb2.HoldRequest(ping=locks_pb2.HoldPing())

_Done = asyncio.Future[None]

# Releases by key and token, in the background.
GiveUp = Callable[[str, bytes], _Done]


class State(enum.Enum):
    CONFIRMING = "confirming"  # the application does not have it yet
    HELD = "held"
    RESUMING = "resuming"  # the connection dropped, and its grace is not over
    RELEASING = "releasing"
    OVER = "over"


@dataclass
class Ping:
    sent_at: float
    waiter: Optional[_Done]

    def answer(self, error: Optional[Exception] = None) -> None:
        if self.waiter is None or self.waiter.done():
            return
        if error is None:
            self.waiter.set_result(None)
        else:
            self.waiter.set_exception(error)


class Hold:
    def __init__(
        self,
        connection: Connection,
        ask: Ask,
        grant: Grant,
        stream: Stream,
        give_up: GiveUp,
    ):
        self.grant = grant
        self.term = Term()
        self.state = State.CONFIRMING
        self.on_lost: list[OnLost] = []  # within the library: at once
        self._connection = connection
        self._ask = ask
        self._stream: Optional[Stream] = stream
        self._give_up = give_up
        self._loop = asyncio.get_running_loop()
        self._asked_at = 0.0  # to resume it
        self._pings: deque[Ping] = deque()
        self._release = Ping(0.0, None)
        self._timer: Optional[asyncio.TimerHandle] = None

    # Its beginning

    def start_term(self, message: locks_pb2.Lease, since: float) -> None:
        ask = self._ask
        now = clock.now()
        end = now + ask.max_hold_ms / 1000 if ask.max_hold_ms else None
        self.term.start(message.ttl_ms / 1000, ask.heartbeat_ms / 1000, end)
        self.term.confirm(since, message.valid_for_ms / 1000, now)

    def confirm(self) -> _Done:
        waiter: _Done = self._loop.create_future()
        self._ping(waiter)
        return waiter

    def settle(self) -> bool:
        """The application has it from now on, unless it is over."""
        if self.state is State.CONFIRMING:
            self._keep()
        return self.state is State.HELD

    def _keep(self) -> None:
        self.state = State.HELD
        self.term.plan_ping(clock.now())
        self._set_timer()

    # What is asked of it

    def check(self) -> None:
        """Raises when it is not valid. From any thread."""
        if self.term.left(clock.now()) > 0:
            return
        if self.state in (State.HELD, State.RESUMING) or self.term.loss is not None:
            raise errors.LeaseLost(self.term.loss or self._loss_by_time())
        raise errors.NotHeld("the lease was released")

    def renew(self) -> _Done:
        if not self._is_held():
            raise errors.NotHeld("the lease was lost or released before")
        if len(self._pings) >= PINGS_MAX:
            raise errors.LimitReached("too many renewals wait for the server")
        return self.confirm()

    def release(self) -> _Done:
        """While the connection is away the server may still have the lease for its grace: the token gives
        it up."""
        if not self._is_held():
            raise errors.NotHeld("the lease was lost or released before")
        if self.state is State.RESUMING and (self._stream is None or not self._stream.is_started):
            self._end()
            return self._give_up(self._ask.keys[0], self.grant.token)
        waiter: _Done = self._loop.create_future()
        self.term.end()
        self._drop_pings(errors.NotHeld("the lease is being released"))
        self.state = State.RELEASING
        self._release = Ping(0.0, waiter)
        if self._stream is not None:
            self._stream.half_close()
        self._set_timer()
        return waiter

    def abandon(self) -> None:
        """Gives it up without a word."""
        if self.state is State.RESUMING:
            self._give_up(self._ask.keys[0], self.grant.token)
        self._end()

    def close(self) -> None:
        """Of the client: nobody hears of it, but whoever waits."""
        self._end(errors.Cancelled("the client was closed"))

    def _end(self, error: Optional[Exception] = None) -> None:
        self.state = State.OVER
        self.term.end(self.term.loss)
        self._release.answer(error)
        self._drop_pings(error or errors.NotHeld("the lease ended"))
        if self._timer is not None:
            self._timer.cancel()
        if self._stream is not None:
            self._stream.leave()

    # Its end by itself

    def _is_held(self) -> bool:
        return self._is_in_time() and self.state in (State.HELD, State.RESUMING)

    def _is_in_time(self) -> bool:
        is_held = self.state in (State.HELD, State.RESUMING)
        if is_held and self.term.left(clock.now()) <= 0:
            self._lose(self._loss_by_time())
        return self.state is not State.OVER

    def _loss_by_time(self) -> Loss:
        return Loss.CONNECTION if self.state is State.RESUMING else self.term.loss_by_time()

    def _lose(self, loss: Loss) -> None:
        self.term.loss = loss
        self._end(errors.LeaseLost(loss))
        for hear in self.on_lost:
            hear(loss)
        if self._ask.on_lost is not None:
            self._loop.call_soon(self._ask.on_lost, loss)

    def _warn(self) -> None:
        if self.term.is_warned:
            return
        self.term.is_warned = True
        if self._ask.on_at_risk is not None:
            self._loop.call_soon(self._tell_at_risk)

    def _tell_at_risk(self) -> None:
        left = self.term.left(clock.now())
        if self._ask.on_at_risk is not None and left > 0:
            self._ask.on_at_risk(left)

    # Pings and the timer

    def _ping(self, waiter: Optional[_Done] = None) -> None:
        self._pings.append(Ping(clock.now(), waiter))
        if self._stream is not None and self.state is not State.RESUMING:
            self._stream.send(_PING)

    def _drop_pings(self, error: Optional[Exception] = None) -> None:
        while self._pings:
            self._pings.popleft().answer(error)

    def _set_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        delay = self.term.wakes_at() - clock.now()
        if self.state is State.RELEASING:
            delay = self._connection.timeout
        self._timer = self._loop.call_later(max(0.0, delay), self._on_timer)

    def _on_timer(self) -> None:
        """Timers run on a clock that stands still while the machine is suspended, and may be early."""
        if self.state is State.RELEASING:
            self._end(errors.TimedOut("the server did not answer in time"))
            return
        if not self._is_held():
            return
        now = clock.now()
        if self.term.must_warn(now):
            self._warn()
        if now >= self.term.due and self.state is State.RESUMING:
            self._try_to_resume(now)
        elif now >= self.term.due:
            if len(self._pings) < PINGS_MAX:
                self._ping()
            self.term.plan_ping(now)
        self._set_timer()

    # Resuming

    def _begin_resuming(self, now: float) -> None:
        """The server began to count the grace when it noticed, which may have been before us; but it cannot
        have let the lock go before the deadline that it confirmed itself, unless the grace is shorter.
        Pings that somebody waits for wait on: coming back answers them as well."""
        self.state = State.RESUMING
        self.term.limit(now + self._ask.grace_ms / 1000)
        self._pings = deque(ping for ping in self._pings if ping.waiter is not None)
        self._try_to_resume(now)
        self._set_timer()

    def _try_to_resume(self, now: float) -> None:
        self.term.plan_resume(now)
        if self._stream is None:
            self._stream = Stream(self._connection, self)

    def on_ready(self) -> None:
        self._asked_at = clock.now()
        if self._stream is not None:
            self._stream.send(self._ask.resume_message(self.grant.token))

    # What the stream tells

    def on_event(self, event: locks_pb2.HoldEvent) -> None:
        kind = event.WhichOneof("event")
        if not self._is_in_time():
            return
        if kind == "renewed":
            self._take_renewed(event.renewed)
        elif kind == "at_risk" and self.state is State.HELD:
            self._warn()
        elif kind == "lost":
            self._take_lost(event.lost)
        elif kind == "released" and self.state is State.RELEASING:
            self._end()
        elif kind == "granted" and self.state is State.RESUMING:
            self._take_resumed(event.granted)

    def _take_renewed(self, renewed: locks_pb2.HoldRenewed) -> None:
        """Answers come in the order of the pings. One that crossed our release says nothing new."""
        if self.state not in (State.HELD, State.CONFIRMING) or not self._pings:
            return
        now = clock.now()
        ping = self._pings.popleft()
        self.term.confirm(ping.sent_at, renewed.valid_for_ms / 1000, now)
        if self.term.left(now) <= 0:
            ping.answer(errors.TimedOut("the lease had expired when it was confirmed"))
            self._is_in_time()
            return
        ping.answer()
        self.term.note_recovery(now)
        if self.state is State.HELD:
            self._keep()

    def _take_resumed(self, message: locks_pb2.Lease) -> None:
        """Ours again, with the fence it had: whoever waited for news of it has them."""
        grant = grant_of(message, self._ask.keys, self.grant.token)
        if grant is None or grant.fences != self.grant.fences:
            self._lose(Loss.CONNECTION)
            return
        self.start_term(message, self._asked_at)
        if self._is_in_time():
            self._drop_pings()
            self._keep()

    def _take_lost(self, lost: locks_pb2.HoldLost) -> None:
        loss = loss_of(lost)
        if self.state is State.RELEASING:
            self.term.loss = loss
            self._end(errors.NotHeld("the lease was lost before it could be released"))
        elif self.state is State.CONFIRMING:
            self._end(errors.NotHeld("the lease was lost before it could be used"))
        else:
            self._lose(Loss.CONNECTION if self.state is State.RESUMING else loss)

    def on_end(self, error: Optional[Exception]) -> None:
        self._stream = None
        is_disconnected = errors.is_disconnected(error)
        if self.state in (State.CONFIRMING, State.RELEASING):
            self._end_unheld(error)
        elif not self._is_in_time():
            return
        elif is_disconnected and self._ask.grace_ms and self.state is State.HELD:
            self._begin_resuming(clock.now())
        elif self.state is State.RESUMING and (is_disconnected or errors.is_passing(error)):
            self.term.plan_resume(clock.now())
            self._set_timer()
        else:
            self._lose(Loss.CONNECTION)

    def _end_unheld(self, error: Optional[Exception]) -> None:
        """A lease with a grace outlives the connection, also one that the application does not want."""
        if self._ask.grace_ms and errors.is_disconnected(error):
            self._give_up(self._ask.keys[0], self.grant.token)
        self._end(errors.of_failure(error))
