/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/grpc_message.h"

enum grpc_message_read grpc_message_read(struct grpc_message *message, const uint8_t *bytes,
                                         size_t length, size_t max)
{
    *message = (struct grpc_message){.bytes = bytes};
    if (length > 0 && bytes[0] > 1) {
        return GRPC_NONSENSE;
    }
    if (length < GRPC_PREFIX_SIZE) {
        return GRPC_INCOMPLETE;
    }
    message->bytes = bytes + GRPC_PREFIX_SIZE;
    message->length =
        (size_t)bytes[1] << 24 | (size_t)bytes[2] << 16 | (size_t)bytes[3] << 8 | bytes[4];
    if (bytes[0] == 1) {
        return GRPC_COMPRESSED;
    }
    if (message->length > max) {
        return GRPC_TOO_LARGE;
    }
    return message->length > length - GRPC_PREFIX_SIZE ? GRPC_INCOMPLETE : GRPC_MESSAGE;
}

void grpc_prefix_encode(uint8_t prefix[GRPC_PREFIX_SIZE], uint32_t length)
{
    prefix[0] = 0;
    prefix[1] = (uint8_t)(length >> 24);
    prefix[2] = (uint8_t)(length >> 16);
    prefix[3] = (uint8_t)(length >> 8);
    prefix[4] = (uint8_t)length;
}
