/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An operation is a store_op brought to a settled end: asked again when the store says that it came
 * too late, that it is recovering, or when the answer was lost. What may have happened is never
 * reported as not having happened: an unknown outcome is settled by running the same idempotent
 * operation again, until the store answers or until nothing that was sent can still be in force.
 *
 *   OK, BUSY, QUEUED, NOT_HELD,     settled; passed on
 *   WRONG_TYPE
 *   EXPIRED                         asked again at once
 *   RECOVERING                      asked again when the window ends
 *   UNKNOWN                         asked again at once (the store waits until it can be reached)
 *   UNAVAILABLE                     RENEW, RELEASE, an ACQUIRE that queues, or an unsettled
 *                                   operation: asked again after OPERATION_RETRY_US; else passed on
 *
 * An ACQUIRE that does not queue, a RESUME and an INSPECT wait for STORE_PATIENCE_US for a store
 * that answers nothing, then end with UNAVAILABLE.
 *
 * An operation is unsettled once an answer of it was UNKNOWN. One that is not ends with UNAVAILABLE
 * once deadline_us has passed. An unsettled one, and any RELEASE, ends when the last thing sent
 * must have lapsed: RELEASE with NOT_HELD, the others with UNAVAILABLE. An unsettled RELEASE that
 * finds the lock not ours ends with OK, for it may be its own doing. A lease's RENEW has no
 * deadline and goes on until it is stopped.
 */
#ifndef HOLDFAST_LEASE_OPERATION_H
#define HOLDFAST_LEASE_OPERATION_H

#include "base/compiler.h"
#include "base/wheel.h"
#include "lease/store.h"

#include <stdbool.h>
#include <stdint.h>

#define OPERATION_RETRY_US     ((int64_t)50000)   /* or a hundredth of the ttl, */
#define OPERATION_RETRY_MAX_US ((int64_t)1000000) /* up to this */

struct operation;

/* Called once per start with a settled result, never from inside operation_start. The operation may
 * be started anew or freed here. */
typedef void operation_done_fn(struct operation *operation, const struct store_result *result,
                               int64_t now_us);

/* What earlier operations of the same tenure may have left. */
struct operation_trace {
    int64_t lapses_us;  /* the last moment at which something sent may be in force; 0: none is */
    int64_t strays_us;  /* the last moment at which something sent and unanswered may run; 0: none
                         */
    bool may_be_queued; /* an ACQUIRE may have left our entry in the queue */
};

struct operation {
    struct store_op op;  /* fill in before operation_start; see store.h. wants_queue of a RELEASE
                            is filled in here */
    int64_t deadline_us; /* nobody waits for the answer after this; CLOCK_NEVER for none */
    operation_done_fn *on_done;

    /* Private. */
    struct store *store;
    struct wheel *wheel;
    struct timer retry; /* the next attempt, or the end of the running one */
    struct operation_trace trace;
    bool is_running;
    bool is_unsettled; /* an attempt since the start has an unknown outcome */
    bool is_stopping;  /* the answer under way is the last */
    bool is_undoing;   /* started by operation_undo */
};

/* The last moment at which what a confirmed command set may be in force, if it left at `sent_us`
 * and gave the key a life of `life_ms`. Pure. */
int64_t operation_life_ends_us(int64_t sent_us, int64_t life_ms);

/* Prepares an idle operation with no trace of earlier ones; that of one that is no more may be put
 * into it. `op` is the caller's to fill in. */
void operation_init(struct operation *operation, struct store *store, struct wheel *wheel,
                    operation_done_fn *on_done);

/* Starts an idle operation. `in_force_until_us` is when everything sent elsewhere for the same
 * tenure must have lapsed: 0 where this operation sent all of it. */
void operation_start(struct operation *operation, int64_t in_force_until_us, int64_t now_us);

bool operation_is_running(const struct operation *operation);

/* Stops an operation unless an attempt of it is at the store. True: it is idle, on_done will not be
 * called, and operation_lapses_us tells whether earlier attempts may have left something. False:
 * on_done follows with the answer under way, whatever its code, and nothing is asked again.
 * Harmless on an idle one (true). */
NODISCARD bool operation_stop(struct operation *operation);

/* Makes sure that nothing which an idle ACQUIRE, RENEW, RESUME or RELEASE may have left stays in
 * force: releases at once, again when the last unanswered attempt must have run, and calls on_done
 * when that is settled; with op.keeps_lock a grant stays. False: nothing is in force that is to go,
 * nothing was started. */
NODISCARD bool operation_undo(struct operation *operation, int64_t now_us);

/* The last moment at which what this operation sent may be in force; 0 when nothing is. Valid in
 * on_done and later. */
int64_t operation_lapses_us(const struct operation *operation);

#endif
