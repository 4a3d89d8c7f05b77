/* SPDX-License-Identifier: Apache-2.0 */
/* Tells protocols apart by the first bytes of a connection. */
#ifndef HOLDFAST_WIRE_SNIFF_H
#define HOLDFAST_WIRE_SNIFF_H

#include <stddef.h>
#include <stdint.h>

enum sniff {
    SNIFF_NEED_MORE, /* a prefix of something known */
    SNIFF_TTRPC,     /* first byte 0: a frame is shorter than 16 MiB */
    SNIFF_HTTP2,     /* "PRI * HTTP/2.0" */
    SNIFF_HTTP1,     /* a request line's method */
    SNIFF_TLS,       /* a TLS handshake record */
    SNIFF_UNKNOWN,
};

/* Looks at the first `length` bytes of a stream; SNIFF_NEED_MORE only for fewer than 16. */
enum sniff sniff(const uint8_t *bytes, size_t length);

#endif
