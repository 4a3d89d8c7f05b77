/* SPDX-License-Identifier: Apache-2.0 */
/* A random client: asks a sidecar for one thing, waits for it or not, holds what it gets for a
 * while, gives it back, drops it, or goes away and comes back; and what it believes meanwhile. */
#ifndef SIM_CLIENT_H
#define SIM_CLIENT_H

#include "base/id128.h"
#include "lease/errand.h"
#include "lease/lease.h"
#include "lease/party.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

struct bundle;
struct sidecar;
struct world;
struct client;

#define CLIENT_NAME 24

LIST_HEAD(client_list, client);

enum client_kind {
    CLIENT_LEASE,    /* a lease bound to a connection */
    CLIENT_DETACHED, /* a detached lease, through any sidecar */
    CLIENT_INSPECT,
    CLIENT_MEMBER, /* a lease in a bundle of its connection */
};

#define CLIENT_NOT_ASKED UINT64_MAX /* MEMBER: its turn has not come */

enum client_state {
    CLIENT_ASKING,
    CLIENT_HOLDING,
    CLIENT_AWAY,      /* LEASE: gone without a word, and may come back */
    CLIENT_RETURNING, /* LEASE: asks to resume it */
    CLIENT_RELEASING,
    CLIENT_DONE,
};

struct client {
    LIST_ENTRY(client) link;
    LIST_ENTRY(client) holding; /* while it may believe to hold its lock */
    struct world *world;
    struct sidecar *sidecar; /* the one it talks to now */
    unsigned number;
    enum client_kind kind;
    enum client_state state;
    bool is_listed; /* in world.holding */
    size_t lock;
    enum store_mode mode;
    uint32_t limit;
    int64_t ttl_ms;
    uint32_t grace_ms;
    uint32_t lock_delay_ms;
    uint32_t max_hold_ms;
    int64_t wait_us; /* 0: a try; CLOCK_NEVER: as long as it takes */
    struct id128 token;
    uint64_t fence;
    uint64_t holds;   /* counts the times it began to hold */
    uint64_t asked;   /* the order of asking */
    int64_t asked_us; /* true time, like these: */
    int64_t granted_us;
    int64_t believed_until_us; /* DETACHED, and while away */
    int64_t wait_until_us;     /* by its sidecar's clock; CLOCK_NEVER for ever */
    int64_t granted_local_us;  /* likewise */
    bool is_probe;             /* must get what it asks for */

    struct lease_holder holder; /* what its lease reports to */
    struct lease *lease;        /* NULL when it must not be used any more */
    struct lease_party party;
    char name[CLIENT_NAME]; /* the party's */
    bool is_at_risk;
    int64_t deadline_us; /* as last seen by the checker, by the sidecar's clock */

    struct errand *errand; /* DETACHED, INSPECT: the one under way */
    uint64_t errands;      /* counts them */
    bool may_be_retried;   /* DETACHED */
    int tries;

    const struct bundle *bundle; /* MEMBER: what it belongs to */
    size_t bundle_index;
};

/* A new client with a random wish. */
void client_create(struct world *world);

/* A client that tries to take `lock` through `sidecar` when nothing is in its way. */
void client_create_probe(struct world *world, struct sidecar *sidecar, size_t lock);

/* One lock of a bundle, for the caller to complete. */
struct client *client_create_member(struct sidecar *sidecar, size_t lock);

/* A member is asked for just now. */
void client_note_asked(struct client *client);

/* The sidecar was killed: its clients see their connections close. */
void client_end_all(struct world *world, struct sidecar *sidecar);

/* Its lease, or NULL. */
const struct lease *client_lease(const struct client *client);

/* Whether its lease is bound to a connection. */
bool client_is_bound(const struct client *client);

/* Whether it believes to hold its lock, by the deadline it was told. */
bool client_is_valid(const struct client *client);

/* Whether it waits for its lock in the queue of its sidecar. */
bool client_is_waiting(const struct client *client);

void client_destroy(struct client *client);

#endif
