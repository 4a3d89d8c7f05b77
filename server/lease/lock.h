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

#include "base/table.h"

struct keeper;
struct lease;
struct queue;
struct tenure;

LIST_HEAD(tenure_list, tenure);

struct lock {
    struct tenure_list tenures;
    struct tenure *owned; /* the EXCLUSIVE one that is ours, to be handed on; NULL: none */
    struct queue *queue;  /* who waits here; NULL: nobody does */
    uint32_t leases;      /* on it */
    bool is_due;          /* to be looked at by lock_settle in the next turn */
    TAILQ_ENTRY(lock) due;
    UT_hash_handle hh; /* in the table of names; also knows the key's length */
    char key[];
};

TAILQ_HEAD(lock_list, lock);

/* The names, in order of arrival. An empty table is NULL. */
struct lock_table {
    struct lock *first;
};

/* The lock of that name, or NULL. */
struct lock *lock_find(const struct lock_table *table, const char *key, size_t key_length);

/* The lock of that name, made if there is none yet. */
struct lock *lock_obtain(struct lock_table *table, const char *key, size_t key_length);

size_t lock_key_length(const struct lock *lock);

/* Has the lock looked at soon, from outside of what its caller is doing. */
void lock_post(struct keeper *keeper, struct lock *lock);

/* Does what is to be done: hands on what is ours, asks for whoever waits, frees the lock if nothing
 * is left of it. */
void lock_settle(struct keeper *keeper, struct lock *lock, int64_t now_us);

/* Asks for whoever is to be asked for. Calls nobody back. */
void lock_ask(struct lock *lock, int64_t now_us);

/* Our entry in the store's queue may be gone: whoever is QUEUED asks again. Calls nobody back. */
void lock_ask_again(struct lock *lock, int64_t now_us);

/* Frees the lock if nothing is left of it and nobody is about to look at it. */
void lock_discard_unused(struct keeper *keeper, struct lock *lock);

/* Frees a lock without a tenure and without a lease. */
void lock_destroy(struct keeper *keeper, struct lock *lock);

#endif
