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

struct group_name {
    const char *key;
    size_t key_length;
};

/* Who a group reports to, as lease_holder for one lease. It is granted when all of its leases are
 * held and none is at risk; then it is at risk as long as one of them is. QUEUED and REFUSED (BUSY)
 * concern the lock that group_concerned tells during the callback. */
struct group_holder {
    void (*on_event)(struct group_holder *holder, struct group *group,
                     const struct lease_report *report, int64_t now_us);
};

/* Asks for 1 to GROUP_SIZE_MAX different names in any order; ask->key and ask->token are not looked
 * at, is_detached must be false; the rest is as for keeper_acquire. NULL, and why, when it is
 * refused at once. */
NODISCARD struct group *group_acquire(struct keeper *keeper, const struct group_name *names,
                                      size_t count, const struct lease_ask *ask,
                                      struct group_holder *holder, struct keeper_problem *problem,
                                      int64_t now_us);

/* A group of the one lease that keeper_resume takes over. */
NODISCARD struct group *group_resume(struct keeper *keeper, const struct lease_ask *ask,
                                     struct group_holder *holder, struct keeper_problem *problem,
                                     int64_t now_us);

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
struct group_holder *group_holder(const struct group *group);

/* During an event: the lock it concerns. Its length in *length. */
const char *group_concerned(const struct group *group, size_t *length);

/* Likewise its lease, which may be on its way out: what it is can be read, not until when it is
 * valid. */
const struct lease *group_concerned_lease(const struct group *group);

#endif
