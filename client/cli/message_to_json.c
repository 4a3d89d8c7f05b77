/* SPDX-License-Identifier: Apache-2.0 */
#include "message_json.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base64.h"
#include "field.h"
#include "well_known.h"

#define NUMBER_SIZE 24

static json_t *real_json(double value)
{
    if (isnan(value)) {
        return json_string("NaN");
    }
    if (isinf(value)) {
        return json_string(value > 0 ? "Infinity" : "-Infinity");
    }
    return json_real(value);
}

static json_t *signed_json(int64_t value)
{
    char text[NUMBER_SIZE];
    snprintf(text, sizeof(text), "%" PRId64, value);
    return json_string(text);
}

static json_t *unsigned_json(uint64_t value)
{
    char text[NUMBER_SIZE];
    snprintf(text, sizeof(text), "%" PRIu64, value);
    return json_string(text);
}

static json_t *enum_json(const ProtobufCEnumDescriptor *type, int value)
{
    const ProtobufCEnumValue *known = protobuf_c_enum_descriptor_get_value(type, value);
    return known != NULL ? json_string(known->name) : json_integer(value);
}

static json_t *bytes_json(const ProtobufCBinaryData *bytes)
{
    char *text = base64_encode(bytes->data, bytes->len);
    json_t *json = json_string(text);
    free(text);
    return json;
}

/* NULL stands for a message of defaults: an entry of a map may come without its value. */
static json_t *child_json(const ProtobufCMessage *message, char problem[MESSAGE_JSON_PROBLEM_SIZE])
{
    return message != NULL ? message_to_json(message, problem) : json_object();
}

/* Of one value at `at`. NULL when a text is not UTF-8. */
static json_t *value_json(const ProtobufCFieldDescriptor *field, const void *at,
                          char problem[MESSAGE_JSON_PROBLEM_SIZE])
{
    switch (field->type) {
    case PROTOBUF_C_TYPE_INT32:
    case PROTOBUF_C_TYPE_SINT32:
    case PROTOBUF_C_TYPE_SFIXED32:
        return json_integer(*(const int32_t *)at);
    case PROTOBUF_C_TYPE_UINT32:
    case PROTOBUF_C_TYPE_FIXED32:
        return json_integer(*(const uint32_t *)at);
    case PROTOBUF_C_TYPE_INT64:
    case PROTOBUF_C_TYPE_SINT64:
    case PROTOBUF_C_TYPE_SFIXED64:
        return signed_json(*(const int64_t *)at);
    case PROTOBUF_C_TYPE_UINT64:
    case PROTOBUF_C_TYPE_FIXED64:
        return unsigned_json(*(const uint64_t *)at);
    case PROTOBUF_C_TYPE_FLOAT:
        return real_json((double)*(const float *)at);
    case PROTOBUF_C_TYPE_DOUBLE:
        return real_json(*(const double *)at);
    case PROTOBUF_C_TYPE_BOOL:
        return json_boolean(*(const protobuf_c_boolean *)at);
    case PROTOBUF_C_TYPE_ENUM:
        return enum_json(field->descriptor, *(const int *)at);
    case PROTOBUF_C_TYPE_STRING:
        return json_string(*(char *const *)at != NULL ? *(char *const *)at : "");
    case PROTOBUF_C_TYPE_BYTES:
        return bytes_json(at);
    case PROTOBUF_C_TYPE_MESSAGE:
        return child_json(*(ProtobufCMessage *const *)at, problem);
    }
    return NULL;
}

/* In front of what is wrong stands where; takes the reference of what is right. */
static json_t *name_problem(json_t *json, const ProtobufCFieldDescriptor *field,
                            char problem[MESSAGE_JSON_PROBLEM_SIZE])
{
    char inner[MESSAGE_JSON_PROBLEM_SIZE];
    if (json == NULL) {
        memcpy(inner, problem, sizeof(inner));
        const char *separator = inner[0] == '\0' ? ": not valid UTF-8" : inner[0] == ':' ? "" : ".";
        snprintf(problem, MESSAGE_JSON_PROBLEM_SIZE, "%.64s%s%.160s", field->name, separator,
                 inner);
    }
    return json;
}

static json_t *list_json(const ProtobufCMessage *message, const ProtobufCFieldDescriptor *field,
                         char problem[MESSAGE_JSON_PROBLEM_SIZE])
{
    const char *values = *(char *const *)field_value(message, field);
    const size_t count = *field_count(message, field);
    json_t *list = json_array();
    for (size_t i = 0; i < count; i++) {
        json_t *value = value_json(field, values + i * field_size(field), problem);
        if (value == NULL || json_array_append_new(list, value) != 0) {
            json_decref(list);
            return NULL;
        }
    }
    return list;
}

/* Keys are text in JSON. */
static json_t *key_json(const ProtobufCMessage *entry)
{
    const ProtobufCFieldDescriptor *field = &entry->descriptor->fields[0];
    const void *at = field_value(entry, field);
    char unused[MESSAGE_JSON_PROBLEM_SIZE] = "";
    if (field->type == PROTOBUF_C_TYPE_BOOL) {
        return json_string(*(const protobuf_c_boolean *)at ? "true" : "false");
    }
    json_t *key = value_json(field, at, unused);
    if (json_is_integer(key)) {
        json_t *text = signed_json(json_integer_value(key));
        json_decref(key);
        return text;
    }
    return key;
}

static bool add_entry(json_t *map, const ProtobufCMessage *entry,
                      char problem[MESSAGE_JSON_PROBLEM_SIZE])
{
    const ProtobufCFieldDescriptor *field = &entry->descriptor->fields[1];
    json_t *key = key_json(entry);
    json_t *value = value_json(field, field_value(entry, field), problem);
    bool is_added =
        key != NULL && value != NULL && json_object_set(map, json_string_value(key), value) == 0;
    json_decref(key);
    json_decref(value);
    return is_added;
}

static json_t *map_json(const ProtobufCMessage *message, const ProtobufCFieldDescriptor *field,
                        char problem[MESSAGE_JSON_PROBLEM_SIZE])
{
    ProtobufCMessage *const *entries = *(ProtobufCMessage *const **)field_value(message, field);
    const size_t count = *field_count(message, field);
    json_t *map = json_object();
    for (size_t i = 0; i < count; i++) {
        if (!add_entry(map, entries[i], problem)) {
            json_decref(map);
            return NULL;
        }
    }
    return map;
}

/* Whether a value that belongs to no oneof is more than its default. */
static bool is_set(const ProtobufCFieldDescriptor *field, const void *at)
{
    static const char zeroes[sizeof(ProtobufCBinaryData)];
    switch (field->type) {
    case PROTOBUF_C_TYPE_STRING:
        return *(char *const *)at != NULL && **(char *const *)at != '\0';
    case PROTOBUF_C_TYPE_BYTES:
        return ((const ProtobufCBinaryData *)at)->len > 0;
    default:
        return memcmp(at, zeroes, field_size(field)) != 0;
    }
}

static bool has_field(const ProtobufCMessage *message, const ProtobufCFieldDescriptor *field)
{
    if (field->label == PROTOBUF_C_LABEL_REPEATED) {
        return *field_count(message, field) > 0;
    }
    if (field_is_in_oneof(field)) {
        return *field_case(message, field) == field->id;
    }
    return is_set(field, field_value(message, field));
}

static json_t *field_json(const ProtobufCMessage *message, const ProtobufCFieldDescriptor *field,
                          char problem[MESSAGE_JSON_PROBLEM_SIZE])
{
    if (field_is_map(message->descriptor, field)) {
        return map_json(message, field, problem);
    }
    if (field->label == PROTOBUF_C_LABEL_REPEATED) {
        return list_json(message, field, problem);
    }
    return value_json(field, field_value(message, field), problem);
}

static json_t *fields_json(const ProtobufCMessage *message, char problem[MESSAGE_JSON_PROBLEM_SIZE])
{
    json_t *object = json_object();
    for (unsigned i = 0; i < message->descriptor->n_fields; i++) {
        const ProtobufCFieldDescriptor *field = &message->descriptor->fields[i];
        char name[FIELD_NAME_SIZE];
        if (!has_field(message, field)) {
            continue;
        }
        field_json_name(field, name);
        json_t *json = name_problem(field_json(message, field, problem), field, problem);
        if (json == NULL || json_object_set_new(object, name, json) != 0) {
            json_decref(object);
            return NULL;
        }
    }
    return object;
}

static json_t *time_json(const ProtobufCMessage *message, char problem[MESSAGE_JSON_PROBLEM_SIZE])
{
    char text[WELL_KNOWN_TEXT_SIZE];
    if (!well_known_write(message, text)) {
        snprintf(problem, MESSAGE_JSON_PROBLEM_SIZE, ": out of the range of %.64s",
                 message->descriptor->name);
        return NULL;
    }
    return json_string(text);
}

/* Whichever of its fields is set. */
static json_t *any_json(const ProtobufCMessage *message, char problem[MESSAGE_JSON_PROBLEM_SIZE])
{
    for (unsigned i = 0; i < message->descriptor->n_fields; i++) {
        const ProtobufCFieldDescriptor *field = &message->descriptor->fields[i];
        if (has_field(message, field) && field->id != WELL_KNOWN_NULL) {
            return value_json(field, field_value(message, field), problem);
        }
    }
    return json_null();
}

json_t *message_to_json(const ProtobufCMessage *message, char problem[MESSAGE_JSON_PROBLEM_SIZE])
{
    const ProtobufCFieldDescriptor *first = message->descriptor->fields;
    problem[0] = '\0';
    switch (well_known_of(message->descriptor)) {
    case WELL_KNOWN_TIMESTAMP:
    case WELL_KNOWN_DURATION:
        return time_json(message, problem);
    case WELL_KNOWN_WRAPPER:
        return value_json(first, field_value(message, first), problem);
    case WELL_KNOWN_STRUCT:
        return map_json(message, first, problem);
    case WELL_KNOWN_LIST:
        return list_json(message, first, problem);
    case WELL_KNOWN_VALUE:
        return any_json(message, problem);
    case WELL_KNOWN_NONE:
        break;
    }
    return fields_json(message, problem);
}
