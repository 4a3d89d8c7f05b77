/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Acquire and Resume of leases that are bound to their connection. Both wait for the keeper's
 * verdict and leave the lease with the session.
 */
#ifndef HOLDFAST_SERVICE_ACQUIRE_H
#define HOLDFAST_SERVICE_ACQUIRE_H

#include "service/ask.h"
#include "wire/call.h"

/* Each ends the call later, or at once when the keeper refuses to begin. */
void acquire_bound(struct call *call, const struct ask *ask);
void acquire_resumed(struct call *call, const struct ask *ask);

#endif
