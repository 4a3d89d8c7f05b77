/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How far Redis' clock is ahead of ours, seen from what it said in its replies. The estimate errs
 * on the late side, by the time one command took to arrive, and never by more: after a silence it
 * takes off what the clocks may have drifted apart. What is bounded by it is not refused too early,
 * unless Redis' clock was set forward or nothing was heard for minutes; the next reply, a refusal
 * as well, heals that.
 */
#ifndef HOLDFAST_REDIS_REDIS_CLOCK_H
#define HOLDFAST_REDIS_REDIS_CLOCK_H

#include <stdbool.h>
#include <stdint.h>

struct redis_clock {
    int64_t ahead_us;
    int64_t asked_us; /* by our clock, when the last observation was asked for */
    bool is_known;
};

/* Nothing is known. */
void redis_clock_init(struct redis_clock *clock);

/* Redis' clock was `redis_us` some time between our `sent_us` and `received_us`. */
void redis_clock_observe(struct redis_clock *clock, int64_t redis_us, int64_t sent_us,
                         int64_t received_us);

/* What to take for Redis' clock at our `now_us`. Something must have been observed. */
int64_t redis_clock_estimate_us(const struct redis_clock *clock, int64_t now_us);

#endif
