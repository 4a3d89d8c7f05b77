/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One lease: what one client asks of one lock, from the asking to the end. A lease belongs to its
 * keeper; holders keep a pointer until they hear an event that ends it (REFUSED, LOST, RELEASED) or
 * give it up with lease_revoke or lease_abandon.
 *
 *   WAITING -> HELD <-> ORPHANED -> RELEASING -> gone
 *
 * What keeps it in the store is the tenure it was granted under (lease/tenure.h); the lease is
 * valid until its tenure's deadline, or until max_hold_ms after it was granted if that is earlier.
 * Whoever decides anything compares the time then.
 */
#ifndef HOLDFAST_LEASE_LEASE_H
#define HOLDFAST_LEASE_LEASE_H

#include "base/compiler.h"
#include "base/id128.h"
#include "base/wheel.h"
#include "lease/store.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#define LEASE_KEY_MAX         512      /* bytes */
#define LEASE_LABEL_MAX       128      /* bytes */
#define LEASE_VALUE_MAX       4096     /* bytes */
#define LEASE_TTL_MIN_MS      100      /* milliseconds */
#define LEASE_TTL_MAX_MS      86400000 /* milliseconds: a day */
#define LEASE_DURATION_MAX_MS 86400000 /* waits, graces, delays, max_hold: a day */
#define LEASE_LIMIT_MAX       1000000  /* holders of a SHARED lock */

struct keeper;
struct lease;
struct lease_party;

enum lease_state {
    LEASE_WAITING,   /* asked for, or in the queue */
    LEASE_HELD,      /* its holder has it */
    LEASE_ORPHANED,  /* held, but its holder is gone and may come back within grace_ms */
    LEASE_RELEASING, /* given back; the store has not confirmed it */
};

/* "HELD". Static text. */
const char *lease_state_name(enum lease_state state);

/* What a holder hears. REFUSED, LOST and RELEASED are the last it hears of a lease. */
enum lease_event {
    LEASE_EVENT_QUEUED, /* it waits: `position` and `result->holder`; again when that changes, but
                           not more often than about twice a second */
    LEASE_EVENT_GRANTED,
    LEASE_EVENT_REFUSED,  /* `result`: BUSY, NOT_HELD (a resume), WRONG_TYPE or UNAVAILABLE */
    LEASE_EVENT_AT_RISK,  /* 2/3 of the ttl without a confirmed renewal */
    LEASE_EVENT_RENEWED,  /* a renewal was confirmed after AT_RISK: the danger is over */
    LEASE_EVENT_LOST,     /* `loss` says why */
    LEASE_EVENT_RELEASED, /* after lease_release: it has been given back */
};

enum lease_loss {
    LEASE_LOSS_EXPIRED,  /* the deadline passed without a confirmed renewal */
    LEASE_LOSS_TAKEN,    /* the store says that the lock is not ours */
    LEASE_LOSS_MAX_HOLD, /* held for max_hold_ms */
    LEASE_LOSS_RESUMED,  /* somebody came with its token and resumed it here */
};

struct keeper_problem;

struct lease_report {
    enum lease_event event;
    enum lease_loss loss;              /* LOST */
    size_t position;                   /* QUEUED: 1 is the next among the waiters of this server */
    const struct store_result *result; /* QUEUED, REFUSED; valid only during the callback */
    const struct keeper_problem *problem; /* REFUSED, of a group: a later lock of it was refused
                                             before anything was asked; else NULL */
    const struct lease *lease; /* of a group: the one of its leases that this is about. It may be on
                                  its way out: what it is can be read, not until when it is valid */
};

/* Who a lease reports to; embedded in the service's binding. Never called from inside a keeper_ or
 * lease_ function that the holder itself called. The holder may release, revoke or abandon the
 * lease from inside, and ask for others. */
struct lease_holder {
    struct lease_party *party; /* set by keeper_acquire and keeper_resume */
    void (*on_event)(struct lease_holder *holder, struct lease *lease,
                     const struct lease_report *report, int64_t now_us);
};

/* What is asked for. */
struct lease_ask {
    const char *key;
    size_t key_length; /* 1 to LEASE_KEY_MAX */
    const char *label;
    size_t label_length; /* 0 to LEASE_LABEL_MAX */
    const char *value;
    size_t value_length;   /* 0 to LEASE_VALUE_MAX */
    enum store_mode mode;  /* EXCLUSIVE or SHARED */
    uint32_t limit;        /* SHARED: at most so many holders, up to LEASE_LIMIT_MAX; 0: no limit */
    int64_t ttl_ms;        /* LEASE_TTL_MIN_MS to LEASE_TTL_MAX_MS */
    int64_t wait_until_us; /* refused with BUSY if not granted by then; 0: does not wait at all */
    int64_t deadline_us;   /* nobody waits for the answer after this; CLOCK_NEVER for none */
    uint32_t grace_ms;     /* see lease_abandon; up to LEASE_DURATION_MAX_MS, like these: */
    uint32_t lock_delay_ms; /* after an unclean loss the lock stays closed that long */
    uint32_t max_hold_ms;   /* lost after that long at the latest; 0: no such bound */
    bool is_detached; /* bound to nothing but its ttl: GRANTED is the last the holder hears, and the
                         lease is then gone from here; its tenure is its token */
    bool may_be_retried; /* detached: the caller knows the token, so an abandoned grant stays */
    const struct id128 *token; /* detached, with may_be_retried; NULL: one is chosen */
    struct lease_party *party; /* whose the lease is, for finding deadlocks; NULL: unknown. Must
                                  outlive the lease's time with its holder */
};

/* The time to live in Redis, in microseconds from the moment a command was sent. Pure. */
int64_t lease_validity_us(int64_t ttl_ms); /* ttl - ttl/100 - 2 ms; at least 0 */
int64_t lease_renewal_us(int64_t ttl_ms);  /* ttl/3 */
int64_t lease_at_risk_us(int64_t ttl_ms);  /* 2 ttl/3 */

/* Renewals leave together at multiples of this: in a batch of many each costs half as much. */
#define LEASE_RENEWAL_GRID_US ((int64_t)5000)

/* When a lease that was last confirmed by what left at `sent_us` is to be renewed: a renewal_us
 * later, or on the grid just before that. Pure. */
int64_t lease_renewal_due_us(int64_t sent_us, int64_t ttl_ms);

/* Until when the lease is valid; meaningful once granted. */
int64_t lease_deadline_us(const struct lease *lease);

/* Whether the lease is held and its deadline is still ahead. */
bool lease_is_valid(const struct lease *lease, int64_t now_us);

/* Gives a held lease back. Must be HELD. The holder hears RELEASED when the next waiter here has
 * it, or the store has confirmed it, or the lock must have run out by itself; or LOST if the store
 * says that it was lost before: TAKEN while it should still have been ours, EXPIRED if its deadline
 * had passed when this was called. An earlier command that lost its answer may still run after the
 * release and close the lock again; that is undone once it must have run, STORE_LATE_US after it
 * was sent. */
void lease_release(struct lease *lease, int64_t now_us);

/* The holder is gone: gives the lease up in any state. A held one was lost uncleanly, so its lock
 * delay begins. No event follows; the pointer is dead when this returns. */
void lease_revoke(struct lease *lease, int64_t now_us);

/* The holder is gone, but may come back: a held lease that asked for a grace is kept, renewed and
 * orphaned for that long, to be taken over with keeper_resume; so is one
 * that is being resumed. Any other is revoked. No event
 * follows; the pointer is dead for this holder when this returns. */
void lease_abandon(struct lease *lease, int64_t now_us);

/* What the lease is. Texts and names are not to be kept longer than the lease; texts are not
 * NUL-terminated. */
const char *lease_key(const struct lease *lease, size_t *length);
const char *lease_label(const struct lease *lease, size_t *length);
const char *lease_value(const struct lease *lease, size_t *length);
enum lease_state lease_state(const struct lease *lease);
enum store_mode lease_mode(const struct lease *lease);
uint32_t lease_limit(const struct lease *lease);
int64_t lease_ttl_ms(const struct lease *lease);
uint64_t lease_fence(const struct lease *lease);   /* 0 until granted */
int64_t lease_since_ms(const struct lease *lease); /* since 1970, by the store; 0 until granted */
const struct id128 *lease_token(const struct lease *lease);
struct lease_holder *lease_holder(const struct lease *lease); /* NULL when ORPHANED */
struct lease_party *lease_party(const struct lease *lease);   /* NULL when unknown */

#endif
