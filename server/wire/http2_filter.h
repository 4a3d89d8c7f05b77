/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Takes out of what a client sends what RFC 9113 makes an offence and an honest client may do:
 *
 *   to reset a stream that it never opened (6.4). gRPC's C library does, when a deadline passes
 *   between the choice of a stream's id and its first frame; and all that the connection holds
 *   should not be lost for that
 *
 *   to name a stream of its own as the last one when it goes (6.8), as grpc-go does: it means none
 *
 * Bytes in, bytes out; no I/O.
 */
#ifndef HOLDFAST_WIRE_HTTP2_FILTER_H
#define HOLDFAST_WIRE_HTTP2_FILTER_H

#include "base/compiler.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HTTP2_FRAME_HEADER_SIZE ((size_t)9)

struct http2_filter {
    size_t preface; /* bytes of the client's greeting that have passed */
    uint8_t header[HTTP2_FRAME_HEADER_SIZE];
    size_t header_length; /* bytes of it that have come */
    size_t payload_left;  /* of the frame that it begins */
    size_t zeros_left;    /* bytes of that payload which are passed on as zeros */
    bool is_dropping;     /* that frame */
    uint32_t newest_id;   /* of the streams that were opened */
    uint64_t dropped;     /* frames so far */
};

/* Where what is left goes. False: no more is wanted. */
typedef bool http2_filter_fn(void *user, const uint8_t *bytes, size_t length);

/* Passes `length` bytes on, in pieces, but for what is taken out. False when `pass` said so. A
 * filter begins zeroed. */
NODISCARD bool http2_filter_pass(struct http2_filter *filter, const uint8_t *bytes, size_t length,
                                 http2_filter_fn *pass, void *user);

#endif
