/* SPDX-License-Identifier: Apache-2.0 */
#include "sim_client.h"

#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/memory.h"
#include "sim_client_internal.h"
#include "sim_world.h"

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

static struct client *create(struct world *world, enum client_kind kind, size_t lock)
{
    struct client *client = memory_alloc(sizeof(*client));
    client->world = world;
    client->number = (unsigned)++world->client_count;
    client->kind = kind;
    client->state = CLIENT_ASKING;
    client->lock = lock;
    (void)snprintf(client->key, sizeof(client->key), "lock-%u", (unsigned)lock);
    client->ttl_ms = random_ttl_ms(world, kind);
    LIST_INSERT_HEAD(&world->clients, client, link);
    return client;
}

void client_finish(struct client *client)
{
    CHECK(client->errand == NULL);
    client->lease = NULL;
    client->state = CLIENT_DONE;
    LIST_REMOVE(client, link);
    LIST_INSERT_HEAD(&client->world->gone, client, link);
}

void client_create(struct world *world)
{
    struct sim_random *random = &world->random;
    const size_t lock = (size_t)sim_random_between(random, 0, REDIS_LOCKS - 1);
    const int64_t kind = sim_random_between(random, 0, 99);
    if (kind < 70) {
        struct sidecar *sidecar = world_random_sidecar(world);
        client_start_lease(create(world, CLIENT_LEASE, lock), sidecar);
    } else if (kind < 90) {
        client_start_detached(create(world, CLIENT_DETACHED, lock));
    } else {
        client_start_inspect(create(world, CLIENT_INSPECT, lock));
    }
}

void client_create_probe(struct world *world, struct sidecar *sidecar, size_t lock)
{
    struct client *client = create(world, CLIENT_LEASE, lock);
    client->is_probe = true;
    client_start_lease(client, sidecar);
}

void client_end_all(struct world *world, struct sidecar *sidecar)
{
    struct client *next;
    for (struct client *client = LIST_FIRST(&world->clients); client != NULL; client = next) {
        next = LIST_NEXT(client, link);
        if (client->sidecar != sidecar) {
            continue;
        }
        if (client->kind == CLIENT_LEASE) {
            client_disown_lease(client);
        } else {
            client_disown_errand(client);
        }
    }
}

bool client_is_valid(const struct client *client)
{
    if (client->state != CLIENT_HOLDING) {
        return false;
    }
    if (client->kind == CLIENT_LEASE) {
        return lease_is_valid(client->lease, sidecar_now_us(client->sidecar));
    }
    return client->world->now_us < client->believed_until_us;
}

void client_destroy(struct client *client)
{
    LIST_REMOVE(client, link);
    memory_free(client);
}
