/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The doubt whether Redis has forgotten everything: it breaks no connection to be flushed, and who
 * holds a lock must have renewed before the recovery window ends. While Redis tells of it, the
 * store asks when it is told, and when it may have missed being told; otherwise four times per
 * window. What is asked, an empty batch, is the store's affair.
 */
#ifndef HOLDFAST_REDIS_DOUBT_H
#define HOLDFAST_REDIS_DOUBT_H

#include "base/loop.h"
#include "lease/store.h"

#include <stdbool.h>
#include <stdint.h>

struct doubt {
    struct loop *loop;
    const struct store *port;
    struct task *flush;
    int64_t pause_us; /* between two questions while nothing would be heard; 0: nothing is asked */
    struct timer timer;
    bool is_heard;
    bool is_due;
    int64_t asked_us; /* when it was due last */
};

/* `flush` is posted for FLUSH when Redis is to be asked; `port` says whether there is anything to
 * lose. Both outlive the doubt. With a window of 0 nothing is asked, for nothing could be saved. */
void doubt_init(struct doubt *doubt, struct loop *loop, const struct store *port,
                struct task *flush, int64_t window_ms);
void doubt_release(struct doubt *doubt);

/* Redis may have forgotten. `is_heard`: it would be heard of from now on. */
void doubt_raise(struct doubt *doubt, bool is_heard);

/* Redis did not answer the question, which is asked again: at once if it only came too late, for
 * now Redis' time is known better, otherwise after the pause. */
void doubt_keep(struct doubt *doubt, bool was_late);

/* Whether Redis is to be asked now; once. */
bool doubt_take(struct doubt *doubt);

#endif
