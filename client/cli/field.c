/* SPDX-License-Identifier: Apache-2.0 */
#include "field.h"

#include <ctype.h>
#include <string.h>

/* As protoc does it. */
static void write_name(char *to, size_t size, const char *from, bool is_upper)
{
    size_t used = 0;
    for (; *from != '\0' && used + 1 < size; from++) {
        if (*from == '_') {
            is_upper = true;
            continue;
        }
        to[used] = *from;
        if (is_upper) {
            to[used] = (char)toupper((unsigned char)*from);
        }
        used++;
        is_upper = false;
    }
    to[used] = '\0';
}

void field_json_name(const ProtobufCFieldDescriptor *field, char name[FIELD_NAME_SIZE])
{
    write_name(name, FIELD_NAME_SIZE, field->name, false);
}

/* A plain part of a map's entry: it is there, once. */
static bool is_part(const ProtobufCFieldDescriptor *field, const char *name, uint32_t id)
{
    return field->id == id && strcmp(field->name, name) == 0 &&
           field->label != PROTOBUF_C_LABEL_REPEATED && !field_is_in_oneof(field);
}

/* protoc names the type after the field, inside the message, and lets nobody else do so. */
bool field_is_map(const ProtobufCMessageDescriptor *message, const ProtobufCFieldDescriptor *field)
{
    if (field->label != PROTOBUF_C_LABEL_REPEATED || field->type != PROTOBUF_C_TYPE_MESSAGE) {
        return false;
    }
    const ProtobufCMessageDescriptor *entry = field->descriptor;
    const size_t length = strlen(message->name);
    char name[FIELD_NAME_SIZE];
    write_name(name, sizeof(name), field->name, true);
    return entry->n_fields == 2 && is_part(&entry->fields[0], "key", 1) &&
           is_part(&entry->fields[1], "value", 2) &&
           strncmp(entry->name, message->name, length) == 0 && entry->name[length] == '.' &&
           strncmp(entry->name + length + 1, name, strlen(name)) == 0 &&
           strcmp(entry->name + length + 1 + strlen(name), "Entry") == 0;
}

bool field_is_in_oneof(const ProtobufCFieldDescriptor *field)
{
    return (field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) != 0;
}

size_t field_size(const ProtobufCFieldDescriptor *field)
{
    switch (field->type) {
    case PROTOBUF_C_TYPE_INT32:
    case PROTOBUF_C_TYPE_SINT32:
    case PROTOBUF_C_TYPE_SFIXED32:
    case PROTOBUF_C_TYPE_UINT32:
    case PROTOBUF_C_TYPE_FIXED32:
    case PROTOBUF_C_TYPE_FLOAT:
    case PROTOBUF_C_TYPE_ENUM:
        return 4;
    case PROTOBUF_C_TYPE_INT64:
    case PROTOBUF_C_TYPE_SINT64:
    case PROTOBUF_C_TYPE_SFIXED64:
    case PROTOBUF_C_TYPE_UINT64:
    case PROTOBUF_C_TYPE_FIXED64:
    case PROTOBUF_C_TYPE_DOUBLE:
        return 8;
    case PROTOBUF_C_TYPE_BOOL:
        return sizeof(protobuf_c_boolean);
    case PROTOBUF_C_TYPE_BYTES:
        return sizeof(ProtobufCBinaryData);
    case PROTOBUF_C_TYPE_STRING:
    case PROTOBUF_C_TYPE_MESSAGE:
        break;
    }
    return sizeof(void *);
}

static void *at(const ProtobufCMessage *message, unsigned offset)
{
    return (char *)(uintptr_t)message + offset;
}

void *field_value(const ProtobufCMessage *message, const ProtobufCFieldDescriptor *field)
{
    return at(message, field->offset);
}

size_t *field_count(const ProtobufCMessage *message, const ProtobufCFieldDescriptor *field)
{
    return at(message, field->quantifier_offset);
}

uint32_t *field_case(const ProtobufCMessage *message, const ProtobufCFieldDescriptor *field)
{
    return at(message, field->quantifier_offset);
}
