/* SPDX-License-Identifier: Apache-2.0 */
/* The parts of the model of Redis, for its own files. */
#ifndef SIM_REDIS_INTERNAL_H
#define SIM_REDIS_INTERNAL_H

#include "sim_redis.h"

/* sim_redis_lock.c: what a lock is and how it changes. */

int64_t redis_steady_us(const struct sim_redis *redis);

bool redis_is_recovering(const struct sim_redis *redis);

/* The hold that is the request's by tenure, in a SHARED lock also by token, or NULL. */
struct redis_hold *redis_find_own(struct redis_lock *lock, const struct redis_request *request);

/* Whether one more holder of this mode, limit and token fits. */
bool redis_has_room(const struct redis_lock *lock, enum store_mode mode, uint32_t limit,
                    const struct id128 *token);

/* Adds a holder to a lock that has room for it. */
struct redis_hold *redis_add_hold(struct sim_redis *redis, size_t lock, enum store_mode mode,
                                  const struct redis_hold *hold);

void redis_remove_hold(struct redis_lock *lock, struct redis_hold *hold);

/* A fence above all that were given. */
uint64_t redis_next_fence(struct sim_redis *redis);

void redis_note_seen(struct sim_redis *redis, uint64_t fence);

bool redis_has_seen_before(const struct sim_redis *redis, uint64_t fence);

/* Fills `holder` with who holds the lock. */
void redis_describe(const struct sim_redis *redis, const struct redis_lock *lock,
                    struct store_holder *holder);

/* sim_redis_queue.c: who waits. */

/* Puts the server at the end of the queue, or updates its entry where it stands. */
void redis_enqueue(struct sim_redis *redis, const struct redis_request *request);

/* Takes the server's entry out of the queue if it is this tenure's: a late command of an earlier
 * one must not take it. Whether it was. */
bool redis_dequeue(struct sim_redis *redis, const struct redis_request *request);

/* Whether nobody waits, or this tenure is the first that does. */
bool redis_is_first(const struct redis_lock *lock, const struct id128 *tenure);

/* How many servers but this one wait. */
uint32_t redis_others_waiting(const struct redis_lock *lock, unsigned server);

/* Passes the lock to the first of those who wait, as long as it can be had, and tells who is first
 * then. */
void redis_serve(struct sim_redis *redis, size_t lock);

/* The lock will be free earlier than those who wait think: the first of them is told to ask. */
void redis_tell_first(struct sim_redis *redis, size_t lock);

#endif
