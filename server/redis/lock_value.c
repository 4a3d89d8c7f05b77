/* SPDX-License-Identifier: Apache-2.0 */
#include "redis/lock_value.h"

#include <string.h>

#include "base/check.h"

#define TENURE_AT       1
#define FLAGS_AT        (TENURE_AT + ID128_SIZE)
#define TOKEN_AT        (FLAGS_AT + 1)
#define FENCE_AT        (TOKEN_AT + ID128_SIZE)
#define SINCE_AT        (FENCE_AT + 8)
#define LABEL_LENGTH_AT (SINCE_AT + 8)

#define FLAGS_ALL (LOCK_VALUE_CONTENDED | LOCK_VALUE_CLOSED)

static void put_u64(uint8_t *bytes, uint64_t number)
{
    for (int i = 7; i >= 0; i--) {
        bytes[i] = (uint8_t)number;
        number >>= 8;
    }
}

static uint64_t get_u64(const uint8_t *bytes)
{
    uint64_t number = 0;
    for (int i = 0; i < 8; i++) {
        number = number << 8 | bytes[i];
    }
    return number;
}

size_t lock_value_size(const struct lock_value *value)
{
    CHECK(value->label_length <= LEASE_LABEL_MAX);
    CHECK(value->value_length <= LEASE_VALUE_MAX);
    return LOCK_VALUE_HEAD_SIZE + value->label_length + value->value_length;
}

size_t lock_value_encode(const struct lock_value *value, uint8_t *bytes)
{
    size_t size = lock_value_size(value);
    bytes[0] = LOCK_VALUE_VERSION;
    memcpy(bytes + TENURE_AT, value->tenure.bytes, ID128_SIZE);
    bytes[FLAGS_AT] = value->flags;
    memcpy(bytes + TOKEN_AT, value->token.bytes, ID128_SIZE);
    put_u64(bytes + FENCE_AT, value->fence);
    put_u64(bytes + SINCE_AT, (uint64_t)value->since_ms);
    bytes[LABEL_LENGTH_AT] = (uint8_t)value->label_length;
    uint8_t *rest = bytes + LOCK_VALUE_HEAD_SIZE;
    if (value->label_length > 0) {
        memcpy(rest, value->label, value->label_length);
    }
    if (value->value_length > 0) {
        memcpy(rest + value->label_length, value->value, value->value_length);
    }
    return size;
}

bool lock_value_decode(struct lock_value *value, const void *bytes, size_t size)
{
    const uint8_t *record = bytes;
    if (size < LOCK_VALUE_HEAD_SIZE || size > LOCK_VALUE_SIZE_MAX ||
        record[0] != LOCK_VALUE_VERSION || record[FLAGS_AT] > FLAGS_ALL) {
        return false;
    }
    size_t label_length = record[LABEL_LENGTH_AT];
    size_t rest = size - LOCK_VALUE_HEAD_SIZE;
    if (label_length > LEASE_LABEL_MAX || label_length > rest) {
        return false;
    }
    memcpy(value->tenure.bytes, record + TENURE_AT, ID128_SIZE);
    value->flags = record[FLAGS_AT];
    memcpy(value->token.bytes, record + TOKEN_AT, ID128_SIZE);
    value->fence = get_u64(record + FENCE_AT);
    value->since_ms = (int64_t)get_u64(record + SINCE_AT);
    value->label = (const char *)record + LOCK_VALUE_HEAD_SIZE;
    value->label_length = label_length;
    value->value = value->label + label_length;
    value->value_length = rest - label_length;
    return true;
}
