/* SPDX-License-Identifier: Apache-2.0 */
#include "transport/connection.h"

#include <string.h>

#include <event2/buffer.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"
#include "service/session.h"
#include "transport/stream.h"
#include "transport/tls.h"
#include "transport/ttrpc_connection.h"
#include "wire/sniff.h"

#define SNIFF_SIZE       ((size_t)16)
#define FINISH_TIME_US   CLOCK_US_PER_S
#define COMPLAINT_GAP_US CLOCK_US_PER_S

enum connection_state {
    CONNECTION_SNIFFING, /* the protocol is not known yet */
    CONNECTION_TTRPC,
    CONNECTION_FINISHING, /* the last output is leaving; there is no session any more */
};

struct connection {
    LIST_ENTRY(connection) link; /* in its host */
    struct connection_host *host;
    struct stream *stream;
    struct session *session; /* NULL while finishing */
    enum connection_state state;
    struct ttrpc_connection ttrpc;
    uint64_t frames;       /* of ttrpc, when the timer was set */
    struct timer patience; /* for the first bytes, then for the rest of a frame */
    struct task free_task;
};

/* What is told to a peer whose protocol is not served, and to the log. */
struct refusal {
    const char *answer;
    size_t answer_size;
    const char *message;
};

/* A literal without its NUL; it may contain others. */
#define ANSWER(literal) .answer = (literal), .answer_size = sizeof(literal) - 1

static const struct refusal http1_refusal = {
    ANSWER("HTTP/1.1 426 Upgrade Required\r\n"
           "Content-Type: text/plain; charset=utf-8\r\n"
           "Content-Length: 59\r\n"
           "Connection: close, Upgrade\r\n"
           "Upgrade: ttrpc\r\n"
           "\r\n"
           "This port speaks ttRPC, not HTTP. Use the holdfast client.\n"),
    .message = "an HTTP client reached this port, which speaks ttRPC",
};

/* An empty SETTINGS frame, as every server must begin, and GOAWAY(HTTP_1_1_REQUIRED) with a text
 * that gRPC libraries show. */
#define GOAWAY_TEXT "gRPC is not served on this port; it speaks ttRPC"
#define GOAWAY_SIZE "\x38"
_Static_assert(sizeof(GOAWAY_TEXT) - 1 + 8 == 0x38, "GOAWAY_SIZE covers the text");

static const struct refusal http2_refusal = {
    ANSWER("\x00\x00\x00\x04\x00\x00\x00\x00\x00"
           "\x00\x00" GOAWAY_SIZE "\x07\x00\x00\x00\x00\x00"
           "\x00\x00\x00\x00\x00\x00\x00\x0d" GOAWAY_TEXT),
    .message = "a gRPC (HTTP/2) client reached this port, which speaks ttRPC",
};

static const struct refusal tls_refusal = {
    .message = "a TLS client reached this port, which is plain; give the client tcp:// or unix://, "
               "or let the server listen on tls://",
};

static const struct refusal garbage_refusal = {
    .message = "a client sent bytes of no protocol that is served here",
};

static const struct refusal silence_refusal = {
    .message = "a client did not begin to speak, or left a message unfinished, for too long",
};

static const struct refusal *refusal_of(enum sniff protocol)
{
    switch (protocol) {
    case SNIFF_HTTP1:
        return &http1_refusal;
    case SNIFF_HTTP2:
        return &http2_refusal;
    case SNIFF_TLS:
        return &tls_refusal;
    case SNIFF_UNKNOWN:
        return &garbage_refusal;
    case SNIFF_TTRPC:
    case SNIFF_NEED_MORE:
        break;
    }
    return NULL;
}

/* At INFO for people who wonder why a client does not get through, but not for every one of them:
 * their number is the peers' choice. */
static void complain(struct connection *connection, const char *message, const char *reason)
{
    struct connection_host *host = connection->host;
    int64_t now_us = loop_now_us(host->loop);
    enum log_level level = LOG_LEVEL_DEBUG;
    if (now_us >= host->complaint_after_us) {
        host->complaint_after_us = now_us + COMPLAINT_GAP_US;
        level = LOG_LEVEL_INFO;
    }
    struct log_field peer = LOG_TEXT("peer", connection->session->peer);
    if (reason == NULL) {
        LOG_AT(level, "connection.refused", LOG_MESSAGE(message), peer);
    } else {
        LOG_AT(level, "connection.refused", LOG_MESSAGE(message), LOG_TEXT("reason", reason), peer);
    }
}

static void refuse(struct connection *connection, const struct refusal *refusal)
{
    CHECK(refusal != NULL);
    connection->host->metrics->protocol_errors++;
    complain(connection, refusal->message, NULL);
    if (refusal->answer == NULL) {
        connection_close(connection);
        return;
    }
    stream_write(connection->stream, refusal->answer, refusal->answer_size);
    connection_finish(connection);
}

static void be_patient(struct connection *connection)
{
    struct connection_host *host = connection->host;
    wheel_set(loop_wheel(host->loop), &connection->patience,
              loop_now_us(host->loop) + host->handshake_timeout_us);
}

/* Gives every frame its own time, from when its first part has arrived. */
static void watch_frame(struct connection *connection)
{
    const struct ttrpc_connection *ttrpc = &connection->ttrpc;
    if (!ttrpc->is_within_a_frame) {
        wheel_clear(loop_wheel(connection->host->loop), &connection->patience);
    } else if (!timer_is_set(&connection->patience) || ttrpc->frames != connection->frames) {
        connection->frames = ttrpc->frames;
        be_patient(connection);
    }
}

/* A client may connect early and speak late; it is what it has begun that must go on. */
static bool has_begun_nothing(const struct connection *connection)
{
    return connection->state == CONNECTION_SNIFFING && stream_is_established(connection->stream) &&
           evbuffer_get_length(stream_input(connection->stream)) == 0;
}

static void on_impatience(struct timer *timer, int64_t now_us)
{
    (void)now_us;
    struct connection *connection = CONTAINER_OF(timer, struct connection, patience);
    if (!has_begun_nothing(connection)) {
        refuse(connection, &silence_refusal);
    }
}

static void sniff_input(struct connection *connection)
{
    uint8_t bytes[SNIFF_SIZE];
    ev_ssize_t length = evbuffer_copyout(stream_input(connection->stream), bytes, sizeof(bytes));
    CHECK(length >= 0);
    enum sniff protocol = sniff(bytes, (size_t)length);
    if (protocol == SNIFF_TTRPC) {
        connection->state = CONNECTION_TTRPC;
        ttrpc_connection_init(&connection->ttrpc, connection->stream, connection->session);
        wheel_clear(loop_wheel(connection->host->loop), &connection->patience);
    } else if (protocol != SNIFF_NEED_MORE) {
        refuse(connection, refusal_of(protocol));
    } else if (!timer_is_set(&connection->patience)) {
        be_patient(connection);
    }
}

static void ttrpc_input(struct connection *connection)
{
    ttrpc_connection_input(&connection->ttrpc);
    if (connection->ttrpc.is_nonsense) {
        refuse(connection, &garbage_refusal);
        return;
    }
    watch_frame(connection);
}

static void on_input(struct stream *stream, void *user)
{
    struct connection *connection = user;
    (void)stream;
    if (connection->state == CONNECTION_SNIFFING) {
        sniff_input(connection);
    }
    if (connection->state == CONNECTION_TTRPC) {
        ttrpc_input(connection);
    }
}

static void on_gone(struct stream *stream, const char *reason, void *user)
{
    struct connection *connection = user;
    if (stream_has_overflowed(stream)) {
        connection->host->metrics->slow_clients_closed++;
        complain(connection, "a client does not read its answers (see max-output)", reason);
    } else if (connection->state == CONNECTION_SNIFFING && reason != stream_closed_by_peer) {
        connection->host->metrics->protocol_errors++;
        complain(connection, "a client failed before it spoke", reason);
    } else {
        LOG_DEBUG("connection.closed", LOG_MESSAGE("a client disconnected"),
                  LOG_TEXT("reason", reason), LOG_TEXT("peer", connection->session->peer));
    }
    connection_close(connection);
}

/* The output of a finishing connection has left, or its time is up. */
static void on_closed(void *user)
{
    connection_close(user);
}

static const struct stream_events stream_events = {
    .on_input = on_input,
    .on_gone = on_gone,
    .on_closed = on_closed,
};

static void run_free(struct task *task)
{
    struct connection *connection = CONTAINER_OF(task, struct connection, free_task);
    if (connection->ttrpc.stream != NULL) {
        ttrpc_connection_release(&connection->ttrpc);
    }
    memory_free(connection);
}

/* What belongs to the connection goes at the moment it does. */
static void end_session(struct connection *connection)
{
    struct session *session = connection->session;
    wheel_clear(loop_wheel(connection->host->loop), &connection->patience);
    connection->session = NULL;
    if (session != NULL) {
        session_destroy(session);
    }
}

static struct connection *prepare(struct connection_host *host, struct session *session)
{
    struct connection *connection = memory_alloc(sizeof(*connection));
    connection->host = host;
    connection->session = session;
    connection->state = CONNECTION_SNIFFING;
    timer_init(&connection->patience, on_impatience);
    task_init(&connection->free_task, run_free);
    LIST_INSERT_HEAD(&host->connections, connection, link);
    host->count++;
    host->metrics->connections_now++;
    host->metrics->connections_accepted++;
    return connection;
}

bool connection_create(struct connection_host *host, int fd, const char *peer)
{
    struct session *session = session_create(host->services, peer);
    if (session == NULL) {
        return false;
    }
    struct connection *connection = prepare(host, session);
    struct ssl_st *tls = host->tls == NULL ? NULL : tls_accept(host->tls);
    connection->stream =
        stream_create(host->loop, fd, tls, host->output_max, &stream_events, connection);
    if (!stream_is_established(connection->stream)) {
        be_patient(connection);
    }
    LOG_DEBUG("connection.opened", LOG_MESSAGE("a client connected"), LOG_TEXT("peer", peer));
    return true;
}

void connection_close(struct connection *connection)
{
    stream_close(connection->stream);
    end_session(connection);
    LIST_REMOVE(connection, link);
    connection->host->count--;
    connection->host->metrics->connections_now--;
    loop_post(connection->host->loop, LOOP_FREE, &connection->free_task);
}

void connection_finish(struct connection *connection)
{
    if (connection->state == CONNECTION_FINISHING) {
        return;
    }
    connection->state = CONNECTION_FINISHING;
    end_session(connection);
    stream_close_flushed(connection->stream, FINISH_TIME_US);
}

void connection_shut_down(struct connection *connection)
{
    if (connection->session != NULL) {
        session_shut_down(connection->session);
    }
    connection_finish(connection);
}

bool connection_is_idle(const struct connection *connection)
{
    return connection->session != NULL && session_is_idle(connection->session) &&
           evbuffer_get_length(stream_input(connection->stream)) == 0;
}

struct connection *connection_next(struct connection *connection)
{
    return LIST_NEXT(connection, link);
}
