/* SPDX-License-Identifier: Apache-2.0 */
#include "lease/queue.h"

#include <string.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/memory.h"
#include "lease/keeper_internal.h"
#include "lease/lock.h"
#include "lease/party.h"

/* Positions change with every grant; nobody reads as fast. */
#define NEWS_INTERVAL_US (500 * CLOCK_US_PER_MS)

static void tell_position(struct lease *lease, size_t position, const struct store_result *result,
                          int64_t now_us)
{
    const struct lease_report report = {
        .event = LEASE_EVENT_QUEUED, .position = position, .result = result};
    lease->terms->place->told_position = (uint32_t)position;
    lease_tell(lease, &report, now_us);
}

/* Those who have just come stand at the end; only they are told when it is not yet time for all.
 * Points the cursor at the first to be told and returns its position. */
static size_t aim_cursor(struct queue *queue, bool tells_all)
{
    size_t position = queue->count + 1;
    struct lease *lease = NULL;
    queue->cursor = NULL;
    if (tells_all) {
        queue->cursor = TAILQ_FIRST(&queue->waiters);
        return 1;
    }
    TAILQ_FOREACH_REVERSE(lease, &queue->waiters, waiter_list, terms->place->link)
    {
        if (lease->terms->place->told_position != 0) {
            break;
        }
        queue->cursor = lease;
        position--;
    }
    return position;
}

/* Whoever is told may leave, and take others along. */
static void tell_from_cursor(struct queue *queue, size_t position,
                             const struct store_result *result, int64_t now_us)
{
    struct lease *lease = NULL;
    while ((lease = queue->cursor) != NULL) {
        queue->cursor = TAILQ_NEXT(lease, terms->place->link);
        if (lease->terms->place->told_position != position) {
            tell_position(lease, position, result, now_us);
        }
        position++;
    }
}

static void on_news(struct timer *timer, int64_t now_us)
{
    struct queue *queue = CONTAINER_OF(timer, struct queue, news);
    struct store_result result = {.code = STORE_QUEUED};
    char label[LEASE_LABEL_MAX];
    if (!queue_find_holder(queue->lock, &result.holder, now_us)) {
        return; /* the first may well get it at once; queue_note_holder comes back here */
    }
    if (result.holder.label_length > 0) {
        memcpy(label, result.holder.label, result.holder.label_length);
    }
    result.holder.label = label;
    const bool tells_all = now_us >= queue->told_us + NEWS_INTERVAL_US;
    if (tells_all) {
        queue->told_us = now_us;
    }
    lock_post(queue->lock); /* so that nobody frees it meanwhile */
    queue->is_telling = true;
    tell_from_cursor(queue, aim_cursor(queue, tells_all), &result, now_us);
    queue->is_telling = false;
    if (queue->count == 0) {
        queue_destroy(queue);
    }
}

static struct queue *create(struct lock *lock)
{
    struct queue *queue = memory_alloc(sizeof(*queue));
    queue->lock = lock;
    TAILQ_INIT(&queue->waiters);
    timer_init(&queue->news, on_news);
    lock->queue = queue;
    return queue;
}

void queue_push(struct lock *lock, struct lease *lease)
{
    struct queue *queue = lock->queue != NULL ? lock->queue : create(lock);
    CHECK(lease_place(lease) == NULL);
    struct place *place = pool_alloc(lock->keeper->pool, sizeof(*place));
    place->lease = lease;
    lease->terms->place = place;
    TAILQ_INSERT_TAIL(&queue->waiters, lease, terms->place->link);
    queue->count++;
    lock->keeper->metrics->leases_waiting_now++;
    place->party = lease_party(lease);
    if (place->party != NULL) {
        LIST_INSERT_HEAD(&place->party->waits, lease, terms->place->of_party);
    }
    wheel_set(lock->keeper->wheel, &queue->news, KEEPER_AT_ONCE_US);
}

void queue_remove(struct lock *lock, struct lease *lease)
{
    struct queue *queue = lock->queue;
    struct place *place = lease_place(lease);
    CHECK(place != NULL);
    if (queue->cursor == lease) {
        queue->cursor = TAILQ_NEXT(lease, terms->place->link);
    }
    TAILQ_REMOVE(&queue->waiters, lease, terms->place->link);
    queue->count--;
    lock->keeper->metrics->leases_waiting_now--;
    if (place->party != NULL) {
        LIST_REMOVE(lease, terms->place->of_party);
    }
    wheel_clear(lock->keeper->wheel, &place->timer);
    pool_free(lock->keeper->pool, place, sizeof(*place));
    lease->terms->place = NULL;
    lease->terms = terms_trim(lease->terms);
    if (queue->count == 0) {
        if (!queue->is_telling) {
            queue_destroy(queue);
        }
    } else if (!timer_is_set(&queue->news)) {
        const int64_t next_us = queue->told_us + NEWS_INTERVAL_US;
        wheel_set(lock->keeper->wheel, &queue->news, next_us);
    }
}

size_t queue_count(const struct queue *queue)
{
    return queue == NULL ? 0 : queue->count;
}

struct lease *queue_first(const struct queue *queue)
{
    return queue == NULL ? NULL : TAILQ_FIRST(&queue->waiters);
}

void queue_note_holder(struct queue *queue, const struct store_holder *holder, int64_t now_us)
{
    queue->is_blocked = true;
    queue->holder = *holder;
    queue->holder.value_length = 0;
    queue->holder.label = queue->label;
    if (queue->holder.label_length > sizeof(queue->label)) {
        queue->holder.label_length = sizeof(queue->label);
    }
    if (queue->holder.label_length > 0) {
        memcpy(queue->label, holder->label, queue->holder.label_length);
    }
    queue->seen_us = now_us;
    if (!timer_is_set(&queue->news)) {
        wheel_set(queue->lock->keeper->wheel, &queue->news, KEEPER_AT_ONCE_US);
    }
}

/* The lease that has it here. */
static void describe_own(const struct lease *lease, struct store_holder *holder, int64_t now_us)
{
    const int64_t left_us = lease_deadline_us(lease) - now_us;
    *holder = (struct store_holder){
        .is_held = true,
        .mode = lease->mode,
        .holders = 1,
        .remaining_us = left_us > 0 ? left_us : 0,
        .since_ms = lease->since_ms,
        .fence = lease->fence,
    };
    holder->label = lease_label(lease, &holder->label_length);
}

bool queue_find_holder(const struct lock *lock, struct store_holder *holder, int64_t now_us)
{
    const struct queue *queue = lock->queue;
    const struct tenure *owned = lock_owned(lock);
    if (owned != NULL && owned->lease != NULL) {
        describe_own(owned->lease, holder, now_us);
        return true;
    }
    if (queue == NULL || !queue->is_blocked) {
        return false;
    }
    *holder = queue->holder;
    if (holder->remaining_us >= 0) {
        const int64_t passed_us = now_us - queue->seen_us;
        holder->remaining_us =
            holder->remaining_us > passed_us ? holder->remaining_us - passed_us : 0;
    }
    return true;
}

void queue_destroy(struct queue *queue)
{
    CHECK(queue->count == 0);
    wheel_clear(queue->lock->keeper->wheel, &queue->news);
    queue->lock->queue = NULL;
    memory_free(queue);
}
