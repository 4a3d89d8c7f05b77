/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The model of Redis with Holdfast's scripts: locks with owner, fence and expiry by a drifting
 * clock of its own, the fence register, the incarnation with its mark and recovery window. It
 * checks by itself that no command ever changes a key of another owner, and that nothing is
 * re-created that its data had seen before it restarted.
 */
#ifndef SIM_REDIS_H
#define SIM_REDIS_H

#include "base/id128.h"
#include "lease/store.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define REDIS_LOCKS              3
#define REDIS_ACK_US             ((int64_t)1000000)
#define REDIS_RECOVERY_WINDOW_US ((int64_t)2000000)

struct world;

enum redis_owner { REDIS_FREE, REDIS_OURS, REDIS_FOREIGN, REDIS_OTHER_TYPE };

struct redis_lock {
    enum redis_owner owner;
    struct id128 tenure; /* OURS */
    uint64_t fence;      /* OURS */
    int64_t since_ms;    /* OURS */
    int64_t ttl_ms;
    int64_t expires_us; /* by the server's steady clock */
    uint64_t foreign;   /* FOREIGN: who */
    bool is_restored;   /* a stale replica brought it back, perhaps after its release */
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
    size_t seen_before; /* how many of them before the last restart */
    bool has_jumped;
};

/* One operation on its way. */
struct redis_request {
    enum store_verb verb;
    size_t lock;
    struct id128 tenure;
    uint64_t fence;
    int64_t since_ms;
    int64_t ttl_ms;
    int64_t not_after_us; /* by TIME */
};

void sim_redis_init(struct sim_redis *redis, struct world *world);

void sim_redis_release(struct sim_redis *redis);

/* TIME, in microseconds. */
int64_t sim_redis_time_us(const struct sim_redis *redis);

/* Runs one operation of a script. Fills all of the result but sent_us. */
void sim_redis_execute(struct sim_redis *redis, const struct redis_request *request,
                       struct store_result *result);

/* The lock as a command would see it now. */
struct redis_lock *sim_redis_lock(struct sim_redis *redis, size_t lock);

/* The replica catches up. */
void sim_redis_replicate(struct sim_redis *redis);

/* Restarts: empty, or as the replica was. */
void sim_redis_restart(struct sim_redis *redis, bool is_empty);

/* Another program's SET NX PX. False when the lock is held. */
bool sim_redis_foreign_set(struct sim_redis *redis, size_t lock, uint64_t who, int64_t ttl_ms);

/* That program's compare-and-delete. */
void sim_redis_foreign_delete(struct sim_redis *redis, size_t lock, uint64_t who);

/* An operator's DEL. */
void sim_redis_operator_delete(struct sim_redis *redis, size_t lock);

/* A key of another type appears under a free lock's name, or goes. */
void sim_redis_toggle_type(struct sim_redis *redis, size_t lock);

#endif
