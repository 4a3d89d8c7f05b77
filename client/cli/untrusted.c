/* SPDX-License-Identifier: Apache-2.0 */
#include "untrusted.h"

#include <stdbool.h>
#include <stdlib.h>

#define VARINT_MAX 10

enum { WIRE_VARINT = 0, WIRE_64 = 1, WIRE_LENGTH = 2, WIRE_32 = 5 };

struct cursor {
    const uint8_t *at;
    const uint8_t *end;
};

static bool take_varint(struct cursor *cursor, uint64_t *value)
{
    *value = 0;
    for (unsigned i = 0; i < VARINT_MAX && cursor->at < cursor->end; i++) {
        const uint8_t byte = *cursor->at++;
        *value |= (uint64_t)(byte & 0x7f) << (7 * i);
        if (byte < 0x80) {
            return true;
        }
    }
    return false;
}

/* Where a field's value ends; a length in front of it is skipped. False: nowhere. */
static bool find_end(struct cursor *cursor, uint64_t tag, const uint8_t **end)
{
    struct cursor after = *cursor;
    uint64_t length = 0;
    bool is_known = true;
    switch (tag & 7) {
    case WIRE_VARINT:
        is_known = take_varint(&after, &length);
        length = 0;
        break;
    case WIRE_64:
        length = 8;
        break;
    case WIRE_32:
        length = 4;
        break;
    case WIRE_LENGTH:
        is_known = take_varint(&after, &length);
        *cursor = after;
        break;
    default:
        is_known = false;
        break;
    }
    if (!is_known || length > (uint64_t)(after.end - after.at)) {
        return false;
    }
    *end = after.at + length;
    return true;
}

static bool is_shallow(const ProtobufCMessageDescriptor *descriptor, struct cursor cursor,
                       unsigned depth)
{
    while (cursor.at < cursor.end) {
        uint64_t tag = 0;
        const uint8_t *end = NULL;
        if (!take_varint(&cursor, &tag) || !find_end(&cursor, tag, &end)) {
            return false;
        }
        const struct cursor inner = {cursor.at, end};
        const ProtobufCFieldDescriptor *field =
            protobuf_c_message_descriptor_get_field(descriptor, (unsigned)(tag >> 3));
        if (field != NULL && field->type == PROTOBUF_C_TYPE_MESSAGE && (tag & 7) == WIRE_LENGTH &&
            (depth == 0 || !is_shallow(field->descriptor, inner, depth - 1))) {
            return false;
        }
        cursor.at = end;
    }
    return true;
}

/* What is taken is freed one by one, with free(). */
static void *take(void *left, size_t size)
{
    size_t *budget = (size_t *)left;
    if (size > *budget) {
        return NULL;
    }
    *budget -= size;
    return malloc(size);
}

static void give_back(void *left, void *block)
{
    (void)left;
    free(block);
}

ProtobufCMessage *untrusted_unpack(const ProtobufCMessageDescriptor *descriptor,
                                   const uint8_t *bytes, size_t length)
{
    size_t budget = UNTRUSTED_MEMORY_MAX;
    ProtobufCAllocator allocator = {.alloc = take, .free = give_back, .allocator_data = &budget};
    const struct cursor cursor = {bytes, bytes + length};
    return is_shallow(descriptor, cursor, UNTRUSTED_DEPTH_MAX)
               ? protobuf_c_message_unpack(descriptor, &allocator, length, bytes)
               : NULL;
}
