/* SPDX-License-Identifier: Apache-2.0 */
/* What clients are told, and when; and that they are told at all. */
#include <inttypes.h>

#include "base/clock.h"
#include "sim_checker_internal.h"
#include "sim_world.h"

/* How much later than wished a waiter may hear that its time is over: what was asked of the store
 * for it has to be settled first. */
#define LATE_US      (8 * WORLD_S)
#define LATE_CALM_US (2 * WORLD_S)

/* For how long a lock may stay free while somebody waits for it, when all is well. */
#define IDLE_US (2 * WORLD_S)

static void check_fence(struct world *world, const struct client *client)
{
    struct sim_checker *checker = &world->checker;
    const size_t lock = client->lock;
    const bool is_exclusive = client->mode == STORE_EXCLUSIVE;
    const uint64_t above = is_exclusive ? checker->last_fence[lock] : checker->last_exclusive[lock];
    if (client->fence <= above && !checker_is_excused(world, lock)) {
        world_violation(world, "lock %zu: fence %" PRIu64 " after %" PRIu64, lock, client->fence,
                        above);
    }
    if (checker->last_fence[lock] < client->fence) {
        checker->last_fence[lock] = client->fence;
    }
    if (is_exclusive && checker->last_exclusive[lock] < client->fence) {
        checker->last_exclusive[lock] = client->fence;
    }
}

/* Whoever held the lock before must have heard that it was lost. */
static void check_told(struct world *world, const struct client *granted)
{
    const struct client *other;
    LIST_FOREACH (other, &world->holding, holding) {
        const bool is_holder = other != granted && other->lock == granted->lock &&
                               client_is_bound(other) && other->state == CLIENT_HOLDING;
        if (is_holder && other->fence == granted->fence) {
            world_violation(world, "clients %u and %u have the same fence", granted->number,
                            other->number);
        }
        const bool is_shared =
            is_holder && other->mode == STORE_SHARED && granted->mode == STORE_SHARED;
        if (is_holder && !is_shared && !sidecar_is_stopped(other->sidecar) &&
            !other->sidecar->reads_first && !checker_is_excused(world, granted->lock)) {
            world_violation(world, "client %u was granted lock %zu before client %u lost it",
                            granted->number, granted->lock, other->number);
        }
    }
}

/* Whoever waits at this sidecar for the same lock asked later. Readers may come in any order. */
static void check_order(struct world *world, const struct client *granted)
{
    const struct client *other;
    LIST_FOREACH (other, &world->clients, link) {
        const bool is_before = other != granted && other->sidecar == granted->sidecar &&
                               other->lock == granted->lock && client_is_waiting(other) &&
                               other->asked < granted->asked;
        const bool is_shared = other->mode == STORE_SHARED && granted->mode == STORE_SHARED;
        if (is_before && !is_shared) {
            world_violation(world, "client %u was granted lock %zu before client %u, who waits",
                            granted->number, granted->lock, other->number);
        }
    }
}

void checker_granted(struct world *world, const struct client *client)
{
    world->checker.grants++;
    check_fence(world, client);
    check_told(world, client);
    if (client->wait_us != 0) {
        check_order(world, client);
    }
}

void checker_queued(struct world *world, const struct client *client,
                    const struct lease_report *report)
{
    size_t before = 0;
    const struct client *other;
    LIST_FOREACH (other, &world->clients, link) {
        before += other->sidecar == client->sidecar && other->lock == client->lock &&
                          other->state == CLIENT_ASKING && other->asked < client->asked
                      ? 1
                      : 0;
    }
    if (report->position == 0 || report->position > before + 1) {
        world_violation(world, "client %u is told position %zu, with %zu before it", client->number,
                        report->position, before);
    }
    if (report->result == NULL) {
        world_violation(world, "client %u is not told who holds lock %zu", client->number,
                        client->lock);
    }
}

void checker_refused(struct world *world, const struct client *client,
                     const struct store_result *result, int64_t now_us)
{
    if (client->is_probe) {
        world_violation(world, "lock %zu cannot be taken when all is quiet: code %d", client->lock,
                        (int)result->code);
    }
    const bool is_settled = result->code == STORE_BUSY || result->code == STORE_WRONG_TYPE ||
                            result->code == STORE_UNAVAILABLE ||
                            (result->code == STORE_NOT_HELD && client->state == CLIENT_RETURNING);
    const bool is_patient = client->state == CLIENT_ASKING && client->wait_us != 0;
    const bool is_early = now_us < client->wait_until_us && result->code != STORE_WRONG_TYPE;
    if (!is_settled || (is_patient && is_early)) {
        world_violation(world, "client %u was refused with code %d", client->number,
                        (int)result->code);
    }
}

void checker_at_risk(struct world *world, const struct client *client)
{
    if (checker_is_undisturbed(client)) {
        world_violation(world, "client %u: lock %zu is at risk, though all is well", client->number,
                        client->lock);
    }
}

bool checker_is_still_held(struct world *world, const struct client *client)
{
    const struct redis_hold *hold =
        sim_redis_find_token(&world->redis, client->lock, &client->token);
    return hold != NULL && !hold->is_restored && !world->redis.has_jumped &&
           hold->server == client->sidecar->number;
}

void checker_lost(struct world *world, const struct client *client, enum lease_loss loss)
{
    const int64_t now_us = sidecar_now_us(client->sidecar);
    const int64_t max_us = client->max_hold_ms * WORLD_MS;
    world->checker.losses++;
    if (loss == LEASE_LOSS_MAX_HOLD) {
        if (max_us == 0 || now_us < client->granted_local_us + max_us) {
            world_violation(world, "client %u: lock %zu was held too shortly", client->number,
                            client->lock);
        }
        return;
    }
    if (checker_is_undisturbed(client)) {
        world_violation(world, "client %u: lock %zu is lost, though all is well", client->number,
                        client->lock);
    }
    if (loss == LEASE_LOSS_EXPIRED && now_us < client->deadline_us) {
        world_violation(world, "client %u: lock %zu expired too early", client->number,
                        client->lock);
    }
    if (loss == LEASE_LOSS_TAKEN && checker_is_still_held(world, client)) {
        world_violation(world, "client %u: lock %zu was not taken", client->number, client->lock);
    }
}

static void check_patience(struct world *world, const struct client *client)
{
    const bool is_calm = world->is_calm && world->now_us > world->calm_since_us + CHECKER_CALM_US;
    const int64_t late_us =
        sidecar_now_us(client->sidecar) -
        (client->wait_until_us != CLOCK_NEVER ? client->wait_until_us : INT64_MAX);
    if (client->wait_until_us != CLOCK_NEVER && late_us > (is_calm ? LATE_CALM_US : LATE_US)) {
        world_violation(world, "client %u waits for lock %zu %lld us too long", client->number,
                        client->lock, (long long)late_us);
    }
}

/* Since when this lock has been free, and nobody was granted it; CLOCK_NEVER: it is not. */
static int64_t idle_since_us(struct world *world, size_t lock)
{
    struct sim_checker *checker = &world->checker;
    const bool is_free = sim_redis_lock(&world->redis, lock)->kind == REDIS_FREE;
    const bool is_same = checker->patrolled[lock].fence == checker->last_fence[lock];
    if (!is_free || !is_same || !checker->patrolled[lock].is_idle) {
        checker->patrolled[lock].idle_since_us = world->now_us;
    }
    checker->patrolled[lock].is_idle = is_free;
    checker->patrolled[lock].fence = checker->last_fence[lock];
    return is_free ? checker->patrolled[lock].idle_since_us : CLOCK_NEVER;
}

void checker_patrol(struct world *world)
{
    int64_t since_us[REDIS_LOCKS];
    checker_patrol_circles(world);
    for (size_t lock = 0; lock < REDIS_LOCKS; lock++) {
        since_us[lock] = idle_since_us(world, lock);
    }
    const bool is_calm = world->is_calm && world->now_us > world->calm_since_us + CHECKER_CALM_US;
    const struct client *client;
    LIST_FOREACH (client, &world->clients, link) {
        if (client->state != CLIENT_ASKING || client_lease(client) == NULL ||
            client->wait_us == 0) {
            continue;
        }
        check_patience(world, client);
        const int64_t idle_us = since_us[client->lock];
        const bool is_excused = checker_is_excused(world, client->lock);
        if (is_calm && !is_excused && idle_us < world->now_us - IDLE_US &&
            client->asked_us < world->now_us - IDLE_US) {
            world_violation(world, "client %u waits for lock %zu, which is free", client->number,
                            client->lock);
        }
    }
}
