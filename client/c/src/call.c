/* SPDX-License-Identifier: Apache-2.0 */
#include "call.h"

#include <event2/event.h>
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/compiler.h"
#include "base/memory.h"
#include "call_ask.h"
#include "wire/ttrpc.h"

/* How much longer than the server we wait for the end that it makes of an overdue call. */
#define SERVER_HEAD_START_US (250 * CLOCK_US_PER_MS)

#define CALL_NAME_MAX ((size_t)256)

_Static_assert(HOLDFAST_MESSAGE_MAX == TTRPC_DATA_MAX, "what is said of messages");

/* A message that waits: to be told, or to be sent. */
struct message {
    STAILQ_ENTRY(message) link;
    size_t length;
    uint8_t bytes[];
};

STAILQ_HEAD(message_queue, message);

struct holdfast_call {
    LIST_ENTRY(holdfast_call) link;
    struct holdfast_async *client; /* NULL once that is closed */
    struct holdfast_call_events events;
    struct holdfast_call_ask ask; /* what it points to is ours */
    struct channel_call call;
    struct event *timer;
    int64_t deadline_us; /* CLOCK_NEVER: none */
    bool was_sent;
    bool is_late; /* past the deadline, within the head start */
    bool is_half_closed;
    struct message_queue outbox; /* until there is a connection */
    size_t outbox_bytes;

    struct message_queue inbox;
    struct delivery tell;
    bool is_over;
    bool is_told;
    bool is_delivering; /* a callback runs */
    bool is_freed;      /* by that callback: the rest comes when it has returned */
    enum status status;
    char text[HOLDFAST_ERROR_SIZE];
};

static void push(struct message_queue *queue, const void *bytes, size_t length)
{
    struct message *message = memory_alloc(sizeof(*message) + length);
    message->length = length;
    if (length > 0) {
        memcpy(message->bytes, bytes, length);
    }
    STAILQ_INSERT_TAIL(queue, message, link);
}

static void drop_all(struct message_queue *queue)
{
    struct message *message = NULL;
    while ((message = STAILQ_FIRST(queue)) != NULL) {
        STAILQ_REMOVE_HEAD(queue, link);
        memory_free(message);
    }
}

static void destroy(struct holdfast_call *call)
{
    drop_all(&call->outbox);
    drop_all(&call->inbox);
    call_ask_release(&call->ask);
    memory_free(call);
}

/* The callbacks may free the call. */
static void deliver(struct delivery *delivery)
{
    struct holdfast_call *call = CONTAINER_OF(delivery, struct holdfast_call, tell);
    struct message *message = NULL;
    call->is_delivering = true;
    while (!call->is_freed && (message = STAILQ_FIRST(&call->inbox)) != NULL) {
        STAILQ_REMOVE_HEAD(&call->inbox, link);
        call->events.on_message(message->bytes, message->length, call->events.user);
        memory_free(message);
    }
    if (!call->is_freed && call->is_over && !call->is_told) {
        call->is_told = true;
        call->events.on_end((int)call->status, call->text, call->events.user);
    }
    call->is_delivering = false;
    if (call->is_freed) {
        destroy(call);
    }
}

static void end(struct holdfast_call *call, enum status status, const char *text)
{
    if (call->is_over) {
        return;
    }
    call->is_over = true;
    call->status = status;
    (void)snprintf(call->text, sizeof(call->text), "%s", text);
    channel_call_forget(&call->client->channel, &call->call);
    evtimer_del(call->timer);
    drop_all(&call->outbox);
    client_deliver(call->client, &call->tell);
}

static void set_timer(struct holdfast_call *call, int64_t delay_us)
{
    const int64_t wait_us = delay_us > 0 ? delay_us : 0;
    const struct timeval delay = {.tv_sec = (time_t)(wait_us / CLOCK_US_PER_S),
                                  .tv_usec = (suseconds_t)(wait_us % CLOCK_US_PER_S)};
    CHECK(evtimer_add(call->timer, &delay) == 0);
}

static int64_t left_us(const struct holdfast_call *call)
{
    return call->deadline_us - clock_now_us();
}

static void on_timer(evutil_socket_t descriptor, short what, void *argument)
{
    struct holdfast_call *call = argument;
    (void)descriptor;
    (void)what;
    if (call->call.state == CALL_WAITING) {
        end(call, STATUS_UNAVAILABLE, call->client->down);
    } else if (!call->is_late) {
        call->is_late = true;
        set_timer(call, SERVER_HEAD_START_US);
    } else {
        end(call, STATUS_DEADLINE_EXCEEDED, "the server did not answer before the deadline");
    }
}

static void send_outbox(struct holdfast_call *call)
{
    struct message *message = NULL;
    while ((message = STAILQ_FIRST(&call->outbox)) != NULL) {
        STAILQ_REMOVE_HEAD(&call->outbox, link);
        channel_send_raw_message(&call->client->channel, &call->call, message->bytes,
                                 message->length);
        memory_free(message);
    }
    call->outbox_bytes = 0;
    if (call->ask.is_client_streaming && call->is_half_closed) {
        channel_half_close(&call->client->channel, &call->call);
    }
}

static struct channel_raw_request request_of(const struct holdfast_call_ask *ask)
{
    return (struct channel_raw_request){
        .service = ask->service,
        .method = ask->method,
        .message = ask->is_client_streaming ? NULL : ask->message,
        .length = ask->is_client_streaming ? 0 : ask->message_length,
        .headers = ask->headers,
        .header_count = ask->header_count,
    };
}

static void on_ready(struct channel_call *base)
{
    struct holdfast_call *call = CONTAINER_OF(base, struct holdfast_call, call);
    struct channel_raw_request request = request_of(&call->ask);
    evtimer_del(call->timer);
    if (call->deadline_us != CLOCK_NEVER) {
        const int64_t rest_us = left_us(call);
        request.timeout_us = rest_us > CLOCK_US_PER_MS ? rest_us : CLOCK_US_PER_MS;
        set_timer(call, rest_us);
    }
    call->was_sent = true;
    channel_send_raw_request(&call->client->channel, base, &request);
    send_outbox(call);
}

static bool on_message(struct channel_call *base, const uint8_t *bytes, size_t length)
{
    struct holdfast_call *call = CONTAINER_OF(base, struct holdfast_call, call);
    push(&call->inbox, bytes, length);
    client_deliver(call->client, &call->tell);
    return true;
}

static void on_end(struct channel_call *base, const struct channel_end *how)
{
    struct holdfast_call *call = CONTAINER_OF(base, struct holdfast_call, call);
    if (how->is_disconnected) {
        end(call, STATUS_UNAVAILABLE, call->client->down);
        return;
    }
    if (how->status == STATUS_OK && !call->ask.is_server_streaming) {
        push(&call->inbox, how->payload, how->length);
    }
    end(call, how->status, how->text);
}

static const struct channel_call_events call_events = {
    .on_ready = on_ready, .on_message = on_message, .on_end = on_end};

static bool is_name(const char *text)
{
    return text != NULL && text[0] != '\0' && strnlen(text, CALL_NAME_MAX + 1) <= CALL_NAME_MAX;
}

static const char *problem_of(const struct holdfast_call_ask *ask)
{
    if (!is_name(ask->service) || !is_name(ask->method)) {
        return "service and method: required, of at most 256 bytes";
    }
    if (ask->header_count > HOLDFAST_HEADERS_MAX) {
        return "headers: at most 64";
    }
    const struct channel_raw_request request = request_of(ask);
    const size_t overhead = channel_raw_overhead(&request);
    if (overhead > TTRPC_DATA_MAX || ask->message_length > TTRPC_DATA_MAX - overhead) {
        return "message: longer than 4194304 bytes, headers included";
    }
    return NULL;
}

static void begin(struct holdfast_call *call)
{
    int64_t wait_us = (int64_t)call->client->reach.timeout_ms * CLOCK_US_PER_MS;
    call->deadline_us = CLOCK_NEVER;
    if (call->ask.deadline_ms > 0) {
        const int64_t deadline_us = (int64_t)call->ask.deadline_ms * CLOCK_US_PER_MS;
        call->deadline_us = clock_now_us() + deadline_us;
        wait_us = deadline_us < wait_us ? deadline_us : wait_us;
    }
    set_timer(call, wait_us);
    channel_call_start(&call->client->channel, &call->call);
}

struct holdfast_call *call_start(struct holdfast_async *client, const struct holdfast_call_ask *ask,
                                 const struct holdfast_call_events *events)
{
    const char *problem = problem_of(ask);
    struct holdfast_call *call = memory_alloc(sizeof(*call));
    call->client = client;
    call->events = *events;
    call->call.events = &call_events;
    call->tell.run = deliver;
    STAILQ_INIT(&call->outbox);
    STAILQ_INIT(&call->inbox);
    call->timer = evtimer_new(client->base, on_timer, call);
    CHECK(call->timer != NULL);
    LIST_INSERT_HEAD(&client->calls, call, link);
    client->call_count++;
    if (problem != NULL) {
        end(call, STATUS_INVALID_ARGUMENT, problem);
    } else if (client->call_count > CLIENT_CALLS_MAX) {
        end(call, STATUS_RESOURCE_EXHAUSTED, "too many calls (at most 10000)");
    } else {
        call_ask_copy(&call->ask, ask);
        call->ask.message = memory_copy(ask->message, ask->message_length);
        call->ask.message_length = ask->message_length;
        begin(call);
    }
    return call;
}

/* Lets go of the client; nothing is told any more. */
static void detach(struct holdfast_call *call)
{
    struct holdfast_async *client = call->client;
    if (client == NULL) {
        return;
    }
    if (call->call.state == CALL_ACTIVE && client->channel.is_up && call->ask.is_client_streaming &&
        !call->is_half_closed) {
        channel_half_close(&client->channel, &call->call);
    }
    channel_call_forget(&client->channel, &call->call);
    client_cancel(client, &call->tell);
    event_free(call->timer);
    LIST_REMOVE(call, link);
    client->call_count--;
    call->client = NULL;
}

void call_close_all(struct holdfast_async *client)
{
    while (!LIST_EMPTY(&client->calls)) {
        detach(LIST_FIRST(&client->calls));
    }
}

bool holdfast_call_send(struct holdfast_call *call, const void *message, size_t length)
{
    if (length > HOLDFAST_MESSAGE_MAX) {
        return false;
    }
    if (call->client == NULL || call->is_over || call->is_half_closed ||
        !call->ask.is_client_streaming) {
        return true;
    }
    if (call->was_sent) {
        if (channel_is_congested(&call->client->channel)) {
            return false;
        }
        channel_send_raw_message(&call->client->channel, &call->call, message, length);
        return true;
    }
    if (call->outbox_bytes + length > CHANNEL_OUTPUT_MAX) {
        return false;
    }
    call->outbox_bytes += length + sizeof(struct message);
    push(&call->outbox, message, length);
    return true;
}

void holdfast_call_half_close(struct holdfast_call *call)
{
    if (call->client == NULL || call->is_over || call->is_half_closed) {
        return;
    }
    call->is_half_closed = true;
    if (call->was_sent && call->ask.is_client_streaming) {
        channel_half_close(&call->client->channel, &call->call);
    }
}

void holdfast_call_free(struct holdfast_call *call)
{
    if (call == NULL) {
        return;
    }
    detach(call);
    if (call->is_delivering) {
        call->is_freed = true;
    } else {
        destroy(call);
    }
}
