/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Name resolution that never blocks the loop: getaddrinfo in a thread of its own, so names resolve
 * exactly as for every other program of the system.
 */
#ifndef HOLDFAST_CLIENT_LOOKUP_H
#define HOLDFAST_CLIENT_LOOKUP_H

#include "base/compiler.h"

struct addrinfo;
struct event_base;
struct lookup;

/* `list` is the receiver's, to be freed with freeaddrinfo; NULL when `error` (static text) says
 * why. The lookup is over and freed. */
typedef void lookup_fn(struct addrinfo *list, const char *error, void *user);

/* Starts a lookup; NULL when there is no thread or descriptor for it. Never calls back before
 * returning. */
NODISCARD struct lookup *lookup_start(struct event_base *base, const char *host, const char *port,
                                      lookup_fn *on_done, void *user);

/* Ends it without an answer. The thread finishes by itself. */
void lookup_cancel(struct lookup *lookup);

#endif
