/* SPDX-License-Identifier: Apache-2.0 */
#include "grpc/grpc_call.h"

#include <event2/buffer.h>
#include <event2/event.h>
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/memory.h"
#include "call_ask.h"
#include "grpc/grpc_fields.h"
#include "grpc/grpc_internal.h"
#include "wire/grpc_message.h"

/* How much longer than the server we wait for the end that it makes of an overdue call. */
#define SERVER_HEAD_START_US (250 * CLOCK_US_PER_MS)

#define OUTBOX_FULL ((size_t)1 << 20)
#define OUTBOX_MAX  ((size_t)16 << 20)

struct grpc_outgoing {
    STAILQ_ENTRY(grpc_outgoing) link;
    size_t length;
    uint8_t bytes[];
};

/*
 * ---- What is told ----
 */

static void destroy(struct grpc_call *call)
{
    call_ask_release(&call->ask);
    evbuffer_free(call->inbox);
    memory_free(call);
}

static void on_tell(evutil_socket_t descriptor, short what, void *argument)
{
    struct grpc_call *call = argument;
    (void)descriptor;
    (void)what;
    call->is_delivering = true;
    if (call->is_over && !call->is_told) {
        call->is_told = true;
        call->events.call.on_end(call->end.status, call->end.text, call->events.call.user);
    } else if (!call->is_over && call->events.on_room != NULL) {
        call->events.on_room(call->events.call.user);
    }
    call->is_delivering = false;
    if (call->is_freed) {
        destroy(call);
    }
}

static void drop_outbox(struct grpc_call *call)
{
    struct grpc_outgoing *message = NULL;
    while ((message = STAILQ_FIRST(&call->outbox)) != NULL) {
        STAILQ_REMOVE_HEAD(&call->outbox, link);
        memory_free(message);
    }
    call->outbox_bytes = 0;
}

/* The server need not go on with it. */
static void reset(struct grpc_call *call)
{
    if (call->id != 0) {
        http2_client_reset(call->channel->http2, call->id, HTTP2_CANCEL);
        grpc_channel_flush(call->channel);
        call->id = 0;
    }
}

static void end(struct grpc_call *call, int status, const char *text)
{
    if (call->is_over) {
        return;
    }
    call->is_over = true;
    call->end.status = status;
    if (text != call->end.text) {
        (void)snprintf(call->end.text, sizeof(call->end.text), "%s", text);
    }
    (void)evtimer_del(call->timer);
    drop_outbox(call);
    event_active(call->tell, EV_TIMEOUT, 1);
}

/* Our own verdict. */
static void break_off(struct grpc_call *call, enum status status, const char *text)
{
    reset(call);
    end(call, (int)status, text);
}

static void set_timer(struct grpc_call *call, int64_t delay_us)
{
    const int64_t wait_us = delay_us > 0 ? delay_us : 0;
    const struct timeval delay = {.tv_sec = (time_t)(wait_us / CLOCK_US_PER_S),
                                  .tv_usec = (suseconds_t)(wait_us % CLOCK_US_PER_S)};
    CHECK(evtimer_add(call->timer, &delay) == 0);
}

static void on_timer(evutil_socket_t descriptor, short what, void *argument)
{
    struct grpc_call *call = argument;
    (void)descriptor;
    (void)what;
    break_off(call, STATUS_DEADLINE_EXCEEDED,
              call->channel->state == GRPC_UP ? "the server did not answer before the deadline"
                                              : "there was no connection before the deadline");
}

/*
 * ---- What is sent ----
 */

static void push(struct grpc_call *call, const void *bytes, size_t length)
{
    struct grpc_outgoing *message = memory_alloc(sizeof(*message) + GRPC_PREFIX_SIZE + length);
    message->length = GRPC_PREFIX_SIZE + length;
    grpc_prefix_encode(message->bytes, (uint32_t)length);
    if (length > 0) {
        memcpy(message->bytes + GRPC_PREFIX_SIZE, bytes, length);
    }
    STAILQ_INSERT_TAIL(&call->outbox, message, link);
    call->outbox_bytes += sizeof(*message) + message->length;
}

static void wake(struct grpc_call *call)
{
    if (call->id != 0) {
        http2_client_wake(call->channel->http2, call->id);
        grpc_channel_flush(call->channel);
    }
}

static void pop(struct grpc_call *call)
{
    struct grpc_outgoing *message = STAILQ_FIRST(&call->outbox);
    STAILQ_REMOVE_HEAD(&call->outbox, link);
    call->outbox_bytes -= sizeof(*message) + message->length;
    call->sent = 0;
    memory_free(message);
    if (call->was_full && call->outbox_bytes == 0) {
        call->was_full = false;
        event_active(call->tell, EV_TIMEOUT, 1);
    }
}

size_t grpc_call_pull(struct grpc_call *call, uint8_t *bytes, size_t size, bool *is_last)
{
    struct grpc_outgoing *message = NULL;
    size_t used = 0;
    while (used < size && (message = STAILQ_FIRST(&call->outbox)) != NULL) {
        const size_t left = message->length - call->sent;
        const size_t length = left < size - used ? left : size - used;
        memcpy(bytes + used, message->bytes + call->sent, length);
        used += length;
        call->sent += length;
        if (call->sent == message->length) {
            pop(call);
        }
    }
    call->is_sent = call->is_half_closed && STAILQ_EMPTY(&call->outbox);
    *is_last = call->is_sent;
    return used;
}

void grpc_call_begin(struct grpc_call *call)
{
    struct grpc_channel *channel = call->channel;
    struct grpc_fields fields;
    uint32_t left_ms = 0;
    if (call->is_over) {
        return;
    }
    if (call->deadline_us != CLOCK_NEVER) {
        const int64_t left_us = call->deadline_us - clock_now_us();
        left_ms = left_us > CLOCK_US_PER_MS ? (uint32_t)(left_us / CLOCK_US_PER_MS) : 1;
        set_timer(call, left_us + SERVER_HEAD_START_US);
    }
    grpc_fields_write(&fields, &call->ask, channel->authority, channel->reach.tls != NULL, left_ms);
    call->id = http2_client_request(channel->http2, fields.list, fields.count);
    if (call->id == 0) {
        end(call, STATUS_UNAVAILABLE, "the connection has no room for another call");
    }
    grpc_channel_flush(channel);
}

/*
 * ---- What comes back ----
 */

void grpc_call_take_head(struct grpc_call *call, bool is_whole)
{
    if (!is_whole) {
        break_off(call, STATUS_RESOURCE_EXHAUSTED,
                  "the header of the server's answer is longer than 65536 bytes");
    } else if (!grpc_answer_is_possible(&call->answer)) {
        reset(call);
        grpc_call_take_end(call, HTTP2_NO_ERROR);
    }
}

/* Takes one message off the inbox. False when there is no whole one, or nobody to tell. */
static bool take_message(struct grpc_call *call)
{
    struct grpc_message message;
    const size_t length = evbuffer_get_length(call->inbox);
    const size_t head = length < GRPC_PREFIX_SIZE ? length : GRPC_PREFIX_SIZE;
    const uint8_t *bytes = evbuffer_pullup(call->inbox, (ev_ssize_t)head);
    switch (grpc_message_read(&message, bytes, length, HOLDFAST_MESSAGE_MAX)) {
    case GRPC_INCOMPLETE:
        return false;
    case GRPC_TOO_LARGE:
        break_off(call, STATUS_RESOURCE_EXHAUSTED,
                  "a message of the server's answer is longer than 4194304 bytes");
        return false;
    case GRPC_COMPRESSED:
        break_off(call, STATUS_INTERNAL,
                  "the server compresses its answer, which nobody asked for");
        return false;
    case GRPC_NONSENSE:
        break_off(call, STATUS_INTERNAL, "the server's answer is no gRPC message");
        return false;
    case GRPC_MESSAGE:
        break;
    }
    const size_t whole = GRPC_PREFIX_SIZE + message.length;
    bytes = evbuffer_pullup(call->inbox, (ev_ssize_t)whole);
    CHECK(bytes != NULL);
    call->messages++;
    call->events.call.on_message(bytes + GRPC_PREFIX_SIZE, message.length, call->events.call.user);
    (void)evbuffer_drain(call->inbox, whole);
    return !call->is_freed;
}

void grpc_call_take_data(struct grpc_call *call, const uint8_t *bytes, size_t length)
{
    if (call->is_over || length == 0) {
        return;
    }
    CHECK(evbuffer_add(call->inbox, bytes, length) == 0);
    call->is_delivering = true;
    while (evbuffer_get_length(call->inbox) > 0 && take_message(call)) {
    }
    call->is_delivering = false;
    if (call->is_freed) {
        destroy(call);
    }
}

/* What is OK by its status may still be no answer. */
static void check_messages(struct grpc_call *call)
{
    if (evbuffer_get_length(call->inbox) > 0) {
        end(call, STATUS_INTERNAL, "the server's answer ends within a message");
    } else if (!call->ask.is_server_streaming && call->messages != 1) {
        end(call, STATUS_INTERNAL,
            call->messages == 0 ? "the server answered without a message"
                                : "the server answered with several messages");
    }
}

void grpc_call_take_end(struct grpc_call *call, uint32_t error)
{
    if (call->is_over) {
        return;
    }
    grpc_answer_end(&call->answer, error, http2_client_error_name(error), &call->end);
    if (call->end.status == STATUS_OK) {
        check_messages(call);
    }
    end(call, call->end.status, call->end.text);
    if (!call->is_sent) {
        reset(call);
    }
}

void grpc_call_drop(struct grpc_call *call, const char *why)
{
    call->id = 0;
    end(call, STATUS_UNAVAILABLE, why);
}

/*
 * ---- Life ----
 */

/* Of something that is not refused. */
static void start(struct grpc_call *call, const struct holdfast_call_ask *ask)
{
    call_ask_copy(&call->ask, ask);
    if (!ask->is_client_streaming) {
        push(call, ask->message, ask->message_length);
        call->is_half_closed = true;
    }
    if (ask->deadline_ms > 0) {
        const int64_t deadline_us = (int64_t)ask->deadline_ms * CLOCK_US_PER_MS;
        call->deadline_us = clock_now_us() + deadline_us;
        set_timer(call, deadline_us);
    }
    if (call->channel->state == GRPC_UP) {
        grpc_call_begin(call);
    } else if (call->channel->state == GRPC_DOWN) {
        end(call, STATUS_UNAVAILABLE, call->channel->down);
    }
}

struct grpc_call *grpc_call_start(struct grpc_channel *channel, const struct holdfast_call_ask *ask,
                                  const struct grpc_call_events *events)
{
    const char *problem = grpc_fields_problem(ask);
    struct grpc_call *call = memory_alloc(sizeof(*call));
    call->channel = channel;
    call->events = *events;
    call->deadline_us = CLOCK_NEVER;
    STAILQ_INIT(&call->outbox);
    grpc_answer_begin(&call->answer);
    call->inbox = evbuffer_new();
    call->timer = evtimer_new(channel->base, on_timer, call);
    call->tell = event_new(channel->base, -1, 0, on_tell, call);
    CHECK(call->inbox != NULL);
    CHECK(call->timer != NULL);
    CHECK(call->tell != NULL);
    LIST_INSERT_HEAD(&channel->calls, call, link);
    if (problem != NULL) {
        end(call, STATUS_INVALID_ARGUMENT, problem);
    } else {
        start(call, ask);
    }
    return call;
}

bool grpc_call_send(struct grpc_call *call, const void *message, size_t length)
{
    if (length > HOLDFAST_MESSAGE_MAX) {
        return false;
    }
    if (call->is_over || call->is_half_closed) {
        return true;
    }
    if (call->outbox_bytes + length > OUTBOX_MAX) {
        return false;
    }
    push(call, message, length);
    call->was_full = grpc_call_is_full(call);
    wake(call);
    return true;
}

bool grpc_call_is_full(const struct grpc_call *call)
{
    return call->outbox_bytes > OUTBOX_FULL;
}

void grpc_call_half_close(struct grpc_call *call)
{
    if (!call->is_half_closed && !call->is_over) {
        call->is_half_closed = true;
        wake(call);
    }
}

void grpc_call_free(struct grpc_call *call)
{
    if (call == NULL) {
        return;
    }
    reset(call);
    drop_outbox(call);
    event_free(call->timer);
    event_free(call->tell);
    LIST_REMOVE(call, link);
    call->is_over = true;
    if (call->is_delivering) {
        call->is_freed = true;
    } else {
        destroy(call);
    }
}
