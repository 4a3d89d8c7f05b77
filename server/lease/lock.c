/* SPDX-License-Identifier: Apache-2.0 */
#include "lease/lock.h"

#include <string.h>

#include "base/check.h"
#include "base/memory.h"
#include "lease/keeper_internal.h"
#include "lease/queue.h"

/* Readers that ask at once besides the first in the queue. */
#define FOLLOWERS_MAX 64

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
        LIST_INIT(&lock->tenures);
        memcpy(lock->key, key, key_length);
        HASH_ADD_KEYPTR(hh, table->first, lock->key, key_length, lock);
    }
    return lock;
}

size_t lock_key_length(const struct lock *lock)
{
    return lock->hh.keylen;
}

static bool is_unused(const struct lock *lock)
{
    return LIST_EMPTY(&lock->tenures) && lock->leases == 0;
}

void lock_post(struct keeper *keeper, struct lock *lock)
{
    if (lock->is_due) {
        return;
    }
    lock->is_due = true;
    TAILQ_INSERT_TAIL(&keeper->due, lock, due);
    wheel_set(keeper->wheel, &keeper->due_timer, KEEPER_AT_ONCE_US);
}

/* Readers behind one that asks need not wait for its answer. Those that asked out of turn and were
 * refused wait until somebody before them is served. */
static void ask_for_followers(struct lock *lock, struct lease *first, bool again, int64_t now_us)
{
    size_t left = FOLLOWERS_MAX;
    struct lease *lease = TAILQ_NEXT(first, waiting);
    for (; lease != NULL && lease_is_reader(lease) && left > 0;
         lease = TAILQ_NEXT(lease, waiting)) {
        left--;
        if (lease->tenure == NULL && (again || !lease->was_refused)) {
            tenure_create(lock, lease, STORE_ACQUIRE, false, now_us);
        }
    }
}

void lock_ask(struct lock *lock, int64_t now_us)
{
    struct lease *first = queue_first(lock->queue);
    if (lock->owned != NULL || first == NULL) {
        return;
    }
    const bool is_new = first->tenure == NULL;
    if (is_new) {
        tenure_create(lock, first, STORE_ACQUIRE, true, now_us);
    }
    if (lease_is_reader(first) && first->tenure->state == TENURE_ASKING) {
        ask_for_followers(lock, first, is_new, now_us);
    }
}

void lock_ask_again(struct lock *lock, int64_t now_us)
{
    struct tenure *tenure = NULL;
    LIST_FOREACH (tenure, &lock->tenures, link) {
        tenure_ask_again(tenure, now_us);
    }
}

void lock_discard_unused(struct keeper *keeper, struct lock *lock)
{
    if (is_unused(lock) && !lock->is_due) {
        lock_destroy(keeper, lock);
    }
}

void lock_settle(struct keeper *keeper, struct lock *lock, int64_t now_us)
{
    if (lock->is_due) {
        TAILQ_REMOVE(&keeper->due, lock, due);
    }
    lock->is_due = true; /* so that nobody frees it meanwhile */
    TAILQ_INSERT_TAIL(&keeper->due, lock, due);
    if (lock->owned != NULL && lock->owned->lease == NULL) {
        tenure_hand_on(lock->owned, now_us);
    }
    lock_ask(lock, now_us);
    TAILQ_REMOVE(&keeper->due, lock, due);
    lock->is_due = false;
    if (lock->owned != NULL && lock->owned->lease == NULL && lock->owned->state == TENURE_HELD) {
        lock_post(keeper, lock); /* given back while it was handed on */
    }
    lock_discard_unused(keeper, lock);
}

void lock_destroy(struct keeper *keeper, struct lock *lock)
{
    CHECK(is_unused(lock));
    if (lock->is_due) {
        TAILQ_REMOVE(&keeper->due, lock, due);
    }
    HASH_DELETE(hh, keeper->locks.first, lock);
    memory_free(lock);
}
