/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What must be true at every step:
 *
 *   - no two leases of one lock are valid by their own deadline at the same true moment,
 *   - the fences of one lock rise in the order in which holders hear of them,
 *   - a holder hears LOST before anybody else hears GRANTED, unless its sidecar is stopped,
 *   - a lease past its deadline never comes back to life, and none is called lost that is not,
 *   - a held lease always has a timer, and without faults it is renewed on time,
 *   - once a sidecar has settled everything, the store holds nothing for clients that it gave up,
 *   - the count of leases is what the metrics say.
 *
 * An operator's DEL excuses its lock for the ttl of the lease that it hit.
 */
#ifndef SIM_CHECKER_H
#define SIM_CHECKER_H

#include "base/id128.h"
#include "lease/lease.h"
#include "sim_redis.h"

#include <stdint.h>

struct client;
struct world;

struct sim_checker {
    uint64_t last_fence[REDIS_LOCKS];
    int64_t excused_until_us[REDIS_LOCKS];
    uint64_t grants; /* told to clients */
    uint64_t losses;
    struct {
        struct id128 tenure;
        const struct client *client; /* whose tenure it is; NULL: nobody's that we know */
    } owners[REDIS_LOCKS];           /* as last seen in the store */
};

/* After every turn of a sidecar. */
void checker_step(struct world *world);

/* A client was told that it holds its lock. */
void checker_granted(struct world *world, const struct client *client);

/* A client was told that its lease is at risk, lost, or released. */
void checker_at_risk(struct world *world, const struct client *client);
void checker_lost(struct world *world, const struct client *client, enum lease_loss loss);
void checker_released(struct world *world, const struct client *client);

/* Another program took the lock. */
void checker_foreign(struct world *world, size_t lock);

/* An operator deletes what is at the lock now. */
void checker_excuse(struct world *world, size_t lock);

/* Everything must be settled: all clients answered, nothing left in memory or in the store. */
void checker_settled(struct world *world);

#endif
