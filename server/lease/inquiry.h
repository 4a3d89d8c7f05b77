/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a tenure asks the store: the one operation in flight, from the question to its settled
 * answer; and what it must remember only while it asks, or while it may be handed on. Tenures are
 * idle most of the time, and many, so a held one has none of this in between: what it last sent is
 * then what its lease asks for, and nothing else may be left in the store. For the lease core's own
 * files.
 */
#ifndef HOLDFAST_LEASE_INQUIRY_H
#define HOLDFAST_LEASE_INQUIRY_H

#include "lease/operation.h"

#include <stdbool.h>
#include <stdint.h>

struct lease;
struct lock;
struct tenure;
struct terms;

struct inquiry {
    struct tenure *tenure;
    struct lock *lock;
    struct operation operation;
    struct terms *kept_terms; /* of a lease that is gone, for the operation under way */
    struct lease *leaving;    /* who gave the tenure back and waits to hear that it is */
    uint32_t ttl_ms;          /* as last sent, with: */
    uint32_t lock_delay_ms;   /* the key outlives the ttl by this much */
    uint32_t close_ms;        /* ENDING: the lock delay that begins */
    uint32_t grants;          /* in the run of grants here */
    uint32_t waiting;         /* other servers in the queue, as last heard */
    int64_t held_us;          /* when that run began */
    int64_t written_us;       /* when the last grant was written through */
    int64_t at_risk_us;       /* RENEWING: when it is at risk */
    int64_t deadline_us;
    uint64_t fence;     /* of the last grant */
    uint64_t fence_end; /* fences up to here are reserved for us */
};

/* Makes ready to ask: the tenure's inquiry, made if there is none. Returns what is to be filled in
 * before its operation is started. */
struct store_op *inquiry_open(struct tenure *tenure, operation_done_fn *on_done);

/* Frees the tenure's inquiry, if any, without a word to the store. */
void inquiry_close(struct tenure *tenure);

/* Nothing is to be asked for a while: frees the inquiry of a held tenure, unless it knows what the
 * tenure and its lease do not: between two leases, while somebody waits here, while the store has
 * yet to learn of the present grant, or may hold something older. */
void inquiry_rest(struct tenure *tenure, int64_t now_us);

/* As operation_stop. */
NODISCARD bool inquiry_stop(struct tenure *tenure);

/* Whether the question that is, or was last, asked may leave our entry in the queue. */
bool inquiry_wants_queue(const struct tenure *tenure);

/* Whether the run of grants here is over, for other servers wait. */
bool inquiry_ends_run(const struct inquiry *inquiry, int64_t now_us);

/* Whether the next grant must wait for a word of the store: for fences, or for time. */
bool inquiry_needs_sync(const struct inquiry *inquiry, int64_t now_us);

/* The operation under way may still point at the texts of the lease, which is about to go: they
 * change places with a copy. */
void inquiry_keep_texts(struct tenure *tenure, struct lease *lease);

#endif
