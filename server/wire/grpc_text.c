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
