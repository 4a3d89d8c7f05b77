/* SPDX-License-Identifier: Apache-2.0 */
/* A random client: asks a sidecar for one thing, holds what it gets for a while, gives it back or
 * drops it; and what it believes meanwhile. */
#ifndef SIM_CLIENT_H
#define SIM_CLIENT_H

#include "base/id128.h"
#include "lease/errand.h"
#include "lease/lease.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

struct sidecar;
struct world;
struct client;

LIST_HEAD(client_list, client);

enum client_kind {
    CLIENT_LEASE,    /* a lease bound to a connection */
    CLIENT_DETACHED, /* a detached lease, through any sidecar */
    CLIENT_INSPECT,
};

enum client_state { CLIENT_ASKING, CLIENT_HOLDING, CLIENT_RELEASING, CLIENT_DONE };

struct client {
    LIST_ENTRY(client) link;
    struct world *world;
    struct sidecar *sidecar; /* the one it talks to now */
    unsigned number;
    enum client_kind kind;
    enum client_state state;
    size_t lock;
    char key[8];
    int64_t ttl_ms;
    struct id128 tenure; /* what the store knows it by */
    uint64_t fence;
    int64_t granted_us; /* true time */
    bool is_probe;      /* must get what it asks for */

    struct lease_holder holder; /* LEASE */
    struct lease *lease;        /* NULL when it must not be used any more */
    bool is_at_risk;
    int64_t deadline_us; /* as last seen by the checker, by the sidecar's clock */

    struct errand *errand;     /* DETACHED, INSPECT: the one under way */
    uint64_t errands;          /* counts them */
    bool may_be_retried;       /* DETACHED */
    int64_t believed_until_us; /* DETACHED, HOLDING: true time */
    int tries;
};

/* A new client with a random wish. */
void client_create(struct world *world);

/* A client that tries to take `lock` through `sidecar` when nothing is in its way. */
void client_create_probe(struct world *world, struct sidecar *sidecar, size_t lock);

/* The sidecar was killed: its clients see their connections close. */
void client_end_all(struct world *world, struct sidecar *sidecar);

/* Whether it believes to hold its lock, by the deadline it was told. */
bool client_is_valid(const struct client *client);

void client_destroy(struct client *client);

#endif
