/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/message.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/utf8.h"

/* Protobuf's wire types; 3 and 4 are groups, which nothing of ours has. */
enum wire_type { WIRE_VARINT = 0, WIRE_64_BIT = 1, WIRE_LENGTH = 2, WIRE_32_BIT = 5 };

#define VARINT_SIZE_MAX     ((size_t)10)
#define VARINT_SIZE_MAX_U32 ((size_t)5)

/* The fields that a problem names, from the inside out: the rest would leave no room. */
#define PATH_SHOWN ((size_t)3)

#define AS_TEXT(number)        #number
#define NUMBER_AS_TEXT(number) AS_TEXT(number)

/* The validation of one message with all that is inside it. */
struct walk {
    const char *path[MESSAGE_DEPTH_MAX + 1]; /* the fields that lead to the present one */
    size_t depth;
    size_t elements;
    char *problem;
};

/* What is left of one message. */
struct cursor {
    const uint8_t *at;
    size_t left;
};

struct tag {
    uint32_t number;
    enum wire_type type;
};

static void append(char problem[MESSAGE_PROBLEM_SIZE], size_t *used, const char *text)
{
    size_t room = MESSAGE_PROBLEM_SIZE - 1 - *used;
    size_t length = strnlen(text, room);
    memcpy(problem + *used, text, length);
    *used += length;
    problem[*used] = '\0';
}

/* Writes "ask.key: what is wrong", or without a path about the message itself. Returns false. */
static bool fail(struct walk *walk, const char *what)
{
    size_t used = 0;
    size_t first = walk->depth > PATH_SHOWN ? walk->depth - PATH_SHOWN : 0;
    for (size_t i = first; i < walk->depth; i++) {
        append(walk->problem, &used, i == 0 ? "" : i == first ? "..." : ".");
        append(walk->problem, &used, walk->path[i]);
    }
    append(walk->problem, &used, used == 0 ? "message: " : ": ");
    append(walk->problem, &used, what);
    return false;
}

/* Takes a varint of at most `size_max` bytes that fits in that many times 7 bits, and in 64. */
static bool take_varint(struct cursor *cursor, size_t size_max, uint64_t *value)
{
    *value = 0;
    for (size_t i = 0; i < size_max && i < cursor->left; i++) {
        uint8_t byte = cursor->at[i];
        if (i == VARINT_SIZE_MAX - 1 && byte > 1) {
            return false;
        }
        *value |= (uint64_t)(byte & 0x7f) << (7 * i);
        if (byte < 0x80) {
            cursor->at += i + 1;
            cursor->left -= i + 1;
            return true;
        }
    }
    return false;
}

static bool take_bytes(struct cursor *cursor, uint64_t length, struct cursor *taken)
{
    if (length > cursor->left) {
        return false;
    }
    *taken = (struct cursor){.at = cursor->at, .left = (size_t)length};
    cursor->at += length;
    cursor->left -= (size_t)length;
    return true;
}

static bool take_tag(struct walk *walk, struct cursor *cursor, struct tag *tag)
{
    uint64_t value = 0;
    if (!take_varint(cursor, VARINT_SIZE_MAX_U32, &value) || value > UINT32_MAX) {
        return fail(walk, "a field's tag is cut short or too long");
    }
    *tag = (struct tag){.number = (uint32_t)(value >> 3), .type = (enum wire_type)(value & 7)};
    return tag->number == 0 ? fail(walk, "field number 0 does not exist") : true;
}

/* Takes a value of any wire type; `taken` covers the bytes of a length-delimited one. */
static bool take_value(struct walk *walk, struct cursor *cursor, enum wire_type type,
                       struct cursor *taken)
{
    uint64_t value = 0;
    switch (type) {
    case WIRE_VARINT:
        return take_varint(cursor, VARINT_SIZE_MAX, &value) ||
               fail(walk, "a number is cut short or too long");
    case WIRE_64_BIT:
        return take_bytes(cursor, 8, taken) || fail(walk, "a 64-bit number is cut short");
    case WIRE_32_BIT:
        return take_bytes(cursor, 4, taken) || fail(walk, "a 32-bit number is cut short");
    case WIRE_LENGTH:
        return (take_varint(cursor, VARINT_SIZE_MAX_U32, &value) &&
                take_bytes(cursor, value, taken)) ||
               fail(walk, "the length passes the end of the message");
    }
    return fail(walk, "groups and unknown wire types are not supported");
}

static bool count_element(struct walk *walk)
{
    walk->elements++;
    return walk->elements <= MESSAGE_ELEMENTS_MAX ||
           fail(walk, "too many fields; the limit is " NUMBER_AS_TEXT(MESSAGE_ELEMENTS_MAX));
}

static enum wire_type wire_type_of(ProtobufCType type)
{
    switch (type) {
    case PROTOBUF_C_TYPE_INT32:
    case PROTOBUF_C_TYPE_SINT32:
    case PROTOBUF_C_TYPE_INT64:
    case PROTOBUF_C_TYPE_SINT64:
    case PROTOBUF_C_TYPE_UINT32:
    case PROTOBUF_C_TYPE_UINT64:
    case PROTOBUF_C_TYPE_BOOL:
    case PROTOBUF_C_TYPE_ENUM:
        return WIRE_VARINT;
    case PROTOBUF_C_TYPE_FIXED64:
    case PROTOBUF_C_TYPE_SFIXED64:
    case PROTOBUF_C_TYPE_DOUBLE:
        return WIRE_64_BIT;
    case PROTOBUF_C_TYPE_FIXED32:
    case PROTOBUF_C_TYPE_SFIXED32:
    case PROTOBUF_C_TYPE_FLOAT:
        return WIRE_32_BIT;
    case PROTOBUF_C_TYPE_STRING:
    case PROTOBUF_C_TYPE_BYTES:
    case PROTOBUF_C_TYPE_MESSAGE:
        break;
    }
    return WIRE_LENGTH;
}

static bool is_utf8(const uint8_t *bytes, size_t length)
{
    char clean[256];
    size_t done = 0;
    while (done < length) {
        size_t used = 0;
        const char *from = (const char *)bytes + done;
        size_t taken = utf8_clean(from, length - done, clean, sizeof(clean), &used);
        if (taken != used || memcmp(from, clean, used) != 0) {
            return false;
        }
        done += taken;
    }
    return true;
}

static bool validate_string(struct walk *walk, const struct cursor *string)
{
    if (string->left > 0 && memchr(string->at, '\0', string->left) != NULL) {
        return fail(walk, "contains a NUL character");
    }
    return is_utf8(string->at, string->left) || fail(walk, "not valid UTF-8");
}

static bool validate_packed(struct walk *walk, struct cursor elements, enum wire_type type)
{
    struct cursor ignored;
    while (elements.left > 0) {
        if (!count_element(walk) || !take_value(walk, &elements, type, &ignored)) {
            return false;
        }
    }
    return true;
}

static bool validate_message(struct walk *walk, const ProtobufCMessageDescriptor *descriptor,
                             struct cursor cursor);

/* A field that the descriptor knows; walk->path ends with its name. */
static bool validate_field(struct walk *walk, const ProtobufCFieldDescriptor *field,
                           enum wire_type type, struct cursor *cursor)
{
    struct cursor value = {0};
    enum wire_type expected = wire_type_of(field->type);
    bool is_packed =
        field->label == PROTOBUF_C_LABEL_REPEATED && expected != WIRE_LENGTH && type == WIRE_LENGTH;
    if (type != expected && !is_packed) {
        return fail(walk, "has the wire type of another kind of field");
    }
    if (!take_value(walk, cursor, type, &value)) {
        return false;
    }
    if (is_packed) {
        return validate_packed(walk, value, expected);
    }
    if (field->type == PROTOBUF_C_TYPE_STRING) {
        return validate_string(walk, &value);
    }
    return field->type == PROTOBUF_C_TYPE_MESSAGE ? validate_message(walk, field->descriptor, value)
                                                  : true;
}

/* Recursion ends at MESSAGE_DEPTH_MAX. */
static bool validate_message(struct walk *walk, const ProtobufCMessageDescriptor *descriptor,
                             struct cursor cursor)
{
    if (walk->depth >= MESSAGE_DEPTH_MAX) {
        return fail(
            walk, "messages are nested too deep; the limit is " NUMBER_AS_TEXT(MESSAGE_DEPTH_MAX));
    }
    while (cursor.left > 0) {
        struct tag tag = {0};
        struct cursor ignored;
        if (!count_element(walk) || !take_tag(walk, &cursor, &tag)) {
            return false;
        }
        const ProtobufCFieldDescriptor *field =
            protobuf_c_message_descriptor_get_field(descriptor, tag.number);
        if (field == NULL) {
            if (!take_value(walk, &cursor, tag.type, &ignored)) {
                return false;
            }
            continue;
        }
        walk->path[walk->depth++] = field->name;
        if (!validate_field(walk, field, tag.type, &cursor)) {
            return false;
        }
        walk->depth--;
    }
    return true;
}

static void *allocate(void *arena, size_t size)
{
    return arena_alloc(arena, size);
}

static void deallocate(void *arena, void *piece)
{
    (void)arena;
    (void)piece;
}

ProtobufCMessage *message_unpack(const ProtobufCMessageDescriptor *descriptor, const uint8_t *bytes,
                                 size_t length, struct arena *arena,
                                 char problem[MESSAGE_PROBLEM_SIZE])
{
    struct walk walk = {.problem = problem};
    ProtobufCAllocator allocator = {.alloc = allocate, .free = deallocate, .allocator_data = arena};
    if (!validate_message(&walk, descriptor, (struct cursor){.at = bytes, .left = length})) {
        return NULL;
    }
    ProtobufCMessage *message = protobuf_c_message_unpack(descriptor, &allocator, length, bytes);
    if (message == NULL) {
        fail(&walk, "too large when unpacked, or a field that may stand once stands twice");
    }
    return message;
}
