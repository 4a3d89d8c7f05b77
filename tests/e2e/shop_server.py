# SPDX-License-Identifier: Apache-2.0
"""A gRPC server that is not Holdfast's: grpcio's, with a shop (shop/*.proto) and its own reflection, which answers a
question with one file and leaves it to the client to ask for what that imports."""
import pathlib
import shutil
import subprocess
import threading
from concurrent import futures

import grpc

import schema

PROTOS = pathlib.Path(__file__).parent / "shop"
MEGABYTE = 1 << 20


def compile_protos(directory):
    path = directory / "shop.protoset"
    files = sorted(PROTOS.glob("*.proto"))
    options = ["--include_source_info", "--include_imports", "--descriptor_set_out", path]
    subprocess.run([shutil.which("protoc"), "-I", PROTOS, *options, *files], check=True)
    return schema.read(path)


class Till:
    """The methods of shop.v1.Till, by name."""

    def __init__(self, message):
        self.message = message
        self.raw = b""
        self.cancelled = threading.Event()
        self.waiting = threading.Event()

    def Echo(self, order, context):
        return order

    def Count(self, amount, context):
        for count in range(1, amount.count + 1):
            yield self.message("shop.v1.Amount")(count=count)

    def Sum(self, amounts, context):
        return self.message("shop.v1.Amount")(count=sum(amount.count for amount in amounts))

    def Chat(self, orders, context):
        yield from orders

    def Fail(self, order, context):
        codes = {code.value[0]: code for code in grpc.StatusCode}
        context.abort(codes[order.price_cents], order.id)

    def Large(self, amount, context):
        return self.message("shop.v1.Blob")(data=bytes(amount.count))

    def Weigh(self, blobs, context):
        return self.message("shop.v1.Amount")(count=sum(len(blob.data) for blob in blobs))

    def Metadata(self, order, context):
        order.notes.update({key: str(value) for key, value in context.invocation_metadata()})
        order.notes["left"] = str(context.time_remaining())
        return order

    def Raw(self, order, context):
        return self.raw

    def Wait(self, order, context):
        context.add_callback(self.cancelled.set)
        self.waiting.set()
        yield order
        self.cancelled.wait()


class Bare:
    def Echo(self, message, context):
        return message


class Door(Bare):
    def Name(self, message, context):
        return b"\x0a\x05front"


class Reflection:
    def __init__(self, package, files, services, message):
        self.files = files
        self.services = services
        self.answer = message(f"{package}.ServerReflectionResponse")

    def find(self, symbol):
        for file in self.files:
            prefix = f"{file.package}." if file.package else ""
            names = [prefix + item.name for group in (file.service, file.message_type, file.enum_type) for item in group]
            if any(symbol == name or symbol.startswith(f"{name}.") for name in names):
                return file
        return None

    def ServerReflectionInfo(self, requests, context):
        for request in requests:
            answer = self.answer(original_request=request)
            kind = request.WhichOneof("message_request")
            if kind == "list_services":
                for name in self.services:
                    answer.list_services_response.service.add(name=name)
            else:
                wanted = getattr(request, kind)
                by_name = {file.name: file for file in self.files}
                file = by_name.get(wanted) if kind == "file_by_filename" else self.find(wanted)
                if file is None:
                    answer.error_response.error_code = grpc.StatusCode.NOT_FOUND.value[0]
                    answer.error_response.error_message = wanted
                else:
                    answer.file_descriptor_response.file_descriptor_proto.append(file.SerializeToString())
            yield answer


def handlers_of(files, message, name, servicer):
    """What serves the methods that the files describe."""
    methods = {}
    for file in files:
        for service in file.service:
            if name == f"{file.package}.{service.name}".lstrip("."):
                methods.update({method.name: handler_of(method, message, servicer) for method in service.method})
    return grpc.method_handlers_generic_handler(name, methods)


def handler_of(method, message, servicer):
    shape = ("stream" if method.client_streaming else "unary") + ("_stream" if method.server_streaming else "_unary")
    return getattr(grpc, f"{shape}_rpc_method_handler")(
        getattr(servicer, method.name),
        request_deserializer=message(method.input_type.lstrip(".")).FromString,
        response_serializer=lambda answer: answer if isinstance(answer, bytes) else answer.SerializeToString(),
    )


class ShopServer:
    """`versions` are those of the reflection that it offers."""

    def __init__(self, directory, versions=("v1", "v1alpha"), credentials=None):
        files = list(compile_protos(directory))
        shop, built = schema.Schema(files), schema.built()
        ours = list(schema.read(schema.PROTOSET))
        described = files + [file for file in ours if file.package.startswith("grpc.reflection.")]
        self.till = Till(shop.message)
        self.services = ["shop.v1.Till", "shop.v1.Door", "Bare"]
        self.services += [f"grpc.reflection.{version}.ServerReflection" for version in versions]
        self.grpc = grpc.server(
            futures.ThreadPoolExecutor(8),
            options=[("grpc.max_receive_message_length", 64 * MEGABYTE), ("grpc.so_reuseport", 0)],
        )
        handlers = [
            handlers_of(files, shop.message, "shop.v1.Till", self.till),
            handlers_of(files, shop.message, "shop.v1.Door", Door()),
            handlers_of(files, shop.message, "Bare", Bare()),
        ]
        for version in versions:
            package = f"grpc.reflection.{version}"
            servicer = Reflection(package, described, self.services, built.message)
            handlers.append(handlers_of(ours, built.message, f"{package}.ServerReflection", servicer))
        self.grpc.add_generic_rpc_handlers(handlers)
        self.unix = f"unix://{directory}/shop"
        assert self.grpc.add_insecure_port(f"unix:{directory}/shop")
        self.tcp = f"tcp://127.0.0.1:{self.grpc.add_insecure_port('127.0.0.1:0')}"
        if credentials is not None:
            self.tls = f"tls://localhost:{self.grpc.add_secure_port('127.0.0.1:0', credentials)}"
        self.grpc.start()

    def close(self):
        self.till.cancelled.set()
        self.grpc.stop(0).wait(10)
