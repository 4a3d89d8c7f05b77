/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Several locks, all or none, as one lease: taken one after the other in the order of their names,
 * so that two groups never wait for each other; held under one token. When one is lost, the whole
 * group is, and the others are given up.
 */
#ifndef HOLDFAST_LEASE_GROUP_H
#define HOLDFAST_LEASE_GROUP_H

#include "base/compiler.h"
#include "lease/keeper.h"
#include "lease/lease.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define GROUP_SIZE_MAX ((size_t)16)

struct group;
struct plan;

struct group_name {
    const char *key;
    size_t key_length;
};

/* What a group reports to whoever owns it, as lease_holder for one lease. It is granted when all of
 * its leases are held and none is at risk; then it is at risk as long as one of them is. QUEUED,
 * REFUSED (BUSY) and LOST concern one lock of it: that of report->lease. */
typedef void group_event_fn(struct group *group, const struct lease_report *report, int64_t now_us);

/* Embedded in what owns it. The members are the group's own. */
struct group {
    struct lease_holder holder; /* of every lease in it */
    group_event_fn *on_event;
    union {
        struct lease *lease; /* of one; NULL: not ours any more */
        struct plan *plan;   /* of several */
    };
    bool is_several;
    bool is_granted;
    bool is_at_risk; /* granted, and the owner knows that one of its leases is */
    bool is_releasing;
};

/* Prepares a group that asks for nothing yet. */
void group_init(struct group *group, group_event_fn *on_event);

/* Asks for 1 to GROUP_SIZE_MAX different names in any order; ask->key and ask->token are not looked
 * at, is_detached must be false; the rest is as for keeper_acquire. False, and why, when it is
 * refused at once. The group is in use until REFUSED, LOST or RELEASED has been heard, when the
 * owner may free it, or until it is revoked or abandoned. */
NODISCARD bool group_acquire(struct group *group, struct keeper *keeper,
                             const struct group_name *names, size_t count,
                             const struct lease_ask *ask, struct keeper_problem *problem,
                             int64_t now_us);

/* A group of the one lease that keeper_resume takes over. */
NODISCARD bool group_resume(struct group *group, struct keeper *keeper, const struct lease_ask *ask,
                            struct keeper_problem *problem, int64_t now_us);

/* As their namesakes for one lease. */
void group_release(struct group *group, int64_t now_us);
void group_revoke(struct group *group, int64_t now_us);
void group_abandon(struct group *group, int64_t now_us);

/* Once granted: the earliest deadline of its leases; whether all are held and it is ahead. */
int64_t group_deadline_us(const struct group *group);
bool group_is_valid(const struct group *group, int64_t now_us);

/* The group that holds `key` under `token` here, or NULL; never an orphaned one. */
struct group *group_find(const struct keeper *keeper, const char *key, size_t key_length,
                         const struct id128 *token);

size_t group_size(const struct group *group);
const struct lease *group_lease(const struct group *group, size_t index); /* NULL: not asked yet */
const struct id128 *group_token(const struct group *group);
int64_t group_ttl_ms(const struct group *group);
bool group_is_granted(const struct group *group);
bool group_is_releasing(const struct group *group); /* group_release was called */

#endif
