# SPDX-License-Identifier: Apache-2.0
"""What a request came to when it did not come to what was asked for: one class for each kind."""
from __future__ import annotations

from typing import Optional

import grpc

from .states import Holder, Loss

# What the server's texts call the fields of the Hold stream's first message.
_WRAPPER = "ask."


class HoldfastError(Exception):
    """Whatever this library raises. Nothing is held by the request that raised it."""


class Busy(HoldfastError):
    """Somebody else holds the lock (still, after the wait)."""

    def __init__(self, text: str, holder: Holder):
        super().__init__(text)
        self.holder = holder


class LeaseLost(HoldfastError):
    """The lease ended before its owner let it go. Stop; somebody else may have the lock soon."""

    def __init__(self, loss: Loss):
        super().__init__(f"the lease was lost: {loss.value}")
        self.loss = loss


class NotHeld(HoldfastError):
    """The lease is not held any more, or never was."""


class InvalidRequest(HoldfastError, ValueError):
    """An argument is out of its bounds, or the server's address makes no sense."""


class ServerAway(HoldfastError, ConnectionError):
    """The server or its Redis cannot be reached."""


class TimedOut(HoldfastError, TimeoutError):
    """The server did not answer within the client's timeout."""


class LimitReached(HoldfastError):
    """A limit of the server, which the text names."""


class Deadlock(HoldfastError):
    """Waiting would close a circle, which the text spells out."""


class Cancelled(HoldfastError):
    """The request was taken back: by Lock.cancel(), or because the client was closed."""


class Refused(HoldfastError):
    """The server refused for another reason; see the text."""


_KINDS: dict[grpc.StatusCode, type[HoldfastError]] = {
    grpc.StatusCode.INVALID_ARGUMENT: InvalidRequest,
    grpc.StatusCode.UNAVAILABLE: ServerAway,
    grpc.StatusCode.DEADLINE_EXCEEDED: TimedOut,
    grpc.StatusCode.RESOURCE_EXHAUSTED: LimitReached,
    grpc.StatusCode.ABORTED: Deadlock,
    grpc.StatusCode.CANCELLED: Cancelled,
}


def of_status(error: grpc.aio.AioRpcError) -> HoldfastError:
    text = (error.details() or error.code().name).removeprefix(_WRAPPER)
    return _KINDS.get(error.code(), Refused)(text)


def of_failure(error: Optional[Exception]) -> HoldfastError:
    """Of a stream that ended before it told what was to be heard."""
    if isinstance(error, grpc.aio.AioRpcError):
        return of_status(error)
    if error is None:
        return Refused("the server ended the stream without an answer")
    return error if isinstance(error, HoldfastError) else Refused(str(error))


def is_passing(error: Optional[Exception]) -> bool:
    """Whether asking again a little later may be answered otherwise."""
    return error is None or isinstance(of_failure(error), (ServerAway, LimitReached, TimedOut))


def is_disconnected(error: Optional[BaseException]) -> bool:
    """Whether the connection may have ended the call. gRPC uses the same status when the server itself says
    that it, or its Redis, is not available."""
    return isinstance(error, grpc.aio.AioRpcError) and error.code() is grpc.StatusCode.UNAVAILABLE
