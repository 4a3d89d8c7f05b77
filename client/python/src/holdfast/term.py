# SPDX-License-Identifier: Apache-2.0
"""How long a lease is certainly valid, and when something must be done about it.

Pure: whoever calls tells the time, in seconds of clock.now(). Only the thread of the event loop changes
a term; any thread may ask `left`.
"""
from __future__ import annotations

from typing import Optional

from .states import Loss

# A ping each third of the time that counts leaves two more chances.
PINGS_A_TERM = 3

# Pings come faster while the server confirms little, but not much faster.
PING_HURRY_MAX = 8

# The application is warned when this part of the ttl is left; a healthy lease stays above a third.
AT_RISK_PART = 6

# From a grant to our reading of it, where it matters for no more than the name of a loss.
GRANT_DELAY_MAX = 0.01

# Between two attempts to resume.
RESUME_PAUSE = 0.1


class Term:
    def __init__(self) -> None:
        self.deadline = 0.0
        self.due = 0.0  # the next ping, or attempt to resume
        self.loss: Optional[Loss] = None
        self.is_warned = False
        self._is_last = False  # max_hold ends it, if nothing else does
        self.start(0.0)

    def start(
        self, ttl: float, heartbeat: float = 0.0, max_hold_until: Optional[float] = None
    ) -> None:
        """A new grant, or a resumed one. It is valid once it is confirmed."""
        self.ttl = ttl
        self.is_warned = False
        self._heartbeat = heartbeat
        self._max_hold_until = max_hold_until

    def left(self, now: float) -> float:
        return self.deadline - now

    @property
    def at_risk(self) -> float:
        return self.ttl / AT_RISK_PART

    def confirm(self, sent_at: float, valid_for: float, now: float) -> None:
        """The server never confirms more than the longest hold leaves, which was `now` minus `sent_at`
        less when we heard of it than when it was counted."""
        self.deadline = sent_at + valid_for
        until = self._max_hold_until
        told_at = now - sent_at + GRANT_DELAY_MAX
        self._is_last = until is not None and self.deadline + told_at >= until

    def limit(self, until: float) -> None:
        self.deadline = min(self.deadline, until)

    def end(self, loss: Optional[Loss] = None) -> None:
        self.deadline = 0.0
        self.loss = loss

    def loss_by_time(self) -> Loss:
        return Loss.MAX_HOLD if self._is_last else Loss.EXPIRED

    def plan_ping(self, now: float) -> None:
        """Halfway to the end at the latest: what is left may be less than the ttl."""
        interval = min(self.ttl, self._heartbeat or self.ttl) / PINGS_A_TERM
        self.due = now + min(interval, max(self.left(now) / 2, interval / PING_HURRY_MAX))

    def plan_resume(self, now: float) -> None:
        self.due = now + RESUME_PAUSE

    def wakes_at(self) -> float:
        """Ping or resume, warn, or end."""
        return min(self.due, self.deadline - (0.0 if self.is_warned else self.at_risk))

    def must_warn(self, now: float) -> bool:
        """Once, and again after a recovery."""
        return not self.is_warned and self.left(now) <= self.at_risk

    def note_recovery(self, now: float) -> None:
        if self.left(now) > 2 * self.at_risk:
            self.is_warned = False
