/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The keeper: every lease of this server, by lock name; renews them, loses them in time, and
 * settles what they leave behind. The lease core's front door. It knows no socket, no Redis and no
 * clock: time is a parameter and the world is a store.
 */
#ifndef HOLDFAST_LEASE_KEEPER_H
#define HOLDFAST_LEASE_KEEPER_H

#include "base/compiler.h"
#include "base/metrics.h"
#include "base/wheel.h"
#include "lease/lease.h"
#include "lease/store.h"

#include <stddef.h>
#include <stdint.h>

struct keeper;

struct keeper_config {
    size_t leases_max; /* option max-leases: held, being acquired or being settled */
};

/* A keeper on `store` (whose listener it becomes), with timers on `wheel`. All three outlive it. */
struct keeper *keeper_create(const struct keeper_config *config, struct store *store,
                             struct wheel *wheel, struct metrics *metrics);

/* Frees everything without a word to the store, which must be destroyed before, so that no
 * operation of ours is touched any more. No lease may have a holder left. */
void keeper_destroy(struct keeper *keeper);

struct lease_ask {
    const char *key;
    size_t key_length; /* 1 to LEASE_KEY_MAX */
    const char *label;
    size_t label_length; /* 0 to LEASE_LABEL_MAX */
    int64_t ttl_ms;      /* LEASE_TTL_MIN_MS to LEASE_TTL_MAX_MS */
    int64_t deadline_us; /* nobody waits for the answer after this; CLOCK_NEVER for none */
};

/* Tries to take a lock for `holder`, which hears GRANTED or REFUSED later, never before this
 * returns. NULL when the limit of leases is reached. Arguments are copied. */
NODISCARD struct lease *keeper_acquire(struct keeper *keeper, const struct lease_ask *ask,
                                       struct lease_holder *holder, int64_t now_us);

/* The lease that holds `key` under `token` here, or NULL. */
struct lease *keeper_find(const struct keeper *keeper, const char *key, size_t key_length,
                          const struct id128 *token);

/* Leases held, being acquired or being settled. */
size_t keeper_count(const struct keeper *keeper);

#endif
