/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One simulated world: a model Redis, some sidecars with the real lease core, random clients and
 * random faults, all in simulated time. Faults stop after a while; then everything must settle.
 *
 * Worlds with an even seed make Redis forget (restart empty, failover to a stale replica, operators
 * deleting keys); those with an odd seed have pauses, cut connections, lost answers, late commands
 * and clock jumps. Both have killed sidecars and foreign holders. In one world of two some clients
 * are connections that ask for several locks at once, and one after the other.
 */
#ifndef SIM_WORLD_H
#define SIM_WORLD_H

#include "base/compiler.h"
#include "sim_agenda.h"
#include "sim_checker.h"
#include "sim_client.h"
#include "sim_connection.h"
#include "sim_mistakes.h"
#include "sim_random.h"
#include "sim_redis.h"
#include "sim_sidecar.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define WORLD_MS       ((int64_t)1000)
#define WORLD_S        ((int64_t)1000000)
#define WORLD_SIDECARS 4
#define WORLD_PROBLEM  256

struct world_config {
    uint64_t seed;
    uint64_t steps; /* client requests before the faults stop; 0: as many as fit */
    enum mistake mistake;
    bool is_verbose;
};

struct world {
    struct world_config config;
    struct sim_random random;
    struct agenda agenda;
    int64_t now_us; /* true time */
    struct sim_redis redis;
    struct sim_checker checker;
    struct sidecar *sidecars[WORLD_SIDECARS]; /* alive; a killed one is replaced */
    size_t sidecar_count;
    struct sidecar_list graveyard;
    struct client_list clients; /* waiting for an answer or holding */
    struct client_list holding; /* of these, those who may believe to hold their lock */
    struct client_list gone;    /* the others */
    size_t client_count;
    size_t present;                     /* of these, not gone */
    struct connection_list connections; /* open */
    struct connection_list closed;
    size_t connection_count;
    uint64_t asked; /* counts questions */
    uint64_t requests;
    bool forgets;          /* an even seed */
    bool is_calm;          /* no faults any more */
    bool is_closing;       /* no new requests any more */
    int64_t calm_since_us; /* CLOCK_NEVER before */
    int loss_permille;
    bool is_contended;      /* most clients want one lock, and for a short time */
    int64_t request_gap_us; /* mean time between client requests */
    int64_t hold_us;        /* most hold their lock no longer than this; */
    int64_t long_us;        /* the others, longer */
    int long_permille;
    int64_t pause_ms;             /* longest grace and lock delay */
    int64_t fault_gap_us;         /* longest time between faults */
    int64_t try_percent;          /* how many do not wait */
    int64_t release_percent;      /* how many give back in order what they hold */
    int connection_permille;      /* how many requests are connections that ask for bundles */
    int shared_permille;          /* how many share their lock, */
    uint32_t limits[REDIS_LOCKS]; /* and with how many at most; 0: any number */
    char problem[WORLD_PROBLEM];  /* the first violation; empty: none */
};

void world_init(struct world *world, const struct world_config *config);

void world_release(struct world *world);

/* Runs to the end or to the first violation. True when there was none. */
bool world_run(struct world *world);

/* Runs `run` after `delay_us` of true time. */
void world_after(struct world *world, int64_t delay_us, agenda_fn *run, void *user,
                 uint64_t number);

struct sidecar *world_random_sidecar(struct world *world);

/* The sidecar of that number, killed or not; NULL: there is none. */
struct sidecar *world_find_sidecar(struct world *world, unsigned number);

/* The name of a lock, and of an event. Static text. */
const char *world_key(size_t lock);
const char *world_event_name(enum lease_event event);

/* Kills a sidecar; a new one takes its place. */
void world_replace_sidecar(struct world *world, size_t at);

/* How many leases its sidecars granted in memory. */
uint64_t world_handed_on(const struct world *world);

/* The time a message takes from one process to another. */
int64_t world_latency_us(struct world *world);

/* A line of the story, with --verbose. */
PRINTF_LIKE(2, 3) void world_trace(const struct world *world, const char *format, ...);

/* Records the first violation; the run ends after the current event. */
PRINTF_LIKE(2, 3) void world_violation(struct world *world, const char *format, ...);

#endif
