/* SPDX-License-Identifier: Apache-2.0 */
#include "base/utf8.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#define REPLACEMENT "\xef\xbf\xbd"

/* The smallest code point that needs so many bytes: anything below is an overlong form. */
static const uint32_t smallest[] = {0, 0, 0x80, 0x800, 0x10000};

/* Bytes announced by the first byte; 0 when it cannot be a first byte. */
static size_t announced_length(uint8_t first)
{
    if (first < 0x80) {
        return 1;
    }
    if (first >= 0xc2 && first < 0xe0) {
        return 2;
    }
    if (first >= 0xe0 && first < 0xf0) {
        return 3;
    }
    return first >= 0xf0 && first < 0xf5 ? 4 : 0;
}

/* Bytes of the valid character at the start of `bytes`; 0 when there is none. */
static size_t character_length(const uint8_t *bytes, size_t left)
{
    size_t length = announced_length(bytes[0]);
    if (length <= 1 || length > left) {
        return length == 1 ? 1 : 0;
    }
    uint32_t point = bytes[0] & (0x7fU >> length);
    for (size_t i = 1; i < length; i++) {
        if ((bytes[i] & 0xc0) != 0x80) {
            return 0;
        }
        point = (point << 6) | (bytes[i] & 0x3fU);
    }
    bool is_surrogate = point >= 0xd800 && point <= 0xdfff;
    return point < smallest[length] || point > 0x10ffff || is_surrogate ? 0 : length;
}

size_t utf8_clean(const char *bytes, size_t length, char *clean, size_t limit, size_t *used)
{
    size_t taken = 0;
    size_t written = 0;
    while (taken < length) {
        const char *from = bytes + taken;
        size_t size = character_length((const uint8_t *)from, length - taken);
        size_t out = size == 0 ? sizeof(REPLACEMENT) - 1 : size;
        if (out > limit - written) {
            break;
        }
        memcpy(clean + written, size == 0 ? REPLACEMENT : from, out);
        written += out;
        taken += size == 0 ? 1 : size;
    }
    *used = written;
    return taken;
}
