/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A lock as one server sees it: a name, and the leases on it that this server holds, tries for or
 * settles. It exists while it has a lease. For the lease core's own files.
 */
#ifndef HOLDFAST_LEASE_LOCK_H
#define HOLDFAST_LEASE_LOCK_H

#include <stddef.h>
#include <sys/queue.h>

#include "base/table.h"

struct lease;

LIST_HEAD(lease_list, lease);

struct lock {
    struct lease_list leases;
    UT_hash_handle hh; /* in the table of names; also knows the key's length */
    char key[];
};

/* The names, in order of arrival. An empty table is NULL. */
struct lock_table {
    struct lock *first;
};

/* The lock of that name, or NULL. */
struct lock *lock_find(const struct lock_table *table, const char *key, size_t key_length);

/* The lock of that name, made if there is none yet. */
struct lock *lock_obtain(struct lock_table *table, const char *key, size_t key_length);

/* Frees the lock if no lease is left on it. */
void lock_discard_unused(struct lock_table *table, struct lock *lock);

size_t lock_key_length(const struct lock *lock);

#endif
