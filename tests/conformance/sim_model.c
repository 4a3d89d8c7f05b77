/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The simulation's model of Redis (../sim/sim_redis.h) behind standard input: one line a request,
 * one line an answer, so that a test can ask it what it asked the shipped script. Ids are 32 hex
 * digits, times in microseconds by TIME, locks and servers small numbers. See obey() for what may
 * be asked.
 */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sim_hints.h"
#include "sim_redis_internal.h"
#include "sim_world.h"

#define LINE_MAX_SIZE 512
#define SERVERS       16
#define HOUR_MS       ((int64_t)3600000)

static struct world simulated;
static bool hears[SERVERS];

/* What the model of Redis wants of the simulated world. */

bool hints_publish(struct world *world, unsigned server, size_t lock, const struct id128 *tenure,
                   uint64_t fence)
{
    char hex[ID128_HEX_SIZE];
    (void)world;
    (void)lock;
    (void)fence;
    if (server >= SERVERS || !hears[server]) {
        return false;
    }
    id128_to_hex(tenure, hex);
    printf(" told %u %s", server, hex);
    return true;
}

void hints_publish_change(struct world *world, size_t lock)
{
    (void)world;
    (void)lock;
    printf(" changed");
}

/* It does not forget here; this word would be none to who asks. */
void hints_publish_forgotten(struct world *world, bool is_found)
{
    (void)world;
    (void)is_found;
    printf(" forgotten");
}

void checker_displaced(struct world *world, size_t lock, uint64_t fence)
{
    (void)world;
    (void)lock;
    (void)fence;
}

void world_trace(const struct world *world, const char *format, ...)
{
    (void)world;
    (void)format;
}

void world_violation(struct world *world, const char *format, ...)
{
    va_list arguments;
    (void)world;
    va_start(arguments, format);
    (void)vfprintf(stderr, format, arguments);
    va_end(arguments);
    (void)fputc('\n', stderr);
    exit(1);
}

/* Requests */

static char *rest;

static const char *word(void)
{
    const char *found = strtok_r(NULL, " \n", &rest);
    if (found == NULL) {
        (void)fprintf(stderr, "a word is missing\n");
        exit(2);
    }
    return found;
}

static uint64_t number(void)
{
    return strtoull(word(), NULL, 10);
}

static struct id128 id(void)
{
    struct id128 found;
    if (!id128_from_hex(&found, word())) {
        (void)fprintf(stderr, "an id is wrong\n");
        exit(2);
    }
    return found;
}

static size_t lock_number(void)
{
    return (size_t)number() % REDIS_LOCKS;
}

static struct redis_hold *find(size_t lock, const struct id128 *token)
{
    struct redis_lock *found = sim_redis_lock(&simulated.redis, lock);
    for (size_t i = 0; found->kind == REDIS_HELD && i < found->hold_count; i++) {
        struct redis_hold *hold = &found->holds[i];
        if (id128_equal(&hold->token, token)) {
            return hold;
        }
    }
    (void)fprintf(stderr, "the model has no such holder\n");
    exit(1);
}

/* The fence of a grant, as the script has chosen it. */
static void set_fence(void)
{
    const size_t lock = lock_number();
    const struct id128 token = id();
    find(lock, &token)->fence = number();
}

/* A holder's time is over. */
static void end_hold(void)
{
    const size_t lock = lock_number();
    const struct id128 token = id();
    redis_remove_hold(&simulated.redis.data.locks[lock], find(lock, &token));
}

static void put_hold(void)
{
    const size_t lock = lock_number();
    const enum store_mode mode = (enum store_mode)number();
    struct redis_hold hold = {.tenure = id()};
    hold.token = id();
    hold.fence = number();
    hold.since_ms = (int64_t)number();
    hold.expires_us = (int64_t)number();
    hold.is_closed = number() != 0;
    (void)redis_add_hold(&simulated.redis, lock, mode, &hold);
}

/* "told SERVER TENURE" and "changed" for what it publishes, then "answer WORD WAITING". */
static void run_operation(void)
{
    static const char *const words[] = {
        [STORE_OK] = "OK",
        [STORE_BUSY] = "BUSY",
        [STORE_QUEUED] = "QUEUED",
        [STORE_NOT_HELD] = "NOT_HELD",
        [STORE_RECOVERING] = "RECOVERING",
        [STORE_EXPIRED] = "EXPIRED",
        [STORE_WRONG_TYPE] = "WRONG_TYPE",
        [STORE_UNAVAILABLE] = "UNAVAILABLE",
        [STORE_UNKNOWN] = "UNKNOWN",
    };
    struct redis_request request = {.not_after_us = INT64_MAX};
    struct store_result result;
    request.verb = (enum store_verb)number();
    request.lock = lock_number();
    request.server = (unsigned)number();
    request.tenure = id();
    request.token = id();
    request.mode = (enum store_mode)number();
    request.ttl_ms = (int64_t)number();
    request.limit = (uint32_t)number();
    request.wants_queue = number() != 0;
    request.fence_block = (uint32_t)number();
    request.fence = number();
    request.since_ms = (int64_t)number();
    request.lock_delay_ms = (int64_t)number();
    request.grant_ms = (int64_t)number();
    request.keeps_lock = number() != 0;
    sim_redis_execute(&simulated.redis, &request, &result);
    printf(" answer %s %" PRIu32, words[result.code], result.waiting);
}

/* "KIND MODE", then "hold TENURE TOKEN FENCE SINCE_MS UNTIL CLOSED" and "entry SERVER TENURE". */
static void tell_lock(void)
{
    static const char *const kinds[] = {"free", "held", "foreign", "other"};
    char tenure[ID128_HEX_SIZE];
    char token[ID128_HEX_SIZE];
    const struct redis_lock *lock = sim_redis_lock(&simulated.redis, lock_number());
    printf(" %s %d", kinds[lock->kind], (int)lock->mode);
    for (size_t i = 0; lock->kind == REDIS_HELD && i < lock->hold_count; i++) {
        const struct redis_hold *hold = &lock->holds[i];
        id128_to_hex(&hold->tenure, tenure);
        id128_to_hex(&hold->token, token);
        printf(" hold %s %s %" PRIu64 " %" PRId64 " %" PRId64 " %d", tenure, token, hold->fence,
               hold->since_ms, hold->expires_us, hold->is_closed ? 1 : 0);
    }
    for (size_t i = 0; i < lock->entry_count; i++) {
        id128_to_hex(&lock->entries[i].tenure, tenure);
        printf(" entry %u %s", lock->entries[i].server, tenure);
    }
}

static void obey(const char *request)
{
    if (strcmp(request, "at") == 0) {
        simulated.now_us = (int64_t)number();
    } else if (strcmp(request, "hear") == 0) {
        const size_t server = (size_t)number() % SERVERS;
        hears[server] = number() != 0;
    } else if (strcmp(request, "register") == 0) {
        simulated.redis.data.fence_register = number();
    } else if (strcmp(request, "fence") == 0) {
        set_fence();
    } else if (strcmp(request, "hold") == 0) {
        put_hold();
    } else if (strcmp(request, "other") == 0) {
        sim_redis_toggle_type(&simulated.redis, lock_number());
    } else if (strcmp(request, "foreign") == 0) {
        (void)sim_redis_foreign_set(&simulated.redis, lock_number(), 1, HOUR_MS);
    } else if (strcmp(request, "delete") == 0) {
        sim_redis_operator_delete(&simulated.redis, lock_number());
    } else if (strcmp(request, "end") == 0) {
        end_hold();
    } else if (strcmp(request, "op") == 0) {
        run_operation();
    } else if (strcmp(request, "lock") == 0) {
        tell_lock();
    } else {
        (void)fprintf(stderr, "no such request: %s\n", request);
        exit(2);
    }
}

int main(void)
{
    char line[LINE_MAX_SIZE];
    sim_redis_init(&simulated.redis, &simulated);
    simulated.redis.drift_ppm = 0;
    simulated.redis.wall_offset_us = 0;
    while (fgets(line, sizeof(line), stdin) != NULL) {
        const char *request = strtok_r(line, " \n", &rest);
        if (request != NULL) {
            obey(request);
        }
        printf("\n");
        (void)fflush(stdout);
    }
    sim_redis_release(&simulated.redis);
    return 0;
}
