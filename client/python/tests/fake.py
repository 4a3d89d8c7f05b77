# SPDX-License-Identifier: Apache-2.0
"""A gRPC server whose Hold streams are played by hand, so that each order of events can be had."""
import asyncio
import functools
import pathlib
import tempfile

import grpc

from holdfast.v1 import locks_pb2

TOKEN = bytes(range(16))
PATIENCE = 20.0


def plays(test):
    """A test that is a coroutine function."""

    @functools.wraps(test)
    def run(*arguments, **fixtures):
        asyncio.run(asyncio.wait_for(test(*arguments, **fixtures), 2 * PATIENCE))

    return run


async def eventually(condition, what="the condition"):
    async def poll():
        while not condition():
            await asyncio.sleep(0.005)

    try:
        await asyncio.wait_for(poll(), PATIENCE)
    except asyncio.TimeoutError:
        raise AssertionError(f"{what} did not come true") from None


class Stream:
    """One Hold call, seen from the server."""

    def __init__(self, context):
        self.context = context
        self.received = asyncio.Queue()
        self.output = asyncio.Queue()
        self.is_cancelled = False
        self.is_over = False

    async def next(self):
        """What the client says next; None: it half-closed."""
        return await asyncio.wait_for(self.received.get(), PATIENCE)

    async def ask(self):
        message = await self.next()
        assert message.HasField("ask"), message
        return message.ask

    async def is_left(self):
        """The client half-closes, pings aside, and waits for the end, which it gets."""
        while await self.next() is not None:
            pass
        self.release()
        await eventually(lambda: self.is_over)
        assert not self.is_cancelled

    async def ping(self):
        message = await self.next()
        assert message.HasField("ping"), message

    def tell(self, **event):
        self.output.put_nowait(locks_pb2.HoldEvent(**event))

    def grant(self, key="k", fence=7, ttl_ms=9000, valid_for_ms=9000, token=TOKEN, locks=()):
        lease = locks_pb2.Lease(
            key=key, token=token, fence=fence, ttl_ms=ttl_ms, valid_for_ms=valid_for_ms, locks=locks
        )
        self.tell(granted=lease)

    def renewed(self, valid_for_ms=9000):
        self.tell(renewed=locks_pb2.HoldRenewed(valid_for_ms=valid_for_ms))

    def lose(self, reason):
        self.tell(lost=locks_pb2.HoldLost(reason=reason))
        self.end()

    def release(self):
        self.tell(released=locks_pb2.HoldReleased())
        self.end()

    def end(self, code=grpc.StatusCode.OK, text=""):
        self.output.put_nowait((code, text))


class Server:
    """`async with Server() as server`: at `server.url`."""

    def __init__(self):
        self.directory = tempfile.TemporaryDirectory(prefix="hf-")
        self.url = f"unix://{pathlib.Path(self.directory.name) / 's.sock'}"
        self.streams = asyncio.Queue()
        self.metadata = {}
        self.answers = {}  # to unary calls: a function of the request, by the method's name
        self.asked = []

    async def __aenter__(self):
        await self.start()
        return self

    async def __aexit__(self, *_):
        await self.stop()
        self.directory.cleanup()

    async def start(self):
        self.server = grpc.aio.server()
        self.server.add_generic_rpc_handlers([self])
        assert self.server.add_insecure_port(self.url)
        await self.server.start()

    async def stop(self):
        """As if killed: the connections drop."""
        await self.server.stop(None)

    async def stream(self):
        """The next Hold."""
        return await asyncio.wait_for(self.streams.get(), PATIENCE)

    def service(self, call):
        self.metadata = dict(call.invocation_metadata)
        name = call.method.rpartition("/")[2]
        if name == "Hold":
            return grpc.stream_stream_rpc_method_handler(
                self.hold, locks_pb2.HoldRequest.FromString, locks_pb2.HoldEvent.SerializeToString
            )
        request = getattr(locks_pb2, name + "Request", None)
        if request is None:
            return None
        return grpc.unary_unary_rpc_method_handler(
            functools.partial(self.unary, name), request.FromString, lambda answer: answer.SerializeToString()
        )

    async def unary(self, name, request, context):
        self.asked.append((name, request))
        return await self.answers[name](request, context)

    async def hold(self, requests, context):
        stream = Stream(context)
        self.streams.put_nowait(stream)
        reader = asyncio.create_task(self.read(stream, requests))
        try:
            while isinstance(event := await stream.output.get(), locks_pb2.HoldEvent):
                yield event
            code, text = event
            if code is not grpc.StatusCode.OK:
                await context.abort(code, text)
        except asyncio.CancelledError:
            stream.is_cancelled = True
            raise
        finally:
            stream.is_over = True
            reader.cancel()

    async def read(self, stream, requests):
        async for message in requests:
            stream.received.put_nowait(message)
        stream.received.put_nowait(None)
