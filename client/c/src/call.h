/* SPDX-License-Identifier: Apache-2.0 */
/* Calls of any method with messages of the application's own: struct holdfast_call. */
#ifndef HOLDFAST_CLIENT_CALL_H
#define HOLDFAST_CLIENT_CALL_H

#include "client.h"

#include <holdfast/holdfast.h>

/* See holdfast_async_call. */
struct holdfast_call *call_start(struct holdfast_async *client, const struct holdfast_call_ask *ask,
                                 const struct holdfast_call_events *events);

/* Detaches every call of a client that is being closed; nothing is told any more. */
void call_close_all(struct holdfast_async *client);

#endif
