/* SPDX-License-Identifier: Apache-2.0 */
#include "proto_file.h"

#include <string.h>

#include "field.h"
#include "memory.h"
#include "untrusted.h"

/* Messages contain messages, to a depth that untrusted_unpack limits. */
static void fill_texts(ProtobufCMessage *message);

static void fill_list(ProtobufCMessage *message, const ProtobufCFieldDescriptor *field)
{
    ProtobufCMessage **list = *(ProtobufCMessage ***)field_value(message, field);
    for (size_t i = 0; i < *field_count(message, field); i++) {
        fill_texts(list[i]);
    }
}

static void fill_field(ProtobufCMessage *message, const ProtobufCFieldDescriptor *field)
{
    void *value = field_value(message, field);
    const bool is_message = field->type == PROTOBUF_C_TYPE_MESSAGE;
    if (field->label == PROTOBUF_C_LABEL_REPEATED) {
        if (is_message) {
            fill_list(message, field);
        }
    } else if (is_message && *(ProtobufCMessage **)value != NULL) {
        fill_texts(*(ProtobufCMessage **)value);
    } else if (field->type == PROTOBUF_C_TYPE_STRING && *(char **)value == NULL) {
        *(char **)value = memory_take(1);
    }
}

static void fill_texts(ProtobufCMessage *message)
{
    for (unsigned i = 0; i < message->descriptor->n_fields; i++) {
        fill_field(message, &message->descriptor->fields[i]);
    }
}

Google__Protobuf__FileDescriptorProto *proto_file_unpack(const uint8_t *bytes, size_t length)
{
    ProtobufCMessage *file =
        untrusted_unpack(&google__protobuf__file_descriptor_proto__descriptor, bytes, length);
    if (file != NULL) {
        fill_texts(file);
    }
    return (Google__Protobuf__FileDescriptorProto *)file;
}
