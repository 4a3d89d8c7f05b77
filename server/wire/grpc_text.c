/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/grpc_text.h"

size_t grpc_text_encode(const char *text, size_t length, char *encoded)
{
    static const char digits[] = "0123456789ABCDEF";
    size_t used = 0;
    for (size_t i = 0; i < length; i++) {
        unsigned char byte = (unsigned char)text[i];
        if (byte >= ' ' && byte <= '~' && byte != '%') {
            encoded[used++] = (char)byte;
        } else {
            encoded[used++] = '%';
            encoded[used++] = digits[byte >> 4];
            encoded[used++] = digits[byte & 0x0f];
        }
    }
    return used;
}

/* -1: no digit. */
static int hex_digit(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    if (c >= 'A' && c <= 'F') {
        return c - 'A' + 10;
    }
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

void grpc_text_decode(const char *encoded, size_t length, char *text, size_t size)
{
    size_t used = 0;
    for (size_t i = 0; i < length && used + 1 < size; i++) {
        int high = -1;
        int low = -1;
        if (encoded[i] == '%' && length - i > 2) {
            high = hex_digit(encoded[i + 1]);
            low = hex_digit(encoded[i + 2]);
        }
        text[used] = encoded[i];
        if (high >= 0 && low >= 0) {
            text[used] = (char)(high << 4 | low);
            i += 2;
        }
        used++;
    }
    text[used] = '\0';
}
