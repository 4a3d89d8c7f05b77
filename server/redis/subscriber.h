/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The subscriber: a connection of its own on which Redis tells what happened. It is subscribed to
 * the channel of this server, holdfast:server:<id>, to the one that tells that Redis has forgotten,
 * holdfast:forgotten, and to those of watched locks, holdfast:lock:<key>, which come and go. Where
 * it is allowed to, it has Redis tell when it is flushed, too (redis/tracking.h). When the
 * connection is lost it is made again and all of this is asked for anew.
 *
 * A Redis that is stopped and goes on keeps the subscriptions; a peer that is gone is noticed by
 * TCP keepalive. So nothing is sent on an idle connection, and nothing has a deadline.
 */
#ifndef HOLDFAST_REDIS_SUBSCRIBER_H
#define HOLDFAST_REDIS_SUBSCRIBER_H

#include "base/compiler.h"
#include "base/loop.h"
#include "base/metrics.h"
#include "redis/link.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Longer messages are ignored. */
#define SUBSCRIBER_PAYLOAD_MAX ((size_t)1024)

#define SUBSCRIBER_KEY_MAX ((size_t)1024)

/* Locks watched at one time. */
#define SUBSCRIBER_LOCKS_MAX ((size_t)1000000)

struct subscriber;

/* Called from INPUT, never from inside a subscriber_ function, and may call all of them but
 * subscriber_destroy. Texts are valid only during the call. */
struct subscriber_listener {
    /* The server's channel is subscribed to: Redis has confirmed it. */
    void (*on_up)(void *user, int64_t now_us);
    /* After on_up: messages will be missed until the next on_up. */
    void (*on_down)(void *user, int64_t now_us);
    /* Redis was flushed, or another server has found that it forgot: it may have so just now. */
    void (*on_forgotten)(void *user, int64_t now_us);
    /* A message to this server. */
    void (*on_message)(void *user, const char *payload, size_t length, int64_t now_us);
    /* A lock's channel is subscribed to, or is so again. */
    void (*on_lock_up)(void *user, const char *key, size_t key_length, int64_t now_us);
    /* A message about a lock that is watched. */
    void (*on_lock_message)(void *user, const char *key, size_t key_length, const char *payload,
                            size_t length, int64_t now_us);
    void *user;
};

/* Starts to connect in the next turn, with a fresh id. */
struct subscriber *subscriber_create(const struct link_config *config,
                                     const struct subscriber_listener *listener, struct loop *loop,
                                     struct metrics *metrics);

/* Closes without a callback. Not from inside one. */
void subscriber_destroy(struct subscriber *subscriber);

/* The id of this server: 32 hex digits. Lives as long as the subscriber. */
const char *subscriber_id(const struct subscriber *subscriber);

/* Whether messages to this server are heard. */
bool subscriber_is_up(const struct subscriber *subscriber);

/* Whether Redis tells this server when it is flushed. */
bool subscriber_hears_flushes(const struct subscriber *subscriber);

/* The run_id of the Redis that is subscribed to; while it is up. */
const char *subscriber_run_id(const struct subscriber *subscriber);

/* Watches a lock by its full Redis key. It must not be watched already. False when
 * SUBSCRIBER_LOCKS_MAX is reached. */
NODISCARD bool subscriber_add(struct subscriber *subscriber, const char *key, size_t key_length);

/* Nothing more is told of the lock. Harmless when it is not watched. */
void subscriber_remove(struct subscriber *subscriber, const char *key, size_t key_length);

/* How many locks are watched. */
size_t subscriber_locks(const struct subscriber *subscriber);

/* Gives the connection up, to make it anew. */
void subscriber_fail(struct subscriber *subscriber, const char *reason);

/* Ends the pause before the next attempt to connect, if it is on. */
void subscriber_retry_now(struct subscriber *subscriber);

#endif
