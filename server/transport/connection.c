/* SPDX-License-Identifier: Apache-2.0 */
#include "transport/connection.h"

#include <string.h>
#include <unistd.h>

#include <event2/buffer.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"
#include "service/session.h"
#include "transport/first_byte.h"
#include "transport/grpc_connection.h"
#include "transport/stream.h"
#include "transport/tls.h"
#include "transport/ttrpc_connection.h"
#include "wire/sniff.h"

#define SNIFF_SIZE       ((size_t)16)
#define FINISH_TIME_US   CLOCK_US_PER_S
#define COMPLAINT_GAP_US CLOCK_US_PER_S

/* How every TLS client begins. */
#define TLS_HANDSHAKE 0x16

enum connection_state {
    CONNECTION_SILENT,   /* whether it speaks TLS is not known yet; there is no stream */
    CONNECTION_SNIFFING, /* the protocol is not known yet */
    CONNECTION_TTRPC,
    CONNECTION_GRPC,
    CONNECTION_FINISHING, /* the last output is leaving; there is no session any more */
};

struct connection {
    LIST_ENTRY(connection) link; /* in its host */
    struct connection_host *host;
    struct first_byte first;
    struct stream *stream;   /* NULL while silent */
    struct session *session; /* NULL while finishing */
    enum connection_state state;
    struct ttrpc_connection ttrpc;
    struct grpc_connection *grpc; /* NULL unless this is spoken */
    uint64_t frames;              /* of ttrpc, when the timer was set */
    struct timer patience;        /* for the first bytes, then for the rest of a frame */
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
           "Content-Length: 78\r\n"
           "Connection: close, Upgrade\r\n"
           "Upgrade: h2c, ttrpc\r\n"
           "\r\n"
           "This port speaks ttRPC and gRPC, not HTTP/1. Use the holdfast client or gRPC.\n"),
    .message = "an HTTP/1 client reached this port, which speaks ttRPC and gRPC",
};

static const struct refusal tls_refusal = {
    .message = "a TLS client reached this port, which is plain; give the client tcp:// or unix://, "
               "or let the server listen on tls://",
};

static const struct refusal plain_refusal = {
    .message =
        "a client without TLS reached this address, which serves TLS; give the client tls://",
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
    case SNIFF_TLS:
        return &tls_refusal;
    case SNIFF_UNKNOWN:
        return &garbage_refusal;
    case SNIFF_TTRPC:
    case SNIFF_HTTP2:
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

static void start_ttrpc(struct connection *connection)
{
    connection->state = CONNECTION_TTRPC;
    ttrpc_connection_init(&connection->ttrpc, connection->stream, connection->session);
    wheel_clear(loop_wheel(connection->host->loop), &connection->patience);
}

static void start_grpc(struct connection *connection)
{
    const struct grpc_config config = {
        .stream = connection->stream,
        .session = connection->session,
        .output_max = connection->host->output_max,
        .ping_after_us = connection->host->ping_after_us,
    };
    connection->state = CONNECTION_GRPC;
    connection->grpc = grpc_connection_create(&config);
    wheel_clear(loop_wheel(connection->host->loop), &connection->patience);
}

static void sniff_input(struct connection *connection)
{
    uint8_t bytes[SNIFF_SIZE];
    ev_ssize_t length = evbuffer_copyout(stream_input(connection->stream), bytes, sizeof(bytes));
    CHECK(length >= 0);
    enum sniff protocol = sniff(bytes, (size_t)length);
    bool is_known = protocol != SNIFF_NEED_MORE;
    if (is_known && connection->session->is_unsecured && protocol != SNIFF_HTTP2) {
        refuse(connection, &plain_refusal);
    } else if (protocol == SNIFF_TTRPC) {
        start_ttrpc(connection);
    } else if (protocol == SNIFF_HTTP2) {
        start_grpc(connection);
    } else if (is_known) {
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

static void finish_grpc(struct connection *connection)
{
    const char *problem = grpc_connection_problem(connection->grpc);
    if (problem != NULL) {
        connection->host->metrics->protocol_errors++;
        complain(connection, "a gRPC client broke the rules of HTTP/2", problem);
    }
    connection_finish(connection);
}

static void grpc_input(struct connection *connection)
{
    grpc_connection_input(connection->grpc);
    if (!grpc_connection_is_awaiting(connection->grpc)) {
        wheel_clear(loop_wheel(connection->host->loop), &connection->patience);
    } else if (!timer_is_set(&connection->patience)) {
        be_patient(connection);
    }
}

static bool on_flush(struct stream *stream, void *user)
{
    struct connection *connection = user;
    (void)stream;
    if (connection->state != CONNECTION_GRPC) {
        return false;
    }
    bool has_more = grpc_connection_flush(connection->grpc);
    if (grpc_connection_is_over(connection->grpc)) {
        finish_grpc(connection);
        return false;
    }
    return has_more;
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
    } else if (connection->state == CONNECTION_GRPC) {
        grpc_input(connection);
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
    .on_flush = on_flush,
    .on_gone = on_gone,
    .on_closed = on_closed,
};

static void run_free(struct task *task)
{
    struct connection *connection = CONTAINER_OF(task, struct connection, free_task);
    if (connection->ttrpc.stream != NULL) {
        ttrpc_connection_release(&connection->ttrpc);
    }
    if (connection->grpc != NULL) {
        grpc_connection_destroy(connection->grpc);
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
    if (connection->grpc != NULL) {
        grpc_connection_stop(connection->grpc);
    }
}

static struct connection *prepare(struct connection_host *host, struct session *session)
{
    struct connection *connection = memory_alloc(sizeof(*connection));
    connection->host = host;
    connection->session = session;
    timer_init(&connection->patience, on_impatience);
    task_init(&connection->free_task, run_free);
    LIST_INSERT_HEAD(&host->connections, connection, link);
    host->count++;
    host->metrics->connections_now++;
    host->metrics->connections_accepted++;
    return connection;
}

static void open_stream(struct connection *connection, int fd, struct ssl_st *tls)
{
    struct connection_host *host = connection->host;
    connection->state = CONNECTION_SNIFFING;
    connection->stream =
        stream_create(host->loop, fd, tls, host->output_max, &stream_events, connection);
}

/* Those who probe for health speak no TLS; they are let in and reach nothing else. */
static void on_first_byte(void *user, int byte)
{
    struct connection *connection = user;
    if (byte == FIRST_BYTE_NONE) {
        connection_close(connection);
        return;
    }
    bool is_tls = byte == TLS_HANDSHAKE;
    connection->session->is_unsecured = !is_tls;
    open_stream(connection, connection->first.fd,
                is_tls ? tls_accept(connection->host->tls) : NULL);
}

bool connection_create(struct connection_host *host, int fd, const char *peer)
{
    struct session *session = session_create(host->services, peer);
    if (session == NULL) {
        return false;
    }
    struct connection *connection = prepare(host, session);
    if (host->tls == NULL) {
        open_stream(connection, fd, NULL);
    } else {
        connection->first = (struct first_byte){.loop = host->loop, .fd = fd};
        first_byte_await(&connection->first, on_first_byte, connection);
        be_patient(connection);
    }
    LOG_DEBUG("connection.opened", LOG_MESSAGE("a client connected"), LOG_TEXT("peer", peer));
    return true;
}

static void close_socket(struct connection *connection)
{
    if (connection->stream != NULL) {
        stream_close(connection->stream);
        return;
    }
    first_byte_stop(&connection->first);
    close(connection->first.fd);
}

void connection_close(struct connection *connection)
{
    close_socket(connection);
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
    if (connection->state == CONNECTION_SILENT) {
        connection_close(connection);
        return;
    }
    connection->state = CONNECTION_FINISHING;
    if (connection->grpc != NULL) {
        grpc_connection_say_goodbye(connection->grpc);
    }
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

/* A gRPC client that is asked to go elsewhere hangs up as soon as it has no call in flight, and
 * what it holds would be lost; so it is not asked before it has given that back. */
void connection_drain(struct connection *connection)
{
    if (connection->state == CONNECTION_GRPC && !session_holds_between_calls(connection->session)) {
        grpc_connection_drain(connection->grpc);
    }
}

static bool has_input(const struct connection *connection)
{
    return connection->stream != NULL && evbuffer_get_length(stream_input(connection->stream)) > 0;
}

bool connection_is_idle(const struct connection *connection)
{
    return connection->session != NULL && session_is_idle(connection->session) &&
           !has_input(connection) &&
           (connection->grpc == NULL || grpc_connection_is_drained(connection->grpc));
}

struct connection *connection_next(struct connection *connection)
{
    return LIST_NEXT(connection, link);
}
