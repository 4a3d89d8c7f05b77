# SPDX-License-Identifier: Apache-2.0
"""Holdfast: hold a lock for exactly as long as you are alive.

    with holdfast.Client() as client:
        with client.lock("nightly-report", wait=60) as lease:
            write(report, fence=lease.fence)

holdfast.aio has the same for asyncio. A lease is valid until a deadline that only moves while the server
confirms it. When the connection drops, its leases are lost at that moment and the library says so.
"""
from . import aio
from .client import Client, DetachedLease, Election, Lease, Lock, Watch
from .errors import (
    Busy,
    Cancelled,
    Deadlock,
    HoldfastError,
    InvalidRequest,
    LeaseLost,
    LimitReached,
    NotHeld,
    Refused,
    ServerAway,
    TimedOut,
)
from .states import Holder, Loss, WatchState

__version__ = "0.1.0"

__all__ = [
    "Busy",
    "Cancelled",
    "Client",
    "Deadlock",
    "DetachedLease",
    "Election",
    "Holder",
    "HoldfastError",
    "InvalidRequest",
    "Lease",
    "LeaseLost",
    "LimitReached",
    "Lock",
    "Loss",
    "NotHeld",
    "Refused",
    "ServerAway",
    "TimedOut",
    "Watch",
    "WatchState",
    "aio",
]
