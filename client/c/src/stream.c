/* SPDX-License-Identifier: Apache-2.0 */
#include "stream.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <event2/buffer.h>
#include <event2/event.h>

#include "base/check.h"
#include "lookup.h"

#define CHUNK_SIZE    16384
#define CHUNKS_A_TURN 8
#define VECTORS       16

/* A server that vanished without a word is noticed within about ten seconds. */
#define KEEPALIVE_IDLE_S     5
#define KEEPALIVE_INTERVAL_S 2
#define KEEPALIVE_PROBES     3
#define USER_TIMEOUT_MS      10000

static void try_next_address(struct stream *stream);

static void drop_event(struct event **event)
{
    if (*event != NULL) {
        event_free(*event);
        *event = NULL;
    }
}

/* Ends this descriptor; the attempt may go on with another address. */
static void close_descriptor(struct stream *stream)
{
    drop_event(&stream->readable);
    drop_event(&stream->writable);
    if (stream->descriptor >= 0) {
        (void)close(stream->descriptor);
        stream->descriptor = -1;
    }
}

static void fail(struct stream *stream, const char *why)
{
    char text[HOLDFAST_ERROR_SIZE];
    (void)snprintf(text, sizeof(text), "%s", why);
    stream_close(stream);
    stream->events->on_close(stream->user, text);
}

static void set_option(int descriptor, int level, int name, int value)
{
    (void)setsockopt(descriptor, level, name, &value, sizeof(value));
}

static void tune_tcp(int descriptor)
{
    set_option(descriptor, IPPROTO_TCP, TCP_NODELAY, 1);
    set_option(descriptor, SOL_SOCKET, SO_KEEPALIVE, 1);
    set_option(descriptor, IPPROTO_TCP, TCP_KEEPIDLE, KEEPALIVE_IDLE_S);
    set_option(descriptor, IPPROTO_TCP, TCP_KEEPINTVL, KEEPALIVE_INTERVAL_S);
    set_option(descriptor, IPPROTO_TCP, TCP_KEEPCNT, KEEPALIVE_PROBES);
    set_option(descriptor, IPPROTO_TCP, TCP_USER_TIMEOUT, USER_TIMEOUT_MS);
}

/* What is to be sent as it is. */
static struct evbuffer *outgoing(const struct stream *stream)
{
    return stream->config.tls != NULL ? stream->wire : stream->output;
}

/* Returns 0, or errno. With SIGPIPE's default a plain write to a closed connection would end the
 * application. */
static int send_some(struct stream *stream)
{
    struct evbuffer *buffer = outgoing(stream);
    while (evbuffer_get_length(buffer) > 0) {
        struct evbuffer_iovec vectors[VECTORS];
        int count = evbuffer_peek(buffer, -1, NULL, vectors, VECTORS);
        size_t used = (size_t)(count < VECTORS ? count : VECTORS);
        struct msghdr message = {.msg_iov = vectors, .msg_iovlen = used};
        ssize_t sent = sendmsg(stream->descriptor, &message, MSG_NOSIGNAL);
        if (sent < 0) {
            return errno == EINTR ? EAGAIN : errno;
        }
        (void)evbuffer_drain(buffer, (size_t)sent);
    }
    return 0;
}

static void flush(struct stream *stream)
{
    if (stream->state == STREAM_OPEN && stream->config.tls != NULL &&
        !tls_session_send(&stream->tls, stream->output, stream->wire)) {
        fail(stream, "TLS cannot send");
        return;
    }
    int error = send_some(stream);
    if (error == EAGAIN) {
        (void)event_add(stream->writable, NULL);
    } else if (error != 0) {
        (void)snprintf(stream->why, sizeof(stream->why), "cannot send: %s", strerror(error));
        fail(stream, stream->why);
    } else if (stream->state == STREAM_OPEN && stream->events->on_drained != NULL) {
        stream->events->on_drained(stream->user);
    }
}

static void arm_timeout(struct stream *stream, uint32_t timeout_ms)
{
    struct timeval timeout = {.tv_sec = timeout_ms / 1000,
                              .tv_usec = (suseconds_t)(timeout_ms % 1000) * 1000};
    (void)evtimer_add(stream->timeout, &timeout);
}

static void opened(struct stream *stream)
{
    stream->state = STREAM_OPEN;
    (void)event_del(stream->timeout);
    stream->events->on_open(stream->user);
}

/* Returns false when the stream has failed. */
static bool shake_hands(struct stream *stream)
{
    enum tls_step step = tls_session_handshake(&stream->tls, stream->wire, stream->why);
    if (step == TLS_STEP_FAILED || step == TLS_STEP_UNTRUSTED) {
        stream->is_untrusted = step == TLS_STEP_UNTRUSTED;
        (void)send_some(stream); /* the alert that tells the server why */
        fail(stream, stream->why);
        return false;
    }
    flush(stream);
    if (step == TLS_STEP_DONE && stream->state == STREAM_SHAKING_HANDS) {
        opened(stream);
    }
    return stream->state != STREAM_CLOSED;
}

enum intake { INTAKE_NOTHING, INTAKE_SOME, INTAKE_END, INTAKE_ERROR };

static enum intake receive_chunk(struct stream *stream)
{
    char bytes[CHUNK_SIZE];
    ssize_t length = recv(stream->descriptor, bytes, sizeof(bytes), 0);
    if (length == 0) {
        return INTAKE_END;
    }
    if (length < 0) {
        return errno == EAGAIN || errno == EINTR ? INTAKE_NOTHING : INTAKE_ERROR;
    }
    if (stream->config.tls != NULL) {
        tls_session_feed(&stream->tls, bytes, (size_t)length);
    } else {
        CHECK(evbuffer_add(stream->input, bytes, (size_t)length) == 0);
    }
    return INTAKE_SOME;
}

static enum intake receive(struct stream *stream)
{
    enum intake intake = INTAKE_SOME;
    for (int i = 0; i < CHUNKS_A_TURN && intake == INTAKE_SOME; i++) {
        intake = receive_chunk(stream);
    }
    if (intake == INTAKE_ERROR) {
        (void)snprintf(stream->why, sizeof(stream->why), "the connection broke: %s",
                       strerror(errno));
    } else if (intake == INTAKE_END) {
        (void)snprintf(stream->why, sizeof(stream->why), "the server closed the connection");
    }
    return intake;
}

/* Returns false when the peer has ended TLS. */
static bool decrypt(struct stream *stream)
{
    char why[HOLDFAST_ERROR_SIZE] = "the server closed the connection";
    enum tls_step step = tls_session_receive(&stream->tls, stream->input, stream->wire, why);
    if (step == TLS_STEP_MORE) {
        if (evbuffer_get_length(stream->wire) > 0) {
            event_active(stream->turn, EV_TIMEOUT, 1);
        }
        return true;
    }
    (void)snprintf(stream->why, sizeof(stream->why), "%s", why);
    return false;
}

/* A server that speaks something else hangs up on the client's hello. */
static void fail_at_end(struct stream *stream)
{
    char why[HOLDFAST_ERROR_SIZE];
    (void)snprintf(why, sizeof(why), "%.190s%s", stream->why,
                   stream->state == STREAM_SHAKING_HANDS ? TLS_MAYBE_PLAIN : "");
    fail(stream, why);
}

static void on_readable(evutil_socket_t descriptor, short what, void *argument)
{
    (void)descriptor;
    (void)what;
    struct stream *stream = argument;
    enum intake intake = receive(stream);
    bool is_over = intake == INTAKE_END || intake == INTAKE_ERROR;
    if (stream->state == STREAM_SHAKING_HANDS && !shake_hands(stream)) {
        return;
    }
    if (stream->state == STREAM_OPEN && stream->config.tls != NULL && !decrypt(stream)) {
        is_over = true;
    }
    if (stream->state == STREAM_OPEN && evbuffer_get_length(stream->input) > 0) {
        stream->events->on_data(stream->user);
    }
    if (is_over && stream->state != STREAM_CLOSED) {
        fail_at_end(stream);
    }
}

static bool start_tls(struct stream *stream)
{
    if (!tls_session_init(&stream->tls, stream->config.tls, stream->config.address->host)) {
        fail(stream, "cannot start TLS");
        return false;
    }
    stream->state = STREAM_SHAKING_HANDS;
    return shake_hands(stream);
}

static void connected(struct stream *stream)
{
    (void)event_add(stream->readable, NULL);
    if (stream->config.tls != NULL) {
        (void)start_tls(stream);
    } else {
        opened(stream);
    }
}

static void refused(struct stream *stream, int error)
{
    (void)snprintf(stream->why, sizeof(stream->why), "cannot connect: %s", strerror(error));
    close_descriptor(stream);
    try_next_address(stream);
}

static void on_writable(evutil_socket_t descriptor, short what, void *argument)
{
    (void)what;
    struct stream *stream = argument;
    if (stream->state != STREAM_CONNECTING) {
        flush(stream);
        return;
    }
    int error = 0;
    socklen_t size = sizeof(error);
    if (getsockopt(descriptor, SOL_SOCKET, SO_ERROR, &error, &size) != 0) {
        error = errno;
    }
    if (error != 0) {
        refused(stream, error);
    } else {
        connected(stream);
    }
}

static bool watch(struct stream *stream)
{
    struct event_base *base = stream->config.base;
    int descriptor = stream->descriptor;
    stream->readable = event_new(base, descriptor, EV_READ | EV_PERSIST, on_readable, stream);
    stream->writable = event_new(base, descriptor, EV_WRITE, on_writable, stream);
    return stream->readable != NULL && stream->writable != NULL;
}

static void connect_to(struct stream *stream, const struct sockaddr *address, socklen_t size)
{
    int type = SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC;
    stream->state = STREAM_CONNECTING;
    stream->descriptor = socket(address->sa_family, type, 0);
    if (stream->descriptor < 0) {
        refused(stream, errno);
        return;
    }
    if (address->sa_family != AF_UNIX) {
        tune_tcp(stream->descriptor);
    }
    if (!watch(stream)) {
        refused(stream, ENOMEM);
        return;
    }
    if (connect(stream->descriptor, address, size) == 0) {
        connected(stream);
    } else if (errno == EINPROGRESS) {
        (void)event_add(stream->writable, NULL);
    } else {
        refused(stream, errno);
    }
}

static uint32_t count_addresses(const struct stream *stream)
{
    uint32_t count = 1;
    for (const struct addrinfo *each = stream->addresses->ai_next; each != NULL;
         each = each->ai_next) {
        count++;
    }
    return count;
}

/* One address that swallows packets must not use up the time of the others. */
static void try_next_address(struct stream *stream)
{
    const struct addrinfo *address = stream->address;
    if (address == NULL) {
        fail(stream, stream->why);
        return;
    }
    stream->address = address->ai_next;
    arm_timeout(stream, stream->config.timeout_ms / count_addresses(stream) + 1);
    connect_to(stream, address->ai_addr, address->ai_addrlen);
}

static void on_resolved(struct addrinfo *list, const char *error, void *user)
{
    struct stream *stream = user;
    stream->lookup = NULL;
    stream->addresses = list;
    stream->address = list;
    if (list == NULL) {
        (void)snprintf(stream->why, sizeof(stream->why), "cannot resolve %.150s: %s",
                       stream->config.address->host, error == NULL ? "no address" : error);
    }
    try_next_address(stream);
}

static void start_unix(struct stream *stream)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    _Static_assert(sizeof(address.sun_path) == ADDRESS_PATH_SIZE, "any path fits");
    memcpy(address.sun_path, stream->config.address->path, ADDRESS_PATH_SIZE);
    connect_to(stream, (const struct sockaddr *)&address, sizeof(address));
}

static void start_inet(struct stream *stream)
{
    const struct address *address = stream->config.address;
    struct addrinfo hints = {.ai_family = AF_UNSPEC,
                             .ai_socktype = SOCK_STREAM,
                             .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV};
    struct addrinfo *list = NULL;
    if (getaddrinfo(address->host, address->port, &hints, &list) == 0) {
        on_resolved(list, NULL, stream);
        return;
    }
    stream->state = STREAM_RESOLVING;
    stream->lookup =
        lookup_start(stream->config.base, address->host, address->port, on_resolved, stream);
    if (stream->lookup == NULL) {
        fail(stream, "cannot start a thread that resolves the server's name");
    }
}

static void on_turn(evutil_socket_t descriptor, short what, void *argument)
{
    (void)descriptor;
    (void)what;
    struct stream *stream = argument;
    if (stream->state == STREAM_OPEN) {
        flush(stream);
    } else if (stream->state == STREAM_STARTING) {
        if (stream->config.address->kind == ADDRESS_UNIX) {
            start_unix(stream);
        } else {
            start_inet(stream);
        }
    }
}

static void on_timeout(evutil_socket_t descriptor, short what, void *argument)
{
    (void)descriptor;
    (void)what;
    struct stream *stream = argument;
    (void)snprintf(stream->why, sizeof(stream->why), "no connection after %u ms",
                   stream->config.timeout_ms);
    if (stream->state == STREAM_CONNECTING) {
        close_descriptor(stream);
        try_next_address(stream);
    } else {
        fail(stream, stream->why);
    }
}

bool stream_init(struct stream *stream, const struct stream_config *config,
                 const struct stream_events *events, void *user)
{
    *stream = (struct stream){.config = *config, .events = events, .user = user, .descriptor = -1};
    stream->input = evbuffer_new();
    stream->output = evbuffer_new();
    stream->wire = evbuffer_new();
    CHECK(stream->input != NULL);
    CHECK(stream->output != NULL);
    CHECK(stream->wire != NULL);
    stream->turn = event_new(config->base, -1, 0, on_turn, stream);
    stream->timeout = evtimer_new(config->base, on_timeout, stream);
    if (stream->turn == NULL || stream->timeout == NULL) {
        stream_release(stream);
        return false;
    }
    return true;
}

void stream_release(struct stream *stream)
{
    stream_close(stream);
    drop_event(&stream->turn);
    drop_event(&stream->timeout);
    evbuffer_free(stream->input);
    evbuffer_free(stream->output);
    evbuffer_free(stream->wire);
}

void stream_open(struct stream *stream)
{
    CHECK(stream->state == STREAM_CLOSED);
    stream->state = STREAM_STARTING;
    stream->is_untrusted = false;
    arm_timeout(stream, stream->config.timeout_ms);
    event_active(stream->turn, EV_TIMEOUT, 1);
}

void stream_close(struct stream *stream)
{
    close_descriptor(stream);
    if (stream->timeout != NULL) {
        (void)event_del(stream->timeout);
    }
    if (stream->turn != NULL) {
        (void)event_del(stream->turn);
    }
    if (stream->lookup != NULL) {
        lookup_cancel(stream->lookup);
        stream->lookup = NULL;
    }
    if (stream->addresses != NULL) {
        freeaddrinfo(stream->addresses);
    }
    stream->addresses = NULL;
    stream->address = NULL;
    tls_session_release(&stream->tls);
    (void)evbuffer_drain(stream->input, evbuffer_get_length(stream->input));
    (void)evbuffer_drain(stream->output, evbuffer_get_length(stream->output));
    (void)evbuffer_drain(stream->wire, evbuffer_get_length(stream->wire));
    stream->state = STREAM_CLOSED;
}

void stream_write(struct stream *stream, const void *bytes, size_t length)
{
    CHECK(stream->state == STREAM_OPEN);
    CHECK(evbuffer_add(stream->output, bytes, length) == 0);
    event_active(stream->turn, EV_TIMEOUT, 1);
}

size_t stream_pending(const struct stream *stream)
{
    return evbuffer_get_length(stream->output) + evbuffer_get_length(stream->wire);
}
