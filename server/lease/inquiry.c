/* SPDX-License-Identifier: Apache-2.0 */
#include "lease/inquiry.h"

#include <string.h>

#include "base/check.h"
#include "base/memory.h"
#include "lease/keeper_internal.h"
#include "lease/lock.h"
#include "lease/tenure.h"

struct store_op *inquiry_open(struct tenure *tenure, operation_done_fn *on_done)
{
    struct keeper *keeper = tenure->keeper;
    struct inquiry *inquiry = tenure->inquiry;
    if (inquiry == NULL) {
        inquiry = memory_alloc(sizeof(*inquiry));
        inquiry->tenure = tenure;
        operation_init(&inquiry->operation, keeper->store, keeper->wheel, on_done);
        inquiry->operation.trace = tenure->trace;
        inquiry->operation.op.key = tenure->lock->key;
        inquiry->operation.op.key_length = lock_key_length(tenure->lock);
        inquiry->operation.op.tenure = tenure->id;
        tenure->inquiry = inquiry;
    }
    return &inquiry->operation.op;
}

void inquiry_close(struct tenure *tenure)
{
    struct inquiry *inquiry = tenure->inquiry;
    if (inquiry != NULL) {
        wheel_clear(tenure->keeper->wheel, &inquiry->operation.retry);
        memory_free(inquiry->kept_text);
        memory_free(inquiry);
    }
    tenure->inquiry = NULL;
}

void inquiry_rest(struct tenure *tenure)
{
    CHECK(!operation_is_running(&tenure->inquiry->operation));
    if (tenure->lease == NULL) {
        return;
    }
    tenure->trace = tenure->inquiry->operation.trace;
    inquiry_close(tenure);
}

bool inquiry_stop(struct tenure *tenure)
{
    return tenure->inquiry == NULL || operation_stop(&tenure->inquiry->operation);
}

bool inquiry_wants_queue(const struct tenure *tenure)
{
    return tenure->inquiry != NULL && tenure->inquiry->operation.op.wants_queue;
}

void inquiry_keep_text(struct tenure *tenure, struct lease *lease)
{
    struct inquiry *inquiry = tenure->inquiry;
    const size_t size = (size_t)lease->label_length + lease->value_length;
    if (lease->text == NULL || inquiry == NULL || !operation_is_running(&inquiry->operation) ||
        inquiry->operation.op.label != lease->text) {
        return;
    }
    CHECK(inquiry->kept_text == NULL);
    inquiry->kept_text = lease->text;
    lease->text = memory_alloc(size);
    memcpy(lease->text, inquiry->kept_text, size);
}
