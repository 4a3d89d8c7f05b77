/* SPDX-License-Identifier: Apache-2.0 */
#include "app/lag_watch.h"

#include "base/clock.h"
#include "base/compiler.h"
#include "base/log.h"

static void arm(struct lag_watch *watch)
{
    watch->due_us = loop_now_us(watch->loop) + LAG_WATCH_INTERVAL_US;
    wheel_set(loop_wheel(watch->loop), &watch->timer, watch->due_us);
}

static void on_due(struct timer *timer, int64_t now_us)
{
    struct lag_watch *watch = CONTAINER_OF(timer, struct lag_watch, timer);
    int64_t late_us = now_us - watch->due_us;
    if (late_us > LAG_WATCH_WARN_US) {
        watch->warnings++;
        LOG_WARN("lag",
                 LOG_MESSAGE("the process was stopped or starved; leases may have been lost "
                             "meanwhile. Give it more CPU time"),
                 LOG_INTEGER("late_ms", late_us / CLOCK_US_PER_MS));
    }
    arm(watch);
}

void lag_watch_init(struct lag_watch *watch, struct loop *loop)
{
    *watch = (struct lag_watch){.loop = loop};
    timer_init(&watch->timer, on_due);
    arm(watch);
}

void lag_watch_release(struct lag_watch *watch)
{
    wheel_clear(loop_wheel(watch->loop), &watch->timer);
}
