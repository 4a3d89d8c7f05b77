/* SPDX-License-Identifier: Apache-2.0 */
/* Acquire and Hold that wait: answered once, whatever happens meanwhile. */
#include "fixture.h"

#include <string.h>

#define GRANTED  HOLDFAST__V1__HOLD_EVENT__EVENT_GRANTED
#define BUSY     HOLDFAST__V1__HOLD_EVENT__EVENT_BUSY
#define LOST     HOLDFAST__V1__HOLD_EVENT__EVENT_LOST
#define RELEASED HOLDFAST__V1__HOLD_EVENT__EVENT_RELEASED
#define QUEUED   HOLDFAST__V1__HOLD_EVENT__EVENT_QUEUED

static const struct store_holder other = {
    .is_held = true,
    .remaining_us = 5000000,
    .holders = 1,
    .fence = 3,
    .label = "other",
    .label_length = 5,
};

static const Holdfast__V1__AcquireRequest empty_acquire = HOLDFAST__V1__ACQUIRE_REQUEST__INIT;
static const Holdfast__V1__HoldAsk empty_ask = HOLDFAST__V1__HOLD_ASK__INIT;

static struct fake_call *acquire(struct fixture *fixture, size_t index, const char *key,
                                 uint32_t wait_ms)
{
    Holdfast__V1__AcquireRequest request = empty_acquire;
    request.key = (char *)key;
    request.wait_ms = wait_ms;
    return fixture_call(fixture, index, "Acquire", &request.base);
}

static struct fake_call *hold(struct fixture *fixture, size_t index, const char *key,
                              uint32_t wait_ms)
{
    Holdfast__V1__HoldAsk ask = empty_ask;
    ask.key = (char *)key;
    ask.wait_ms = wait_ms;
    return fixture_hold_with(fixture, index, &ask);
}

static const Holdfast__V1__AcquireResponse *response_of(const struct fake_call *call)
{
    fake_call_expect_end(call, STATUS_OK, "");
    return (const void *)call->reply;
}

/* A Hold that another server's holder makes wait, and that has been told so. */
static struct fake_call *queued_hold(struct fixture *fixture, size_t index, uint32_t wait_ms)
{
    struct fake_call *call = hold(fixture, index, "a", wait_ms);
    fake_store_queued(&fixture->store, &other);
    fixture_advance_ms(fixture, 1);
    const Holdfast__V1__HoldQueued *queued = fake_call_event(call, QUEUED)->queued;
    assert_int_equal(queued->position, 1);
    assert_string_equal(queued->holder->label, "other");
    assert_string_equal(queued->holder->key, "");
    return call;
}

/* What the service leaves to the core goes, in whatever order the core likes. */
static void settle(struct fixture *fixture)
{
    fixture_advance_ms(fixture, 1);
    while (!TAILQ_EMPTY(&fixture->store.queue)) {
        struct store_op *op = TAILQ_FIRST(&fixture->store.queue);
        assert_int_equal(op->verb, STORE_RELEASE);
        fake_store_code(&fixture->store, STORE_RELEASE, STORE_NOT_HELD, NULL);
        fixture_advance_ms(fixture, 1);
    }
    assert_int_equal(fake_store_count(&fixture->store), 0);
    assert_int_equal(keeper_count(fixture->keeper), 0);
}

static void a_waiter_is_told_then_granted(void **state)
{
    struct fixture *fixture = *state;
    struct fake_call *call = queued_hold(fixture, 0, 1000);
    fake_call_expect_open(call);
    struct store_listener *listener = fixture->store.port.listener;
    listener->on_subscribed(listener, fixture->now_us);
    fake_store_ok(&fixture->store, STORE_ACQUIRE, 8);
    assert_int_equal(fake_call_event(call, GRANTED)->granted->fence, 8);
    fake_call_expect_open(call);
    session_half_close(&call->call);
    fixture_advance_ms(fixture, 1);
    fake_store_ok(&fixture->store, STORE_RELEASE, 0);
    fake_call_event(call, RELEASED);
    fake_call_expect_end(call, STATUS_OK, "");
    settle(fixture);
}

static void an_acquire_that_waits_is_answered_once(void **state)
{
    struct fixture *fixture = *state;
    struct fake_call *call = acquire(fixture, 0, "a", 1000);
    fake_store_queued(&fixture->store, &other);
    fixture_advance_ms(fixture, 5);
    fake_call_expect_open(call);
    struct store_listener *listener = fixture->store.port.listener;
    listener->on_subscribed(listener, fixture->now_us);
    fake_store_ok(&fixture->store, STORE_ACQUIRE, 8);
    const Holdfast__V1__AcquireResponse *response = response_of(call);
    assert_int_equal(response->result_case, HOLDFAST__V1__ACQUIRE_RESPONSE__RESULT_LEASE);
    assert_int_equal(response->lease->fence, 8);
    assert_int_equal(fixture->sessions[0]->lease_count, 1);
}

static void after_the_wait_it_is_busy(void **state)
{
    struct fixture *fixture = *state;
    struct fake_call *held = queued_hold(fixture, 0, 300);
    struct fake_call *call = acquire(fixture, 0, "a", 200);
    fixture_advance_ms(fixture, 200);
    const Holdfast__V1__AcquireResponse *response = response_of(call);
    assert_int_equal(response->result_case, HOLDFAST__V1__ACQUIRE_RESPONSE__RESULT_BUSY);
    assert_string_equal(response->busy->label, "other");
    fake_call_expect_open(held);
    fixture_advance_ms(fixture, 100);
    assert_string_equal(fake_call_event(held, BUSY)->busy->label, "other");
    fake_call_expect_end(held, STATUS_OK, "");
    assert_true(session_is_idle(fixture->sessions[0]));
    settle(fixture);
}

static void a_half_close_takes_the_question_back(void **state)
{
    struct fixture *fixture = *state;
    struct fake_call *call = queued_hold(fixture, 0, 1000);
    session_half_close(&call->call);
    fake_call_event(call, RELEASED);
    fake_call_expect_end(call, STATUS_OK, "");
    assert_true(session_is_idle(fixture->sessions[0]));
    settle(fixture);
}

/* Before anything is known of the lock, too. */
static void a_half_close_at_once_takes_the_question_back(void **state)
{
    struct fixture *fixture = *state;
    struct fake_call *call = hold(fixture, 0, "a", 1000);
    session_half_close(&call->call);
    fake_call_event(call, RELEASED);
    fake_call_expect_end(call, STATUS_OK, "");
    settle(fixture);
}

static void a_cancelled_waiter_leaves(void **state)
{
    struct fixture *fixture = *state;
    struct fake_call *held = queued_hold(fixture, 0, 1000);
    struct fake_call *call = acquire(fixture, 0, "a", 1000);
    session_cancel_call(&call->call);
    fake_call_expect_cancelled(call);
    session_cancel_call(&held->call);
    fake_call_expect_cancelled(held);
    assert_true(session_is_idle(fixture->sessions[0]));
    settle(fixture);
}

static void a_dropped_waiter_leaves(void **state)
{
    struct fixture *fixture = *state;
    struct fake_call *held = queued_hold(fixture, 0, 1000);
    struct fake_call *call = acquire(fixture, 0, "a", 1000);
    fixture_drop(fixture, 0);
    fake_call_expect_cancelled(held);
    fake_call_expect_cancelled(call);
    settle(fixture);
}

static void a_deadline_ends_the_wait(void **state)
{
    struct fixture *fixture = *state;
    Holdfast__V1__AcquireRequest request = empty_acquire;
    request.key = (char *)"a";
    request.wait_ms = 1000;
    struct fake_call *call = fixture_start_call(fixture, 0, "Acquire", 50000);
    fake_call_message(call, &request.base);
    fake_store_queued(&fixture->store, &other);
    fixture_advance_ms(fixture, 50);
    fake_call_expect_end(call, STATUS_DEADLINE_EXCEEDED, "50 ms");
    assert_true(session_is_idle(fixture->sessions[0]));
    settle(fixture);
}

static void shutting_down_ends_the_wait(void **state)
{
    struct fixture *fixture = *state;
    struct fake_call *held = queued_hold(fixture, 0, 1000);
    struct fake_call *call = acquire(fixture, 0, "a", 1000);
    session_shut_down(fixture->sessions[0]);
    fake_call_expect_end(held, STATUS_UNAVAILABLE, "shutting down");
    fake_call_expect_end(call, STATUS_UNAVAILABLE, "shutting down");
    settle(fixture);
}

static void waiters_are_limited(void **state)
{
    struct fixture *fixture = *state;
    for (int i = 0; i < FIXTURE_WAITERS_MAX; i++) {
        fake_call_expect_open(acquire(fixture, 0, "a", 1000));
    }
    fake_call_expect_end(acquire(fixture, 0, "a", 1000), STATUS_RESOURCE_EXHAUSTED,
                         "max-waiters: 3 wait for this lock");
    fake_call_expect_end(hold(fixture, 0, "a", 1000), STATUS_RESOURCE_EXHAUSTED, "max-waiters: 3");
    assert_int_equal(fixture->sessions[0]->lease_count, FIXTURE_WAITERS_MAX);
}

static void a_circle_is_refused_with_its_text(void **state)
{
    struct fixture *fixture = *state;
    fixture_connect(fixture, 1);
    fixture_acquire(fixture, 0, "a", 1);
    fixture_acquire(fixture, 1, "b", 2);
    struct fake_call *waiting = acquire(fixture, 0, "b", 1000);
    fake_call_expect_open(waiting);
    struct fake_call *call = acquire(fixture, 1, "a", 1000);
    fake_call_expect_end(call, STATUS_ABORTED, "");
    assert_non_null(strstr(call->text, "a"));
    assert_int_equal(fixture->metrics.deadlocks_found, 1);
    fake_call_expect_end(hold(fixture, 1, "a", 1000), STATUS_ABORTED, "");
    fake_call_expect_open(waiting);
}

static void a_lease_given_back_goes_to_the_next_here(void **state)
{
    struct fixture *fixture = *state;
    fixture_connect(fixture, 1);
    struct fake_call *first = fixture_hold(fixture, 0, "a", 0);
    fake_store_ok(&fixture->store, STORE_ACQUIRE, 4);
    fake_call_event(first, GRANTED);
    struct fake_call *second = hold(fixture, 1, "a", 1000);
    fixture_advance_ms(fixture, 1);
    assert_int_equal(fake_call_event(second, QUEUED)->queued->holder->fence, 4);
    fixture_drop(fixture, 0);
    fake_call_expect_cancelled(first);
    for (int i = 0; i < 5 && second->event_count == second->events_seen; i++) {
        fixture_advance_ms(fixture, 1);
        if (!TAILQ_EMPTY(&fixture->store.queue)) {
            struct store_op *op = TAILQ_FIRST(&fixture->store.queue);
            struct store_op *sent = fake_store_send(&fixture->store, op->verb);
            fake_store_answer(
                &fixture->store, sent,
                &(struct store_result){
                    .code = STORE_OK, .sent_us = fixture->now_us, .fence = 5, .fence_end = 100});
        }
    }
    assert_true(fake_call_event(second, GRANTED)->granted->fence > 4);
    fake_call_expect_open(second);
}

static void max_hold_ends_a_lease(void **state)
{
    struct fixture *fixture = *state;
    Holdfast__V1__HoldAsk ask = empty_ask;
    ask.key = (char *)"a";
    ask.max_hold_ms = 100;
    struct fake_call *call = fixture_hold_with(fixture, 0, &ask);
    fake_store_ok(&fixture->store, STORE_ACQUIRE, 4);
    assert_int_equal(fake_call_event(call, GRANTED)->granted->valid_for_ms, 100);
    fixture_advance_ms(fixture, 100);
    assert_int_equal(fake_call_event(call, LOST)->lost->reason,
                     HOLDFAST__V1__HOLD_LOST__REASON__REASON_MAX_HOLD);
    fake_call_expect_end(call, STATUS_OK, "");
    settle(fixture);
}

static void a_detached_acquire_waits_too(void **state)
{
    struct fixture *fixture = *state;
    Holdfast__V1__AcquireRequest request = empty_acquire;
    request.key = (char *)"a";
    request.detached = true;
    request.wait_ms = 100;
    struct fake_call *call = fixture_call(fixture, 0, "Acquire", &request.base);
    fake_store_queued(&fixture->store, &other);
    fixture_advance_ms(fixture, 50);
    fake_call_expect_open(call);
    fixture_advance_ms(fixture, 50);
    assert_int_equal(response_of(call)->result_case, HOLDFAST__V1__ACQUIRE_RESPONSE__RESULT_BUSY);
    call = fixture_call(fixture, 0, "Acquire", &request.base);
    session_cancel_call(&call->call);
    fake_call_expect_cancelled(call);
    settle(fixture);
}

static void shared_leases_are_asked_for_with_their_limit(void **state)
{
    struct fixture *fixture = *state;
    Holdfast__V1__AcquireRequest request = empty_acquire;
    request.key = (char *)"a";
    request.mode = HOLDFAST__V1__MODE__MODE_SHARED;
    request.limit = 7;
    request.value = (ProtobufCBinaryData){.len = 2, .data = (uint8_t *)"me"};
    request.lock_delay_ms = 30;
    struct fake_call *call = fixture_call(fixture, 0, "Acquire", &request.base);
    const struct store_op *op = TAILQ_FIRST(&fixture->store.queue);
    assert_int_equal(op->mode, STORE_SHARED);
    assert_int_equal(op->limit, 7);
    assert_int_equal(op->value_length, 2);
    assert_int_equal(op->lock_delay_ms, 30);
    fake_store_ok(&fixture->store, STORE_ACQUIRE, 1);
    assert_int_equal(response_of(call)->lease->mode, HOLDFAST__V1__MODE__MODE_SHARED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(a_waiter_is_told_then_granted),
        FIXTURE_TEST(an_acquire_that_waits_is_answered_once),
        FIXTURE_TEST(after_the_wait_it_is_busy),
        FIXTURE_TEST(a_half_close_takes_the_question_back),
        FIXTURE_TEST(a_half_close_at_once_takes_the_question_back),
        FIXTURE_TEST(a_cancelled_waiter_leaves),
        FIXTURE_TEST(a_dropped_waiter_leaves),
        FIXTURE_TEST(a_deadline_ends_the_wait),
        FIXTURE_TEST(shutting_down_ends_the_wait),
        FIXTURE_TEST(waiters_are_limited),
        FIXTURE_TEST(a_circle_is_refused_with_its_text),
        FIXTURE_TEST(a_lease_given_back_goes_to_the_next_here),
        FIXTURE_TEST(max_hold_ends_a_lease),
        FIXTURE_TEST(a_detached_acquire_waits_too),
        FIXTURE_TEST(shared_leases_are_asked_for_with_their_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
