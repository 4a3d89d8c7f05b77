/* SPDX-License-Identifier: Apache-2.0 */
/* From the lease core's terms to the messages of locks.proto, and the refusals all methods share.
 */
#ifndef HOLDFAST_SERVICE_ANSWERS_H
#define HOLDFAST_SERVICE_ANSWERS_H

#include "lease/group.h"
#include "lease/keeper.h"
#include "lease/lease.h"
#include "lease/store.h"
#include "wire/call.h"

#include <holdfast/v1/locks.pb-c.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A Lease message with the memory it points at. Not to be copied. */
struct lease_answer {
    Holdfast__V1__Lease message;
    struct id128 token;
    char keys[GROUP_SIZE_MAX][LEASE_KEY_MAX + 1];
    Holdfast__V1__LockFence locks[GROUP_SIZE_MAX]; /* several locks only, like: */
    Holdfast__V1__LockFence *lock_pointers[GROUP_SIZE_MAX];
};

/* Describes what a group that is granted holds, as it stands now. */
void lease_answer_init(struct lease_answer *answer, const struct group *group, int64_t now_us);

/* Describes one lease that is granted, as it stands now. */
void lease_answer_init_one(struct lease_answer *answer, const struct lease *lease, int64_t now_us);

/* A Holder message with the memory it points at. Not to be copied. */
struct holder_answer {
    Holdfast__V1__Holder message;
    char label[LEASE_LABEL_MAX + 1];
    char key[LEASE_KEY_MAX + 1];
};

/* Describes who holds a lock, or that it is closed. The value stays the holder's memory. What is in
 * Redis may be anybody's, so a label that is not UTF-8 is made to be, and what is too long is cut.
 */
void holder_answer_init(struct holder_answer *answer, const struct store_holder *holder);

/* Likewise for the lock that `group` is told about; names it if there are several. */
void holder_answer_init_for(struct holder_answer *answer, const struct lease_report *report,
                            const struct group *group);

/* The message's word for a mode; UNSPECIFIED for STORE_ANY_MODE. */
Holdfast__V1__Mode answer_mode(enum store_mode mode);

/* Whole milliseconds from now to `deadline_us`, rounded down; 0 when it has passed. */
uint32_t answer_valid_for_ms(int64_t deadline_us, int64_t now_us);

/* Whole milliseconds of a holder's remaining time, rounded up; -1 for ever. */
int64_t answer_remaining_ms(int64_t remaining_us);

/* Ends a Release call. */
void answer_release(struct call *call, bool was_released);

/* Ends a call whose operation came to WRONG_TYPE or UNAVAILABLE. */
void answer_store_failure(struct call *call, const struct store_result *result, int64_t now_us);

/* Ends a call whose lease was refused (LEASE_EVENT_REFUSED) for anything but BUSY and NOT_HELD. */
void answer_refusal(struct call *call, const struct lease_report *report, int64_t now_us);

/* Ends a call that the keeper refuses to begin with. */
void answer_problem(struct call *call, const struct keeper_problem *problem);

/* Ends a call for which the keeper has no room (option max-leases). */
void answer_leases_limit(struct call *call);

/* Whether a refusal says that somebody else has the lock. */
bool answer_is_busy(const struct lease_report *report);

#endif
