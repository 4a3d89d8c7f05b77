/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An errand asks the store one thing that leaves no lease in this server's memory: to renew or
 * release a detached lease, or to inspect a lock. A detached lease uses its token as its
 * tenure, which is what lets any server renew or release it, also after a restart.
 */
#ifndef HOLDFAST_LEASE_ERRAND_H
#define HOLDFAST_LEASE_ERRAND_H

#include "base/compiler.h"
#include "lease/keeper.h"
#include "lease/store.h"

#include <stdint.h>

struct errand;

struct errand_ask {
    enum store_verb verb; /* RENEW, RELEASE or INSPECT */
    const char *key;
    size_t key_length;   /* 1 to LEASE_KEY_MAX */
    int64_t ttl_ms;      /* RENEW */
    struct id128 token;  /* all but INSPECT */
    int64_t deadline_us; /* nobody waits for the answer after this; CLOCK_NEVER for none */
};

/* Called once per errand, never from inside errand_start; the errand is gone when it returns.
 * `result` is settled: OK, NOT_HELD, WRONG_TYPE or UNAVAILABLE. */
typedef void errand_done_fn(void *user, const struct store_result *result, int64_t now_us);

/* Starts an errand; the keeper owns it. Arguments are copied. NULL when the keeper's limit of
 * leases is reached (a running errand counts as one). */
NODISCARD struct errand *errand_start(struct keeper *keeper, const struct errand_ask *ask,
                                      errand_done_fn *on_done, void *user, int64_t now_us);

/* Nobody waits any more: on_done will not be called, the pointer is dead. */
void errand_abandon(struct errand *errand, int64_t now_us);

#endif
