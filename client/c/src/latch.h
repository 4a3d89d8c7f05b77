/* SPDX-License-Identifier: Apache-2.0 */
/* One thread waits until another has done something, once. */
#ifndef HOLDFAST_CLIENT_LATCH_H
#define HOLDFAST_CLIENT_LATCH_H

#include <pthread.h>
#include <stdbool.h>

struct latch {
    pthread_mutex_t mutex;
    pthread_cond_t condition;
    bool is_open;
};

void latch_init(struct latch *latch);
void latch_release(struct latch *latch);

/* Lets the waiting thread go on. The latch may be gone when this returns. */
void latch_open(struct latch *latch);

/* Waits for latch_open; everything done before it is visible afterwards. */
void latch_wait(struct latch *latch);

#endif
