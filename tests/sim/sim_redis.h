/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The model of Redis with Holdfast's scripts: locks in two modes with owners, fences and expiry by
 * a drifting clock of its own; beside each the queue of the servers that wait for it; the fence
 * register; the incarnation with its mark and recovery window. It checks by itself that no command
 * ever changes a hold of another owner, and that nothing is re-created that its data had seen
 * before it forgot.
 *
 * A lock that is freed is passed to the first in the queue whose server hears of it. An EXCLUSIVE
 * one that is found free, for its holder's time ran out, is whoever's asks first; a SHARED one is
 * nobody's before the queue was served. In the recovery window nothing is passed; the first in the
 * queue hears a hint all the same, so that it asks when the window ends. Whoever is first in the
 * queue hears one, too, when it becomes the first, and when the lock will be free earlier than it
 * was told: when the ttl shrinks, or a lock delay begins. So it always has a timer at the right
 * time, even if the server to which the lock was passed before is gone.
 */
#ifndef SIM_REDIS_H
#define SIM_REDIS_H

#include "base/id128.h"
#include "lease/store.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define REDIS_LOCKS              3
#define REDIS_HOLDS              24 /* at most so many holders of one SHARED lock */
#define REDIS_ENTRIES            24 /* servers in one queue, dead ones included */
#define REDIS_ACK_US             ((int64_t)1000000)
#define REDIS_RECOVERY_WINDOW_US ((int64_t)2000000)

struct world;

enum redis_kind { REDIS_FREE, REDIS_HELD, REDIS_FOREIGN, REDIS_OTHER_TYPE };

/* One holder of a lock, or what a lock delay left of one. */
struct redis_hold {
    unsigned server; /* whose command wrote it, or whom it was passed to */
    struct id128 tenure;
    struct id128 token;
    uint64_t fence;
    int64_t since_ms;
    int64_t ttl_ms;
    int64_t expires_us; /* by the server's steady clock; the lock delay included */
    bool is_closed;     /* nobody's any more: a lock delay is running */
    bool is_passed;     /* not yet confirmed by the server that it was passed to */
    bool is_restored;   /* a stale replica brought it back, perhaps after its release */
};

/* A server that waits. */
struct redis_entry {
    unsigned server;
    struct id128 tenure;
    struct id128 token;
    enum store_mode mode;
    uint32_t limit;
    int64_t grant_ms; /* how long the queue gives the lock for */
    int64_t expires_us;
    bool is_restored;
};

struct redis_lock {
    enum redis_kind kind;
    enum store_mode mode;       /* HELD */
    size_t hold_count;          /* HELD: at least 1 */
    size_t entry_count;         /* in any state */
    int64_t foreign_expires_us; /* FOREIGN */
    uint64_t foreign;           /* FOREIGN: who */
    struct redis_hold holds[REDIS_HOLDS];
    struct redis_entry entries[REDIS_ENTRIES]; /* in order of arrival */
};

/* What a restart may bring back. */
struct redis_data {
    struct redis_lock locks[REDIS_LOCKS];
    uint64_t fence_register;
    uint64_t incarnation; /* the run id that the scripts last saw; 0: none */
    uint64_t mark;
    int64_t recovery_until_us; /* by the steady clock */
    size_t seen_count;         /* of the fences in sim_redis.seen */
};

struct sim_redis {
    struct world *world;
    struct redis_data data;
    struct redis_data replica; /* lags behind */
    uint64_t run_id;
    int64_t drift_ppm;
    int64_t wall_offset_us; /* TIME minus the steady clock */
    int64_t paused_until_us;
    int64_t refuses_until_us; /* errors instead of answers, true time */
    uint64_t *seen;           /* every fence granted or re-created in this line of data */
    size_t seen_capacity;
    size_t seen_before; /* how many of them before it last forgot */
    uint64_t passes;    /* grants from the queue */
    bool has_jumped;
};

/* One operation on its way. */
struct redis_request {
    enum store_verb verb;
    enum store_mode mode;
    unsigned server;
    size_t lock;
    struct id128 tenure;
    struct id128 token;
    uint64_t fence;
    uint32_t fence_block;
    uint32_t limit;
    bool wants_queue;
    bool keeps_lock;
    int64_t since_ms;
    int64_t ttl_ms;
    int64_t grant_ms; /* how long the queue may give it for */
    int64_t lock_delay_ms;
    int64_t not_after_us; /* by TIME */
};

void sim_redis_init(struct sim_redis *redis, struct world *world);

void sim_redis_release(struct sim_redis *redis);

/* TIME, in microseconds. */
int64_t sim_redis_time_us(const struct sim_redis *redis);

/* Runs one operation of a script. Fills all of the result but sent_us. */
void sim_redis_execute(struct sim_redis *redis, const struct redis_request *request,
                       struct store_result *result);

/* When the recovery window ends, 0 outside of one; every script looks; an empty one
 * tells. */
int64_t sim_redis_window_end_us(struct sim_redis *redis);

/* The lock as a command would see it now. */
struct redis_lock *sim_redis_lock(struct sim_redis *redis, size_t lock);

/* What INSPECT would tell now. */
void sim_redis_inspect(struct sim_redis *redis, size_t lock, struct store_holder *holder);

/* Whether one of its holders holds it under this token. */
const struct redis_hold *sim_redis_find_token(struct sim_redis *redis, size_t lock,
                                              const struct id128 *token);

/* The replica catches up. */
void sim_redis_replicate(struct sim_redis *redis);

/* Restarts: empty, or as the replica was. */
void sim_redis_restart(struct sim_redis *redis, bool is_empty);

/* Forgets everything, and nobody's connection breaks. FLUSHALL `is_told`, SWAPDB is not. */
void sim_redis_flush(struct sim_redis *redis, bool is_told);

/* Another program's SET NX PX. False when the lock is held. */
bool sim_redis_foreign_set(struct sim_redis *redis, size_t lock, uint64_t who, int64_t ttl_ms);

/* That program's compare-and-delete, which serves no queue. */
void sim_redis_foreign_delete(struct sim_redis *redis, size_t lock, uint64_t who);

/* An operator's DEL of the lock, not of its queue. */
void sim_redis_operator_delete(struct sim_redis *redis, size_t lock);

/* A key of another type appears under a free lock's name, or goes. */
void sim_redis_toggle_type(struct sim_redis *redis, size_t lock);

#endif
