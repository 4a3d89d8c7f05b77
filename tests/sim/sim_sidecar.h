/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One sidecar process: the real keeper on the real wheel, with a clock that drifts. What happens to
 * it happens in turns: timers, then the event, then everything submitted is sent. While it is
 * stopped nothing runs, but its clock goes on.
 */
#ifndef SIM_SIDECAR_H
#define SIM_SIDECAR_H

#include "base/metrics.h"
#include "base/wheel.h"
#include "lease/keeper.h"
#include "sim_agenda.h"
#include "sim_hints.h"
#include "sim_store.h"
#include "sim_watch.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

struct world;
struct sidecar;

LIST_HEAD(sidecar_list, sidecar);

struct sidecar {
    LIST_ENTRY(sidecar) link; /* in the graveyard */
    struct world *world;
    unsigned number; /* from 1 on */
    bool is_alive;
    bool reads_first; /* looks at answers before timers: the core must stand that, too */
    int64_t stopped_until_us;
    int64_t clock_base_us;
    int64_t drift_ppm;
    uint64_t wakes; /* the number of the valid wake-up */
    struct wheel *wheel;
    struct metrics metrics;
    struct keeper *keeper;
    bool finds_deadlocks;
    bool has_room; /* no limit of leases or waiters that is worth the name */
    struct sim_store store;
    struct sim_hints hints;
    struct sim_watch watches[REDIS_LOCKS];
};

struct sidecar *sidecar_create(struct world *world, unsigned number);

/* SIGKILL. Its clients are gone with it; the struct stays for what is still under way. */
void sidecar_kill(struct sidecar *sidecar);

/* How many watches its keeper has. */
size_t sidecar_watches(const struct sidecar *sidecar);

/* Frees a killed sidecar. */
void sidecar_destroy(struct sidecar *sidecar);

/* Its clock. */
int64_t sidecar_now_us(const struct sidecar *sidecar);

/* The first true moment at which its clock shows `local_us`. */
int64_t sidecar_true_us(const struct sidecar *sidecar, int64_t local_us);

/* Whether an event of this sidecar may run now. False: it is dead, or stopped; then `run` has been
 * put off until it wakes. */
bool sidecar_can_run(struct sidecar *sidecar, agenda_fn *run, void *user, uint64_t number);

bool sidecar_is_stopped(const struct sidecar *sidecar);

void sidecar_begin_turn(struct sidecar *sidecar);

void sidecar_end_turn(struct sidecar *sidecar);

#endif
