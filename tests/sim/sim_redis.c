/* SPDX-License-Identifier: Apache-2.0 */
#include "sim_redis.h"

#include <inttypes.h>

#include "base/memory.h"
#include "sim_hints.h"
#include "sim_redis_internal.h"
#include "sim_world.h"

#define EPOCH_US INT64_C(1700000000000000)

/* Every change of a hold passes here: whatever the rules decided, a hold of another owner must
 * never get here, and a grant never be written over by an older one. */
static void check_change(struct sim_redis *redis, const struct redis_request *request,
                         const struct redis_hold *hold, uint64_t fence)
{
    if (!id128_equal(&hold->tenure, &request->tenure)) {
        world_violation(redis->world,
                        "a command changed lock %zu of another owner (fence %" PRIu64 ")",
                        request->lock, hold->fence);
    }
    if (fence < hold->fence) {
        world_violation(redis->world, "lock %zu: fence %" PRIu64 " was written over fence %" PRIu64,
                        request->lock, fence, hold->fence);
    }
}

/* The hold lives for the request's ttl from now on, and its lock delay after that. Only a newer
 * grant may make its life shorter: a late command of an older one must not. */
static void restore_ttl(struct sim_redis *redis, const struct redis_request *request,
                        struct redis_hold *hold)
{
    check_change(redis, request, hold, hold->fence);
    int64_t expires_us =
        redis_steady_us(redis) + (request->ttl_ms + request->lock_delay_ms) * WORLD_MS;
    if (expires_us < hold->expires_us && request->fence > hold->fence) {
        redis_tell_first(redis, request->lock);
    } else if (expires_us < hold->expires_us &&
               redis->world->config.mistake != MISTAKE_SHORTER_LIFE) {
        expires_us = hold->expires_us;
    }
    hold->server = request->server;
    hold->ttl_ms = request->ttl_ms;
    hold->expires_us = expires_us;
    hold->is_passed = false;
}

static void write_grant(struct sim_redis *redis, const struct redis_request *request,
                        struct redis_hold *hold)
{
    check_change(redis, request, hold, request->fence);
    hold->fence = request->fence;
    hold->token = request->token;
    hold->since_ms = request->since_ms;
    if (redis->data.fence_register < request->fence) {
        redis->data.fence_register = request->fence;
    }
    redis_note_seen(redis, request->fence);
}

/* Sets the fences aside that the request asks for. */
static void reserve(struct sim_redis *redis, const struct redis_request *request,
                    const struct redis_hold *hold, struct store_result *result)
{
    if (request->fence_block == 0) {
        return;
    }
    const uint64_t last = redis->data.fence_register;
    result->fence_end = (last > hold->fence ? last : hold->fence) + request->fence_block;
    if (redis->world->config.mistake != MISTAKE_UNRESERVED_FENCE) {
        redis->data.fence_register = result->fence_end;
    }
    result->waiting = redis_others_waiting(&redis->data.locks[request->lock], request->server);
}

static struct redis_hold *grant(struct sim_redis *redis, const struct redis_request *request)
{
    const struct redis_hold hold = {
        .tenure = request->tenure,
        .token = request->token,
        .fence = redis_next_fence(redis),
        .since_ms = sim_redis_time_us(redis) / WORLD_MS,
    };
    struct redis_hold *added = redis_add_hold(redis, request->lock, request->mode, &hold);
    restore_ttl(redis, request, added);
    return added;
}

static void confirm(struct sim_redis *redis, const struct redis_request *request,
                    struct redis_hold *hold)
{
    const struct id128 nobody = {{0}};
    if (id128_equal(&hold->token, &nobody)) {
        hold->token = request->token;
    }
    restore_ttl(redis, request, hold);
}

/* Why a lock cannot be had; queues up if that is wanted. */
static void put_off(struct sim_redis *redis, const struct redis_request *request,
                    struct store_result *result)
{
    const struct redis_lock *lock = &redis->data.locks[request->lock];
    result->code = STORE_BUSY;
    if (request->wants_queue) {
        redis_enqueue(redis, request);
        result->code = STORE_QUEUED;
    }
    redis_describe(redis, lock, &result->holder);
    result->holder.waiting = 0;
}

static bool has_room(const struct redis_lock *lock, const struct redis_request *request)
{
    return redis_has_room(lock, request->mode, request->limit, &request->token);
}

/* Whether a lock that may be had is this request's: an EXCLUSIVE one is whoever's comes first. */
static bool may_pass_by(const struct redis_lock *lock, const struct redis_request *request)
{
    return request->mode == STORE_EXCLUSIVE || redis_is_first(lock, &request->tenure);
}

static void acquire(struct sim_redis *redis, const struct redis_request *request,
                    struct store_result *result)
{
    struct redis_lock *lock = sim_redis_lock(redis, request->lock);
    struct redis_hold *hold = redis_find_own(lock, request);
    if (hold == NULL && has_room(lock, request) && redis_is_recovering(redis)) {
        result->code = STORE_RECOVERING;
        result->retry_after_us = redis->data.recovery_until_us - redis_steady_us(redis);
        return;
    }
    if (hold == NULL && has_room(lock, request) && !may_pass_by(lock, request)) {
        redis_serve(redis, request->lock); /* perhaps to itself */
        hold = redis_find_own(lock, request);
    }
    if (hold != NULL) {
        confirm(redis, request, hold);
    } else if (has_room(lock, request) && may_pass_by(lock, request)) {
        hold = grant(redis, request);
    } else {
        put_off(redis, request, result);
        return;
    }
    const bool has_left = redis_dequeue(redis, request);
    result->code = STORE_OK;
    result->fence = hold->fence;
    result->since_ms = hold->since_ms;
    reserve(redis, request, hold, result);
    if (has_left && request->mode == STORE_SHARED) {
        redis_serve(redis, request->lock); /* readers behind a reader */
    }
}

/* Whether a renewal may bring its lock back, which is missing. */
static bool may_recreate(const struct sim_redis *redis, const struct redis_request *request,
                         const struct redis_lock *lock)
{
    const bool is_unseen =
        request->fence > redis->data.mark || redis->world->config.mistake == MISTAKE_RECREATE_ALL;
    const bool is_open = redis_has_room(lock, request->mode, 0, &request->token);
    return is_open && redis_is_recovering(redis) && request->fence > 0 && is_unseen &&
           request->mode != STORE_ANY_MODE;
}

static struct redis_hold *recreate(struct sim_redis *redis, const struct redis_request *request)
{
    if (redis_has_seen_before(redis, request->fence)) {
        world_violation(redis->world,
                        "lock %zu was re-created with fence %" PRIu64
                        ", which this Redis had seen end",
                        request->lock, request->fence);
    }
    const struct redis_hold hold = {.tenure = request->tenure};
    struct redis_hold *added = redis_add_hold(redis, request->lock, request->mode, &hold);
    restore_ttl(redis, request, added);
    return added;
}

static void renew(struct sim_redis *redis, const struct redis_request *request,
                  struct store_result *result)
{
    const enum mistake mistake = redis->world->config.mistake;
    struct redis_lock *lock = sim_redis_lock(redis, request->lock);
    struct redis_hold *hold = redis_find_own(lock, request);
    if (hold == NULL && mistake == MISTAKE_NO_OWNER && lock->kind == REDIS_HELD) {
        hold = &lock->holds[0];
    }
    result->code = STORE_NOT_HELD;
    if (hold != NULL) {
        restore_ttl(redis, request, hold);
    } else if (may_recreate(redis, request, lock)) {
        hold = recreate(redis, request);
    } else {
        return;
    }
    result->code = STORE_OK;
    const bool is_stale_write = mistake == MISTAKE_STALE_WRITE && request->fence > 0;
    if (request->fence > hold->fence || is_stale_write) {
        write_grant(redis, request, hold);
    }
    result->fence = request->fence == 0 ? hold->fence : 0;
    reserve(redis, request, hold, result);
}

static void leave(struct sim_redis *redis, const struct redis_request *request,
                  struct store_result *result)
{
    if (redis_dequeue(redis, request)) {
        redis_serve(redis, request->lock);
    }
    result->code = STORE_OK;
}

static void release(struct sim_redis *redis, const struct redis_request *request,
                    struct store_result *result)
{
    struct redis_lock *lock = sim_redis_lock(redis, request->lock);
    struct redis_hold *hold = redis_find_own(lock, request);
    if (hold == NULL && redis->world->config.mistake == MISTAKE_NO_OWNER &&
        lock->kind == REDIS_HELD) {
        hold = &lock->holds[0];
    }
    result->code = STORE_NOT_HELD;
    const bool has_left = request->wants_queue && redis_dequeue(redis, request);
    if (hold != NULL) {
        result->code = STORE_OK;
        check_change(redis, request, hold, hold->fence);
        if (request->lock_delay_ms > 0) {
            hold->is_closed = true;
            hold->expires_us = redis_steady_us(redis) + request->lock_delay_ms * WORLD_MS;
            redis_tell_first(redis, request->lock);
        } else {
            redis_remove_hold(lock, hold);
        }
    }
    if (result->code == STORE_OK || has_left) {
        redis_serve(redis, request->lock);
    }
}

static void resume(struct sim_redis *redis, const struct redis_request *request,
                   struct store_result *result)
{
    struct redis_hold *hold =
        (struct redis_hold *)(uintptr_t)sim_redis_find_token(redis, request->lock, &request->token);
    const bool may_be_early = redis->world->config.mistake == MISTAKE_EARLY_RESUME && hold != NULL;
    if (redis_is_recovering(redis) && !may_be_early) { /* it may be older than what was lost */
        result->code = STORE_RECOVERING;
        result->retry_after_us = redis->data.recovery_until_us - redis_steady_us(redis);
        return;
    }
    result->code = STORE_NOT_HELD;
    if (hold != NULL) {
        result->code = STORE_OK;
        hold->tenure = request->tenure;
        restore_ttl(redis, request, hold);
        redis_describe(redis, &redis->data.locks[request->lock], &result->holder);
        result->fence = hold->fence;
        result->since_ms = hold->since_ms;
    }
}

static void run(struct sim_redis *redis, const struct redis_request *request,
                struct store_result *result)
{
    switch (request->verb) {
    case STORE_ACQUIRE:
        acquire(redis, request, result);
        break;
    case STORE_RENEW:
        renew(redis, request, result);
        break;
    case STORE_RELEASE:
        if (request->keeps_lock) {
            leave(redis, request, result);
        } else {
            release(redis, request, result);
        }
        break;
    case STORE_RESUME:
        resume(redis, request, result);
        break;
    case STORE_INSPECT:
        result->code = STORE_OK;
        redis_describe(redis, &redis->data.locks[request->lock], &result->holder);
        break;
    }
}

/* The first command that a new incarnation sees opens the recovery window. */
static void check_incarnation(struct sim_redis *redis)
{
    const bool is_new = redis->data.incarnation != redis->run_id;
    if (is_new && redis->world->config.mistake != MISTAKE_NO_RECOVERY) {
        redis->data.incarnation = redis->run_id;
        redis->data.mark = redis->data.fence_register;
        redis->data.recovery_until_us = redis_steady_us(redis) + REDIS_RECOVERY_WINDOW_US;
        world_trace(redis->world, "redis: a recovery window begins, mark %" PRIu64,
                    redis->data.mark);
        if (redis->world->config.mistake != MISTAKE_SILENT_WINDOW) {
            hints_publish_forgotten(redis->world, true);
        }
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
    return redis_steady_us(redis) + redis->wall_offset_us;
}

int64_t sim_redis_window_end_us(struct sim_redis *redis)
{
    check_incarnation(redis);
    return redis_is_recovering(redis) ? redis->data.recovery_until_us : 0;
}

/* Whether another grant holds the lock than before, as far as a watch would show. */
static bool has_changed(const struct store_holder *a, const struct store_holder *b)
{
    return a->is_held != b->is_held || a->fence != b->fence || a->holders != b->holders;
}

void sim_redis_execute(struct sim_redis *redis, const struct redis_request *request,
                       struct store_result *result)
{
    *result = (struct store_result){.code = STORE_UNAVAILABLE, .detail = "refused"};
    if (redis->world->now_us < redis->refuses_until_us) {
        return;
    }
    if (sim_redis_time_us(redis) > request->not_after_us &&
        redis->world->config.mistake != MISTAKE_LATE_COMMAND) {
        result->code = STORE_EXPIRED;
        return;
    }
    check_incarnation(redis);
    const struct redis_lock *lock = sim_redis_lock(redis, request->lock);
    if (lock->kind == REDIS_OTHER_TYPE && !request->keeps_lock) {
        result->code = STORE_WRONG_TYPE;
        result->detail = "list";
        return;
    }
    struct store_holder before = {.is_held = false};
    struct store_holder after = {.is_held = false};
    redis_describe(redis, lock, &before);
    run(redis, request, result);
    redis_describe(redis, lock, &after);
    if (has_changed(&before, &after)) {
        hints_publish_change(redis->world, request->lock);
    }
}

void sim_redis_inspect(struct sim_redis *redis, size_t lock, struct store_holder *holder)
{
    redis_describe(redis, sim_redis_lock(redis, lock), holder);
}

void sim_redis_replicate(struct sim_redis *redis)
{
    redis->replica = redis->data;
}

static void mark_restored(struct redis_lock *lock)
{
    for (size_t i = 0; i < lock->hold_count; i++) {
        lock->holds[i].is_restored = true;
    }
    for (size_t i = 0; i < lock->entry_count; i++) {
        lock->entries[i].is_restored = true;
    }
}

/* Whether what a replica shows keeps a lock from being re-created by those who have it now. */
static bool is_displaced(const struct redis_lock *now, const struct redis_lock *shown)
{
    if (now->kind != REDIS_HELD || shown->kind == REDIS_FREE) {
        return false;
    }
    if (shown->kind != REDIS_HELD || shown->mode != now->mode) {
        return true;
    }
    return now->mode == STORE_EXCLUSIVE &&
           !id128_equal(&now->holds[0].tenure, &shown->holds[0].tenure);
}

void sim_redis_restart(struct sim_redis *redis, bool is_empty)
{
    for (size_t i = 0; i < REDIS_LOCKS && !is_empty; i++) {
        if (is_displaced(&redis->data.locks[i], &redis->replica.locks[i])) {
            checker_displaced(redis->world, i, redis->data.fence_register);
        }
    }
    redis->data = is_empty ? (struct redis_data){.incarnation = 0} : redis->replica;
    redis->seen_before = redis->data.seen_count;
    redis->run_id++;
    for (size_t i = 0; i < REDIS_LOCKS; i++) {
        mark_restored(&redis->data.locks[i]);
    }
    sim_redis_replicate(redis);
}

void sim_redis_flush(struct sim_redis *redis, bool is_told)
{
    redis->data = (struct redis_data){.incarnation = 0};
    redis->seen_before = 0;
    sim_redis_replicate(redis);
    if (is_told) {
        hints_publish_forgotten(redis->world, false);
    }
}
