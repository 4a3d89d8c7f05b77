# SPDX-License-Identifier: Apache-2.0
"""Messages of every .proto file without generated code: from descriptors, built ones or reflected ones."""
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

from server import BIN_DIR

PROTOSET = BIN_DIR.parent / "share/holdfast/holdfast.protoset"


class Schema:
    def __init__(self, files):
        self.pool = descriptor_pool.DescriptorPool()
        left = {file.name: file for file in files}

        def add(name):  # the pool wants what a file imports first
            file = left.pop(name, None)
            if file is not None:
                for imported in file.dependency:
                    add(imported)
                self.pool.Add(file)

        for name in list(left):
            add(name)

    def message(self, name):
        """The class of a message by its full name."""
        descriptor = self.pool.FindMessageTypeByName(name)
        if hasattr(message_factory, "GetMessageClass"):
            return message_factory.GetMessageClass(descriptor)
        return message_factory.MessageFactory(self.pool).GetPrototype(descriptor)


def read(path):
    """The files of a descriptor set."""
    return descriptor_pb2.FileDescriptorSet.FromString(path.read_bytes()).file


def built():
    """What the build made of proto/."""
    return Schema(read(PROTOSET))
