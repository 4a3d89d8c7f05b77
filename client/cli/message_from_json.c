/* SPDX-License-Identifier: Apache-2.0 */
#include "message_json.h"

#include <float.h>
#include <math.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base64.h"
#include "field.h"
#include "json_number.h"
#include "memory.h"
#include "well_known.h"

#define TYPE_NAME_SIZE 64

static bool __attribute__((format(printf, 2, 3)))
fail(char problem[MESSAGE_JSON_PROBLEM_SIZE], const char *format, ...)
{
    va_list values;
    va_start(values, format);
    vsnprintf(problem, MESSAGE_JSON_PROBLEM_SIZE, format, values);
    va_end(values);
    return false;
}

/* In front of what is wrong stands where. */
static bool name_problem(const char *name, char problem[MESSAGE_JSON_PROBLEM_SIZE])
{
    char inner[MESSAGE_JSON_PROBLEM_SIZE];
    memcpy(inner, problem, sizeof(inner));
    const bool is_nested = inner[0] == '.' || inner[0] == '[';
    return fail(problem, ".%.64s%s%s", name, is_nested ? "" : ": ", inner);
}

/*
 * ---- Numbers ----
 */

static bool read_int32(const json_t *json, int32_t *to, char problem[MESSAGE_JSON_PROBLEM_SIZE])
{
    int64_t value = 0;
    if (!json_number_signed(json, &value) || value < INT32_MIN || value > INT32_MAX) {
        return fail(problem, "not a whole number from -2147483648 to 2147483647");
    }
    *to = (int32_t)value;
    return true;
}

static bool read_uint32(const json_t *json, uint32_t *to, char problem[MESSAGE_JSON_PROBLEM_SIZE])
{
    uint64_t value = 0;
    if (!json_number_unsigned(json, &value) || value > UINT32_MAX) {
        return fail(problem, "not a whole number from 0 to 4294967295");
    }
    *to = (uint32_t)value;
    return true;
}

static bool read_int64(const json_t *json, int64_t *to, char problem[MESSAGE_JSON_PROBLEM_SIZE])
{
    return json_number_signed(json, to) || fail(problem, "not a whole number of 64 bits");
}

static bool read_uint64(const json_t *json, uint64_t *to, char problem[MESSAGE_JSON_PROBLEM_SIZE])
{
    return json_number_unsigned(json, to) || fail(problem, "not a whole number of 64 bits from 0");
}

static bool read_double(const json_t *json, double *to, char problem[MESSAGE_JSON_PROBLEM_SIZE])
{
    return json_number_real(json, to) ||
           fail(problem, "not a number, nor \"NaN\", \"Infinity\" or \"-Infinity\"");
}

static bool read_float(const json_t *json, float *to, char problem[MESSAGE_JSON_PROBLEM_SIZE])
{
    double value = 0;
    if (!read_double(json, &value, problem)) {
        return false;
    }
    if (isfinite(value) && fabs(value) > (double)FLT_MAX) {
        return fail(problem, "too large for a number of 32 bits");
    }
    *to = (float)value;
    return true;
}

/*
 * ---- Other values ----
 */

static bool read_enum(const json_t *json, const ProtobufCEnumDescriptor *type, int *to,
                      char problem[MESSAGE_JSON_PROBLEM_SIZE])
{
    if (!json_is_string(json)) {
        int32_t value = 0;
        if (!json_is_number(json) || !read_int32(json, &value, problem)) {
            return fail(problem, "not the name or number of a %s", type->short_name);
        }
        *to = value;
        return true;
    }
    const char *name = json_string_value(json);
    const ProtobufCEnumValue *value = protobuf_c_enum_descriptor_get_value_by_name(type, name);
    if (value == NULL) {
        return fail(problem, "\"%.64s\" is no %s", name, type->short_name);
    }
    *to = value->value;
    return true;
}

static bool read_bool(const json_t *json, protobuf_c_boolean *to,
                      char problem[MESSAGE_JSON_PROBLEM_SIZE])
{
    *to = json_is_true(json);
    return json_is_boolean(json) || fail(problem, "neither true nor false");
}

static bool read_string(const json_t *json, char **to, char problem[MESSAGE_JSON_PROBLEM_SIZE])
{
    if (!json_is_string(json)) {
        return fail(problem, "not a text");
    }
    const size_t length = json_string_length(json);
    char *text = memory_take(length + 1);
    memcpy(text, json_string_value(json), length);
    *to = text;
    return true;
}

static bool read_bytes(const json_t *json, ProtobufCBinaryData *to,
                       char problem[MESSAGE_JSON_PROBLEM_SIZE])
{
    return (json_is_string(json) && base64_decode(json_string_value(json), &to->data, &to->len)) ||
           fail(problem, "not base64");
}

/* Messages contain messages. */
static ProtobufCMessage *read_fields_of(const ProtobufCMessageDescriptor *descriptor,
                                        const json_t *json,
                                        char problem[MESSAGE_JSON_PROBLEM_SIZE]);

static bool read_message(const json_t *json, const ProtobufCMessageDescriptor *type,
                         ProtobufCMessage **to, char problem[MESSAGE_JSON_PROBLEM_SIZE])
{
    *to = read_fields_of(type, json, problem);
    return *to != NULL;
}

/* One value into `at`, which is zeroed. */
static bool read_value(const ProtobufCFieldDescriptor *field, const json_t *json, void *at,
                       char problem[MESSAGE_JSON_PROBLEM_SIZE])
{
    switch (field->type) {
    case PROTOBUF_C_TYPE_INT32:
    case PROTOBUF_C_TYPE_SINT32:
    case PROTOBUF_C_TYPE_SFIXED32:
        return read_int32(json, at, problem);
    case PROTOBUF_C_TYPE_UINT32:
    case PROTOBUF_C_TYPE_FIXED32:
        return read_uint32(json, at, problem);
    case PROTOBUF_C_TYPE_INT64:
    case PROTOBUF_C_TYPE_SINT64:
    case PROTOBUF_C_TYPE_SFIXED64:
        return read_int64(json, at, problem);
    case PROTOBUF_C_TYPE_UINT64:
    case PROTOBUF_C_TYPE_FIXED64:
        return read_uint64(json, at, problem);
    case PROTOBUF_C_TYPE_FLOAT:
        return read_float(json, at, problem);
    case PROTOBUF_C_TYPE_DOUBLE:
        return read_double(json, at, problem);
    case PROTOBUF_C_TYPE_BOOL:
        return read_bool(json, at, problem);
    case PROTOBUF_C_TYPE_ENUM:
        return read_enum(json, field->descriptor, at, problem);
    case PROTOBUF_C_TYPE_STRING:
        return read_string(json, at, problem);
    case PROTOBUF_C_TYPE_BYTES:
        return read_bytes(json, at, problem);
    case PROTOBUF_C_TYPE_MESSAGE:
        return read_message(json, field->descriptor, at, problem);
    }
    return false;
}

/*
 * ---- Lists and maps ----
 */

/* Room for `count` values, none of which is there yet. */
static char *make_room(ProtobufCMessage *message, const ProtobufCFieldDescriptor *field,
                       size_t count)
{
    char *values = memory_take(count * field_size(field));
    *(char **)field_value(message, field) = values;
    return values;
}

static bool read_list(ProtobufCMessage *message, const ProtobufCFieldDescriptor *field,
                      const json_t *json, char problem[MESSAGE_JSON_PROBLEM_SIZE])
{
    if (!json_is_array(json)) {
        return fail(problem, "not a list");
    }
    char *values = make_room(message, field, json_array_size(json));
    for (size_t i = 0; i < json_array_size(json); i++) {
        if (!read_value(field, json_array_get(json, i), values + i * field_size(field), problem)) {
            char inner[MESSAGE_JSON_PROBLEM_SIZE];
            memcpy(inner, problem, sizeof(inner));
            return fail(problem, "[%zu]%s%s", i, inner[0] == '.' ? "" : ": ", inner);
        }
        *field_count(message, field) = i + 1;
    }
    return true;
}

/* Keys are text in JSON, whatever they are in the message. */
static bool read_key(const ProtobufCFieldDescriptor *field, const char *key, void *at,
                     char problem[MESSAGE_JSON_PROBLEM_SIZE])
{
    json_t *json = json_string(key);
    if (field->type == PROTOBUF_C_TYPE_BOOL &&
        (strcmp(key, "true") == 0 || strcmp(key, "false") == 0)) {
        json_decref(json);
        json = json_boolean(key[0] == 't');
    }
    const bool is_read = read_value(field, json, at, problem);
    json_decref(json);
    return is_read;
}

static ProtobufCMessage *create(const ProtobufCMessageDescriptor *descriptor)
{
    ProtobufCMessage *message = memory_take(descriptor->sizeof_message);
    if (descriptor->message_init != NULL) {
        protobuf_c_message_init(descriptor, message);
    }
    message->descriptor = descriptor; /* what was not generated begins zeroed */
    return message;
}

static bool read_map(ProtobufCMessage *message, const ProtobufCFieldDescriptor *field,
                     const json_t *json, char problem[MESSAGE_JSON_PROBLEM_SIZE])
{
    const char *key = NULL;
    json_t *value = NULL;
    if (!json_is_object(json)) {
        return fail(problem, "not an object");
    }
    ProtobufCMessage **entries = (void *)make_room(message, field, json_object_size(json));
    json_object_foreach((json_t *)(uintptr_t)json, key, value)
    {
        ProtobufCMessage *entry = create(field->descriptor);
        const ProtobufCFieldDescriptor *parts = entry->descriptor->fields;
        entries[(*field_count(message, field))++] = entry;
        if (!read_key(&parts[0], key, field_value(entry, &parts[0]), problem) ||
            !read_value(&parts[1], value, field_value(entry, &parts[1]), problem)) {
            return name_problem(key, problem);
        }
    }
    return true;
}

/*
 * ---- Messages ----
 */

/* By either of its names. */
static const ProtobufCFieldDescriptor *find_field(const ProtobufCMessageDescriptor *descriptor,
                                                  const char *name)
{
    for (unsigned i = 0; i < descriptor->n_fields; i++) {
        const ProtobufCFieldDescriptor *field = &descriptor->fields[i];
        char json_name[FIELD_NAME_SIZE];
        field_json_name(field, json_name);
        if (strcmp(json_name, name) == 0 || strcmp(field->name, name) == 0) {
            return field;
        }
    }
    return NULL;
}

static bool read_one(ProtobufCMessage *message, const ProtobufCFieldDescriptor *field,
                     const json_t *json, char problem[MESSAGE_JSON_PROBLEM_SIZE])
{
    /* Zeroed: what stands there by default is not to be freed. */
    union {
        uint64_t number;
        void *pointer;
        ProtobufCBinaryData bytes;
    } value = {.bytes = {.len = 0}};
    if (field_is_in_oneof(field) && *field_case(message, field) != 0) {
        return fail(problem, "another field of the same oneof is set, too");
    }
    if (!read_value(field, json, &value, problem)) {
        return false;
    }
    memcpy(field_value(message, field), &value, field_size(field));
    if (field_is_in_oneof(field)) {
        *field_case(message, field) = field->id;
    }
    return true;
}

static bool read_field(ProtobufCMessage *message, const ProtobufCFieldDescriptor *field,
                       const json_t *json, char problem[MESSAGE_JSON_PROBLEM_SIZE])
{
    if (field_is_map(message->descriptor, field)) {
        return read_map(message, field, json, problem);
    }
    if (field->label == PROTOBUF_C_LABEL_REPEATED) {
        return read_list(message, field, json, problem);
    }
    return read_one(message, field, json, problem);
}

/* null is a value where any value may stand. */
static bool is_unset(const ProtobufCFieldDescriptor *field, const json_t *json)
{
    const bool is_any = field->type == PROTOBUF_C_TYPE_MESSAGE &&
                        field->label != PROTOBUF_C_LABEL_REPEATED &&
                        well_known_of(field->descriptor) == WELL_KNOWN_VALUE;
    return json_is_null(json) && !is_any;
}

static bool read_fields(ProtobufCMessage *message, const json_t *json, bool *is_seen,
                        char problem[MESSAGE_JSON_PROBLEM_SIZE])
{
    const ProtobufCMessageDescriptor *descriptor = message->descriptor;
    const char *name = NULL;
    json_t *value = NULL;
    json_object_foreach((json_t *)(uintptr_t)json, name, value)
    {
        const ProtobufCFieldDescriptor *field = find_field(descriptor, name);
        if (field == NULL) {
            (void)fail(problem, "no such field in %s", descriptor->name);
            return name_problem(name, problem);
        }
        if (is_seen[field - descriptor->fields]) {
            (void)fail(problem, "given twice, under both its names");
            return name_problem(name, problem);
        }
        is_seen[field - descriptor->fields] = true;
        if (!is_unset(field, value) && !read_field(message, field, value, problem)) {
            return name_problem(name, problem);
        }
    }
    return true;
}

static bool read_object(ProtobufCMessage *message, const json_t *json,
                        char problem[MESSAGE_JSON_PROBLEM_SIZE])
{
    const ProtobufCMessageDescriptor *descriptor = message->descriptor;
    if (!json_is_object(json)) {
        return fail(problem, "not an object, as %s is written", descriptor->name);
    }
    bool *is_seen = memory_take(descriptor->n_fields * sizeof(*is_seen));
    const bool is_read = read_fields(message, json, is_seen, problem);
    free(is_seen);
    return is_read;
}

static bool read_time(ProtobufCMessage *message, const json_t *json,
                      char problem[MESSAGE_JSON_PROBLEM_SIZE])
{
    return (json_is_string(json) && well_known_read(message, json_string_value(json))) ||
           fail(problem, "not a %s, as \"%s\" is", message->descriptor->short_name,
                well_known_of(message->descriptor) == WELL_KNOWN_DURATION ? "1.5s"
                                                                          : "2000-12-31T23:59:59Z");
}

/* What can hold such a value. */
static unsigned any_field(const json_t *json)
{
    switch (json_typeof(json)) {
    case JSON_OBJECT:
        return WELL_KNOWN_OBJECT;
    case JSON_ARRAY:
        return WELL_KNOWN_ARRAY;
    case JSON_STRING:
        return WELL_KNOWN_TEXT;
    case JSON_INTEGER:
    case JSON_REAL:
        return WELL_KNOWN_NUMBER;
    case JSON_TRUE:
    case JSON_FALSE:
        return WELL_KNOWN_BOOL;
    case JSON_NULL:
        break;
    }
    return WELL_KNOWN_NULL;
}

static bool read_any(ProtobufCMessage *message, const json_t *json,
                     char problem[MESSAGE_JSON_PROBLEM_SIZE])
{
    const ProtobufCFieldDescriptor *field = &message->descriptor->fields[any_field(json) - 1];
    if (json_is_null(json)) {
        *field_case(message, field) = field->id;
        return true;
    }
    return read_one(message, field, json, problem);
}

static bool read_whole(ProtobufCMessage *message, const json_t *json,
                       char problem[MESSAGE_JSON_PROBLEM_SIZE])
{
    const ProtobufCFieldDescriptor *first = message->descriptor->fields;
    switch (well_known_of(message->descriptor)) {
    case WELL_KNOWN_TIMESTAMP:
    case WELL_KNOWN_DURATION:
        return read_time(message, json, problem);
    case WELL_KNOWN_WRAPPER:
        return read_one(message, first, json, problem);
    case WELL_KNOWN_STRUCT:
        return read_map(message, first, json, problem);
    case WELL_KNOWN_LIST:
        return read_list(message, first, json, problem);
    case WELL_KNOWN_VALUE:
        return read_any(message, json, problem);
    case WELL_KNOWN_NONE:
        break;
    }
    return read_object(message, json, problem);
}

static ProtobufCMessage *read_fields_of(const ProtobufCMessageDescriptor *descriptor,
                                        const json_t *json, char problem[MESSAGE_JSON_PROBLEM_SIZE])
{
    ProtobufCMessage *message = create(descriptor);
    if (!read_whole(message, json, problem)) {
        protobuf_c_message_free_unpacked(message, NULL);
        return NULL;
    }
    return message;
}

ProtobufCMessage *message_from_json(const ProtobufCMessageDescriptor *descriptor,
                                    const json_t *json, char problem[MESSAGE_JSON_PROBLEM_SIZE])
{
    problem[0] = '\0';
    ProtobufCMessage *message = read_fields_of(descriptor, json, problem);
    /* What is wrong with a field begins with a dot. */
    if (message == NULL && problem[0] == '.') {
        memmove(problem, problem + 1, strlen(problem));
    }
    return message;
}
