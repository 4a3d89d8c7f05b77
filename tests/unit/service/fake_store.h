/* SPDX-License-Identifier: Apache-2.0 */
/* A store that keeps what is submitted until the test answers it. */
#ifndef HOLDFAST_TESTS_SERVICE_FAKE_STORE_H
#define HOLDFAST_TESTS_SERVICE_FAKE_STORE_H

#include "lease/store.h"

#include <stddef.h>

struct fake_store {
    struct store port;
    struct store_op_list queue; /* not sent yet: may be withdrawn */
    struct store_op_list sent;
    size_t watched; /* locks with a watch */
};

void fake_store_init(struct fake_store *store);

/* Operations that wait for an answer. */
size_t fake_store_count(const struct fake_store *store);

/* Sends the oldest queued operation, which must be of this verb; answers follow. */
struct store_op *fake_store_send(struct fake_store *store, enum store_verb verb);

/* Answers an operation that was sent. */
void fake_store_answer(struct fake_store *store, struct store_op *op,
                       const struct store_result *result);

/* Sends the oldest operation and answers it at once. */
void fake_store_ok(struct fake_store *store, enum store_verb verb, uint64_t fence);
void fake_store_busy(struct fake_store *store, const struct store_holder *holder);
void fake_store_queued(struct fake_store *store, const struct store_holder *holder);
void fake_store_code(struct fake_store *store, enum store_verb verb, enum store_code code,
                     const char *detail);

/* Forgets everything unanswered. */
void fake_store_drop(struct fake_store *store);

#endif
