/* SPDX-License-Identifier: Apache-2.0 */
#include "lease.h"

#include <string.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/memory.h"
#include "hold.h"
#include "latch.h"

/* The application lets go of its lease, in the library's thread. */
struct farewell {
    struct task task;
    struct holdfast_lease *lease;
    struct latch latch;
    bool is_awaited;
};

static void part(struct holdfast_lease *lease)
{
    if (lease->hold != NULL) {
        hold_abandon(lease->hold);
    }
    lease_let_go(lease);
}

static void run_farewell(struct task *task)
{
    struct farewell *farewell = CONTAINER_OF(task, struct farewell, task);
    part(farewell->lease);
    if (farewell->is_awaited) {
        latch_open(&farewell->latch);
    } else {
        memory_free(farewell);
    }
}

/* Waits, so that no callback of this lease runs any more. */
static void part_and_wait(struct holdfast_lease *lease)
{
    struct farewell farewell = {.task = {.run = run_farewell}, .lease = lease, .is_awaited = true};
    latch_init(&farewell.latch);
    if (mailbox_post(lease->mailbox, &farewell.task)) {
        latch_wait(&farewell.latch);
    } else {
        lease_let_go(lease);
    }
    latch_release(&farewell.latch);
}

static void part_later(struct holdfast_lease *lease)
{
    struct farewell *farewell = memory_alloc(sizeof(*farewell));
    farewell->task.run = run_farewell;
    farewell->lease = lease;
    if (!mailbox_post(lease->mailbox, &farewell->task)) {
        memory_free(farewell);
        lease_let_go(lease);
    }
}

static void take_lock(struct lease_lock *lock, const char *key, uint64_t fence)
{
    lock->key = memory_copy_string(key);
    lock->fence = fence;
}

static void take_locks(struct holdfast_lease *lease, const Holdfast__V1__Lease *message,
                       bool has_several)
{
    lease->lock_count = has_several ? message->n_locks : 1;
    lease->locks = memory_alloc(lease->lock_count * sizeof(*lease->locks));
    if (!has_several) {
        take_lock(&lease->locks[0], message->key, message->fence);
        return;
    }
    for (size_t i = 0; i < message->n_locks; i++) {
        take_lock(&lease->locks[i], message->locks[i]->key, message->locks[i]->fence);
    }
}

struct holdfast_lease *lease_create(const Holdfast__V1__Lease *message, const char *key,
                                    int64_t sent_us, struct mailbox *mailbox)
{
    struct id128 token;
    if (!id128_from_bytes(&token, message->token.data, message->token.len) ||
        (key != NULL ? strcmp(message->key, key) != 0 : message->n_locks == 0) ||
        message->ttl_ms == 0) {
        return NULL;
    }
    struct holdfast_lease *lease = memory_alloc(sizeof(*lease));
    atomic_init(&lease->references, 1);
    atomic_init(&lease->ttl_ms, message->ttl_ms);
    lease->token = token;
    take_locks(lease, message, key == NULL);
    lease->mailbox = mailbox;
    if (mailbox != NULL) {
        mailbox_hold(mailbox);
    }
    lease_confirm(lease, sent_us, message->valid_for_ms);
    return lease;
}

void lease_hold(struct holdfast_lease *lease)
{
    (void)atomic_fetch_add(&lease->references, 1);
}

void lease_let_go(struct holdfast_lease *lease)
{
    if (atomic_fetch_sub(&lease->references, 1) != 1) {
        return;
    }
    if (lease->mailbox != NULL) {
        mailbox_let_go(lease->mailbox);
    }
    for (size_t i = 0; i < lease->lock_count; i++) {
        memory_free(lease->locks[i].key);
    }
    memory_free(lease->locks);
    memory_free(lease);
}

void lease_confirm(struct holdfast_lease *lease, int64_t sent_us, uint32_t valid_for_ms)
{
    atomic_store(&lease->deadline_us, sent_us + (int64_t)valid_for_ms * CLOCK_US_PER_MS);
}

void lease_limit(struct holdfast_lease *lease, int64_t until_us)
{
    if (until_us < atomic_load(&lease->deadline_us)) {
        atomic_store(&lease->deadline_us, until_us);
    }
}

void lease_end(struct holdfast_lease *lease)
{
    atomic_store(&lease->deadline_us, 0);
}

int64_t lease_left_us(const struct holdfast_lease *lease, int64_t now_us)
{
    return atomic_load(&lease->deadline_us) - now_us;
}

const char *holdfast_lease_key(const struct holdfast_lease *lease)
{
    return lease->locks[0].key;
}

uint64_t holdfast_lease_fence(const struct holdfast_lease *lease)
{
    return lease->locks[0].fence;
}

size_t holdfast_lease_key_count(const struct holdfast_lease *lease)
{
    return lease->lock_count;
}

const char *holdfast_lease_key_at(const struct holdfast_lease *lease, size_t index)
{
    CHECK(index < lease->lock_count);
    return lease->locks[index].key;
}

uint64_t holdfast_lease_fence_of(const struct holdfast_lease *lease, const char *key)
{
    for (size_t i = 0; i < lease->lock_count; i++) {
        if (strcmp(lease->locks[i].key, key) == 0) {
            return lease->locks[i].fence;
        }
    }
    return 0;
}

const unsigned char *holdfast_lease_token(const struct holdfast_lease *lease)
{
    return lease->token.bytes;
}

uint32_t holdfast_lease_ttl_ms(const struct holdfast_lease *lease)
{
    return atomic_load(&lease->ttl_ms);
}

int64_t holdfast_lease_valid_for_ms(const struct holdfast_lease *lease)
{
    int64_t left_us = lease_left_us(lease, clock_now_us());
    return left_us > 0 ? left_us / CLOCK_US_PER_MS : 0;
}

void holdfast_lease_free(struct holdfast_lease *lease)
{
    if (lease == NULL) {
        return;
    }
    if (lease->mailbox == NULL || mailbox_is_here(lease->mailbox)) {
        part(lease);
    } else if (lease->has_events) {
        part_and_wait(lease);
    } else {
        part_later(lease);
    }
}
