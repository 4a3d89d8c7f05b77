/* SPDX-License-Identifier: Apache-2.0 */
#include "redis/conn.h"

#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <hiredis/async.h>
#include <hiredis/hiredis.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/compiler.h"
#include "base/memory.h"

#define REASON_SIZE 160

/* A reply buffer beyond this is nothing our commands are answered with. */
#define REPLY_BUFFER_MAX ((size_t)4 * 1024 * 1024)

#define KEEPALIVE_PROBES 3

/* Room for a length in Redis' protocol. */
#define LENGTH_SIZE ((size_t)24)

enum conn_state { CONN_CLOSED, CONN_CONNECTING, CONN_OPEN };

struct pending {
    conn_reply_fn *on_reply;
    void *user;
    int64_t sent_us;
};

struct conn {
    struct loop *loop;
    struct conn_listener listener;
    enum conn_state state;
    redisAsyncContext *context; /* NULL when hiredis has let it go */
    struct event *read_event;
    struct event *write_event;
    bool is_writing; /* inside redisAsyncHandleWrite */
    bool is_lost;    /* on_closed is owed */
    char reason[REASON_SIZE];

    struct task read_task;    /* INPUT: bytes have come, or the attempt to connect has ended */
    struct task connect_task; /* INPUT: the attempt to connect has ended */
    struct task write_task;   /* FLUSH: there is room to write again */
    struct task closed_task;  /* INPUT: tell the listener */
    struct timer timer;       /* for connecting, then for the oldest reply */
    int64_t connect_due_us;
    int64_t connect_timeout_us;
    int64_t reply_timeout_us;

    struct pending pending[CONN_COMMANDS_MAX]; /* a ring, oldest at `first` */
    size_t first;
    size_t count;
    char *command; /* the last one in Redis' protocol; kept, for the next is about as long */
    size_t command_size;

    conn_reply_fn *on_push; /* not NULL: the connection listens */
    void *push_user;
};

static void keep_reason(struct conn *conn, const char *reason)
{
    if (conn->reason[0] == '\0') {
        snprintf(conn->reason, sizeof(conn->reason), "%s", reason);
    }
}

static void set_timer(struct conn *conn)
{
    int64_t due_us = CLOCK_NEVER;
    if (conn->state == CONN_CONNECTING) {
        due_us = conn->connect_due_us;
    } else if (conn->state == CONN_OPEN && conn->count > 0) {
        due_us = conn->pending[conn->first].sent_us + conn->reply_timeout_us;
    }
    wheel_set(loop_wheel(conn->loop), &conn->timer, due_us);
}

static void free_events(struct conn *conn)
{
    if (conn->read_event != NULL) {
        event_free(conn->read_event);
        event_free(conn->write_event);
    }
    conn->read_event = NULL;
    conn->write_event = NULL;
}

/* hiredis has let the context go, whoever began it. */
static void mark_lost(struct conn *conn)
{
    conn->context = NULL;
    conn->state = CONN_CLOSED;
    conn->count = 0;
    conn->is_lost = true;
    free_events(conn);
    loop_unpost(conn->loop, &conn->read_task);
    loop_unpost(conn->loop, &conn->connect_task);
    loop_unpost(conn->loop, &conn->write_task);
    set_timer(conn);
    loop_post(conn->loop, LOOP_INPUT, &conn->closed_task);
}

/* The hooks through which hiredis asks for readiness. They may be called at any time. */

static void on_add_read(void *user)
{
    struct conn *conn = user;
    if (conn->read_event != NULL) {
        event_add(conn->read_event, NULL);
    }
}

static void on_del_read(void *user)
{
    struct conn *conn = user;
    if (conn->read_event != NULL) {
        event_del(conn->read_event);
    }
}

/* New commands wait for conn_flush; only what the socket did not take waits for readiness. */
static void on_add_write(void *user)
{
    struct conn *conn = user;
    bool must_wait = conn->is_writing || conn->state == CONN_CONNECTING;
    if (conn->write_event != NULL && must_wait) {
        event_add(conn->write_event, NULL);
    }
}

static void on_del_write(void *user)
{
    struct conn *conn = user;
    if (conn->write_event != NULL) {
        event_del(conn->write_event);
    }
}

static void on_cleanup(void *user)
{
    struct conn *conn = user;
    if (conn->context == NULL) {
        return;
    }
    if (conn->context->c.err != 0) {
        keep_reason(conn, conn->context->c.errstr);
    }
    mark_lost(conn);
}

/* Called for failure too, but then hiredis goes on to clean up, and 0.14 must not be asked to free
 * the context from in here. */
static void on_connected(const redisAsyncContext *context, int status)
{
    struct conn *conn = context->data;
    if (status == REDIS_OK) {
        conn->state = CONN_OPEN;
    }
}

/* libevent's callbacks: they only post. */

static void on_readable(evutil_socket_t fd, short what, void *user)
{
    (void)fd;
    (void)what;
    struct conn *conn = user;
    loop_post(conn->loop, LOOP_INPUT, &conn->read_task);
}

static void on_writable(evutil_socket_t fd, short what, void *user)
{
    (void)fd;
    (void)what;
    struct conn *conn = user;
    if (conn->state == CONN_CONNECTING) {
        loop_post(conn->loop, LOOP_INPUT, &conn->connect_task);
    } else {
        loop_post(conn->loop, LOOP_FLUSH, &conn->write_task);
    }
}

static void write_now(struct conn *conn)
{
    conn->is_writing = true;
    redisAsyncHandleWrite(conn->context);
    conn->is_writing = false;
}

static void run_connect(struct task *task)
{
    struct conn *conn = CONTAINER_OF(task, struct conn, connect_task);
    write_now(conn);
    if (conn->state == CONN_OPEN) {
        set_timer(conn);
        conn->listener.on_open(conn->listener.user, loop_now_us(conn->loop));
    }
}

/* Nothing is awaited, yet there is something to read: the end of the connection, or an error that
 * explains it. hiredis aborts the process over anything else. */
static bool is_unasked(const struct conn *conn)
{
    char byte = '\0';
    ssize_t size = recv(conn->context->c.fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
    return size == 1 && byte != '-';
}

/* hiredis' own way with subscriptions aborts the process, or gives replies to the wrong callback,
 * depending on its version; so its reader is used, and nothing else of it. */
static void read_pushes(struct conn *conn)
{
    if (redisBufferRead(&conn->context->c) != REDIS_OK) {
        conn_fail(conn, conn->context->c.errstr);
        return;
    }
    int64_t now_us = loop_update_now_us(conn->loop);
    while (conn->context != NULL) {
        void *reply = NULL;
        redisReader *reader = conn->context->c.reader;
        if (redisReaderGetReply(reader, &reply) != REDIS_OK) {
            conn_fail(conn, reader->errstr);
            return;
        }
        if (reply == NULL) {
            return;
        }
        conn->on_push(conn->push_user, reply, now_us);
        freeReplyObject(reply);
    }
}

static void run_read(struct task *task)
{
    struct conn *conn = CONTAINER_OF(task, struct conn, read_task);
    if (conn->state == CONN_CONNECTING) {
        run_connect(&conn->connect_task);
        return;
    }
    if (conn->on_push != NULL) {
        read_pushes(conn);
    } else if (conn->count == 0 && is_unasked(conn)) {
        conn_fail(conn, "Redis sent a reply to nothing");
    } else {
        redisAsyncHandleRead(conn->context);
    }
    if (conn->context != NULL && conn->context->c.reader->len > REPLY_BUFFER_MAX) {
        conn_fail(conn, "Redis sent a reply that is too long");
    }
}

static void run_write(struct task *task)
{
    struct conn *conn = CONTAINER_OF(task, struct conn, write_task);
    write_now(conn);
}

static void run_closed(struct task *task)
{
    struct conn *conn = CONTAINER_OF(task, struct conn, closed_task);
    char reason[REASON_SIZE];
    memcpy(reason, conn->reason, sizeof(reason));
    conn->is_lost = false;
    conn->listener.on_closed(conn->listener.user, reason, loop_now_us(conn->loop));
}

static void on_due(struct timer *timer, int64_t now_us)
{
    (void)now_us;
    struct conn *conn = CONTAINER_OF(timer, struct conn, timer);
    bool is_connecting = conn->state == CONN_CONNECTING;
    conn_fail(conn, is_connecting ? "no connection in time" : "no reply in time");
}

/* hiredis calls this for every command, with NULL when the connection has ended: on_closed says
 * that for all of them. */
static void on_reply(redisAsyncContext *context, void *data, void *user)
{
    struct conn *conn = user;
    if (data == NULL || conn->context == NULL || conn->count == 0) {
        return;
    }
    struct pending pending = conn->pending[conn->first];
    conn->first = (conn->first + 1) % CONN_COMMANDS_MAX;
    conn->count--;
    /* The process may have been stopped since the timers ran. */
    int64_t now_us = loop_update_now_us(conn->loop);
    if (now_us - pending.sent_us > conn->reply_timeout_us) {
        conn_fail(conn, "no reply in time");
        return;
    }
    if (conn->count == 0 && context->c.reader->pos < context->c.reader->len) {
        conn_fail(conn, "Redis sent a reply to nothing");
        return;
    }
    set_timer(conn);
    pending.on_reply(pending.user, data, now_us);
}

static void set_option(int fd, int level, int name, int64_t value)
{
    int number = value > INT32_MAX ? INT32_MAX : (int)value;
    if (number < 1) {
        number = 1;
    }
    /* A socket without the option still works; its deadlines are ours. */
    (void)setsockopt(fd, level, name, &number, sizeof(number));
}

static void tune_tcp(int fd, int64_t timeout_us)
{
    int64_t timeout_s = timeout_us / CLOCK_US_PER_S;
    set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1);
    set_option(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
    set_option(fd, IPPROTO_TCP, TCP_KEEPIDLE, timeout_s);
    set_option(fd, IPPROTO_TCP, TCP_KEEPINTVL, timeout_s / KEEPALIVE_PROBES);
    set_option(fd, IPPROTO_TCP, TCP_KEEPCNT, KEEPALIVE_PROBES);
    set_option(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, timeout_us / CLOCK_US_PER_MS);
}

static void attach(struct conn *conn, redisAsyncContext *context)
{
    int fd = context->c.fd;
    struct event_base *base = loop_event_base(conn->loop);
    (void)fcntl(fd, F_SETFD, FD_CLOEXEC);
    conn->context = context;
    conn->read_event = event_new(base, fd, EV_READ | EV_PERSIST, on_readable, conn);
    conn->write_event = event_new(base, fd, EV_WRITE, on_writable, conn);
    CHECK(conn->read_event != NULL);
    CHECK(conn->write_event != NULL);
    context->data = conn;
    context->ev.data = conn;
    context->ev.addRead = on_add_read;
    context->ev.delRead = on_del_read;
    context->ev.addWrite = on_add_write;
    context->ev.delWrite = on_del_write;
    context->ev.cleanup = on_cleanup;
    redisAsyncSetConnectCallback(context, on_connected);
}

struct conn *conn_create(struct loop *loop, const struct conn_listener *listener)
{
    struct conn *conn = memory_alloc(sizeof(*conn));
    conn->loop = loop;
    conn->listener = *listener;
    conn->state = CONN_CLOSED;
    task_init(&conn->read_task, run_read);
    task_init(&conn->connect_task, run_connect);
    task_init(&conn->write_task, run_write);
    task_init(&conn->closed_task, run_closed);
    timer_init(&conn->timer, on_due);
    return conn;
}

void conn_destroy(struct conn *conn)
{
    conn_fail(conn, "closed");
    loop_unpost(conn->loop, &conn->closed_task);
    memory_free(conn->command);
    memory_free(conn);
}

void conn_connect(struct conn *conn, const struct conn_address *address, int64_t timeout_us)
{
    CHECK(conn->state == CONN_CLOSED);
    CHECK(!conn->is_lost);
    conn->reason[0] = '\0';
    conn->first = 0;
    conn->count = 0;
    conn->connect_timeout_us = timeout_us;
    conn->connect_due_us = loop_now_us(conn->loop) + timeout_us;
    conn->reply_timeout_us = timeout_us;
    conn->on_push = NULL;
    conn->state = CONN_CONNECTING;
    redisAsyncContext *context = address->socket_path != NULL
                                     ? redisAsyncConnectUnix(address->socket_path)
                                     : redisAsyncConnect(address->ip, address->port);
    if (context == NULL || context->err != 0) {
        keep_reason(conn, context != NULL ? context->errstr : "out of memory");
        if (context != NULL) {
            redisAsyncFree(context);
        }
        mark_lost(conn);
        return;
    }
    if (address->socket_path == NULL) {
        tune_tcp(context->c.fd, timeout_us);
    }
    attach(conn, context);
    set_timer(conn);
}

void conn_set_reply_timeout(struct conn *conn, int64_t timeout_us)
{
    conn->reply_timeout_us = timeout_us;
    set_timer(conn);
}

void conn_listen(struct conn *conn, conn_reply_fn *on_push, void *user)
{
    CHECK(conn->state == CONN_OPEN);
    CHECK(conn->count == 0);
    conn->on_push = on_push;
    conn->push_user = user;
}

/* "*3\r\n", "$10\r\n". Returns the end. */
static char *put_length(char *at, char kind, size_t number)
{
    char digits[LENGTH_SIZE];
    size_t count = 0;
    do {
        digits[count++] = (char)('0' + number % 10);
        number /= 10;
    } while (number > 0);
    *at++ = kind;
    while (count > 0) {
        *at++ = digits[--count];
    }
    *at++ = '\r';
    *at++ = '\n';
    return at;
}

/* What redisFormatCommandArgv does with printf and memory of its own, several times slower for the
 * hundreds of arguments of a batch. Returns the length. */
static size_t format(struct conn *conn, const struct conn_command *command)
{
    size_t size = LENGTH_SIZE;
    for (size_t i = 0; i < command->count; i++) {
        size += LENGTH_SIZE + command->lengths[i] + 2;
    }
    if (size > conn->command_size) {
        conn->command = memory_resize(conn->command, size);
        conn->command_size = size;
    }
    char *at = put_length(conn->command, '*', command->count);
    for (size_t i = 0; i < command->count; i++) {
        at = put_length(at, '$', command->lengths[i]);
        memcpy(at, command->arguments[i], command->lengths[i]);
        at += command->lengths[i];
        *at++ = '\r';
        *at++ = '\n';
    }
    return (size_t)(at - conn->command);
}

bool conn_send(struct conn *conn, const struct conn_command *command, int64_t now_us)
{
    if (conn->state != CONN_OPEN || conn->count == CONN_COMMANDS_MAX) {
        return false;
    }
    const size_t length = format(conn, command);
    if (conn->on_push != NULL) {
        return redisAppendFormattedCommand(&conn->context->c, conn->command, length) == REDIS_OK;
    }
    if (redisAsyncFormattedCommand(conn->context, on_reply, conn, conn->command, length) !=
        REDIS_OK) {
        return false;
    }
    size_t last = (conn->first + conn->count) % CONN_COMMANDS_MAX;
    conn->pending[last] = (struct pending){command->on_reply, command->user, now_us};
    conn->count++;
    set_timer(conn);
    return true;
}

void conn_flush(struct conn *conn)
{
    if (conn->state == CONN_OPEN) {
        write_now(conn);
    }
}

void conn_fail(struct conn *conn, const char *reason)
{
    if (conn->context == NULL) {
        return;
    }
    redisAsyncContext *context = conn->context;
    keep_reason(conn, reason);
    mark_lost(conn);
    redisAsyncFree(context);
}

bool conn_is_open(const struct conn *conn)
{
    return conn->state == CONN_OPEN;
}

size_t conn_pending(const struct conn *conn)
{
    return conn->count;
}
