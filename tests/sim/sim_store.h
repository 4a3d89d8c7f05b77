/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A sidecar's store port onto the model Redis: two queues, at most two batches in flight on one
 * connection, answers later than the ack timeout counted as UNKNOWN, reconnecting. The network
 * delays, loses answers, and may deliver the commands of a cut connection late.
 */
#ifndef SIM_STORE_H
#define SIM_STORE_H

#include "lease/store.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

struct sidecar;
struct command;

TAILQ_HEAD(command_list, command);

struct sim_store {
    struct store port;
    struct sidecar *sidecar;
    struct store_op_list urgent;   /* renewals and releases */
    struct store_op_list patient;  /* the others */
    struct store_op_list believed; /* to be answered from a hint: a planted mistake */
    struct command_list commands;  /* awaited here or still on the way */
    unsigned in_flight;            /* awaited batches */
    uint64_t connection;           /* counts connections */
    int64_t forward_us;            /* when the last command sent arrives: the order is kept */
    int64_t backward_us;           /* likewise for answers */
    int64_t window_end_us;         /* of the recovery window that the listener knows of */
    int64_t heard_us;              /* when a command was last answered */
    int64_t look_us;               /* when to look next whether Redis has forgotten */
    bool is_look_due;
    bool is_up;
};

/* A store that begins to connect. */
void sim_store_init(struct sim_store *store, struct sidecar *sidecar);

/* The process is gone: nothing is answered any more. Commands on the way still run. */
void sim_store_drop(struct sim_store *store);

/* Frees what is left at the end of the world. */
void sim_store_release(struct sim_store *store);

/* The connection breaks: what was sent is UNKNOWN, what was queued waits. Within a turn. */
void sim_store_cut(struct sim_store *store);

/* Redis may have forgotten: it is to be asked at the end of this turn. */
void sim_store_doubt(struct sim_store *store);

/* Answers what is overdue. Within a turn. */
void sim_store_tick(struct sim_store *store, int64_t now_us);

/* Sends what is queued, at the end of a turn. */
void sim_store_flush(struct sim_store *store, int64_t now_us);

/* When sim_store_tick has something to do; CLOCK_NEVER when nothing. */
int64_t sim_store_next_us(const struct sim_store *store);

#endif
