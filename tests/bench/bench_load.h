/* SPDX-License-Identifier: Apache-2.0 */
/* What load is made, and what it came to. */
#ifndef HOLDFAST_TESTS_BENCH_LOAD_H
#define HOLDFAST_TESTS_BENCH_LOAD_H

#include <stddef.h>
#include <stdint.h>

#include "bench.h"
#include "histogram.h"

#define BENCH_SOCKETS_MAX 8

enum bench_mix {
    BENCH_PAIRS, /* each connection takes and gives up a lock of its own */
    BENCH_HOT,   /* all want one lock */
    BENCH_HOLD,  /* each takes many locks and keeps them */
};

struct bench_plan {
    const struct bench_protocol *protocol;
    enum bench_mix mix;
    const char *sockets[BENCH_SOCKETS_MAX]; /* connections are dealt out to them in turn */
    size_t socket_count;
    size_t connections;
    size_t leases; /* BENCH_HOLD: on each connection; 0: it is idle */
    int64_t duration_us;
    /* Pairs, or leases taken, a second by the clock; 0: the next when one is done. */
    uint64_t rate;
    uint32_t poll_ms; /* BENCH_HOT straight to Redis: how long to wait before the next try */
};

struct bench_result {
    uint64_t operations;
    uint64_t tries;     /* acquires sent */
    uint64_t refused;   /* asked again, for holdfastd could not then */
    uint64_t hand_offs; /* grants to another than had the lock before; only BENCH_HOT */
    int64_t elapsed_us;
    struct histogram acquire; /* with a rate from when it ought to have been sent */
    struct histogram pair;
};

struct bench_load;

/* Connected, and nothing sent. */
struct bench_load *bench_load_create(const struct bench_plan *plan);

/* Once; returns at the end of the time, or for BENCH_HOLD when all is held. */
void bench_load_run(struct bench_load *load, struct bench_result *result);

/* Closes the connections, with all they hold. */
void bench_load_destroy(struct bench_load *load);

#endif
