# SPDX-License-Identifier: Apache-2.0
"""Leases that are bound to nothing but their ttl, and what is done by key and token."""
from __future__ import annotations

import secrets
from typing import Optional

from . import clock, errors
from .ask import TOKEN_SIZE, Ask
from .connection import Connection
from .grant import Grant, grant_of
from .hold import GiveUp
from .states import Loss, holder_of
from .term import Term
from .v1 import locks_pb2

_NONSENSE = "the server's answer makes no sense"


class Detached:
    def __init__(self, grant: Grant, message: locks_pb2.Lease, sent_at: float):
        self.grant = grant
        self.term = Term()
        self.is_released = False
        self.confirm(message, sent_at)

    def confirm(self, message: locks_pb2.Lease, sent_at: float) -> None:
        """The answer to a renewal must not revive a lease that is being released meanwhile."""
        if self.is_released:
            raise errors.NotHeld("the lease is being released")
        self.term.start(message.ttl_ms / 1000)
        self.term.confirm(sent_at, message.valid_for_ms / 1000, clock.now())

    def check(self) -> None:
        if self.term.left(clock.now()) > 0:
            return
        if self.is_released:
            raise errors.NotHeld("the lease was released")
        raise errors.LeaseLost(self.term.loss or Loss.EXPIRED)


def _detached(
    message: locks_pb2.Lease, key: str, token: bytes, sent_at: float, needs_fence: bool = True
) -> Detached:
    grant = grant_of(message, (key,), token, needs_fence)
    if grant is None:
        raise errors.Refused(_NONSENSE)
    lease = Detached(grant, message, sent_at)
    if lease.term.left(clock.now()) <= 0:
        raise errors.TimedOut("the lease had expired when its grant was read")
    return lease


async def acquire(
    connection: Connection, ask: Ask, token: Optional[bytes], give_up: GiveUp
) -> Detached:
    """With the same token it is the same acquire, so a lost answer is asked for again. What may have been
    obtained with a token that the caller does not know is given up."""
    own_token = token or secrets.token_bytes(TOKEN_SIZE)
    try:
        return await _acquire(connection, ask, own_token)
    except errors.Busy:
        raise
    except BaseException:
        if token is None:
            give_up(ask.keys[0], own_token)
        raise


async def _acquire(connection: Connection, ask: Ask, token: bytes) -> Detached:
    await connection.ready(connection.timeout)
    wait_until = clock.now() + ask.wait_ms / 1000

    def message() -> locks_pb2.AcquireRequest:
        return ask.acquire_message(token, int(max(0.0, wait_until - clock.now()) * 1000))

    sent_at, answer = await connection.ask(
        "Acquire", message, wait_until + connection.timeout, is_repeated=True
    )
    if answer.HasField("busy"):
        raise errors.Busy("somebody else holds the lock", holder_of(answer.busy))
    if not answer.HasField("lease"):
        raise errors.Refused(_NONSENSE)
    if not ask.wait_ms:
        return _detached(answer.lease, ask.keys[0], token, sent_at)
    # Counted from our question the lease may be over, although it was granted only now.
    return await _confirm(connection, ask, token, answer.lease.fence)


async def _confirm(connection: Connection, ask: Ask, token: bytes, fence: int) -> Detached:
    request = locks_pb2.RenewRequest(key=ask.keys[0], token=token, ttl_ms=ask.ttl_ms)
    sent_at, answer = await connection.ask("Renew", lambda: request, is_repeated=True)
    if not answer.HasField("lease"):
        raise errors.TimedOut("the lease had expired when its grant was read")
    answer.lease.fence = fence
    return _detached(answer.lease, ask.keys[0], token, sent_at)


async def _renew(
    connection: Connection, key: str, token: bytes, ttl_ms: int
) -> tuple[float, locks_pb2.Lease]:
    request = locks_pb2.RenewRequest(key=key, token=token, ttl_ms=ttl_ms)
    sent_at, answer = await connection.ask("Renew", lambda: request)
    if answer.HasField("lease"):
        return sent_at, answer.lease
    if answer.HasField("not_held"):
        raise errors.NotHeld("the lease is not held any more")
    raise errors.Refused(_NONSENSE)


async def renew(connection: Connection, lease: Detached, key: str, ttl_ms: int) -> None:
    try:
        sent_at, message = await _renew(connection, key, lease.grant.token, ttl_ms)
    except errors.NotHeld:
        lease.term.end(Loss.TAKEN)
        raise
    lease.confirm(message, sent_at)


async def renew_token(connection: Connection, key: str, token: bytes, ttl_ms: int) -> Detached:
    sent_at, message = await _renew(connection, key, token, ttl_ms)
    return _detached(message, key, token, sent_at, needs_fence=False)


async def release(connection: Connection, lease: Detached, key: str) -> None:
    lease.is_released = True
    lease.term.end()
    await release_token(connection, key, lease.grant.token)


async def release_token(connection: Connection, key: str, token: bytes) -> None:
    request = locks_pb2.ReleaseRequest(key=key, token=token)
    _, answer = await connection.ask("Release", lambda: request)
    if answer.outcome == locks_pb2.ReleaseResponse.OUTCOME_NOT_HELD:
        raise errors.NotHeld("the lease is not held any more")
    if answer.outcome != locks_pb2.ReleaseResponse.OUTCOME_RELEASED:
        raise errors.Refused(_NONSENSE)
