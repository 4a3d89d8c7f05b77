/* SPDX-License-Identifier: Apache-2.0 */
#include "base/clock.h"
#include "sim_client_internal.h"
#include "sim_world.h"

/* Who asked for no grace may come back all the same, and so soon that the store may not yet know
 * who has the lock now. */
#define UNASKED_RETURN_US (20 * WORLD_MS)

void client_drop(struct client *client)
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
        client_drop(client);
    }
    sidecar_end_turn(client->sidecar);
}

static void release(struct client *client)
{
    struct world *world = client->world;
    world_trace(world, "client %u: releases lock %zu", client->number, client->lock);
    client_change_state(client, CLIENT_RELEASING);
    lease_release(client->lease, sidecar_now_us(client->sidecar));
    if (!client->is_probe && sim_random_chance(&world->random, 200)) {
        world_after(world, sim_random_between(&world->random, 0, 5 * WORLD_MS), on_drop, client, 0);
    }
}

static void on_return(struct world *world, void *user, uint64_t number);

void client_go_away(struct client *client, int64_t deadline_us)
{
    struct world *world = client->world;
    const int64_t now_us = sidecar_now_us(client->sidecar);
    const int64_t grace_us = client->grace_ms * WORLD_MS;
    const int64_t end_us = deadline_us < now_us + grace_us ? deadline_us : now_us + grace_us;
    client->lease = NULL;
    client->believed_until_us = grace_us > 0 ? sidecar_true_us(client->sidecar, end_us) - 2 : 0;
    client_change_state(client, CLIENT_AWAY);
    const int64_t away_us = grace_us > 0 ? grace_us + grace_us / 4 : UNASKED_RETURN_US;
    world_after(world, sim_random_between(&world->random, 0, away_us), on_return, client, 0);
}

static void leave(struct client *client)
{
    const int64_t deadline_us = lease_deadline_us(client->lease);
    world_trace(client->world, "client %u: leaves lock %zu for a while", client->number,
                client->lock);
    lease_abandon(client->lease, sidecar_now_us(client->sidecar));
    client_go_away(client, deadline_us);
}

static void resume(struct client *client)
{
    const int64_t now_us = sidecar_now_us(client->sidecar);
    struct lease_ask ask = client_ask(client, now_us);
    struct keeper_problem problem;
    ask.token = &client->token;
    client_change_state(client, CLIENT_RETURNING);
    world_trace(client->world, "client %u: resumes lock %zu through sidecar %u", client->number,
                client->lock, client->sidecar->number);
    client->lease = keeper_resume(client->sidecar->keeper, &ask, &client->holder, &problem, now_us);
    if (client->lease == NULL) {
        client_finish(client);
    }
}

static void on_return(struct world *world, void *user, uint64_t number)
{
    struct client *client = user;
    if (client->state != CLIENT_AWAY) {
        return;
    }
    const bool is_elsewhere = !client->sidecar->is_alive || sim_random_chance(&world->random, 300);
    if (is_elsewhere) {
        client->sidecar = world_random_sidecar(world);
    }
    if (sim_random_chance(&world->random, 150)) {
        client_finish(client); /* never comes back */
        return;
    }
    if (sidecar_is_stopped(client->sidecar)) {
        world_after(world, 100 * WORLD_MS, on_return, client, number);
        return;
    }
    sidecar_begin_turn(client->sidecar);
    if (client->state == CLIENT_AWAY) {
        resume(client);
    }
    sidecar_end_turn(client->sidecar);
}

static void give_up(struct client *client)
{
    struct world *world = client->world;
    const int64_t choice = sim_random_between(&world->random, 0, 99);
    if (client->is_probe || choice < world->release_percent || world->is_closing) {
        release(client);
    } else if (choice < 80) {
        client_drop(client);
    } else if (client->grace_ms == 0 && choice < 90) {
        world_trace(world, "client %u: abandons lock %zu", client->number, client->lock);
        lease_abandon(client->lease, sidecar_now_us(client->sidecar));
        client_finish(client);
    } else {
        leave(client);
    }
}

static void on_hold_end(struct world *world, void *user, uint64_t number)
{
    (void)world;
    struct client *client = user;
    if (client->state != CLIENT_HOLDING || client->lease == NULL || client->holds != number ||
        !sidecar_can_run(client->sidecar, on_hold_end, user, number)) {
        return;
    }
    sidecar_begin_turn(client->sidecar);
    if (client->state == CLIENT_HOLDING && client->lease != NULL && client->holds == number) {
        give_up(client);
    }
    sidecar_end_turn(client->sidecar);
}

void client_start_holding(struct client *client)
{
    struct world *world = client->world;
    struct sim_random *random = &world->random;
    client_change_state(client, CLIENT_HOLDING);
    client->holds++;
    if (sim_random_chance(random, 100)) {
        release(client); /* perhaps from inside the callback */
        return;
    }
    const bool is_long =
        !client->is_probe && !world->is_closing && sim_random_chance(random, world->long_permille);
    const int64_t hold_us =
        sim_random_between(random, 0, is_long ? world->long_us : world->hold_us);
    world_after(world, hold_us, on_hold_end, client, client->holds);
}
