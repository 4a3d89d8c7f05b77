/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A load on one server: many connections, on each of which some workers take and give up locks, and
 * how long that took them. It connects, runs until its time or count is up or it is told to stop,
 * and then gives up all it holds before it says that it has ended.
 *
 * With a rate, each operation has a moment at which it ought to start; its duration counts from
 * there, however late a worker is free for it. Without one it counts from its real start.
 */
#ifndef HOLDFAST_CLI_LOAD_H
#define HOLDFAST_CLI_LOAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include <holdfast/holdfast.h>

#include "histogram.h"

#define LOAD_CONNECTIONS_MAX 20000
#define LOAD_DEPTH_MAX       100000
#define LOAD_WORKERS_MAX     1000000

struct event;
struct session;
struct load;
struct load_worker;

enum load_mix {
    LOAD_PAIRS, /* each worker takes and gives up a lock of its own */
    LOAD_HOT,   /* all take the same lock, waiting for it, and give it up at once */
    LOAD_HOLD,  /* each takes a lock of its own once, and keeps it to the end */
};

struct load_plan {
    enum load_mix mix;
    size_t connections;
    size_t depth;        /* workers on each */
    int64_t duration_us; /* of LOAD_HOLD: from when all are held */
    uint64_t count;      /* of operations; 0: any number */
    uint64_t rate;       /* operations a second; 0: as fast as they are answered */
};

TAILQ_HEAD(load_queue, load_worker);

enum load_state {
    LOAD_CONNECTING,
    LOAD_RUNNING,
    LOAD_ENDING, /* gives up what it has */
    LOAD_ENDED,
};

struct load {
    struct load_plan plan;
    struct session *session;
    enum load_state state;
    void (*on_end)(struct load *load);

    struct holdfast_async **connections; /* the first was the session's */
    size_t opened;
    size_t connected;
    struct load_worker *workers;
    size_t worker_count;
    struct load_queue ready; /* free for an operation, longest first */
    size_t busy;             /* an answer is due, or a lock held */
    struct event *pace;      /* when the next operation ought to start */
    struct event *end;
    char prefix[32]; /* of the keys, unlike that of any other run */

    int64_t started_us;
    int64_t all_held_us; /* LOAD_HOLD; 0: not yet */
    int64_t ended_us;
    uint64_t started;    /* operations */
    uint64_t operations; /* done: pairs, or leases taken */
    uint64_t at_risk;
    uint64_t lost;
    struct histogram acquire;
    struct histogram release;

    enum holdfast_result failure; /* what ended it early; HOLDFAST_OK: nothing */
    char error[HOLDFAST_ERROR_SIZE];
};

/* Starts to connect. `on_end` runs once, from the session's loop. False after reporting why. Must
 * not move; close it either way. */
bool load_open(struct load *load, struct session *session, const struct load_plan *plan,
               void (*on_end)(struct load *load));

/* No more operations; harmless when that is so already. */
void load_stop(struct load *load);

/* Microseconds of LOAD_RUNNING so far, or in all. */
int64_t load_elapsed_us(const struct load *load);

/* Operations that ought to have started before the end and did not. */
uint64_t load_behind(const struct load *load);

/* Closes the connections, with what is still held, and frees. The session has none any more. */
void load_close(struct load *load);

#endif
