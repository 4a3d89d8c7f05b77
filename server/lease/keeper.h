/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The keeper: every lease of this server, by lock name; queues who waits, hands on what is given
 * back, renews, loses in time, and settles what is left behind. The lease core's front door. It
 * knows no socket, no Redis and no clock: time is a parameter and the world is a store.
 */
#ifndef HOLDFAST_LEASE_KEEPER_H
#define HOLDFAST_LEASE_KEEPER_H

#include "base/compiler.h"
#include "base/metrics.h"
#include "base/wheel.h"
#include "lease/lease.h"
#include "lease/store.h"

#include <stddef.h>
#include <stdint.h>

struct keeper;

struct keeper_config {
    size_t leases_max;  /* option max-leases: held, waiting, being acquired or being settled */
    size_t waiters_max; /* option max-waiters: waiting for one lock */
    uint32_t handoff_run_max; /* option handoff-run-max: grants in a row here while another server
                                 waits; 1 is strict fairness */
    int64_t handoff_run_ms;   /* option handoff-run: likewise, counted from the first of the run */
    bool finds_deadlocks;     /* option deadlock-check */
};

/* A keeper on `store` (whose listener it becomes), with timers on `wheel`. All three outlive it. */
struct keeper *keeper_create(const struct keeper_config *config, struct store *store,
                             struct wheel *wheel, struct metrics *metrics);

/* Frees everything without a word to the store, which must be destroyed before, so that no
 * operation of ours is touched any more. No lease may have a holder left. */
void keeper_destroy(struct keeper *keeper);

/* Why an ask is refused before anything is asked. */
enum keeper_refusal {
    KEEPER_LEASES_MAX,  /* leases_max is reached */
    KEEPER_WAITERS_MAX, /* waiters_max is reached for this lock */
    KEEPER_DEADLOCK,    /* waiting would close a cycle, which `text` spells out */
};

#define KEEPER_REFUSAL_SIZE ((size_t)512)

struct keeper_problem {
    enum keeper_refusal refusal;
    char text[KEEPER_REFUSAL_SIZE]; /* DEADLOCK; UTF-8 */
};

/* Asks for a lock for `holder`, which hears QUEUED, GRANTED or REFUSED later, never before this
 * returns. NULL, and why in `problem`, when it is refused. Arguments are copied. */
NODISCARD struct lease *keeper_acquire(struct keeper *keeper, const struct lease_ask *ask,
                                       struct lease_holder *holder, struct keeper_problem *problem,
                                       int64_t now_us);

/* Takes over the lease that somebody holds under ask->token, through this server or another, or
 * held through one that is no more. Always by a word of the store, for what is known here may be
 * out of date. Its label, value and mode come from there; ask->mode and the wait are not looked at.
 * A holder here hears LOST (RESUMED), then the new one GRANTED; or it hears REFUSED. NULL when
 * leases_max is reached. */
NODISCARD struct lease *keeper_resume(struct keeper *keeper, const struct lease_ask *ask,
                                      struct lease_holder *holder, struct keeper_problem *problem,
                                      int64_t now_us);

/* The lease that holds `key` under `token` here, HELD or ORPHANED, or NULL. */
struct lease *keeper_find(const struct keeper *keeper, const char *key, size_t key_length,
                          const struct id128 *token);

/* Leases held, waiting, being acquired or being settled, and errands. */
size_t keeper_count(const struct keeper *keeper);

/* Calls `visit` for every lease that is WAITING (in the order of their queue), HELD or ORPHANED,
 * lock by lock. It must not change anything. */
typedef void keeper_visit_fn(void *user, const struct lease *lease);
void keeper_visit(const struct keeper *keeper, keeper_visit_fn *visit, void *user);

#endif
