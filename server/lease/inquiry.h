/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a tenure asks the store: the one operation in flight, from the question to its settled
 * answer. Tenures are idle most of the time, and many, so a held one has none in between. For the
 * lease core's own files.
 */
#ifndef HOLDFAST_LEASE_INQUIRY_H
#define HOLDFAST_LEASE_INQUIRY_H

#include "lease/operation.h"

#include <stdbool.h>

struct lease;
struct tenure;

struct inquiry {
    struct tenure *tenure;
    struct operation operation;
    char *kept_text; /* of a lease that is gone, for the operation under way */
};

/* Makes ready to ask: the tenure's inquiry, made if there is none. Returns what is to be filled in
 * before its operation is started. */
struct store_op *inquiry_open(struct tenure *tenure, operation_done_fn *on_done);

/* Frees the tenure's inquiry, if any, without a word to the store. */
void inquiry_close(struct tenure *tenure);

/* Nothing is to be asked for a while: frees the inquiry, which is idle, and keeps its trace. What
 * is between two leases keeps it, for it alone knows the first one's token. */
void inquiry_rest(struct tenure *tenure);

/* As operation_stop. */
NODISCARD bool inquiry_stop(struct tenure *tenure);

/* Whether the question that is, or was last, asked may leave our entry in the queue. */
bool inquiry_wants_queue(const struct tenure *tenure);

/* The operation under way may still point at the texts of the lease, which is about to go: they
 * change places with a copy. */
void inquiry_keep_text(struct tenure *tenure, struct lease *lease);

#endif
