/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/ttrpc_message.h"

#include <ttrpc/ttrpc.pb-c.h>

#include "base/memory.h"

#define NANOSECONDS_PER_US 1000

/* Replies that are packed on the stack. */
#define SMALL_REPLY ((size_t)1024)

/* Rounds away from 0, so that neither a short wait nor one that has passed becomes "for ever". */
static int64_t microseconds(int64_t nanoseconds)
{
    int64_t whole = nanoseconds / NANOSECONDS_PER_US;
    int64_t rest = nanoseconds % NANOSECONDS_PER_US;
    return whole + (rest > 0) - (rest < 0);
}

/* The envelope; `status` is filled when the response needs one. The payload has its length but no
 * bytes yet. */
static Ttrpc__Response envelope(const struct ttrpc_response *response, Ttrpc__Status *status)
{
    Ttrpc__Response packed = TTRPC__RESPONSE__INIT;
    ttrpc__status__init(status);
    if (response->status != STATUS_OK) {
        status->code = (int32_t)response->status;
        status->message = (char *)(uintptr_t)response->text;
        packed.status = status;
    }
    if (response->reply != NULL) {
        packed.payload.len = protobuf_c_message_get_packed_size(response->reply);
    }
    return packed;
}

bool ttrpc_request_unpack(struct ttrpc_request *request, const uint8_t *bytes, size_t length,
                          struct arena *arena, char problem[MESSAGE_PROBLEM_SIZE])
{
    const ProtobufCMessage *message =
        message_unpack(&ttrpc__request__descriptor, bytes, length, arena, problem);
    if (message == NULL) {
        return false;
    }
    const Ttrpc__Request *unpacked = (const Ttrpc__Request *)(const void *)message;
    *request = (struct ttrpc_request){
        .service = unpacked->service,
        .method = unpacked->method,
        .payload = unpacked->payload.data,
        .payload_length = unpacked->payload.len,
        .timeout_us = microseconds(unpacked->timeout_nano),
    };
    return true;
}

size_t ttrpc_response_size(const struct ttrpc_response *response)
{
    Ttrpc__Status status;
    Ttrpc__Response packed = envelope(response, &status);
    return ttrpc__response__get_packed_size(&packed);
}

size_t ttrpc_response_pack(const struct ttrpc_response *response, uint8_t *bytes)
{
    uint8_t small[SMALL_REPLY];
    Ttrpc__Status status;
    Ttrpc__Response packed = envelope(response, &status);
    uint8_t *payload =
        packed.payload.len > sizeof(small) ? memory_alloc(packed.payload.len) : small;
    if (packed.payload.len > 0) {
        protobuf_c_message_pack(response->reply, payload);
        packed.payload.data = payload;
    }
    size_t size = ttrpc__response__pack(&packed, bytes);
    if (payload != small) {
        memory_free(payload);
    }
    return size;
}
