/* SPDX-License-Identifier: Apache-2.0 */
#include "redis/redis_clock.h"

#include "base/check.h"

/* Clocks run at the same rate within one part in so many. */
#define DRIFT_PARTS 100

void redis_clock_init(struct redis_clock *clock)
{
    clock->ahead_us = 0;
    clock->asked_us = 0;
    clock->is_known = false;
}

void redis_clock_observe(struct redis_clock *clock, int64_t redis_us, int64_t sent_us,
                         int64_t received_us)
{
    int64_t most_us = redis_us - sent_us;
    int64_t least_us = redis_us - received_us;
    bool was_set_forward = least_us > clock->ahead_us;
    if (!clock->is_known || was_set_forward || most_us < clock->ahead_us) {
        clock->ahead_us = most_us;
    }
    clock->asked_us = sent_us;
    clock->is_known = true;
}

int64_t redis_clock_estimate_us(const struct redis_clock *clock, int64_t now_us)
{
    CHECK(clock->is_known);
    return now_us + clock->ahead_us - (now_us - clock->asked_us) / DRIFT_PARTS;
}
