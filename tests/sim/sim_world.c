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
#define SETTLED_US     (60 * WORLD_S) /* when, after them, all must be settled */
#define LONGEST_TTL_US (32 * WORLD_S) /* until killed sidecars' leases have run out */
#define PROBE_US       (9 * WORLD_S)
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
        if (sim_redis_lock(&world->redis, lock)->kind == REDIS_OTHER_TYPE) {
            sim_redis_toggle_type(&world->redis, lock);
        }
    }
    world_after(world, REQUESTS_US, on_closing, NULL, 0);
    world_after(world, SETTLED_US, on_settled, NULL, 0);
    world_after(world, SETTLED_US + LONGEST_TTL_US, on_probe, NULL, world->config.seed);
    world_after(world, SETTLED_US + LONGEST_TTL_US + PROBE_US, on_settled, NULL, 0);
}

static void on_patrol(struct world *world, void *user, uint64_t number)
{
    (void)user;
    (void)number;
    checker_patrol(world);
    if (!LIST_EMPTY(&world->clients) || !world->is_closing) {
        world_after(world, WORLD_S / 2, on_patrol, NULL, 0);
    }
}

/* In a contended world they come in crowds. */
static int64_t random_crowd(struct world *world)
{
    const bool is_crowd = world->is_contended && sim_random_chance(&world->random, 40);
    return is_crowd ? sim_random_between(&world->random, 5, 40) : 1;
}

static void on_request(struct world *world, void *user, uint64_t number)
{
    (void)user;
    (void)number;
    if (world->is_closing) {
        return;
    }
    for (int64_t count = random_crowd(world); count > 0; count--) {
        client_create(world);
        if (++world->requests == world->config.steps) {
            on_calm(world, NULL, 0);
        }
    }
    world_after(world, sim_random_between(&world->random, 0, 2 * world->request_gap_us), on_request,
                NULL, 0);
}

/* What its clients are like. */
static void draw_load(struct world *world)
{
    static const int64_t gaps_ms[] = {20, 60, 200};
    static const int losses_permille[] = {0, 0, 10, 50};
    static const int shares_permille[] = {0, 0, 300, 900};
    struct sim_random *random = &world->random;
    world->is_contended = sim_random_chance(random, 400);
    world->request_gap_us = gaps_ms[sim_random_between(random, 0, 2)] * WORLD_MS;
    world->loss_permille = world->forgets ? 0 : losses_permille[sim_random_between(random, 0, 3)];
    world->shared_permille = shares_permille[sim_random_between(random, 0, 3)];
    world->hold_us = 100 * WORLD_MS;
    world->long_us = 6 * WORLD_S;
    world->long_permille = 150;
    world->pause_ms = 2500;
    world->fault_gap_us = sim_random_chance(random, 500) ? 2 * WORLD_S : WORLD_S / 2;
    world->try_percent = 30;
    world->release_percent = 60;
    if (world->is_contended) {
        world->hold_us = sim_random_chance(random, 500) ? 0 : 5 * WORLD_MS;
        world->long_us = sim_random_chance(random, 300) ? 6 * WORLD_S : WORLD_S / 2;
        world->long_permille = 10;
        world->pause_ms = sim_random_chance(random, 300) ? 2500 : 50;
        world->try_percent = 5;
        world->release_percent = 75;
    }
    for (size_t lock = 0; lock < REDIS_LOCKS; lock++) {
        world->limits[lock] = (uint32_t)sim_random_between(random, 0, 3);
    }
    if (world->config.seed / 2 % 2 == 1) {
        world->connection_permille = (int)sim_random_between(random, 50, 500);
    }
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
    sim_random_seed_core(config->seed);
    agenda_init(&world->agenda);
    LIST_INIT(&world->clients);
    LIST_INIT(&world->holding);
    LIST_INIT(&world->gone);
    LIST_INIT(&world->connections);
    LIST_INIT(&world->closed);
    LIST_INIT(&world->graveyard);
    draw_load(world);
    sim_redis_init(&world->redis, world);
    world->sidecar_count = (size_t)sim_random_between(random, 1, WORLD_SIDECARS);
    for (size_t i = 0; i < world->sidecar_count; i++) {
        world->sidecars[i] = sidecar_create(world, (unsigned)i + 1);
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
    while (!LIST_EMPTY(&world->connections)) {
        connection_destroy(LIST_FIRST(&world->connections));
    }
    while (!LIST_EMPTY(&world->closed)) {
        connection_destroy(LIST_FIRST(&world->closed));
    }
    sim_redis_release(&world->redis);
    agenda_release(&world->agenda);
}

bool world_run(struct world *world)
{
    world_after(world, 0, on_request, NULL, 0);
    world_after(world, FAULTS_US, on_calm, NULL, 0);
    world_after(world, WORLD_S / 2, on_patrol, NULL, 0);
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

struct sidecar *world_find_sidecar(struct world *world, unsigned number)
{
    for (size_t i = 0; i < world->sidecar_count; i++) {
        if (world->sidecars[i]->number == number) {
            return world->sidecars[i];
        }
    }
    struct sidecar *sidecar;
    LIST_FOREACH (sidecar, &world->graveyard, link) {
        if (sidecar->number == number) {
            return sidecar;
        }
    }
    return NULL;
}

const char *world_key(size_t lock)
{
    static const char *const keys[REDIS_LOCKS] = {"lock-0", "lock-1", "lock-2"};
    return keys[lock];
}

const char *world_event_name(enum lease_event event)
{
    static const char *const names[] = {"QUEUED",  "GRANTED", "REFUSED", "AT_RISK",
                                        "RENEWED", "LOST",    "RELEASED"};
    return names[event];
}

void world_replace_sidecar(struct world *world, size_t at)
{
    struct sidecar *killed = world->sidecars[at];
    world->sidecars[at] = sidecar_create(world, killed->number + WORLD_SIDECARS);
    sidecar_kill(killed);
    LIST_INSERT_HEAD(&world->graveyard, killed, link);
}

uint64_t world_handed_on(const struct world *world)
{
    uint64_t count = 0;
    for (size_t i = 0; i < world->sidecar_count; i++) {
        count += world->sidecars[i]->metrics.leases_handed_on;
    }
    const struct sidecar *sidecar;
    LIST_FOREACH (sidecar, &world->graveyard, link) {
        count += sidecar->metrics.leases_handed_on;
    }
    return count;
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
