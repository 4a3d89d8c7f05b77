/* SPDX-License-Identifier: Apache-2.0 */
#include "sim_redis_internal.h"

#include <string.h>

#include "sim_hints.h"
#include "sim_world.h"

static void remove_entry(struct redis_lock *lock, size_t at)
{
    lock->entry_count--;
    memmove(&lock->entries[at], &lock->entries[at + 1],
            (lock->entry_count - at) * sizeof(lock->entries[0]));
}

static struct redis_entry *find_entry(struct redis_lock *lock, unsigned server)
{
    for (size_t i = 0; i < lock->entry_count; i++) {
        if (lock->entries[i].server == server) {
            return &lock->entries[i];
        }
    }
    return NULL;
}

/* Until when the last of those who hold the lock does. */
static int64_t last_end_us(const struct sim_redis *redis, const struct redis_lock *lock)
{
    int64_t end_us = redis_steady_us(redis);
    for (size_t i = 0; lock->kind == REDIS_HELD && i < lock->hold_count; i++) {
        end_us = lock->holds[i].expires_us > end_us ? lock->holds[i].expires_us : end_us;
    }
    if (lock->kind == REDIS_FOREIGN && lock->foreign_expires_us > end_us) {
        end_us = lock->foreign_expires_us;
    }
    return end_us;
}

void redis_enqueue(struct sim_redis *redis, const struct redis_request *request)
{
    struct redis_lock *lock = &redis->data.locks[request->lock];
    struct redis_entry *entry = find_entry(lock, request->server);
    if (entry == NULL) {
        if (lock->entry_count == REDIS_ENTRIES) {
            remove_entry(lock, 0);
        }
        entry = &lock->entries[lock->entry_count++];
    }
    *entry = (struct redis_entry){
        .server = request->server,
        .tenure = request->tenure,
        .token = request->token,
        .mode = request->mode,
        .limit = request->limit,
        .grant_ms = request->grant_ms,
        .expires_us = last_end_us(redis, lock) + STORE_QUEUE_LINGER_MS * WORLD_MS,
    };
}

bool redis_dequeue(struct sim_redis *redis, const struct redis_request *request)
{
    struct redis_lock *lock = sim_redis_lock(redis, request->lock);
    const struct redis_entry *entry = find_entry(lock, request->server);
    if (entry == NULL || !id128_equal(&entry->tenure, &request->tenure)) {
        return false;
    }
    const bool was_first = entry == &lock->entries[0];
    remove_entry(lock, (size_t)(entry - lock->entries));
    if (was_first) {
        redis_tell_first(redis, request->lock); /* who is first knows when the lock will be free */
    }
    return true;
}

static void drop_expired(struct sim_redis *redis, struct redis_lock *lock)
{
    for (size_t i = lock->entry_count; i > 0; i--) {
        if (redis_steady_us(redis) >= lock->entries[i - 1].expires_us) {
            remove_entry(lock, i - 1);
        }
    }
}

bool redis_is_first(const struct redis_lock *lock, const struct id128 *tenure)
{
    return lock->entry_count == 0 || id128_equal(&lock->entries[0].tenure, tenure);
}

uint32_t redis_others_waiting(const struct redis_lock *lock, unsigned server)
{
    uint32_t count = 0;
    for (size_t i = 0; i < lock->entry_count; i++) {
        count += lock->entries[i].server != server ? 1 : 0;
    }
    return count;
}

/* Gives the lock to a server that was told, until it confirms. */
static void pass(struct sim_redis *redis, size_t at, const struct redis_entry *entry,
                 uint64_t fence)
{
    const struct redis_hold hold = {
        .server = entry->server,
        .tenure = entry->tenure,
        .fence = fence,
        .since_ms = sim_redis_time_us(redis) / WORLD_MS,
        .ttl_ms = entry->grant_ms,
        .expires_us = redis_steady_us(redis) + entry->grant_ms * WORLD_MS,
        .is_passed = true,
        .is_restored = entry->is_restored,
    };
    struct redis_hold *added = redis_add_hold(redis, at, entry->mode, &hold);
    if (entry->mode == STORE_SHARED) {
        added->token = entry->token;
    }
    redis->passes++;
    world_trace(redis->world, "redis: lock %zu passes to sidecar %u with fence %llu", at,
                entry->server, (unsigned long long)hold.fence);
}

void redis_serve(struct sim_redis *redis, size_t at)
{
    const bool is_double = redis->world->config.mistake == MISTAKE_DOUBLE_PASS;
    struct redis_lock *lock = sim_redis_lock(redis, at);
    drop_expired(redis, lock);
    bool has_passed = false;
    bool has_moved = false;
    while (lock->entry_count > 0) {
        const struct redis_entry entry = lock->entries[0];
        const bool has_room = redis_has_room(lock, entry.mode, entry.limit, &entry.token);
        if (!has_room && !(is_double && has_passed && lock->hold_count < 2)) {
            break;
        }
        const bool may_pass = !redis_is_recovering(redis);
        const uint64_t fence = may_pass ? redis_next_fence(redis) : 0;
        const bool is_heard = hints_publish(redis->world, entry.server, at, &entry.tenure, fence);
        if (is_heard && !may_pass) {
            return;
        }
        remove_entry(lock, 0);
        has_moved = true;
        if (is_heard) {
            pass(redis, at, &entry, fence);
            has_passed = true;
        }
    }
    if (has_moved) {
        redis_tell_first(redis, at);
    }
}

void redis_tell_first(struct sim_redis *redis, size_t at)
{
    struct redis_lock *lock = sim_redis_lock(redis, at);
    if (redis->world->config.mistake == MISTAKE_SILENT_QUEUE) {
        return;
    }
    drop_expired(redis, lock);
    while (lock->entry_count > 0 &&
           !hints_publish(redis->world, lock->entries[0].server, at, &lock->entries[0].tenure, 0)) {
        remove_entry(lock, 0);
    }
}
