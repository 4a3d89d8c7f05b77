/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the store hears from Redis unasked, for its listener: that a lock was given to us, and that
 * a watched one has changed hands. Hints may be missed; who is told so (on_subscribed) asks again.
 * What may mean that Redis has forgotten raises the doubt.
 */
#ifndef HOLDFAST_REDIS_HINTS_H
#define HOLDFAST_REDIS_HINTS_H

#include "base/loop.h"
#include "base/metrics.h"
#include "lease/store.h"
#include "redis/doubt.h"
#include "redis/link.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct hints;

/* Tells the listener of `port`, if it has one. `commands` is the link that operations go over; it
 * and the rest outlive the hints. Starts to connect in the next turn. */
struct hints *hints_create(const struct link_config *config, const struct store *port,
                           const char *key_prefix, const struct link *commands, struct doubt *doubt,
                           struct loop *loop, struct metrics *metrics);

/* Not from inside a call of the listener. */
void hints_destroy(struct hints *hints);

/* 32 hex digits: the name under which this server is told what it is given. */
const char *hints_server_id(const struct hints *hints);

/* Whether a lock given to us would be heard of. */
bool hints_are_heard(const struct hints *hints);

/* The listener's on_subscribed is called in this turn's WORK or the next one's, unless hints are
 * not heard: then it follows when they are. */
void hints_tell(struct hints *hints);

/* The link for commands stands. */
void hints_commands_up(struct hints *hints);

/* See store_watch and store_unwatch. */
void hints_watch(struct hints *hints, const char *key, size_t key_length);
void hints_unwatch(struct hints *hints, const char *key, size_t key_length);

/* For how long a batch is to have Redis tell of watched locks; 0 when none is watched. */
int64_t hints_watch_us(const struct hints *hints);

/* A batch that was sent at `sent_us` with hints_watch_us was run. */
void hints_watched(struct hints *hints, int64_t sent_us, int64_t now_us);

/* Ends the pause before the next attempt to connect, if it is on. */
void hints_retry_now(struct hints *hints);

#endif
