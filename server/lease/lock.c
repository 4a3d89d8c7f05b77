/* SPDX-License-Identifier: Apache-2.0 */
#include "lease/lock.h"

#include <string.h>

#include "base/check.h"
#include "base/memory.h"
#include "lease/inquiry.h"
#include "lease/keeper_internal.h"
#include "lease/queue.h"

/* Readers that ask at once besides the first in the queue. */
#define FOLLOWERS_MAX 64

/* Room for locks that are due, at first. */
#define DUE_MIN ((size_t)16)

static size_t size_with_key(size_t key_length)
{
    return offsetof(struct lock, key) + key_length;
}

struct lock *lock_obtain(struct keeper *keeper, const char *key, size_t key_length)
{
    struct lock *lock = lock_table_find(&keeper->locks, key, key_length);
    if (lock == NULL) {
        lock = pool_alloc(keeper->pool, size_with_key(key_length));
        lock->keeper = keeper;
        LIST_INIT(&lock->tenures);
        lock->key_length = (uint16_t)key_length;
        memcpy(lock->key, key, key_length);
        lock_table_insert(&keeper->locks, lock);
    }
    return lock;
}

struct tenure *lock_owned(const struct lock *lock)
{
    struct tenure *first = LIST_FIRST(&lock->tenures);
    return first != NULL && first->is_owned ? first : NULL;
}

void lock_own(struct lock *lock, struct tenure *tenure)
{
    struct tenure *before = lock_owned(lock);
    if (before != NULL) {
        before->is_owned = false; /* one that was resumed elsewhere: its renewal will tell */
    }
    tenure->is_owned = true;
    LIST_REMOVE(tenure, link);
    LIST_INSERT_HEAD(&lock->tenures, tenure, link);
}

void lock_enlist(struct lock *lock, struct tenure *tenure)
{
    struct tenure *owned = lock_owned(lock);
    if (owned == NULL) {
        LIST_INSERT_HEAD(&lock->tenures, tenure, link);
    } else {
        LIST_INSERT_AFTER(owned, tenure, link);
    }
}

void lock_restore_entry(struct lock *lock, const struct tenure *tenure, int64_t now_us)
{
    struct tenure *other = NULL;
    LIST_FOREACH (other, &lock->tenures, link) {
        if (other != tenure && inquiry_wants_queue(other)) {
            tenure_ask_again(other, now_us);
        }
    }
}

static bool is_unused(const struct lock *lock)
{
    return LIST_EMPTY(&lock->tenures) && lock->leases == 0;
}

static void append(struct lock_list *list, struct lock *lock)
{
    if (list->count == list->room) {
        list->room = list->room == 0 ? DUE_MIN : list->room * 2;
        list->locks = memory_resize(list->locks, list->room * sizeof(struct lock *));
    }
    list->locks[list->count] = lock;
    list->count++;
}

void lock_post(struct lock *lock)
{
    struct keeper *keeper = lock->keeper;
    if (lock->is_due || lock->is_settling) {
        return;
    }
    lock->is_due = true;
    append(&keeper->due, lock);
    wheel_set(keeper->wheel, &keeper->due_timer, KEEPER_AT_ONCE_US);
}

/* Readers behind one that asks need not wait for its answer. Those that asked out of turn and were
 * refused wait until somebody before them is served. */
static void ask_for_followers(struct lease *first, bool again, int64_t now_us)
{
    size_t left = FOLLOWERS_MAX;
    struct lease *lease = TAILQ_NEXT(first, terms->place->link);
    for (; lease != NULL && lease_is_reader(lease) && left > 0;
         lease = TAILQ_NEXT(lease, terms->place->link)) {
        left--;
        if (lease->tenure == NULL && (again || !lease->terms->place->was_refused)) {
            tenure_create(lease, STORE_ACQUIRE, lease->terms->place->deadline_us, now_us);
        }
    }
}

void lock_ask(struct lock *lock, int64_t now_us)
{
    struct lease *first = queue_first(lock->queue);
    if (lock_owned(lock) != NULL || first == NULL) {
        return;
    }
    const bool is_new = first->tenure == NULL;
    if (is_new) {
        tenure_create_queued(first, now_us);
    }
    if (lease_is_reader(first) && first->tenure->state == TENURE_ASKING) {
        ask_for_followers(first, is_new, now_us);
    }
}

void lock_ask_again(struct lock *lock, int64_t now_us)
{
    struct tenure *tenure = NULL;
    LIST_FOREACH (tenure, &lock->tenures, link) {
        tenure_ask_again(tenure, now_us);
    }
}

void lock_discard_unused(struct lock *lock)
{
    if (is_unused(lock) && !lock->is_due && !lock->is_settling) {
        lock_table_remove(&lock->keeper->locks, lock);
        pool_free(lock->keeper->pool, lock, size_with_key(lock->key_length));
    }
}

static bool is_between_leases(const struct lock *lock)
{
    const struct tenure *owned = lock_owned(lock);
    return owned != NULL && owned->lease == NULL;
}

void lock_settle(struct lock *lock, int64_t now_us)
{
    lock->is_settling = true; /* so that nobody frees it meanwhile */
    if (is_between_leases(lock)) {
        tenure_hand_on(lock_owned(lock), now_us);
    }
    lock_ask(lock, now_us);
    lock->is_settling = false;
    if (is_between_leases(lock) && lock_owned(lock)->state == TENURE_HELD) {
        lock_post(lock); /* given back while it was handed on */
    }
    lock_discard_unused(lock);
}

void lock_settle_due(struct keeper *keeper, int64_t now_us)
{
    struct lock_list *due = &keeper->due;
    const size_t count = due->count;
    for (size_t i = 0; i < count; i++) {
        due->locks[i]->is_due = false;
        lock_settle(due->locks[i], now_us);
    }
    due->count -= count;
    memmove(due->locks, due->locks + count, due->count * sizeof(struct lock *));
}
