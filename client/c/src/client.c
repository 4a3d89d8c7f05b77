/* SPDX-License-Identifier: Apache-2.0 */
#include "client.h"

#include <stdio.h>

#include <event2/event.h>

#include "base/check.h"
#include "call.h"
#include "election.h"
#include "hold.h"
#include "request.h"
#include "watch.h"

/* What one turn delivers before the loop may look at its sockets again. */
#define DELIVERIES_A_TURN 256

static void report_first_attempt(struct holdfast_async *client, const char *why)
{
    void (*on_first_attempt)(void *user, const char *why) = client->on_first_attempt;
    client->on_first_attempt = NULL;
    if (on_first_attempt != NULL) {
        on_first_attempt(client->first_attempt_user, why);
    }
}

static void on_up(void *user)
{
    struct holdfast_async *client = user;
    client->down[0] = '\0';
    report_first_attempt(client, "");
}

static void on_down(void *user, const char *why)
{
    struct holdfast_async *client = user;
    (void)snprintf(client->down, sizeof(client->down), "%.*s: %s", ADDRESS_TEXT_SIZE / 3,
                   client->reach.address.text, why);
    report_first_attempt(client, client->down);
}

static const struct channel_events channel_events = {.on_up = on_up, .on_down = on_down};

static void deliver_some(struct holdfast_async *client, int count)
{
    client->is_delivering = true;
    for (int i = 0; i < count && !TAILQ_EMPTY(&client->deliveries); i++) {
        struct delivery *delivery = TAILQ_FIRST(&client->deliveries);
        client_cancel(client, delivery);
        delivery->run(delivery);
    }
    client->is_delivering = false;
}

static void on_turn(evutil_socket_t descriptor, short what, void *argument)
{
    (void)descriptor;
    (void)what;
    struct holdfast_async *client = argument;
    const struct timeval at_once = {.tv_sec = 0};
    deliver_some(client, DELIVERIES_A_TURN);
    if (!TAILQ_EMPTY(&client->deliveries)) {
        (void)evtimer_add(client->turn, &at_once);
    }
}

void client_deliver(struct holdfast_async *client, struct delivery *delivery)
{
    if (delivery->is_queued) {
        return;
    }
    delivery->is_queued = true;
    TAILQ_INSERT_TAIL(&client->deliveries, delivery, link);
    if (!client->is_delivering && !client->is_closing) {
        event_active(client->turn, EV_TIMEOUT, 1);
    }
}

void client_cancel(struct holdfast_async *client, struct delivery *delivery)
{
    if (delivery->is_queued) {
        delivery->is_queued = false;
        TAILQ_REMOVE(&client->deliveries, delivery, link);
    }
}

void client_init(struct holdfast_async *client, struct event_base *base)
{
    *client = (struct holdfast_async){.base = base};
    TAILQ_INIT(&client->requests);
    TAILQ_INIT(&client->deliveries);
    LIST_INIT(&client->holds);
    LIST_INIT(&client->watches);
    LIST_INIT(&client->calls);
    LIST_INIT(&client->elections);
}

bool client_open(struct holdfast_async *client, const struct holdfast_options *options,
                 char error[HOLDFAST_ERROR_SIZE])
{
    const struct holdfast_options defaults = {.server = NULL};
    if (!reach_init(&client->reach, options != NULL ? options : &defaults, error)) {
        return false;
    }
    const struct stream_config config = {
        .base = client->base,
        .address = &client->reach.address,
        .tls = client->reach.tls,
        .timeout_ms = client->reach.timeout_ms,
    };
    (void)snprintf(client->down, sizeof(client->down), "not connected yet");
    client->turn = evtimer_new(client->base, on_turn, client);
    if (client->turn != NULL && channel_init(&client->channel, &config, &channel_events, client)) {
        return true;
    }
    (void)snprintf(error, HOLDFAST_ERROR_SIZE, "the event loop has no memory left");
    if (client->turn != NULL) {
        event_free(client->turn);
    }
    reach_release(&client->reach);
    return false;
}

/* Requests made by callbacks that run in here are answered like the rest. */
void client_close(struct holdfast_async *client)
{
    CHECK(!client->is_delivering);
    client->is_closing = true;
    client->on_first_attempt = NULL;
    election_close_all(client);
    watch_close_all(client);
    call_close_all(client);
    hold_close_all(client);
    while (!TAILQ_EMPTY(&client->requests)) {
        struct request *request = TAILQ_FIRST(&client->requests);
        request->on_timeout(request);
    }
    while (!TAILQ_EMPTY(&client->deliveries)) {
        deliver_some(client, DELIVERIES_A_TURN);
    }
    channel_release(&client->channel);
    event_free(client->turn);
    reach_release(&client->reach);
}
