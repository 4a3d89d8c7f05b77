/* SPDX-License-Identifier: Apache-2.0 */
#include "transport/grpc_connection.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/queue.h>

#include <event2/buffer.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/memory.h"
#include "service/methods.h"
#include "service/services.h"
#include "service/session.h"
#include "transport/grpc_stream.h"
#include "transport/stream.h"
#include "wire/grpc_request.h"
#include "wire/http2.h"

/* One turn's share of a connection, and the pieces in which it is taken: small, as the answers to
 * what is in a piece are many times its size. */
#define SLICE_FRAMES 64
#define SLICE_BYTES  ((size_t)256 * 1024)
#define PIECE_BYTES  ((size_t)1024)

/* What part of the output that may wait is queued in one turn. */
#define SLICE_OF_OUTPUT 8

/* Between the two steps of parting: requests that were on their way have arrived by then. */
#define PARTING_US (200 * CLOCK_US_PER_MS)

/* Frames that bring no work, as the peer may send them: so many at once, then so many a second.
 * Every deadline that passes at a client is one. */
#define IDLE_FRAMES_MAX        ((int64_t)20000)
#define IDLE_FRAMES_PER_SECOND ((int64_t)2000)

/* Streams beyond the calls that a connection may have in flight: what is refused for that limit
 * should get its answer, not wait at the client behind those that hold the limit. */
#define SPARE_STREAMS 128

#define HEADER_LIST_MAX   ((uint32_t)16 * 1024)
#define CONNECTION_WINDOW ((uint32_t)1024 * 1024)

struct grpc_connection {
    struct grpc_shared shared;
    struct http2_config http2_config;
    int64_t ping_after_us;
    uint64_t idle_frames; /* seen so far */
    int64_t allowance;    /* of further ones, in frames; grows with time */
    int64_t allowed_us;   /* when it last grew */
    int64_t heard_us;     /* when the client's last bytes came */
    int64_t pinged_us;    /* when it was last asked for a sign; 0: never */
    bool is_ping_overdue; /* its answer was looked for once */
    struct timer ping;
    enum { PARTING_NOT, PARTING_ANNOUNCED, PARTING_DONE } parting;
    struct timer part;
    const char *problem;
};

/* What a turn began with, and what it has taken from the input. */
struct slice {
    uint64_t frames;
    size_t queued;
    size_t taken;
};

static void *on_open(void *user, int32_t id)
{
    struct grpc_connection *connection = user;
    return grpc_stream_create(&connection->shared, id);
}

static void on_field(void *user, void *stream, const char *name, size_t name_length,
                     const char *value, size_t value_length)
{
    struct grpc_connection *connection = user;
    (void)stream;
    grpc_request_field(&connection->shared.request, name, name_length, value, value_length);
}

static void on_request(void *user, void *stream, bool is_whole)
{
    (void)user;
    grpc_stream_start(stream, is_whole);
}

static void on_data(void *user, void *stream, const uint8_t *bytes, size_t length)
{
    (void)user;
    grpc_stream_data(stream, bytes, length);
}

static void on_half_close(void *user, void *stream)
{
    (void)user;
    grpc_stream_half_close(stream);
}

static void on_close(void *user, void *stream)
{
    (void)user;
    grpc_stream_close(stream);
}

static size_t on_pull(void *user, void *stream, uint8_t *bytes, size_t size, bool *is_last)
{
    (void)user;
    return grpc_stream_pull(stream, bytes, size, is_last);
}

static const struct http2_events http2_events = {
    .on_open = on_open,
    .on_field = on_field,
    .on_request = on_request,
    .on_data = on_data,
    .on_half_close = on_half_close,
    .on_close = on_close,
    .on_pull = on_pull,
};

static struct http2 *http2_of(const struct grpc_connection *connection)
{
    return connection->shared.http2;
}

static int64_t now_us_of(const struct grpc_connection *connection)
{
    return loop_now_us(connection->shared.loop);
}

static void set_timer(struct grpc_connection *connection, struct timer *timer, int64_t after_us)
{
    wheel_set(loop_wheel(connection->shared.loop), timer, now_us_of(connection) + after_us);
}

static void fail(struct grpc_connection *connection, const char *problem)
{
    if (connection->problem == NULL) {
        connection->problem = problem;
    }
}

/* While its output is congested nothing is heard of the client, and the stream looks after that. */
static bool is_lost(struct grpc_connection *connection)
{
    return connection->pinged_us > connection->heard_us &&
           !stream_is_congested(connection->shared.stream);
}

/* Without this a client that is gone behind a proxy, or frozen, would keep its leases. After this
 * process was stopped itself, the client's answer waits to be read: hence the second look. */
static void on_ping_due(struct timer *timer, int64_t now_us)
{
    struct grpc_connection *connection = CONTAINER_OF(timer, struct grpc_connection, ping);
    int64_t due_us = connection->heard_us + connection->ping_after_us;
    if (is_lost(connection)) {
        if (connection->is_ping_overdue) {
            fail(connection, "it does not answer pings");
            stream_ask_for_flush(connection->shared.stream);
            return;
        }
        connection->is_ping_overdue = true;
        wheel_set(loop_wheel(connection->shared.loop), timer, now_us);
        return;
    }
    connection->is_ping_overdue = false;
    if (now_us >= due_us) {
        connection->pinged_us = now_us;
        http2_ping(http2_of(connection));
        stream_ask_for_flush(connection->shared.stream);
        due_us = now_us + connection->ping_after_us;
    }
    wheel_set(loop_wheel(connection->shared.loop), timer, due_us);
}

static void on_parted(struct timer *timer, int64_t now_us)
{
    struct grpc_connection *connection = CONTAINER_OF(timer, struct grpc_connection, part);
    (void)now_us;
    connection->parting = PARTING_DONE;
    http2_end(http2_of(connection), HTTP2_NO_ERROR);
    stream_ask_for_flush(connection->shared.stream);
}

/* Frames that bring no work are paid for from an allowance. */
static void charge_idle_frames(struct grpc_connection *connection)
{
    uint64_t idle_frames = http2_idle_frames(http2_of(connection));
    int64_t now_us = now_us_of(connection);
    int64_t earned = (now_us - connection->allowed_us) * IDLE_FRAMES_PER_SECOND / CLOCK_US_PER_S;
    if (earned > 0) {
        connection->allowed_us = now_us;
        connection->allowance += earned;
    }
    if (connection->allowance > IDLE_FRAMES_MAX) {
        connection->allowance = IDLE_FRAMES_MAX;
    }
    connection->allowance -= (int64_t)(idle_frames - connection->idle_frames);
    connection->idle_frames = idle_frames;
    if (connection->allowance < 0) {
        fail(connection, "it sends too many frames that bring no work");
        http2_end(http2_of(connection), HTTP2_ENHANCE_YOUR_CALM);
    }
}

/* Takes a piece of the input; false when there is none. */
static bool take_piece(struct grpc_connection *connection, struct evbuffer *input, size_t *size)
{
    struct evbuffer_iovec piece = {.iov_len = 0};
    if (evbuffer_peek(input, -1, NULL, &piece, 1) < 1 || piece.iov_len == 0) {
        return false;
    }
    *size = piece.iov_len < PIECE_BYTES ? piece.iov_len : PIECE_BYTES;
    if (!http2_receive(http2_of(connection), piece.iov_base, *size)) {
        fail(connection, http2_problem(http2_of(connection)));
    }
    CHECK(evbuffer_drain(input, *size) == 0);
    charge_idle_frames(connection);
    return true;
}

static void init_shared(struct grpc_connection *connection, const struct grpc_config *config)
{
    const struct services *services = config->session->services;
    connection->http2_config = (struct http2_config){
        .streams_max = (uint32_t)services->config.session_calls_max + SPARE_STREAMS,
        .header_list_max = HEADER_LIST_MAX,
        .connection_window = CONNECTION_WINDOW,
    };
    connection->shared = (struct grpc_shared){
        .loop = services->loop,
        .stream = config->stream,
        .session = config->session,
        .http2 = http2_create(&connection->http2_config, &http2_events, connection),
        .message_max = services->config.message_bytes_max,
        .output_max = config->output_max,
    };
    grpc_shared_init(&connection->shared);
}

struct grpc_connection *grpc_connection_create(const struct grpc_config *config)
{
    struct grpc_connection *connection = memory_alloc(sizeof(*connection));
    init_shared(connection, config);
    connection->ping_after_us = config->ping_after_us;
    connection->allowance = IDLE_FRAMES_MAX;
    connection->allowed_us = now_us_of(connection);
    connection->heard_us = now_us_of(connection);
    timer_init(&connection->ping, on_ping_due);
    timer_init(&connection->part, on_parted);
    set_timer(connection, &connection->ping, config->ping_after_us);
    return connection;
}

void grpc_connection_destroy(struct grpc_connection *connection)
{
    CHECK(!timer_is_set(&connection->ping));
    http2_destroy(http2_of(connection));
    grpc_shared_release(&connection->shared);
    memory_free(connection);
}

/* Whether this turn goes on with the input: what it queued leaves before more is queued. */
static bool has_turn(const struct grpc_connection *connection, const struct slice *slice)
{
    const struct grpc_shared *shared = &connection->shared;
    return connection->problem == NULL && !stream_is_congested(shared->stream) &&
           http2_frames(shared->http2) - slice->frames < SLICE_FRAMES &&
           slice->taken < SLICE_BYTES &&
           shared->queued <= slice->queued + shared->output_max / SLICE_OF_OUTPUT;
}

void grpc_connection_input(struct grpc_connection *connection)
{
    struct stream *stream = connection->shared.stream;
    struct evbuffer *input = stream_input(stream);
    struct slice slice = {.frames = http2_frames(http2_of(connection)),
                          .queued = connection->shared.queued};
    size_t size = 0;
    connection->heard_us = now_us_of(connection);
    while (has_turn(connection, &slice) && take_piece(connection, input, &size)) {
        slice.taken += size;
    }
    if (evbuffer_get_length(input) > 0 && connection->problem == NULL) {
        stream_yield(stream);
    }
    stream_ask_for_flush(stream);
}

bool grpc_connection_flush(struct grpc_connection *connection)
{
    const uint8_t *bytes = NULL;
    size_t length = 0;
    while (!stream_is_congested(connection->shared.stream)) {
        if (!http2_produce(http2_of(connection), &bytes, &length)) {
            fail(connection, http2_problem(http2_of(connection)));
            return false;
        }
        if (length == 0) {
            return false;
        }
        stream_write(connection->shared.stream, bytes, length);
    }
    return true;
}

void grpc_connection_drain(struct grpc_connection *connection)
{
    if (connection->parting == PARTING_NOT) {
        connection->parting = PARTING_ANNOUNCED;
        http2_announce_end(http2_of(connection));
        set_timer(connection, &connection->part, PARTING_US);
        stream_ask_for_flush(connection->shared.stream);
    }
}

bool grpc_connection_is_drained(const struct grpc_connection *connection)
{
    return connection->parting == PARTING_DONE;
}

void grpc_connection_say_goodbye(struct grpc_connection *connection)
{
    if (connection->parting != PARTING_DONE && connection->problem == NULL) {
        connection->parting = PARTING_DONE;
        http2_end(http2_of(connection), HTTP2_NO_ERROR);
    }
    grpc_connection_flush(connection);
}

void grpc_connection_stop(struct grpc_connection *connection)
{
    struct wheel *wheel = loop_wheel(connection->shared.loop);
    wheel_clear(wheel, &connection->ping);
    wheel_clear(wheel, &connection->part);
    loop_unpost(connection->shared.loop, &connection->shared.due_task);
}

bool grpc_connection_is_awaiting(const struct grpc_connection *connection)
{
    return http2_is_awaiting(http2_of(connection));
}

bool grpc_connection_is_over(const struct grpc_connection *connection)
{
    return connection->problem != NULL || http2_is_over(http2_of(connection));
}

const char *grpc_connection_problem(const struct grpc_connection *connection)
{
    return connection->problem != NULL ? connection->problem : http2_problem(http2_of(connection));
}
