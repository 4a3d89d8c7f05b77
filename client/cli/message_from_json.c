/* SPDX-License-Identifier: Apache-2.0 */
#include "message_json.h"

#include <errno.h>
#include <float.h>
#include <math.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base64.h"
#include "field.h"
#include "memory.h"

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

/* Decimal digits, with a sign if that is allowed, and nothing else: one number is written one way,
 * so that different keys of a map stay different. */
static bool is_integer_text(const char *text, bool may_be_negative)
{
    const char *digits = text + (may_be_negative && text[0] == '-');
    const bool is_padded = digits[0] == '0' && (digits[1] != '\0' || digits != text);
    return digits[0] != '\0' && strspn(digits, "0123456789") == strlen(digits) && !is_padded;
}

/* Of JSON's numbers with a fraction or an exponent those count that are whole: 1e3, 5.0. */
static bool is_whole(double real)
{
    return real >= -0x1p63 && real < 0x1p63 && trunc(real) == real;
}

static bool take_signed(const json_t *json, int64_t *value)
{
    char *end = NULL;
    if (json_is_integer(json)) {
        *value = json_integer_value(json);
        return true;
    }
    if (json_is_real(json)) {
        const double real = json_real_value(json);
        if (is_whole(real)) {
            *value = (int64_t)real;
            return true;
        }
        return false;
    }
    if (!json_is_string(json) || !is_integer_text(json_string_value(json), true)) {
        return false;
    }
    errno = 0;
    *value = strtoll(json_string_value(json), &end, 10);
    return errno == 0;
}

static bool take_unsigned(const json_t *json, uint64_t *value)
{
    int64_t number = 0;
    char *end = NULL;
    if (!json_is_string(json)) {
        const bool is_taken = take_signed(json, &number) && number >= 0;
        *value = (uint64_t)number;
        return is_taken;
    }
    if (!is_integer_text(json_string_value(json), false)) {
        return false;
    }
    errno = 0;
    *value = strtoull(json_string_value(json), &end, 10);
    return errno == 0;
}

static bool read_int32(const json_t *json, int32_t *to, char problem[MESSAGE_JSON_PROBLEM_SIZE])
{
    int64_t value = 0;
    if (!take_signed(json, &value) || value < INT32_MIN || value > INT32_MAX) {
        return fail(problem, "not a whole number from -2147483648 to 2147483647");
    }
    *to = (int32_t)value;
    return true;
}

static bool read_uint32(const json_t *json, uint32_t *to, char problem[MESSAGE_JSON_PROBLEM_SIZE])
{
    uint64_t value = 0;
    if (!take_unsigned(json, &value) || value > UINT32_MAX) {
        return fail(problem, "not a whole number from 0 to 4294967295");
    }
    *to = (uint32_t)value;
    return true;
}

static bool read_int64(const json_t *json, int64_t *to, char problem[MESSAGE_JSON_PROBLEM_SIZE])
{
    return take_signed(json, to) || fail(problem, "not a whole number of 64 bits");
}

static bool read_uint64(const json_t *json, uint64_t *to, char problem[MESSAGE_JSON_PROBLEM_SIZE])
{
    return take_unsigned(json, to) || fail(problem, "not a whole number of 64 bits from 0");
}

static bool real_of_text(const char *text, double *value)
{
    static const struct {
        const char *name;
        double value;
    } names[] = {{"NaN", NAN}, {"Infinity", INFINITY}, {"-Infinity", -INFINITY}};
    char *end = NULL;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (strcmp(text, names[i].name) == 0) {
            *value = names[i].value;
            return true;
        }
    }
    /* strtod knows more than JSON does. */
    if (text[0] == '\0' || strspn(text, "0123456789+-.eE") != strlen(text)) {
        return false;
    }
    *value = strtod(text, &end);
    return *end == '\0' && isfinite(*value);
}

static bool read_double(const json_t *json, double *to, char problem[MESSAGE_JSON_PROBLEM_SIZE])
{
    if (json_is_number(json)) {
        *to = json_number_value(json);
        return true;
    }
    return (json_is_string(json) && real_of_text(json_string_value(json), to)) ||
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
        if (!json_is_null(value) && !read_field(message, field, value, problem)) {
            return name_problem(name, problem);
        }
    }
    return true;
}

static ProtobufCMessage *read_fields_of(const ProtobufCMessageDescriptor *descriptor,
                                        const json_t *json, char problem[MESSAGE_JSON_PROBLEM_SIZE])
{
    if (!json_is_object(json)) {
        (void)fail(problem, "not an object, as %s is written", descriptor->name);
        return NULL;
    }
    ProtobufCMessage *message = create(descriptor);
    bool *is_seen = memory_take(descriptor->n_fields * sizeof(*is_seen));
    if (!read_fields(message, json, is_seen, problem)) {
        protobuf_c_message_free_unpacked(message, NULL);
        message = NULL;
    }
    free(is_seen);
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
