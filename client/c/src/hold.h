/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One Hold stream: asks, keeps the lease alive with pings, notices its end, gives it up.
 *
 * A lease with a grace outlives its connection: the hold then resumes it on the next one, and only
 * when that fails is it lost.
 *
 * The lease's deadline counts from the moment a ping was sent. It is looked at before anything the
 * server says, so a process that was stopped believes no answer that waited for it meanwhile.
 */
#ifndef HOLDFAST_CLIENT_HOLD_H
#define HOLDFAST_CLIENT_HOLD_H

#include "ask.h"
#include "base/id128.h"
#include "client.h"
#include "request.h"

#include <holdfast/holdfast.h>

/* Asks for a lock, or with `token` for the lease of that token; `callback` is a CALLBACK_LEASE. The
 * ask is within its bounds. Returns the request's id. */
uint64_t hold_start(struct holdfast_async *client, const struct holdfast_ask *ask,
                    const struct id128 *token, const struct callback *callback);

/* Gives the lease up and answers when the server has let go of the lock. */
void hold_release(struct hold *hold, const struct callback *callback);

/* Asks the server how long the lease is valid, and answers when the lease knows. */
void hold_renew(struct hold *hold, const struct callback *callback);

/* Gives the lease up without waiting, and tells the application nothing any more. A release that is
 * under way goes on. */
void hold_abandon(struct hold *hold);

/* The client is being closed: ends all holds, silently but for open requests. */
void hold_close_all(struct holdfast_async *client);

#endif
