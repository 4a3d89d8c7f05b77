/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the application holds: immutable facts, and a deadline that one thread moves and any thread
 * reads.
 */
#ifndef HOLDFAST_CLIENT_LEASE_H
#define HOLDFAST_CLIENT_LEASE_H

#include "base/compiler.h"
#include "base/id128.h"
#include "mailbox.h"

#include "holdfast/v1/locks.pb-c.h"

#include <holdfast/holdfast.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct hold;

/* One lock of a lease. */
struct lease_lock {
    char *key;
    uint64_t fence;
};

struct holdfast_lease {
    atomic_int references;       /* the application's, and the hold's */
    _Atomic int64_t deadline_us; /* 0: not valid, and never again unless renewed */
    _Atomic uint32_t ttl_ms;
    struct lease_lock *locks; /* in the order of their names */
    size_t lock_count;        /* 1 or more */
    struct id128 token;
    bool is_detached;
    bool has_events;         /* the application gave callbacks */
    unsigned int releases;   /* begun, of a detached lease; in the library's thread only */
    struct mailbox *mailbox; /* how to reach the library's thread; NULL: it is the caller's */
    struct hold *hold;       /* in the library's thread only; NULL: detached, or over */
};

/* A lease with one reference, made of the server's message for a request sent at `sent_us`. NULL
 * when the message is incomplete or about another key than `key`, which is NULL for a lease on
 * several. `mailbox` may be NULL. */
NODISCARD struct holdfast_lease *lease_create(const Holdfast__V1__Lease *message, const char *key,
                                              int64_t sent_us, struct mailbox *mailbox);

void lease_hold(struct holdfast_lease *lease);
void lease_let_go(struct holdfast_lease *lease);

/* Valid for `valid_for_ms` from `sent_us` on. */
void lease_confirm(struct holdfast_lease *lease, int64_t sent_us, uint32_t valid_for_ms);

/* Valid until `until_us` at the latest. */
void lease_limit(struct holdfast_lease *lease, int64_t until_us);

/* Not valid from now on. */
void lease_end(struct holdfast_lease *lease);

/* Microseconds of validity left at `now_us`; 0 or less: none. */
int64_t lease_left_us(const struct holdfast_lease *lease, int64_t now_us);

#endif
