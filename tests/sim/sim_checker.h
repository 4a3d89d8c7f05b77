/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What must be true at every step:
 *
 *   - at one true moment at most one lease of a lock is valid by its own deadline, or several
 *     SHARED ones, none of which found more before it than its limit allows,
 *   - the fences of a lock rise in the order in which holders hear of them, those of SHARED leases
 *     above all EXCLUSIVE ones before, and no two are alike,
 *   - a holder hears LOST before anybody else hears GRANTED, unless its sidecar is stopped,
 *   - the waiters of one sidecar are granted in the order of asking,
 *   - nobody who waits is refused before its time, or kept long after,
 *   - a lease past its deadline never comes back to life, and none is called lost that is not,
 *   - without faults a held lease is renewed on time, and no lock is free while somebody waits,
 *   - once a sidecar has settled everything, the store holds nothing for clients that it gave up,
 *   - the count of leases is what the metrics say,
 *   - of a bundle of locks all are held when it is granted, and none is left when it is not, or no
 *     more; it is refused while it waits only where one of its locks was lost, by a limit, or in
 *     order not to close a circle,
 *   - an ask that is refused for closing a circle of connections would have closed the one that it
 *     is told, and where a sidecar looks for circles, none stands.
 *
 * An operator's DEL excuses its lock for the ttl of the leases that it hit. Where a stale replica
 * shows an earlier holder, a later one cannot have its lock re-created; it hears LOST, but not
 * while it is away.
 */
#ifndef SIM_CHECKER_H
#define SIM_CHECKER_H

#include "base/id128.h"
#include "lease/lease.h"
#include "sim_redis.h"

#include <stdint.h>

struct bundle;
struct client;
struct world;

struct sim_checker {
    uint64_t last_fence[REDIS_LOCKS];     /* the highest told */
    uint64_t last_exclusive[REDIS_LOCKS]; /* the highest of an EXCLUSIVE lease */
    int64_t excused_until_us[REDIS_LOCKS];
    uint64_t displaced[REDIS_LOCKS]; /* grants up to this fence may have been lost that way */
    uint64_t grants;                 /* told to clients */
    uint64_t losses;
    uint64_t bundles; /* granted, of more than one lock */
    uint64_t circles; /* refused */
    struct {
        uint64_t fence; /* when looked at last, */
        bool is_idle;   /* and whether it was free then */
        int64_t idle_since_us;
    } patrolled[REDIS_LOCKS];
};

/* After every turn of a sidecar. */
void checker_step(struct world *world);

/* From time to time: nobody is left waiting. */
void checker_patrol(struct world *world);

/* A client was told that it waits, that it holds its lock, or that it cannot have it. */
void checker_queued(struct world *world, const struct client *client,
                    const struct lease_report *report);
void checker_granted(struct world *world, const struct client *client);
void checker_refused(struct world *world, const struct client *client,
                     const struct store_result *result, int64_t now_us);

/* A client was told that its lease is at risk, or lost. */
void checker_at_risk(struct world *world, const struct client *client);
void checker_lost(struct world *world, const struct client *client, enum lease_loss loss);

/* A bundle was granted, lost when it was already given back, or refused; or it has ended in
 * whatever way, or been dropped. */
void checker_bundle_granted(const struct bundle *bundle);
void checker_bundle_lost(const struct bundle *bundle, enum lease_loss loss);
void checker_bundle_refused(const struct bundle *bundle, const struct lease_report *report);
void checker_bundle_ended(const struct bundle *bundle);

/* Another program took the lock. */
void checker_foreign(struct world *world, size_t lock);

/* An operator deletes what is at the lock now. */
void checker_excuse(struct world *world, size_t lock);

/* Redis has lost its data, and with it what would have told a holder that its lock was deleted:
 * that lock is taken for its own again. */
void checker_forgotten(struct world *world);

/* A stale replica shows another holder at the lock than whoever was granted it with a fence up to
 * this one. */
void checker_displaced(struct world *world, size_t lock, uint64_t fence);

/* Everything must be settled: all clients answered, nothing left in memory or in the store. */
void checker_settled(struct world *world);

#endif
