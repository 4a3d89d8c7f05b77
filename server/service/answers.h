/* SPDX-License-Identifier: Apache-2.0 */
/* From the lease core's terms to the messages of locks.proto, and the refusals all methods share.
 */
#ifndef HOLDFAST_SERVICE_ANSWERS_H
#define HOLDFAST_SERVICE_ANSWERS_H

#include "lease/lease.h"
#include "lease/store.h"
#include "wire/call.h"

#include <holdfast/v1/locks.pb-c.h>
#include <stdbool.h>
#include <stdint.h>

/* A Lease message with the memory it points at. Not to be copied. */
struct lease_answer {
    Holdfast__V1__Lease message;
    struct id128 token;
    char key[LEASE_KEY_MAX + 1];
};

/* Describes a lease of this server as it stands now. */
void lease_answer_init(struct lease_answer *answer, const struct lease *lease, int64_t now_us);

/* A Holder message with the memory it points at. Not to be copied. */
struct holder_answer {
    Holdfast__V1__Holder message;
    char label[LEASE_LABEL_MAX + 1];
};

/* Describes who holds a lock. What is in Redis may be anybody's, so a label that is not UTF-8 is
 * made to be, and one that is too long is cut. */
void holder_answer_init(struct holder_answer *answer, const struct store_holder *holder);

/* Whole milliseconds from now to `deadline_us`, rounded down; 0 when it has passed. */
uint32_t answer_valid_for_ms(int64_t deadline_us, int64_t now_us);

/* Ends a Release call. */
void answer_release(struct call *call, bool was_released);

/* Ends a call whose operation came to WRONG_TYPE or UNAVAILABLE. */
void answer_store_failure(struct call *call, const struct store_result *result, int64_t now_us);

/* Ends a call for which the keeper has no room (option max-leases). */
void answer_leases_limit(struct call *call);

#endif
