/* SPDX-License-Identifier: Apache-2.0 */
#include "sim_sidecar.h"

#include "base/check.h"
#include "base/clock.h"
#include "base/memory.h"
#include "sim_world.h"

static void on_wake(struct world *world, void *user, uint64_t number)
{
    (void)world;
    struct sidecar *sidecar = user;
    if (number != sidecar->wakes || !sidecar_can_run(sidecar, on_wake, user, number)) {
        return;
    }
    sidecar_begin_turn(sidecar);
    sidecar_end_turn(sidecar);
}

static void plan_wake(struct sidecar *sidecar)
{
    const int64_t timers_us = wheel_next_us(sidecar->wheel);
    int64_t next_us = sim_store_next_us(&sidecar->store);
    next_us = timers_us < next_us ? timers_us : next_us;
    sidecar->wakes++;
    if (next_us == CLOCK_NEVER) {
        return;
    }
    int64_t at_us = sidecar_true_us(sidecar, next_us);
    if (at_us <= sidecar->world->now_us) {
        at_us = sidecar->world->now_us + 1;
    }
    agenda_add(&sidecar->world->agenda, at_us, on_wake, sidecar, sidecar->wakes);
}

static struct keeper_config random_config(struct world *world)
{
    struct sim_random *random = &world->random;
    const bool has_room = sim_random_chance(random, 900);
    const bool is_strict = sim_random_chance(random, 250);
    return (struct keeper_config){
        .leases_max = has_room ? 1000 : 6,
        .waiters_max = has_room ? 1000 : 3,
        .handoff_run_max = is_strict ? 1 : (uint32_t)sim_random_between(random, 2, 40),
        .handoff_run_ms = sim_random_between(random, 1, 100),
        .finds_deadlocks = sim_random_chance(random, 500),
    };
}

struct sidecar *sidecar_create(struct world *world, unsigned number)
{
    struct sidecar *sidecar = memory_alloc(sizeof(*sidecar));
    const struct keeper_config config = random_config(world);
    sidecar->world = world;
    sidecar->number = number;
    sidecar->is_alive = true;
    sidecar->reads_first = !world->forgets && sim_random_chance(&world->random, 250);
    sidecar->clock_base_us = sim_random_between(&world->random, 0, 1000 * WORLD_S);
    sidecar->drift_ppm = sim_random_between(&world->random, -4000, 4000);
    sidecar->finds_deadlocks = config.finds_deadlocks;
    sidecar->has_room = config.leases_max >= 1000;
    sidecar->wheel = wheel_create(sidecar_now_us(sidecar));
    sim_store_init(&sidecar->store, sidecar);
    hints_init(&sidecar->hints, sidecar);
    sidecar->keeper =
        keeper_create(&config, &sidecar->store.port, sidecar->wheel, &sidecar->metrics);
    for (size_t lock = 0; lock < REDIS_LOCKS; lock++) {
        watch_init(&sidecar->watches[lock], sidecar, lock);
    }
    return sidecar;
}

void sidecar_kill(struct sidecar *sidecar)
{
    sidecar->is_alive = false;
    world_trace(sidecar->world, "sidecar %u: killed", sidecar->number);
    client_end_all(sidecar->world, sidecar);
    connection_end_all(sidecar->world, sidecar);
    for (size_t lock = 0; lock < REDIS_LOCKS; lock++) {
        watch_drop(&sidecar->watches[lock]);
    }
    sim_store_drop(&sidecar->store);
    hints_drop(&sidecar->hints);
    keeper_destroy(sidecar->keeper);
    wheel_destroy(sidecar->wheel);
}

size_t sidecar_watches(const struct sidecar *sidecar)
{
    size_t count = 0;
    for (size_t lock = 0; lock < REDIS_LOCKS; lock++) {
        count += sidecar->watches[lock].watch != NULL ? 1 : 0;
    }
    return count;
}

void sidecar_destroy(struct sidecar *sidecar)
{
    sim_store_release(&sidecar->store);
    hints_release(&sidecar->hints);
    memory_free(sidecar);
}

int64_t sidecar_now_us(const struct sidecar *sidecar)
{
    const int64_t now_us = sidecar->world->now_us;
    return sidecar->clock_base_us + now_us + now_us * sidecar->drift_ppm / 1000000;
}

int64_t sidecar_true_us(const struct sidecar *sidecar, int64_t local_us)
{
    const int64_t run_us = local_us - sidecar->clock_base_us;
    return run_us * 1000000 / (1000000 + sidecar->drift_ppm) + 2;
}

bool sidecar_can_run(struct sidecar *sidecar, agenda_fn *run, void *user, uint64_t number)
{
    if (sidecar->is_alive && sidecar_is_stopped(sidecar)) {
        agenda_add(&sidecar->world->agenda, sidecar->stopped_until_us, run, user, number);
        return false;
    }
    return sidecar->is_alive;
}

bool sidecar_is_stopped(const struct sidecar *sidecar)
{
    return sidecar->world->now_us < sidecar->stopped_until_us;
}

void sidecar_begin_turn(struct sidecar *sidecar)
{
    CHECK(sidecar->is_alive);
    if (!sidecar->reads_first) {
        wheel_run(sidecar->wheel, sidecar_now_us(sidecar));
    }
}

void sidecar_end_turn(struct sidecar *sidecar)
{
    const int64_t now_us = sidecar_now_us(sidecar);
    if (sidecar->reads_first) {
        wheel_run(sidecar->wheel, now_us);
    }
    hints_tick(&sidecar->hints, now_us);
    sim_store_tick(&sidecar->store, now_us);
    sim_store_flush(&sidecar->store, now_us);
    plan_wake(sidecar);
    connection_look_all(sidecar);
    checker_step(sidecar->world);
}
