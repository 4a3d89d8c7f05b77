/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

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
    const bool may_repeat = client->state != CLIENT_ASKING || client->may_be_retried;
    if (!may_repeat || ++client->tries >= TRIES_MAX) {
        client_finish(client);
        return;
    }
    next_after(client, sim_random_between(&client->world->random, 0, 300 * WORLD_MS));
}

static void on_held(struct client *client, const struct store_result *result, bool is_grant)
{
    struct world *world = client->world;
    const int64_t deadline_us = result->sent_us + lease_validity_us(client->ttl_ms);
    const int64_t believed_us = sidecar_true_us(client->sidecar, deadline_us) - 2;
    if (believed_us <= world->now_us) {
        world_violation(world, "client %u was given a detached lease that is over", client->number);
    }
    if (believed_us > client->believed_until_us) {
        client->believed_until_us = believed_us;
    }
    if (is_grant) {
        client->state = CLIENT_HOLDING;
        client->fence = result->fence;
        client->granted_us = world->now_us;
        checker_granted(world, client);
    }
    client->tries = 0;
    const int64_t half_us = client->ttl_ms * WORLD_MS / 2;
    next_after(client,
               sim_random_between(&world->random, 0, half_us < WORLD_S ? half_us : WORLD_S));
}

static void on_acquired(struct client *client, const struct store_result *result)
{
    if (result->code == STORE_OK) {
        on_held(client, result, true);
    } else if (result->code == STORE_UNAVAILABLE) {
        try_again(client);
    } else {
        client_finish(client);
    }
}

static void on_renewed(struct client *client, const struct store_result *result)
{
    if (result->code == STORE_OK) {
        on_held(client, result, false);
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
    switch (client->state) {
    case CLIENT_ASKING:
        on_acquired(client, result);
        break;
    case CLIENT_HOLDING:
        on_renewed(client, result);
        break;
    case CLIENT_RELEASING:
        on_released(client, result);
        break;
    case CLIENT_DONE:
        world_violation(world, "client %u was answered after its end", client->number);
        break;
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
        client->state = CLIENT_RELEASING;
    }
    switch (client->state) {
    case CLIENT_HOLDING:
        return STORE_RENEW;
    case CLIENT_RELEASING:
        return STORE_RELEASE;
    case CLIENT_ASKING:
    case CLIENT_DONE:
        break;
    }
    return STORE_ACQUIRE;
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
        .key = client->key,
        .key_length = 6,
        .ttl_ms = client->ttl_ms,
        .token = client->tenure,
        .may_be_retried = client->may_be_retried,
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

static void draw_token(struct client *client)
{
    for (size_t i = 0; i < ID128_SIZE; i += sizeof(uint64_t)) {
        const uint64_t part = sim_random_next(&client->world->random);
        memcpy(client->tenure.bytes + i, &part, sizeof(part));
    }
}

void client_start_detached(struct client *client)
{
    draw_token(client);
    client->may_be_retried = sim_random_chance(&client->world->random, 600);
    next_after(client, 0);
}

void client_start_inspect(struct client *client)
{
    next_after(client, 0);
}

void client_disown_errand(struct client *client)
{
    if (client->errand != NULL) {
        client->errand = NULL;
        try_again(client);
    }
}
