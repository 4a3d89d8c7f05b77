# SPDX-License-Identifier: Apache-2.0
"""The gRPC channel to one server: kept up, and known to be up or not."""
from __future__ import annotations

import asyncio
from typing import Any, Callable, Coroutine, Optional, TypeVar

import grpc

from . import clock, errors
from .address import Address
from .v1 import locks_pb2

_T = TypeVar("_T")

_LOCKS = "/holdfast.v1.Locks/"
_HEALTH = "/grpc.health.v1.Health/Check"

# The health messages have one field each. Stubs of our own would clash, in protobuf's pool of
# descriptors, with those that the application may have.
_HEALTH_REQUEST = b""  # the server as a whole
_SERVING = b"\x08\x01"

_UNARY = {"Acquire", "Renew", "Release", "Inspect"}

# How long a question about why there is no connection may take; it is answered at once.
_PROBE_TIMEOUT = 1.0

# The server acknowledges at once what is given up, and what is left of a closed channel ends within a turn
# of the loop or two.
_CLOSE_TIMEOUT = 1.0

# Before a question whose answer was lost is asked again.
_REPEAT_PAUSE = 0.1

_OPTIONS = [
    ("grpc.use_local_subchannel_pool", 1),  # a connection of our own, whose end ends our leases only
    ("grpc.enable_retries", 0),
    ("grpc.enable_http_proxy", 0),
    ("grpc.service_config_disable_resolution", 1),
    ("grpc.keepalive_time_ms", 10_000),
    ("grpc.keepalive_timeout_ms", 5_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.max_pings_without_data", 0),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 2_000),
    ("grpc.min_reconnect_backoff_ms", 2_000),  # which is the time that one attempt may take
]


class Connection:
    """Made when it is first used, in the event loop that uses it."""

    def __init__(
        self,
        address: Address,
        credentials: Optional[grpc.ChannelCredentials],
        timeout: float,
        bearer_token: Optional[str],
    ):
        self.address = address
        self.timeout = timeout
        self.down = f"no connection to {address.url} yet"
        self._credentials = credentials
        self._metadata = (("authorization", f"Bearer {bearer_token}"),) if bearer_token else None
        self._channel: Optional[grpc.aio.Channel] = None
        self._tasks: set[asyncio.Task[Any]] = set()
        self._leaving: set[asyncio.Task[Any]] = set()  # of them: what the server is to acknowledge
        self._watcher: Optional[asyncio.Task[None]] = None
        self._up = asyncio.Event()
        self._drops = 0  # how often the connection was lost
        self._methods: dict[str, Any] = {}

    def spawn(self, work: Coroutine[Any, Any, _T]) -> asyncio.Task[_T]:
        """A task that ends with the connection."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def let_leave(self, task: asyncio.Task[Any]) -> None:
        """Ends by itself soon, which close() waits for."""
        self._leaving.add(task)
        task.add_done_callback(self._leaving.discard)

    @property
    def is_up(self) -> bool:
        return self._up.is_set()

    def _open(self) -> None:
        if self._credentials is None:
            channel = grpc.aio.insecure_channel(self.address.target, options=_OPTIONS)
        else:
            channel = grpc.aio.secure_channel(
                self.address.target, self._credentials, options=_OPTIONS
            )
        self._channel = channel
        for name in _UNARY:
            self._methods[name] = channel.unary_unary(
                _LOCKS + name,
                request_serializer=getattr(locks_pb2, name + "Request").SerializeToString,
                response_deserializer=getattr(locks_pb2, name + "Response").FromString,
            )
        self._methods["Hold"] = channel.stream_stream(
            _LOCKS + "Hold",
            request_serializer=locks_pb2.HoldRequest.SerializeToString,
            response_deserializer=locks_pb2.HoldEvent.FromString,
        )
        self._methods["Watch"] = channel.unary_stream(
            _LOCKS + "Watch",
            request_serializer=locks_pb2.WatchRequest.SerializeToString,
            response_deserializer=locks_pb2.WatchEvent.FromString,
        )
        self._methods["Health"] = channel.unary_unary(_HEALTH)
        self._watcher = asyncio.create_task(self._watch(channel))

    async def _watch(self, channel: grpc.aio.Channel) -> None:
        """Connects, again whenever that is lost, and learns why it fails."""
        state = grpc.ChannelConnectivity.IDLE
        while state is not grpc.ChannelConnectivity.SHUTDOWN:
            state = channel.get_state(try_to_connect=True)
            if state is grpc.ChannelConnectivity.READY:
                self._up.set()
            elif self._up.is_set():
                self._up.clear()
                self._drops += 1
            if state is grpc.ChannelConnectivity.TRANSIENT_FAILURE:
                self.down = await self._why()
            await channel.wait_for_state_change(state)

    async def _why(self) -> str:
        """A call that does not wait for a connection tells what is wrong with it."""
        try:
            await self._methods["Health"](_HEALTH_REQUEST, timeout=_PROBE_TIMEOUT)
        except grpc.aio.AioRpcError as error:
            return f"no connection to {self.address.url}: {error.details()}"
        return f"the connection to {self.address.url} was lost"

    async def wait_up(self) -> None:
        """Until there is a connection, however long that takes."""
        if self._channel is None:
            self._open()
        await self._up.wait()

    async def ready(self, timeout: float) -> None:
        try:
            await asyncio.wait_for(self.wait_up(), timeout)
        except asyncio.TimeoutError:
            raise errors.ServerAway(self.down) from None

    async def ask(
        self,
        name: str,
        message: Callable[[], Any],
        until: Optional[float] = None,
        is_repeated: bool = False,
    ) -> tuple[float, Any]:
        """When the question was sent at the earliest, and the answer. `until` defaults to the timeout. What
        may be repeated is asked again when the connection was lost, which is known a moment later."""
        end = clock.now() + self.timeout if until is None else until
        while True:
            await self.ready(end - clock.now())
            sent_at = clock.now()
            drops = self._drops
            try:
                return sent_at, await self._methods[name](
                    message(),
                    timeout=max(0.001, end - sent_at),
                    metadata=self._metadata,
                    wait_for_ready=True,
                )
            except grpc.aio.AioRpcError as error:
                if error.code() is grpc.StatusCode.DEADLINE_EXCEEDED and not self.is_up:
                    raise errors.ServerAway(self.down) from None
                failure = error
            if is_repeated and errors.is_disconnected(failure):
                await asyncio.sleep(_REPEAT_PAUSE)
            if not is_repeated or drops == self._drops:
                raise errors.of_status(failure)

    async def check_health(self) -> None:
        _, answer = await self.ask("Health", lambda: _HEALTH_REQUEST)
        if answer != _SERVING:
            raise errors.ServerAway("the server does not serve: it is draining, or Redis is away")

    def hold(self) -> Any:
        return self._methods["Hold"](metadata=self._metadata, wait_for_ready=True)

    def watch(self, key: str) -> Any:
        message = locks_pb2.WatchRequest(key=key)
        return self._methods["Watch"](message, metadata=self._metadata, wait_for_ready=True)

    async def close(self) -> None:
        """Ends every call, and all that goes on. What is being given up is waited for: a grace would
        outlive the connection."""
        if self._leaving and self.is_up:
            await asyncio.wait(self._leaving, timeout=_CLOSE_TIMEOUT)
        this = asyncio.current_task()
        tasks = [task for task in self._tasks if task is not this]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._channel is not None and self._watcher is not None:
            await self._channel.close()
            # Not cancelled: what it waits for would be told to a loop that is closed by then.
            await asyncio.wait([self._watcher], timeout=_CLOSE_TIMEOUT)
            self._watcher.cancel()
