/* SPDX-License-Identifier: Apache-2.0 */
#include "request.h"

#include <stdarg.h>
#include <stdio.h>

#include <event2/event.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/memory.h"
#include "lease.h"
#include "list.h"
#include "outcome.h"

static void set_timer(struct request *request, int64_t delay_us)
{
    struct timeval delay = {.tv_sec = (time_t)(delay_us / CLOCK_US_PER_S),
                            .tv_usec = (suseconds_t)(delay_us % CLOCK_US_PER_S)};
    CHECK(evtimer_add(request->timer, &delay) == 0);
}

static void on_timer(evutil_socket_t descriptor, short what, void *argument)
{
    (void)descriptor;
    (void)what;
    struct request *request = argument;
    request->on_timeout(request);
}

/* A lock granted in the last turn goes with the connection; do not hand it out. */
static void withdraw_if_closing(struct request *request)
{
    if (request->client->is_closing && request->lease != NULL && !request->lease->is_detached) {
        lease_let_go(request->lease);
        request->lease = NULL;
        request->result = HOLDFAST_AWAY;
        (void)snprintf(request->error, sizeof(request->error), REQUEST_CLOSED);
    }
}

static void deliver(struct delivery *delivery)
{
    struct request *request = CONTAINER_OF(delivery, struct request, delivery);
    withdraw_if_closing(request);
    const struct callback *callback = &request->callback;
    const struct holdfast_holder *holder = request->holder;
    switch (callback->kind) {
    case CALLBACK_LEASE:
        callback->on_lease(request->result, request->lease, holder, request->error, callback->user);
        break;
    case CALLBACK_DONE:
        if (callback->on_done != NULL) {
            callback->on_done(request->result, request->error, callback->user);
        }
        break;
    case CALLBACK_INSPECT:
        callback->on_inspect(request->result, holder, request->error, callback->user);
        break;
    case CALLBACK_LOCKS:
        list_tell_locks(request);
        break;
    case CALLBACK_CONNECTIONS:
        list_tell_connections(request);
        break;
    }
    list_destroy(request->list);
    memory_free(request->holder);
    memory_free(request);
}

struct request *request_create(struct holdfast_async *client, const struct callback *callback)
{
    struct request *request = memory_alloc(sizeof(*request));
    request->delivery.run = deliver;
    request->client = client;
    request->callback = *callback;
    request->id = ++client->last_request_id;
    TAILQ_INSERT_TAIL(&client->requests, request, link);
    client->request_count++;
    request->timer = evtimer_new(client->base, on_timer, request);
    CHECK(request->timer != NULL);
    if (client->is_closing) {
        request_answer(request, HOLDFAST_AWAY, REQUEST_CLOSED);
        return NULL;
    }
    if (client->request_count > CLIENT_REQUESTS_MAX || channel_is_congested(&client->channel)) {
        request_answer_format(request, HOLDFAST_LIMIT,
                              "too many requests wait for the server (at most %d)",
                              CLIENT_REQUESTS_MAX);
        return NULL;
    }
    int64_t timeout_us = (int64_t)client->reach.timeout_ms * CLOCK_US_PER_MS;
    request->deadline_us = clock_now_us() + timeout_us;
    set_timer(request, timeout_us);
    return request;
}

void request_take_holder(struct request *request, const Holdfast__V1__Holder *holder)
{
    if (request->holder == NULL) {
        request->holder = memory_alloc(sizeof(*request->holder));
    }
    if (holder != NULL) {
        outcome_take_holder(request->holder, holder);
    }
}

void request_postpone(struct request *request, int64_t delay_us)
{
    request->deadline_us = clock_now_us() + delay_us;
    set_timer(request, delay_us);
}

struct request *request_find(struct holdfast_async *client, uint64_t id)
{
    struct request *request;
    TAILQ_FOREACH (request, &client->requests, link) {
        if (request->id == id) {
            return request;
        }
    }
    return NULL;
}

void request_answer(struct request *request, enum holdfast_result result, const char *text)
{
    struct holdfast_async *client = request->client;
    TAILQ_REMOVE(&client->requests, request, link);
    client->request_count--;
    event_free(request->timer);
    request->timer = NULL;
    request->owner = NULL;
    request->result = result;
    (void)snprintf(request->error, sizeof(request->error), "%s", text);
    client_deliver(client, &request->delivery);
}

void request_answer_format(struct request *request, enum holdfast_result result, const char *format,
                           ...)
{
    char text[HOLDFAST_ERROR_SIZE];
    va_list values;
    va_start(values, format);
    (void)vsnprintf(text, sizeof(text), format, values);
    va_end(values);
    request_answer(request, result, text);
}

void request_wait_longer(struct request *request, int64_t delay_us)
{
    set_timer(request, delay_us);
}
