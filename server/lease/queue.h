/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The leases that wait for one lock at this server, first come first served whatever their mode, so
 * that readers never starve a writer nor the other way round. For the lease core's own files.
 */
#ifndef HOLDFAST_LEASE_QUEUE_H
#define HOLDFAST_LEASE_QUEUE_H

#include "base/wheel.h"
#include "lease/lease.h"
#include "lease/store.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

struct lock;

TAILQ_HEAD(waiter_list, lease);

/* A lease's place in a queue, while it is in there. */
struct place {
    struct lease *lease;
    struct lease_party *party;  /* may be NULL */
    TAILQ_ENTRY(lease) link;    /* in the queue */
    LIST_ENTRY(lease) of_party; /* in its party's waits */
    int64_t deadline_us;        /* as in lease_ask */
    struct timer timer;         /* at wait_until_us; the lease's own */
    uint32_t told_position;     /* 0: not told that it waits */
    bool was_refused;           /* a SHARED one that asked out of turn and was told to wait */
};

struct queue {
    struct lock *lock;
    struct waiter_list waiters;
    size_t count;
    bool is_blocked; /* the store has said who is in the way: `holder`, as of `seen_us` */
    struct store_holder holder;
    char label[LEASE_LABEL_MAX];
    int64_t seen_us;
    struct timer news;    /* to tell waiters of their positions */
    int64_t told_us;      /* when all of them were told */
    struct lease *cursor; /* the next to be told, while they are */
    bool is_telling;
};

/* Appends a lease to the lock's queue, making that, and gives it a place. */
void queue_push(struct lock *lock, struct lease *lease);

/* Takes a lease out, which has no place from now on, and frees the queue if it was the last. */
void queue_remove(struct lock *lock, struct lease *lease);

/* How many wait; NULL has none. */
size_t queue_count(const struct queue *queue);

/* The next one, or NULL. */
struct lease *queue_first(const struct queue *queue);

/* The store says who is in the way. */
void queue_note_holder(struct queue *queue, const struct store_holder *holder, int64_t now_us);

/* Who is in the way, as far as is known here; false when it is not. `*holder` points into the lock.
 */
bool queue_find_holder(const struct lock *lock, struct store_holder *holder, int64_t now_us);

void queue_destroy(struct queue *queue);

#endif
