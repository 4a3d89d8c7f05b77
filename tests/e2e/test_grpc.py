# SPDX-License-Identifier: Apache-2.0
"""gRPC beside ttRPC on the same port, with a client made by others: Debian's grpcio."""
import contextlib
import os
import signal
import socket
import time

import grpc
import pytest

from admin import most_calls
from grpc_client import WAIT, GrpcClient
from holdfast.v1 import locks_pb2
from http2 import Http2
from http2 import dial as dial_raw
from process import cpu_seconds
from waiting import FACTOR, always, eventually


def status_of(action, *arguments, **fields):
    """(code, text) of the RpcError that it raises."""
    with pytest.raises(grpc.RpcError) as caught:
        action(*arguments, **fields)
    return caught.value.code(), caught.value.details()


def percentile(values, percent):
    return sorted(values)[min(len(values) - 1, int(len(values) * percent / 100))]


@pytest.fixture
def dial(actors):
    """dial(address, ...): another gRPC client, on a connection of its own."""

    def connect(address, **arguments):
        client = GrpcClient(address, **arguments)
        actors.callback(client.close)
        return client

    return connect


@pytest.fixture
def talk(server, dial):
    return dial(server.unix)


# Calls of every shape


@pytest.mark.parametrize("scheme", ["unix", "tcp"])
def test_acquire_and_release(server, redis, dial, scheme):
    client = dial(server.address(scheme))
    lease = client.lease("k", 60000)
    assert redis.holds("k")
    busy = dial(server.address(scheme)).acquire("k", label="another")
    assert busy.HasField("busy")
    assert client.release("k", lease.token)
    assert not redis.holds("k")
    assert not client.release("k", lease.token)


def test_both_protocols_share_a_port(server, client, talk):
    lease = client.lease("k", label="by ttRPC")
    assert talk.inspect("k").label == "by ttRPC"
    client.release("k", lease.token)
    talk.lease("k", label="by gRPC")
    assert client.inspect("k").label == "by gRPC"


def test_hold_is_released_by_the_end_of_its_input(redis, talk):
    stream = talk.held("k", 60000)
    assert redis.holds("k")
    stream.ping()
    assert stream.expect("renewed").valid_for_ms > 0
    stream.release()
    assert not redis.holds("k")
    assert stream.call.code() == grpc.StatusCode.OK


def test_hold_waits_for_its_turn(server, talk, dial):
    first = talk.held("k")
    second = dial(server.unix).hold("k", wait_ms=60000)
    second.expect("queued")
    first.release()
    second.lease = second.expect("granted")
    assert second.lease.fence > first.lease.fence
    second.release()


def test_many_pings_come_back_in_order(talk):
    stream = talk.held("k", 60000)
    for _ in range(2000):
        stream.ping()
    for _ in range(2000):
        stream.expect("renewed")
    stream.release()


def test_watch_goes_on_after_its_request(talk):
    events = talk.watch("k")
    assert next(events).HasField("free")
    stream = talk.held("k", label="me")
    assert next(events).held.label == "me"
    stream.release()
    assert next(events).HasField("free")
    events.cancel()
    assert events.code() == grpc.StatusCode.CANCELLED


def test_metadata_is_taken_and_never_logged(redis, start_server, dial):
    server = start_server(redis, log_level="debug")
    inspect = dial(server.unix).unary("Inspect", locks_pb2.InspectResponse)
    metadata = [("authorization", "Bearer s3cr3t"), ("trace-bin", bytes(range(256))), ("trace", "7")]
    answer, call = inspect.with_call(locks_pb2.InspectRequest(key="k"), WAIT, metadata)
    assert answer.HasField("free") and call.code() == grpc.StatusCode.OK
    server.wait_event("call.ended", method="Inspect")
    assert "s3cr3t" not in server.log()


# Errors


def test_an_error_has_code_and_text(talk):
    code, text = status_of(talk.acquire, "")
    assert code == grpc.StatusCode.INVALID_ARGUMENT
    assert text == "key: missing; 1 to 512 bytes are required"


def test_an_error_text_may_hold_anything(server, talk, dial):
    """What a text quotes comes through: UTF-8, percent signs, line ends."""
    name = "zoë 100% — 鎖\n2nd line"
    first, second = talk, dial(server.unix)
    holds = [first.held(name), second.held("other")]
    waits = first.hold("other", wait_ms=60000)
    waits.expect("queued")
    code, text = status_of(second.hold(name, wait_ms=60000).expect, "queued")
    assert code == grpc.StatusCode.ABORTED
    assert name in text
    assert all(hold.call.is_active() for hold in holds)


def test_unknown_methods_and_services(talk):
    code, text = status_of(
        talk.unary("Nothing", locks_pb2.InspectResponse), locks_pb2.InspectRequest(key="k")
    )
    assert code == grpc.StatusCode.UNIMPLEMENTED and '"Nothing"' in text
    code, text = status_of(
        talk.unary("X", locks_pb2.InspectResponse, "/no.Such/"), locks_pb2.InspectRequest(key="k")
    )
    assert code == grpc.StatusCode.UNIMPLEMENTED and '"no.Such"' in text


def test_bytes_that_are_no_message(talk):
    method = talk.channel.unary_unary("/holdfast.v1.Locks/Acquire")
    for garbage in (b"\xff\xff", b"\x0a\x03a\x00b", b"\x0a\x02\xc3\x28"):
        assert status_of(method, garbage)[0] == grpc.StatusCode.INVALID_ARGUMENT


def test_a_message_over_the_limit_is_refused(talk):
    code, text = status_of(talk.acquire, "k" * 500, value=b"x" * 100000)
    assert code == grpc.StatusCode.RESOURCE_EXHAUSTED
    assert "max-message-size" in text and "65536" in text
    assert talk.inspect("k") is None
    stream = talk.hold("k", value=b"x" * 10**6)
    assert status_of(stream.next)[0] == grpc.StatusCode.RESOURCE_EXHAUSTED


def test_compressed_requests_are_refused_in_words(server, dial):
    client = dial(server.unix, options=[("grpc.default_compression_algorithm", 2)])
    code, text = status_of(client.acquire, "k" * 500, label="x" * 100)
    assert code == grpc.StatusCode.UNIMPLEMENTED
    assert "compressed" in text


# The client's time and its mind


def test_a_deadline_ends_a_wait(redis, talk):
    stream = talk.held("k")
    started = time.monotonic()
    code, _ = status_of(talk.acquire, "k", wait_ms=60000, timeout=0.2)
    assert code == grpc.StatusCode.DEADLINE_EXCEEDED
    assert 0.2 <= time.monotonic() - started < 2 * FACTOR
    stream.release()
    always(lambda: not redis.holds("k"), 0.1, "nobody waits any more")


def test_the_server_ends_what_outlives_its_deadline(server, talk):
    """A client's own timer hides ours; so one that has none asks."""
    with dial_raw(server) as raw:
        peer = Http2(raw)
        stream = talk.held("k")
        message = locks_pb2.AcquireRequest(key="k", wait_ms=60000).SerializeToString()
        peer.call(1, "/holdfast.v1.Locks/Acquire", message, timeout="200m")
        assert peer.answer(1)["grpc-status"] == "4"
        stream.release()


def test_cancel_frees_the_lock(redis, talk):
    stream = talk.held("k", 60000)
    stream.cancel()
    eventually(lambda: not redis.holds("k"), 2)


def test_cancelled_waits_harm_nobody(talk):
    """Callers give up by the thousand; the connection is not punished for it."""
    stream = talk.held("k")
    for _ in range(30):
        waits = [talk.start_acquire("k", wait_ms=60000, timeout=0.02) for _ in range(200)]
        codes = {wait.code() for wait in waits}
        answered = [wait.result() for wait in waits if wait.code() == grpc.StatusCode.OK]
        assert not answered
        assert codes == {grpc.StatusCode.DEADLINE_EXCEEDED}
    stream.ping()
    stream.expect("renewed")
    stream.release()


# Many, and much


def test_two_thousand_calls_at_once(redis, start_server, dial):
    server = start_server(redis, max_calls_per_connection=3000)
    gate = dial(server.unix).held("k", 60000)
    client = dial(server.unix)
    calls = [
        client.start_acquire("k", 60000, 6 * WAIT, mode=locks_pb2.MODE_SHARED, wait_ms=60000)
        for _ in range(2000)
    ]
    operator = server.connect()
    eventually(lambda: most_calls(operator) == 2000, 60)
    gate.release()
    leases = [call.result(6 * WAIT).lease for call in calls]
    assert len({lease.fence for lease in leases}) == 2000
    client.close()
    eventually(lambda: redis("KEYS", "lock:*") == [], 5, "freeing all")


def test_calls_over_the_limit_are_refused_at_once(redis, start_server, dial):
    server = start_server(redis, max_calls_per_connection=50)
    client = dial(server.unix)
    held = client.held("k")
    waits = [client.start_acquire("k", wait_ms=60000, timeout=30) for _ in range(60)]
    refused = eventually(lambda: [wait for wait in waits if wait.done()], 5)
    assert {wait.code() for wait in refused} == {grpc.StatusCode.RESOURCE_EXHAUSTED}
    assert len(eventually(lambda: sum(wait.done() for wait in waits) == 11 and waits, 5)) == 60
    for wait in waits:
        wait.cancel()
    held.release()


def test_a_slow_reader_hurts_only_itself(server, talk, dial):
    """Events wait behind a stream that nobody reads; others on the same connection go on."""
    slow = talk.held("slow", 60000)
    for _ in range(20000):
        slow.ping()
    started = time.monotonic()
    for number in range(50):
        lease = talk.lease(f"k{number}")
        assert talk.release(f"k{number}", lease.token)
    assert time.monotonic() - started < 10 * FACTOR
    for _ in range(20000):
        slow.expect("renewed")
    slow.release()


# The end of a connection


def test_a_dropped_channel_frees_its_leases_at_once(server, redis, dial, figure):
    times = {"ttRPC": [], "gRPC": []}
    for trial in range(-4, 60):  # the first ones warm the client up
        name = "gRPC" if trial % 2 else "ttRPC"
        client = dial(server.unix) if trial % 2 else server.connect()
        client.held(f"h{trial}", 60000)
        client.lease(f"a{trial}", 60000)
        started = time.monotonic()
        client.close()
        eventually(
            lambda: not redis.holds(f"h{trial}") and not redis.holds(f"a{trial}"), 5, every=0.0002
        )
        if trial >= 0:
            times[name].append((time.monotonic() - started) * 1000)
    figure(", ".join(f"{name} p50 {percentile(taken, 50):.1f} ms, max {max(taken):.1f} ms"
                     for name, taken in times.items()))
    assert max(times["gRPC"]) < 100 * FACTOR
    assert percentile(times["gRPC"], 50) < percentile(times["ttRPC"], 50) + 5 * FACTOR


def test_a_killed_client_frees_its_leases_at_once(server, redis):
    pid = os.fork()
    if pid == 0:
        with contextlib.suppress(BaseException):
            client = GrpcClient(server.unix)
            client.held("k", 60000)
            signal.pause()
        os._exit(1)
    eventually(lambda: redis.holds("k"), 10)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    started = time.monotonic()
    eventually(lambda: not redis.holds("k"), 5, every=0.001)
    assert time.monotonic() - started < 0.2 * FACTOR


def test_a_killed_server_is_unavailable(server, talk):
    stream = talk.held("k")
    server.kill()
    assert status_of(stream.next)[0] == grpc.StatusCode.UNAVAILABLE
    server.start()


# The end of the server


@pytest.fixture
def draining(redis, start_server, dial):
    server = start_server(redis, drain_timeout="2s")
    server.grpc = dial(server.unix)
    server.stream = server.grpc.held("held", 1500)
    server.signal(signal.SIGTERM)
    server.wait_event("drain.begin")
    server.told = time.monotonic()
    return server


def test_holders_keep_their_leases_while_draining(draining, redis):
    always(lambda: redis.holds("held"), 1.5, "holding while draining")
    draining.stream.ping()
    draining.stream.expect("renewed")
    lost = draining.stream.expect("lost")
    assert lost.reason == lost.REASON_SHUTDOWN
    assert draining.stream.next() == (None, None)
    assert draining.wait(5 * FACTOR) == 0
    assert not redis.holds("held")


def test_draining_ends_when_the_last_holder_has_left(draining, redis):
    always(draining.is_running, 0.4, "running")
    draining.stream.release()
    assert draining.wait(1 * FACTOR) == 0
    assert time.monotonic() - draining.told < 1.9 * FACTOR
    assert not redis.holds("held")


def test_calls_in_flight_are_finished_while_draining(redis, start_server, dial):
    server = start_server(redis, drain_timeout="3s")
    holder = server.connect().held("k")
    client = dial(server.unix)
    waits = [client.start_acquire("k", wait_ms=60000) for _ in range(3)]
    eventually(lambda: all(wait.running() for wait in waits), 5)
    always(lambda: not any(wait.done() for wait in waits), 0.2)
    server.signal(signal.SIGTERM)
    server.wait_event("drain.begin")
    always(lambda: not any(wait.done() for wait in waits), 0.5, "waiting while draining")
    holder.release()
    eventually(lambda: any(wait.done() for wait in waits), 2, "the first wait's grant")
    assert [wait for wait in waits if wait.done()][0].result().HasField("lease")
    assert server.wait(8 * FACTOR) == 0


def test_a_lease_between_calls_outlives_the_announcement(redis, start_server, dial):
    """A client that is told to go elsewhere hangs up when no call is in flight; so one that holds
    something is not told before it has given that back."""
    server = start_server(redis, drain_timeout="2s")
    client = dial(server.unix)
    lease = client.lease("k", 60000)
    server.signal(signal.SIGTERM)
    server.wait_event("drain.begin")
    always(lambda: redis.holds("k"), 1, "holding while draining")
    assert client.release("k", lease.token)
    assert server.wait(1.5 * FACTOR) == 0
    assert not redis.holds("k")


# What an idle client costs


@pytest.mark.skipif(FACTOR != 1, reason="a sanitizer's memory is its own")
def test_an_idle_connection_is_small(server, actors, figure):
    def resident():
        with open(f"/proc/{server.pid}/statm", encoding="ascii") as pages:
            return int(pages.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    count = 200
    message = locks_pb2.InspectRequest(key="k").SerializeToString()

    def connect():
        peer = Http2(actors.enter_context(dial_raw(server)))
        peer.call(1, "/holdfast.v1.Locks/Inspect", message)
        assert peer.answer(1)["grpc-status"] == "0"

    connect()
    before = resident()
    for _ in range(count):
        connect()
    each = (resident() - before) / count
    figure(f"{each / 1024:.1f} KiB each")
    assert each <= 20 * 1024


def test_an_idle_connection_costs_no_time(server, talk):
    talk.held("k", 60000)
    before = cpu_seconds(server.pid)
    always(lambda: True, 1, every=0.2)
    assert cpu_seconds(server.pid) - before < 0.2 * FACTOR


# TLS


@pytest.fixture
def tls(redis, start_server, certificates):
    certificate, key = certificates.issue("server")
    return start_server(redis, listen="tls://127.0.0.1:0", tls_cert=certificate, tls_key=key)


def test_tls_with_alpn(redis, tls, certificates, dial):
    credentials = grpc.ssl_channel_credentials(certificates.authority.read_bytes())
    client = dial(tls.address("tls"), credentials=credentials)
    stream = client.held("k", 60000)
    assert redis.holds("k")
    for _ in range(200):
        stream.ping()
        stream.expect("renewed")
    stream.release()
    calls = [client.start_acquire(f"k{number}") for number in range(500)]
    assert all(call.result(WAIT).HasField("lease") for call in calls)
    client.close()
    eventually(lambda: redis("KEYS", "lock:*") == [], 3)


def test_tls_without_alpn(tls, certificates):
    context = certificates.trusting(certificates.authority)
    host, port = tls.address("tls").removeprefix("tls://").split(":")
    with socket.create_connection((host, int(port))) as raw:
        peer = Http2(context.wrap_socket(raw, server_hostname="localhost"))
        message = locks_pb2.InspectRequest(key="k").SerializeToString()
        peer.call(1, "/holdfast.v1.Locks/Inspect", message)
        assert peer.answer(1)["grpc-status"] == "0"


def test_without_tls_only_health_is_served(tls, certificates, dial):
    """Probes of Kubernetes speak no TLS."""
    plain = dial(tls.address("tls"))
    check = plain.channel.unary_unary("/grpc.health.v1.Health/Check")
    assert check(b"", timeout=WAIT) == b"\x08\x01"  # SERVING
    code, text = status_of(plain.acquire, "k")
    assert code == grpc.StatusCode.PERMISSION_DENIED and "TLS" in text
    reflect = plain.channel.stream_stream(
        "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo"
    )
    assert status_of(next, reflect(iter([b"\x3a\x00"]), timeout=WAIT))[0] == code
    credentials = grpc.ssl_channel_credentials(certificates.authority.read_bytes())
    secured = dial(tls.address("tls"), credentials=credentials)
    assert secured.inspect("k") is None
