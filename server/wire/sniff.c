/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/sniff.h"

#include <string.h>

#include "base/compiler.h"

static const struct {
    const char *prefix;
    enum sniff protocol;
} known[] = {
    {"PRI * HTTP/2.0", SNIFF_HTTP2}, {"GET ", SNIFF_HTTP1},     {"HEAD ", SNIFF_HTTP1},
    {"POST ", SNIFF_HTTP1},          {"PUT ", SNIFF_HTTP1},     {"PATCH ", SNIFF_HTTP1},
    {"DELETE ", SNIFF_HTTP1},        {"OPTIONS ", SNIFF_HTTP1}, {"CONNECT ", SNIFF_HTTP1},
    {"TRACE ", SNIFF_HTTP1},         {"\x16\x03", SNIFF_TLS}, /* a handshake record of SSL 3 and all
                                                                 that came after */
};

enum sniff sniff(const uint8_t *bytes, size_t length)
{
    enum sniff found = length == 0 ? SNIFF_NEED_MORE : SNIFF_UNKNOWN;
    if (length > 0 && bytes[0] == 0) {
        return SNIFF_TTRPC;
    }
    for (size_t i = 0; length > 0 && i < COUNT_OF(known); i++) {
        size_t size = strlen(known[i].prefix);
        if (length >= size && memcmp(bytes, known[i].prefix, size) == 0) {
            return known[i].protocol;
        }
        if (length < size && memcmp(bytes, known[i].prefix, length) == 0) {
            found = SNIFF_NEED_MORE;
        }
    }
    return found;
}
