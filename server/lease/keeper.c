/* SPDX-License-Identifier: Apache-2.0 */
#include "lease/keeper.h"

#include "base/check.h"
#include "base/memory.h"
#include "lease/keeper_internal.h"

static void on_store_up(struct store_listener *listener, int64_t now_us)
{
    struct keeper *keeper = CONTAINER_OF(listener, struct keeper, listener);
    for (struct lock *lock = keeper->locks.first; lock != NULL; lock = lock->hh.next) {
        struct lease *lease;
        LIST_FOREACH (lease, &lock->leases, link) {
            lease_renew_early(lease, now_us);
        }
    }
}

static bool has_leases(const struct store_listener *listener)
{
    return CONTAINER_OF(listener, const struct keeper, listener)->count > 0;
}

struct keeper *keeper_create(const struct keeper_config *config, struct store *store,
                             struct wheel *wheel, struct metrics *metrics)
{
    struct keeper *keeper = memory_alloc(sizeof(*keeper));
    keeper->config = *config;
    keeper->store = store;
    keeper->wheel = wheel;
    keeper->metrics = metrics;
    keeper->listener.on_up = on_store_up;
    keeper->listener.has_leases = has_leases;
    LIST_INIT(&keeper->errands);
    store->listener = &keeper->listener;
    return keeper;
}

void keeper_destroy(struct keeper *keeper)
{
    while (keeper->locks.first != NULL) {
        struct lease *lease = LIST_FIRST(&keeper->locks.first->leases);
        CHECK(lease->holder == NULL);
        lease_destroy(lease);
    }
    while (!LIST_EMPTY(&keeper->errands)) {
        errand_destroy(LIST_FIRST(&keeper->errands));
    }
    CHECK(keeper->count == 0);
    memory_free(keeper);
}

struct lease *keeper_acquire(struct keeper *keeper, const struct lease_ask *ask,
                             struct lease_holder *holder, int64_t now_us)
{
    CHECK(ask->key_length >= 1 && ask->key_length <= LEASE_KEY_MAX);
    CHECK(ask->label_length <= LEASE_LABEL_MAX);
    CHECK(ask->ttl_ms >= LEASE_TTL_MIN_MS && ask->ttl_ms <= LEASE_TTL_MAX_MS);
    CHECK(holder != NULL);
    return keeper_admit(keeper) ? lease_create(keeper, ask, holder, now_us) : NULL;
}

struct lease *keeper_find(const struct keeper *keeper, const char *key, size_t key_length,
                          const struct id128 *token)
{
    struct lock *lock = lock_find(&keeper->locks, key, key_length);
    if (lock == NULL) {
        return NULL;
    }
    struct lease *lease;
    LIST_FOREACH (lease, &lock->leases, link) {
        const bool is_held = lease->state == LEASE_HELD || lease->state == LEASE_RENEWING;
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

bool keeper_admit(struct keeper *keeper)
{
    if (keeper->count >= keeper->config.leases_max) {
        keeper->metrics->leases_refused++;
        return false;
    }
    keeper->count++;
    keeper->metrics->leases_now++;
    return true;
}

void keeper_dismiss(struct keeper *keeper)
{
    CHECK(keeper->count > 0);
    keeper->count--;
    keeper->metrics->leases_now--;
}
