/* SPDX-License-Identifier: Apache-2.0 */
#include "fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/compiler.h"
#include "base/memory.h"

static void submit(struct store *store, struct store_op *op, int64_t now_us)
{
    struct fixture *fixture = CONTAINER_OF(store, struct fixture, store);
    assert_int_equal(op->state, STORE_OP_IDLE);
    assert_non_null(op->on_done);
    op->state = STORE_OP_QUEUED;
    op->queued_us = now_us;
    TAILQ_INSERT_TAIL(&fixture->ops, op, link);
    fixture->submitted++;
}

static bool withdraw(struct store *store, struct store_op *op)
{
    struct fixture *fixture = CONTAINER_OF(store, struct fixture, store);
    assert_int_not_equal(op->state, STORE_OP_IDLE);
    if (op->state == STORE_OP_SENT) {
        return false;
    }
    op->state = STORE_OP_IDLE;
    TAILQ_REMOVE(&fixture->ops, op, link);
    return true;
}

static void watch(struct store *store, const char *key, size_t key_length)
{
    (void)key;
    (void)key_length;
    CONTAINER_OF(store, struct fixture, store)->watches++;
}

static void unwatch(struct store *store, const char *key, size_t key_length)
{
    (void)key;
    (void)key_length;
    CONTAINER_OF(store, struct fixture, store)->watches--;
}

static void on_event(struct lease_holder *holder, struct lease *lease,
                     const struct lease_report *report, int64_t now_us)
{
    struct recorder *recorder = CONTAINER_OF(holder, struct recorder, holder);
    assert_true(recorder->count < FIXTURE_EVENTS);
    recorder->reports[recorder->count] = *report;
    if (report->result != NULL) {
        recorder->results[recorder->count] = *report->result;
        recorder->reports[recorder->count].result = &recorder->results[recorder->count];
    }
    recorder->count++;
    if (report->event == LEASE_EVENT_GRANTED && recorder->then != NULL) {
        recorder->then(lease, now_us);
    }
}

int fixture_setup(void **state)
{
    static const struct store_vtable vtable = {submit, withdraw, watch, unwatch};
    const struct keeper_config config = {
        .leases_max = FIXTURE_LEASES,
        .waiters_max = FIXTURE_WAITERS,
        .handoff_run_max = FIXTURE_RUN_MAX,
        .handoff_run_ms = FIXTURE_RUN_MS,
        .finds_deadlocks = true,
    };
    struct fixture *fixture = memory_alloc(sizeof(*fixture));
    fixture->store.vtable = &vtable;
    TAILQ_INIT(&fixture->ops);
    fixture->now_us = FIXTURE_START_US;
    fixture->wheel = wheel_create(fixture->now_us);
    fixture->keeper = keeper_create(&config, &fixture->store, fixture->wheel, &fixture->metrics);
    fixture_recorder_init(&fixture->recorder);
    *state = fixture;
    return 0;
}

int fixture_teardown(void **state)
{
    struct fixture *fixture = *state;
    keeper_destroy(fixture->keeper);
    assert_int_equal(fixture->metrics.leases_now, 0);
    assert_int_equal(fixture->metrics.leases_waiting_now, 0);
    assert_int_equal(fixture->watches, 0);
    wheel_destroy(fixture->wheel);
    memory_free(fixture);
    return 0;
}

void fixture_pass(struct fixture *fixture, int64_t time_us)
{
    const int64_t end_us = fixture->now_us + time_us;
    for (int64_t next_us = wheel_next_us(fixture->wheel); next_us < end_us;
         next_us = wheel_next_us(fixture->wheel)) {
        if (next_us > fixture->now_us) {
            fixture->now_us = next_us;
        }
        wheel_run(fixture->wheel, fixture->now_us);
    }
    fixture->now_us = end_us;
    wheel_run(fixture->wheel, fixture->now_us);
}

struct store_op *fixture_only_op(struct fixture *fixture)
{
    assert_int_equal(fixture_op_count(fixture), 1);
    return TAILQ_FIRST(&fixture->ops);
}

size_t fixture_op_count(const struct fixture *fixture)
{
    size_t count = 0;
    const struct store_op *op;
    TAILQ_FOREACH (op, &fixture->ops, link) {
        count++;
    }
    return count;
}

void fixture_send(struct store_op *op)
{
    assert_int_equal(op->state, STORE_OP_QUEUED);
    op->state = STORE_OP_SENT;
}

void fixture_answer(struct fixture *fixture, struct store_op *op, enum store_code code,
                    int64_t age_us)
{
    const struct store_result result = {.code = code, .fence = 7, .since_ms = 1234};
    fixture_answer_with(fixture, op, result, age_us);
}

void fixture_answer_with(struct fixture *fixture, struct store_op *op, struct store_result result,
                         int64_t age_us)
{
    assert_int_not_equal(op->state, STORE_OP_IDLE);
    TAILQ_REMOVE(&fixture->ops, op, link);
    op->state = STORE_OP_IDLE;
    result.sent_us = fixture->now_us - age_us;
    op->on_done(op, &result, fixture->now_us);
}

struct lease *fixture_acquire(struct fixture *fixture, int64_t ttl_ms)
{
    const struct lease_ask ask = {
        .key = "k",
        .key_length = 1,
        .label = "me",
        .label_length = 2,
        .ttl_ms = ttl_ms,
        .deadline_us = CLOCK_NEVER,
    };
    struct keeper_problem problem;
    struct lease *lease =
        keeper_acquire(fixture->keeper, &ask, &fixture->recorder.holder, &problem, fixture->now_us);
    assert_non_null(lease);
    return lease;
}

struct lease *fixture_hold(struct fixture *fixture, int64_t ttl_ms)
{
    struct lease *lease = fixture_acquire(fixture, ttl_ms);
    fixture_answer(fixture, fixture_only_op(fixture), STORE_OK, 0);
    assert_int_equal(fixture_heard(fixture, 1)->event, LEASE_EVENT_GRANTED);
    return lease;
}

void fixture_recorder_init(struct recorder *recorder)
{
    *recorder = (struct recorder){.holder = {.on_event = on_event}};
}

struct lease_ask fixture_ask(void)
{
    return (struct lease_ask){
        .key = "k",
        .key_length = 1,
        .ttl_ms = 3000,
        .wait_until_us = CLOCK_NEVER,
        .deadline_us = CLOCK_NEVER,
    };
}

struct lease *fixture_ask_for(struct fixture *fixture, const struct lease_ask *ask,
                              struct recorder *recorder)
{
    struct keeper_problem problem;
    struct lease *lease =
        keeper_acquire(fixture->keeper, ask, &recorder->holder, &problem, fixture->now_us);
    assert_non_null(lease);
    return lease;
}

struct store_op *fixture_op(struct fixture *fixture, enum store_verb verb)
{
    struct store_op *op = NULL;
    struct store_op *found = NULL;
    TAILQ_FOREACH (op, &fixture->ops, link) {
        if (op->verb == verb) {
            assert_null(found);
            found = op;
        }
    }
    assert_non_null(found);
    return found;
}

void fixture_turn(struct fixture *fixture)
{
    fixture_pass(fixture, 0);
}

const struct lease_report *recorder_heard(const struct recorder *recorder, size_t count)
{
    assert_int_equal(recorder->count, count);
    return &recorder->reports[count - 1];
}

const struct lease_report *fixture_heard(struct fixture *fixture, size_t count)
{
    return recorder_heard(&fixture->recorder, count);
}
