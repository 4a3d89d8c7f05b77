/* SPDX-License-Identifier: Apache-2.0 */
/* Release: gives a lease back, whoever keeps it. */
#ifndef HOLDFAST_SERVICE_RELEASE_H
#define HOLDFAST_SERVICE_RELEASE_H

#include "base/id128.h"
#include "wire/call.h"

#include <holdfast/v1/locks.pb-c.h>

/* Ends the call later, or at once when a limit is reached. The request is checked. */
void release_lease(struct call *call, const Holdfast__V1__ReleaseRequest *request,
                   const struct id128 *token);

#endif
