/* SPDX-License-Identifier: Apache-2.0 */
/* Several locks that a connection asks for at once, all or none. Each is a client of its own in the
 * world's lists, of kind MEMBER, so that all that holds for a lease holds for it, too. */
#ifndef SIM_BUNDLE_H
#define SIM_BUNDLE_H

#include "lease/group.h"
#include "sim_redis.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct client;
struct connection;
struct lease;

enum bundle_state {
    BUNDLE_ASKING,
    BUNDLE_HOLDING,
    BUNDLE_RELEASING,
    BUNDLE_DONE,
};

struct bundle {
    struct connection *connection;
    struct group locks;
    struct group *group; /* `locks`; NULL when it must not be used any more */
    enum bundle_state state;
    bool is_at_risk;
    size_t count;
    struct client *members[REDIS_LOCKS]; /* in the order of their locks */
};

/* What a bundle asks for besides locks. */
struct bundle_terms {
    bool wants[REDIS_LOCKS]; /* at least one */
    enum store_mode mode;
    uint32_t limit;
    int64_t ttl_ms;
    int64_t wait_us; /* as a client's */
    int64_t patience_us;
    uint32_t grace_ms;
    uint32_t lock_delay_ms;
    uint32_t max_hold_ms;
};

/* Asks, within a turn of the sidecar. It may be refused at once, and DONE. */
void bundle_ask(struct bundle *bundle, struct connection *connection,
                const struct bundle_terms *terms);

/* Gives back what it holds. Within a turn, like these: */
void bundle_release(struct bundle *bundle);

/* Gives it up without a word, in any state but DONE; or leaves it as a connection that is gone. */
void bundle_drop(struct bundle *bundle);
void bundle_abandon(struct bundle *bundle);

/* The lease of one of its locks; NULL when there is none. */
const struct lease *bundle_lease(const struct bundle *bundle, size_t index);

/* The first of its locks that has been asked for since it was looked at, or NULL. */
struct client *bundle_news(const struct bundle *bundle);

/* What has become of its locks since it was looked at. */
void bundle_look(struct bundle *bundle);

#endif
