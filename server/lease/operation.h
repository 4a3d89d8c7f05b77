/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An operation is a store_op brought to a settled end: asked again when the store says that it came
 * too late, that it is recovering, or when the answer was lost. What may have happened is never
 * reported as not having happened: an unknown outcome is settled by running the same idempotent
 * operation again, until the store answers or until nothing that was sent can still be in force.
 *
 *   OK, BUSY, NOT_HELD, WRONG_TYPE  settled; passed on
 *   EXPIRED                         asked again at once
 *   RECOVERING                      asked again when the window ends
 *   UNKNOWN                         asked again at once (the store waits until it can be reached)
 *   UNAVAILABLE                     RENEW, RELEASE, or an unsettled ACQUIRE: asked again after
 *                                   OPERATION_RETRY_US; else passed on
 *
 * An ACQUIRE or INSPECT that is certainly not in force ends with UNAVAILABLE once deadline_us has
 * passed. An unsettled ACQUIRE or RELEASE ends when the last thing sent must have lapsed: ACQUIRE
 * with UNAVAILABLE, RELEASE with NOT_HELD. A RENEW goes on until it is stopped.
 */
#ifndef HOLDFAST_LEASE_OPERATION_H
#define HOLDFAST_LEASE_OPERATION_H

#include "base/compiler.h"
#include "base/wheel.h"
#include "lease/store.h"

#include <stdbool.h>
#include <stdint.h>

#define OPERATION_RETRY_US ((int64_t)50000)

struct operation;

/* Called once per start with a settled result, never from inside operation_start. The operation may
 * be started anew or freed here. */
typedef void operation_done_fn(struct operation *operation, const struct store_result *result,
                               int64_t now_us);

struct operation {
    struct store_op op;  /* fill in before operation_start; see store.h */
    int64_t deadline_us; /* ACQUIRE, INSPECT: nobody waits for the answer after this */
    operation_done_fn *on_done;

    /* Private. */
    struct store *store;
    struct wheel *wheel;
    struct timer retry;
    int64_t lapses_us; /* the last moment at which something sent may be in force; 0: none is */
    bool is_running;
};

/* Prepares an idle operation. `late_us` elsewhere is the store's bound on late execution. */
void operation_init(struct operation *operation, struct store *store, struct wheel *wheel,
                    operation_done_fn *on_done);

/* Starts an idle operation. `in_force_until_us` is when everything sent earlier for the same tenure
 * must have lapsed: 0 for a fresh ACQUIRE or INSPECT, the lease's bound for RENEW and RELEASE. */
void operation_start(struct operation *operation, int64_t in_force_until_us, int64_t now_us);

bool operation_is_running(const struct operation *operation);

/* Stops a running operation if nothing of it is in flight or unsettled. True: stopped, on_done will
 * not be called. False: it goes on and on_done will be called. Harmless on an idle one (true). */
NODISCARD bool operation_stop(struct operation *operation);

/* The last moment at which what this operation sent may be in force; valid in on_done and later. */
int64_t operation_lapses_us(const struct operation *operation);

#endif
