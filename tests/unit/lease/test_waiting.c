/* SPDX-License-Identifier: Apache-2.0 */
/* Leases that wait: in the queue here, and behind other servers in the store. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "fixture.h"
#include "lease/inquiry.h"
#include "lease/keeper_internal.h"

#define TTL_MS ((int64_t)3000)
#define S      CLOCK_US_PER_S

#define WAITERS 4

struct crowd {
    struct recorder recorders[WAITERS];
    struct lease *leases[WAITERS];
};

static void assert_forgotten(struct fixture *fixture)
{
    assert_int_equal(keeper_count(fixture->keeper), 0);
    assert_int_equal(fixture_op_count(fixture), 0);
    assert_int_equal(wheel_next_us(fixture->wheel), CLOCK_NEVER);
}

static struct store_result blocked(enum store_code code, int64_t remaining_us)
{
    return (struct store_result){
        .code = code,
        .holder = {.is_held = true,
                   .holders = 1,
                   .remaining_us = remaining_us,
                   .label = "you",
                   .label_length = 3},
    };
}

static void grant(struct fixture *fixture, struct store_op *op, uint64_t fence, uint64_t fence_end)
{
    const struct store_result result = {
        .code = STORE_OK, .fence = fence, .fence_end = fence_end, .since_ms = 1000};
    fixture_answer_with(fixture, op, result, 0);
}

/* So many ask one after the other; the first has the lock, the others wait. */
static void gather(struct fixture *fixture, struct crowd *crowd, size_t count, uint64_t fence_end)
{
    const struct lease_ask ask = fixture_ask();
    for (size_t i = 0; i < count; i++) {
        fixture_recorder_init(&crowd->recorders[i]);
        crowd->leases[i] = fixture_ask_for(fixture, &ask, &crowd->recorders[i]);
    }
    grant(fixture, fixture_only_op(fixture), 10, fence_end);
    assert_int_equal(recorder_heard(&crowd->recorders[0], 1)->event, LEASE_EVENT_GRANTED);
    fixture_turn(fixture);
    assert_int_equal(fixture_op_count(fixture), 0);
}

static void finish(struct fixture *fixture, struct lease *lease)
{
    lease_revoke(lease, fixture->now_us);
    fixture_turn(fixture);
    fixture_answer(fixture, fixture_op(fixture, STORE_RELEASE), STORE_OK, 0);
    fixture_turn(fixture);
}

static void test_a_free_lock_is_granted_without_a_word_of_waiting(void **state)
{
    struct fixture *fixture = *state;
    const struct lease_ask ask = fixture_ask();
    struct lease *lease = fixture_ask_for(fixture, &ask, &fixture->recorder);
    const struct store_op *op = fixture_only_op(fixture);
    assert_true(op->wants_queue);
    assert_int_equal(op->fence_block, 0);
    assert_int_equal(op->give_up_us, CLOCK_NEVER);
    grant(fixture, fixture_only_op(fixture), 7, 0);
    fixture_turn(fixture);
    assert_int_equal(fixture_heard(fixture, 1)->event, LEASE_EVENT_GRANTED);
    finish(fixture, lease);
    assert_forgotten(fixture);
}

/* Whatever a store says that cannot serve it, a wait goes on until its own end. */
static void test_a_wait_outlives_a_store_in_trouble(void **state)
{
    struct fixture *fixture = *state;
    static const struct store_result troubles[] = {
        {.code = STORE_UNAVAILABLE, .detail = "away"},
        {.code = STORE_UNAVAILABLE, .detail = "max-redis-operations: too many", .is_limit = true},
        {.code = STORE_EXPIRED},
        {.code = STORE_RECOVERING, .retry_after_us = CLOCK_US_PER_S},
        {.code = STORE_OK, .fence = 7, .since_ms = 1000}, /* too late to be believed */
        {.code = STORE_UNKNOWN},
        {.code = STORE_UNAVAILABLE, .detail = "away"},
    };
    struct lease_ask ask = fixture_ask();
    ask.wait_until_us = fixture->now_us + 4 * STORE_QUEUE_LIFE_MAX_MS * CLOCK_US_PER_MS;
    struct lease *lease = fixture_ask_for(fixture, &ask, &fixture->recorder);
    for (size_t i = 0; i < COUNT_OF(troubles); i++) {
        const int64_t age_us = troubles[i].code == STORE_OK ? lease_validity_us(ask.ttl_ms) : 0;
        fixture_answer_with(fixture, fixture_only_op(fixture), troubles[i], age_us);
        fixture_pass(fixture, 2 * CLOCK_US_PER_S);
        assert_int_equal(fixture_only_op(fixture)->verb, STORE_ACQUIRE);
    }
    /* Nor does it end when what is unknown must have lapsed. */
    const size_t submitted = fixture->submitted;
    fixture_pass(fixture, 2 * STORE_QUEUE_LIFE_MAX_MS * CLOCK_US_PER_MS);
    assert_int_equal(fixture->submitted, submitted + 1);
    assert_int_equal(fixture->recorder.count, 0);
    grant(fixture, fixture_only_op(fixture), 8, 0);
    fixture_turn(fixture);
    assert_int_equal(fixture_heard(fixture, 1)->event, LEASE_EVENT_GRANTED);
    finish(fixture, lease);
    assert_forgotten(fixture);
}

static void test_the_others_ask_the_store_nothing(void **state)
{
    struct fixture *fixture = *state;
    struct crowd crowd;
    gather(fixture, &crowd, 4, 0);
    for (size_t i = 1; i < 4; i++) {
        const struct lease_report *report = recorder_heard(&crowd.recorders[i], 1);
        assert_int_equal(report->event, LEASE_EVENT_QUEUED);
        assert_int_equal(report->position, i);
        assert_int_equal(report->result->holder.fence, 10);
    }
    assert_int_equal(fixture->metrics.leases_waiting_now, 3);
    for (size_t i = 3; i > 0; i--) {
        lease_revoke(crowd.leases[i], fixture->now_us);
    }
    finish(fixture, crowd.leases[0]);
    assert_forgotten(fixture);
}

static void test_a_release_hands_on_in_memory(void **state)
{
    struct fixture *fixture = *state;
    struct crowd crowd;
    gather(fixture, &crowd, 3, 0);
    lease_release(crowd.leases[0], fixture->now_us);
    assert_int_equal(crowd.recorders[0].count, 1); /* nothing from inside */
    fixture_turn(fixture);
    /* No fence is reserved yet: the store is asked for some. */
    struct store_op *op = fixture_only_op(fixture);
    assert_int_equal(op->verb, STORE_RENEW);
    assert_true(op->fence_block >= 2);
    const struct store_result reserved = {.code = STORE_OK, .fence_end = 100};
    fixture_answer_with(fixture, op, reserved, 0);
    assert_int_equal(recorder_heard(&crowd.recorders[0], 2)->event, LEASE_EVENT_RELEASED);
    assert_int_equal(recorder_heard(&crowd.recorders[1], 2)->event, LEASE_EVENT_GRANTED);
    assert_int_equal(lease_fence(crowd.leases[1]), 11);
    /* From now on hand-offs cost no word, and are written through together. */
    lease_release(crowd.leases[1], fixture->now_us);
    fixture_turn(fixture);
    assert_int_equal(recorder_heard(&crowd.recorders[2], 2)->event, LEASE_EVENT_GRANTED);
    assert_int_equal(lease_fence(crowd.leases[2]), 12);
    fixture_pass(fixture, 20 * CLOCK_US_PER_MS);
    op = fixture_only_op(fixture);
    assert_int_equal(op->verb, STORE_RENEW);
    assert_int_equal(op->fence, 12);
    assert_true(id128_equal(&op->token, &op->tenure)); /* it could not be resumed elsewhere */
    fixture_answer(fixture, op, STORE_OK, 0);
    assert_int_equal(fixture->metrics.leases_handed_on, 2);
    finish(fixture, crowd.leases[2]);
    assert_forgotten(fixture);
}

/* While the store is asked for fences nobody holds the lock, but this server has it. */
static void test_a_wait_that_ends_between_two_leases_found_the_lock_busy(void **state)
{
    struct fixture *fixture = *state;
    struct crowd crowd;
    struct recorder hasty;
    fixture_recorder_init(&hasty);
    gather(fixture, &crowd, 2, 0);
    struct lease_ask ask = fixture_ask();
    ask.wait_until_us = fixture->now_us + CLOCK_US_PER_MS;
    (void)fixture_ask_for(fixture, &ask, &hasty);
    lease_release(crowd.leases[0], fixture->now_us);
    fixture_turn(fixture);
    struct store_op *op = fixture_only_op(fixture);
    fixture_pass(fixture, CLOCK_US_PER_MS);
    const struct lease_report *report = recorder_heard(&hasty, hasty.count);
    assert_int_equal(report->event, LEASE_EVENT_REFUSED);
    assert_int_equal(report->result->code, STORE_BUSY);
    assert_int_equal(report->result->holder.fence, 10);
    fixture_answer_with(fixture, op, (struct store_result){.code = STORE_OK, .fence_end = 100}, 0);
    finish(fixture, crowd.leases[1]);
    assert_forgotten(fixture);
}

static void test_a_run_ends_while_another_server_waits(void **state)
{
    struct fixture *fixture = *state;
    struct crowd crowd;
    gather(fixture, &crowd, 4, 100);
    /* A renewal tells that somebody else waits. */
    fixture_pass(fixture, lease_renewal_us(TTL_MS));
    const struct store_result others = {.code = STORE_OK, .fence_end = 100, .waiting = 1};
    fixture_answer_with(fixture, fixture_op(fixture, STORE_RENEW), others, 0);
    lease_release(crowd.leases[0], fixture->now_us);
    fixture_turn(fixture);
    /* The run has lasted for longer than FIXTURE_RUN_MS: given back, and asked for again behind. */
    assert_int_equal(fixture_op_count(fixture), 2);
    fixture_answer(fixture, fixture_op(fixture, STORE_RELEASE), STORE_OK, 0);
    assert_int_equal(crowd.recorders[0].reports[1].event, LEASE_EVENT_RELEASED);
    struct store_op *op = fixture_only_op(fixture);
    assert_int_equal(op->verb, STORE_ACQUIRE);
    assert_true(op->wants_queue);
    fixture_answer_with(fixture, op, blocked(STORE_QUEUED, S), 0);
    for (size_t i = 3; i > 0; i--) {
        lease_revoke(crowd.leases[i], fixture->now_us);
    }
    fixture_answer(fixture, fixture_op(fixture, STORE_RELEASE), STORE_NOT_HELD, 0);
    fixture_turn(fixture);
    assert_forgotten(fixture);
}

static void test_a_run_is_bounded_in_grants(void **state)
{
    struct fixture *fixture = *state;
    struct crowd crowd;
    const struct lease_ask ask = fixture_ask();
    for (size_t i = 0; i < WAITERS; i++) {
        fixture_recorder_init(&crowd.recorders[i]);
        crowd.leases[i] = fixture_ask_for(fixture, &ask, &crowd.recorders[i]);
    }
    const struct store_result result = {.code = STORE_OK, .fence = 10, .fence_end = 100};
    fixture_answer_with(fixture, fixture_only_op(fixture), result, 0);
    crowd.leases[0]->tenure->inquiry->waiting = 1;
    for (size_t i = 0; i < FIXTURE_RUN_MAX - 1; i++) {
        lease_release(crowd.leases[i], fixture->now_us);
        fixture_turn(fixture);
    }
    assert_int_equal(lease_state(crowd.leases[FIXTURE_RUN_MAX - 1]), LEASE_HELD);
    lease_release(crowd.leases[FIXTURE_RUN_MAX - 1], fixture->now_us);
    fixture_turn(fixture);
    assert_int_equal(lease_state(crowd.leases[FIXTURE_RUN_MAX]), LEASE_WAITING);
    fixture_answer(fixture, fixture_op(fixture, STORE_ACQUIRE), STORE_OK, 0);
    if (fixture_op_count(fixture) > 0) {
        fixture_answer(fixture, fixture_op(fixture, STORE_RELEASE), STORE_OK, 0);
    }
    assert_int_equal(lease_state(crowd.leases[FIXTURE_RUN_MAX]), LEASE_HELD);
    finish(fixture, crowd.leases[FIXTURE_RUN_MAX]);
    assert_forgotten(fixture);
}

static void test_a_waiter_confirms_what_it_hears(void **state)
{
    struct fixture *fixture = *state;
    const struct lease_ask ask = fixture_ask();
    struct lease *lease = fixture_ask_for(fixture, &ask, &fixture->recorder);
    struct store_op *op = fixture_only_op(fixture);
    const struct id128 tenure = op->tenure;
    fixture_answer_with(fixture, op, blocked(STORE_QUEUED, 2 * S), 0);
    fixture_turn(fixture);
    assert_int_equal(fixture_heard(fixture, 1)->event, LEASE_EVENT_QUEUED);
    struct store_listener *listener = fixture->store.listener;
    listener->on_granted(listener, "k", 1, &tenure, fixture->now_us);
    assert_int_equal(lease_state(lease), LEASE_WAITING);
    op = fixture_only_op(fixture);
    assert_int_equal(op->verb, STORE_ACQUIRE);
    assert_true(id128_equal(&op->tenure, &tenure));
    grant(fixture, op, 12, 0);
    assert_int_equal(fixture_heard(fixture, 2)->event, LEASE_EVENT_GRANTED);
    finish(fixture, lease);
    assert_forgotten(fixture);
}

static void test_a_hint_that_crosses_an_answer_is_not_lost(void **state)
{
    struct fixture *fixture = *state;
    const struct lease_ask ask = fixture_ask();
    struct lease *lease = fixture_ask_for(fixture, &ask, &fixture->recorder);
    struct store_op *op = fixture_only_op(fixture);
    struct store_listener *listener = fixture->store.listener;
    listener->on_granted(listener, "k", 1, &op->tenure, fixture->now_us);
    fixture_answer_with(fixture, op, blocked(STORE_QUEUED, 2 * S), 0);
    grant(fixture, fixture_op(fixture, STORE_ACQUIRE), 12, 0);
    assert_int_equal(fixture->recorder.reports[0].event, LEASE_EVENT_GRANTED);
    finish(fixture, lease);
    assert_forgotten(fixture);
}

static void test_whoever_waits_asks_again_when_the_holders_time_is_over(void **state)
{
    struct fixture *fixture = *state;
    const struct lease_ask ask = fixture_ask();
    struct lease *lease = fixture_ask_for(fixture, &ask, &fixture->recorder);
    fixture_answer_with(fixture, fixture_only_op(fixture), blocked(STORE_QUEUED, 2 * S), 0);
    fixture_pass(fixture, 2 * S);
    assert_int_equal(fixture_op_count(fixture), 0);
    fixture_pass(fixture, 2 * CLOCK_US_PER_MS);
    grant(fixture, fixture_op(fixture, STORE_ACQUIRE), 12, 0);
    finish(fixture, lease);
    assert_forgotten(fixture);
}

static void test_whoever_waits_asks_again_after_a_gap_in_the_hints(void **state)
{
    struct fixture *fixture = *state;
    const struct lease_ask ask = fixture_ask();
    struct lease *lease = fixture_ask_for(fixture, &ask, &fixture->recorder);
    fixture_answer_with(fixture, fixture_only_op(fixture), blocked(STORE_BUSY, 60 * S), 0);
    fixture->store.listener->on_subscribed(fixture->store.listener, fixture->now_us);
    fixture_answer_with(fixture, fixture_only_op(fixture), blocked(STORE_QUEUED, 60 * S), 0);
    fixture->store.listener->on_up(fixture->store.listener, fixture->now_us);
    grant(fixture, fixture_only_op(fixture), 12, 0);
    finish(fixture, lease);
    assert_forgotten(fixture);
}

static void test_a_wait_ends_with_who_is_in_the_way(void **state)
{
    struct fixture *fixture = *state;
    struct lease_ask ask = fixture_ask();
    ask.wait_until_us = fixture->now_us + S;
    (void)fixture_ask_for(fixture, &ask, &fixture->recorder);
    fixture_answer_with(fixture, fixture_only_op(fixture), blocked(STORE_QUEUED, 60 * S), 0);
    fixture_pass(fixture, S);
    const struct lease_report *report = fixture_heard(fixture, 2);
    assert_int_equal(report->event, LEASE_EVENT_REFUSED);
    assert_int_equal(report->result->code, STORE_BUSY);
    assert_int_equal(report->result->holder.remaining_us, 59 * S);
    struct store_op *op = fixture_only_op(fixture);
    assert_int_equal(op->verb, STORE_RELEASE);
    assert_true(op->wants_queue);
    fixture_answer(fixture, op, STORE_NOT_HELD, 0);
    fixture_turn(fixture);
    assert_forgotten(fixture);
}

static void test_a_wait_without_an_answer_ends_as_unavailable(void **state)
{
    struct fixture *fixture = *state;
    struct lease_ask ask = fixture_ask();
    ask.wait_until_us = fixture->now_us + S;
    (void)fixture_ask_for(fixture, &ask, &fixture->recorder);
    fixture_pass(fixture, S);
    assert_int_equal(fixture_heard(fixture, 1)->event, LEASE_EVENT_REFUSED);
    assert_int_equal(fixture_heard(fixture, 1)->result->code, STORE_UNAVAILABLE);
    fixture_turn(fixture);
    assert_forgotten(fixture);
}

static void test_the_next_takes_the_place_of_one_that_leaves(void **state)
{
    struct fixture *fixture = *state;
    struct recorder second;
    const struct lease_ask ask = fixture_ask();
    fixture_recorder_init(&second);
    struct lease *first = fixture_ask_for(fixture, &ask, &fixture->recorder);
    struct lease *next = fixture_ask_for(fixture, &ask, &second);
    fixture_send(fixture_only_op(fixture));
    lease_revoke(first, fixture->now_us);
    /* Its grant names somebody who is gone: the next gets one of its own. */
    grant(fixture, fixture_only_op(fixture), 20, 100);
    assert_int_equal(recorder_heard(&second, 1)->event, LEASE_EVENT_GRANTED);
    assert_int_equal(lease_fence(next), 21);
    fixture_pass(fixture, 20 * CLOCK_US_PER_MS);
    assert_int_equal(fixture_op(fixture, STORE_RENEW)->fence, 21);
    fixture_answer(fixture, fixture_op(fixture, STORE_RENEW), STORE_OK, 0);
    finish(fixture, next);
    assert_forgotten(fixture);
}

static void test_the_last_to_leave_leaves_the_stores_queue(void **state)
{
    struct fixture *fixture = *state;
    const struct lease_ask ask = fixture_ask();
    struct lease *lease = fixture_ask_for(fixture, &ask, &fixture->recorder);
    fixture_answer_with(fixture, fixture_only_op(fixture), blocked(STORE_QUEUED, S), 0);
    lease_revoke(lease, fixture->now_us);
    assert_true(fixture_op(fixture, STORE_RELEASE)->wants_queue);
    fixture_answer(fixture, fixture_op(fixture, STORE_RELEASE), STORE_OK, 0); /* it was granted */
    fixture_turn(fixture);
    assert_forgotten(fixture);
}

static void test_waiters_have_a_limit(void **state)
{
    struct fixture *fixture = *state;
    struct crowd crowd;
    struct keeper_problem problem;
    const struct lease_ask ask = fixture_ask();
    gather(fixture, &crowd, 4, 0);
    struct recorder last;
    fixture_recorder_init(&last);
    struct lease *fourth = fixture_ask_for(fixture, &ask, &last);
    assert_null(keeper_acquire(fixture->keeper, &ask, &last.holder, &problem, fixture->now_us));
    assert_int_equal(problem.refusal, KEEPER_WAITERS_MAX);
    lease_revoke(fourth, fixture->now_us);
    for (size_t i = 3; i > 0; i--) {
        lease_revoke(crowd.leases[i], fixture->now_us);
    }
    finish(fixture, crowd.leases[0]);
}

static void test_when_the_tenure_is_lost_the_next_asks(void **state)
{
    struct fixture *fixture = *state;
    struct crowd crowd;
    gather(fixture, &crowd, 2, 100);
    fixture_pass(fixture, lease_renewal_us(TTL_MS));
    fixture_answer(fixture, fixture_op(fixture, STORE_RENEW), STORE_NOT_HELD, 0);
    assert_int_equal(crowd.recorders[0].reports[crowd.recorders[0].count - 1].event,
                     LEASE_EVENT_LOST);
    fixture_turn(fixture);
    grant(fixture, fixture_op(fixture, STORE_ACQUIRE), 50, 0);
    assert_int_equal(lease_fence(crowd.leases[1]), 50);
    finish(fixture, crowd.leases[1]);
    assert_forgotten(fixture);
}

static void test_a_lock_delay_is_kept_from_the_next_too(void **state)
{
    struct fixture *fixture = *state;
    struct recorder second;
    struct lease_ask ask = fixture_ask();
    ask.lock_delay_ms = 500;
    fixture_recorder_init(&second);
    struct lease *first = fixture_ask_for(fixture, &ask, &fixture->recorder);
    grant(fixture, fixture_only_op(fixture), 5, 100);
    struct lease *next = fixture_ask_for(fixture, &ask, &second);
    lease_revoke(first, fixture->now_us);
    fixture_turn(fixture);
    struct store_op *op = fixture_op(fixture, STORE_RELEASE);
    assert_int_equal(op->lock_delay_ms, 500);
    fixture_answer(fixture, op, STORE_OK, 0);
    fixture_answer_with(fixture, fixture_op(fixture, STORE_ACQUIRE), blocked(STORE_QUEUED, S / 2),
                        0);
    assert_int_equal(lease_state(next), LEASE_WAITING);
    lease_revoke(next, fixture->now_us);
    fixture_answer(fixture, fixture_op(fixture, STORE_RELEASE), STORE_NOT_HELD, 0);
    fixture_turn(fixture);
    assert_forgotten(fixture);
}

static void test_max_hold_ends_a_lease_and_serves_the_next(void **state)
{
    struct fixture *fixture = *state;
    struct recorder second;
    struct lease_ask ask = fixture_ask();
    ask.max_hold_ms = 400;
    fixture_recorder_init(&second);
    struct lease *lease = fixture_ask_for(fixture, &ask, &fixture->recorder);
    struct lease *next = fixture_ask_for(fixture, &ask, &second);
    grant(fixture, fixture_only_op(fixture), 5, 100);
    assert_int_equal(lease_deadline_us(lease), fixture->now_us + 400 * CLOCK_US_PER_MS);
    fixture_pass(fixture, 400 * CLOCK_US_PER_MS);
    const struct recorder *recorder = &fixture->recorder;
    assert_int_equal(recorder->reports[recorder->count - 1].event, LEASE_EVENT_LOST);
    assert_int_equal(recorder->reports[recorder->count - 1].loss, LEASE_LOSS_MAX_HOLD);
    fixture_turn(fixture);
    assert_int_equal(lease_fence(next), 6);
    lease_revoke(next, fixture->now_us);
    fixture_turn(fixture);
    fixture_answer(fixture, fixture_op(fixture, STORE_RELEASE), STORE_OK, 0);
    fixture_turn(fixture);
    assert_forgotten(fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
        TEST(test_a_free_lock_is_granted_without_a_word_of_waiting),
        TEST(test_a_wait_outlives_a_store_in_trouble),
        TEST(test_the_others_ask_the_store_nothing),
        TEST(test_a_release_hands_on_in_memory),
        TEST(test_a_wait_that_ends_between_two_leases_found_the_lock_busy),
        TEST(test_a_run_ends_while_another_server_waits),
        TEST(test_a_run_is_bounded_in_grants),
        TEST(test_a_waiter_confirms_what_it_hears),
        TEST(test_a_hint_that_crosses_an_answer_is_not_lost),
        TEST(test_whoever_waits_asks_again_when_the_holders_time_is_over),
        TEST(test_whoever_waits_asks_again_after_a_gap_in_the_hints),
        TEST(test_a_wait_ends_with_who_is_in_the_way),
        TEST(test_a_wait_without_an_answer_ends_as_unavailable),
        TEST(test_the_next_takes_the_place_of_one_that_leaves),
        TEST(test_the_last_to_leave_leaves_the_stores_queue),
        TEST(test_waiters_have_a_limit),
        TEST(test_when_the_tenure_is_lost_the_next_asks),
        TEST(test_a_lock_delay_is_kept_from_the_next_too),
        TEST(test_max_hold_ends_a_lease_and_serves_the_next),
#undef TEST
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
