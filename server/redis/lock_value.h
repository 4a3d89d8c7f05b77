/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The record of a grant in Redis: version (1 byte), tenure (16), flags (1), token (16), fence (8,
 * big-endian), since_ms (8, big-endian), label length (1), label, value (the rest). Its first 17
 * bytes, version and tenure, are the owner that scripts compare.
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
#define LOCK_VALUE_OWNER_SIZE ((size_t)18) /* version, tenure, flags: what RELEASE is given */
#define LOCK_VALUE_GRANT_SIZE ((size_t)34) /* and the token: what ACQUIRE is given first */
#define LOCK_VALUE_STAMP_SIZE ((size_t)50) /* and fence and since_ms, which a grant fills in */
#define LOCK_VALUE_HEAD_SIZE  ((size_t)51) /* all but label and value */
#define LOCK_VALUE_SIZE_MAX   (LOCK_VALUE_HEAD_SIZE + LEASE_LABEL_MAX + LEASE_VALUE_MAX)

#define LOCK_VALUE_CONTENDED ((uint8_t)1) /* flag: somebody may wait for the lock */
#define LOCK_VALUE_CLOSED    ((uint8_t)2) /* flag: nobody's, a lock delay is running */

/* Fences and times stay below this, so that every language can hold them exactly. */
#define LOCK_VALUE_NUMBER_LIMIT ((uint64_t)1 << 53)

struct lock_value {
    struct id128 tenure;
    struct id128 token;
    uint64_t fence;
    int64_t since_ms;
    uint8_t flags;
    const char *label; /* not NUL-terminated; may be NULL when label_length is 0 */
    size_t label_length;
    const char *value; /* likewise */
    size_t value_length;
};

/* The size of the record; label_length is at most LEASE_LABEL_MAX, value_length LEASE_VALUE_MAX. */
size_t lock_value_size(const struct lock_value *value);

/* Writes the record, which is lock_value_size() long, and returns its size. */
size_t lock_value_encode(const struct lock_value *value, uint8_t *bytes);

/* Reads a record; `value->label` and `value->value` point into `bytes`. False when it is no record
 * of this version, which makes it another program's. */
NODISCARD bool lock_value_decode(struct lock_value *value, const void *bytes, size_t size);

#endif
