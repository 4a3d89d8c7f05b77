/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One Watch stream, begun again on every new connection. What has changed while the application's
 * callback was not run yet is told as one state, the last.
 */
#ifndef HOLDFAST_CLIENT_WATCH_H
#define HOLDFAST_CLIENT_WATCH_H

#include "client.h"

#include <holdfast/holdfast.h>

/* A bad key, or too many watches, are told by the callback. The application stops it. */
struct holdfast_watch *watch_start(struct holdfast_async *client, const char *key,
                                   holdfast_watch_fn *on_state, void *user);

/* The client is being closed: its watches tell nothing any more. */
void watch_close_all(struct holdfast_async *client);

#endif
