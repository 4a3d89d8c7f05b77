/* SPDX-License-Identifier: Apache-2.0 */
/* What the keeper, its leases and its errands know of each other. For the lease core's own files.
 */
#ifndef HOLDFAST_LEASE_KEEPER_INTERNAL_H
#define HOLDFAST_LEASE_KEEPER_INTERNAL_H

#include "base/compiler.h"
#include "base/metrics.h"
#include "base/wheel.h"
#include "lease/errand.h"
#include "lease/keeper.h"
#include "lease/lease.h"
#include "lease/lock.h"
#include "lease/store.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

LIST_HEAD(errand_list, errand);

struct keeper {
    struct keeper_config config;
    struct store *store;
    struct wheel *wheel;
    struct metrics *metrics;
    struct store_listener listener;
    struct lock_table locks;
    struct errand_list errands;
    size_t count; /* leases and errands in memory */
};

/* Counts one more lease or errand; false, and counted as refused, when the limit is reached. */
NODISCARD bool keeper_admit(struct keeper *keeper);

/* One lease or errand less. */
void keeper_dismiss(struct keeper *keeper);

/* A lease on its lock, ACQUIRING, with its operation under way. The keeper has admitted it. */
struct lease *lease_create(struct keeper *keeper, const struct lease_ask *ask,
                           struct lease_holder *holder, int64_t now_us);

/* Frees the lease without a word to the store. */
void lease_destroy(struct lease *lease);

/* Renews a HELD lease before its time; harmless in any other state. */
void lease_renew_early(struct lease *lease, int64_t now_us);

/* Frees the errand without a word to the store. */
void errand_destroy(struct errand *errand);

#endif
