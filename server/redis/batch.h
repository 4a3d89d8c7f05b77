/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A batch: lease operations that go to Redis in one script call. It turns operations into the
 * arguments of a command and a reply into results. No I/O and no clock.
 */
#ifndef HOLDFAST_REDIS_BATCH_H
#define HOLDFAST_REDIS_BATCH_H

#include "base/compiler.h"
#include "lease/store.h"
#include "redis/script.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* About half a millisecond of Redis. */
#define BATCH_OPERATIONS_MAX ((size_t)256)

/* Key, verb and at most three arguments for each operation, after what every batch carries. */
#define BATCH_ARGUMENTS_MAX (8 + 5 * BATCH_OPERATIONS_MAX)

/* The hex digits of a server's id. */
#define BATCH_SERVER_ID_LENGTH ((size_t)32)

struct redisReply;

struct batch {
    struct store_op *ops[BATCH_OPERATIONS_MAX]; /* in order */
    size_t count;

    /* The command, after batch_encode; points into the operations, the script and `bytes`. */
    const char *arguments[BATCH_ARGUMENTS_MAX];
    size_t lengths[BATCH_ARGUMENTS_MAX];
    size_t argument_count;

    /* Private. */
    char *bytes;
    size_t size, used;
};

/* What a batch carries besides its operations. */
struct batch_call {
    const struct script *script;
    bool is_in_full;        /* EVAL instead of EVALSHA */
    const char *key_prefix; /* not NUL-terminated */
    size_t key_prefix_length;
    const char *run_id;
    int64_t not_after_us;
    int64_t recovery_window_us;
    int64_t watch_us; /* changes of locks are published for so long from now on; to be said again
                         before three quarters of it have passed. 0: nobody here watches */
    const char *server_id; /* the queue knows us by it: 32 hex digits */
};

struct batch_answer {
    int64_t now_us;    /* Redis' clock when it ran the batch */
    int64_t window_us; /* left of the recovery window; told by an empty batch only, else 0 */
    /* By position. An operation that Redis refused is UNAVAILABLE, with the error's word as its
     * detail. sent_us is left 0. Texts point into the reply. */
    struct store_result results[BATCH_OPERATIONS_MAX];
};

/* An empty batch. */
void batch_init(struct batch *batch);

void batch_release(struct batch *batch);

/* Empties the batch, keeping its memory. */
void batch_clear(struct batch *batch);

/* The batch must not be full. */
void batch_add(struct batch *batch, struct store_op *op);

/* Writes the command. May be repeated with another call. */
void batch_encode(struct batch *batch, const struct batch_call *call);

/* Reads the reply; false when it is not one this script gives. */
NODISCARD bool batch_decode(const struct batch *batch, const struct redisReply *reply,
                            struct batch_answer *answer);

#endif
