/* SPDX-License-Identifier: Apache-2.0 */
/* The data of ttRPC's Request and Response frames: the envelopes around a method's messages. */
#ifndef HOLDFAST_WIRE_TTRPC_MESSAGE_H
#define HOLDFAST_WIRE_TTRPC_MESSAGE_H

#include "base/arena.h"
#include "base/compiler.h"
#include "wire/message.h"
#include "wire/status.h"

#include <protobuf-c/protobuf-c.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct ttrpc_request {
    const char *service; /* "holdfast.v1.Locks"; "" when absent */
    const char *method;
    const uint8_t *payload; /* the method's message; NULL when it has no bytes */
    size_t payload_length;
    int64_t timeout_us; /* how long the caller waits; 0: for ever, negative: not any more */
};

/* Unpacks a Request into `arena`, where its strings and payload live. False and a sentence that
 * names the field in `problem` when the bytes are no valid Request. */
NODISCARD bool ttrpc_request_unpack(struct ttrpc_request *request, const uint8_t *bytes,
                                    size_t length, struct arena *arena,
                                    char problem[MESSAGE_PROBLEM_SIZE]);

struct ttrpc_response {
    const ProtobufCMessage *reply; /* NULL: no payload */
    enum status status;
    const char *text; /* "" with STATUS_OK; UTF-8 */
};

/* Bytes that ttrpc_response_pack writes. */
size_t ttrpc_response_size(const struct ttrpc_response *response);

/* Packs a Response into `bytes`, which has room for ttrpc_response_size. Returns that size. */
size_t ttrpc_response_pack(const struct ttrpc_response *response, uint8_t *bytes);

#endif
