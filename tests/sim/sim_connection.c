/* SPDX-License-Identifier: Apache-2.0 */
#include "sim_connection.h"

#include <stdio.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/memory.h"
#include "sim_world.h"

/* How many of its locks a sidecar may ask for between two looks. */
#define LOOK_MAX 256

static void on_act(struct world *world, void *user, uint64_t number);

static void act_after(struct connection *connection, int64_t delay_us)
{
    connection->acts++;
    world_after(connection->world, delay_us, on_act, connection, connection->acts);
}

static size_t count_in(const struct connection *connection, enum bundle_state state)
{
    size_t count = 0;
    for (size_t i = 0; i < connection->count; i++) {
        count += connection->bundles[i].state == state ? 1 : 0;
    }
    return count;
}

/*
 * ---- The end ----
 */

static void close_connection(struct connection *connection)
{
    struct world *world = connection->world;
    connection->is_open = false;
    connection->acts++;
    LIST_REMOVE(connection, link);
    LIST_INSERT_HEAD(&world->closed, connection, link);
    if (connection->party.leases != 0 || !LIST_EMPTY(&connection->party.waits)) {
        world_violation(world, "%s is gone, and %zu of its leases are not", connection->name,
                        connection->party.leases);
    }
}

static void drop_all(struct connection *connection, bool is_abandoned)
{
    for (size_t i = 0; i < connection->count; i++) {
        struct bundle *bundle = &connection->bundles[i];
        if (bundle->state == BUNDLE_DONE) {
            continue;
        }
        if (is_abandoned) {
            bundle_abandon(bundle);
        } else {
            bundle_drop(bundle);
        }
    }
    close_connection(connection);
}

void connection_end_all(struct world *world, const struct sidecar *sidecar)
{
    struct connection *next;
    struct connection *connection = LIST_FIRST(&world->connections);
    for (; connection != NULL; connection = next) {
        next = LIST_NEXT(connection, link);
        if (connection->sidecar == sidecar) {
            drop_all(connection, false);
        }
    }
}

static void on_disconnect(struct world *world, void *user, uint64_t number)
{
    struct connection *connection = user;
    if (!connection->is_open ||
        !sidecar_can_run(connection->sidecar, on_disconnect, user, number)) {
        return;
    }
    sidecar_begin_turn(connection->sidecar);
    if (connection->is_open) {
        world_trace(world, "%s: disconnects", connection->name);
        drop_all(connection, sim_random_chance(&world->random, 700));
    }
    sidecar_end_turn(connection->sidecar);
}

/*
 * ---- Asking ----
 */

/* The answer is not waited for any more. */
static void on_cancel(struct world *world, void *user, uint64_t number)
{
    (void)world;
    struct bundle *bundle = user;
    struct connection *connection = bundle->connection;
    if (bundle->state != BUNDLE_ASKING || bundle->members[0]->number != number ||
        !sidecar_can_run(connection->sidecar, on_cancel, user, number)) {
        return;
    }
    sidecar_begin_turn(connection->sidecar);
    if (bundle->state == BUNDLE_ASKING && bundle->members[0]->number == number) {
        bundle_drop(bundle);
        act_after(connection, sim_random_between(&world->random, 0, 20 * WORLD_MS));
    }
    sidecar_end_turn(connection->sidecar);
}

static bool holds_lock(const struct connection *connection, size_t lock)
{
    for (size_t i = 0; i < connection->count; i++) {
        const struct bundle *bundle = &connection->bundles[i];
        for (size_t at = 0; bundle->state != BUNDLE_DONE && at < bundle->count; at++) {
            if (bundle->members[at]->lock == lock) {
                return true;
            }
        }
    }
    return false;
}

/* Some of the locks that it has not. False: it has them all. */
static bool draw_locks(struct connection *connection, bool *wants)
{
    struct sim_random *random = &connection->world->random;
    const int keep_permille = sim_random_chance(random, 500) ? 350 : 800;
    size_t first = (size_t)sim_random_between(random, 0, REDIS_LOCKS - 1);
    bool has_one = false;
    for (size_t i = 0; i < REDIS_LOCKS; i++) {
        const size_t lock = (first + i) % REDIS_LOCKS;
        const bool is_free = !holds_lock(connection, lock);
        wants[lock] = is_free && (!has_one || sim_random_chance(random, keep_permille));
        has_one = has_one || wants[lock];
    }
    return has_one;
}

/* Who holds something while it waits for something else may be part of a circle. One that is found
 * at once is no reason to stop waiting; any other ends by this. */
static int64_t draw_wait_us(struct connection *connection)
{
    struct world *world = connection->world;
    struct sim_random *random = &world->random;
    const bool is_safe = count_in(connection, BUNDLE_HOLDING) == 0 ||
                         (world->sidecar_count == 1 && connection->sidecar->finds_deadlocks);
    if (sim_random_chance(random, 250)) {
        return 0;
    }
    return is_safe && sim_random_chance(random, 400) ? CLOCK_NEVER
                                                     : sim_random_between(random, 0, 4 * WORLD_S);
}

static uint32_t draw_ms(struct world *world, int permille, int64_t longest_ms)
{
    struct sim_random *random = &world->random;
    return sim_random_chance(random, permille) ? (uint32_t)sim_random_between(random, 1, longest_ms)
                                               : 0;
}

static void draw_terms(struct connection *connection, struct bundle_terms *terms)
{
    struct world *world = connection->world;
    struct sim_random *random = &world->random;
    const bool is_shared = sim_random_chance(random, world->shared_permille / 2);
    terms->mode = is_shared ? STORE_SHARED : STORE_EXCLUSIVE;
    terms->limit = is_shared ? (uint32_t)sim_random_between(random, 0, 3) : 0;
    terms->ttl_ms =
        sim_random_chance(random, 150) ? 30000 : sim_random_between(random, LEASE_TTL_MIN_MS, 3000);
    terms->wait_us = draw_wait_us(connection);
    terms->patience_us =
        sim_random_chance(random, 200) ? sim_random_between(random, 0, 2 * WORLD_S) : CLOCK_NEVER;
    terms->grace_ms = draw_ms(world, 200, world->pause_ms);
    terms->lock_delay_ms = draw_ms(world, 100, world->pause_ms);
    terms->max_hold_ms = draw_ms(world, 100, 3000);
}

static bool ask(struct connection *connection)
{
    struct bundle_terms terms;
    if (connection->count >= connection->wanted || connection->world->is_closing ||
        !draw_locks(connection, terms.wants)) {
        return false;
    }
    draw_terms(connection, &terms);
    struct bundle *bundle = &connection->bundles[connection->count++];
    bundle_ask(bundle, connection, &terms);
    if (bundle->state == BUNDLE_ASKING && terms.patience_us != CLOCK_NEVER) {
        world_after(connection->world, terms.patience_us, on_cancel, bundle,
                    bundle->members[0]->number);
    }
    return true;
}

/*
 * ---- One thing at a time ----
 */

static void give_back(struct connection *connection, bool is_all)
{
    struct sim_random *random = &connection->world->random;
    size_t skip =
        (size_t)sim_random_between(random, 0, (int64_t)count_in(connection, BUNDLE_HOLDING) - 1);
    for (size_t i = 0; i < connection->count; i++) {
        struct bundle *bundle = &connection->bundles[i];
        if (bundle->state == BUNDLE_HOLDING && (is_all || skip-- == 0)) {
            bundle_release(bundle);
        }
    }
}

static void act(struct connection *connection)
{
    struct world *world = connection->world;
    struct sim_random *random = &world->random;
    const size_t held = count_in(connection, BUNDLE_HOLDING);
    if (count_in(connection, BUNDLE_ASKING) + count_in(connection, BUNDLE_RELEASING) > 0) {
        return; /* the answer brings us back here */
    }
    if ((held == 0 || sim_random_chance(random, 600)) && ask(connection)) {
        return;
    }
    if (held == 0 || sim_random_chance(random, 1000 - 10 * (int)world->release_percent)) {
        drop_all(connection, sim_random_chance(random, 300));
    } else {
        give_back(connection, sim_random_chance(random, 500));
    }
}

static void on_act(struct world *world, void *user, uint64_t number)
{
    (void)world;
    struct connection *connection = user;
    if (!connection->is_open || connection->acts != number ||
        !sidecar_can_run(connection->sidecar, on_act, user, number)) {
        return;
    }
    sidecar_begin_turn(connection->sidecar);
    if (connection->is_open && connection->acts == number) {
        act(connection);
    }
    sidecar_end_turn(connection->sidecar);
}

void connection_on_granted(struct connection *connection, struct bundle *bundle)
{
    struct world *world = connection->world;
    struct sim_random *random = &world->random;
    if (world->problem[0] != '\0') {
        return; /* it may not be what it seems */
    }
    if (sim_random_chance(random, 100)) {
        bundle_release(bundle); /* from inside the callback, like this: */
    } else if (!sim_random_chance(random, 100) || !ask(connection)) {
        const bool is_long = !world->is_closing && sim_random_chance(random, world->long_permille);
        act_after(connection,
                  sim_random_between(random, 0, is_long ? world->long_us : world->hold_us));
    }
}

void connection_on_end(struct connection *connection, bool is_deadlock)
{
    if (is_deadlock) {
        connection->wanted = connection->count; /* gives way */
    }
    act_after(connection, sim_random_between(&connection->world->random, 0, 20 * WORLD_MS));
}

/*
 * ---- Looking ----
 */

/* Members that were asked for since the last look. */
struct look {
    size_t count;
    struct client *members[LOOK_MAX];
};

/* They stand in the order of their queue. */
static void visit_waiting(void *user, const struct lease *lease)
{
    const struct look *look = user;
    for (size_t i = 0; i < look->count; i++) {
        struct client *member = look->members[i];
        if (client_lease(member) == lease && lease_state(lease) == LEASE_WAITING) {
            client_note_asked(member);
        }
    }
}

static void gather_news(struct connection *connection, struct look *look)
{
    for (size_t i = 0; i < connection->count; i++) {
        struct client *member = bundle_news(&connection->bundles[i]);
        if (member != NULL) {
            CHECK(look->count < LOOK_MAX);
            look->members[look->count++] = member;
            connection->has_asked = true;
        }
    }
}

void connection_look_all(struct sidecar *sidecar)
{
    struct look look = {.count = 0};
    struct connection *connection;
    LIST_FOREACH (connection, &sidecar->world->connections, link) {
        if (connection->sidecar == sidecar) {
            gather_news(connection, &look);
        }
    }
    if (look.count > 0) {
        keeper_visit(sidecar->keeper, visit_waiting, &look);
    }
    LIST_FOREACH (connection, &sidecar->world->connections, link) {
        for (size_t i = 0; connection->sidecar == sidecar && i < connection->count; i++) {
            if (connection->bundles[i].state != BUNDLE_DONE) {
                bundle_look(&connection->bundles[i]);
            }
        }
    }
}

void connection_create(struct world *world)
{
    struct sim_random *random = &world->random;
    struct connection *connection = memory_alloc(sizeof(*connection));
    connection->world = world;
    connection->sidecar = world_random_sidecar(world);
    connection->number = (unsigned)++world->connection_count;
    connection->is_open = true;
    connection->wanted = (size_t)sim_random_between(random, 1, CONNECTION_BUNDLES);
    (void)snprintf(connection->name, sizeof(connection->name), "c%u", connection->number);
    party_init(&connection->party, connection->name);
    LIST_INSERT_HEAD(&world->connections, connection, link);
    act_after(connection, 0);
    if (sim_random_chance(random, 150)) {
        world_after(world, sim_random_between(random, 0, 3 * WORLD_S), on_disconnect, connection,
                    0);
    }
}

void connection_destroy(struct connection *connection)
{
    LIST_REMOVE(connection, link);
    party_release(&connection->party);
    memory_free(connection);
}
