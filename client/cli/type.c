/* SPDX-License-Identifier: Apache-2.0 */
#include "type.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "field.h"
#include "memory.h"

#define FIELDS_MAX ((size_t)8192)
#define SLOT_SIZE  sizeof(ProtobufCBinaryData) /* no value takes more, nor needs more alignment */
#define GROUP      GOOGLE__PROTOBUF__FIELD_DESCRIPTOR_PROTO__TYPE__TYPE_GROUP
#define REPEATED   GOOGLE__PROTOBUF__FIELD_DESCRIPTOR_PROTO__LABEL__LABEL_REPEATED

/*
 * ---- Ranges: protobuf-c looks numbers up in runs of them ----
 */

static ProtobufCIntRange *ranges_create(size_t count, int (*number)(const void *of, size_t index),
                                        const void *of, unsigned *range_count)
{
    ProtobufCIntRange *ranges = memory_take((count + 1) * sizeof(*ranges));
    unsigned used = 0;
    for (size_t i = 0; i < count; i++) {
        if (i == 0 || number(of, i) != number(of, i - 1) + 1) {
            ranges[used++] = (ProtobufCIntRange){number(of, i), (unsigned)i};
        }
    }
    ranges[used] = (ProtobufCIntRange){0, (unsigned)count};
    *range_count = used;
    return ranges;
}

static int field_number(const void *of, size_t index)
{
    return (int)((const ProtobufCFieldDescriptor *)of)[index].id;
}

static int value_number(const void *of, size_t index)
{
    return ((const ProtobufCEnumValue *)of)[index].value;
}

/*
 * ---- Enums ----
 */

static int compare_values(const void *a, const void *b)
{
    const int left = ((const ProtobufCEnumValue *)a)->value;
    const int right = ((const ProtobufCEnumValue *)b)->value;
    return (left > right) - (left < right);
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(((const ProtobufCEnumValueIndex *)a)->name,
                  ((const ProtobufCEnumValueIndex *)b)->name);
}

/* Numbers must not come twice; of several names for one the first counts. */
static size_t without_aliases(ProtobufCEnumValue *values, size_t count)
{
    size_t used = 0;
    for (size_t i = 0; i < count; i++) {
        if (used == 0 || values[used - 1].value != values[i].value) {
            values[used++] = values[i];
        }
    }
    return used;
}

static unsigned index_of(const ProtobufCEnumValue *values, size_t count, int number)
{
    const ProtobufCEnumValue key = {.value = number};
    const ProtobufCEnumValue *found = bsearch(&key, values, count, sizeof(*values), compare_values);
    return (unsigned)(found - values);
}

static void make_enum(struct type *type)
{
    const Google__Protobuf__EnumDescriptorProto *from = type->enumeration;
    const size_t count = from->n_value;
    type->values = memory_take(count * sizeof(*type->values));
    type->names = memory_take(count * sizeof(*type->names));
    for (size_t i = 0; i < count; i++) {
        type->values[i] =
            (ProtobufCEnumValue){.name = from->value[i]->name, .value = from->value[i]->number};
    }
    if (count > 0) {
        qsort(type->values, count, sizeof(*type->values), compare_values);
    }
    const size_t used = without_aliases(type->values, count);
    for (size_t i = 0; i < count; i++) {
        type->names[i] = (ProtobufCEnumValueIndex){
            .name = from->value[i]->name,
            .index = index_of(type->values, used, from->value[i]->number)};
    }
    if (count > 0) {
        qsort(type->names, count, sizeof(*type->names), compare_names);
    }
    type->made_enum = (ProtobufCEnumDescriptor){
        .magic = PROTOBUF_C__ENUM_DESCRIPTOR_MAGIC,
        .name = type->name,
        .short_name = from->name,
        .n_values = (unsigned)used,
        .values = type->values,
        .n_value_names = (unsigned)count,
        .values_by_name = type->names,
    };
    type->ranges = ranges_create(used, value_number, type->values, &type->made_enum.n_value_ranges);
    type->made_enum.value_ranges = type->ranges;
}

/*
 * ---- Messages ----
 */

static ProtobufCType type_of(const Google__Protobuf__FieldDescriptorProto *field)
{
    static const ProtobufCType types[] = {
        [1] = PROTOBUF_C_TYPE_DOUBLE,    [2] = PROTOBUF_C_TYPE_FLOAT,
        [3] = PROTOBUF_C_TYPE_INT64,     [4] = PROTOBUF_C_TYPE_UINT64,
        [5] = PROTOBUF_C_TYPE_INT32,     [6] = PROTOBUF_C_TYPE_FIXED64,
        [7] = PROTOBUF_C_TYPE_FIXED32,   [8] = PROTOBUF_C_TYPE_BOOL,
        [9] = PROTOBUF_C_TYPE_STRING,    [11] = PROTOBUF_C_TYPE_MESSAGE,
        [12] = PROTOBUF_C_TYPE_BYTES,    [13] = PROTOBUF_C_TYPE_UINT32,
        [14] = PROTOBUF_C_TYPE_ENUM,     [15] = PROTOBUF_C_TYPE_SFIXED32,
        [16] = PROTOBUF_C_TYPE_SFIXED64, [17] = PROTOBUF_C_TYPE_SINT32,
        [18] = PROTOBUF_C_TYPE_SINT64,
    };
    return types[field->type];
}

static bool is_wanted(const Google__Protobuf__FieldDescriptorProto *field)
{
    return field->type != GROUP;
}

static bool is_sound(const Google__Protobuf__FieldDescriptorProto *field)
{
    return field->number > 0 && field->type >= 1 && field->type <= 18;
}

static bool is_proto3(const struct type *type)
{
    return strcmp(type->file->syntax, "proto3") == 0;
}

static bool is_map_entry(const struct type *type)
{
    return type->message->options != NULL && type->message->options->map_entry;
}

/* Whether it makes a difference that a value is not set, apart from what stands in a oneof. */
static bool has_presence(const struct type *type,
                         const Google__Protobuf__FieldDescriptorProto *field)
{
    return field->type != GOOGLE__PROTOBUF__FIELD_DESCRIPTOR_PROTO__TYPE__TYPE_MESSAGE &&
           !is_map_entry(type) && (field->proto3_optional || !is_proto3(type));
}

static bool is_packed(const struct type *type, const Google__Protobuf__FieldDescriptorProto *field)
{
    const bool is_proto2 =
        type->file->syntax[0] == '\0' || strcmp(type->file->syntax, "proto2") == 0;
    const ProtobufCType kind = type_of(field);
    if (kind == PROTOBUF_C_TYPE_STRING || kind == PROTOBUF_C_TYPE_BYTES ||
        kind == PROTOBUF_C_TYPE_MESSAGE) {
        return false;
    }
    return field->options != NULL && field->options->has_packed ? field->options->packed
                                                                : !is_proto2;
}

/* The next place in the struct. */
static unsigned take_room(struct type *type, size_t size)
{
    const size_t at = type->made_message.sizeof_message;
    type->made_message.sizeof_message = at + (size + 7) / 8 * 8;
    return (unsigned)at;
}

/* All of one oneof share their place, and the number of which of them is there. */
static void place_in_oneof(struct type *type, ProtobufCFieldDescriptor *to, unsigned *slot)
{
    if (*slot == 0) {
        *slot = take_room(type, SLOT_SIZE + sizeof(uint32_t));
    }
    to->flags = PROTOBUF_C_FIELD_FLAG_ONEOF;
    to->offset = *slot;
    to->quantifier_offset = *slot + (unsigned)SLOT_SIZE;
}

static void place(struct type *type, const Google__Protobuf__FieldDescriptorProto *field,
                  ProtobufCFieldDescriptor *to, unsigned *slots)
{
    unsigned own = 0;
    if (field->label == REPEATED) {
        to->label = PROTOBUF_C_LABEL_REPEATED;
        to->flags = is_packed(type, field) ? PROTOBUF_C_FIELD_FLAG_PACKED : 0;
        to->quantifier_offset = take_room(type, sizeof(size_t));
        to->offset = take_room(type, sizeof(void *));
    } else if (field->has_oneof_index && !field->proto3_optional) {
        place_in_oneof(type, to, &slots[field->oneof_index]);
    } else if (has_presence(type, field)) {
        place_in_oneof(type, to, &own);
    } else {
        to->offset = take_room(type, SLOT_SIZE);
    }
}

/* What it is made of is there, in whatever state: messages contain themselves. */
static bool refer(const Google__Protobuf__FieldDescriptorProto *field, ProtobufCFieldDescriptor *to,
                  struct type *(*find)(struct types *types, const char *name), struct types *types)
{
    const bool is_message = to->type == PROTOBUF_C_TYPE_MESSAGE;
    if (!is_message && to->type != PROTOBUF_C_TYPE_ENUM) {
        return true;
    }
    struct type *other = find(types, field->type_name);
    if (other == NULL || (other->message != NULL) != is_message) {
        return false;
    }
    to->descriptor =
        is_message ? (const void *)&other->made_message : (const void *)&other->made_enum;
    return true;
}

static int compare_fields(const void *a, const void *b)
{
    const uint32_t left = ((const ProtobufCFieldDescriptor *)a)->id;
    const uint32_t right = ((const ProtobufCFieldDescriptor *)b)->id;
    return (left > right) - (left < right);
}

static bool are_distinct(const ProtobufCFieldDescriptor *fields, size_t count)
{
    for (size_t i = 1; i < count; i++) {
        if (fields[i].id == fields[i - 1].id) {
            return false;
        }
    }
    return true;
}

static bool make_fields(struct type *type, struct type *(*find)(struct types *, const char *),
                        struct types *types, const char **wrong)
{
    const Google__Protobuf__DescriptorProto *from = type->message;
    unsigned *slots = memory_take(from->n_oneof_decl * sizeof(*slots));
    size_t count = 0;
    bool is_made = from->n_field <= FIELDS_MAX;
    for (size_t i = 0; is_made && i < from->n_field; i++) {
        const Google__Protobuf__FieldDescriptorProto *field = from->field[i];
        if (!is_wanted(field)) {
            continue;
        }
        ProtobufCFieldDescriptor *to = &type->fields[count];
        is_made = is_sound(field) &&
                  (!field->has_oneof_index ||
                   (field->oneof_index >= 0 && (size_t)field->oneof_index < from->n_oneof_decl));
        if (is_made) {
            *to = (ProtobufCFieldDescriptor){.name = field->name,
                                             .id = (uint32_t)field->number,
                                             .label = PROTOBUF_C_LABEL_NONE,
                                             .type = type_of(field)};
            place(type, field, to, slots);
            is_made = refer(field, to, find, types);
            *wrong = is_made ? *wrong : field->type_name;
            count++;
        }
    }
    free(slots);
    type->made_message.n_fields = (unsigned)count;
    return is_made;
}

static bool make_message(struct type *type, struct type *(*find)(struct types *, const char *),
                         struct types *types, const char **wrong)
{
    ProtobufCMessageDescriptor *made = &type->made_message;
    type->fields = memory_take(type->message->n_field * sizeof(*type->fields));
    *made = (ProtobufCMessageDescriptor){
        .magic = PROTOBUF_C__MESSAGE_DESCRIPTOR_MAGIC,
        .name = type->name,
        .short_name = type->message->name,
        .sizeof_message = sizeof(ProtobufCMessage),
        .fields = type->fields,
    };
    if (!make_fields(type, find, types, wrong)) {
        return false;
    }
    if (made->n_fields > 0) {
        qsort(type->fields, made->n_fields, sizeof(*type->fields), compare_fields);
    }
    type->ranges = ranges_create(made->n_fields, field_number, type->fields, &made->n_field_ranges);
    made->field_ranges = type->ranges;
    return are_distinct(type->fields, made->n_fields);
}

bool type_make(struct type *type, struct type *(*find)(struct types *types, const char *name),
               struct types *types, const char **wrong)
{
    *wrong = type->name;
    if (type->message != NULL) {
        return make_message(type, find, types, wrong);
    }
    make_enum(type);
    return true;
}

void type_destroy(struct type *type)
{
    free(type->fields);
    free(type->values);
    free(type->names);
    free(type->ranges);
    free(type->name);
    free(type);
}
