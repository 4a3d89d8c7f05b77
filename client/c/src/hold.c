/* SPDX-License-Identifier: Apache-2.0 */
#include "hold.h"

#include <event2/event.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/memory.h"
#include "hold_internal.h"
#include "unary.h"

static const struct callback nobody = {.kind = CALLBACK_DONE};

static void hold_destroy(struct hold *hold)
{
    hold_drop_pings(hold, HOLDFAST_NOT_HELD, "the lease ended");
    CHECK(hold->request == NULL);
    channel_call_forget(&hold->client->channel, &hold->call);
    client_cancel(hold->client, &hold->tell_queued);
    client_cancel(hold->client, &hold->tell_at_risk);
    client_cancel(hold->client, &hold->tell_lost);
    LIST_REMOVE(hold, link);
    event_free(hold->timer);
    if (hold->lease != NULL) {
        lease_end(hold->lease);
        hold->lease->hold = NULL;
        lease_let_go(hold->lease);
    }
    memory_free(hold->ahead);
    ask_release(&hold->ask);
    memory_free(hold);
}

void hold_leave_stream(struct hold *hold)
{
    if (hold->call.state == CALL_ACTIVE && hold->client->channel.is_up) {
        channel_half_close(&hold->client->channel, &hold->call);
    }
    channel_call_forget(&hold->client->channel, &hold->call);
}

void hold_finish(struct hold *hold, enum holdfast_result result, const char *text)
{
    struct request *request = hold->request;
    hold->request = NULL;
    if (request != NULL) {
        request_answer(request, result, text);
    }
    hold_destroy(hold);
}

void hold_settle(struct hold *hold, int64_t now_us)
{
    struct request *request = hold->request;
    lease_hold(hold->lease);
    request->lease = hold->lease;
    hold->request = NULL;
    hold->state = HOLD_HELD;
    request_answer(request, HOLDFAST_OK, "");
    hold_plan_ping(hold, now_us);
    hold_set_timer(hold, now_us);
}

static void deliver_queued(struct delivery *delivery)
{
    struct hold *hold = CONTAINER_OF(delivery, struct hold, tell_queued);
    hold->ask.events.on_queued(hold->position, hold->ahead, hold->ask.events.user);
}

static void deliver_at_risk(struct delivery *delivery)
{
    struct hold *hold = CONTAINER_OF(delivery, struct hold, tell_at_risk);
    struct holdfast_lease *lease = hold->lease;
    if (hold->ask.events.on_at_risk != NULL) {
        hold->ask.events.on_at_risk(lease, holdfast_lease_valid_for_ms(lease),
                                    hold->ask.events.user);
    }
}

/* The application may free the lease in on_lost; so the hold goes first. */
static void deliver_lost(struct delivery *delivery)
{
    struct hold *hold = CONTAINER_OF(delivery, struct hold, tell_lost);
    struct holdfast_lease *lease = hold->lease;
    struct holdfast_lease_events events = hold->ask.events;
    enum holdfast_loss loss = hold->loss;
    lease_hold(lease);
    hold_destroy(hold);
    if (events.on_lost != NULL) {
        events.on_lost(lease, loss, events.user);
    }
    lease_let_go(lease);
}

void hold_warn(struct hold *hold)
{
    if (!hold->is_warned) {
        hold->is_warned = true;
        client_deliver(hold->client, &hold->tell_at_risk);
    }
}

void hold_lose(struct hold *hold, enum holdfast_loss loss)
{
    lease_end(hold->lease);
    (void)event_del(hold->timer);
    hold_leave_stream(hold);
    hold_drop_pings(hold, HOLDFAST_NOT_HELD, "the lease was lost");
    client_cancel(hold->client, &hold->tell_at_risk);
    hold->state = HOLD_LOST;
    hold->loss = loss;
    client_deliver(hold->client, &hold->tell_lost);
}

bool hold_is_in_time(struct hold *hold, int64_t now_us)
{
    bool is_held = hold->state == HOLD_HELD || hold->state == HOLD_RESUMING;
    if (!is_held || lease_left_us(hold->lease, now_us) > 0) {
        return true;
    }
    if (hold->state == HOLD_RESUMING) {
        hold_lose(hold, HOLDFAST_LOSS_CONNECTION);
    } else {
        hold_lose(hold, hold->is_last_term ? HOLDFAST_LOSS_MAX_HOLD : HOLDFAST_LOSS_EXPIRED);
    }
    return false;
}

/* Of the ask and of the release. */
static void on_request_timeout(struct request *request)
{
    struct hold *hold = request->owner;
    if (hold->client->is_closing) {
        hold_finish(hold, HOLDFAST_AWAY, REQUEST_CLOSED);
    } else if (hold->call.state == CALL_WAITING) {
        hold_finish(hold, HOLDFAST_AWAY, hold->client->down);
    } else {
        hold_leave_stream(hold);
        hold_finish(hold, HOLDFAST_TIMEOUT, HOLD_NO_ANSWER);
    }
}

static void on_cancel(struct request *request)
{
    struct hold *hold = request->owner;
    hold_leave_stream(hold);
    hold_finish(hold, HOLDFAST_CANCELLED, "the request was cancelled");
}

static void on_renew_timeout(struct request *request)
{
    struct ping *ping = request->owner;
    ping->request = NULL;
    request_answer(request, HOLDFAST_TIMEOUT, HOLD_NO_ANSWER);
}

/* A hold with its request, not started. */
static struct hold *hold_create(struct request *request, const struct holdfast_ask *ask)
{
    struct hold *hold = memory_alloc(sizeof(*hold));
    hold->client = request->client;
    hold->call.events = &hold_call_events;
    hold->request = request;
    request->owner = hold;
    request->on_timeout = on_request_timeout;
    request->on_cancel = on_cancel;
    ask_copy(&hold->ask, ask);
    hold->tell_queued.run = deliver_queued;
    hold->tell_at_risk.run = deliver_at_risk;
    hold->tell_lost.run = deliver_lost;
    TAILQ_INIT(&hold->pings);
    hold->timer = evtimer_new(hold->client->base, hold_on_timer, hold);
    CHECK(hold->timer != NULL);
    LIST_INSERT_HEAD(&hold->client->holds, hold, link);
    return hold;
}

uint64_t hold_start(struct holdfast_async *client, const struct holdfast_ask *ask,
                    const struct id128 *token, const struct callback *callback)
{
    struct request *request = request_create(client, callback);
    uint64_t id = client->last_request_id;
    if (request == NULL) {
        return id;
    }
    struct hold *hold = hold_create(request, ask);
    hold->is_resumption = token != NULL;
    if (token != NULL) {
        hold->token = *token;
    }
    channel_call_start(&client->channel, &hold->call);
    return id;
}

/* The connection is away, but the server may still have the lease for its grace: the token gives it
 * up. */
static void release_unconnected(struct hold *hold, const struct callback *callback)
{
    struct holdfast_lease *lease = hold->lease;
    struct holdfast_async *client = hold->client;
    const struct unary_lease of = {.key = lease->locks[0].key, .token = lease->token.bytes};
    lease_hold(lease);
    hold_destroy(hold);
    unary_release(client, &of, NULL, callback);
    lease_let_go(lease);
}

static void begin_release(struct hold *hold, struct request *request)
{
    hold->state = HOLD_RELEASING;
    hold->request = request;
    request->owner = hold;
    request->on_timeout = on_request_timeout;
    lease_end(hold->lease);
    (void)event_del(hold->timer);
    hold_drop_pings(hold, HOLDFAST_NOT_HELD, "the lease is being released");
    client_cancel(hold->client, &hold->tell_at_risk);
    channel_half_close(&hold->client->channel, &hold->call);
}

void hold_release(struct hold *hold, const struct callback *callback)
{
    bool is_in_time = hold_is_in_time(hold, clock_now_us());
    if (hold->state == HOLD_RESUMING && hold->call.state != CALL_ACTIVE) {
        release_unconnected(hold, callback);
        return;
    }
    struct request *request = request_create(hold->client, callback);
    if (request == NULL) {
        return;
    }
    if (is_in_time && (hold->state == HOLD_HELD || hold->state == HOLD_RESUMING)) {
        begin_release(hold, request);
        return;
    }
    request_answer(request, HOLDFAST_NOT_HELD, "the lease was lost or released before");
    if (hold->state == HOLD_LOST) {
        hold_destroy(hold);
    }
}

void hold_renew(struct hold *hold, const struct callback *callback)
{
    int64_t now_us = clock_now_us();
    struct request *request = request_create(hold->client, callback);
    if (request == NULL) {
        return;
    }
    bool is_in_time = hold_is_in_time(hold, now_us);
    if (!is_in_time || (hold->state != HOLD_HELD && hold->state != HOLD_RESUMING)) {
        request_answer(request, HOLDFAST_NOT_HELD, "the lease was lost or released before");
        return;
    }
    struct ping *ping = hold_send_ping(hold, now_us);
    if (ping == NULL) {
        request_answer(request, HOLDFAST_LIMIT, "too many renewals wait for the server");
        return;
    }
    ping->request = request;
    request->owner = ping;
    request->on_timeout = on_renew_timeout;
}

void hold_abandon(struct hold *hold)
{
    if (hold->state == HOLD_RELEASING) {
        return;
    }
    if (hold->state == HOLD_RESUMING && hold->call.state != CALL_ACTIVE) {
        release_unconnected(hold, &nobody);
        return;
    }
    hold_leave_stream(hold);
    hold_destroy(hold);
}

void hold_close_all(struct holdfast_async *client)
{
    while (!LIST_EMPTY(&client->holds)) {
        hold_finish(LIST_FIRST(&client->holds), HOLDFAST_AWAY, REQUEST_CLOSED);
    }
}
