/* SPDX-License-Identifier: Apache-2.0 */
#include "base/id128.h"

#include <string.h>

#include "base/random.h"

static const char hex_digits[] = "0123456789abcdef";

/* 0 to 15, or -1. */
static int hex_value(char digit)
{
    if (digit >= '0' && digit <= '9') {
        return digit - '0';
    }
    if (digit >= 'a' && digit <= 'f') {
        return digit - 'a' + 10;
    }
    if (digit >= 'A' && digit <= 'F') {
        return digit - 'A' + 10;
    }
    return -1;
}

struct id128 id128_random(void)
{
    struct id128 id;
    random_fill(id.bytes, sizeof(id.bytes));
    return id;
}

bool id128_equal(const struct id128 *a, const struct id128 *b)
{
    unsigned int difference = 0;
    for (size_t i = 0; i < ID128_SIZE; i++) {
        difference |= (unsigned int)(a->bytes[i] ^ b->bytes[i]);
    }
    return difference == 0;
}

bool id128_from_bytes(struct id128 *id, const void *bytes, size_t length)
{
    if (length != ID128_SIZE) {
        return false;
    }
    memcpy(id->bytes, bytes, ID128_SIZE);
    return true;
}

void id128_to_hex(const struct id128 *id, char hex[ID128_HEX_SIZE])
{
    for (size_t i = 0; i < ID128_SIZE; i++) {
        hex[2 * i] = hex_digits[id->bytes[i] >> 4];
        hex[2 * i + 1] = hex_digits[id->bytes[i] & 15];
    }
    hex[2 * ID128_SIZE] = '\0';
}

bool id128_from_hex(struct id128 *id, const char *hex)
{
    if (strlen(hex) != 2 * ID128_SIZE) {
        return false;
    }
    struct id128 parsed;
    for (size_t i = 0; i < ID128_SIZE; i++) {
        int high = hex_value(hex[2 * i]);
        int low = hex_value(hex[2 * i + 1]);
        if (high < 0 || low < 0) {
            return false;
        }
        parsed.bytes[i] = (uint8_t)(high * 16 + low);
    }
    *id = parsed;
    return true;
}
