/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What every service shares: the lease core below, the limits, and the method table. One instance
 * per process, made by the app.
 */
#ifndef HOLDFAST_SERVICE_SERVICES_H
#define HOLDFAST_SERVICE_SERVICES_H

#include "base/loop.h"
#include "base/metrics.h"
#include "lease/keeper.h"
#include "service/health.h"

#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

struct descriptors;
struct fleet_source;
struct pool;
struct release;
struct session;
TAILQ_HEAD(session_list, session);

struct services_config {
    int64_t default_ttl_ms;
    size_t sessions_max;              /* option max-connections */
    size_t calls_max;                 /* max-calls: in flight, all connections together */
    size_t session_calls_max;         /* max-calls-per-connection */
    size_t session_leases_max;        /* max-leases-per-connection */
    size_t message_bytes_max;         /* max-message-size: of one request message */
    size_t leases_max;                /* max-leases: the keeper's limit, for the refusal's text */
    size_t waiters_max;               /* max-waiters: likewise */
    const struct fleet_source *fleet; /* see service/fleet.h; outlives the services; may be NULL */
};

struct services {
    struct services_config config;
    struct loop *loop;
    struct keeper *keeper;
    struct metrics *metrics;
    size_t sessions;                  /* open now */
    struct session_list session_list; /* the oldest first */
    uint64_t last_session_id;
    size_t calls;                    /* in flight now */
    bool is_draining;                /* new leases are refused with UNAVAILABLE */
    struct health health;            /* see service/health.h */
    struct descriptors *descriptors; /* of the API: see service/descriptors.h */
    struct pool *bindings;           /* memory for them */
    struct release *releases;        /* leases being given back: see service/binding.h */
};

/* `config` is copied; the others outlive the services. Checks that every method of every .proto has
 * its row in the method table. */
void services_init(struct services *services, const struct services_config *config,
                   struct loop *loop, struct keeper *keeper, struct metrics *metrics);

/* Every session must be gone. */
void services_release(struct services *services);

/* The server shuts down: no new leases from now on, and whoever asks for its health hears of it. */
void services_drain(struct services *services);

#endif
