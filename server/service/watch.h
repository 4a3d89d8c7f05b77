/* SPDX-License-Identifier: Apache-2.0 */
/* The Watch stream: who holds a lock, and again whenever that changes. */
#ifndef HOLDFAST_SERVICE_WATCH_H
#define HOLDFAST_SERVICE_WATCH_H

#include "wire/call.h"

#include <holdfast/v1/locks.pb-c.h>

/* Serves the stream until it is cancelled, or half-closed after its first event. The request is
 * checked. May end the call. */
void watch_lock(struct call *call, const Holdfast__V1__WatchRequest *request);

#endif
