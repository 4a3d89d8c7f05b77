/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A sidecar's subscription: a connection of its own on which hints come, late but in order, until
 * it is cut. What was published meanwhile is lost. Redis may go on for a while to take a dead
 * subscription for a live one. That it forgot is told, too: by Redis when it is flushed, and by the
 * command that opens the recovery window.
 */
#ifndef SIM_HINTS_H
#define SIM_HINTS_H

#include "base/id128.h"
#include "sim_redis.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

struct sidecar;
struct world;

struct hint;

LIST_HEAD(hint_list, hint);

struct sim_hints {
    struct sidecar *sidecar;
    uint64_t connection;       /* counts connections */
    int64_t arrives_us;        /* when the last hint published arrives: the order is kept */
    int64_t believed_until_us; /* Redis takes the last connection for alive until then */
    bool is_subscribed;        /* confirmed */
    bool owes_subscribed;      /* an ACQUIRE was BUSY because no hints were heard */
    struct id128 last_tenure[REDIS_LOCKS]; /* of the last hint heard, for a planted mistake */
    uint64_t last_fence[REDIS_LOCKS];
    struct hint_list under_way;
    bool may_track;                 /* Redis agrees to tell this server when it is flushed */
    bool is_watched[REDIS_LOCKS];   /* asked for */
    bool is_confirmed[REDIS_LOCKS]; /* on_changed has told that hints come */
};

/* Begins to subscribe. */
void hints_init(struct sim_hints *hints, struct sidecar *sidecar);

/* The process is gone. */
void hints_drop(struct sim_hints *hints);

/* Frees what is left at the end of the world. */
void hints_release(struct sim_hints *hints);

/* The connection breaks; it is made again. Within a turn. */
void hints_cut(struct sim_hints *hints);

/* Hints of changes are wanted, or not any more. Within a turn. */
void hints_watch(struct sim_hints *hints, size_t lock);
void hints_unwatch(struct sim_hints *hints, size_t lock);

/* Tells what is owed, at the end of a turn. */
void hints_tick(struct sim_hints *hints, int64_t now_us);

/* Redis publishes that a lock passes to a tenure of a server. False: nobody is there to hear. */
bool hints_publish(struct world *world, unsigned server, size_t lock, const struct id128 *tenure,
                   uint64_t fence);

/* Redis publishes that a lock has changed hands. */
void hints_publish_change(struct world *world, size_t lock);

/* Whether the sidecar would be told of a flush. */
bool hints_hear_flushes(const struct sim_hints *hints);

/* Redis tells that it was flushed, or `is_found`: that a command has found so. */
void hints_publish_forgotten(struct world *world, bool is_found);

#endif
