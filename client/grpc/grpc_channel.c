/* SPDX-License-Identifier: Apache-2.0 */
#include "grpc/grpc_channel.h"

#include <event2/buffer.h>
#include <event2/event.h>
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "base/memory.h"
#include "grpc/grpc_greeting.h"
#include "grpc/grpc_internal.h"
#include "tls.h"

/* With more than this on its way to the system nothing is asked of the HTTP/2 library, whose own
 * limits then count. */
#define OUTPUT_MAX ((size_t)256 << 10)

/* Calls that start while this runs end by themselves. */
static void go_down(struct grpc_channel *channel, const char *why)
{
    struct grpc_call *call = NULL;
    (void)snprintf(channel->down, sizeof(channel->down), "%.150s (%.*s)", why,
                   ADDRESS_TEXT_SIZE / 3, channel->reach.address.text);
    channel->state = GRPC_DOWN;
    (void)evtimer_del(channel->silent);
    (void)event_del(channel->flush);
    LIST_FOREACH (call, &channel->calls, link) {
        grpc_call_drop(call, channel->down);
    }
}

static void hang_up(struct grpc_channel *channel, const char *why)
{
    stream_close(&channel->stream);
    go_down(channel, why);
}

/*
 * ---- Output ----
 */

/* What the peer or we did against HTTP/2, or nothing at all. */
static void end_over(struct grpc_channel *channel)
{
    char why[HOLDFAST_ERROR_SIZE] = "the server ended the connection";
    const int64_t farewell = http2_client_farewell(channel->http2);
    const char *problem = http2_client_problem(channel->http2);
    if (problem != NULL) {
        (void)snprintf(why, sizeof(why), "the server breaks the rules of HTTP/2: %s", problem);
    } else if (farewell > 0) {
        (void)snprintf(why, sizeof(why), "the server ended the connection: %s",
                       http2_client_error_name((uint32_t)farewell));
    }
    hang_up(channel, why);
}

static void produce(struct grpc_channel *channel)
{
    const uint8_t *bytes = NULL;
    size_t length = 1;
    if (channel->state != GRPC_UP) {
        return;
    }
    while (length > 0 && stream_pending(&channel->stream) < OUTPUT_MAX) {
        if (!http2_client_produce(channel->http2, &bytes, &length)) {
            end_over(channel);
            return;
        }
        if (length > 0) {
            stream_write(&channel->stream, bytes, length);
        }
    }
    if (stream_pending(&channel->stream) == 0 && http2_client_is_over(channel->http2)) {
        end_over(channel);
    }
}

static void on_flush(evutil_socket_t descriptor, short what, void *argument)
{
    (void)descriptor;
    (void)what;
    produce(argument);
}

void grpc_channel_flush(struct grpc_channel *channel)
{
    if (channel->state == GRPC_UP) {
        event_active(channel->flush, EV_TIMEOUT, 1);
    }
}

/*
 * ---- HTTP/2's events ----
 */

static struct grpc_call *find(struct grpc_channel *channel, int32_t id)
{
    struct grpc_call *call = NULL;
    LIST_FOREACH (call, &channel->calls, link) {
        if (call->id == id) {
            return call;
        }
    }
    return NULL;
}

static void on_field(void *user, int32_t id, const char *name, size_t name_length,
                     const char *value, size_t value_length)
{
    struct grpc_call *call = find(user, id);
    if (call != NULL) {
        grpc_answer_field(&call->answer, name, name_length, value, value_length);
    }
}

static void on_head(void *user, int32_t id, bool is_whole)
{
    struct grpc_call *call = find(user, id);
    if (call != NULL) {
        grpc_call_take_head(call, is_whole);
    }
}

static void on_data(void *user, int32_t id, const uint8_t *bytes, size_t length)
{
    struct grpc_call *call = find(user, id);
    if (call != NULL) {
        grpc_call_take_data(call, bytes, length);
    }
}

static void on_close(void *user, int32_t id, uint32_t error)
{
    struct grpc_call *call = find(user, id);
    if (call != NULL) {
        call->id = 0;
        grpc_call_take_end(call, error);
    }
}

static void on_end(void *user, int32_t id)
{
    struct grpc_call *call = find(user, id);
    if (call != NULL) {
        grpc_call_take_end(call, HTTP2_NO_ERROR);
    }
}

static size_t on_pull(void *user, int32_t id, uint8_t *bytes, size_t size, bool *is_last)
{
    struct grpc_call *call = find(user, id);
    return call != NULL ? grpc_call_pull(call, bytes, size, is_last) : 0;
}

static const struct http2_client_events http2_events = {
    .on_field = on_field,
    .on_head = on_head,
    .on_data = on_data,
    .on_end = on_end,
    .on_close = on_close,
    .on_pull = on_pull,
};

/*
 * ---- The connection's events ----
 */

static void on_stream_open(void *user)
{
    struct grpc_channel *channel = user;
    struct grpc_call *call = NULL;
    channel->state = GRPC_UP;
    LIST_FOREACH (call, &channel->calls, link) {
        grpc_call_begin(call);
    }
    produce(channel);
}

/* False while more must come, or when it is no HTTP/2 and the channel is down. */
static bool take_greeting(struct grpc_channel *channel)
{
    struct evbuffer *input = channel->stream.input;
    uint8_t start[GRPC_GREETING_SIZE];
    const ev_ssize_t length = evbuffer_copyout(input, start, sizeof(start));
    const enum grpc_greeting greeting = grpc_greeting_read(start, (size_t)length);
    if (greeting == GRPC_GREETING_SHORT) {
        return false;
    }
    if (greeting != GRPC_GREETING_HTTP2) {
        hang_up(channel, grpc_greeting_text(greeting));
        return false;
    }
    channel->has_greeted = true;
    (void)evtimer_del(channel->silent);
    return true;
}

static void on_stream_data(void *user)
{
    struct grpc_channel *channel = user;
    struct evbuffer *input = channel->stream.input;
    if (!channel->has_greeted && !take_greeting(channel)) {
        return;
    }
    while (evbuffer_get_length(input) > 0) {
        const size_t length = evbuffer_get_contiguous_space(input);
        const uint8_t *bytes = evbuffer_pullup(input, (ev_ssize_t)length);
        if (!http2_client_receive(channel->http2, bytes, length)) {
            end_over(channel);
            return;
        }
        (void)evbuffer_drain(input, length);
    }
    produce(channel);
}

static void on_stream_close(void *user, const char *why)
{
    struct grpc_channel *channel = user;
    char text[HOLDFAST_ERROR_SIZE];
    const bool was_mute = channel->state == GRPC_UP && !channel->has_greeted;
    (void)snprintf(text, sizeof(text), "%.200s%s", why,
                   was_mute ? "; does it speak gRPC there?" : "");
    go_down(channel, text);
}

static void on_stream_drained(void *user)
{
    produce(user);
}

static const struct stream_events stream_events = {
    .on_open = on_stream_open,
    .on_data = on_stream_data,
    .on_close = on_stream_close,
    .on_drained = on_stream_drained,
};

static void on_silent(evutil_socket_t descriptor, short what, void *argument)
{
    (void)descriptor;
    (void)what;
    hang_up(argument, "what was reached there does not answer; does it speak gRPC?");
}

/*
 * ---- Life ----
 */

static void write_authority(struct grpc_channel *channel)
{
    const struct address *address = &channel->reach.address;
    if (address->kind == ADDRESS_UNIX) {
        (void)snprintf(channel->authority, sizeof(channel->authority), "localhost");
        return;
    }
    const bool is_ipv6 = strchr(address->host, ':') != NULL;
    (void)snprintf(channel->authority, sizeof(channel->authority), "%s%s%s:%s", is_ipv6 ? "[" : "",
                   address->host, is_ipv6 ? "]" : "", address->port);
}

static void connect_channel(struct grpc_channel *channel)
{
    const struct stream_config config = {
        .base = channel->base,
        .address = &channel->reach.address,
        .tls = channel->reach.tls,
        .timeout_ms = channel->reach.timeout_ms,
    };
    /* The connection has a timeout of its own, which names its reason. */
    const uint32_t wait_ms = channel->reach.timeout_ms + channel->reach.timeout_ms / 8;
    const struct timeval wait = {.tv_sec = wait_ms / 1000,
                                 .tv_usec = (suseconds_t)(wait_ms % 1000) * 1000};
    CHECK(stream_init(&channel->stream, &config, &stream_events, channel));
    CHECK(evtimer_add(channel->silent, &wait) == 0);
    stream_open(&channel->stream);
}

struct grpc_channel *grpc_channel_open(struct event_base *base,
                                       const struct holdfast_options *options,
                                       char error[HOLDFAST_ERROR_SIZE])
{
    struct grpc_channel *channel = memory_alloc(sizeof(*channel));
    if (!reach_init(&channel->reach, options, error)) {
        memory_free(channel);
        return NULL;
    }
    if (channel->reach.tls != NULL) {
        tls_context_offer(channel->reach.tls, "h2");
    }
    channel->base = base;
    LIST_INIT(&channel->calls);
    write_authority(channel);
    channel->http2 = http2_client_create(&http2_events, channel);
    channel->flush = event_new(base, -1, 0, on_flush, channel);
    channel->silent = evtimer_new(base, on_silent, channel);
    CHECK(channel->flush != NULL);
    CHECK(channel->silent != NULL);
    connect_channel(channel);
    return channel;
}

void grpc_channel_close(struct grpc_channel *channel)
{
    if (channel == NULL) {
        return;
    }
    CHECK(LIST_EMPTY(&channel->calls));
    stream_release(&channel->stream);
    event_free(channel->flush);
    event_free(channel->silent);
    http2_client_destroy(channel->http2);
    reach_release(&channel->reach);
    memory_free(channel);
}
