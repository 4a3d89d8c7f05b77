/* SPDX-License-Identifier: Apache-2.0 */
#include "sim_bundle.h"

#include <string.h>

#include "base/check.h"
#include "base/clock.h"
#include "sim_client_internal.h"
#include "sim_world.h"

static void finish(struct bundle *bundle)
{
    bundle->state = BUNDLE_DONE;
    bundle->group = NULL;
    for (size_t i = 0; i < bundle->count; i++) {
        client_finish(bundle->members[i]);
    }
}

const struct lease *bundle_lease(const struct bundle *bundle, size_t index)
{
    return bundle->group == NULL ? NULL : group_lease(bundle->group, index);
}

static bool is_new(const struct bundle *bundle, size_t index)
{
    return bundle->members[index]->asked == CLIENT_NOT_ASKED && bundle_lease(bundle, index) != NULL;
}

struct client *bundle_news(const struct bundle *bundle)
{
    for (size_t i = 0; bundle->state == BUNDLE_ASKING && i < bundle->count; i++) {
        if (is_new(bundle, i)) {
            return bundle->members[i];
        }
    }
    return NULL;
}

/* Nobody believes in it before the whole bundle is granted, but all must be as if. */
static void note_held(struct client *member, const struct lease *lease)
{
    struct world *world = member->world;
    member->fence = lease_fence(lease);
    member->token = *lease_token(lease);
    member->granted_us = world->now_us;
    member->granted_local_us = sidecar_now_us(member->sidecar);
    member->deadline_us = 0;
    client_change_state(member, CLIENT_HOLDING);
    checker_granted(world, member);
}

static bool names_lock(const struct lease *lease, size_t lock)
{
    size_t length = 0;
    const char *key = lease_key(lease, &length);
    return length == strlen(world_key(lock)) && memcmp(key, world_key(lock), length) == 0;
}

void bundle_look(struct bundle *bundle)
{
    for (size_t i = 0; i < bundle->count; i++) {
        struct client *member = bundle->members[i];
        const struct lease *lease = bundle_lease(bundle, i);
        if (is_new(bundle, i)) {
            client_note_asked(member);
        }
        if (lease != NULL && !names_lock(lease, member->lock)) {
            world_violation(member->world, "%s takes its locks out of order",
                            bundle->connection->name);
        }
        if (member->state == CLIENT_ASKING && lease != NULL && lease_state(lease) == LEASE_HELD) {
            note_held(member, lease);
        } else if (member->state == CLIENT_HOLDING && lease == NULL) {
            world_violation(member->world, "client %u: lock %zu of a bundle is gone without a word",
                            member->number, member->lock);
        }
    }
}

static struct client *find_concerned(const struct bundle *bundle, const struct lease_report *report)
{
    for (size_t i = 0; i < bundle->count; i++) {
        if (names_lock(report->lease, bundle->members[i]->lock)) {
            return bundle->members[i];
        }
    }
    world_violation(bundle->connection->world, "%s is told of a lock that it did not ask for",
                    bundle->connection->name);
    return bundle->members[0];
}

static bool is_told_in_order(const struct bundle *bundle, enum lease_event event)
{
    switch (event) {
    case LEASE_EVENT_QUEUED:
        return bundle->state == BUNDLE_ASKING && bundle->members[0]->wait_us != 0;
    case LEASE_EVENT_GRANTED:
    case LEASE_EVENT_REFUSED:
        return bundle->state == BUNDLE_ASKING;
    case LEASE_EVENT_AT_RISK:
        return bundle->state == BUNDLE_HOLDING && !bundle->is_at_risk;
    case LEASE_EVENT_RENEWED:
        return bundle->state == BUNDLE_HOLDING && bundle->is_at_risk;
    case LEASE_EVENT_LOST:
        return bundle->state == BUNDLE_HOLDING || bundle->state == BUNDLE_RELEASING;
    case LEASE_EVENT_RELEASED:
        return bundle->state == BUNDLE_RELEASING;
    }
    return false;
}

static void on_granted(struct bundle *bundle, int64_t now_us)
{
    bundle->state = BUNDLE_HOLDING;
    for (size_t i = 0; i < bundle->count; i++) {
        bundle->members[i]->granted_local_us = now_us;
    }
    checker_bundle_granted(bundle);
    connection_on_granted(bundle->connection, bundle);
}

static void on_lost(struct bundle *bundle, const struct lease_report *report)
{
    if (bundle->state == BUNDLE_HOLDING) {
        checker_lost(bundle->connection->world, find_concerned(bundle, report), report->loss);
    } else {
        checker_bundle_lost(bundle, report->loss);
    }
}

static void on_end(struct bundle *bundle, const struct lease_report *report)
{
    const bool is_deadlock = report->problem != NULL && report->problem->refusal == KEEPER_DEADLOCK;
    if (report->event == LEASE_EVENT_LOST) {
        on_lost(bundle, report);
    } else if (report->event == LEASE_EVENT_REFUSED) {
        checker_bundle_refused(bundle, report);
    }
    checker_bundle_ended(bundle);
    finish(bundle);
    connection_on_end(bundle->connection, is_deadlock);
}

/* Nothing is left of it then. */
static bool is_end(enum lease_event event)
{
    return event == LEASE_EVENT_REFUSED || event == LEASE_EVENT_LOST ||
           event == LEASE_EVENT_RELEASED;
}

static void on_event(struct group *group, const struct lease_report *report, int64_t now_us)
{
    struct bundle *bundle = CONTAINER_OF(group, struct bundle, locks);
    struct world *world = bundle->connection->world;
    world_trace(world, "%s: bundle of %zu locks from client %u on: %s", bundle->connection->name,
                bundle->count, bundle->members[0]->number, world_event_name(report->event));
    if (group != bundle->group || !is_told_in_order(bundle, report->event)) {
        world_violation(world, "%s was told %s in state %d", bundle->connection->name,
                        world_event_name(report->event), (int)bundle->state);
        return;
    }
    if (!is_end(report->event)) {
        connection_look_all(bundle->connection->sidecar);
    }
    switch (report->event) {
    case LEASE_EVENT_QUEUED:
        checker_queued(world, find_concerned(bundle, report), report);
        break;
    case LEASE_EVENT_GRANTED:
        on_granted(bundle, now_us);
        break;
    case LEASE_EVENT_AT_RISK:
        bundle->is_at_risk = true;
        checker_at_risk(world, find_concerned(bundle, report));
        break;
    case LEASE_EVENT_RENEWED:
        bundle->is_at_risk = false;
        break;
    case LEASE_EVENT_LOST:
    case LEASE_EVENT_REFUSED:
    case LEASE_EVENT_RELEASED:
        on_end(bundle, report);
        break;
    }
}

static void create_members(struct bundle *bundle, const struct bundle_terms *terms, int64_t now_us)
{
    struct connection *connection = bundle->connection;
    for (size_t lock = 0; lock < REDIS_LOCKS; lock++) {
        if (!terms->wants[lock]) {
            continue;
        }
        struct client *member = client_create_member(connection->sidecar, lock);
        member->bundle = bundle;
        member->bundle_index = bundle->count;
        member->mode = terms->mode;
        member->limit = terms->limit;
        member->ttl_ms = terms->ttl_ms;
        member->wait_us = terms->wait_us;
        member->wait_until_us =
            terms->wait_us == CLOCK_NEVER ? CLOCK_NEVER : now_us + terms->wait_us;
        member->lock_delay_ms = terms->lock_delay_ms;
        member->max_hold_ms = terms->max_hold_ms;
        bundle->members[bundle->count++] = member;
    }
}

/* In any order. */
static void draw_names(const struct bundle *bundle, struct group_name *names)
{
    struct sim_random *random = &bundle->connection->world->random;
    for (size_t i = 0; i < bundle->count; i++) {
        const size_t at = (size_t)sim_random_between(random, 0, (int64_t)i);
        if (at != i) {
            names[i] = names[at];
        }
        names[at].key = world_key(bundle->members[i]->lock);
        names[at].key_length = strlen(names[at].key);
    }
}

static struct lease_ask make_ask(const struct bundle *bundle, const struct bundle_terms *terms,
                                 int64_t now_us)
{
    const bool is_hasty = terms->patience_us != CLOCK_NEVER && terms->wait_us == 0;
    return (struct lease_ask){
        .label = "bundle",
        .label_length = 6,
        .mode = terms->mode,
        .limit = terms->limit,
        .ttl_ms = terms->ttl_ms,
        .wait_until_us = terms->wait_us == 0 ? 0 : bundle->members[0]->wait_until_us,
        .deadline_us = is_hasty ? now_us + terms->patience_us : CLOCK_NEVER,
        .grace_ms = terms->grace_ms,
        .lock_delay_ms = terms->lock_delay_ms,
        .max_hold_ms = terms->max_hold_ms,
        .party = &bundle->connection->party,
    };
}

void bundle_ask(struct bundle *bundle, struct connection *connection,
                const struct bundle_terms *terms)
{
    struct sidecar *sidecar = connection->sidecar;
    const int64_t now_us = sidecar_now_us(sidecar);
    struct group_name names[REDIS_LOCKS];
    struct keeper_problem problem;
    *bundle = (struct bundle){.connection = connection};
    group_init(&bundle->locks, on_event);
    create_members(bundle, terms, now_us);
    draw_names(bundle, names);
    const struct lease_ask ask = make_ask(bundle, terms, now_us);
    connection_look_all(sidecar);
    const bool is_asked = group_acquire(&bundle->locks, sidecar->keeper, names, bundle->count, &ask,
                                        &problem, now_us);
    bundle->group = is_asked ? &bundle->locks : NULL;
    world_trace(connection->world, "%s: asks sidecar %u for locks %s%s%s %s, waits %lld us%s",
                connection->name, sidecar->number, terms->wants[0] ? "0" : "",
                terms->wants[1] ? "1" : "", terms->wants[2] ? "2" : "",
                terms->mode == STORE_SHARED ? "SHARED" : "EXCLUSIVE", (long long)terms->wait_us,
                bundle->group == NULL ? ": refused" : "");
    if (bundle->group == NULL) {
        const struct lease_report report = {.event = LEASE_EVENT_REFUSED, .problem = &problem};
        on_end(bundle, &report);
    } else {
        connection_look_all(sidecar);
    }
}

void bundle_release(struct bundle *bundle)
{
    const struct connection *connection = bundle->connection;
    world_trace(connection->world, "%s: releases the bundle from client %u on", connection->name,
                bundle->members[0]->number);
    bundle->state = BUNDLE_RELEASING;
    for (size_t i = 0; i < bundle->count; i++) {
        client_change_state(bundle->members[i], CLIENT_RELEASING);
    }
    group_release(bundle->group, sidecar_now_us(connection->sidecar));
}

void bundle_drop(struct bundle *bundle)
{
    const struct connection *connection = bundle->connection;
    world_trace(connection->world, "%s: drops the bundle from client %u on", connection->name,
                bundle->members[0]->number);
    group_revoke(bundle->group, sidecar_now_us(connection->sidecar));
    checker_bundle_ended(bundle);
    finish(bundle);
}

void bundle_abandon(struct bundle *bundle)
{
    const struct connection *connection = bundle->connection;
    world_trace(connection->world, "%s: abandons the bundle from client %u on", connection->name,
                bundle->members[0]->number);
    group_abandon(bundle->group, sidecar_now_us(connection->sidecar));
    finish(bundle);
}
