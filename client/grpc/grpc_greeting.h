/* SPDX-License-Identifier: Apache-2.0 */
/* What answers, told by its first bytes: an HTTP/2 server begins with SETTINGS. Bytes in, one
 * verdict out; no I/O. */
#ifndef HOLDFAST_GRPC_GRPC_GREETING_H
#define HOLDFAST_GRPC_GRPC_GREETING_H

#include <stddef.h>
#include <stdint.h>

#define GRPC_GREETING_SIZE ((size_t)9)

enum grpc_greeting {
    GRPC_GREETING_SHORT, /* more bytes must come first */
    GRPC_GREETING_HTTP2,
    GRPC_GREETING_TLS,
    GRPC_GREETING_HTTP1,
    GRPC_GREETING_OTHER,
};

/* Looks at the first `length` bytes; never SHORT from GRPC_GREETING_SIZE on. */
enum grpc_greeting grpc_greeting_read(const uint8_t *bytes, size_t length);

/* A sentence on what is no HTTP/2; static text. */
const char *grpc_greeting_text(enum grpc_greeting greeting);

#endif
