/* SPDX-License-Identifier: Apache-2.0 */
#include "lease/keeper.h"

#include "base/check.h"
#include "base/memory.h"
#include "lease/inquiry.h"
#include "lease/keeper_internal.h"
#include "lease/party.h"
#include "lease/queue.h"

static struct keeper *keeper_of(struct store_listener *listener)
{
    return CONTAINER_OF(listener, struct keeper, listener);
}

/* Applies `act` to every tenure. It must not call anybody back. */
static void for_each_tenure(struct keeper *keeper, void (*act)(struct tenure *, int64_t),
                            int64_t now_us)
{
    struct lock *lock = NULL;
    while ((lock = lock_table_next(&keeper->locks, lock)) != NULL) {
        struct tenure *tenure = NULL;
        LIST_FOREACH (tenure, &lock->tenures, link) {
            act(tenure, now_us);
        }
    }
}

static void on_store_up(struct store_listener *listener, int64_t now_us)
{
    for_each_tenure(keeper_of(listener), tenure_refresh, now_us);
}

static void on_subscribed(struct store_listener *listener, int64_t now_us)
{
    for_each_tenure(keeper_of(listener), tenure_ask_again, now_us);
    watch_on_subscribed(keeper_of(listener), now_us);
}

static bool has_leases(const struct store_listener *listener)
{
    return CONTAINER_OF(listener, const struct keeper, listener)->count > 0;
}

static void on_granted(struct store_listener *listener, const char *key, size_t key_length,
                       const struct id128 *id, int64_t now_us)
{
    struct lock *lock = lock_table_find(&keeper_of(listener)->locks, key, key_length);
    struct tenure *tenure = NULL;
    if (lock == NULL) {
        return;
    }
    LIST_FOREACH (tenure, &lock->tenures, link) {
        if (id128_equal(&tenure->id, id)) {
            tenure_ask_again(tenure, now_us);
            return;
        }
    }
    lock_ask_again(lock, now_us); /* a late command had put another tenure into our entry */
}

static void on_changed(struct store_listener *listener, const char *key, size_t key_length,
                       int64_t now_us)
{
    watch_on_changed(keeper_of(listener), key, key_length, now_us);
}

static void on_due(struct timer *timer, int64_t now_us)
{
    struct keeper *keeper = CONTAINER_OF(timer, struct keeper, due_timer);
    lock_settle_due(keeper, now_us);
    if (keeper->due.count > 0) {
        wheel_set(keeper->wheel, timer, KEEPER_AT_ONCE_US);
    }
}

struct keeper *keeper_create(const struct keeper_config *config, struct store *store,
                             struct wheel *wheel, struct metrics *metrics)
{
    struct keeper *keeper = memory_alloc(sizeof(*keeper));
    keeper->config = *config;
    keeper->pool = pool_create();
    keeper->store = store;
    keeper->wheel = wheel;
    keeper->metrics = metrics;
    keeper->listener.on_up = on_store_up;
    keeper->listener.has_leases = has_leases;
    keeper->listener.on_granted = on_granted;
    keeper->listener.on_subscribed = on_subscribed;
    keeper->listener.on_changed = on_changed;
    timer_init(&keeper->due_timer, on_due);
    LIST_INIT(&keeper->errands);
    store->listener = &keeper->listener;
    return keeper;
}

static void destroy_tenure(struct tenure *tenure)
{
    struct inquiry *inquiry = tenure->inquiry;
    struct lease *lease = tenure->lease;
    if (lease != NULL) {
        tenure_forget(tenure);
    } else {
        lease = inquiry->leaving;
        inquiry->leaving = NULL;
        tenure_destroy(tenure);
    }
    if (lease != NULL) {
        CHECK(lease->holder == NULL);
        lease->tenure = NULL;
        lease_destroy(lease);
    }
}

void keeper_destroy(struct keeper *keeper)
{
    struct lock *lock = NULL;
    wheel_clear(keeper->wheel, &keeper->due_timer);
    for (size_t i = 0; i < keeper->due.count; i++) {
        keeper->due.locks[i]->is_due = false;
        lock_discard_unused(keeper->due.locks[i]);
    }
    memory_free(keeper->due.locks);
    while ((lock = lock_table_next(&keeper->locks, NULL)) != NULL) {
        CHECK(lock->queue == NULL);
        destroy_tenure(LIST_FIRST(&lock->tenures));
    }
    while (!LIST_EMPTY(&keeper->errands)) {
        errand_destroy(LIST_FIRST(&keeper->errands));
    }
    CHECK(keeper->count == 0);
    pool_destroy(keeper->pool);
    memory_free(keeper);
}

static void check_ask(const struct lease_ask *ask)
{
    CHECK(ask->key_length >= 1 && ask->key_length <= LEASE_KEY_MAX);
    CHECK(ask->label_length <= LEASE_LABEL_MAX);
    CHECK(ask->value_length <= LEASE_VALUE_MAX);
    CHECK(ask->ttl_ms >= LEASE_TTL_MIN_MS && ask->ttl_ms <= LEASE_TTL_MAX_MS);
    CHECK(ask->limit <= LEASE_LIMIT_MAX);
    CHECK(ask->mode == STORE_SHARED || ask->limit == 0);
    CHECK(!ask->may_be_retried || ask->is_detached);
}

/* Whether a new waiter may join, and that without waiting for itself. */
static bool may_wait(struct keeper *keeper, const struct lease_ask *ask,
                     struct keeper_problem *problem)
{
    const struct lock *lock = lock_table_find(&keeper->locks, ask->key, ask->key_length);
    if (lock == NULL) {
        return true;
    }
    if (queue_count(lock->queue) >= keeper->config.waiters_max) {
        keeper->metrics->leases_refused++;
        problem->refusal = KEEPER_WAITERS_MAX;
        return false;
    }
    if (keeper->config.finds_deadlocks && ask->party != NULL &&
        party_would_deadlock(ask->party, lock, ask, problem->text, sizeof(problem->text))) {
        keeper->metrics->deadlocks_found++;
        problem->refusal = KEEPER_DEADLOCK;
        return false;
    }
    return true;
}

static bool admit_lease(struct keeper *keeper, struct keeper_problem *problem)
{
    problem->refusal = KEEPER_LEASES_MAX;
    problem->text[0] = '\0';
    return keeper_admit(keeper);
}

struct lease *keeper_acquire(struct keeper *keeper, const struct lease_ask *ask,
                             struct lease_holder *holder, struct keeper_problem *problem,
                             int64_t now_us)
{
    check_ask(ask);
    CHECK(ask->mode != STORE_ANY_MODE);
    CHECK(holder != NULL);
    if (ask->wait_until_us != 0 && !may_wait(keeper, ask, problem)) {
        return NULL;
    }
    return admit_lease(keeper, problem) ? lease_create(keeper, ask, holder, STORE_ACQUIRE, now_us)
                                        : NULL;
}

struct lease *keeper_resume(struct keeper *keeper, const struct lease_ask *ask,
                            struct lease_holder *holder, struct keeper_problem *problem,
                            int64_t now_us)
{
    check_ask(ask);
    CHECK(ask->token != NULL);
    CHECK(!ask->is_detached);
    CHECK(holder != NULL);
    return admit_lease(keeper, problem) ? lease_create(keeper, ask, holder, STORE_RESUME, now_us)
                                        : NULL;
}

struct lease *keeper_find(const struct keeper *keeper, const char *key, size_t key_length,
                          const struct id128 *token)
{
    struct lock *lock = lock_table_find(&keeper->locks, key, key_length);
    if (lock == NULL) {
        return NULL;
    }
    struct tenure *tenure = NULL;
    LIST_FOREACH (tenure, &lock->tenures, link) {
        struct lease *lease = tenure->lease;
        const bool is_held = lease != NULL && tenure_is_held(tenure);
        if (is_held && id128_equal(&lease->token, token)) {
            return lease;
        }
    }
    return NULL;
}

size_t keeper_count(const struct keeper *keeper)
{
    return keeper->count;
}

void keeper_visit(const struct keeper *keeper, keeper_visit_fn *visit, void *user)
{
    const struct lock *lock = NULL;
    while ((lock = lock_table_next(&keeper->locks, lock)) != NULL) {
        const struct tenure *tenure = NULL;
        const struct lease *lease = NULL;
        LIST_FOREACH (tenure, &lock->tenures, link) {
            if (tenure->lease != NULL && tenure_is_held(tenure)) {
                visit(user, tenure->lease);
            }
        }
        if (lock->queue != NULL) {
            TAILQ_FOREACH (lease, &lock->queue->waiters, terms->place->link) {
                visit(user, lease);
            }
        }
    }
}

void keeper_retain(struct keeper *keeper)
{
    keeper->count++;
    keeper->metrics->leases_now++;
}

bool keeper_admit(struct keeper *keeper)
{
    if (keeper->count >= keeper->config.leases_max) {
        keeper->metrics->leases_refused++;
        return false;
    }
    keeper_retain(keeper);
    return true;
}

void keeper_dismiss(struct keeper *keeper)
{
    CHECK(keeper->count > 0);
    keeper->count--;
    keeper->metrics->leases_now--;
}
