/* SPDX-License-Identifier: Apache-2.0 */
/* A connection to one sidecar that asks for bundles of locks, one after the other, also while it
 * holds some, in any order; gives them back or drops; and does one thing at a time, so that a
 * circle of connections is a deadlock. */
#ifndef SIM_CONNECTION_H
#define SIM_CONNECTION_H

#include "lease/party.h"
#include "sim_bundle.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#define CONNECTION_BUNDLES 4
#define CONNECTION_NAME    24

struct sidecar;
struct world;

LIST_HEAD(connection_list, connection);

struct connection {
    LIST_ENTRY(connection) link;
    struct world *world;
    struct sidecar *sidecar;
    unsigned number;
    char name[CONNECTION_NAME];
    struct lease_party party;
    struct bundle bundles[CONNECTION_BUNDLES];
    size_t count; /* of bundles asked for so far */
    size_t wanted;
    uint64_t acts; /* the number of the valid plan */
    bool is_open;
    bool has_asked; /* since the checker looked for circles */
};

/* A new connection with random wishes. */
void connection_create(struct world *world);

/* The sidecar is being killed, and all connections to it with it. */
void connection_end_all(struct world *world, const struct sidecar *sidecar);

/* What the sidecar has done for its connections since they were looked at. */
void connection_look_all(struct sidecar *sidecar);

/* One of its bundles was granted, or is DONE. */
void connection_on_granted(struct connection *connection, struct bundle *bundle);
void connection_on_end(struct connection *connection, bool is_deadlock);

void connection_destroy(struct connection *connection);

#endif
