/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A tenure: this server's unbroken hold on a lock in the store, from the asking to the end. An
 * EXCLUSIVE tenure may be handed on from lease to lease; the others serve one. For the lease core's
 * own files.
 *
 *   ASKING <-> QUEUED          HELD <-> RENEWING          ENDING
 *        \-------------------> HELD                 any -> ENDING
 *
 * An ENDING tenure stays in memory until what it may have left in the store is settled.
 *
 * Validity: a tenure is valid until sent + ttl - ttl/100 - 2 ms, where `sent` is the moment the
 * last confirmed command left, whose ttl it is.
 *
 * Handing on: while another server waits, a run of grants here ends after handoff_run_max of them
 * or handoff_run_ms. Fences come from a block that a confirmed command reserved. The new grant is
 * written through to the store without waiting; of a burst, only the last.
 */
#ifndef HOLDFAST_LEASE_TENURE_H
#define HOLDFAST_LEASE_TENURE_H

#include "base/wheel.h"
#include "lease/lease.h"
#include "lease/operation.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

struct lock;

enum tenure_state { TENURE_ASKING, TENURE_QUEUED, TENURE_HELD, TENURE_RENEWING, TENURE_ENDING };

struct inquiry;

struct tenure {
    LIST_ENTRY(tenure) link; /* in its lock */
    struct lease *lease;     /* who it is for; NULL: nobody, or nobody yet */
    struct inquiry *inquiry; /* what the store is asked; NULL only while HELD by a lease */
    struct id128 id;
    int64_t confirmed_us; /* when the last confirmed command was sent */
    enum tenure_state state : 8;
    enum store_mode mode : 8; /* ANY while a resume asks */
    bool is_owned : 1;        /* the one that its lock hands on: see lock_owned */
    bool is_at_risk : 1;
    bool is_hinted : 1;    /* a hint came while an answer was under way */
    bool is_dirty : 1;     /* the store does not know the present grant */
    bool is_synced : 1;    /* the store was asked for fences or time since the last grant */
    bool is_counted : 1;   /* among the keeper's leases, for it has none */
    bool leaves_grant : 1; /* ENDING: what it may have been granted stays */
    bool is_for_other : 1; /* ASKING, QUEUED: what was asked names a lease that is gone */
    struct timer timer; /* QUEUED: to ask again. HELD: the next of renewal, write-through, at risk,
                           deadline */
};

/* Asks for a lock on behalf of `lease`, whose tenure it becomes; nobody waits for the answer after
 * `deadline_us`. */
struct tenure *tenure_create(struct lease *lease, enum store_verb verb, int64_t deadline_us,
                             int64_t now_us);

/* Likewise by an ACQUIRE that queues up, for as long as it takes. */
struct tenure *tenure_create_queued(struct lease *lease, int64_t now_us);

/* Frees it without a word to the store. */
void tenure_destroy(struct tenure *tenure);

bool tenure_is_held(const struct tenure *tenure);

/* What it is, or would be, a hold on: its lease's lock, or what it asks about. */
struct lock *tenure_lock(const struct tenure *tenure);

/* Until when it is valid; 0 before it is held. */
int64_t tenure_deadline_us(const struct tenure *tenure);

/* Its lease has been given back, or lost its holder: the tenure has no lease from now on. `leaving`
 * hears the end of it; may be NULL. If it may be handed on, the lock is posted; else it ends,
 * uncleanly if `is_unclean`. */
void tenure_give_back(struct tenure *tenure, struct lease *leaving, bool is_unclean,
                      int64_t now_us);

/* Who waited to hear of the end does so no more. */
void tenure_leave(struct tenure *tenure);

/* Its detached lease lives on in the store: frees the tenure without a word to that. */
void tenure_forget(struct tenure *tenure);

/* Its lease wanted to wait and does so no more: the next in the queue takes its place if that is
 * possible, else the tenure ends. */
void tenure_take_back(struct tenure *tenure, int64_t now_us);

/* HELD or RENEWING without a lease: gives it to the next waiter, makes it fit for that, or ends it.
 */
void tenure_hand_on(struct tenure *tenure, int64_t now_us);

/* Gives a held tenure up, in the store too. */
void tenure_end(struct tenure *tenure, int64_t now_us);

/* The store is back: renews what is HELD before its time, asks again what is QUEUED. */
void tenure_refresh(struct tenure *tenure, int64_t now_us);

/* The lock may be to be had: asks again if QUEUED. */
void tenure_ask_again(struct tenure *tenure, int64_t now_us);

#endif
