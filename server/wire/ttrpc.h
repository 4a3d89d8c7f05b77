/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ttRPC's frames: a 10-byte header (data length, stream id, type, flags; numbers big-endian), then
 * the data. Bytes in, frames out; no state, no I/O.
 *
 * Source: https://github.com/containerd/ttrpc/blob/main/PROTOCOL.md
 */
#ifndef HOLDFAST_WIRE_TTRPC_H
#define HOLDFAST_WIRE_TTRPC_H

#include <stddef.h>
#include <stdint.h>

#define TTRPC_HEADER_SIZE ((size_t)10)
#define TTRPC_DATA_MAX    ((uint32_t)4 << 20)

enum ttrpc_type { TTRPC_REQUEST = 1, TTRPC_RESPONSE = 2, TTRPC_DATA = 3 };

/* From the sender's peer's point of view: "remote closed" says that the sender sends no more. */
enum ttrpc_flags {
    TTRPC_REMOTE_CLOSED = 0x01,
    TTRPC_REMOTE_OPEN = 0x02,
    TTRPC_NO_DATA = 0x04, /* the Data frame carries no message, not an empty one */
};

struct ttrpc_header {
    uint32_t length; /* of the data behind the header; may exceed TTRPC_DATA_MAX: see below */
    uint32_t stream_id;
    uint8_t type; /* an enum ttrpc_type, or a type of the future that must be ignored */
    uint8_t flags;
};

/* Decodes the header in the first TTRPC_HEADER_SIZE bytes. A peer may announce more than
 * TTRPC_DATA_MAX bytes; the receiver must skip them and refuse that one message. */
void ttrpc_header_decode(struct ttrpc_header *header, const uint8_t bytes[TTRPC_HEADER_SIZE]);

void ttrpc_header_encode(const struct ttrpc_header *header, uint8_t bytes[TTRPC_HEADER_SIZE]);

#endif
