/* SPDX-License-Identifier: Apache-2.0 */
/* Notices that the process was stopped or starved: its timers come late then. */
#ifndef HOLDFAST_APP_LAG_WATCH_H
#define HOLDFAST_APP_LAG_WATCH_H

#include "base/loop.h"

#include <stdint.h>

#define LAG_WATCH_INTERVAL_US ((int64_t)250000)
#define LAG_WATCH_WARN_US     ((int64_t)500000)

struct lag_watch {
    struct loop *loop;
    struct timer timer;
    int64_t due_us; /* of the timer */
    uint64_t warnings;
};

/* Starts to watch. */
void lag_watch_init(struct lag_watch *watch, struct loop *loop);

void lag_watch_release(struct lag_watch *watch);

#endif
