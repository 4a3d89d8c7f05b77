# SPDX-License-Identifier: Apache-2.0
"""A gRPC client of the Locks service, as generated stubs would be: a channel and its callables."""
import queue

import grpc

from holdfast.v1 import locks_pb2
from waiting import FACTOR

SERVICE = "/holdfast.v1.Locks/"
WAIT = 10 * FACTOR

# Each client of a test has its own connection.
OPTIONS = [("grpc.use_local_subchannel_pool", 1)]


def target_of(address):
    """gRPC's name of a listener's address."""
    scheme, rest = address.split("://", 1)
    return f"unix:{rest}" if scheme == "unix" else rest


class Requests:
    """What a stream's client sends, as gRPC wants it: an iterator that waits."""

    def __init__(self):
        self.queue = queue.SimpleQueue()

    def __iter__(self):
        return iter(self.queue.get, None)


class Hold:
    """One Hold stream."""

    def __init__(self, method, ask, timeout):
        self.requests = Requests()
        self.send(locks_pb2.HoldRequest(ask=ask))
        self.call = method(iter(self.requests), timeout=timeout)
        self.lease = None

    def send(self, request):
        self.requests.queue.put(request)

    def ping(self):
        self.send(locks_pb2.HoldRequest(ping=locks_pb2.HoldPing()))

    def next(self):
        """(kind, event) of the next event, or (None, None) at the end."""
        event = next(self.call, None)
        if event is None:
            return None, None
        kind = event.WhichOneof("event")
        return kind, getattr(event, kind)

    def expect(self, kind):
        found, event = self.next()
        while found == "queued" and kind != "queued":
            found, event = self.next()
        assert found == kind, f"expected {kind}, heard {found}: {event}"
        return event

    def close_send(self):
        self.requests.queue.put(None)

    def release(self):
        self.close_send()
        self.expect("released")
        assert self.next() == (None, None)

    def cancel(self):
        self.call.cancel()
        self.close_send()


class GrpcClient:
    def __init__(self, address, credentials=None, options=()):
        target = target_of(address)
        options = [*OPTIONS, *options]
        if credentials is None:
            self.channel = grpc.insecure_channel(target, options)
        else:
            self.channel = grpc.secure_channel(target, credentials, options)
        self.holds = []

    def close(self):
        """Ends what streams still send, too: their threads would outlive the tests."""
        self.channel.close()
        for hold in self.holds:
            hold.close_send()

    def unary(self, name, answer, service=SERVICE):
        return self.channel.unary_unary(
            service + name,
            request_serializer=lambda message: message.SerializeToString(),
            response_deserializer=answer.FromString,
        )

    def acquire(self, key, ttl_ms=0, timeout=WAIT, **fields):
        """An AcquireResponse: its lease or its busy is set."""
        method = self.unary("Acquire", locks_pb2.AcquireResponse)
        return method(locks_pb2.AcquireRequest(key=key, ttl_ms=ttl_ms, **fields), timeout=timeout)

    def start_acquire(self, key, ttl_ms=0, timeout=WAIT, **fields):
        """A future of that."""
        method = self.unary("Acquire", locks_pb2.AcquireResponse)
        request = locks_pb2.AcquireRequest(key=key, ttl_ms=ttl_ms, **fields)
        return method.future(request, timeout=timeout)

    def lease(self, key, ttl_ms=0, **fields):
        response = self.acquire(key, ttl_ms, **fields)
        assert response.HasField("lease"), f"{key} is busy: {response.busy}"
        return response.lease

    def release(self, key, token):
        method = self.unary("Release", locks_pb2.ReleaseResponse)
        outcome = method(locks_pb2.ReleaseRequest(key=key, token=token), timeout=WAIT).outcome
        return outcome == locks_pb2.ReleaseResponse.OUTCOME_RELEASED

    def inspect(self, key, timeout=WAIT):
        """A Holder, or None when the lock is free."""
        method = self.unary("Inspect", locks_pb2.InspectResponse)
        response = method(locks_pb2.InspectRequest(key=key), timeout=timeout)
        return response.held if response.HasField("held") else None

    def watch(self, key, timeout=WAIT):
        """An iterator of WatchEvents; it can be cancelled."""
        method = self.channel.unary_stream(
            SERVICE + "Watch",
            request_serializer=locks_pb2.WatchRequest.SerializeToString,
            response_deserializer=locks_pb2.WatchEvent.FromString,
        )
        return method(locks_pb2.WatchRequest(key=key), timeout=timeout)

    def hold(self, key, ttl_ms=0, timeout=None, **fields):
        """Starts a Hold; the first event is not read yet."""
        method = self.channel.stream_stream(
            SERVICE + "Hold",
            request_serializer=locks_pb2.HoldRequest.SerializeToString,
            response_deserializer=locks_pb2.HoldEvent.FromString,
        )
        stream = Hold(method, locks_pb2.HoldAsk(key=key, ttl_ms=ttl_ms, **fields), timeout)
        self.holds.append(stream)
        return stream

    def held(self, key, ttl_ms=0, **fields):
        """A Hold that has been granted; the lease is its attribute."""
        stream = self.hold(key, ttl_ms, **fields)
        stream.lease = stream.expect("granted")
        return stream
