/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a request asks for, checked and in the lease core's terms. The messages Acquire, Hold and
 * Resume bring the same terms under the same names, in types of their own.
 */
#ifndef HOLDFAST_SERVICE_ASK_H
#define HOLDFAST_SERVICE_ASK_H

#include "base/compiler.h"
#include "base/id128.h"
#include "lease/group.h"
#include "lease/lease.h"
#include "service/fields.h"
#include "wire/call.h"

#include <holdfast/v1/locks.pb-c.h>
#include <stdbool.h>
#include <stddef.h>

/* Not to be copied: `lease` points into it, and at the request it was made from. */
struct ask {
    struct lease_ask lease; /* `key` is the first name's */
    struct group_name names[GROUP_SIZE_MAX];
    size_t count; /* of names; at least 1 */
    struct id128 token;
    bool is_resume; /* lease.token names the lease to take over */
};

/* Each fills *ask for `call`, whose deadline and session it takes over. False: `problem` names the
 * field and the bound. */
NODISCARD bool ask_from_acquire(struct ask *ask, const Holdfast__V1__AcquireRequest *request,
                                struct call *call, char problem[FIELDS_PROBLEM_SIZE]);
NODISCARD bool ask_from_hold(struct ask *ask, const Holdfast__V1__HoldAsk *request,
                             struct call *call, char problem[FIELDS_PROBLEM_SIZE]);
NODISCARD bool ask_from_resume(struct ask *ask, const Holdfast__V1__ResumeRequest *request,
                               struct call *call, char problem[FIELDS_PROBLEM_SIZE]);

/* The ask of a Release for a lease that has no holder: it takes it over to give it back. */
void ask_from_release(struct ask *ask, const char *key, const struct id128 *token,
                      struct call *call);

#endif
