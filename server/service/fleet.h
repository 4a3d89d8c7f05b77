/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The locks that the store has, whoever holds them: one step of a scan finds names, and every name
 * found is inspected. The scan is a port, so that this floor knows no Redis.
 */
#ifndef HOLDFAST_SERVICE_FLEET_H
#define HOLDFAST_SERVICE_FLEET_H

#include "wire/call.h"

#include <holdfast/v1/admin.pb-c.h>
#include <stddef.h>
#include <stdint.h>

struct fleet_name {
    const char *text; /* not NUL-terminated */
    size_t length;    /* 1 to LEASE_KEY_MAX */
};

/* What one step found. */
struct fleet_step {
    const char *problem; /* NULL, or a sentence: why there is no answer */
    uint64_t cursor;     /* to go on with; 0: that was the last step */
    const struct fleet_name *names;
    size_t count; /* may be 0 before the last step, too */
};

/* Called once for each scan that is started and not cancelled, never from inside `start`.
 * Everything in `step` is valid only during the call. */
typedef void fleet_step_fn(void *user, const struct fleet_step *step, int64_t now_us);

/* Where the names come from. */
struct fleet_source {
    /* Looks at about `count` keys from `cursor` on (0: the start) for locks whose names begin with
     * `prefix`. NULL when too many look at the same time. */
    void *(*start)(void *user, const char *prefix, size_t prefix_length, uint64_t cursor,
                   size_t count, fleet_step_fn *on_step, void *step_user);
    void (*cancel)(void *scan);
    void *user;
};

/* Ends the call later with the locks that the next step finds, or at once when a limit is reached.
 * The request is checked; its page_token is `cursor`. */
void fleet_answer(struct call *call, const Holdfast__V1__ListLocksRequest *request, uint64_t cursor,
                  size_t page_size);

#endif
