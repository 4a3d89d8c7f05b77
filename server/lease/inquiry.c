/* SPDX-License-Identifier: Apache-2.0 */
#include "lease/inquiry.h"

#include "base/check.h"
#include "base/clock.h"
#include "lease/keeper_internal.h"
#include "lease/lock.h"
#include "lease/tenure.h"

/* What the tenure and its lease tell of a grant that was confirmed. */
static void recall(struct inquiry *inquiry)
{
    const struct tenure *tenure = inquiry->tenure;
    const struct lease *lease = tenure->lease;
    const struct terms *terms = lease_terms(lease);
    const int64_t key_life_ms = (int64_t)lease->ttl_ms + terms->lock_delay_ms;
    inquiry->ttl_ms = lease->ttl_ms;
    inquiry->lock_delay_ms = terms->lock_delay_ms;
    inquiry->grants = 1;
    inquiry->held_us = (lease->since_ms - lease->lock->keeper->ahead_ms) * CLOCK_US_PER_MS;
    inquiry->deadline_us = tenure_deadline_us(tenure);
    inquiry->fence = lease->fence;
    inquiry->operation.trace.lapses_us = operation_life_ends_us(tenure->confirmed_us, key_life_ms);
}

struct store_op *inquiry_open(struct tenure *tenure, operation_done_fn *on_done)
{
    struct lock *lock = tenure_lock(tenure);
    struct keeper *keeper = lock->keeper;
    struct inquiry *inquiry = tenure->inquiry;
    if (inquiry == NULL) {
        inquiry = pool_alloc(keeper->pool, sizeof(*inquiry));
        inquiry->tenure = tenure;
        inquiry->lock = lock;
        operation_init(&inquiry->operation, keeper->store, keeper->wheel, on_done);
        inquiry->operation.op.key = lock->key;
        inquiry->operation.op.key_length = lock->key_length;
        inquiry->operation.op.tenure = tenure->id;
        if (tenure_is_held(tenure)) {
            recall(inquiry);
        }
        tenure->inquiry = inquiry;
    }
    return &inquiry->operation.op;
}

void inquiry_close(struct tenure *tenure)
{
    struct inquiry *inquiry = tenure->inquiry;
    if (inquiry != NULL) {
        CHECK(inquiry->leaving == NULL);
        wheel_clear(inquiry->lock->keeper->wheel, &inquiry->operation.retry);
        terms_destroy(inquiry->kept_terms);
        pool_free(inquiry->lock->keeper->pool, inquiry, sizeof(*inquiry));
    }
    tenure->inquiry = NULL;
}

/* Whether `recall` can tell all that the inquiry knows. */
static bool is_recallable(const struct tenure *tenure, int64_t now_us)
{
    const struct inquiry *inquiry = tenure->inquiry;
    const struct operation_trace *trace = &inquiry->operation.trace;
    const int64_t key_life_ms = (int64_t)inquiry->ttl_ms + inquiry->lock_delay_ms;
    return tenure->lease != NULL && inquiry->lock->queue == NULL && !tenure->is_dirty &&
           !trace->may_be_queued && now_us >= trace->strays_us &&
           trace->lapses_us <= operation_life_ends_us(tenure->confirmed_us, key_life_ms);
}

void inquiry_rest(struct tenure *tenure, int64_t now_us)
{
    struct inquiry *inquiry = tenure->inquiry;
    CHECK(tenure_is_held(tenure));
    if (inquiry != NULL && !operation_is_running(&inquiry->operation) &&
        is_recallable(tenure, now_us)) {
        inquiry_close(tenure);
    }
}

bool inquiry_stop(struct tenure *tenure)
{
    return tenure->inquiry == NULL || operation_stop(&tenure->inquiry->operation);
}

bool inquiry_wants_queue(const struct tenure *tenure)
{
    return tenure->inquiry != NULL && tenure->inquiry->operation.op.wants_queue;
}

bool inquiry_ends_run(const struct inquiry *inquiry, int64_t now_us)
{
    const struct keeper_config *config = &inquiry->lock->keeper->config;
    if (config->handoff_run_max <= 1) {
        return inquiry->grants >
               0; /* who else waits is not known well enough to do without asking */
    }
    return inquiry->waiting > 0 && inquiry->grants > 0 &&
           (inquiry->grants >= config->handoff_run_max ||
            now_us - inquiry->held_us >= config->handoff_run_ms * CLOCK_US_PER_MS);
}

bool inquiry_needs_sync(const struct inquiry *inquiry, int64_t now_us)
{
    const int64_t ttl_us = inquiry->ttl_ms * CLOCK_US_PER_MS;
    return inquiry->fence >= inquiry->fence_end || inquiry->deadline_us - now_us < ttl_us / 4;
}

void inquiry_keep_texts(struct tenure *tenure, struct lease *lease)
{
    struct inquiry *inquiry = tenure->inquiry;
    if (lease->terms == NULL || inquiry == NULL || !operation_is_running(&inquiry->operation) ||
        inquiry->operation.op.label != lease->terms->texts) {
        return;
    }
    CHECK(inquiry->kept_terms == NULL);
    inquiry->kept_terms = lease->terms;
    lease->terms = terms_move(lease->terms);
}
