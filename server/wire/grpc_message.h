/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How gRPC marks off messages within a stream: a byte that tells whether the message is compressed,
 * its length in four bytes (big-endian), the message. Bytes in, messages out; no state, no I/O.
 *
 * Source: https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md
 */
#ifndef HOLDFAST_WIRE_GRPC_MESSAGE_H
#define HOLDFAST_WIRE_GRPC_MESSAGE_H

#include "base/compiler.h"

#include <stddef.h>
#include <stdint.h>

#define GRPC_PREFIX_SIZE ((size_t)5)

struct grpc_message {
    const uint8_t *bytes; /* within what was read */
    size_t length;        /* also set for GRPC_TOO_LARGE */
};

enum grpc_message_read {
    GRPC_INCOMPLETE, /* more bytes must come first */
    GRPC_MESSAGE,    /* takes GRPC_PREFIX_SIZE and its length */
    GRPC_TOO_LARGE,  /* longer than `max`; found out from the prefix alone */
    GRPC_COMPRESSED, /* as above */
    GRPC_NONSENSE,   /* no message begins like this */
};

/* Looks at the first message of `length` bytes. */
NODISCARD enum grpc_message_read grpc_message_read(struct grpc_message *message,
                                                   const uint8_t *bytes, size_t length, size_t max);

/* The prefix of a message that is not compressed. */
void grpc_prefix_encode(uint8_t prefix[GRPC_PREFIX_SIZE], uint32_t length);

#endif
