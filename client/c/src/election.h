/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Standing for a lock for as long as the application wants: one hold after another.
 */
#ifndef HOLDFAST_CLIENT_ELECTION_H
#define HOLDFAST_CLIENT_ELECTION_H

#include "client.h"

#include <holdfast/holdfast.h>

/* What is wrong with `ask` is told by on_trouble. The application ends it. */
struct holdfast_election *election_start(struct holdfast_async *client,
                                         const struct holdfast_ask *ask,
                                         const struct holdfast_election_events *events);

/* The client is being closed: its elections tell nothing any more. */
void election_close_all(struct holdfast_async *client);

#endif
