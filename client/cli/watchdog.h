/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A second process that kills the program's process group when nobody else can: because
 * `holdfast run` was killed (the pipe between them closes), or was stopped and let the deadline it
 * announced last go by. PR_SET_PDEATHSIG alone would spare the program's own children, and a
 * stopped process guards nothing.
 */
#ifndef HOLDFAST_CLI_WATCHDOG_H
#define HOLDFAST_CLI_WATCHDOG_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "child.h"

struct watchdog {
    pid_t pid; /* 0 when it does not run */
    int fd;
};

/* False after reporting why. */
bool watchdog_start(struct watchdog *watchdog, const struct child *child);

/* The program may live until then (CLOCK_BOOTTIME) unless told otherwise. */
void watchdog_allow_until(const struct watchdog *watchdog, int64_t deadline_us);

/* Ends it; it does nothing any more. Call before the child is reaped. */
void watchdog_stop(struct watchdog *watchdog);

#endif
