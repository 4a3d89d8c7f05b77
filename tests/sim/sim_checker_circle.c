/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Circles of connections, by a graph of its own: who has and who waits for which lock at one
 * sidecar. Searched breadth first and to the end, unlike the core's.
 */
#include <string.h>

#include "base/memory.h"
#include "lease/party.h"
#include "sim_checker_internal.h"
#include "sim_world.h"

#define LEASES_MAX 1024

/* A lease at the sidecar: lock by lock those held, then those that wait, in order. */
struct stake {
    size_t lock;
    const struct lease_party *party;
    bool is_held;
    bool is_met; /* by the search */
    enum store_mode mode;
    uint32_t limit;
};

struct circle {
    size_t count;
    struct stake stakes[LEASES_MAX];
};

static size_t lock_of(const struct lease *lease)
{
    size_t length = 0;
    const char *key = lease_key(lease, &length);
    return (size_t)(key[length - 1] - '0');
}

static void add(struct circle *circle, const struct stake *stake)
{
    if (circle->count < LEASES_MAX && stake->party != NULL) {
        circle->stakes[circle->count++] = *stake;
    }
}

static void visit(void *user, const struct lease *lease)
{
    const struct stake stake = {
        .lock = lock_of(lease),
        .party = lease_party(lease),
        .is_held = lease_state(lease) != LEASE_WAITING,
        .mode = lease_mode(lease),
        .limit = lease_limit(lease),
    };
    add(user, &stake);
}

static void fill(struct circle *circle, const struct sidecar *sidecar)
{
    circle->count = 0;
    keeper_visit(sidecar->keeper, visit, circle);
}

/* Whether the waiter has to wait for the other. Readers do not wait for readers that have the lock,
 * nor for those before them that want it without a limit, too. */
static bool blocks(const struct stake *waiter, const struct stake *other)
{
    const bool is_before = other->is_held || other < waiter;
    const bool is_shared =
        waiter->mode == STORE_SHARED && waiter->limit == 0 && other->mode == STORE_SHARED;
    const bool goes_along = is_shared && (other->is_held || other->limit == 0);
    return other != waiter && other->lock == waiter->lock && is_before && !goes_along;
}

/*
 * ---- No circle stands ----
 */

/* Whoever blocks `stakes[at]`, and all that these wait for themselves, is met. True when one of
 * them, but none of the first, is a lease that `origin` holds. */
static bool meet_blockers(struct circle *circle, size_t at, const struct lease_party *origin,
                          bool is_first)
{
    bool is_closed = false;
    for (size_t i = 0; i < circle->count; i++) {
        const struct stake *blocker = &circle->stakes[i];
        if (!blocks(&circle->stakes[at], blocker)) {
            continue;
        }
        is_closed = is_closed || (blocker->party == origin && blocker->is_held && !is_first);
        for (size_t j = 0; blocker->party != origin && j < circle->count; j++) {
            struct stake *next = &circle->stakes[j];
            next->is_met = next->is_met || (next->party == blocker->party && !next->is_held);
        }
    }
    return is_closed;
}

static bool is_in_circle(struct circle *circle, size_t at)
{
    const struct lease_party *origin = circle->stakes[at].party;
    bool is_done[LEASES_MAX] = {false};
    for (size_t i = 0; i < circle->count; i++) {
        circle->stakes[i].is_met = false;
    }
    is_done[at] = true;
    (void)meet_blockers(circle, at, origin, true);
    for (bool has_more = true; has_more;) {
        has_more = false;
        for (size_t i = 0; i < circle->count; i++) {
            if (!circle->stakes[i].is_met || is_done[i]) {
                continue;
            }
            is_done[i] = true;
            has_more = true;
            if (meet_blockers(circle, i, origin, false)) {
                return true;
            }
        }
    }
    return false;
}

static bool holds_something(const struct circle *circle, const struct lease_party *party)
{
    for (size_t i = 0; i < circle->count; i++) {
        if (circle->stakes[i].party == party && circle->stakes[i].is_held) {
            return true;
        }
    }
    return false;
}

static void check_connection(struct circle *circle, const struct connection *connection)
{
    for (size_t i = 0; i < circle->count; i++) {
        const struct stake *stake = &circle->stakes[i];
        if (stake->party == &connection->party && !stake->is_held && is_in_circle(circle, i)) {
            world_violation(connection->world, "%s waits in a circle for lock %zu",
                            connection->name, stake->lock);
        }
    }
}

static void check_sidecar(struct circle *circle, const struct sidecar *sidecar, bool checks_all)
{
    bool is_filled = false;
    struct connection *connection;
    LIST_FOREACH (connection, &sidecar->world->connections, link) {
        if (connection->sidecar != sidecar || (!connection->has_asked && !checks_all) ||
            LIST_EMPTY(&connection->party.waits)) {
            continue;
        }
        connection->has_asked = false;
        if (!is_filled) {
            fill(circle, sidecar);
            is_filled = true;
        }
        if (holds_something(circle, &connection->party)) {
            check_connection(circle, connection);
        }
    }
}

static void check_all(struct world *world, bool checks_all)
{
    struct circle circle;
    for (size_t i = 0; i < world->sidecar_count; i++) {
        if (world->sidecars[i]->finds_deadlocks) {
            check_sidecar(&circle, world->sidecars[i], checks_all);
        }
    }
}

void checker_step_circles(struct world *world)
{
    check_all(world, false);
}

void checker_patrol_circles(struct world *world)
{
    check_all(world, true);
}

/*
 * ---- The circle that is told ----
 */

/* What is left of the text. */
struct telling {
    const char *text;
    bool is_cut; /* it did not fit */
};

static bool take(struct telling *telling, const char *expected)
{
    const size_t length = strlen(expected);
    if (strncmp(telling->text, expected, length) != 0) {
        return false;
    }
    telling->text += length;
    return true;
}

/* A name up to the comma, space or end. */
static bool take_name(struct telling *telling, char *name)
{
    const size_t length = strcspn(telling->text, ", ");
    if (length == 0 || length >= CONNECTION_NAME) {
        return false;
    }
    memcpy(name, telling->text, length);
    name[length] = '\0';
    telling->text += length;
    return true;
}

/* The stake of that name that waits for the lock, or the first one that holds it. */
static const struct stake *find_stake(const struct circle *circle, const char *name, size_t lock,
                                      bool is_held)
{
    for (size_t i = 0; i < circle->count; i++) {
        const struct stake *stake = &circle->stakes[i];
        if (stake->lock == lock && stake->is_held == is_held &&
            strcmp(stake->party->name, name) == 0) {
            return stake;
        }
    }
    return NULL;
}

/* ", held by NAME": whether that is so, and blocks. */
static bool check_link(const struct circle *circle, struct telling *telling, char *name,
                       bool *is_held)
{
    char key[CONNECTION_NAME];
    char blocker[CONNECTION_NAME];
    if (!take_name(telling, key)) {
        return false;
    }
    *is_held = take(telling, ", held by ");
    if (!*is_held && !take(telling, ", for which waits before it ")) {
        return false;
    }
    if (!take_name(telling, blocker)) {
        return false;
    }
    const size_t lock = (size_t)(key[strlen(key) - 1] - '0');
    const struct stake *waits = find_stake(circle, name, lock, false);
    const struct stake *blocks_it = find_stake(circle, blocker, lock, *is_held);
    memcpy(name, blocker, sizeof(blocker));
    return waits != NULL && blocks_it != NULL && blocks(waits, blocks_it);
}

static bool is_true(const struct circle *circle, const char *origin, const char *text)
{
    struct telling telling = {.text = text};
    char name[CONNECTION_NAME];
    bool is_held = false;
    size_t links = 0;
    if (!take(&telling, "waiting would never end: ") || !take_name(&telling, name) ||
        strcmp(name, origin) != 0 || !take(&telling, " would wait for ")) {
        return false;
    }
    do {
        if (!check_link(circle, &telling, name, &is_held)) {
            return false;
        }
        links++;
    } while (take(&telling, ", which waits for "));
    return links > 1 && is_held && strcmp(name, origin) == 0 && *telling.text == '\0';
}

/* What the bundle would have waited for, and what it had and has just given up. */
static void add_refused(struct circle *circle, const struct bundle *bundle, size_t refused)
{
    for (size_t i = 0; i < bundle->count; i++) {
        const struct client *member = bundle->members[i];
        const struct stake stake = {
            .lock = member->lock,
            .party = &bundle->connection->party,
            .is_held = member->lock < refused,
            .mode = member->mode,
            .limit = member->limit,
        };
        if (member->lock <= refused) {
            add(circle, &stake);
        }
    }
}

void checker_told_circle(const struct bundle *bundle, const char *text)
{
    const struct connection *connection = bundle->connection;
    struct circle circle;
    const char *const key = strstr(text, "lock-");
    fill(&circle, connection->sidecar);
    if (key != NULL) {
        add_refused(&circle, bundle, (size_t)(key[strlen("lock-")] - '0'));
    }
    if (!connection->sidecar->finds_deadlocks || !is_true(&circle, connection->name, text)) {
        world_violation(connection->world, "%s is told of a circle that is none: %s",
                        connection->name, text);
    }
}
