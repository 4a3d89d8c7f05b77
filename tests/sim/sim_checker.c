/* SPDX-License-Identifier: Apache-2.0 */
#include "sim_checker.h"

#include <inttypes.h>
#include <string.h>

#include "base/clock.h"
#include "sim_world.h"

/* How long what faults have stirred up may last once they have stopped. */
#define CALM_US (6 * WORLD_S)

/* What a renewal may take when all is well. */
#define RENEWAL_TIME_US (60 * WORLD_MS)

static bool is_excused(const struct world *world, size_t lock)
{
    return world->now_us < world->checker.excused_until_us[lock];
}

/* Granted when no fault was at work any more. */
static bool is_undisturbed(const struct client *client)
{
    const int64_t calm_us = client->world->calm_since_us;
    return calm_us != CLOCK_NEVER && client->granted_us > calm_us + CALM_US;
}

static void check_lease(struct client *client)
{
    struct world *world = client->world;
    const struct lease *lease = client->lease;
    const int64_t now_us = sidecar_now_us(client->sidecar);
    const int64_t deadline_us = lease_deadline_us(lease);
    if (client->deadline_us != 0 && deadline_us > client->deadline_us &&
        now_us >= client->deadline_us) {
        world_violation(world, "client %u: the lease on lock %zu came back to life", client->number,
                        client->lock);
    }
    client->deadline_us = deadline_us;
    if (lease->operation.op.fence != client->fence) {
        world_violation(world, "client %u: lock %zu would be renewed with another fence",
                        client->number, client->lock);
    }
    if (!timer_is_set(&lease->timer)) {
        world_violation(world, "client %u holds lock %zu without a timer", client->number,
                        client->lock);
    }
    const int64_t age_us = now_us - lease->confirmed_us;
    if (is_undisturbed(client) && age_us > lease_renewal_us(client->ttl_ms) + RENEWAL_TIME_US) {
        world_violation(world, "client %u: lock %zu was not renewed on time", client->number,
                        client->lock);
    }
}

static void check_overlap(const struct client *first, const struct client *second)
{
    struct world *world = first->world;
    if (!is_excused(world, first->lock)) {
        world_violation(world,
                        "lock %zu is held twice: client %u with fence %" PRIu64
                        " and client %u with fence %" PRIu64,
                        first->lock, first->number, first->fence, second->number, second->fence);
    }
}

static const struct client *find_by_tenure(const struct client_list *list,
                                           const struct id128 *tenure)
{
    const struct client *client;
    LIST_FOREACH (client, list, link) {
        if (memcmp(&client->tenure, tenure, sizeof(*tenure)) == 0) {
            return client;
        }
    }
    return NULL;
}

/* Whether the sidecar must see to it that nothing stays held for this client, which is gone. */
static bool must_be_cleaned_up(const struct client *client)
{
    if (client->state != CLIENT_DONE || !client->sidecar->is_alive) {
        return false;
    }
    const bool is_abandoned = !client->may_be_retried && client->fence == 0;
    return client->kind == CLIENT_LEASE || (client->kind == CLIENT_DETACHED && is_abandoned);
}

/* A lock still held for somebody about whom his sidecar has forgotten was left behind. */
static void check_left_behind(struct world *world, size_t at)
{
    const struct redis_lock *lock = sim_redis_lock(&world->redis, at);
    if (lock->owner != REDIS_OURS || lock->is_restored || world->redis.has_jumped) {
        return;
    }
    struct id128 *tenure = &world->checker.owners[at].tenure;
    const struct client **owner = &world->checker.owners[at].client;
    if (memcmp(tenure, &lock->tenure, sizeof(*tenure)) != 0) {
        *tenure = lock->tenure;
        *owner = find_by_tenure(&world->clients, tenure);
        *owner = *owner != NULL ? *owner : find_by_tenure(&world->gone, tenure);
    }
    if (*owner != NULL && must_be_cleaned_up(*owner) &&
        keeper_count((*owner)->sidecar->keeper) == 0) {
        world_violation(world, "client %u is gone but lock %zu is still held for it",
                        (*owner)->number, at);
    }
}

void checker_step(struct world *world)
{
    const struct client *valid[REDIS_LOCKS] = {NULL};
    struct client *client;
    LIST_FOREACH (client, &world->clients, link) {
        if (client->state == CLIENT_HOLDING && client->kind == CLIENT_LEASE) {
            check_lease(client);
        }
        if (!client_is_valid(client)) {
            continue;
        }
        if (valid[client->lock] != NULL) {
            check_overlap(client, valid[client->lock]);
        }
        valid[client->lock] = client;
    }
    for (size_t lock = 0; lock < REDIS_LOCKS; lock++) {
        check_left_behind(world, lock);
    }
    for (size_t i = 0; i < world->sidecar_count; i++) {
        const struct sidecar *sidecar = world->sidecars[i];
        if (sidecar->metrics.leases_now != keeper_count(sidecar->keeper)) {
            world_violation(world, "sidecar %u miscounts its leases", sidecar->number);
        }
    }
}

/* Whoever held the lock before must have heard that it was lost. */
static void check_told(struct world *world, const struct client *granted)
{
    const struct client *other;
    LIST_FOREACH (other, &world->clients, link) {
        const bool is_holder = other != granted && other->lock == granted->lock &&
                               other->kind == CLIENT_LEASE && other->state == CLIENT_HOLDING;
        if (!is_holder) {
            continue;
        }
        if (!sidecar_is_stopped(other->sidecar) && !other->sidecar->reads_first) {
            world_violation(world, "client %u was granted lock %zu before client %u lost it",
                            granted->number, granted->lock, other->number);
        }
    }
}

static bool is_still_held(struct world *world, const struct client *client)
{
    const struct redis_lock *lock = sim_redis_lock(&world->redis, client->lock);
    return lock->owner == REDIS_OURS && !lock->is_restored && !world->redis.has_jumped &&
           memcmp(&lock->tenure, &client->tenure, sizeof(client->tenure)) == 0;
}

void checker_granted(struct world *world, const struct client *client)
{
    struct sim_checker *checker = &world->checker;
    checker->grants++;
    if (is_excused(world, client->lock)) {
        if (checker->last_fence[client->lock] < client->fence) {
            checker->last_fence[client->lock] = client->fence;
        }
        return;
    }
    if (client->fence <= checker->last_fence[client->lock]) {
        world_violation(world, "lock %zu: fence %" PRIu64 " after %" PRIu64, client->lock,
                        client->fence, checker->last_fence[client->lock]);
    }
    checker->last_fence[client->lock] = client->fence;
    check_told(world, client);
}

void checker_at_risk(struct world *world, const struct client *client)
{
    if (is_undisturbed(client)) {
        world_violation(world, "client %u: lock %zu is at risk, though all is well", client->number,
                        client->lock);
    }
}

void checker_lost(struct world *world, const struct client *client, enum lease_loss loss)
{
    const int64_t now_us = sidecar_now_us(client->sidecar);
    world->checker.losses++;
    if (is_undisturbed(client)) {
        world_violation(world, "client %u: lock %zu is lost, though all is well", client->number,
                        client->lock);
    }
    if (loss == LEASE_LOSS_EXPIRED && now_us < lease_deadline_us(client->lease)) {
        world_violation(world, "client %u: lock %zu expired too early", client->number,
                        client->lock);
    }
    if (loss == LEASE_LOSS_TAKEN && is_still_held(world, client)) {
        world_violation(world, "client %u: lock %zu was not taken", client->number, client->lock);
    }
}

void checker_released(struct world *world, const struct client *client)
{
    /* A command of its own that lost its answer may have taken it again; that is being undone. */
    const bool has_strays = sidecar_now_us(client->sidecar) < client->lease->operation.strays_us;
    if (is_still_held(world, client) && !has_strays) {
        world_violation(world, "client %u: lock %zu is not free", client->number, client->lock);
    }
}

void checker_foreign(struct world *world, size_t lock)
{
    const struct client *client;
    LIST_FOREACH (client, &world->clients, link) {
        /* A foreign program knows nothing of recovery windows. */
        if (client->lock == lock && client_is_valid(client) && !is_excused(world, lock) &&
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
    const int64_t end_us = world->now_us + (found->ttl_ms + found->ttl_ms / 100) * WORLD_MS;
    if (found->owner == REDIS_OURS && *until_us < end_us) {
        *until_us = end_us;
    }
}

void checker_settled(struct world *world)
{
    const struct client *client;
    LIST_FOREACH (client, &world->clients, link) {
        world_violation(world, "client %u never heard the end, in state %d", client->number,
                        (int)client->state);
    }
    for (size_t i = 0; i < world->sidecar_count; i++) {
        const size_t count = keeper_count(world->sidecars[i]->keeper);
        if (count != 0) {
            world_violation(world, "sidecar %u still settles %zu leases",
                            world->sidecars[i]->number, count);
        }
    }
}
