/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One lease: a grant of a lock to one holder, from the asking to the end. A lease belongs to its
 * keeper; holders keep a pointer until they hear an event that ends it (REFUSED, LOST, RELEASED) or
 * give it up with lease_revoke.
 *
 *   ACQUIRING -> HELD <-> RENEWING        -> LOST | RELEASED
 *
 * LOST and RELEASED leases stay in memory, unseen by the holder, until what they may have left in
 * the store is settled.
 *
 * Validity: a lease is valid until deadline = sent + ttl - ttl/100 - 2 ms, where `sent` is the
 * moment the last confirmed command left. Whoever decides anything compares the time then.
 */
#ifndef HOLDFAST_LEASE_LEASE_H
#define HOLDFAST_LEASE_LEASE_H

#include "base/id128.h"
#include "base/wheel.h"
#include "lease/operation.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#define LEASE_KEY_MAX    512      /* bytes */
#define LEASE_LABEL_MAX  256      /* bytes */
#define LEASE_TTL_MIN_MS 100      /* milliseconds */
#define LEASE_TTL_MAX_MS 86400000 /* milliseconds: a day */

struct keeper;
struct lease;
struct lock;

enum lease_state { LEASE_ACQUIRING, LEASE_HELD, LEASE_RENEWING, LEASE_LOST, LEASE_RELEASED };

/* "HELD". Static text. */
const char *lease_state_name(enum lease_state state);

/* What a holder hears. REFUSED, LOST and RELEASED are the last it hears of a lease. */
enum lease_event {
    LEASE_EVENT_GRANTED,
    LEASE_EVENT_REFUSED,  /* `result`: BUSY, WRONG_TYPE or UNAVAILABLE */
    LEASE_EVENT_AT_RISK,  /* 2/3 of the ttl without a confirmed renewal */
    LEASE_EVENT_RENEWED,  /* a renewal was confirmed after AT_RISK: the danger is over */
    LEASE_EVENT_LOST,     /* `loss` says why */
    LEASE_EVENT_RELEASED, /* after lease_release: the store has let go of it */
};

enum lease_loss {
    LEASE_LOSS_EXPIRED, /* the deadline passed without a confirmed renewal */
    LEASE_LOSS_TAKEN,   /* the store says that the lock is not ours */
};

struct lease_report {
    enum lease_event event;
    enum lease_loss loss;              /* LOST */
    const struct store_result *result; /* REFUSED; valid only during the callback */
};

/* Who a lease reports to; embedded in the service's binding. Never called from inside a keeper_ or
 * lease_ function that the holder itself called. */
struct lease_holder {
    void (*on_event)(struct lease_holder *holder, struct lease *lease,
                     const struct lease_report *report, int64_t now_us);
};

struct lease {
    struct keeper *keeper;
    struct lock *lock;           /* the name; shared by all attempts on it */
    LIST_ENTRY(lease) link;      /* in its lock */
    struct lease_holder *holder; /* NULL once nobody listens */
    enum lease_state state;
    bool is_at_risk;
    bool is_overdue; /* the deadline had passed when lease_release was called */
    struct id128 token;
    uint64_t fence;             /* 0 until granted */
    int64_t confirmed_us;       /* when the last confirmed command was sent */
    struct timer timer;         /* the next of: renewal, at risk, deadline */
    struct operation operation; /* the one thing in flight; holds tenure, label and ttl */
};

/* The pure arithmetic, in microseconds from the moment a command was sent. */
int64_t lease_validity_us(int64_t ttl_ms); /* ttl - ttl/100 - 2 ms; at least 0 */
int64_t lease_renewal_us(int64_t ttl_ms);  /* ttl/3 */
int64_t lease_at_risk_us(int64_t ttl_ms);  /* 2 ttl/3 */

/* Until when the lease is valid; meaningful while HELD or RENEWING. */
int64_t lease_deadline_us(const struct lease *lease);

/* Whether the lease is held and its deadline is still ahead. */
bool lease_is_valid(const struct lease *lease, int64_t now_us);

/* Gives a held lease back. Must be HELD or RENEWING. The holder hears RELEASED when the store has
 * confirmed it or the lock must have run out by itself, or LOST if the store says that it was lost
 * before: TAKEN while it should still have been ours, EXPIRED if its deadline had passed when this
 * was called. An earlier command that lost its answer may still run after the release and close the
 * lock again; that is undone once it must have run, STORE_LATE_US after it was sent. */
void lease_release(struct lease *lease, int64_t now_us);

/* The holder is gone: gives the lease up in any state it can be seen in. No event follows; the
 * pointer is dead when this returns. */
void lease_revoke(struct lease *lease, int64_t now_us);

/* The lock's name; `*length` in bytes. Not to be kept longer than the lease. */
const char *lease_key(const struct lease *lease, size_t *length);

int64_t lease_ttl_ms(const struct lease *lease);

#endif
