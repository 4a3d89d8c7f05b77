/* SPDX-License-Identifier: Apache-2.0 */
#include "sim_hints.h"

#include "base/memory.h"
#include "sim_world.h"

#define KEY_LENGTH 6 /* "lock-0" */

/* A message on its way. */
struct hint {
    LIST_ENTRY(hint) link;
    struct sim_hints *hints;
    uint64_t connection;
    size_t lock;
    struct id128 tenure;
    uint64_t fence; /* 0: only that the lock may soon be had */
    bool is_change;
    bool is_forgotten; /* Redis forgot */
};

static void on_subscribed(struct world *world, void *user, uint64_t number);

static struct store_listener *listener_of(const struct sim_hints *hints)
{
    return hints->sidecar->store.port.listener;
}

static void subscribe(struct sim_hints *hints)
{
    struct world *world = hints->sidecar->world;
    int64_t delay_us = world_latency_us(world);
    if (!world->is_calm) {
        delay_us += sim_random_between(&world->random, 0, 500 * WORLD_MS);
    }
    hints->is_subscribed = false;
    hints->connection++;
    hints->arrives_us = 0;
    world_after(world, delay_us, on_subscribed, hints, hints->connection);
}

/* A watch is confirmed by on_changed itself. */
static void confirm_watches(struct sim_hints *hints, int64_t now_us)
{
    for (size_t lock = 0; lock < REDIS_LOCKS; lock++) {
        if (hints->is_watched[lock] && !hints->is_confirmed[lock] && hints->is_subscribed) {
            hints->is_confirmed[lock] = true;
            listener_of(hints)->on_changed(listener_of(hints), world_key(lock), KEY_LENGTH, now_us);
        }
    }
}

static void on_subscribed(struct world *world, void *user, uint64_t number)
{
    struct sim_hints *hints = user;
    struct sidecar *sidecar = hints->sidecar;
    if (number != hints->connection || !sidecar_can_run(sidecar, on_subscribed, user, number)) {
        return;
    }
    if (world->now_us < world->redis.paused_until_us) {
        agenda_add(&world->agenda, world->redis.paused_until_us, on_subscribed, user, number);
        return;
    }
    sidecar_begin_turn(sidecar);
    if (number == hints->connection) { /* a timer of this turn may have cut it */
        world_trace(world, "sidecar %u: subscribed", sidecar->number);
        hints->is_subscribed = true;
        hints->owes_subscribed = true;
        sim_store_doubt(&sidecar->store);
    }
    sidecar_end_turn(sidecar);
}

static void free_hint(struct hint *hint)
{
    LIST_REMOVE(hint, link);
    memory_free(hint);
}

void hints_init(struct sim_hints *hints, struct sidecar *sidecar)
{
    *hints = (struct sim_hints){.sidecar = sidecar};
    LIST_INIT(&hints->under_way);
    hints->may_track = sim_random_chance(&sidecar->world->random, 750);
    subscribe(hints);
}

void hints_drop(struct sim_hints *hints)
{
    struct world *world = hints->sidecar->world;
    hints->is_subscribed = false;
    hints->connection++;
    if (sim_random_chance(&world->random, 300)) { /* no FIN: the host is gone, too */
        hints->believed_until_us = world->now_us + 10 * WORLD_S;
    }
}

void hints_release(struct sim_hints *hints)
{
    while (!LIST_EMPTY(&hints->under_way)) {
        free_hint(LIST_FIRST(&hints->under_way));
    }
}

void hints_cut(struct sim_hints *hints)
{
    struct world *world = hints->sidecar->world;
    if (sim_random_chance(&world->random, 500)) {
        hints->believed_until_us =
            world->now_us + sim_random_between(&world->random, 0, 400 * WORLD_MS);
    }
    world_trace(world, "sidecar %u: subscription cut", hints->sidecar->number);
    subscribe(hints);
    sim_store_doubt(&hints->sidecar->store);
}

void hints_watch(struct sim_hints *hints, size_t lock)
{
    hints->is_watched[lock] = true;
    hints->is_confirmed[lock] = false;
}

void hints_unwatch(struct sim_hints *hints, size_t lock)
{
    hints->is_watched[lock] = false;
}

void hints_tick(struct sim_hints *hints, int64_t now_us)
{
    const enum mistake mistake = hints->sidecar->world->config.mistake;
    if (hints->is_subscribed && hints->owes_subscribed) {
        hints->owes_subscribed = false;
        if (mistake != MISTAKE_LOST_RESUBSCRIBE || hints->connection == 1) {
            listener_of(hints)->on_subscribed(listener_of(hints), now_us);
        }
    }
    confirm_watches(hints, now_us);
}

static void hear(const struct hint *hint, int64_t now_us)
{
    struct sim_hints *hints = hint->hints;
    struct store_listener *listener = listener_of(hints);
    if (hint->connection != hints->connection || !hints->is_subscribed) {
        return;
    }
    if (hint->is_forgotten) {
        sim_store_doubt(&hints->sidecar->store);
    } else if (!hint->is_change) {
        hints->last_tenure[hint->lock] = hint->tenure;
        hints->last_fence[hint->lock] = hint->fence;
        listener->on_granted(listener, world_key(hint->lock), KEY_LENGTH, &hint->tenure, now_us);
    } else if (hints->is_watched[hint->lock]) {
        listener->on_changed(listener, world_key(hint->lock), KEY_LENGTH, now_us);
    }
}

static void on_hint(struct world *world, void *user, uint64_t number)
{
    (void)world;
    struct hint *hint = user;
    struct sidecar *sidecar = hint->hints->sidecar;
    if (!sidecar->is_alive) {
        free_hint(hint);
        return;
    }
    if (!sidecar_can_run(sidecar, on_hint, user, number)) {
        return;
    }
    sidecar_begin_turn(sidecar);
    hear(hint, sidecar_now_us(sidecar));
    sidecar_end_turn(sidecar);
    free_hint(hint);
}

/* True unless Redis knows that nobody is there. What is sent to a dead connection is lost. */
static bool publish(struct sim_hints *hints, const struct hint *wanted)
{
    struct world *world = hints->sidecar->world;
    if (!hints->is_subscribed) {
        return world->now_us < hints->believed_until_us;
    }
    struct hint *hint = memory_alloc(sizeof(*hint));
    *hint = *wanted;
    hint->hints = hints;
    hint->connection = hints->connection;
    LIST_INSERT_HEAD(&hints->under_way, hint, link);
    int64_t at_us = world->now_us + world_latency_us(world);
    at_us = at_us > hints->arrives_us ? at_us : hints->arrives_us + 1;
    hints->arrives_us = at_us;
    agenda_add(&world->agenda, at_us, on_hint, hint, 0);
    return true;
}

bool hints_publish(struct world *world, unsigned server, size_t lock, const struct id128 *tenure,
                   uint64_t fence)
{
    struct sidecar *sidecar = world_find_sidecar(world, server);
    const struct hint hint = {.lock = lock, .tenure = *tenure, .fence = fence};
    return sidecar != NULL && publish(&sidecar->hints, &hint);
}

void hints_publish_change(struct world *world, size_t lock)
{
    const struct hint hint = {.lock = lock, .is_change = true};
    for (size_t i = 0; i < world->sidecar_count; i++) {
        struct sim_hints *hints = &world->sidecars[i]->hints;
        if (hints->is_watched[lock] && hints->is_subscribed) {
            (void)publish(hints, &hint);
        }
    }
}

bool hints_hear_flushes(const struct sim_hints *hints)
{
    return hints->is_subscribed && hints->may_track;
}

void hints_publish_forgotten(struct world *world, bool is_found)
{
    const struct hint hint = {.is_forgotten = true};
    for (size_t i = 0; i < world->sidecar_count; i++) {
        struct sim_hints *hints = &world->sidecars[i]->hints;
        if (hints->is_subscribed && (is_found || hints->may_track)) {
            (void)publish(hints, &hint);
        }
    }
}
