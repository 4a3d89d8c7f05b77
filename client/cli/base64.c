/* SPDX-License-Identifier: Apache-2.0 */
#include "base64.h"

#include <stdlib.h>
#include <string.h>

#include "memory.h"

/* The digits, and behind them the padding. */
static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=";

#define PADDING 64

char *base64_encode(const uint8_t *bytes, size_t length)
{
    char *text = memory_take((length + 2) / 3 * 4 + 1);
    char *to = text;
    for (size_t i = 0; i < length; i += 3) {
        const size_t rest = length - i;
        const uint32_t group = (uint32_t)bytes[i] << 16 |
                               (rest > 1 ? (uint32_t)bytes[i + 1] << 8 : 0) |
                               (rest > 2 ? (uint32_t)bytes[i + 2] : 0);
        *to++ = alphabet[group >> 18];
        *to++ = alphabet[group >> 12 & 63];
        *to++ = alphabet[rest > 1 ? group >> 6 & 63 : PADDING];
        *to++ = alphabet[rest > 2 ? group & 63 : PADDING];
    }
    return text;
}

/* -1 when it is no digit. */
static int digit_of(char c)
{
    if (c == '-' || c == '_') {
        return c == '-' ? 62 : 63;
    }
    const char *found = c == '\0' || c == '=' ? NULL : strchr(alphabet, c);
    return found == NULL ? -1 : (int)(found - alphabet);
}

/* The digits in front of the padding; false when that is wrong. */
static bool count_digits(const char *text, size_t *count)
{
    const size_t length = strlen(text);
    size_t padding = 0;
    while (padding < length && text[length - 1 - padding] == '=') {
        padding++;
    }
    *count = length - padding;
    return *count % 4 != 1 && (padding == 0 || (length % 4 == 0 && padding <= 2));
}

bool base64_decode(const char *text, uint8_t **bytes, size_t *length)
{
    size_t count = 0;
    if (!count_digits(text, &count)) {
        return false;
    }
    uint8_t *to = memory_take(count / 4 * 3 + 3);
    uint32_t bits = 0;
    *length = 0;
    for (size_t i = 0; i < count; i++) {
        const int digit = digit_of(text[i]);
        if (digit < 0) {
            free(to);
            return false;
        }
        bits = bits << 6 | (uint32_t)digit;
        if (i % 4 > 0) {
            to[(*length)++] = (uint8_t)(bits >> (6 - 2 * (i % 4)));
        }
    }
    *bytes = to;
    return true;
}
