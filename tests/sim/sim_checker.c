/* SPDX-License-Identifier: Apache-2.0 */
#include "sim_checker.h"

#include <inttypes.h>

#include "base/clock.h"
#include "sim_checker_internal.h"
#include "sim_world.h"

/* What a renewal may take when all is well. */
#define RENEWAL_TIME_US (60 * WORLD_MS)

bool checker_is_excused(const struct world *world, size_t lock)
{
    return world->now_us < world->checker.excused_until_us[lock];
}

bool checker_is_undisturbed(const struct client *client)
{
    const int64_t calm_us = client->world->calm_since_us;
    return calm_us != CLOCK_NEVER && client->granted_us > calm_us + CHECKER_CALM_US;
}

static void check_renewed(const struct client *client, int64_t now_us)
{
    const int64_t ttl_ms = client->ttl_ms;
    const int64_t left_us = client->deadline_us - now_us;
    const int64_t least_us = lease_validity_us(ttl_ms) - lease_renewal_us(ttl_ms) - RENEWAL_TIME_US;
    const bool is_new = client->world->now_us < client->granted_us + RENEWAL_TIME_US;
    if (checker_is_undisturbed(client) && !is_new && client->max_hold_ms == 0 &&
        left_us < least_us) {
        world_violation(client->world, "client %u: lock %zu was not renewed on time",
                        client->number, client->lock);
    }
}

static void check_lease(struct client *client)
{
    struct world *world = client->world;
    const int64_t now_us = sidecar_now_us(client->sidecar);
    const struct lease *lease = client_lease(client);
    if (lease == NULL) {
        return; /* it was a violation to take it away */
    }
    const int64_t deadline_us = lease_deadline_us(lease);
    if (client->deadline_us != 0 && deadline_us > client->deadline_us &&
        now_us >= client->deadline_us) {
        world_violation(world, "client %u: the lease on lock %zu came back to life", client->number,
                        client->lock);
    }
    client->deadline_us = deadline_us;
    if (lease_fence(lease) != client->fence) {
        world_violation(world, "client %u: lock %zu has another fence now", client->number,
                        client->lock);
    }
    check_renewed(client, now_us);
}

/* Two who believe to hold one lock: either both share it, or the model has failed. */
static void check_pair(const struct client *first, const struct client *second)
{
    struct world *world = first->world;
    const bool is_shared = first->mode == STORE_SHARED && second->mode == STORE_SHARED;
    if (!is_shared && !checker_is_excused(world, first->lock)) {
        world_violation(world,
                        "lock %zu is held twice: client %u with fence %" PRIu64
                        " and client %u with fence %" PRIu64,
                        first->lock, first->number, first->fence, second->number, second->fence);
    }
}

/* How many of those who hold the lock now were granted it before this one. */
static uint32_t count_before(const struct world *world, const struct client *client)
{
    uint32_t count = 0;
    const struct client *other;
    LIST_FOREACH (other, &world->holding, holding) {
        const bool is_before =
            other != client && other->lock == client->lock && other->fence < client->fence;
        count += is_before && client_is_valid(other) ? 1 : 0;
    }
    return count;
}

static void check_limit(struct world *world, const struct client *client)
{
    if (client->limit == 0 || checker_is_excused(world, client->lock)) {
        return;
    }
    const uint32_t before = count_before(world, client);
    if (before >= client->limit) {
        world_violation(world, "client %u shares lock %zu, limit %u, with %u before it",
                        client->number, client->lock, client->limit, before);
    }
}

static void check_holders(struct world *world)
{
    const struct client *valid[REDIS_LOCKS] = {NULL};
    struct client *client;
    LIST_FOREACH (client, &world->holding, holding) {
        if (client->state == CLIENT_HOLDING && client_is_bound(client)) {
            check_lease(client);
        }
        if (!client_is_valid(client)) {
            continue;
        }
        if (valid[client->lock] != NULL) {
            check_pair(client, valid[client->lock]);
            check_limit(world, client);
            check_limit(world, valid[client->lock]);
        }
        if (valid[client->lock] == NULL || client->mode == STORE_EXCLUSIVE) {
            valid[client->lock] = client;
        }
    }
}

/* A hold that its sidecar has forgotten about was left behind. */
static void check_left_behind(struct world *world, size_t at)
{
    const struct redis_lock *lock = sim_redis_lock(&world->redis, at);
    for (size_t i = 0; lock->kind == REDIS_HELD && i < lock->hold_count; i++) {
        const struct redis_hold *hold = &lock->holds[i];
        const bool is_detached = id128_equal(&hold->tenure, &hold->token);
        const struct sidecar *sidecar = world_find_sidecar(world, hold->server);
        if (hold->is_restored || hold->is_closed || hold->is_passed || is_detached ||
            world->redis.has_jumped || !sidecar->is_alive) {
            continue;
        }
        if (keeper_count(sidecar->keeper) == sidecar_watches(sidecar)) {
            world_violation(world, "sidecar %u has forgotten that it holds lock %zu", hold->server,
                            at);
        }
    }
}

void checker_step(struct world *world)
{
    check_holders(world);
    for (size_t lock = 0; lock < REDIS_LOCKS; lock++) {
        check_left_behind(world, lock);
    }
    checker_step_bundles(world);
    for (size_t i = 0; i < world->sidecar_count; i++) {
        const struct sidecar *sidecar = world->sidecars[i];
        if (sidecar->metrics.leases_now != keeper_count(sidecar->keeper)) {
            world_violation(world, "sidecar %u miscounts its leases", sidecar->number);
        }
    }
}

void checker_foreign(struct world *world, size_t lock)
{
    const struct client *client;
    LIST_FOREACH (client, &world->holding, holding) {
        /* A foreign program knows nothing of recovery windows. */
        if (client->lock == lock && client_is_valid(client) && !checker_is_excused(world, lock) &&
            !world->forgets) {
            world_violation(world, "another program took lock %zu from client %u", lock,
                            client->number);
        }
    }
}

void checker_excuse(struct world *world, size_t lock)
{
    int64_t *until_us = &world->checker.excused_until_us[lock];
    const struct redis_lock *found = sim_redis_lock(&world->redis, lock);
    for (size_t i = 0; found->kind == REDIS_HELD && i < found->hold_count; i++) {
        const int64_t ttl_ms = found->holds[i].ttl_ms;
        const int64_t end_us = world->now_us + (ttl_ms + ttl_ms / 100) * WORLD_MS;
        *until_us = *until_us < end_us ? end_us : *until_us;
    }
}

void checker_forgotten(struct world *world)
{
    for (size_t lock = 0; lock < REDIS_LOCKS; lock++) {
        if (checker_is_excused(world, lock)) {
            world->checker.excused_until_us[lock] = CLOCK_NEVER;
        }
    }
}

void checker_displaced(struct world *world, size_t lock, uint64_t fence)
{
    world->checker.displaced[lock] = fence;
}

static void check_memory(struct world *world, const struct sidecar *sidecar)
{
    const size_t count = keeper_count(sidecar->keeper);
    if (count != sidecar_watches(sidecar)) {
        world_violation(world, "sidecar %u still settles %zu leases", sidecar->number, count);
    }
}

/* Nobody waits any more, so nobody stands in a queue, but for what a replica brought back. */
static void check_queue(struct world *world, size_t at)
{
    const struct redis_lock *lock = sim_redis_lock(&world->redis, at);
    for (size_t i = 0; i < lock->entry_count; i++) {
        const struct redis_entry *entry = &lock->entries[i];
        if (!entry->is_restored && !world->redis.has_jumped &&
            world_find_sidecar(world, entry->server)->is_alive) {
            world_violation(world, "sidecar %u has left its entry in the queue of lock %zu",
                            entry->server, at);
        }
    }
}

void checker_settled(struct world *world)
{
    const struct client *client;
    LIST_FOREACH (client, &world->clients, link) {
        world_violation(world, "client %u never heard the end, in state %d", client->number,
                        (int)client->state);
    }
    if (!LIST_EMPTY(&world->connections)) {
        world_violation(world, "%s is still there", LIST_FIRST(&world->connections)->name);
    }
    for (size_t i = 0; i < world->sidecar_count; i++) {
        check_memory(world, world->sidecars[i]);
        for (size_t lock = 0; lock < REDIS_LOCKS; lock++) {
            watch_check(&world->sidecars[i]->watches[lock]);
        }
    }
    for (size_t lock = 0; lock < REDIS_LOCKS; lock++) {
        check_queue(world, lock);
    }
}
