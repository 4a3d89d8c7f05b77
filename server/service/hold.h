/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The Hold stream: a lease that lives as long as the stream.
 *
 *   ASKING --granted--> HELD --half-close or Release--> RELEASING --> end
 *
 * BUSY, LOST, RELEASED and a missed heartbeat end the stream with an event and status OK, and so
 * does a half-close while it waits. A cancelled stream abandons the lease (which is kept for its
 * grace), a passed deadline revokes it.
 */
#ifndef HOLDFAST_SERVICE_HOLD_H
#define HOLDFAST_SERVICE_HOLD_H

#include "wire/call.h"

#include <holdfast/v1/locks.pb-c.h>

/* One message of a Hold stream, the first one included. May end the call. */
void hold_message(struct call *call, const Holdfast__V1__HoldRequest *request);

#endif
