/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whether a list of header fields, or of trailers, is well formed: RFC 9113 (8.2 and 8.3) but for
 * what :authority may hold. Clients on a unix socket send the socket's path there, and nothing here
 * depends on it. Nor is content-length held against the data: gRPC's messages tell their own
 * lengths. Fields in, one verdict out; no I/O.
 */
#ifndef HOLDFAST_WIRE_HTTP2_HEAD_H
#define HOLDFAST_WIRE_HTTP2_HEAD_H

#include <stdbool.h>
#include <stddef.h>

struct http2_head {
    bool is_request; /* otherwise trailers, which have no pseudo fields */
    unsigned seen;   /* pseudo fields, a bit each */
    bool has_regular;
    bool has_length;
    bool is_malformed; /* so far */
};

void http2_head_begin(struct http2_head *head, bool is_request);

/* The next field. */
void http2_head_field(struct http2_head *head, const char *name, size_t name_length,
                      const char *value, size_t value_length);

/* After the last field. */
bool http2_head_is_well_formed(const struct http2_head *head);

#endif
