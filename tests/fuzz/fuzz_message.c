/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bytes from peers into messages. What unpacks must pack again, and that unpack to the same; what
 * does not must come with a problem. The first byte chooses the type.
 */
#include "wire/message.h"

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <holdfast/v1/locks.pb-c.h>
#include <ttrpc/ttrpc.pb-c.h>

#include "base/check.h"
#include "base/compiler.h"

#define ARENA_LIMIT ((size_t)1024 * 1024)

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

static const ProtobufCMessageDescriptor *const types[] = {
    &ttrpc__request__descriptor,
    &holdfast__v1__acquire_request__descriptor,
    &holdfast__v1__hold_request__descriptor,
    &holdfast__v1__acquire_response__descriptor,
    &holdfast__v1__hold_event__descriptor,
    &holdfast__v1__inspect_response__descriptor,
    &holdfast__v1__renew_request__descriptor,
};

static ProtobufCMessage *unpack(const ProtobufCMessageDescriptor *type, const uint8_t *bytes,
                                size_t length, struct arena *arena)
{
    char problem[MESSAGE_PROBLEM_SIZE] = "";
    arena_init(arena, ARENA_LIMIT);
    ProtobufCMessage *message = message_unpack(type, bytes, length, arena, problem);
    CHECK((message == NULL) == (problem[0] != '\0'));
    CHECK(memchr(problem, '\0', sizeof(problem)) != NULL);
    CHECK(arena->used <= ARENA_LIMIT);
    return message;
}

static void check_round_trip(const ProtobufCMessageDescriptor *type,
                             const ProtobufCMessage *message)
{
    struct arena arena;
    size_t size = protobuf_c_message_get_packed_size(message);
    uint8_t *first = malloc(size + 1);
    uint8_t *second = malloc(size + 1);
    CHECK(protobuf_c_message_pack(message, first) == size);
    const ProtobufCMessage *again = unpack(type, first, size, &arena);
    CHECK(again != NULL);
    CHECK(protobuf_c_message_get_packed_size(again) == size);
    CHECK(protobuf_c_message_pack(again, second) == size);
    CHECK(memcmp(first, second, size) == 0);
    arena_release(&arena);
    free(first);
    free(second);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
    struct arena arena;
    if (length == 0) {
        return 0;
    }
    const ProtobufCMessageDescriptor *type = types[bytes[0] % COUNT_OF(types)];
    const ProtobufCMessage *message = unpack(type, bytes + 1, length - 1, &arena);
    if (message != NULL) {
        check_round_trip(type, message);
    }
    arena_release(&arena);
    return 0;
}
