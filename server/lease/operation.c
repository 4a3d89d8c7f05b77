/* SPDX-License-Identifier: Apache-2.0 */
#include "lease/operation.h"

#include "base/check.h"
#include "base/clock.h"
#include "base/compiler.h"

#define US_PER_MS CLOCK_US_PER_MS

static int64_t earlier(int64_t a_us, int64_t b_us)
{
    return a_us < b_us ? a_us : b_us;
}

static int64_t later(int64_t a_us, int64_t b_us)
{
    return a_us > b_us ? a_us : b_us;
}

/* How long something may live by our clock once it is set: the store's may run 1 % slower. */
static int64_t longest_us(int64_t life_ms)
{
    return life_ms * US_PER_MS + life_ms * US_PER_MS / 100;
}

int64_t operation_life_ends_us(int64_t sent_us, int64_t life_ms)
{
    return sent_us + STORE_LATE_US + longest_us(life_ms);
}

/* How long what the operation sets may be in force. */
static int64_t life_us(const struct store_op *op)
{
    return longest_us(op->ttl_ms + op->lock_delay_ms);
}

/* How long a queue entry may stand, and what it is given afterwards. */
static int64_t queue_life_us(int64_t remaining_us)
{
    const int64_t most_us = STORE_QUEUE_LIFE_MAX_MS * US_PER_MS;
    const bool is_bounded = remaining_us >= 0 && remaining_us < most_us;
    return longest_us(STORE_QUEUE_LINGER_MS + STORE_GRANT_MS) +
           (is_bounded ? remaining_us : longest_us(STORE_QUEUE_LIFE_MAX_MS));
}

/* A store that refuses is not asked faster than it helps the lease. */
static int64_t pause_us(int64_t ttl_ms)
{
    return earlier(later(OPERATION_RETRY_US, ttl_ms * US_PER_MS / 100), OPERATION_RETRY_MAX_US);
}

static bool takes_hold(enum store_verb verb)
{
    return verb == STORE_ACQUIRE || verb == STORE_RENEW || verb == STORE_RESUME;
}

static bool queues(const struct store_op *op)
{
    return op->verb == STORE_ACQUIRE && op->wants_queue;
}

/* Whether it goes on by itself however long the store is away. */
static bool is_patient(const struct store_op *op)
{
    return op->verb == STORE_RENEW || op->verb == STORE_RELEASE || queues(op);
}

/* Whether this ends when what was sent must have lapsed, rather than at the deadline. */
static bool ends_by_lapse(const struct operation *operation)
{
    return operation->is_unsettled || operation->op.verb == STORE_RELEASE;
}

static void finish(struct operation *operation, const struct store_result *result, int64_t now_us)
{
    operation->is_running = false;
    operation->is_stopping = false;
    operation->is_undoing = false;
    wheel_clear(operation->wheel, &operation->retry);
    operation->on_done(operation, result, now_us);
}

static void finish_unavailable(struct operation *operation, const char *detail, int64_t now_us)
{
    const struct store_result result = {.code = STORE_UNAVAILABLE, .detail = detail};
    finish(operation, &result, now_us);
}

/* Nothing sent can be in force any more, whatever became of it. */
static void finish_lapsed(struct operation *operation, int64_t now_us)
{
    operation->trace.strays_us = 0;
    if (operation->op.verb != STORE_RELEASE) {
        finish_unavailable(operation, "the store could not be reached to settle it", now_us);
        return;
    }
    const struct store_result result = {.code = STORE_NOT_HELD};
    finish(operation, &result, now_us);
}

/* Whether it goes on past its deadline, for something may be in force. */
static bool must_settle(const struct operation *operation)
{
    return operation->is_unsettled || operation->is_undoing;
}

static void submit(struct operation *operation, int64_t now_us)
{
    operation->op.give_up_us = must_settle(operation) ? CLOCK_NEVER : operation->deadline_us;
    operation->op.is_impatient = !must_settle(operation) && !is_patient(&operation->op);
    if (operation->op.verb == STORE_RELEASE) {
        operation->op.wants_queue = operation->trace.may_be_queued;
    }
    wheel_set(operation->wheel, &operation->retry,
              ends_by_lapse(operation) ? operation->trace.lapses_us : CLOCK_NEVER);
    store_submit(operation->store, &operation->op, now_us);
}

/* Whether it is time to end instead of asking again; ends it then. */
static bool has_ended(struct operation *operation, const char *detail, int64_t now_us)
{
    if (ends_by_lapse(operation) && now_us >= operation->trace.lapses_us) {
        finish_lapsed(operation, now_us);
        return true;
    }
    if (!must_settle(operation) && now_us >= operation->deadline_us) {
        finish_unavailable(operation, detail, now_us);
        return true;
    }
    return false;
}

/* Asks again at `at_us`, or ends at the bound if that comes first. */
static void ask_again(struct operation *operation, int64_t at_us, const char *detail,
                      int64_t now_us)
{
    if (has_ended(operation, detail, now_us)) {
        return;
    }
    if (at_us <= now_us) {
        submit(operation, now_us);
        return;
    }
    if (ends_by_lapse(operation)) {
        at_us = earlier(at_us, operation->trace.lapses_us);
    }
    if (!must_settle(operation)) {
        at_us = earlier(at_us, operation->deadline_us);
    }
    wheel_set(operation->wheel, &operation->retry, at_us);
}

static void on_retry(struct timer *timer, int64_t now_us)
{
    struct operation *operation = CONTAINER_OF(timer, struct operation, retry);
    if (operation->op.state != STORE_OP_IDLE && !store_withdraw(operation->store, &operation->op)) {
        return; /* at the store: its answer comes soon and ends it */
    }
    ask_again(operation, now_us, "the store could not be reached in time", now_us);
}

/* The lock is not ours now; only what has yet to run could make it so again. */
static void note_not_ours(struct operation *operation, int64_t now_us)
{
    const bool has_strays = now_us < operation->trace.strays_us;
    operation->trace.lapses_us =
        has_strays ? operation->trace.strays_us + life_us(&operation->op) : 0;
    operation->trace.may_be_queued = operation->trace.may_be_queued && has_strays;
}

/* Who leaves only the queue may have come back meanwhile, under the same tenure: whatever may take
 * that entry away has to run before this is over. */
static void note_unknown(struct operation *operation, const struct store_result *result)
{
    const int64_t runs_us = result->sent_us + STORE_LATE_US;
    operation->is_unsettled = true;
    if (takes_hold(operation->op.verb) || operation->op.keeps_lock) {
        operation->trace.strays_us = later(operation->trace.strays_us, runs_us);
    }
    if (takes_hold(operation->op.verb)) {
        int64_t lapses_us = runs_us + life_us(&operation->op);
        if (queues(&operation->op)) {
            operation->trace.may_be_queued = true;
            lapses_us += queue_life_us(-1);
        }
        operation->trace.lapses_us = later(operation->trace.lapses_us, lapses_us);
    }
}

/* Keeps account of what may be in force, from every answer. */
static void note(struct operation *operation, const struct store_result *result, int64_t now_us)
{
    if (operation->op.verb == STORE_INSPECT) {
        return;
    }
    switch (result->code) {
    case STORE_UNKNOWN:
        note_unknown(operation, result);
        break;
    case STORE_OK:
        if (takes_hold(operation->op.verb)) {
            const struct store_op *op = &operation->op;
            const int64_t lapses_us =
                operation_life_ends_us(result->sent_us, op->ttl_ms + op->lock_delay_ms);
            operation->trace.lapses_us = later(operation->trace.lapses_us, lapses_us);
            operation->trace.may_be_queued =
                operation->trace.may_be_queued && now_us < operation->trace.strays_us;
        } else {
            note_not_ours(operation, now_us);
        }
        break;
    case STORE_BUSY:
        if (!operation->trace.may_be_queued) { /* an entry made before may stand for all that */
            note_not_ours(operation, now_us);
        }
        break;
    case STORE_NOT_HELD:
    case STORE_WRONG_TYPE:
        note_not_ours(operation, now_us);
        break;
    case STORE_QUEUED:
        operation->trace.may_be_queued = true;
        operation->trace.lapses_us =
            later(operation->trace.lapses_us,
                  now_us + life_us(&operation->op) + queue_life_us(result->holder.remaining_us));
        break;
    case STORE_RECOVERING:
    case STORE_EXPIRED:
    case STORE_UNAVAILABLE:
        break;
    }
}

static void settle(struct operation *operation, const struct store_result *result, int64_t now_us)
{
    if (operation->is_undoing && now_us < operation->trace.strays_us) {
        wheel_set(operation->wheel, &operation->retry, operation->trace.strays_us);
        return;
    }
    const bool is_own_doing = operation->op.verb == STORE_RELEASE && operation->is_unsettled &&
                              result->code == STORE_NOT_HELD;
    const struct store_result released = {.code = STORE_OK, .sent_us = result->sent_us};
    finish(operation, is_own_doing ? &released : result, now_us);
}

static void on_answer(struct store_op *op, const struct store_result *result, int64_t now_us)
{
    struct operation *operation = CONTAINER_OF(op, struct operation, op);
    note(operation, result, now_us);
    if (operation->is_stopping) {
        finish(operation, result, now_us);
        return;
    }
    switch (result->code) {
    case STORE_OK:
    case STORE_BUSY:
    case STORE_QUEUED:
    case STORE_NOT_HELD:
    case STORE_WRONG_TYPE:
        settle(operation, result, now_us);
        break;
    case STORE_RECOVERING:
        ask_again(operation, now_us + later(result->retry_after_us, US_PER_MS),
                  "the store is recovering", now_us);
        break;
    case STORE_EXPIRED:
    case STORE_UNKNOWN:
        ask_again(operation, now_us, "the store could not be reached in time", now_us);
        break;
    case STORE_UNAVAILABLE:
        if (operation->is_unsettled || is_patient(op)) {
            ask_again(operation, now_us + pause_us(op->ttl_ms), result->detail, now_us);
        } else {
            finish(operation, result, now_us);
        }
        break;
    }
}

void operation_init(struct operation *operation, struct store *store, struct wheel *wheel,
                    operation_done_fn *on_done)
{
    *operation = (struct operation){
        .deadline_us = CLOCK_NEVER,
        .on_done = on_done,
        .store = store,
        .wheel = wheel,
    };
    timer_init(&operation->retry, on_retry);
}

void operation_start(struct operation *operation, int64_t in_force_until_us, int64_t now_us)
{
    CHECK(!operation->is_running);
    operation->op.on_done = on_answer;
    operation->is_running = true;
    operation->is_unsettled = false;
    operation->trace.lapses_us = later(operation->trace.lapses_us, in_force_until_us);
    submit(operation, now_us);
}

bool operation_is_running(const struct operation *operation)
{
    return operation->is_running;
}

bool operation_stop(struct operation *operation)
{
    if (!operation->is_running) {
        return true;
    }
    if (operation->op.state != STORE_OP_IDLE && !store_withdraw(operation->store, &operation->op)) {
        operation->is_stopping = true;
        operation->op.give_up_us =
            0; /* should it turn out not to have been done, that is the end */
        return false;
    }
    wheel_clear(operation->wheel, &operation->retry);
    operation->is_running = false;
    operation->is_undoing = false;
    return true;
}

bool operation_undo(struct operation *operation, int64_t now_us)
{
    CHECK(!operation->is_running);
    if (now_us >= operation->trace.lapses_us ||
        (operation->op.keeps_lock && !operation->trace.may_be_queued)) {
        return false;
    }
    operation->op.verb = STORE_RELEASE;
    operation->is_undoing = true;
    operation_start(operation, 0, now_us);
    return true;
}

int64_t operation_lapses_us(const struct operation *operation)
{
    return operation->trace.lapses_us;
}
