/* SPDX-License-Identifier: Apache-2.0 */
/* What the keeper, its locks, leases, tenures, errands and watches know of each other. For the
 * lease core's own files. */
#ifndef HOLDFAST_LEASE_KEEPER_INTERNAL_H
#define HOLDFAST_LEASE_KEEPER_INTERNAL_H

#include "base/compiler.h"
#include "base/metrics.h"
#include "base/pool.h"
#include "base/wheel.h"
#include "lease/errand.h"
#include "lease/keeper.h"
#include "lease/lease.h"
#include "lease/lock.h"
#include "lease/lock_table.h"
#include "lease/store.h"
#include "lease/tenure.h"
#include "lease/terms.h"
#include "lease/watch.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

/* A due time in the past: the next run of the wheel, however soon, instead of the next tick. */
#define KEEPER_AT_ONCE_US ((int64_t)0)

struct watched;

LIST_HEAD(errand_list, errand);

struct keeper {
    struct keeper_config config;
    struct store *store;
    struct wheel *wheel;
    struct metrics *metrics;
    struct store_listener listener;
    struct pool *pool; /* for locks, tenures, inquiries, leases and their places */
    struct lock_table locks;
    struct lock_list due;   /* locks to be settled in the next turn */
    struct timer due_timer; /* set while there are any */
    struct errand_list errands;
    struct watched *watched; /* locks that are watched, by name: see watch.c */
    int64_t ahead_ms;        /* the store's wall clock minus ours, as of the last grant */
    size_t count;            /* leases, errands, watches, and tenures that outlive their lease */
};

struct lease {
    struct lock *lock;
    struct tenure *tenure;       /* under which it is held or asked for; NULL while it only waits */
    struct lease_holder *holder; /* NULL once nobody listens */
    struct terms *terms;         /* NULL: none; see lease_terms */
    struct id128 token;
    uint64_t fence; /* 0 until granted */
    int64_t since_ms;
    uint32_t ttl_ms;
    enum lease_state state : 8;
    enum store_mode mode : 8;
    bool is_of_party : 1; /* its holder's */
    bool is_detached : 1;
    bool is_resume : 1; /* asked for by its token */
    bool may_be_retried : 1;
    bool is_unused : 1;  /* granted, but nobody has worked under it: no lock delay */
    bool is_overdue : 1; /* the deadline had passed when lease_release was called */
};

/* Counts one more lease, errand or watch; false, and counted as refused, when the limit is reached.
 */
NODISCARD bool keeper_admit(struct keeper *keeper);

/* Counts one more without asking: a tenure that outlives its lease, which has just gone. */
void keeper_retain(struct keeper *keeper);

/* One less. */
void keeper_dismiss(struct keeper *keeper);

/* A lease on its lock, WAITING, with its question under way. The keeper has admitted it. */
struct lease *lease_create(struct keeper *keeper, const struct lease_ask *ask,
                           struct lease_holder *holder, enum store_verb verb, int64_t now_us);

/* What it asks for beyond a lock and a ttl; never NULL. */
const struct terms *lease_terms(const struct lease *lease);

/* Its place in its lock's queue; NULL: it is not in there. */
struct place *lease_place(const struct lease *lease);

/* Whether somebody may come to another server with its token. Who handed such a tenure on in memory
 * could not know that it is gone. A resumed lease keeps the token that the store has. */
bool lease_is_resumable(const struct lease *lease);

/* The lock delay that begins when the lease is lost. */
uint32_t lease_close_ms(const struct lease *lease);

/* Whether it asks along with other readers before it in the queue. */
bool lease_is_reader(const struct lease *lease);

/* Nobody listens any more. */
void lease_leave_holder(struct lease *lease);

/* Frees the lease without a word to the store. Its tenure must have let go of it. */
void lease_destroy(struct lease *lease);

/* For tenures: what becomes of their lease. Nothing of the lease, nor of a tenure without another
 * use, may be touched afterwards. */
void lease_grant(struct lease *lease, uint64_t fence, int64_t since_ms, int64_t now_us);
void lease_refuse(struct lease *lease, const struct store_result *result, int64_t now_us);
void lease_lose(struct lease *lease, enum lease_loss loss, int64_t now_us);
void lease_tell_released(struct lease *lease, int64_t now_us);
void lease_tell(struct lease *lease, const struct lease_report *report, int64_t now_us);

/* Counts max_hold_ms from now on, of a lease that is held. */
void lease_bound_hold(struct lease *lease, uint32_t max_hold_ms, int64_t now_us);

/* Takes over the label and value that a resumed lease has in the store. */
void lease_take_texts(struct lease *lease, const struct store_holder *holder);

/* Frees the errand without a word to the store. */
void errand_destroy(struct errand *errand);

/* The store tells of a change, or of changes that nobody told of. */
void watch_on_changed(struct keeper *keeper, const char *key, size_t key_length, int64_t now_us);
void watch_on_subscribed(struct keeper *keeper, int64_t now_us);

#endif
