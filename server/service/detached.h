/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Calls about leases that no connection owns, and Inspect: Acquire, Renew and Release of detached
 * leases. Requests are checked by the caller and live in their call's arena.
 */
#ifndef HOLDFAST_SERVICE_DETACHED_H
#define HOLDFAST_SERVICE_DETACHED_H

#include "base/id128.h"
#include "lease/lease.h"
#include "wire/call.h"

#include <holdfast/v1/locks.pb-c.h>
#include <stdint.h>

/* Each ends the call later, or at once when a limit is reached. `ttl_ms` is
 * not 0. */
void detached_acquire(struct call *call, const struct lease_ask *ask);
void detached_renew(struct call *call, const Holdfast__V1__RenewRequest *request,
                    const struct id128 *token, int64_t ttl_ms);
void detached_release(struct call *call, const Holdfast__V1__ReleaseRequest *request,
                      const struct id128 *token);
void detached_inspect(struct call *call, const Holdfast__V1__InspectRequest *request);

#endif
