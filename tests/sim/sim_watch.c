/* SPDX-License-Identifier: Apache-2.0 */
#include "sim_watch.h"

#include "sim_world.h"

static void on_state(void *user, const struct store_result *result, int64_t now_us)
{
    (void)now_us;
    struct sim_watch *watch = user;
    struct world *world = watch->sidecar->world;
    world_trace(world, "sidecar %u: sees lock %zu: code %d, held %d, fence %llu",
                watch->sidecar->number, watch->lock, (int)result->code, result->holder.is_held,
                (unsigned long long)result->holder.fence);
    if (result->code == STORE_WRONG_TYPE) {
        watch_drop(watch);
        return;
    }
    if (result->code != STORE_OK) {
        world_violation(world, "sidecar %u: a watch of lock %zu was told code %d",
                        watch->sidecar->number, watch->lock, (int)result->code);
    }
    watch->is_told = true;
    watch->is_held = result->holder.is_held;
    watch->fence = result->holder.fence;
}

void watch_init(struct sim_watch *watch, struct sidecar *sidecar, size_t lock)
{
    struct world *world = sidecar->world;
    *watch = (struct sim_watch){.sidecar = sidecar, .lock = lock};
    if (sim_random_chance(&world->random, 150)) {
        watch->watch = watch_start(sidecar->keeper, world_key(lock), 6, on_state, watch,
                                   sidecar_now_us(sidecar));
    }
}

void watch_check(const struct sim_watch *watch)
{
    struct world *world = watch->sidecar->world;
    struct store_holder holder = {.is_held = false};
    if (watch->watch == NULL) {
        return;
    }
    sim_redis_inspect(&world->redis, watch->lock, &holder);
    if (!watch->is_told || watch->is_held != holder.is_held || watch->fence != holder.fence) {
        world_violation(world, "sidecar %u was not told how lock %zu is now",
                        watch->sidecar->number, watch->lock);
    }
}

void watch_drop(struct sim_watch *watch)
{
    if (watch->watch != NULL) {
        struct watch *ended = watch->watch;
        watch->watch = NULL;
        watch_end(ended, sidecar_now_us(watch->sidecar));
    }
}
