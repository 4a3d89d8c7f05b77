/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A party is whoever may hold some leases while it waits for others: a client connection. Parties
 * that wait for each other in a circle would wait for ever; the ask that would close the circle is
 * refused. A party waits for those who hold the lock, and for those before it in the queue. That a
 * party waits for itself is its own affair: it may be many tasks.
 */
#ifndef HOLDFAST_LEASE_PARTY_H
#define HOLDFAST_LEASE_PARTY_H

#include "base/compiler.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

struct lease;
struct lease_ask;
struct lock;

LIST_HEAD(party_wait_list, lease);

/* Embedded in a session. */
struct lease_party {
    const char *name; /* for people: "127.0.0.1:51234"; must outlive the party */
    /* The lease core's: */
    size_t leases;                /* all of them */
    struct party_wait_list waits; /* those that wait in queues */
    uint64_t visit;               /* the last search that came by */
};

/* A party that waits for nothing. */
void party_init(struct lease_party *party, const char *name);

/* Nothing may wait for it any more. */
void party_release(struct lease_party *party);

/* Whether `party` would wait for itself through others if it waited for `lock` as `ask` says; then
 * `text` spells the circle out. Looks at a bounded number of leases and links; a circle beyond that
 * is not found. */
NODISCARD bool party_would_deadlock(struct lease_party *party, const struct lock *lock,
                                    const struct lease_ask *ask, char *text, size_t size);

#endif
