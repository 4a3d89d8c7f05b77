/* SPDX-License-Identifier: Apache-2.0 */
#include "proto_text.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "output.h"
#include "text.h"

#define LINE_SIZE 1024
#define DEPTH_MAX 32 /* of messages within messages; a server could nest them without end */
#define PATH_SIZE (2 * DEPTH_MAX + 4)
#define NAME_SIZE 512

/* The numbers of fields in google/protobuf/descriptor.proto, of which paths to comments are made.
 */
enum {
    FILE_MESSAGE = 4,
    FILE_ENUM = 5,
    FILE_SERVICE = 6,
    MESSAGE_FIELD = 2,
    MESSAGE_NESTED = 3,
    MESSAGE_ENUM = 4,
    MESSAGE_ONEOF = 8,
    ENUM_VALUE = 2,
    SERVICE_METHOD = 2,
};

/* Where we are in the file. */
struct place {
    const Google__Protobuf__FileDescriptorProto *file;
    int32_t path[PATH_SIZE];
    size_t length;        /* of the path */
    int indent;           /* of the text */
    char name[NAME_SIZE]; /* full, of what stands here */
};

static struct place enter(const struct place *place, int32_t kind, size_t index, const char *name)
{
    struct place inner = *place;
    inner.path[inner.length++] = kind;
    inner.path[inner.length++] = (int32_t)index;
    snprintf(inner.name, sizeof(inner.name), "%.*s%s%.128s", NAME_SIZE - 160, place->name,
             place->name[0] == '\0' ? "" : ".", name);
    return inner;
}

static struct place indented(const struct place *place)
{
    struct place inner = *place;
    inner.indent++;
    return inner;
}

static bool is_too_deep(const struct place *place)
{
    return place->length + 4 > PATH_SIZE;
}

static void __attribute__((format(printf, 2, 3)))
print(const struct place *place, const char *format, ...)
{
    char line[LINE_SIZE];
    char clean[LINE_SIZE];
    va_list values;
    va_start(values, format);
    vsnprintf(line, sizeof(line), format, values);
    va_end(values);
    text_clean(clean, sizeof(clean), line);
    output_line("%*s%s", 2 * place->indent, "", clean);
}

/* ".holdfast.v1.Lease" is "Lease" in the package holdfast.v1. */
static const char *short_type(const struct place *place, const char *type)
{
    const char *name = type[0] == '.' ? type + 1 : type;
    const size_t length = strlen(place->file->package);
    const bool is_ours =
        length > 0 && strncmp(name, place->file->package, length) == 0 && name[length] == '.';
    return is_ours ? name + length + 1 : name;
}

/*
 * ---- Comments ----
 */

static const char *comment_of(const struct place *place)
{
    const Google__Protobuf__SourceCodeInfo *info = place->file->source_code_info;
    for (size_t i = 0; info != NULL && i < info->n_location; i++) {
        const Google__Protobuf__SourceCodeInfo__Location *location = info->location[i];
        if (location->n_path == place->length &&
            memcmp(location->path, place->path, place->length * sizeof(place->path[0])) == 0) {
            return location->leading_comments;
        }
    }
    return NULL;
}

static void print_comment(const struct place *place)
{
    const char *comment = comment_of(place);
    while (comment != NULL && *comment != '\0') {
        const size_t length = strcspn(comment, "\n");
        print(place, "//%.*s", length < LINE_SIZE ? (int)length : LINE_SIZE, comment);
        comment += length + (comment[length] == '\n');
    }
}

/*
 * ---- Enums ----
 */

static void print_value(const struct place *place,
                        const Google__Protobuf__EnumValueDescriptorProto *value)
{
    print_comment(place);
    print(place, "%s = %d;", value->name, value->number);
}

static void print_enum(const struct place *place, const Google__Protobuf__EnumDescriptorProto *type)
{
    const struct place inside = indented(place);
    print_comment(place);
    print(place, "enum %s {", type->name);
    for (size_t i = 0; i < type->n_value; i++) {
        const struct place at = enter(&inside, ENUM_VALUE, i, type->value[i]->name);
        print_value(&at, type->value[i]);
    }
    print(place, "}");
}

/*
 * ---- Messages ----
 */

static const char *scalar_name(Google__Protobuf__FieldDescriptorProto__Type type)
{
    static const char *const names[] = {
        [1] = "double",  [2] = "float",     [3] = "int64",     [4] = "uint64",  [5] = "int32",
        [6] = "fixed64", [7] = "fixed32",   [8] = "bool",      [9] = "string",  [12] = "bytes",
        [13] = "uint32", [15] = "sfixed32", [16] = "sfixed64", [17] = "sint32", [18] = "sint64",
    };
    const size_t index = (size_t)type;
    const bool is_known = index < sizeof(names) / sizeof(names[0]) && names[index] != NULL;
    return is_known ? names[index] : "unknown";
}

static const char *type_name(const struct place *place,
                             const Google__Protobuf__FieldDescriptorProto *field)
{
    return field->type_name != NULL && field->type_name[0] != '\0'
               ? short_type(place, field->type_name)
               : scalar_name(field->type);
}

/* The type of a map's entries, which stands inside the message; NULL when the field is no map. */
static const Google__Protobuf__DescriptorProto *
map_entry(const Google__Protobuf__DescriptorProto *message,
          const Google__Protobuf__FieldDescriptorProto *field)
{
    const char *last = field->type_name == NULL ? NULL : strrchr(field->type_name, '.');
    for (size_t i = 0; last != NULL && i < message->n_nested_type; i++) {
        const Google__Protobuf__DescriptorProto *type = message->nested_type[i];
        if (type->options != NULL && type->options->map_entry && type->n_field == 2 &&
            strcmp(type->name, last + 1) == 0) {
            return type;
        }
    }
    return NULL;
}

/* In proto3 `optional` says something; before, each field said what it was, but in a oneof. */
static const char *label_of(const struct place *place,
                            const Google__Protobuf__FieldDescriptorProto *field)
{
    const bool is_proto2 =
        place->file->syntax[0] == '\0' || strcmp(place->file->syntax, "proto2") == 0;
    switch (field->label) {
    case GOOGLE__PROTOBUF__FIELD_DESCRIPTOR_PROTO__LABEL__LABEL_REPEATED:
        return "repeated ";
    case GOOGLE__PROTOBUF__FIELD_DESCRIPTOR_PROTO__LABEL__LABEL_REQUIRED:
        return "required ";
    default:
        return field->proto3_optional || (is_proto2 && !field->has_oneof_index) ? "optional " : "";
    }
}

static void print_field(const struct place *place, const Google__Protobuf__DescriptorProto *message,
                        const Google__Protobuf__FieldDescriptorProto *field)
{
    const Google__Protobuf__DescriptorProto *entry = map_entry(message, field);
    print_comment(place);
    if (entry != NULL) {
        print(place, "map<%s, %s> %s = %d;", type_name(place, entry->field[0]),
              type_name(place, entry->field[1]), field->name, field->number);
        return;
    }
    const char *label = label_of(place, field);
    print(place, "%s%s %s = %d;", label, type_name(place, field), field->name, field->number);
}

/* Whether the field stands in a oneof that somebody wrote. */
static bool is_in_oneof(const Google__Protobuf__FieldDescriptorProto *field)
{
    return field->has_oneof_index && !field->proto3_optional;
}

/* `place` is that of the message, `inside` that of its fields. */
static void print_oneof(const struct place *inside,
                        const Google__Protobuf__DescriptorProto *message, int32_t index)
{
    if (index < 0 || (size_t)index >= message->n_oneof_decl) {
        return;
    }
    const struct place head =
        enter(inside, MESSAGE_ONEOF, (size_t)index, message->oneof_decl[index]->name);
    const struct place members = indented(inside);
    print_comment(&head);
    print(&head, "oneof %s {", message->oneof_decl[index]->name);
    for (size_t i = 0; i < message->n_field; i++) {
        const Google__Protobuf__FieldDescriptorProto *field = message->field[i];
        if (is_in_oneof(field) && field->oneof_index == index) {
            const struct place at = enter(&members, MESSAGE_FIELD, i, field->name);
            print_field(&at, message, field);
        }
    }
    print(&head, "}");
}

/* A oneof stands where its first field does. */
static void print_fields(const struct place *inside,
                         const Google__Protobuf__DescriptorProto *message)
{
    int32_t last_oneof = -1;
    for (size_t i = 0; i < message->n_field; i++) {
        const Google__Protobuf__FieldDescriptorProto *field = message->field[i];
        if (!is_in_oneof(field)) {
            const struct place at = enter(inside, MESSAGE_FIELD, i, field->name);
            print_field(&at, message, field);
        } else if (field->oneof_index != last_oneof) {
            last_oneof = field->oneof_index;
            print_oneof(inside, message, last_oneof);
        }
    }
}

static void print_message(const struct place *place,
                          const Google__Protobuf__DescriptorProto *message)
{
    const struct place inside = indented(place);
    print_comment(place);
    if (is_too_deep(place) ||
        message->n_field + message->n_nested_type + message->n_enum_type == 0) {
        print(place, "message %s {}", message->name);
        return;
    }
    print(place, "message %s {", message->name);
    for (size_t i = 0; i < message->n_enum_type; i++) {
        const struct place at = enter(&inside, MESSAGE_ENUM, i, message->enum_type[i]->name);
        print_enum(&at, message->enum_type[i]);
    }
    for (size_t i = 0; i < message->n_nested_type; i++) {
        const Google__Protobuf__DescriptorProto *nested = message->nested_type[i];
        if (nested->options == NULL || !nested->options->map_entry) {
            const struct place at = enter(&inside, MESSAGE_NESTED, i, nested->name);
            print_message(&at, nested);
        }
    }
    print_fields(&inside, message);
    print(place, "}");
}

/*
 * ---- Services ----
 */

static void print_method(const struct place *place,
                         const Google__Protobuf__MethodDescriptorProto *method)
{
    print_comment(place);
    print(place, "rpc %s(%s%s) returns (%s%s);", method->name,
          method->client_streaming ? "stream " : "", short_type(place, method->input_type),
          method->server_streaming ? "stream " : "", short_type(place, method->output_type));
}

static void print_service(const struct place *place,
                          const Google__Protobuf__ServiceDescriptorProto *service)
{
    const struct place inside = indented(place);
    print_comment(place);
    print(place, "service %s {", service->name);
    for (size_t i = 0; i < service->n_method; i++) {
        const struct place at = enter(&inside, SERVICE_METHOD, i, service->method[i]->name);
        if (i > 0) {
            output_line("%s", "");
        }
        print_method(&at, service->method[i]);
    }
    print(place, "}");
}

/*
 * ---- By name ----
 */

/* Whether this is the place that is looked for; then says so. */
static bool is_here(const struct place *place, const char *name, const char *kind)
{
    if (strcmp(place->name, name) != 0) {
        return false;
    }
    print(place, "%s is %s:", name, kind);
    return true;
}

static bool find_in_enum(const struct place *place, const char *name,
                         const Google__Protobuf__EnumDescriptorProto *type,
                         const struct place *outside)
{
    if (is_here(place, name, "an enum")) {
        print_enum(place, type);
        return true;
    }
    for (size_t i = 0; i < type->n_value; i++) {
        struct place at = enter(place, ENUM_VALUE, i, type->value[i]->name);
        const struct place named = enter(outside, 0, 0, type->value[i]->name);
        memcpy(at.name, named.name, sizeof(at.name)); /* values stand beside their enum */
        if (is_here(&at, name, "an enum value")) {
            print_value(&at, type->value[i]);
            return true;
        }
    }
    return false;
}

static bool find_in_message(const struct place *place, const char *name,
                            const Google__Protobuf__DescriptorProto *message)
{
    if (is_here(place, name, "a message")) {
        print_message(place, message);
        return true;
    }
    if (is_too_deep(place)) {
        return false;
    }
    for (size_t i = 0; i < message->n_field; i++) {
        const struct place at = enter(place, MESSAGE_FIELD, i, message->field[i]->name);
        if (is_here(&at, name, "a field")) {
            print_field(&at, message, message->field[i]);
            return true;
        }
    }
    bool is_found = false;
    for (size_t i = 0; i < message->n_enum_type && !is_found; i++) {
        const struct place at = enter(place, MESSAGE_ENUM, i, message->enum_type[i]->name);
        is_found = find_in_enum(&at, name, message->enum_type[i], place);
    }
    for (size_t i = 0; i < message->n_nested_type && !is_found; i++) {
        const struct place at = enter(place, MESSAGE_NESTED, i, message->nested_type[i]->name);
        is_found = find_in_message(&at, name, message->nested_type[i]);
    }
    return is_found;
}

static bool find_in_service(const struct place *place, const char *name,
                            const Google__Protobuf__ServiceDescriptorProto *service)
{
    if (is_here(place, name, "a service")) {
        print_service(place, service);
        return true;
    }
    for (size_t i = 0; i < service->n_method; i++) {
        const struct place at = enter(place, SERVICE_METHOD, i, service->method[i]->name);
        if (is_here(&at, name, "a method")) {
            print_method(&at, service->method[i]);
            return true;
        }
    }
    return false;
}

bool proto_text_print(const Google__Protobuf__FileDescriptorProto *file, const char *name)
{
    struct place place = {.file = file};
    bool is_found = false;
    snprintf(place.name, sizeof(place.name), "%.256s", file->package);
    for (size_t i = 0; i < file->n_service && !is_found; i++) {
        const struct place at = enter(&place, FILE_SERVICE, i, file->service[i]->name);
        is_found = find_in_service(&at, name, file->service[i]);
    }
    for (size_t i = 0; i < file->n_message_type && !is_found; i++) {
        const struct place at = enter(&place, FILE_MESSAGE, i, file->message_type[i]->name);
        is_found = find_in_message(&at, name, file->message_type[i]);
    }
    for (size_t i = 0; i < file->n_enum_type && !is_found; i++) {
        const struct place at = enter(&place, FILE_ENUM, i, file->enum_type[i]->name);
        is_found = find_in_enum(&at, name, file->enum_type[i], &place);
    }
    return is_found;
}
