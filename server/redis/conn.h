/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A connection to Redis, made, lost and made again: hiredis' asynchronous context on our loop, with
 * deadlines of our own for connecting and for every reply. The address is numeric, or a socket.
 *
 *   CLOSED -> CONNECTING -> OPEN -> CLOSED
 *
 * Commands leave and replies arrive in order. hiredis frees its context when a connection ends, so
 * nobody else keeps it.
 */
#ifndef HOLDFAST_REDIS_CONN_H
#define HOLDFAST_REDIS_CONN_H

#include "base/compiler.h"
#include "base/loop.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Commands that may await their replies at one time. */
#define CONN_COMMANDS_MAX ((size_t)16)

struct conn;
struct redisReply;

/* Called from INPUT with the time read just before. `reply` is valid only during the callback. */
typedef void conn_reply_fn(void *user, const struct redisReply *reply, int64_t now_us);

struct conn_listener {
    /* The transport stands; commands may be sent. From INPUT. */
    void (*on_open)(void *user, int64_t now_us);
    /* The connection ended, or could not be made: no reply will come for what was sent. Once per
     * conn_connect, from INPUT, never from inside conn_connect, conn_flush or conn_fail.
     * conn_connect may be called again. */
    void (*on_closed)(void *user, const char *reason, int64_t now_us);
    void *user;
};

struct conn_address {
    const char *socket_path; /* or NULL: */
    const char *ip;          /* numeric */
    int port;
};

struct conn_command {
    const char *const *arguments;
    const size_t *lengths;
    size_t count;
    conn_reply_fn *on_reply;
    void *user;
};

/* A closed connection. */
struct conn *conn_create(struct loop *loop, const struct conn_listener *listener);

/* Closes and frees without a callback. Not from inside one. */
void conn_destroy(struct conn *conn);

/* Begins to connect. The connection must be closed. The transport must stand within `timeout_us`;
 * later, TCP gives up a silent peer after the same time. */
void conn_connect(struct conn *conn, const struct conn_address *address, int64_t timeout_us);

/* From now on a command whose reply does not come within `timeout_us` ends the connection. */
void conn_set_reply_timeout(struct conn *conn, int64_t timeout_us);

/* From now on whatever Redis says goes to `on_push`, as on a connection that is subscribed.
 * conn_send sends without waiting for a reply: its command's on_reply is not called. The connection
 * must be open and no command await its reply. Ends with the connection. */
void conn_listen(struct conn *conn, conn_reply_fn *on_push, void *user);

/* Queues a command; its reply time counts from `now_us`. Call in FLUSH, then conn_flush. False
 * when the connection is not open or too many commands await their replies: never sent. */
NODISCARD bool conn_send(struct conn *conn, const struct conn_command *command, int64_t now_us);

/* Writes what was queued. */
void conn_flush(struct conn *conn);

/* Ends the connection for the given reason. May be called from an on_reply or on_push. Harmless
 * when it is closed already. */
void conn_fail(struct conn *conn, const char *reason);

bool conn_is_open(const struct conn *conn);

/* Commands that await their replies. */
size_t conn_pending(const struct conn *conn);

#endif
