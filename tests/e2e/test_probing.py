# SPDX-License-Identifier: Apache-2.0
"""grpc.health.v1 and reflection, as probes and generic clients ask them."""
import signal

import grpc
import pytest
from google.protobuf import descriptor_pb2

import schema
from grpc_client import OPTIONS, WAIT, Requests, target_of
from ttrpc import ConnectionGone, RpcError, Status

HEALTH = "grpc.health.v1.Health"
UNKNOWN, SERVING, NOT_SERVING, SERVICE_UNKNOWN = range(4)
SERVICES = {
    "holdfast.v1.Locks",
    "holdfast.v1.Admin",
    "grpc.health.v1.Health",
    "grpc.reflection.v1.ServerReflection",
    "grpc.reflection.v1alpha.ServerReflection",
}

built = schema.built()
CheckRequest = built.message("grpc.health.v1.HealthCheckRequest")
CheckResponse = built.message("grpc.health.v1.HealthCheckResponse")


def check(client, service=""):
    return client.start("Check", CheckRequest(service=service), CheckResponse, service=HEALTH).result().status


def watch(client, service=""):
    payload = CheckRequest(service=service).SerializeToString()
    return client.open_stream("Watch", CheckResponse, service=HEALTH, payload=payload)


class Reflection:
    """One stream of the reflection service."""

    def __init__(self, client, version):
        package = f"grpc.reflection.{version}"
        self.request = built.message(f"{package}.ServerReflectionRequest")
        response = built.message(f"{package}.ServerReflectionResponse")
        self.stream = client.open_stream(
            "ServerReflectionInfo", response, service=f"{package}.ServerReflection"
        )

    def ask(self, **question):
        self.stream.send(self.request(**question))
        return self.stream.receive()

    def files(self, **question):
        answer = self.ask(**question)
        assert answer.HasField("file_descriptor_response"), answer
        return [
            descriptor_pb2.FileDescriptorProto.FromString(data)
            for data in answer.file_descriptor_response.file_descriptor_proto
        ]


def test_health_follows_redis(redis, client):
    assert check(client) == SERVING
    assert check(client, "holdfast.v1.Locks") == SERVING
    stream = watch(client, "holdfast.v1.Locks")
    assert stream.receive().status == SERVING
    redis.kill()
    assert stream.receive().status == NOT_SERVING
    assert check(client) == NOT_SERVING
    redis.start()
    assert stream.receive().status == SERVING
    assert check(client) == SERVING


def test_health_of_every_service(client):
    request = built.message("grpc.health.v1.HealthListRequest")()
    answer = built.message("grpc.health.v1.HealthListResponse")
    statuses = client.start("List", request, answer, service=HEALTH).result().statuses
    assert set(statuses) == SERVICES | {""}
    assert {status.status for status in statuses.values()} == {SERVING}


def test_health_of_what_is_not_there(client):
    with pytest.raises(RpcError) as error:
        check(client, "holdfast.v1.Nothing")
    assert error.value.code == Status.NOT_FOUND
    assert watch(client, "holdfast.v1.Nothing").receive().status == SERVICE_UNKNOWN


def test_a_half_close_is_no_end_of_a_watch(redis, client):
    stream = watch(client)
    stream.close_send()
    assert stream.receive().status == SERVING
    redis.kill()
    assert stream.receive().status == NOT_SERVING


def test_a_drain_is_told_and_not_held_up(redis, start_server):
    """Whoever holds a lock keeps the drain waiting; who asks for health does not."""
    server = start_server(redis, drain_timeout="60s")
    holder, prober = server.connect(), server.connect()
    held = holder.held("k")
    stream = watch(prober)
    assert stream.receive().status == SERVING
    server.signal(signal.SIGTERM)
    assert stream.receive().status == NOT_SERVING
    with pytest.raises(RpcError) as error:
        stream.receive()
    assert error.value.code == Status.UNAVAILABLE
    assert check(holder) == NOT_SERVING
    held.release()
    assert server.wait(20) == 0


@pytest.mark.parametrize("version", ["v1", "v1alpha"])
def test_reflection_is_enough_to_call(client, version):
    """A client that knows nothing but reflection lists, describes and calls."""
    reflection = Reflection(client, version)
    listed = {service.name for service in reflection.ask(list_services="").list_services_response.service}
    assert listed == SERVICES
    files = {}
    for name in listed:
        for file in reflection.files(file_containing_symbol=name):
            files[file.name] = file
    reflected = schema.Schema(files.values())
    for name in listed:
        assert reflected.pool.FindServiceByName(name).methods
    inspect = reflected.pool.FindMethodByName("holdfast.v1.Locks.Inspect")
    request = reflected.message(inspect.input_type.full_name)(key="k")
    answer = client.start("Inspect", request, reflected.message(inspect.output_type.full_name)).result()
    assert answer.WhichOneof("state") == "free"
    reflection.stream.close_send()
    assert reflection.stream.receive() is None


def test_reflection_has_what_the_proto_says(client):
    reflection = Reflection(client, "v1")
    admin, locks = reflection.files(file_by_filename="holdfast/v1/admin.proto")
    assert (admin.name, locks.name) == ("holdfast/v1/admin.proto", "holdfast/v1/locks.proto")
    comments = [location.leading_comments for location in locks.source_code_info.location]
    assert any("Losing is an answer" in comment for comment in comments)


def test_reflection_does_not_find(client):
    reflection = Reflection(client, "v1")
    for question in (
        {"file_by_filename": "nothing.proto"},
        {"file_containing_symbol": "holdfast.v1.Nothing"},
        {"all_extension_numbers_of_type": "holdfast.v1.Lease"},
        {"file_containing_extension": {"containing_type": "holdfast.v1.Lease", "extension_number": 1}},
    ):
        answer = reflection.ask(**question)
        assert answer.error_response.error_code == Status.NOT_FOUND, question
        assert answer.error_response.error_message
    assert reflection.ask(list_services="").HasField("list_services_response")


def test_who_asks_and_never_reads_is_cut_off(redis, start_server):
    """The answers to many small questions must not pile up."""
    server = start_server(redis, max_output=1 << 20)
    client = server.connect()
    reflection = Reflection(client, "v1")
    with pytest.raises(ConnectionGone):
        for _ in range(100000):
            reflection.stream.send(reflection.request(file_by_filename="holdfast/v1/admin.proto"))
    assert check(server.connect()) == SERVING


# The same over gRPC, with messages that come from descriptors as a generic client's do.


@pytest.fixture
def channel(server):
    with grpc.insecure_channel(target_of(server.tcp), OPTIONS) as channel:
        yield channel


def method(channel, kind, path, answer):
    return getattr(channel, kind)(
        path,
        request_serializer=lambda message: message.SerializeToString(),
        response_deserializer=answer.FromString,
    )


def test_health_over_grpc(redis, channel):
    check = method(channel, "unary_unary", f"/{HEALTH}/Check", CheckResponse)
    watch = method(channel, "unary_stream", f"/{HEALTH}/Watch", CheckResponse)
    statuses = watch(CheckRequest(), timeout=2 * WAIT)
    assert next(statuses).status == SERVING
    redis.kill()
    assert next(statuses).status == NOT_SERVING
    assert check(CheckRequest(service="holdfast.v1.Locks"), timeout=WAIT).status == NOT_SERVING
    redis.start()
    assert next(statuses).status == SERVING
    assert check(CheckRequest(), timeout=WAIT).status == SERVING
    with pytest.raises(grpc.RpcError) as error:
        check(CheckRequest(service="nothing"), timeout=WAIT)
    assert error.value.code() == grpc.StatusCode.NOT_FOUND
    statuses.cancel()


@pytest.mark.parametrize("version", ["v1", "v1alpha"])
def test_reflection_over_grpc(channel, version):
    package = f"grpc.reflection.{version}"
    request = built.message(f"{package}.ServerReflectionRequest")
    response = built.message(f"{package}.ServerReflectionResponse")
    path = f"/{package}.ServerReflection/ServerReflectionInfo"
    requests = Requests()
    answers = method(channel, "stream_stream", path, response)(iter(requests), timeout=WAIT)
    requests.queue.put(request(list_services=""))
    listed = {service.name for service in next(answers).list_services_response.service}
    assert listed == SERVICES
    requests.queue.put(request(file_containing_symbol="holdfast.v1.Locks"))
    (data,) = next(answers).file_descriptor_response.file_descriptor_proto
    reflected = schema.Schema([descriptor_pb2.FileDescriptorProto.FromString(data)])
    requests.queue.put(None)
    assert list(answers) == []
    inspect = method(channel, "unary_unary", "/holdfast.v1.Locks/Inspect", reflected.message("holdfast.v1.InspectResponse"))
    ask = reflected.message("holdfast.v1.InspectRequest")(key="k")
    assert inspect(ask, timeout=WAIT).WhichOneof("state") == "free"
