/* SPDX-License-Identifier: Apache-2.0 */
/* A keeper on a store that does nothing by itself: the test sends and answers every operation, and
 * moves the time. */
#ifndef LEASE_FIXTURE_H
#define LEASE_FIXTURE_H

#include "base/clock.h"
#include "base/metrics.h"
#include "base/wheel.h"
#include "lease/errand.h"
#include "lease/keeper.h"
#include "lease/lease.h"
#include "lease/store.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FIXTURE_START_US ((int64_t)1000000000)
#define FIXTURE_EVENTS   16
#define FIXTURE_LEASES   8
#define FIXTURE_WAITERS  4
#define FIXTURE_RUN_MAX  3
#define FIXTURE_RUN_MS   100

/* A holder that writes down what it hears. */
struct recorder {
    struct lease_holder holder;
    size_t count;
    struct lease_report reports[FIXTURE_EVENTS];
    struct store_result results[FIXTURE_EVENTS];
    void (*then)(struct lease *lease, int64_t now_us); /* what it does on GRANTED */
};

struct fixture {
    struct store store;
    struct store_op_list ops; /* queued and sent, in order of submission */
    size_t submitted;         /* counts submissions */
    struct wheel *wheel;
    struct metrics metrics;
    struct keeper *keeper;
    struct recorder recorder;
    int watches; /* store_watch less store_unwatch */
    int64_t now_us;
};

int fixture_setup(void **state);

/* Drops what the store still has and destroys the keeper. */
int fixture_teardown(void **state);

/* Lets time pass, firing timers on the way as they come due. */
void fixture_pass(struct fixture *fixture, int64_t time_us);

/* The only operation the store has; fails the test when there is none or more. */
struct store_op *fixture_only_op(struct fixture *fixture);

size_t fixture_op_count(const struct fixture *fixture);

/* Sends an operation: it cannot be withdrawn any more. */
void fixture_send(struct store_op *op);

/* Answers an operation, sent now or before, as if it had left `age_us` ago. */
void fixture_answer(struct fixture *fixture, struct store_op *op, enum store_code code,
                    int64_t age_us);

/* Likewise, with any result; sent_us is filled in. */
void fixture_answer_with(struct fixture *fixture, struct store_op *op, struct store_result result,
                         int64_t age_us);

/* Asks for lock "k" with the given ttl, for the recorder. */
struct lease *fixture_acquire(struct fixture *fixture, int64_t ttl_ms);

/* The same, and the store grants it at once with fence 7. */
struct lease *fixture_hold(struct fixture *fixture, int64_t ttl_ms);

/* A recorder that has heard nothing. */
void fixture_recorder_init(struct recorder *recorder);

/* What most waiters ask for: "k", exclusively, for 3 s, for ever. */
struct lease_ask fixture_ask(void);

/* Asks as told, for this recorder. */
struct lease *fixture_ask_for(struct fixture *fixture, const struct lease_ask *ask,
                              struct recorder *recorder);

/* The op of this verb; fails the test unless there is exactly one. */
struct store_op *fixture_op(struct fixture *fixture, enum store_verb verb);

/* Lets what is due now happen. */
void fixture_turn(struct fixture *fixture);

/* The last event that this recorder heard; fails the test unless it heard `count` in all. */
const struct lease_report *recorder_heard(const struct recorder *recorder, size_t count);

/* The last event that the recorder heard; fails the test unless it heard `count` in all. */
const struct lease_report *fixture_heard(struct fixture *fixture, size_t count);

#endif
