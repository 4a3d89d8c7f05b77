/* SPDX-License-Identifier: Apache-2.0 */
#include "sim_client.h"

#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/memory.h"
#include "sim_client_internal.h"
#include "sim_world.h"

/* Where connections hold one lock and wait for another, crowds would only wait behind them. */
#define PRESENT_MAX 60

static int64_t random_ttl_ms(struct world *world, enum client_kind kind)
{
    struct sim_random *random = &world->random;
    if (kind == CLIENT_DETACHED && world->forgets) {
        /* Nobody re-creates a detached lease, so it must end within the recovery window. */
        return sim_random_between(random, LEASE_TTL_MIN_MS, 1500);
    }
    return sim_random_chance(random, 150) ? 30000
                                          : sim_random_between(random, LEASE_TTL_MIN_MS, 3000);
}

static uint32_t random_ms(struct world *world, int permille, int64_t low, int64_t high)
{
    struct sim_random *random = &world->random;
    return sim_random_chance(random, permille) ? (uint32_t)sim_random_between(random, low, high)
                                               : 0;
}

static int64_t random_wait_us(struct world *world)
{
    const int64_t choice = sim_random_between(&world->random, 0, 99);
    if (choice < world->try_percent) {
        return 0;
    }
    return choice < 80 ? sim_random_between(&world->random, 0, 4 * WORLD_S) : CLOCK_NEVER;
}

static void draw_token(struct client *client)
{
    for (size_t i = 0; i < ID128_SIZE; i += sizeof(uint64_t)) {
        const uint64_t part = sim_random_next(&client->world->random);
        memcpy(client->token.bytes + i, &part, sizeof(part));
    }
}

static struct client *create_bare(struct world *world, enum client_kind kind, size_t lock)
{
    struct client *client = memory_alloc(sizeof(*client));
    client->world = world;
    client->number = (unsigned)++world->client_count;
    world->present++;
    client->kind = kind;
    client->state = CLIENT_ASKING;
    client->lock = lock;
    client->mode = STORE_EXCLUSIVE;
    client->holder.on_event = client_on_event;
    (void)snprintf(client->name, sizeof(client->name), "client-%u", client->number);
    party_init(&client->party, client->name);
    LIST_INSERT_HEAD(&world->clients, client, link);
    return client;
}

static struct client *create(struct world *world, enum client_kind kind, size_t lock)
{
    struct client *client = create_bare(world, kind, lock);
    client->ttl_ms = random_ttl_ms(world, kind);
    draw_token(client);
    return client;
}

/* How it wants to have its lock. */
static void draw_terms(struct client *client)
{
    struct world *world = client->world;
    struct sim_random *random = &world->random;
    if (sim_random_chance(random, world->shared_permille)) {
        const bool is_odd = sim_random_chance(random, 100);
        client->mode = STORE_SHARED;
        client->limit =
            is_odd ? (uint32_t)sim_random_between(random, 0, 5) : world->limits[client->lock];
    }
    client->wait_us = random_wait_us(world);
    client->grace_ms = random_ms(world, 250, 1, world->pause_ms);
    client->lock_delay_ms = random_ms(world, 100, 1, world->pause_ms);
    client->max_hold_ms = random_ms(world, 100, 1, 3000);
    client->may_be_retried = sim_random_chance(random, 600);
}

static bool may_believe(enum client_state state)
{
    return state == CLIENT_HOLDING || state == CLIENT_AWAY || state == CLIENT_RETURNING;
}

void client_change_state(struct client *client, enum client_state state)
{
    client->state = state;
    if (may_believe(state) && !client->is_listed) {
        LIST_INSERT_HEAD(&client->world->holding, client, holding);
    } else if (!may_believe(state) && client->is_listed) {
        LIST_REMOVE(client, holding);
    }
    client->is_listed = may_believe(state);
}

void client_finish(struct client *client)
{
    CHECK(client->errand == NULL);
    client->lease = NULL;
    client_change_state(client, CLIENT_DONE);
    client->world->present--;
    LIST_REMOVE(client, link);
    LIST_INSERT_HEAD(&client->world->gone, client, link);
}

static size_t random_lock(struct world *world)
{
    const bool is_hot = world->is_contended && sim_random_chance(&world->random, 900);
    return is_hot ? 0 : (size_t)sim_random_between(&world->random, 0, REDIS_LOCKS - 1);
}

void client_create(struct world *world)
{
    const bool is_calling = world->connection_permille > 0;
    if (is_calling && world->present >= PRESENT_MAX) {
        return;
    }
    if (is_calling && sim_random_chance(&world->random, world->connection_permille)) {
        connection_create(world);
        return;
    }
    const size_t lock = random_lock(world);
    const int64_t choice = sim_random_between(&world->random, 0, 99);
    if (choice >= 95) {
        client_start_inspect(create(world, CLIENT_INSPECT, lock));
        return;
    }
    struct client *client = create(world, choice < 80 ? CLIENT_LEASE : CLIENT_DETACHED, lock);
    draw_terms(client);
    client->sidecar = world_random_sidecar(world);
    client_start_lease(client, 0);
}

void client_create_probe(struct world *world, struct sidecar *sidecar, size_t lock)
{
    struct client *client = create(world, CLIENT_LEASE, lock);
    client->is_probe = true;
    client->wait_us = 6 * WORLD_S; /* servers that are gone may yet be passed the lock */
    client->sidecar = sidecar;
    client_start_lease(client, 0);
}

struct client *client_create_member(struct sidecar *sidecar, size_t lock)
{
    struct client *client = create_bare(sidecar->world, CLIENT_MEMBER, lock);
    client->sidecar = sidecar;
    client->asked = CLIENT_NOT_ASKED;
    return client;
}

void client_note_asked(struct client *client)
{
    client->asked = ++client->world->asked;
    client->asked_us = client->world->now_us;
}

void client_end_all(struct world *world, struct sidecar *sidecar)
{
    struct client *next;
    for (struct client *client = LIST_FIRST(&world->clients); client != NULL; client = next) {
        next = LIST_NEXT(client, link);
        if (client->sidecar != sidecar || client->kind == CLIENT_MEMBER) {
            continue;
        }
        if (client->errand != NULL) {
            client_disown_errand(client);
        } else if (client->lease != NULL || client->state == CLIENT_ASKING) {
            client_disown_lease(client);
        }
    }
}

const struct lease *client_lease(const struct client *client)
{
    return client->kind == CLIENT_MEMBER ? bundle_lease(client->bundle, client->bundle_index)
                                         : client->lease;
}

bool client_is_bound(const struct client *client)
{
    return client->kind == CLIENT_LEASE || client->kind == CLIENT_MEMBER;
}

bool client_is_valid(const struct client *client)
{
    if (!may_believe(client->state)) {
        return false;
    }
    if (client_is_bound(client) && client->state == CLIENT_HOLDING) {
        const struct lease *lease = client_lease(client);
        return lease != NULL && lease_is_valid(lease, sidecar_now_us(client->sidecar));
    }
    const bool is_displaced = client->kind == CLIENT_LEASE &&
                              client->fence <= client->world->checker.displaced[client->lock];
    return !is_displaced && client->world->now_us < client->believed_until_us;
}

bool client_is_waiting(const struct client *client)
{
    return client->state == CLIENT_ASKING && client_lease(client) != NULL && client->wait_us != 0 &&
           sidecar_now_us(client->sidecar) < client->wait_until_us;
}

void client_destroy(struct client *client)
{
    LIST_REMOVE(client, link);
    party_release(&client->party);
    memory_free(client);
}
