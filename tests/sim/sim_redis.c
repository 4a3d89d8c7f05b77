/* SPDX-License-Identifier: Apache-2.0 */
#include "sim_redis.h"

#include <inttypes.h>

#include "base/memory.h"
#include "sim_world.h"

#define EPOCH_US INT64_C(1700000000000000)

static int64_t steady_us(const struct sim_redis *redis)
{
    const int64_t now_us = redis->world->now_us;
    return now_us + now_us * redis->drift_ppm / 1000000;
}

static bool is_recovering(const struct sim_redis *redis)
{
    return steady_us(redis) < redis->data.recovery_until_us;
}

static bool is_own(const struct redis_lock *lock, const struct redis_request *request)
{
    return lock->owner == REDIS_OURS && id128_equal(&lock->tenure, &request->tenure);
}

static bool has_seen_before_restart(const struct sim_redis *redis, uint64_t fence)
{
    for (size_t i = 0; i < redis->seen_before; i++) {
        if (redis->seen[i] == fence) {
            return true;
        }
    }
    return false;
}

static void note_seen(struct sim_redis *redis, uint64_t fence)
{
    if (redis->data.seen_count == redis->seen_capacity) {
        redis->seen_capacity *= 2;
        redis->seen = memory_resize(redis->seen, redis->seen_capacity * sizeof(*redis->seen));
    }
    redis->seen[redis->data.seen_count++] = fence;
}

/* The only place where a command changes a lock: whatever the rules above decided, a lock of
 * another owner must never get here. */
static void change(struct sim_redis *redis, const struct redis_request *request,
                   const struct redis_lock *changed)
{
    struct redis_lock *lock = &redis->data.locks[request->lock];
    if (lock->owner != REDIS_FREE && !is_own(lock, request)) {
        world_violation(redis->world,
                        "a command changed lock %zu of another owner (fence %" PRIu64 ")",
                        request->lock, lock->fence);
    }
    *lock = *changed;
}

static void set(struct sim_redis *redis, const struct redis_request *request, uint64_t fence,
                int64_t since_ms)
{
    const struct redis_lock lock = {
        .owner = REDIS_OURS,
        .tenure = request->tenure,
        .fence = fence,
        .since_ms = since_ms,
        .ttl_ms = request->ttl_ms,
        .expires_us = steady_us(redis) + request->ttl_ms * WORLD_MS,
    };
    change(redis, request, &lock);
}

static uint64_t next_fence(struct sim_redis *redis)
{
    const uint64_t time_us = (uint64_t)sim_redis_time_us(redis);
    uint64_t fence = redis->data.fence_register + 1;
    if (fence < time_us && redis->world->config.mistake != MISTAKE_LOW_FENCE) {
        fence = time_us;
    }
    redis->data.fence_register = fence;
    note_seen(redis, fence);
    return fence;
}

static void describe(const struct sim_redis *redis, const struct redis_lock *lock,
                     struct store_holder *holder)
{
    if (lock->owner == REDIS_FREE) {
        return;
    }
    *holder = (struct store_holder){
        .is_held = true,
        .is_foreign = lock->owner == REDIS_FOREIGN,
        .remaining_us = lock->expires_us - steady_us(redis),
        .since_ms = lock->since_ms,
        .fence = lock->fence,
    };
}

static void acquire(struct sim_redis *redis, const struct redis_request *request,
                    struct store_result *result)
{
    struct redis_lock *lock = sim_redis_lock(redis, request->lock);
    if (is_own(lock, request)) {
        set(redis, request, lock->fence, lock->since_ms);
    } else if (lock->owner != REDIS_FREE) {
        result->code = STORE_BUSY;
        describe(redis, lock, &result->holder);
        return;
    } else if (is_recovering(redis)) {
        result->code = STORE_RECOVERING;
        result->retry_after_us = redis->data.recovery_until_us - steady_us(redis);
        return;
    } else {
        set(redis, request, next_fence(redis), sim_redis_time_us(redis) / WORLD_MS);
    }
    result->code = STORE_OK;
    result->fence = lock->fence;
    result->since_ms = lock->since_ms;
}

static void recreate(struct sim_redis *redis, const struct redis_request *request)
{
    if (has_seen_before_restart(redis, request->fence)) {
        world_violation(redis->world,
                        "lock %zu was re-created with fence %" PRIu64
                        ", which this Redis had seen end",
                        request->lock, request->fence);
    }
    set(redis, request, request->fence, request->since_ms);
    note_seen(redis, request->fence);
    if (redis->data.fence_register < request->fence) {
        redis->data.fence_register = request->fence;
    }
}

static void renew(struct sim_redis *redis, const struct redis_request *request,
                  struct store_result *result)
{
    const enum mistake mistake = redis->world->config.mistake;
    const struct redis_lock *lock = sim_redis_lock(redis, request->lock);
    const bool is_unseen = request->fence > redis->data.mark || mistake == MISTAKE_RECREATE_ALL;
    result->code = STORE_OK;
    if (is_own(lock, request) || (lock->owner == REDIS_OURS && mistake == MISTAKE_NO_OWNER)) {
        set(redis, request, lock->fence, lock->since_ms);
        result->fence = request->fence == 0 ? lock->fence : 0;
    } else if (lock->owner == REDIS_FREE && is_recovering(redis) && request->fence > 0 &&
               is_unseen) {
        recreate(redis, request);
    } else {
        result->code = STORE_NOT_HELD;
    }
}

static void release(struct sim_redis *redis, const struct redis_request *request,
                    struct store_result *result)
{
    static const struct redis_lock free_lock = {.owner = REDIS_FREE};
    const struct redis_lock *lock = sim_redis_lock(redis, request->lock);
    const bool is_careless = redis->world->config.mistake == MISTAKE_NO_OWNER;
    result->code = STORE_NOT_HELD;
    if (is_own(lock, request) || (is_careless && lock->owner != REDIS_FREE)) {
        change(redis, request, &free_lock);
        result->code = STORE_OK;
    }
}

/* The first command that a new incarnation sees opens the recovery window. */
static void check_incarnation(struct sim_redis *redis)
{
    const bool is_new = redis->data.incarnation != redis->run_id;
    if (is_new && redis->world->config.mistake != MISTAKE_NO_RECOVERY) {
        redis->data.incarnation = redis->run_id;
        redis->data.mark = redis->data.fence_register;
        redis->data.recovery_until_us = steady_us(redis) + REDIS_RECOVERY_WINDOW_US;
    }
}

void sim_redis_init(struct sim_redis *redis, struct world *world)
{
    *redis = (struct sim_redis){
        .world = world,
        .run_id = 1,
        .drift_ppm = sim_random_between(&world->random, -4000, 4000),
        .wall_offset_us = EPOCH_US,
        .seen_capacity = 64,
    };
    redis->data.incarnation = 1; /* marked as new: no window for the first lock */
    redis->seen = memory_alloc(redis->seen_capacity * sizeof(*redis->seen));
    sim_redis_replicate(redis);
}

void sim_redis_release(struct sim_redis *redis)
{
    memory_free(redis->seen);
}

int64_t sim_redis_time_us(const struct sim_redis *redis)
{
    return steady_us(redis) + redis->wall_offset_us;
}

void sim_redis_execute(struct sim_redis *redis, const struct redis_request *request,
                       struct store_result *result)
{
    *result = (struct store_result){.code = STORE_UNAVAILABLE, .detail = "refused"};
    if (redis->world->now_us < redis->refuses_until_us) {
        return;
    }
    if (sim_redis_time_us(redis) > request->not_after_us) {
        result->code = STORE_EXPIRED;
        return;
    }
    check_incarnation(redis);
    const struct redis_lock *lock = sim_redis_lock(redis, request->lock);
    if (lock->owner == REDIS_OTHER_TYPE) {
        result->code = STORE_WRONG_TYPE;
        result->detail = "list";
        return;
    }
    switch (request->verb) {
    case STORE_ACQUIRE:
        acquire(redis, request, result);
        break;
    case STORE_RENEW:
        renew(redis, request, result);
        break;
    case STORE_RELEASE:
        release(redis, request, result);
        break;
    case STORE_INSPECT:
        result->code = STORE_OK;
        describe(redis, lock, &result->holder);
        break;
    }
}

struct redis_lock *sim_redis_lock(struct sim_redis *redis, size_t lock)
{
    struct redis_lock *found = &redis->data.locks[lock];
    const bool can_expire = found->owner == REDIS_OURS || found->owner == REDIS_FOREIGN;
    if (can_expire && steady_us(redis) >= found->expires_us) {
        *found = (struct redis_lock){.owner = REDIS_FREE};
    }
    return found;
}

void sim_redis_replicate(struct sim_redis *redis)
{
    redis->replica = redis->data;
}

void sim_redis_restart(struct sim_redis *redis, bool is_empty)
{
    redis->data = is_empty ? (struct redis_data){.incarnation = 0} : redis->replica;
    redis->seen_before = redis->data.seen_count;
    redis->run_id++;
    for (size_t i = 0; i < REDIS_LOCKS; i++) {
        redis->data.locks[i].is_restored = true;
    }
    sim_redis_replicate(redis);
}

bool sim_redis_foreign_set(struct sim_redis *redis, size_t lock, uint64_t who, int64_t ttl_ms)
{
    struct redis_lock *found = sim_redis_lock(redis, lock);
    if (found->owner != REDIS_FREE) {
        return false;
    }
    *found = (struct redis_lock){
        .owner = REDIS_FOREIGN,
        .ttl_ms = ttl_ms,
        .expires_us = steady_us(redis) + ttl_ms * WORLD_MS,
        .foreign = who,
    };
    return true;
}

void sim_redis_foreign_delete(struct sim_redis *redis, size_t lock, uint64_t who)
{
    struct redis_lock *found = sim_redis_lock(redis, lock);
    if (found->owner == REDIS_FOREIGN && found->foreign == who) {
        *found = (struct redis_lock){.owner = REDIS_FREE};
    }
}

void sim_redis_operator_delete(struct sim_redis *redis, size_t lock)
{
    *sim_redis_lock(redis, lock) = (struct redis_lock){.owner = REDIS_FREE};
}

void sim_redis_toggle_type(struct sim_redis *redis, size_t lock)
{
    struct redis_lock *found = sim_redis_lock(redis, lock);
    if (found->owner == REDIS_FREE) {
        found->owner = REDIS_OTHER_TYPE;
    } else if (found->owner == REDIS_OTHER_TYPE) {
        found->owner = REDIS_FREE;
    }
}
