/* SPDX-License-Identifier: Apache-2.0 */
#include "base/check.h"
#include "base/clock.h"
#include "sim_client_internal.h"
#include "sim_world.h"

#define TRIES_MAX 6

static void on_next(struct world *world, void *user, uint64_t number);

static void next_after(struct client *client, int64_t delay_us)
{
    world_after(client->world, delay_us, on_next, client, client->errands);
}

/* The step failed, or nobody waited for it: again through another sidecar, a few times. */
static void try_again(struct client *client)
{
    if (++client->tries >= TRIES_MAX) {
        client_finish(client);
        return;
    }
    next_after(client, sim_random_between(&client->world->random, 0, 300 * WORLD_MS));
}

/* Held until `deadline_us` by its sidecar's clock; renewed or released before. */
static void on_held(struct client *client, int64_t deadline_us)
{
    struct world *world = client->world;
    const int64_t believed_us = sidecar_true_us(client->sidecar, deadline_us) - 2;
    if (believed_us <= world->now_us) {
        world_violation(world, "client %u was given a detached lease that is over", client->number);
    }
    if (believed_us > client->believed_until_us) {
        client->believed_until_us = believed_us;
    }
    client->tries = 0;
    const int64_t half_us = client->ttl_ms * WORLD_MS / 2;
    next_after(client,
               sim_random_between(&world->random, 0, half_us < WORLD_S ? half_us : WORLD_S));
}

static void on_renewed(struct client *client, const struct store_result *result)
{
    if (result->code == STORE_OK) {
        on_held(client, result->sent_us + lease_validity_us(client->ttl_ms));
    } else if (result->code == STORE_UNAVAILABLE) {
        try_again(client);
    } else {
        client_finish(client);
    }
}

static void on_released(struct client *client, const struct store_result *result)
{
    if (result->code == STORE_UNAVAILABLE) {
        try_again(client);
    } else {
        client_finish(client);
    }
}

static void on_done(void *user, const struct store_result *result, int64_t now_us)
{
    (void)now_us;
    struct client *client = user;
    struct world *world = client->world;
    world_trace(world, "client %u: errand on lock %zu: code %d", client->number, client->lock,
                (int)result->code);
    if (client->errand == NULL) {
        world_violation(world, "client %u was answered twice", client->number);
        return;
    }
    client->errand = NULL;
    if (result->code == STORE_UNKNOWN || result->code == STORE_EXPIRED ||
        result->code == STORE_RECOVERING) {
        world_violation(world, "client %u was told code %d", client->number, (int)result->code);
    }
    if (client->kind == CLIENT_INSPECT) {
        client_finish(client);
        return;
    }
    if (client->state == CLIENT_HOLDING) {
        on_renewed(client, result);
    } else {
        on_released(client, result);
    }
}

/* Nobody waits any more for errand `number`. */
static void on_abandon(struct world *world, void *user, uint64_t number)
{
    struct client *client = user;
    if (client->errand == NULL || client->errands != number ||
        !sidecar_can_run(client->sidecar, on_abandon, user, number)) {
        return;
    }
    sidecar_begin_turn(client->sidecar);
    if (client->errand != NULL && client->errands == number) {
        world_trace(world, "client %u: abandons its errand", client->number);
        errand_abandon(client->errand, sidecar_now_us(client->sidecar));
        client->errand = NULL;
        try_again(client);
    }
    sidecar_end_turn(client->sidecar);
}

static enum store_verb next_verb(struct client *client)
{
    if (client->kind == CLIENT_INSPECT) {
        return STORE_INSPECT;
    }
    const bool is_over =
        client->world->is_closing || sim_random_chance(&client->world->random, 400);
    if (client->state == CLIENT_HOLDING && is_over) {
        client_change_state(client, CLIENT_RELEASING);
    }
    return client->state == CLIENT_HOLDING ? STORE_RENEW : STORE_RELEASE;
}

static void start(struct client *client)
{
    struct world *world = client->world;
    struct sidecar *sidecar = client->sidecar;
    const int64_t now_us = sidecar_now_us(sidecar);
    const bool is_patient = sim_random_chance(&world->random, 500);
    const int64_t patience_us = sim_random_between(&world->random, 0, 1500 * WORLD_MS);
    const struct errand_ask ask = {
        .verb = next_verb(client),
        .key = world_key(client->lock),
        .key_length = 6,
        .ttl_ms = client->ttl_ms,
        .token = client->token,
        .deadline_us = is_patient ? CLOCK_NEVER : now_us + patience_us,
    };
    client->errands++;
    client->errand = errand_start(sidecar->keeper, &ask, on_done, client, now_us);
    if (client->errand == NULL) {
        try_again(client);
    } else if (!is_patient) {
        world_after(world, patience_us, on_abandon, client, client->errands);
    }
}

static void on_next(struct world *world, void *user, uint64_t number)
{
    (void)world;
    struct client *client = user;
    if (client->state == CLIENT_DONE || client->errand != NULL || client->errands != number) {
        return;
    }
    client->sidecar = world_random_sidecar(client->world);
    if (sidecar_is_stopped(client->sidecar)) {
        next_after(client, 100 * WORLD_MS);
        return;
    }
    sidecar_begin_turn(client->sidecar);
    start(client);
    sidecar_end_turn(client->sidecar);
}

void client_hold_detached(struct client *client, int64_t deadline_us)
{
    client_change_state(client, CLIENT_HOLDING);
    on_held(client, deadline_us);
}

void client_start_inspect(struct client *client)
{
    next_after(client, 0);
}

void client_disown_errand(struct client *client)
{
    client->errand = NULL; /* the process is gone, and the errand with it */
    try_again(client);
}
