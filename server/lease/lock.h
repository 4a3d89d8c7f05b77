/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A lock as one server sees it: a name, the tenures under which this server holds it, asks for it
 * or settles what it left, and the queue of leases that wait for it here. It exists while it has a
 * tenure or a lease. For the lease core's own files.
 */
#ifndef HOLDFAST_LEASE_LOCK_H
#define HOLDFAST_LEASE_LOCK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

struct keeper;
struct lease;
struct queue;
struct tenure;

LIST_HEAD(tenure_list, tenure);

struct lock {
    struct keeper *keeper;
    struct tenure_list tenures;
    struct queue *queue; /* who waits here; NULL: nobody does */
    struct lock *next;   /* the table's, like `hash` */
    uint32_t hash;
    uint32_t leases; /* on it */
    uint16_t key_length;
    bool is_due : 1;      /* to be looked at by lock_settle in the next turn */
    bool is_settling : 1; /* lock_settle is looking at it */
    char key[];
};

/* Locks to be settled, in the order in which they were posted. Zeroed it is empty. */
struct lock_list {
    struct lock **locks;
    size_t count;
    size_t room;
};

/* The keeper's lock of that name, made if there is none yet. */
struct lock *lock_obtain(struct keeper *keeper, const char *key, size_t key_length);

/* The EXCLUSIVE tenure that is ours, to be handed on, or NULL. It is the first of the lock's. */
struct tenure *lock_owned(const struct lock *lock);

/* Adds a tenure. */
void lock_enlist(struct lock *lock, struct tenure *tenure);

/* A tenure of the lock is the one to be handed on from now on, in place of any other. */
void lock_own(struct lock *lock, struct tenure *tenure);

/* The store keeps one entry a server. A late question of `tenure` may have taken the place of
 * another of ours, and gone with it; or the entry was that of a retry here, which has the same id.
 */
void lock_restore_entry(struct lock *lock, const struct tenure *tenure, int64_t now_us);

/* Has the lock looked at soon, from outside of what its caller is doing. */
void lock_post(struct lock *lock);

/* Settles the locks that are due; what is posted meanwhile has its turn later. */
void lock_settle_due(struct keeper *keeper, int64_t now_us);

/* Does what is to be done: hands on what is ours, asks for whoever waits, frees the lock if nothing
 * is left of it. */
void lock_settle(struct lock *lock, int64_t now_us);

/* Asks for whoever is to be asked for. Calls nobody back. */
void lock_ask(struct lock *lock, int64_t now_us);

/* Our entry in the store's queue may be gone: whoever is QUEUED asks again. Calls nobody back. */
void lock_ask_again(struct lock *lock, int64_t now_us);

/* Frees the lock if nothing is left of it and nobody is about to look at it. */
void lock_discard_unused(struct lock *lock);

#endif
