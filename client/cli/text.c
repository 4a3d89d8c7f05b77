/* SPDX-License-Identifier: Apache-2.0 */
#include "text.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

/* Ranges of the first byte of longer characters, and of the second one: RFC 3629, section 4. */
static const struct {
    unsigned char first_min, first_max;
    unsigned char second_min, second_max;
    unsigned char length;
} sequences[] = {
    {0xc2, 0xdf, 0x80, 0xbf, 2}, {0xe0, 0xe0, 0xa0, 0xbf, 3}, {0xe1, 0xec, 0x80, 0xbf, 3},
    {0xed, 0xed, 0x80, 0x9f, 3}, {0xee, 0xef, 0x80, 0xbf, 3}, {0xf0, 0xf0, 0x90, 0xbf, 4},
    {0xf1, 0xf3, 0x80, 0xbf, 4}, {0xf4, 0xf4, 0x80, 0x8f, 4},
};

static bool continues(const unsigned char *at, size_t length)
{
    for (size_t i = 2; i < length; i++) {
        if (at[i] < 0x80 || at[i] > 0xbf) {
            return false;
        }
    }
    return true;
}

/* Bytes of the character at `at`, which ends with NUL; 0 when it is none. */
static size_t character_length(const unsigned char *at)
{
    if (at[0] < 0x80) {
        return 1;
    }
    for (size_t i = 0; i < sizeof(sequences) / sizeof(sequences[0]); i++) {
        if (at[0] >= sequences[i].first_min && at[0] <= sequences[i].first_max) {
            const bool is_valid = at[1] >= sequences[i].second_min &&
                                  at[1] <= sequences[i].second_max &&
                                  continues(at, sequences[i].length);
            return is_valid ? sequences[i].length : 0;
        }
    }
    return 0;
}

/* C0, DEL, and C1, which is C2 80 to C2 9F in UTF-8. */
static bool is_control(const unsigned char *at)
{
    return at[0] < 0x20 || at[0] == 0x7f || (at[0] == 0xc2 && at[1] <= 0x9f);
}

void text_clean(char *to, size_t size, const char *from)
{
    const unsigned char *at = (const unsigned char *)from;
    size_t used = 0;
    while (*at != '\0') {
        const size_t length = character_length(at);
        const bool is_bad = length == 0 || is_control(at);
        const size_t written = is_bad ? 1 : length;
        if (used + written >= size) {
            break;
        }
        memcpy(to + used, is_bad ? (const void *)"?" : (const void *)at, written);
        used += written;
        at += length > 0 ? length : 1;
    }
    to[used] = '\0';
}

void text_key(char to[TEXT_KEY_SIZE], const char *key)
{
    static const char dots[] = "...";
    char shown[TEXT_KEY_SIZE - sizeof(dots) + 1];
    if (strlen(key) < TEXT_KEY_SIZE) {
        text_clean(to, TEXT_KEY_SIZE, key);
        return;
    }
    text_clean(shown, sizeof(shown), key);
    snprintf(to, TEXT_KEY_SIZE, "%s%s", shown, dots);
}
