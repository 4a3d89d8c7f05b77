/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>

#include "base/check.h"
#include "base/clock.h"
#include "sim_client_internal.h"
#include "sim_world.h"

static bool is_told_in_order(const struct client *client, enum lease_event event)
{
    switch (event) {
    case LEASE_EVENT_GRANTED:
    case LEASE_EVENT_REFUSED:
        return client->state == CLIENT_ASKING;
    case LEASE_EVENT_AT_RISK:
        return client->state == CLIENT_HOLDING && !client->is_at_risk;
    case LEASE_EVENT_RENEWED:
        return client->state == CLIENT_HOLDING && client->is_at_risk;
    case LEASE_EVENT_LOST:
        return client->state == CLIENT_HOLDING || client->state == CLIENT_RELEASING;
    case LEASE_EVENT_RELEASED:
        return client->state == CLIENT_RELEASING;
    }
    return false;
}

static void drop(struct client *client)
{
    world_trace(client->world, "client %u: drops lock %zu", client->number, client->lock);
    lease_revoke(client->lease, sidecar_now_us(client->sidecar));
    client_finish(client);
}

/* The connection may also drop while the release is under way. */
static void on_drop(struct world *world, void *user, uint64_t number)
{
    (void)world;
    struct client *client = user;
    if (client->state == CLIENT_DONE || !sidecar_can_run(client->sidecar, on_drop, user, number)) {
        return;
    }
    sidecar_begin_turn(client->sidecar);
    if (client->state != CLIENT_DONE) {
        drop(client);
    }
    sidecar_end_turn(client->sidecar);
}

static void give_up(struct client *client)
{
    struct world *world = client->world;
    if (!client->is_probe && sim_random_chance(&world->random, 400)) {
        drop(client);
        return;
    }
    world_trace(world, "client %u: releases lock %zu", client->number, client->lock);
    client->state = CLIENT_RELEASING;
    lease_release(client->lease, sidecar_now_us(client->sidecar));
    if (!client->is_probe && sim_random_chance(&world->random, 150)) {
        world_after(world, sim_random_between(&world->random, 0, 5 * WORLD_MS), on_drop, client, 0);
    }
}

static void on_hold_end(struct world *world, void *user, uint64_t number)
{
    (void)world;
    struct client *client = user;
    if (client->state != CLIENT_HOLDING ||
        !sidecar_can_run(client->sidecar, on_hold_end, user, number)) {
        return;
    }
    sidecar_begin_turn(client->sidecar);
    if (client->state == CLIENT_HOLDING) {
        give_up(client);
    }
    sidecar_end_turn(client->sidecar);
}

static void on_granted(struct client *client, int64_t now_us)
{
    struct world *world = client->world;
    struct sim_random *random = &world->random;
    client->state = CLIENT_HOLDING;
    client->fence = client->lease->fence;
    client->granted_us = world->now_us;
    if (!lease_is_valid(client->lease, now_us)) {
        world_violation(world, "client %u was granted a lease that is over", client->number);
    }
    checker_granted(world, client);
    if (sim_random_chance(random, 100)) {
        give_up(client); /* from inside the callback */
        return;
    }
    const bool is_long = !client->is_probe && sim_random_chance(random, 150);
    const int64_t hold_us = sim_random_between(random, 0, is_long ? 6 * WORLD_S : 100 * WORLD_MS);
    world_after(world, hold_us, on_hold_end, client, 0);
}

static void on_event(struct lease_holder *holder, struct lease *lease,
                     const struct lease_report *report, int64_t now_us)
{
    struct client *client = CONTAINER_OF(holder, struct client, holder);
    struct world *world = client->world;
    world_trace(world, "client %u: lock %zu event %d fence %" PRIu64, client->number, client->lock,
                (int)report->event, lease->fence);
    if (lease != client->lease || !is_told_in_order(client, report->event)) {
        world_violation(world, "client %u was told event %d in state %d", client->number,
                        (int)report->event, (int)client->state);
        return;
    }
    switch (report->event) {
    case LEASE_EVENT_GRANTED:
        on_granted(client, now_us);
        break;
    case LEASE_EVENT_AT_RISK:
        client->is_at_risk = true;
        checker_at_risk(world, client);
        break;
    case LEASE_EVENT_RENEWED:
        client->is_at_risk = false;
        break;
    case LEASE_EVENT_LOST:
        checker_lost(world, client, report->loss);
        client_finish(client);
        break;
    case LEASE_EVENT_REFUSED:
        if (client->is_probe) {
            world_violation(world, "lock %zu cannot be taken when all is quiet: code %d",
                            client->lock, (int)report->result->code);
        }
        client_finish(client);
        break;
    case LEASE_EVENT_RELEASED:
        checker_released(world, client);
        client_finish(client);
        break;
    }
}

/* What the service does when nobody waits for an answer any more. */
static void on_deadline(struct world *world, void *user, uint64_t number)
{
    (void)world;
    struct client *client = user;
    if (client->state != CLIENT_ASKING ||
        !sidecar_can_run(client->sidecar, on_deadline, user, number)) {
        return;
    }
    sidecar_begin_turn(client->sidecar);
    if (client->state == CLIENT_ASKING) {
        drop(client);
    }
    sidecar_end_turn(client->sidecar);
}

static int64_t random_patience_us(struct client *client)
{
    struct sim_random *random = &client->world->random;
    if (client->is_probe || sim_random_chance(random, 400)) {
        return CLOCK_NEVER;
    }
    const bool is_hasty = sim_random_chance(random, 300);
    return sim_random_between(random, 0, is_hasty ? 5 * WORLD_MS : 2 * WORLD_S);
}

static void on_ask(struct world *world, void *user, uint64_t number)
{
    struct client *client = user;
    struct sidecar *sidecar = client->sidecar;
    if (client->state == CLIENT_DONE || !sidecar_can_run(sidecar, on_ask, user, number)) {
        return;
    }
    sidecar_begin_turn(sidecar);
    const int64_t now_us = sidecar_now_us(sidecar);
    const int64_t patience_us = random_patience_us(client);
    const struct lease_ask ask = {
        .key = client->key,
        .key_length = 6,
        .label = "sim",
        .label_length = 3,
        .ttl_ms = client->ttl_ms,
        .deadline_us = patience_us == CLOCK_NEVER ? CLOCK_NEVER : now_us + patience_us,
    };
    client->holder.on_event = on_event;
    client->lease = keeper_acquire(sidecar->keeper, &ask, &client->holder, now_us);
    if (client->lease == NULL) {
        client_finish(client);
    } else {
        client->tenure = client->lease->operation.op.tenure;
        if (patience_us != CLOCK_NEVER) {
            world_after(world, patience_us, on_deadline, client, 0);
        }
    }
    sidecar_end_turn(sidecar);
}

void client_start_lease(struct client *client, struct sidecar *sidecar)
{
    client->sidecar = sidecar;
    world_after(client->world, 0, on_ask, client, 0);
}

void client_disown_lease(struct client *client)
{
    if (client->lease != NULL) {
        client->lease->holder = NULL; /* the process is gone, and both with it */
    }
    client_finish(client);
}
