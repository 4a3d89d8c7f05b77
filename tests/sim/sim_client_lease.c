/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>

#include "base/check.h"
#include "base/clock.h"
#include "sim_client_internal.h"
#include "sim_world.h"

static void on_ask(struct world *world, void *user, uint64_t number);

static bool is_told_in_order(const struct client *client, enum lease_event event)
{
    const enum client_state state = client->state;
    switch (event) {
    case LEASE_EVENT_QUEUED:
        return state == CLIENT_ASKING && client->wait_us != 0;
    case LEASE_EVENT_GRANTED:
    case LEASE_EVENT_REFUSED:
        return state == CLIENT_ASKING || state == CLIENT_RETURNING;
    case LEASE_EVENT_AT_RISK: /* whoever adopts a lease has not heard what was told before */
        return state == CLIENT_HOLDING && (!client->is_at_risk || client->holds > 1);
    case LEASE_EVENT_RENEWED:
        return state == CLIENT_HOLDING && (client->is_at_risk || client->holds > 1);
    case LEASE_EVENT_LOST:
        return state == CLIENT_HOLDING || state == CLIENT_RELEASING;
    case LEASE_EVENT_RELEASED:
        return state == CLIENT_RELEASING;
    }
    return false;
}

/* The same lease as before, or what a late command of it has been granted since. */
static void check_resumed(const struct client *client)
{
    if (client->fence > lease_fence(client->lease) ||
        !id128_equal(&client->token, lease_token(client->lease))) {
        world_violation(client->world, "client %u resumed another lease of lock %zu",
                        client->number, client->lock);
    }
}

static void on_granted(struct client *client, int64_t now_us)
{
    struct world *world = client->world;
    const struct lease *lease = client->lease;
    const bool is_resumed =
        client->state == CLIENT_RETURNING && client->fence == lease_fence(lease);
    if (now_us >= lease_deadline_us(lease)) {
        world_violation(world, "client %u was granted a lease that is over", client->number);
    }
    if (client->state == CLIENT_RETURNING) {
        check_resumed(client);
    }
    client->fence = lease_fence(lease);
    client->token = *lease_token(lease);
    client->granted_us = world->now_us;
    client->granted_local_us = now_us;
    client->deadline_us = 0;
    client->is_at_risk = false;
    if (!is_resumed) {
        checker_granted(world, client);
    }
    if (client->kind == CLIENT_DETACHED) {
        client->lease = NULL;
        client_hold_detached(client, lease_deadline_us(lease));
    } else {
        client_start_holding(client);
    }
}

/* A detached client whose question may have gone anywhere asks again, a few times. */
static bool asks_again(struct client *client)
{
    if (client->kind != CLIENT_DETACHED || !client->may_be_retried || ++client->tries >= 4) {
        return false;
    }
    client->lease = NULL;
    client->sidecar = world_random_sidecar(client->world);
    client_start_lease(client, sim_random_between(&client->world->random, 0, 300 * WORLD_MS));
    return true;
}

static void on_refused(struct client *client, const struct store_result *result, int64_t now_us)
{
    checker_refused(client->world, client, result, now_us);
    if (result->code != STORE_UNAVAILABLE || !asks_again(client)) {
        client_finish(client);
    }
}

static void on_lost(struct client *client, enum lease_loss loss)
{
    checker_lost(client->world, client, loss);
    client_finish(client);
}

void client_on_event(struct lease_holder *holder, struct lease *lease,
                     const struct lease_report *report, int64_t now_us)
{
    struct client *client = CONTAINER_OF(holder, struct client, holder);
    struct world *world = client->world;
    world_trace(world, "client %u: lock %zu %s fence %" PRIu64, client->number, client->lock,
                world_event_name(report->event), lease_fence(lease));
    if (lease != client->lease || !is_told_in_order(client, report->event)) {
        world_violation(world, "client %u was told %s in state %d", client->number,
                        world_event_name(report->event), (int)client->state);
        return;
    }
    switch (report->event) {
    case LEASE_EVENT_QUEUED:
        checker_queued(world, client, report);
        break;
    case LEASE_EVENT_GRANTED:
        on_granted(client, now_us);
        break;
    case LEASE_EVENT_AT_RISK:
        client->is_at_risk = true;
        checker_at_risk(world, client);
        break;
    case LEASE_EVENT_RENEWED:
        client->is_at_risk = false;
        break;
    case LEASE_EVENT_LOST:
        on_lost(client, report->loss);
        break;
    case LEASE_EVENT_REFUSED:
        on_refused(client, report->result, now_us);
        break;
    case LEASE_EVENT_RELEASED:
        client_finish(client);
        break;
    }
}

/* What the service does when nobody waits for an answer any more, or the client goes. */
static void on_deadline(struct world *world, void *user, uint64_t number)
{
    (void)world;
    struct client *client = user;
    if (client->state != CLIENT_ASKING || client->asked != number ||
        !sidecar_can_run(client->sidecar, on_deadline, user, number)) {
        return;
    }
    sidecar_begin_turn(client->sidecar);
    if (client->state == CLIENT_ASKING && client->asked == number && client->lease != NULL) {
        client_drop(client);
    }
    sidecar_end_turn(client->sidecar);
}

/* After how long the client does not want it any more. */
static int64_t random_patience_us(struct client *client)
{
    struct sim_random *random = &client->world->random;
    if (client->is_probe || sim_random_chance(random, 600)) {
        return CLOCK_NEVER;
    }
    const bool is_hasty = sim_random_chance(random, 300);
    return sim_random_between(random, 0, is_hasty ? 5 * WORLD_MS : 2 * WORLD_S);
}

struct lease_ask client_ask(struct client *client, int64_t now_us)
{
    const int64_t wait_us = client->wait_us;
    client->wait_until_us = wait_us == CLOCK_NEVER ? CLOCK_NEVER : now_us + wait_us;
    return (struct lease_ask){
        .key = world_key(client->lock),
        .key_length = 6,
        .label = "sim",
        .label_length = 3,
        .mode = client->mode,
        .limit = client->limit,
        .ttl_ms = client->ttl_ms,
        .wait_until_us = wait_us == 0 ? 0 : client->wait_until_us,
        .deadline_us = CLOCK_NEVER,
        .grace_ms = client->kind == CLIENT_LEASE ? client->grace_ms : 0,
        .lock_delay_ms = client->kind == CLIENT_LEASE ? client->lock_delay_ms : 0,
        .max_hold_ms = client->kind == CLIENT_LEASE ? client->max_hold_ms : 0,
        .is_detached = client->kind == CLIENT_DETACHED,
        .may_be_retried = client->kind == CLIENT_DETACHED && client->may_be_retried,
        .token = client->kind == CLIENT_DETACHED ? &client->token : NULL,
        .party = &client->party,
    };
}

static void ask(struct client *client)
{
    struct world *world = client->world;
    const int64_t now_us = sidecar_now_us(client->sidecar);
    const int64_t patience_us = random_patience_us(client);
    struct lease_ask ask = client_ask(client, now_us);
    struct keeper_problem problem;
    if (patience_us != CLOCK_NEVER && client->wait_us == 0) {
        ask.deadline_us = now_us + patience_us;
    }
    connection_look_all(client->sidecar);
    client_note_asked(client);
    client->lease =
        keeper_acquire(client->sidecar->keeper, &ask, &client->holder, &problem, now_us);
    world_trace(world, "client %u: asks sidecar %u for lock %zu %s limit %u, waits %lld us%s",
                client->number, client->sidecar->number, client->lock,
                client->mode == STORE_SHARED ? "SHARED" : "EXCLUSIVE", client->limit,
                (long long)client->wait_us, client->lease == NULL ? ": refused" : "");
    if (client->lease == NULL) {
        client_finish(client);
    } else if (patience_us != CLOCK_NEVER) {
        world_after(world, patience_us, on_deadline, client, client->asked);
    }
}

static void on_ask(struct world *world, void *user, uint64_t number)
{
    (void)world;
    struct client *client = user;
    struct sidecar *sidecar = client->sidecar;
    if (client->state != CLIENT_ASKING || client->lease != NULL ||
        !sidecar_can_run(sidecar, on_ask, user, number)) {
        return;
    }
    sidecar_begin_turn(sidecar);
    ask(client);
    sidecar_end_turn(sidecar);
}

void client_start_lease(struct client *client, int64_t delay_us)
{
    world_after(client->world, delay_us, on_ask, client, 0);
}

void client_disown_lease(struct client *client)
{
    const bool may_return = client->state == CLIENT_HOLDING && client->grace_ms > 0;
    if (client->lease != NULL) {
        const int64_t deadline_us = may_return ? lease_deadline_us(client->lease) : 0;
        lease_revoke(client->lease, sidecar_now_us(client->sidecar)); /* nothing is sent any more */
        client->lease = NULL;
        /* Where Redis forgets, nobody renews it any more: the documented exception. */
        if (may_return && !client->world->forgets) {
            client_go_away(client, deadline_us);
            return;
        }
    }
    if (client->state != CLIENT_ASKING || !asks_again(client)) {
        client_finish(client);
    }
}
