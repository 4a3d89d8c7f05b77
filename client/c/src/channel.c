/* SPDX-License-Identifier: Apache-2.0 */
#include "channel.h"

#include <stdio.h>
#include <string.h>

#include <event2/buffer.h>
#include <event2/event.h>

#include "base/arena.h"
#include "base/check.h"
#include "base/memory.h"
#include "base/random.h"
#include "ttrpc/ttrpc.pb-c.h"
#include "wire/message.h"
#include "wire/ttrpc.h"

#define SERVICE_DEFAULT "holdfast.v1.Locks"

/* Sixteen keys of 512 bytes, a value of 4096, and little else: nothing we send comes close. */
#define MESSAGE_MAX 16384
#define FRAME_MAX   17408

/* More than the tags, lengths and the number of a few fields take. */
#define FIELD_OVERHEAD ((size_t)64)

#define ANSWER_MAX ((size_t)16 << 20) /* of arena per frame */

#define STREAM_ID_FIRST 1u
#define STREAM_ID_LAST  UINT32_MAX

#define MAYBE_TLS "; is it a Holdfast server, or does it speak tls:// there?"

/* How every alert of TLS begins. */
#define TLS_ALERT_SIZE 2
static const uint8_t tls_alert[TLS_ALERT_SIZE] = {0x15, 0x03};

#define RETRY_FIRST_MS 50
#define RETRY_LAST_MS  2000

static struct channel_bucket *bucket_of(struct channel *channel, uint32_t stream_id)
{
    return &channel->buckets[(stream_id >> 1) % CHANNEL_BUCKETS];
}

static struct channel_call *find(struct channel *channel, uint32_t stream_id)
{
    struct channel_call *call;
    LIST_FOREACH (call, bucket_of(channel, stream_id), bucket) {
        if (call->stream_id == stream_id) {
            return call;
        }
    }
    return NULL;
}

/* Full jitter: many clients of one server must not come back in step. */
static void retry_later(struct channel *channel)
{
    uint64_t bound_ms = RETRY_FIRST_MS;
    for (unsigned int i = 0; i < channel->attempts && bound_ms < RETRY_LAST_MS; i++) {
        bound_ms *= 2;
    }
    channel->attempts++;
    if (bound_ms > RETRY_LAST_MS) {
        bound_ms = RETRY_LAST_MS;
    }
    uint64_t delay_us = random_below(bound_ms * 1000) + 1;
    struct timeval delay = {.tv_sec = (time_t)(delay_us / 1000000),
                            .tv_usec = (suseconds_t)(delay_us % 1000000)};
    (void)evtimer_add(channel->retry, &delay);
}

static void end_call(struct channel *channel, struct channel_call *call,
                     const struct channel_end *end)
{
    channel_call_forget(channel, call);
    call->events->on_end(call, end);
}

/* Those that start again while this runs wait for the next attempt. */
static void end_waiting_calls(struct channel *channel)
{
    const struct channel_end end = {.is_disconnected = true, .is_untrusted = true, .text = ""};
    const struct channel_call *last = TAILQ_LAST(&channel->waiting, channel_queue);
    for (bool is_last = last == NULL; !is_last;) {
        struct channel_call *call = TAILQ_FIRST(&channel->waiting);
        is_last = call == last;
        end_call(channel, call, &end);
    }
}

/* Calls that start again while this runs wait; none becomes active. */
static void end_active_calls(struct channel *channel)
{
    const struct channel_end end = {.is_disconnected = true, .text = ""};
    for (size_t i = 0; i < CHANNEL_BUCKETS; i++) {
        while (!LIST_EMPTY(&channel->buckets[i])) {
            end_call(channel, LIST_FIRST(&channel->buckets[i]), &end);
        }
    }
}

static bool is_plain_tcp(const struct channel *channel)
{
    return channel->stream.config.address->kind == ADDRESS_TCP;
}

static void on_stream_close(void *user, const char *why)
{
    struct channel *channel = user;
    bool was_mute = channel->is_up && !channel->has_heard;
    char text[HOLDFAST_ERROR_SIZE];
    (void)snprintf(text, sizeof(text), "%.180s%s", why,
                   was_mute && is_plain_tcp(channel) && strchr(why, ';') == NULL ? MAYBE_TLS : "");
    channel->is_up = false;
    if (channel->has_heard) {
        channel->attempts = 0;
    }
    retry_later(channel);
    channel->events->on_down(channel->user, text);
    if (channel->stream.is_untrusted) {
        end_waiting_calls(channel);
    }
    end_active_calls(channel);
}

static void drop(struct channel *channel, const char *why)
{
    stream_close(&channel->stream);
    on_stream_close(channel, why);
}

static void on_retry(evutil_socket_t descriptor, short what, void *argument)
{
    (void)descriptor;
    (void)what;
    struct channel *channel = argument;
    stream_open(&channel->stream);
}

static void activate(struct channel *channel, struct channel_call *call)
{
    call->state = CALL_ACTIVE;
    call->stream_id = channel->next_stream_id;
    channel->next_stream_id += 2;
    LIST_INSERT_HEAD(bucket_of(channel, call->stream_id), call, bucket);
    call->events->on_ready(call);
}

static void on_stream_open(void *user)
{
    struct channel *channel = user;
    channel->is_up = true;
    channel->has_heard = false;
    channel->next_stream_id = STREAM_ID_FIRST;
    channel->events->on_up(channel->user);
    while (!TAILQ_EMPTY(&channel->waiting)) {
        struct channel_call *call = TAILQ_FIRST(&channel->waiting);
        TAILQ_REMOVE(&channel->waiting, call, waiting);
        activate(channel, call);
    }
}

static bool take_data(struct channel *channel, const struct ttrpc_header *header,
                      const uint8_t *bytes)
{
    struct channel_call *call = find(channel, header->stream_id);
    if (call != NULL && (header->flags & TTRPC_NO_DATA) == 0) {
        if (call->events->on_message == NULL ||
            !call->events->on_message(call, bytes, header->length)) {
            return false;
        }
        call = find(channel, header->stream_id);
    }
    if (call != NULL && (header->flags & TTRPC_REMOTE_CLOSED) != 0) {
        const struct channel_end end = {.status = STATUS_OK, .text = ""};
        end_call(channel, call, &end);
    }
    return true;
}

static bool take_response(struct channel *channel, const struct ttrpc_header *header,
                          const uint8_t *bytes)
{
    struct channel_call *call = find(channel, header->stream_id);
    char problem[MESSAGE_PROBLEM_SIZE];
    struct arena arena;
    arena_init(&arena, ANSWER_MAX);
    const Ttrpc__Response *response = (const Ttrpc__Response *)message_unpack(
        &ttrpc__response__descriptor, bytes, header->length, &arena, problem);
    if (response != NULL && call != NULL) {
        const Ttrpc__Status *status = response->status;
        const struct channel_end end = {
            .status = status != NULL ? (enum status)status->code : STATUS_OK,
            .text = status != NULL ? status->message : "",
            .payload = response->payload.data,
            .length = response->payload.len,
        };
        end_call(channel, call, &end);
    }
    arena_release(&arena);
    return response != NULL;
}

/* Types of the future, and calls nobody waits for any more, are ignored. */
static bool take_frame(struct channel *channel, const struct ttrpc_header *header,
                       const uint8_t *bytes)
{
    switch (header->type) {
    case TTRPC_DATA:
        return take_data(channel, header, bytes);
    case TTRPC_RESPONSE:
        return take_response(channel, header, bytes);
    case TTRPC_REQUEST:
        return false;
    default:
        return true;
    }
}

/* An alert is shorter than a header, and no frame that we accept is long enough to begin so. */
static bool is_tls_alert(const struct channel *channel)
{
    uint8_t start[TLS_ALERT_SIZE];
    return !channel->has_heard && is_plain_tcp(channel) &&
           evbuffer_copyout(channel->stream.input, start, sizeof(start)) == TLS_ALERT_SIZE &&
           memcmp(start, tls_alert, sizeof(start)) == 0;
}

/* Takes one frame off the input. Returns false when there is no whole one, or no connection any
 * more. */
static bool read_frame(struct channel *channel)
{
    struct evbuffer *input = channel->stream.input;
    uint8_t start[TTRPC_HEADER_SIZE];
    struct ttrpc_header header;
    if (is_tls_alert(channel)) {
        drop(channel, "the server speaks TLS there; use tls:// instead of tcp://");
        return false;
    }
    if (evbuffer_get_length(input) < TTRPC_HEADER_SIZE) {
        return false;
    }
    (void)evbuffer_copyout(input, start, sizeof(start));
    ttrpc_header_decode(&header, start);
    if (header.length > TTRPC_DATA_MAX) {
        drop(channel, "what answers there does not speak ttRPC; is it a Holdfast server?");
        return false;
    }
    size_t size = TTRPC_HEADER_SIZE + header.length;
    if (evbuffer_get_length(input) < size) {
        return false;
    }
    const uint8_t *bytes = evbuffer_pullup(input, (ev_ssize_t)size);
    CHECK(bytes != NULL);
    channel->has_heard = true;
    if (!take_frame(channel, &header, bytes + TTRPC_HEADER_SIZE)) {
        drop(channel, "the server's answer makes no sense; do its version and ours fit?");
        return false;
    }
    (void)evbuffer_drain(input, size);
    return true;
}

static void on_stream_data(void *user)
{
    struct channel *channel = user;
    while (read_frame(channel)) {
    }
}

static const struct stream_events stream_events = {
    .on_open = on_stream_open,
    .on_data = on_stream_data,
    .on_close = on_stream_close,
};

static void send_frame(struct channel *channel, const struct ttrpc_header *header,
                       const uint8_t *bytes)
{
    uint8_t start[TTRPC_HEADER_SIZE];
    ttrpc_header_encode(header, start);
    stream_write(&channel->stream, start, sizeof(start));
    if (header->length > 0) {
        stream_write(&channel->stream, bytes, header->length);
    }
}

static size_t pack(const ProtobufCMessage *message, uint8_t *bytes, size_t room)
{
    CHECK(protobuf_c_message_get_packed_size(message) <= room);
    return protobuf_c_message_pack(message, bytes);
}

bool channel_init(struct channel *channel, const struct stream_config *config,
                  const struct channel_events *events, void *user)
{
    *channel = (struct channel){.events = events, .user = user};
    TAILQ_INIT(&channel->waiting);
    for (size_t i = 0; i < CHANNEL_BUCKETS; i++) {
        LIST_INIT(&channel->buckets[i]);
    }
    channel->retry = evtimer_new(config->base, on_retry, channel);
    if (channel->retry == NULL) {
        return false;
    }
    if (!stream_init(&channel->stream, config, &stream_events, channel)) {
        event_free(channel->retry);
        return false;
    }
    stream_open(&channel->stream);
    return true;
}

void channel_release(struct channel *channel)
{
    CHECK(TAILQ_EMPTY(&channel->waiting));
    for (size_t i = 0; i < CHANNEL_BUCKETS; i++) {
        CHECK(LIST_EMPTY(&channel->buckets[i]));
    }
    stream_release(&channel->stream);
    event_free(channel->retry);
}

bool channel_is_congested(const struct channel *channel)
{
    return stream_pending(&channel->stream) > CHANNEL_OUTPUT_MAX;
}

void channel_call_start(struct channel *channel, struct channel_call *call)
{
    CHECK(call->state == CALL_IDLE);
    if (channel->is_up && channel->next_stream_id > STREAM_ID_LAST - 2) {
        drop(channel, "all stream ids of this connection are used up");
    }
    if (channel->is_up) {
        activate(channel, call);
    } else {
        call->state = CALL_WAITING;
        TAILQ_INSERT_TAIL(&channel->waiting, call, waiting);
    }
}

void channel_call_forget(struct channel *channel, struct channel_call *call)
{
    if (call->state == CALL_WAITING) {
        TAILQ_REMOVE(&channel->waiting, call, waiting);
    } else if (call->state == CALL_ACTIVE) {
        LIST_REMOVE(call, bucket);
    }
    call->state = CALL_IDLE;
}

void channel_send_request(struct channel *channel, struct channel_call *call,
                          const struct channel_request *request)
{
    uint8_t message[MESSAGE_MAX];
    uint8_t bytes[FRAME_MAX];
    Ttrpc__Request envelope = TTRPC__REQUEST__INIT;
    CHECK(call->state == CALL_ACTIVE);
    /* protobuf-c only reads what these point to. */
    const char *service = request->service != NULL ? request->service : SERVICE_DEFAULT;
    envelope.service = (char *)(uintptr_t)service;
    envelope.method = (char *)(uintptr_t)request->method;
    envelope.timeout_nano = request->timeout_us * 1000;
    if (request->message != NULL) {
        envelope.payload.len = pack(request->message, message, sizeof(message));
        envelope.payload.data = message;
    }
    size_t length = pack(&envelope.base, bytes, sizeof(bytes));
    const struct ttrpc_header header = {
        .length = (uint32_t)length,
        .stream_id = call->stream_id,
        .type = TTRPC_REQUEST,
        .flags = request->message != NULL && !request->is_open ? 0 : TTRPC_REMOTE_OPEN,
    };
    send_frame(channel, &header, bytes);
}

size_t channel_raw_overhead(const struct channel_raw_request *request)
{
    size_t size = FIELD_OVERHEAD + strlen(request->service) + strlen(request->method);
    for (size_t i = 0; i < request->header_count; i++) {
        const struct holdfast_header *header = &request->headers[i];
        size += FIELD_OVERHEAD + strlen(header->name) + strlen(header->value);
    }
    return size;
}

static void pack_raw_request(const struct channel_raw_request *request, Ttrpc__KeyValue *headers,
                             Ttrpc__KeyValue **pointers, Ttrpc__Request *envelope)
{
    ttrpc__request__init(envelope);
    /* protobuf-c only reads what these point to. */
    envelope->service = (char *)(uintptr_t)request->service;
    envelope->method = (char *)(uintptr_t)request->method;
    envelope->timeout_nano = request->timeout_us * 1000;
    envelope->payload.data = (uint8_t *)(uintptr_t)request->message;
    envelope->payload.len = request->length;
    envelope->metadata = pointers;
    envelope->n_metadata = request->header_count;
    for (size_t i = 0; i < request->header_count; i++) {
        ttrpc__key_value__init(&headers[i]);
        headers[i].key = (char *)(uintptr_t)request->headers[i].name;
        headers[i].value = (char *)(uintptr_t)request->headers[i].value;
        pointers[i] = &headers[i];
    }
}

void channel_send_raw_request(struct channel *channel, struct channel_call *call,
                              const struct channel_raw_request *request)
{
    Ttrpc__Request envelope;
    CHECK(call->state == CALL_ACTIVE);
    Ttrpc__KeyValue *headers = memory_alloc((request->header_count + 1) * sizeof(*headers));
    Ttrpc__KeyValue **pointers = memory_alloc((request->header_count + 1) * sizeof(void *));
    pack_raw_request(request, headers, pointers, &envelope);
    size_t length = protobuf_c_message_get_packed_size(&envelope.base);
    CHECK(length <= TTRPC_DATA_MAX);
    uint8_t *bytes = memory_alloc(length + 1);
    protobuf_c_message_pack(&envelope.base, bytes);
    const struct ttrpc_header header = {
        .length = (uint32_t)length,
        .stream_id = call->stream_id,
        .type = TTRPC_REQUEST,
        .flags = request->message != NULL ? 0 : TTRPC_REMOTE_OPEN,
    };
    send_frame(channel, &header, bytes);
    memory_free(bytes);
    memory_free(pointers);
    memory_free(headers);
}

void channel_send_raw_message(struct channel *channel, struct channel_call *call,
                              const uint8_t *bytes, size_t length)
{
    CHECK(call->state == CALL_ACTIVE && length <= TTRPC_DATA_MAX);
    const struct ttrpc_header header = {
        .length = (uint32_t)length, .stream_id = call->stream_id, .type = TTRPC_DATA};
    send_frame(channel, &header, bytes);
}

void channel_send_message(struct channel *channel, struct channel_call *call,
                          const ProtobufCMessage *message)
{
    uint8_t bytes[MESSAGE_MAX];
    channel_send_raw_message(channel, call, bytes, pack(message, bytes, sizeof(bytes)));
}

void channel_half_close(struct channel *channel, struct channel_call *call)
{
    CHECK(call->state == CALL_ACTIVE);
    const struct ttrpc_header header = {
        .stream_id = call->stream_id,
        .type = TTRPC_DATA,
        .flags = TTRPC_REMOTE_CLOSED | TTRPC_NO_DATA,
    };
    send_frame(channel, &header, NULL);
}
