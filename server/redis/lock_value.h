/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The value of a lock in Redis, a compact record: version (1 byte), tenure (16), token (16), fence
 * (8, big-endian), since_ms (8, big-endian), label (the rest). Its first 17 bytes, version and
 * tenure, are the owner that scripts compare.
 */
#ifndef HOLDFAST_REDIS_LOCK_VALUE_H
#define HOLDFAST_REDIS_LOCK_VALUE_H

#include "base/compiler.h"
#include "base/id128.h"
#include "lease/lease.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LOCK_VALUE_VERSION    ((uint8_t)1)
#define LOCK_VALUE_OWNER_SIZE ((size_t)17) /* version, tenure */
#define LOCK_VALUE_GRANT_SIZE ((size_t)33) /* version, tenure, token: what ACQUIRE is given */
#define LOCK_VALUE_HEAD_SIZE  ((size_t)49) /* all but the label */
#define LOCK_VALUE_SIZE_MAX   (LOCK_VALUE_HEAD_SIZE + LEASE_LABEL_MAX)

/* Fences and times stay below this, so that every language can hold them exactly. */
#define LOCK_VALUE_NUMBER_LIMIT ((uint64_t)1 << 53)

struct lock_value {
    struct id128 tenure;
    struct id128 token;
    uint64_t fence;
    int64_t since_ms;
    const char *label; /* not NUL-terminated; may be NULL when label_length is 0 */
    size_t label_length;
};

/* Writes the record and returns its size. label_length is at most LEASE_LABEL_MAX. */
size_t lock_value_encode(const struct lock_value *value, uint8_t bytes[LOCK_VALUE_SIZE_MAX]);

/* Reads a record; `value->label` points into `bytes`. False when it is no record of this version,
 * which makes it another program's. */
NODISCARD bool lock_value_decode(struct lock_value *value, const void *bytes, size_t size);

#endif
