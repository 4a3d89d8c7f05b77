/* SPDX-License-Identifier: Apache-2.0 */
#include "sim_chaos.h"

#include <stddef.h>

#include "sim_world.h"

static int64_t one_of(struct world *world, int64_t a, int64_t b, int64_t c)
{
    const int64_t choices[] = {a, b, c};
    return choices[sim_random_between(&world->random, 0, 2)];
}

static size_t random_lock(struct world *world)
{
    return (size_t)sim_random_between(&world->random, 0, REDIS_LOCKS - 1);
}

static void on_cut(struct world *world, void *user, uint64_t number)
{
    (void)world;
    struct sidecar *sidecar = user;
    if (!sidecar_can_run(sidecar, on_cut, user, number)) {
        return;
    }
    sidecar_begin_turn(sidecar);
    sim_store_cut(&sidecar->store);
    sidecar_end_turn(sidecar);
}

static void on_hints_cut(struct world *world, void *user, uint64_t number)
{
    (void)world;
    struct sidecar *sidecar = user;
    if (!sidecar_can_run(sidecar, on_hints_cut, user, number)) {
        return;
    }
    sidecar_begin_turn(sidecar);
    hints_cut(&sidecar->hints);
    sidecar_end_turn(sidecar);
}

static void stop_sidecar(struct world *world)
{
    struct sidecar *sidecar = world_random_sidecar(world);
    const int64_t longest_us = one_of(world, WORLD_S / 2, 2 * WORLD_S, 5 * WORLD_S);
    const int64_t time_us = sim_random_between(&world->random, 50 * WORLD_MS, longest_us);
    if (sidecar_is_stopped(sidecar)) {
        return;
    }
    sidecar->stopped_until_us = world->now_us + time_us;
    world_trace(world, "sidecar %u: stopped for %lld us", sidecar->number, (long long)time_us);
}

static void kill_sidecar(struct world *world)
{
    world_replace_sidecar(
        world, (size_t)sim_random_between(&world->random, 0, (int64_t)world->sidecar_count - 1));
}

static void pause_redis(struct world *world)
{
    const int64_t time_us = one_of(world, WORLD_S / 5, 3 * WORLD_S / 2, 4 * WORLD_S);
    if (world->now_us < world->redis.paused_until_us) {
        return;
    }
    world->redis.paused_until_us = world->now_us + time_us;
    world_trace(world, "redis: paused for %lld us", (long long)time_us);
}

static void set_clock_back(struct world *world)
{
    world->redis.wall_offset_us -= one_of(world, WORLD_MS, WORLD_S, 30 * WORLD_S);
    world->redis.has_jumped = true;
    world_trace(world, "redis: clock set back");
}

static void refuse(struct world *world)
{
    world->redis.refuses_until_us =
        world->now_us + sim_random_between(&world->random, 0, 2 * WORLD_S);
    world_trace(world, "redis: refuses for a while");
}

static void on_foreign_end(struct world *world, void *user, uint64_t number)
{
    (void)user;
    const size_t lock = (size_t)(number % REDIS_LOCKS);
    sim_redis_foreign_delete(&world->redis, lock, number);
}

static void take_for_foreigner(struct world *world)
{
    const size_t lock = random_lock(world);
    const uint64_t who = world->agenda.orders * REDIS_LOCKS + lock;
    const int64_t ttl_ms = sim_random_between(&world->random, 100, 2000);
    if (sim_redis_foreign_set(&world->redis, lock, who, ttl_ms)) {
        world_trace(world, "redis: another program takes lock %zu", lock);
        checker_foreign(world, lock);
        world_after(world, sim_random_between(&world->random, 0, 3 * WORLD_S), on_foreign_end, NULL,
                    who);
    }
}

static void toggle_type(struct world *world)
{
    const size_t lock = random_lock(world);
    world_trace(world, "redis: lock %zu may change its type", lock);
    sim_redis_toggle_type(&world->redis, lock);
}

static void on_replicate(struct world *world, void *user, uint64_t number)
{
    (void)user;
    (void)number;
    sim_redis_replicate(&world->redis);
    if (!world->is_calm) {
        world_after(world, one_of(world, 10 * WORLD_MS, 100 * WORLD_MS, 400 * WORLD_MS),
                    on_replicate, NULL, 0);
    }
}

static void restart_redis(struct world *world)
{
    const bool is_empty = sim_random_chance(&world->random, 500);
    world_trace(world, "redis: restarts %s", is_empty ? "empty" : "as its replica was");
    sim_redis_restart(&world->redis, is_empty);
    checker_forgotten(world);
    for (size_t i = 0; i < world->sidecar_count; i++) {
        world_after(world, 0, on_cut, world->sidecars[i], 0);
        world_after(world, 0, on_hints_cut, world->sidecars[i], 0);
    }
}

static void flush_redis(struct world *world)
{
    const bool is_told = sim_random_chance(&world->random, 600);
    world_trace(world, "redis: %s", is_told ? "FLUSHALL" : "SWAPDB");
    sim_redis_flush(&world->redis, is_told);
    checker_forgotten(world);
}

static void delete_by_hand(struct world *world)
{
    const size_t lock = random_lock(world);
    world_trace(world, "redis: an operator deletes lock %zu", lock);
    checker_excuse(world, lock);
    sim_redis_operator_delete(&world->redis, lock);
}

static void make_redis_forget(struct world *world)
{
    const int64_t choice = sim_random_between(&world->random, 0, 99);
    if (choice < 30) {
        restart_redis(world);
    } else if (choice < 40) {
        flush_redis(world);
    } else if (choice < 44) {
        world_after(world, 0, on_hints_cut, world_random_sidecar(world), 0);
    } else if (choice < 50) {
        kill_sidecar(world);
    } else if (choice < 70) {
        delete_by_hand(world);
        if (sim_random_chance(&world->random, 400)) {
            sim_redis_replicate(&world->redis);
            restart_redis(world);
        }
    } else if (choice < 90) {
        take_for_foreigner(world);
    } else {
        toggle_type(world);
    }
}

static void disturb(struct world *world)
{
    const int64_t choice = sim_random_between(&world->random, 0, 99);
    if (choice < 20) {
        stop_sidecar(world);
    } else if (choice < 35) {
        world_after(world, 0, on_cut, world_random_sidecar(world), 0);
    } else if (choice < 45) {
        world_after(world, 0, on_hints_cut, world_random_sidecar(world), 0);
    } else if (choice < 53) {
        kill_sidecar(world);
    } else if (choice < 61) {
        pause_redis(world);
    } else if (choice < 65) {
        set_clock_back(world);
    } else if (choice < 73) {
        refuse(world);
    } else if (choice < 90) {
        take_for_foreigner(world);
    } else {
        toggle_type(world);
    }
}

static void on_fault(struct world *world, void *user, uint64_t number)
{
    (void)user;
    (void)number;
    if (world->is_calm) {
        return;
    }
    if (world->forgets) {
        make_redis_forget(world);
        world_after(world, sim_random_between(&world->random, WORLD_S / 4, 3 * WORLD_S), on_fault,
                    NULL, 0);
    } else {
        disturb(world);
        world_after(world, sim_random_between(&world->random, 0, world->fault_gap_us), on_fault,
                    NULL, 0);
    }
}

void chaos_start(struct world *world)
{
    world_after(world, WORLD_S, on_fault, NULL, 0);
    if (world->forgets) {
        world_after(world, WORLD_S / 5, on_replicate, NULL, 0);
    }
}
