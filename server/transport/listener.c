/* SPDX-License-Identifier: Apache-2.0 */
#include "transport/listener.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <event2/event.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/compiler.h"
#include "base/log.h"
#include "base/memory.h"
#include "transport/address.h"
#include "transport/connection.h"
#include "transport/server_socket.h"

/* One turn's share of a socket. */
#define ACCEPTS_PER_TURN 64

/* How long accepting pauses when the system has run out of something; doubles while that lasts. */
#define BACKOFF_MIN_US (100 * CLOCK_US_PER_MS)
#define BACKOFF_MAX_US CLOCK_US_PER_S

#define REFUSAL_GAP_US CLOCK_US_PER_S
#define PING_AFTER_US  (10 * CLOCK_US_PER_S)
#define PEER_SIZE      80

struct listener_socket {
    struct listener *listener;
    int fd;
    struct event *acceptable;
    struct task accept_task;
};

struct listener {
    struct connection_host host;
    struct address address;
    char text[ADDRESS_TEXT_SIZE];
    struct server_sockets sockets;
    struct listener_socket accepting[SERVER_SOCKETS_MAX];
    bool is_stopped;
    int spare_fd; /* given up to answer a peer when there is no other descriptor; -1: none */
    int64_t backoff_us;
    struct timer backoff_timer;
    int64_t refusal_after_us; /* refusals are logged once a second at most */
};

static void on_acceptable(evutil_socket_t fd, short what, void *context)
{
    struct listener_socket *socket = context;
    (void)fd;
    (void)what;
    loop_post(socket->listener->host.loop, LOOP_INPUT, &socket->accept_task);
}

static void watch(struct listener *listener, bool is_watching)
{
    for (size_t i = 0; i < listener->sockets.count; i++) {
        if (is_watching) {
            CHECK(event_add(listener->accepting[i].acceptable, NULL) == 0);
        } else {
            event_del(listener->accepting[i].acceptable);
            loop_unpost(listener->host.loop, &listener->accepting[i].accept_task);
        }
    }
}

/* "unix", "127.0.0.1:51234" or "[::1]:51234". */
static void describe_peer(const struct sockaddr_storage *address, socklen_t length,
                          char peer[PEER_SIZE])
{
    char host[NI_MAXHOST];
    char port[NI_MAXSERV];
    snprintf(peer, PEER_SIZE, "%s", address->ss_family == AF_UNIX ? "unix" : "unknown");
    if (address->ss_family != AF_UNIX &&
        getnameinfo((const struct sockaddr *)address, length, host, sizeof(host), port,
                    sizeof(port), NI_NUMERICHOST | NI_NUMERICSERV) == 0) {
        bool is_v6 = address->ss_family == AF_INET6;
        snprintf(peer, PEER_SIZE, "%s%.60s%s:%.6s", is_v6 ? "[" : "", host, is_v6 ? "]" : "", port);
    }
}

static void refuse(struct listener *listener, int fd, const char *peer)
{
    int64_t now_us = loop_now_us(listener->host.loop);
    listener->host.metrics->connections_refused++;
    if (now_us >= listener->refusal_after_us) {
        listener->refusal_after_us = now_us + REFUSAL_GAP_US;
        LOG_WARN("connection.limit",
                 LOG_MESSAGE("connections are refused: max-connections is reached; raise it or "
                             "close some"),
                 LOG_TEXT("address", listener->text), LOG_TEXT("peer", peer));
    }
    shutdown(fd, SHUT_RDWR);
    close(fd);
}

/* Whether accept4 failed for want of something that may come back. The other errors belong to one
 * connection, which ended before it was accepted. */
static bool is_shortage(int error)
{
    return error == EMFILE || error == ENFILE || error == ENOMEM || error == ENOBUFS;
}

/* Lets waiting peers know at once that they are not served, at the price of the spare descriptor.
 */
static void turn_away(struct listener *listener, int listening_fd)
{
    if (listener->spare_fd < 0) {
        return;
    }
    close(listener->spare_fd);
    for (int i = 0; i < ACCEPTS_PER_TURN; i++) {
        int fd = accept4(listening_fd, NULL, NULL, SOCK_CLOEXEC);
        if (fd < 0) {
            break;
        }
        close(fd);
        listener->host.metrics->connections_refused++;
    }
    listener->spare_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
}

/* Without a pause the socket would stay readable and the loop would spin. */
static void back_off(struct listener *listener, int error)
{
    bool is_first = listener->backoff_us == 0;
    listener->host.metrics->accept_backoffs++;
    listener->backoff_us = is_first ? BACKOFF_MIN_US : listener->backoff_us * 2;
    if (listener->backoff_us > BACKOFF_MAX_US) {
        listener->backoff_us = BACKOFF_MAX_US;
    }
    if (is_first) {
        LOG_ERROR("accept.backoff",
                  LOG_MESSAGE("connections cannot be accepted; accepting pauses until it is "
                              "possible again. Raise the limit of open files (ulimit -n) or lower "
                              "max-connections"),
                  LOG_TEXT("address", listener->text), LOG_TEXT("reason", strerror(error)));
    }
    watch(listener, false);
    wheel_set(loop_wheel(listener->host.loop), &listener->backoff_timer,
              loop_now_us(listener->host.loop) + listener->backoff_us);
}

static void on_backoff_over(struct timer *timer, int64_t now_us)
{
    (void)now_us;
    watch(CONTAINER_OF(timer, struct listener, backoff_timer), true);
}

static void recover(struct listener *listener)
{
    if (listener->backoff_us != 0) {
        listener->backoff_us = 0;
        LOG_INFO("accept.resumed", LOG_MESSAGE("connections are accepted again"),
                 LOG_TEXT("address", listener->text));
    }
    if (listener->spare_fd < 0) {
        listener->spare_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    }
}

static void run_accept(struct task *task)
{
    struct listener_socket *socket = CONTAINER_OF(task, struct listener_socket, accept_task);
    struct listener *listener = socket->listener;
    for (int i = 0; i < ACCEPTS_PER_TURN; i++) {
        char peer[PEER_SIZE];
        struct sockaddr_storage address = {0};
        socklen_t length = sizeof(address);
        int fd =
            accept4(socket->fd, (struct sockaddr *)&address, &length, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0 && is_shortage(errno)) {
            int error = errno;
            turn_away(listener, socket->fd);
            back_off(listener, error);
            return;
        }
        if (fd < 0 && errno == EAGAIN) {
            return;
        }
        if (fd >= 0) {
            recover(listener);
            describe_peer(&address, length, peer);
            if (!connection_create(&listener->host, fd, peer)) {
                refuse(listener, fd, peer);
            }
        }
    }
}

static struct listener *prepare(const struct listener_config *config, struct loop *loop,
                                struct services *services, struct metrics *metrics)
{
    struct listener *listener = memory_alloc(sizeof(*listener));
    listener->host = (struct connection_host){
        .loop = loop,
        .services = services,
        .metrics = metrics,
        .output_max = config->output_max,
        .handshake_timeout_us = config->handshake_timeout_ms * CLOCK_US_PER_MS,
        .ping_after_us = PING_AFTER_US,
    };
    LIST_INIT(&listener->host.connections);
    timer_init(&listener->backoff_timer, on_backoff_over);
    return listener;
}

static bool open_sockets(struct listener *listener, const struct listener_config *config,
                         char problem[LISTENER_PROBLEM_SIZE])
{
    _Static_assert(LISTENER_PROBLEM_SIZE >= ADDRESS_PROBLEM_SIZE, "problems are passed on");
    _Static_assert(LISTENER_PROBLEM_SIZE >= SERVER_SOCKET_PROBLEM_SIZE, "problems are passed on");
    const struct server_socket_options options = {
        .unix_mode = config->unix_mode,
        .keepalive_ms = config->keepalive_ms,
        .user_timeout_ms = config->user_timeout_ms,
    };
    if (!address_parse(&listener->address, config->url, problem)) {
        return false;
    }
    if (listener->address.kind == ADDRESS_TLS) {
        if (config->tls == NULL) {
            snprintf(
                problem, LISTENER_PROBLEM_SIZE,
                "%.100s: listening with TLS needs a certificate and its key (tls-cert, tls-key)",
                config->url);
            return false;
        }
        listener->host.tls = config->tls;
    }
    return server_sockets_open(&listener->sockets, &listener->address, &options, problem);
}

static void prepare_to_accept(struct listener *listener)
{
    struct event_base *base = loop_event_base(listener->host.loop);
    for (size_t i = 0; i < listener->sockets.count; i++) {
        struct listener_socket *socket = &listener->accepting[i];
        socket->listener = listener;
        socket->fd = listener->sockets.fds[i];
        task_init(&socket->accept_task, run_accept);
        socket->acceptable =
            event_new(base, socket->fd, EV_READ | EV_PERSIST, on_acceptable, socket);
        CHECK(socket->acceptable != NULL);
    }
}

struct listener *listener_create(const struct listener_config *config, struct loop *loop,
                                 struct services *services, struct metrics *metrics,
                                 char problem[LISTENER_PROBLEM_SIZE])
{
    struct listener *listener = prepare(config, loop, services, metrics);
    if (!open_sockets(listener, config, problem)) {
        memory_free(listener);
        return NULL;
    }
    address_format(&listener->address, listener->text);
    listener->spare_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    prepare_to_accept(listener);
    return listener;
}

void listener_start(struct listener *listener)
{
    watch(listener, true);
}

void listener_stop(struct listener *listener)
{
    if (listener->is_stopped) {
        return;
    }
    listener->is_stopped = true;
    wheel_clear(loop_wheel(listener->host.loop), &listener->backoff_timer);
    watch(listener, false);
    for (size_t i = 0; i < listener->sockets.count; i++) {
        event_free(listener->accepting[i].acceptable);
    }
    server_sockets_close(&listener->sockets, &listener->address);
    if (listener->spare_fd >= 0) {
        close(listener->spare_fd);
    }
}

void listener_shut_down(struct listener *listener)
{
    struct connection *next = NULL;
    for (struct connection *connection = LIST_FIRST(&listener->host.connections);
         connection != NULL; connection = next) {
        next = connection_next(connection);
        connection_shut_down(connection);
    }
}

size_t listener_connections(const struct listener *listener)
{
    return listener->host.count;
}

void listener_close_idle(struct listener *listener)
{
    struct connection *next = NULL;
    for (struct connection *connection = LIST_FIRST(&listener->host.connections);
         connection != NULL; connection = next) {
        next = connection_next(connection);
        connection_drain(connection);
        if (connection_is_idle(connection)) {
            connection_finish(connection);
        }
    }
}

void listener_destroy(struct listener *listener)
{
    listener_stop(listener);
    while (!LIST_EMPTY(&listener->host.connections)) {
        connection_close(LIST_FIRST(&listener->host.connections));
    }
    memory_free(listener);
}

const char *listener_address(const struct listener *listener)
{
    return listener->text;
}
