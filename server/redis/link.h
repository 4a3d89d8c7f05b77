/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The link to one Redis: finds its address, connects, greets, watches, and does it again when the
 * connection is lost, with pauses that grow and are jittered. What it carries is its user's affair.
 *
 *   WAITING -> RESOLVING -> CONNECTING -> GREETING -> UP -> WAITING
 */
#ifndef HOLDFAST_REDIS_LINK_H
#define HOLDFAST_REDIS_LINK_H

#include "base/compiler.h"
#include "base/loop.h"
#include "base/metrics.h"
#include "redis/conn.h"
#include "redis/redis_clock.h"
#include "redis/url.h"

#include <stdbool.h>
#include <stdint.h>

struct link;

struct link_config {
    const struct redis_url *url; /* must outlive the link */
    const char *user;            /* overrides the URL's; may be NULL; must outlive the link */
    const char *password_file;   /* likewise */
    int64_t connect_timeout_us;
    int64_t ack_timeout_us;
    int64_t backoff_max_us;
    bool requires_noeviction;
};

/* Called from INPUT, never from inside a link_ function. */
struct link_listener {
    void (*on_up)(void *user, int64_t now_us);
    /* After on_up: no reply will come for what was sent. */
    void (*on_down)(void *user, int64_t now_us);
    /* NULL for a link that carries commands. Otherwise it carries messages: while it is up it
     * listens (see conn_listen), and it counts as subscribed from link_confirm on. */
    conn_reply_fn *on_push;
    /* Whether to leave an idle connection in peace, for its user will have something to say before
     * it matters whether Redis answers. NULL: it is tried every two seconds. */
    bool (*is_patient)(void *user);
    void *user;
};

/* Starts to connect in the next turn. */
struct link *link_create(const struct link_config *config, const struct link_listener *listener,
                         struct loop *loop, struct metrics *metrics);

/* Closes without a callback. Not from inside one. */
void link_destroy(struct link *link);

bool link_is_up(const struct link *link);

/* Why the link is not up, or was not the last time: a sentence, never empty. */
const char *link_problem(const struct link *link);

/* The server's run_id; while the link is up. */
const char *link_run_id(const struct link *link);

/* What is known of the server's clock; while the link is up. */
struct redis_clock *link_clock(struct link *link);

/* See conn_send and conn_flush. */
NODISCARD bool link_send(struct link *link, const struct conn_command *command, int64_t now_us);
void link_flush(struct link *link);

/* The server did what was asked of it: the next pause is short again. May be repeated. */
void link_confirm(struct link *link);

/* Gives the connection up. May be called from the callback of a reply or a push. */
void link_fail(struct link *link, const char *reason);

/* Ends the pause before the next attempt, if it is on. */
void link_retry_now(struct link *link);

#endif
