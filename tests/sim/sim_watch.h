/* SPDX-License-Identifier: Apache-2.0 */
/* A sidecar's watch of one lock, or none; and what it was told last. */
#ifndef SIM_WATCH_H
#define SIM_WATCH_H

#include "lease/watch.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct sidecar;

struct sim_watch {
    struct watch *watch; /* NULL: not watched */
    struct sidecar *sidecar;
    size_t lock;
    bool is_told;
    bool is_held;
    uint64_t fence;
};

/* Some sidecars watch some locks. */
void watch_init(struct sim_watch *watch, struct sidecar *sidecar, size_t lock);

/* When all is quiet: it was told what is so. */
void watch_check(const struct sim_watch *watch);

/* Ends the watch, if there is one. */
void watch_drop(struct sim_watch *watch);

#endif
