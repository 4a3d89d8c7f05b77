/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/http2_filter.h"

#include <string.h>

#define PREFACE_SIZE    ((size_t)24)
#define RST_STREAM_SIZE 4
#define LAST_ID_SIZE    ((size_t)4)

enum { HEADERS = 1, RST_STREAM = 3, GOAWAY = 7 };

static const uint8_t zeros[LAST_ID_SIZE];

static size_t smaller(size_t a, size_t b)
{
    return a < b ? a : b;
}

static uint32_t stream_id_of(const uint8_t *header)
{
    return ((uint32_t)header[5] << 24 | (uint32_t)header[6] << 16 | (uint32_t)header[7] << 8 |
            header[8]) &
           0x7fffffff;
}

static void begin_frame(struct http2_filter *filter)
{
    const uint8_t *header = filter->header;
    uint32_t id = stream_id_of(header);
    filter->payload_left = (size_t)header[0] << 16 | (size_t)header[1] << 8 | header[2];
    filter->is_dropping = header[3] == RST_STREAM && filter->payload_left == RST_STREAM_SIZE &&
                          id % 2 == 1 && id > filter->newest_id;
    filter->dropped += filter->is_dropping;
    filter->zeros_left = header[3] == GOAWAY ? smaller(LAST_ID_SIZE, filter->payload_left) : 0;
    if (header[3] == HEADERS && id > filter->newest_id) {
        filter->newest_id = id;
    }
}

/* Collects a frame's header, and passes it on once it is whole. */
static bool take_header(struct http2_filter *filter, const uint8_t *bytes, size_t length,
                        http2_filter_fn *pass, void *user)
{
    memcpy(filter->header + filter->header_length, bytes, length);
    filter->header_length += length;
    if (filter->header_length < HTTP2_FRAME_HEADER_SIZE) {
        return true;
    }
    filter->header_length = 0;
    begin_frame(filter);
    return filter->is_dropping || pass(user, filter->header, HTTP2_FRAME_HEADER_SIZE);
}

static bool pass_payload(struct http2_filter *filter, const uint8_t *bytes, size_t *size,
                         http2_filter_fn *pass, void *user)
{
    if (filter->zeros_left > 0) {
        *size = smaller(*size, filter->zeros_left);
        filter->zeros_left -= *size;
        bytes = zeros;
    }
    filter->payload_left -= *size;
    return filter->is_dropping || pass(user, bytes, *size);
}

/* Passes on what is of one kind: greeting, header or payload. How much that was is set. */
static bool pass_one(struct http2_filter *filter, const uint8_t *bytes, size_t length, size_t *size,
                     http2_filter_fn *pass, void *user)
{
    if (filter->preface < PREFACE_SIZE) {
        *size = smaller(length, PREFACE_SIZE - filter->preface);
        filter->preface += *size;
        return pass(user, bytes, *size);
    }
    if (filter->payload_left > 0) {
        *size = smaller(length, filter->payload_left);
        return pass_payload(filter, bytes, size, pass, user);
    }
    *size = smaller(length, HTTP2_FRAME_HEADER_SIZE - filter->header_length);
    return take_header(filter, bytes, *size, pass, user);
}

bool http2_filter_pass(struct http2_filter *filter, const uint8_t *bytes, size_t length,
                       http2_filter_fn *pass, void *user)
{
    size_t used = 0;
    bool is_wanted = true;
    while (is_wanted && used < length) {
        size_t size = 0;
        is_wanted = pass_one(filter, bytes + used, length - used, &size, pass, user);
        used += size;
    }
    return is_wanted;
}
