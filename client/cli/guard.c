/* SPDX-License-Identifier: Apache-2.0 */
#include "guard.h"

#include <time.h>

#define STOP_AT_MS_MAX 5000
#define KILL_AT_MS_MIN 50
#define TICK_MS_MIN    2
#define TICK_MS_MAX    1000

static int64_t lesser(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int64_t greater(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

void guard_init(struct guard *guard, int64_t ttl_ms, int64_t heartbeat_ms)
{
    const int64_t period_ms = heartbeat_ms > 0 ? lesser(ttl_ms, heartbeat_ms) : ttl_ms;
    *guard = (struct guard){
        .refresh_at_ms = ttl_ms * 2 / 5,
        .stop_at_ms = lesser(ttl_ms / 4, STOP_AT_MS_MAX),
        /* With a very short ttl the usual margin would leave nothing. */
        .kill_at_ms = lesser(greater(KILL_AT_MS_MIN, ttl_ms / 50), ttl_ms / 8),
        .tick_ms = lesser(greater(period_ms / 16, TICK_MS_MIN), TICK_MS_MAX),
        /* The library pings every third of the heartbeat, so the last ping is at most that old. */
        .silence_ms = heartbeat_ms * 2 / 3,
    };
    guard->kill_at_ms = lesser(guard->kill_at_ms, guard->stop_at_ms / 2);
}

enum guard_verdict guard_judge(const struct guard *guard, int64_t valid_for_ms)
{
    if (valid_for_ms <= guard->kill_at_ms) {
        return GUARD_KILL;
    }
    if (valid_for_ms <= guard->stop_at_ms) {
        return GUARD_STOP;
    }
    return valid_for_ms <= guard->refresh_at_ms ? GUARD_REFRESH : GUARD_FINE;
}

int64_t guard_wait_ms(const struct guard *guard, int64_t valid_for_ms)
{
    int64_t border_ms = 0;
    switch (guard_judge(guard, valid_for_ms)) {
    case GUARD_FINE:
        border_ms = guard->refresh_at_ms;
        break;
    case GUARD_REFRESH:
        border_ms = guard->stop_at_ms;
        break;
    case GUARD_STOP:
        border_ms = guard->kill_at_ms;
        break;
    case GUARD_KILL:
        return guard->tick_ms;
    }
    return lesser(guard->tick_ms, valid_for_ms - border_ms);
}

int64_t guard_deadline_us(const struct guard *guard, int64_t now_us, int64_t valid_for_ms)
{
    int64_t left_ms = valid_for_ms - guard->kill_at_ms;
    if (guard->silence_ms > 0) {
        left_ms = lesser(left_ms, guard->silence_ms);
    }
    return now_us + left_ms * 1000;
}

int64_t guard_now_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_BOOTTIME, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}
