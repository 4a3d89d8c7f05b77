/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A hierarchical timer wheel: setting and clearing a timer is O(1) whatever their number. Timers
 * are embedded in what they belong to and hold an absolute due time. The wheel never reads a clock.
 *
 * A timer fires in the first wheel_run whose `now_us` is at or after its due time, never before;
 * the wheel's tick (1 ms) bounds only how early wheel_next_us may ask to be woken. Timers due in
 * one run fire in order of tick; those within one tick in no stated order, and those that were set
 * when their time had come before all others.
 *
 * Source: G. Varghese, T. Lauck, "Hashed and Hierarchical Timing Wheels", SOSP 1987.
 */
#ifndef HOLDFAST_BASE_WHEEL_H
#define HOLDFAST_BASE_WHEEL_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

struct timer;

/* Called once per setting, from wheel_run. May set or clear any timer, its own included, and may
 * free its own. */
typedef void timer_fn(struct timer *timer, int64_t now_us);

struct timer {
    LIST_ENTRY(timer) link;
    int64_t due_us; /* CLOCK_NEVER while not set */
    timer_fn *on_due;
};

LIST_HEAD(timer_list, timer);

struct wheel;

/* An empty wheel whose time starts at `now_us`. */
struct wheel *wheel_create(int64_t now_us);

/* Every timer must have been cleared. */
void wheel_destroy(struct wheel *wheel);

/* Prepares a timer, not set. */
void timer_init(struct timer *timer, timer_fn *on_due);

/* Sets the timer to `due_us`, moving it if it is set already. A time in the past fires in the next
 * run; CLOCK_NEVER clears it. */
void wheel_set(struct wheel *wheel, struct timer *timer, int64_t due_us);

/* Clears the timer; harmless when it is not set. */
void wheel_clear(struct wheel *wheel, struct timer *timer);

bool timer_is_set(const struct timer *timer);

/* Fires everything due at `now_us`. Timers set to a time already due while it runs fire in the next
 * run. Time must not go back between runs. */
void wheel_run(struct wheel *wheel, int64_t now_us);

/* When wheel_run should be called next: never later than the earliest due time, rounded up to the
 * tick, and possibly earlier (a cascade). CLOCK_NEVER when no timer is set. */
int64_t wheel_next_us(const struct wheel *wheel);

#endif
