/* SPDX-License-Identifier: Apache-2.0 */
#include "lease/lock.h"

#include <string.h>

#include "base/memory.h"
#include "lease/lease.h"

struct lock *lock_find(const struct lock_table *table, const char *key, size_t key_length)
{
    struct lock *lock = NULL;
    HASH_FIND(hh, table->first, key, key_length, lock);
    return lock;
}

struct lock *lock_obtain(struct lock_table *table, const char *key, size_t key_length)
{
    struct lock *lock = lock_find(table, key, key_length);
    if (lock == NULL) {
        lock = memory_alloc(sizeof(*lock) + key_length);
        LIST_INIT(&lock->leases);
        memcpy(lock->key, key, key_length);
        HASH_ADD_KEYPTR(hh, table->first, lock->key, key_length, lock);
    }
    return lock;
}

void lock_discard_unused(struct lock_table *table, struct lock *lock)
{
    if (LIST_EMPTY(&lock->leases)) {
        HASH_DELETE(hh, table->first, lock);
        memory_free(lock);
    }
}

size_t lock_key_length(const struct lock *lock)
{
    return lock->hh.keylen;
}
