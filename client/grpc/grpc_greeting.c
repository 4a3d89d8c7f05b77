/* SPDX-License-Identifier: Apache-2.0 */
#include "grpc/grpc_greeting.h"

#include <stdbool.h>
#include <string.h>

#define SETTINGS     4
#define SETTING_SIZE 6

static const uint8_t tls_alert[] = {0x15, 0x03}; /* how every alert of TLS begins */
static const char http1[] = "HTTP/1.";

/* The header of a SETTINGS frame that acknowledges nothing, of the whole connection. */
static bool is_settings(const uint8_t *header)
{
    static const uint8_t rest[] = {SETTINGS, 0, 0, 0, 0, 0};
    const unsigned length = (unsigned)header[1] << 8 | header[2];
    return header[0] == 0 && length % SETTING_SIZE == 0 &&
           memcmp(header + 3, rest, sizeof(rest)) == 0;
}

static bool begins(const uint8_t *bytes, size_t length, const void *with, size_t size)
{
    return length >= size && memcmp(bytes, with, size) == 0;
}

enum grpc_greeting grpc_greeting_read(const uint8_t *bytes, size_t length)
{
    if (begins(bytes, length, tls_alert, sizeof(tls_alert))) {
        return GRPC_GREETING_TLS;
    }
    if (begins(bytes, length, http1, sizeof(http1) - 1)) {
        return GRPC_GREETING_HTTP1;
    }
    if (length < GRPC_GREETING_SIZE) {
        return GRPC_GREETING_SHORT;
    }
    return is_settings(bytes) ? GRPC_GREETING_HTTP2 : GRPC_GREETING_OTHER;
}

const char *grpc_greeting_text(enum grpc_greeting greeting)
{
    switch (greeting) {
    case GRPC_GREETING_TLS:
        return "the server speaks TLS there; use tls:// instead of tcp://";
    case GRPC_GREETING_HTTP1:
        return "what answers there speaks HTTP/1, and gRPC needs HTTP/2";
    default:
        return "what answers there does not speak gRPC";
    }
}
