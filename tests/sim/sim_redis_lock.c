/* SPDX-License-Identifier: Apache-2.0 */
#include "sim_redis_internal.h"

#include "base/check.h"
#include "base/memory.h"
#include "sim_world.h"

int64_t redis_steady_us(const struct sim_redis *redis)
{
    const int64_t now_us = redis->world->now_us;
    return now_us + now_us * redis->drift_ppm / 1000000;
}

bool redis_is_recovering(const struct sim_redis *redis)
{
    return redis_steady_us(redis) < redis->data.recovery_until_us;
}

struct redis_hold *redis_find_own(struct redis_lock *lock, const struct redis_request *request)
{
    const bool is_shared = lock->mode == STORE_SHARED;
    if (request->verb == STORE_ACQUIRE && request->mode != lock->mode) {
        return NULL;
    }
    for (size_t i = 0; lock->kind == REDIS_HELD && i < lock->hold_count; i++) {
        struct redis_hold *hold = &lock->holds[i];
        if (!hold->is_closed && id128_equal(&hold->tenure, &request->tenure) &&
            (!is_shared || id128_equal(&hold->token, &request->token))) {
            return hold;
        }
    }
    return NULL;
}

static bool has_token(const struct redis_lock *lock, const struct id128 *token)
{
    for (size_t i = 0; i < lock->hold_count; i++) {
        if (id128_equal(&lock->holds[i].token, token)) {
            return true;
        }
    }
    return false;
}

bool redis_has_room(const struct redis_lock *lock, enum store_mode mode, uint32_t limit,
                    const struct id128 *token)
{
    if (lock->kind == REDIS_FREE) {
        return true;
    }
    const bool is_shared = mode == STORE_SHARED && lock->kind == REDIS_HELD &&
                           lock->mode == STORE_SHARED && lock->hold_count < REDIS_HOLDS;
    return is_shared && (limit == 0 || lock->hold_count < limit) && !has_token(lock, token);
}

struct redis_hold *redis_add_hold(struct sim_redis *redis, size_t lock, enum store_mode mode,
                                  const struct redis_hold *hold)
{
    struct redis_lock *found = &redis->data.locks[lock];
    if (found->kind == REDIS_FREE) {
        found->kind = REDIS_HELD;
        found->mode = mode;
        found->hold_count = 0;
    }
    const bool fits = found->kind == REDIS_HELD && found->mode == mode &&
                      (mode == STORE_SHARED || found->hold_count == 0);
    if (!fits && redis->world->config.mistake != MISTAKE_DOUBLE_PASS) {
        world_violation(redis->world, "the store let lock %zu be held in two ways", lock);
    }
    if (found->hold_count == REDIS_HOLDS) {
        found->hold_count--; /* only a planted mistake gets here */
    }
    found->holds[found->hold_count] = *hold;
    return &found->holds[found->hold_count++];
}

void redis_remove_hold(struct redis_lock *lock, struct redis_hold *hold)
{
    *hold = lock->holds[--lock->hold_count];
    if (lock->hold_count == 0) {
        lock->kind = REDIS_FREE;
    }
}

uint64_t redis_next_fence(struct sim_redis *redis)
{
    const uint64_t time_us = (uint64_t)sim_redis_time_us(redis);
    uint64_t fence = redis->data.fence_register + 1;
    if (fence < time_us && redis->world->config.mistake != MISTAKE_LOW_FENCE) {
        fence = time_us;
    }
    redis->data.fence_register = fence;
    redis_note_seen(redis, fence);
    return fence;
}

void redis_note_seen(struct sim_redis *redis, uint64_t fence)
{
    if (redis->data.seen_count == redis->seen_capacity) {
        redis->seen_capacity *= 2;
        redis->seen = memory_resize(redis->seen, redis->seen_capacity * sizeof(*redis->seen));
    }
    redis->seen[redis->data.seen_count++] = fence;
}

bool redis_has_seen_before(const struct sim_redis *redis, uint64_t fence)
{
    for (size_t i = 0; i < redis->seen_before; i++) {
        if (redis->seen[i] == fence) {
            return true;
        }
    }
    return false;
}

/* When the first of its holders ends, and when the last does. */
static int64_t first_end_us(const struct redis_lock *lock)
{
    int64_t end_us = lock->holds[0].expires_us;
    for (size_t i = 1; i < lock->hold_count; i++) {
        end_us = lock->holds[i].expires_us < end_us ? lock->holds[i].expires_us : end_us;
    }
    return end_us;
}

static const struct redis_hold *first_open(const struct redis_lock *lock)
{
    for (size_t i = 0; i < lock->hold_count; i++) {
        if (!lock->holds[i].is_closed) {
            return &lock->holds[i];
        }
    }
    return NULL;
}

static void describe_held(const struct sim_redis *redis, const struct redis_lock *lock,
                          struct store_holder *holder)
{
    const struct redis_hold *open = first_open(lock);
    *holder = (struct store_holder){
        .is_held = open != NULL,
        .is_closed = open == NULL,
        .mode = lock->mode,
        .holders = (uint32_t)lock->hold_count,
        .remaining_us = first_end_us(lock) - redis_steady_us(redis),
        .since_ms = open != NULL ? open->since_ms : 0,
        .fence = open != NULL ? open->fence : 0,
        .label = "sim",
        .label_length = 3,
    };
}

void redis_describe(const struct sim_redis *redis, const struct redis_lock *lock,
                    struct store_holder *holder)
{
    if (lock->kind == REDIS_HELD) {
        describe_held(redis, lock, holder);
    } else if (lock->kind == REDIS_FOREIGN) {
        *holder = (struct store_holder){
            .is_held = true,
            .is_foreign = true,
            .holders = 1,
            .remaining_us = lock->foreign_expires_us - redis_steady_us(redis),
        };
    }
    holder->waiting = (uint32_t)lock->entry_count;
}

/* Removes what has expired. */
static void expire(struct redis_lock *lock, int64_t steady_us)
{
    if (lock->kind == REDIS_FOREIGN && steady_us >= lock->foreign_expires_us) {
        lock->kind = REDIS_FREE;
    }
    for (size_t i = 0; lock->kind == REDIS_HELD && i < lock->hold_count;) {
        if (steady_us >= lock->holds[i].expires_us) {
            redis_remove_hold(lock, &lock->holds[i]);
        } else {
            i++;
        }
    }
}

struct redis_lock *sim_redis_lock(struct sim_redis *redis, size_t lock)
{
    struct redis_lock *found = &redis->data.locks[lock];
    expire(found, redis_steady_us(redis));
    return found;
}

const struct redis_hold *sim_redis_find_token(struct sim_redis *redis, size_t lock,
                                              const struct id128 *token)
{
    const struct id128 nobody = {{0}};
    const struct redis_lock *found = sim_redis_lock(redis, lock);
    if (id128_equal(token, &nobody)) {
        return NULL;
    }
    for (size_t i = 0; found->kind == REDIS_HELD && i < found->hold_count; i++) {
        if (!found->holds[i].is_closed && id128_equal(&found->holds[i].token, token)) {
            return &found->holds[i];
        }
    }
    return NULL;
}

bool sim_redis_foreign_set(struct sim_redis *redis, size_t lock, uint64_t who, int64_t ttl_ms)
{
    struct redis_lock *found = sim_redis_lock(redis, lock);
    if (found->kind != REDIS_FREE) {
        return false;
    }
    found->kind = REDIS_FOREIGN;
    found->foreign = who;
    found->foreign_expires_us = redis_steady_us(redis) + ttl_ms * WORLD_MS;
    return true;
}

void sim_redis_foreign_delete(struct sim_redis *redis, size_t lock, uint64_t who)
{
    struct redis_lock *found = sim_redis_lock(redis, lock);
    if (found->kind == REDIS_FOREIGN && found->foreign == who) {
        found->kind = REDIS_FREE;
    }
}

void sim_redis_operator_delete(struct sim_redis *redis, size_t lock)
{
    struct redis_lock *found = sim_redis_lock(redis, lock);
    found->kind = REDIS_FREE;
    found->hold_count = 0;
}

void sim_redis_toggle_type(struct sim_redis *redis, size_t lock)
{
    struct redis_lock *found = sim_redis_lock(redis, lock);
    if (found->kind == REDIS_FREE) {
        found->kind = REDIS_OTHER_TYPE;
    } else if (found->kind == REDIS_OTHER_TYPE) {
        found->kind = REDIS_FREE;
    }
}
