/* SPDX-License-Identifier: Apache-2.0 */
#include "sim_world.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/memory.h"
#include "sim_chaos.h"

#define START_US       (1000 * WORLD_S)
#define FAULTS_US      (20 * WORLD_S) /* how long faults go on */
#define REQUESTS_US    (9 * WORLD_S)  /* how long requests go on after them */
#define SETTLED_US     (25 * WORLD_S) /* when, after them, all must be settled */
#define LONGEST_TTL_US (32 * WORLD_S) /* until killed sidecars' leases have run out */
#define PROBE_US       (5 * WORLD_S)
#define EVENTS_MAX     2000000

static void on_closing(struct world *world, void *user, uint64_t number)
{
    (void)user;
    (void)number;
    world->is_closing = true;
}

static void on_probe(struct world *world, void *user, uint64_t number)
{
    (void)user;
    for (size_t lock = 0; lock < REDIS_LOCKS; lock++) {
        client_create_probe(world, world->sidecars[number % world->sidecar_count], lock);
    }
}

static void on_settled(struct world *world, void *user, uint64_t number)
{
    (void)user;
    (void)number;
    checker_settled(world);
}

static void on_calm(struct world *world, void *user, uint64_t number)
{
    (void)user;
    (void)number;
    if (world->is_calm) {
        return;
    }
    world_trace(world, "the faults stop");
    world->is_calm = true;
    world->calm_since_us = world->now_us;
    world->loss_permille = 0;
    for (size_t lock = 0; lock < REDIS_LOCKS; lock++) {
        if (sim_redis_lock(&world->redis, lock)->owner == REDIS_OTHER_TYPE) {
            sim_redis_toggle_type(&world->redis, lock);
        }
    }
    world_after(world, REQUESTS_US, on_closing, NULL, 0);
    world_after(world, SETTLED_US, on_settled, NULL, 0);
    world_after(world, SETTLED_US + LONGEST_TTL_US, on_probe, NULL, world->config.seed);
    world_after(world, SETTLED_US + LONGEST_TTL_US + PROBE_US, on_settled, NULL, 0);
}

static void on_request(struct world *world, void *user, uint64_t number)
{
    (void)user;
    (void)number;
    if (world->is_closing) {
        return;
    }
    client_create(world);
    if (++world->requests == world->config.steps) {
        on_calm(world, NULL, 0);
    }
    world_after(world, sim_random_between(&world->random, 0, 2 * world->request_gap_us), on_request,
                NULL, 0);
}

void world_init(struct world *world, const struct world_config *config)
{
    *world = (struct world){
        .config = *config,
        .now_us = START_US,
        .forgets = config->seed % 2 == 0,
        .calm_since_us = CLOCK_NEVER,
    };
    struct sim_random *random = &world->random;
    sim_random_init(random, config->seed);
    agenda_init(&world->agenda);
    LIST_INIT(&world->clients);
    LIST_INIT(&world->gone);
    LIST_INIT(&world->graveyard);
    const int64_t gaps_ms[] = {20, 60, 200};
    const int losses_permille[] = {0, 0, 10, 50};
    world->request_gap_us = gaps_ms[sim_random_between(random, 0, 2)] * WORLD_MS;
    world->loss_permille = world->forgets ? 0 : losses_permille[sim_random_between(random, 0, 3)];
    sim_redis_init(&world->redis, world);
    world->sidecar_count = (size_t)sim_random_between(random, 1, WORLD_SIDECARS);
    for (size_t i = 0; i < world->sidecar_count; i++) {
        world->sidecars[i] = sidecar_create(world, (unsigned)i);
    }
}

void world_release(struct world *world)
{
    for (size_t i = 0; i < world->sidecar_count; i++) {
        sidecar_kill(world->sidecars[i]);
        sidecar_destroy(world->sidecars[i]);
    }
    while (!LIST_EMPTY(&world->graveyard)) {
        struct sidecar *sidecar = LIST_FIRST(&world->graveyard);
        LIST_REMOVE(sidecar, link);
        sidecar_destroy(sidecar);
    }
    while (!LIST_EMPTY(&world->clients)) {
        client_destroy(LIST_FIRST(&world->clients));
    }
    while (!LIST_EMPTY(&world->gone)) {
        client_destroy(LIST_FIRST(&world->gone));
    }
    sim_redis_release(&world->redis);
    agenda_release(&world->agenda);
}

bool world_run(struct world *world)
{
    world_after(world, 0, on_request, NULL, 0);
    world_after(world, FAULTS_US, on_calm, NULL, 0);
    chaos_start(world);
    struct agenda_entry entry;
    uint64_t events = 0;
    while (world->problem[0] == '\0' && agenda_take(&world->agenda, &entry)) {
        world->now_us = entry.at_us;
        entry.run(world, entry.user, entry.number);
        if (++events > EVENTS_MAX) {
            world_violation(world, "it does not come to rest");
        }
    }
    return world->problem[0] == '\0';
}

void world_after(struct world *world, int64_t delay_us, agenda_fn *run, void *user, uint64_t number)
{
    agenda_add(&world->agenda, world->now_us + delay_us, run, user, number);
}

struct sidecar *world_random_sidecar(struct world *world)
{
    const int64_t last = (int64_t)world->sidecar_count - 1;
    return world->sidecars[sim_random_between(&world->random, 0, last)];
}

void world_replace_sidecar(struct world *world, size_t at)
{
    struct sidecar *killed = world->sidecars[at];
    world->sidecars[at] = sidecar_create(world, killed->number + WORLD_SIDECARS);
    sidecar_kill(killed);
    LIST_INSERT_HEAD(&world->graveyard, killed, link);
}

int64_t world_latency_us(struct world *world)
{
    const bool is_slow =
        !world->is_calm && !world->forgets && sim_random_chance(&world->random, 30);
    return sim_random_between(&world->random, 50, is_slow ? 3 * WORLD_S / 2 : 4 * WORLD_MS);
}

void world_trace(const struct world *world, const char *format, ...)
{
    if (!world->config.is_verbose) {
        return;
    }
    va_list arguments;
    va_start(arguments, format);
    printf("%10.6f ", (double)(world->now_us - START_US) / 1e6);
    (void)vprintf(format, arguments);
    printf("\n");
    va_end(arguments);
}

void world_violation(struct world *world, const char *format, ...)
{
    if (world->problem[0] != '\0') {
        return;
    }
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(world->problem, sizeof(world->problem), format, arguments);
    va_end(arguments);
    world_trace(world, "VIOLATION: %s", world->problem);
}
