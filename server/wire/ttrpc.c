/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/ttrpc.h"

static uint32_t decode_u32(const uint8_t bytes[4])
{
    return (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 | bytes[3];
}

static void encode_u32(uint32_t value, uint8_t bytes[4])
{
    bytes[0] = (uint8_t)(value >> 24);
    bytes[1] = (uint8_t)(value >> 16);
    bytes[2] = (uint8_t)(value >> 8);
    bytes[3] = (uint8_t)value;
}

void ttrpc_header_decode(struct ttrpc_header *header, const uint8_t bytes[TTRPC_HEADER_SIZE])
{
    *header = (struct ttrpc_header){
        .length = decode_u32(bytes),
        .stream_id = decode_u32(bytes + 4),
        .type = bytes[8],
        .flags = bytes[9],
    };
}

void ttrpc_header_encode(const struct ttrpc_header *header, uint8_t bytes[TTRPC_HEADER_SIZE])
{
    encode_u32(header->length, bytes);
    encode_u32(header->stream_id, bytes + 4);
    bytes[8] = header->type;
    bytes[9] = header->flags;
}
