/* SPDX-License-Identifier: Apache-2.0 */
/* SHARED locks, and leases that outlive their holder or come back: resume, grace, detached. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "fixture.h"
#include "lease/keeper_internal.h"

#define S CLOCK_US_PER_S

static void assert_forgotten(struct fixture *fixture)
{
    assert_int_equal(keeper_count(fixture->keeper), 0);
    assert_int_equal(fixture_op_count(fixture), 0);
    assert_int_equal(wheel_next_us(fixture->wheel), CLOCK_NEVER);
}

static const struct store_result queued = {
    .code = STORE_QUEUED,
    .holder = {.is_held = true, .holders = 1, .remaining_us = S},
};

static const struct store_result busy = {
    .code = STORE_BUSY,
    .holder = {.is_held = true, .holders = 1, .remaining_us = S},
};

static struct lease_ask reader(void)
{
    struct lease_ask ask = fixture_ask();
    ask.mode = STORE_SHARED;
    return ask;
}

static void finish(struct fixture *fixture, struct lease *lease)
{
    lease_revoke(lease, fixture->now_us);
    fixture_turn(fixture);
    fixture_answer(fixture, fixture_op(fixture, STORE_RELEASE), STORE_OK, 0);
    fixture_turn(fixture);
}

static void test_readers_ask_together(void **state)
{
    struct fixture *fixture = *state;
    struct recorder recorders[3];
    struct lease *leases[3];
    const struct lease_ask ask = reader();
    for (size_t i = 0; i < 3; i++) {
        fixture_recorder_init(&recorders[i]);
        leases[i] = fixture_ask_for(fixture, &ask, &recorders[i]);
    }
    assert_int_equal(fixture_op_count(fixture), 3);
    assert_true(TAILQ_FIRST(&fixture->ops)->wants_queue);
    assert_false(TAILQ_NEXT(TAILQ_FIRST(&fixture->ops), link)->wants_queue);
    for (size_t i = 0; i < 3; i++) {
        fixture_answer(fixture, TAILQ_FIRST(&fixture->ops), STORE_OK, 0);
        assert_int_equal(recorder_heard(&recorders[i], 1)->event, LEASE_EVENT_GRANTED);
    }
    fixture_turn(fixture);
    for (size_t i = 0; i < 3; i++) {
        finish(fixture, leases[i]);
    }
    assert_forgotten(fixture);
}

/* By it the store knows which of the holders goes. */
static void test_the_end_of_a_reader_names_its_token(void **state)
{
    struct fixture *fixture = *state;
    struct recorder recorder;
    const struct lease_ask ask = reader();
    for (int renewals = 0; renewals < 2; renewals++) {
        fixture_recorder_init(&recorder);
        struct lease *lease = fixture_ask_for(fixture, &ask, &recorder);
        const struct id128 token = *lease_token(lease);
        fixture_answer(fixture, fixture_op(fixture, STORE_ACQUIRE), STORE_OK, 0);
        if (renewals > 0) {
            fixture_pass(fixture, lease_renewal_us(ask.ttl_ms));
            assert_true(id128_equal(&fixture_op(fixture, STORE_RENEW)->token, &token));
            fixture_answer(fixture, fixture_op(fixture, STORE_RENEW), STORE_OK, 0);
        }
        lease_revoke(lease, fixture->now_us);
        const struct store_op *op = fixture_op(fixture, STORE_RELEASE);
        assert_true(id128_equal(&op->token, &token));
        assert_int_equal(op->mode, STORE_SHARED);
        assert_int_equal(op->ttl_ms, ask.ttl_ms);
        fixture_answer(fixture, fixture_op(fixture, STORE_RELEASE), STORE_OK, 0);
        fixture_turn(fixture);
        assert_forgotten(fixture);
    }
}

static void test_readers_that_are_refused_wait_for_the_first(void **state)
{
    struct fixture *fixture = *state;
    struct recorder second;
    const struct lease_ask ask = reader();
    fixture_recorder_init(&second);
    struct lease *first = fixture_ask_for(fixture, &ask, &fixture->recorder);
    struct lease *next = fixture_ask_for(fixture, &ask, &second);
    struct store_op *op = TAILQ_FIRST(&fixture->ops);
    const struct id128 tenure = op->tenure;
    fixture_answer_with(fixture, op, queued, 0);
    fixture_answer_with(fixture, fixture_only_op(fixture), busy, 0);
    fixture_turn(fixture);
    assert_int_equal(fixture_op_count(fixture), 0);
    assert_int_equal(recorder_heard(&second, 1)->event, LEASE_EVENT_QUEUED);
    struct store_listener *listener = fixture->store.listener;
    listener->on_granted(listener, "k", 1, &tenure, fixture->now_us);
    fixture_answer(fixture, fixture_only_op(fixture), STORE_OK, 0);
    fixture_turn(fixture);
    assert_true(fixture_only_op(fixture)->wants_queue);
    fixture_answer(fixture, fixture_only_op(fixture), STORE_OK, 0);
    assert_int_equal(lease_state(next), LEASE_HELD);
    finish(fixture, first);
    finish(fixture, next);
    assert_forgotten(fixture);
}

static void test_a_reader_waits_behind_a_writer(void **state)
{
    struct fixture *fixture = *state;
    struct recorder others[2];
    const struct lease_ask write = fixture_ask();
    const struct lease_ask read = reader();
    fixture_recorder_init(&others[0]);
    fixture_recorder_init(&others[1]);
    struct lease *first = fixture_ask_for(fixture, &read, &fixture->recorder);
    fixture_answer(fixture, fixture_only_op(fixture), STORE_OK, 0);
    struct lease *writer = fixture_ask_for(fixture, &write, &others[0]);
    struct lease *last = fixture_ask_for(fixture, &read, &others[1]);
    fixture_answer_with(fixture, fixture_only_op(fixture), queued, 0);
    fixture_turn(fixture);
    assert_int_equal(fixture_op_count(fixture), 0);
    lease_release(first, fixture->now_us);
    fixture_answer(fixture, fixture_op(fixture, STORE_RELEASE), STORE_OK, 0);
    struct store_listener *listener = fixture->store.listener;
    listener->on_granted(listener, "k", 1, &writer->tenure->id, fixture->now_us);
    fixture_answer(fixture, fixture_op(fixture, STORE_ACQUIRE), STORE_OK, 0);
    assert_int_equal(lease_state(writer), LEASE_HELD);
    assert_int_equal(lease_state(last), LEASE_WAITING);
    /* A reader cannot take over what a writer had: the store is asked. */
    lease_release(writer, fixture->now_us);
    fixture_turn(fixture);
    fixture_answer(fixture, fixture_op(fixture, STORE_RELEASE), STORE_OK, 0);
    fixture_answer(fixture, fixture_op(fixture, STORE_ACQUIRE), STORE_OK, 0);
    assert_int_equal(lease_state(last), LEASE_HELD);
    finish(fixture, last);
    assert_forgotten(fixture);
}

static void test_permits_are_asked_for_one_by_one(void **state)
{
    struct fixture *fixture = *state;
    struct recorder second;
    struct lease_ask ask = reader();
    ask.limit = 2;
    fixture_recorder_init(&second);
    struct lease *first = fixture_ask_for(fixture, &ask, &fixture->recorder);
    struct lease *next = fixture_ask_for(fixture, &ask, &second);
    assert_int_equal(fixture_only_op(fixture)->limit, 2);
    fixture_answer(fixture, fixture_only_op(fixture), STORE_OK, 0);
    fixture_turn(fixture);
    fixture_answer(fixture, fixture_only_op(fixture), STORE_OK, 0);
    assert_int_equal(lease_state(next), LEASE_HELD);
    finish(fixture, first);
    finish(fixture, next);
    assert_forgotten(fixture);
}

static struct lease *resume_for(struct fixture *fixture, const struct id128 *token,
                                struct recorder *recorder)
{
    struct keeper_problem problem;
    struct lease_ask ask = fixture_ask();
    ask.token = token;
    return keeper_resume(fixture->keeper, &ask, &recorder->holder, &problem, fixture->now_us);
}

static struct lease *hold_with_grace(struct fixture *fixture, struct recorder *recorder)
{
    struct lease_ask ask = fixture_ask();
    ask.grace_ms = 2000;
    struct lease *lease = fixture_ask_for(fixture, &ask, recorder);
    fixture_answer(fixture, fixture_only_op(fixture), STORE_OK, 0);
    return lease;
}

/* What this server may hand on in memory, another must not take over: the store never sees a token
 * that somebody has. */
static void test_only_a_lease_with_grace_can_be_resumed(void **state)
{
    struct fixture *fixture = *state;
    struct recorder second;
    fixture_recorder_init(&second);
    struct lease *lease = fixture_acquire(fixture, 3000);
    const struct store_op *op = fixture_only_op(fixture);
    assert_true(id128_equal(&op->token, &op->tenure));
    assert_false(id128_equal(&op->token, lease_token(lease)));
    lease_revoke(lease, fixture->now_us);

    struct lease_ask ask = fixture_ask();
    ask.grace_ms = 1;
    lease = fixture_ask_for(fixture, &ask, &second);
    op = fixture_only_op(fixture);
    assert_true(id128_equal(&op->token, lease_token(lease)));
    lease_revoke(lease, fixture->now_us);
}

/* The store keeps the token of what was resumed, so it is not handed on in memory either. */
static void test_a_resumed_lease_is_not_handed_on_in_memory(void **state)
{
    struct fixture *fixture = *state;
    const struct id128 token = id128_random();
    struct recorder second;
    fixture_recorder_init(&second);
    struct lease *lease = resume_for(fixture, &token, &fixture->recorder);
    fixture_answer_with(fixture, fixture_only_op(fixture),
                        (struct store_result){.code = STORE_OK, .fence = 10, .fence_end = 100}, 0);
    struct lease_ask ask = fixture_ask();
    ask.wait_until_us = fixture->now_us + 10 * S;
    struct lease *next = fixture_ask_for(fixture, &ask, &second);
    lease_release(lease, fixture->now_us);
    fixture_turn(fixture);
    assert_int_equal(lease_state(next), LEASE_WAITING);
    fixture_answer(fixture, fixture_op(fixture, STORE_RELEASE), STORE_OK, 0);
    fixture_answer(fixture, fixture_op(fixture, STORE_ACQUIRE), STORE_OK, 0);
    assert_int_equal(lease_state(next), LEASE_HELD);
    finish(fixture, next);
    assert_forgotten(fixture);
}

static void test_a_lease_with_grace_outlives_its_holder_and_comes_back(void **state)
{
    struct fixture *fixture = *state;
    struct recorder second;
    fixture_recorder_init(&second);
    struct lease *lease = hold_with_grace(fixture, &fixture->recorder);
    const struct id128 token = *lease_token(lease);
    lease_abandon(lease, fixture->now_us);
    assert_ptr_equal(keeper_find(fixture->keeper, "k", 1, &token), lease);
    assert_int_equal(lease_state(lease), LEASE_ORPHANED);
    fixture_pass(fixture, S + S / 2); /* it is renewed */
    fixture_answer(fixture, fixture_op(fixture, STORE_RENEW), STORE_OK, 0);
    /* Only the store knows whether it has been resumed elsewhere meanwhile. */
    lease = resume_for(fixture, &token, &second);
    fixture_answer(fixture, fixture_op(fixture, STORE_RESUME), STORE_OK, 0);
    fixture_answer(fixture, fixture_op(fixture, STORE_RELEASE), STORE_NOT_HELD, 0); /* as it was */
    fixture_pass(fixture, S / 2);
    assert_int_equal(lease_state(lease), LEASE_HELD);
    fixture_heard(fixture, 1);
    finish(fixture, lease);
    assert_forgotten(fixture);
}

static void test_grace_ends(void **state)
{
    struct fixture *fixture = *state;
    lease_abandon(hold_with_grace(fixture, &fixture->recorder), fixture->now_us);
    fixture_pass(fixture, S + S / 2);
    fixture_answer(fixture, fixture_op(fixture, STORE_RENEW), STORE_OK, 0);
    fixture_pass(fixture, S / 2);
    fixture_answer(fixture, fixture_op(fixture, STORE_RELEASE), STORE_OK, 0);
    assert_forgotten(fixture);
}

static void test_resuming_from_a_living_holder_tells_it(void **state)
{
    struct fixture *fixture = *state;
    struct recorder second;
    fixture_recorder_init(&second);
    const struct id128 token = *lease_token(hold_with_grace(fixture, &fixture->recorder));
    struct lease *lease = resume_for(fixture, &token, &second);
    fixture_heard(fixture, 1);
    fixture_answer(fixture, fixture_op(fixture, STORE_RESUME), STORE_OK, 0);
    assert_int_equal(fixture_heard(fixture, 2)->loss, LEASE_LOSS_RESUMED);
    assert_int_equal(recorder_heard(&second, 1)->event, LEASE_EVENT_GRANTED);
    fixture_answer(fixture, fixture_op(fixture, STORE_RELEASE), STORE_NOT_HELD, 0);
    finish(fixture, lease);
    assert_forgotten(fixture);
}

static void test_whoever_goes_again_while_coming_back_has_a_new_grace(void **state)
{
    struct fixture *fixture = *state;
    const struct id128 token = id128_random();
    struct lease_ask ask = fixture_ask();
    struct keeper_problem problem;
    ask.token = &token;
    ask.grace_ms = 900;
    struct lease *lease =
        keeper_resume(fixture->keeper, &ask, &fixture->recorder.holder, &problem, fixture->now_us);
    fixture_send(fixture_only_op(fixture));
    lease_abandon(lease, fixture->now_us);
    fixture_answer(fixture, fixture_only_op(fixture), STORE_OK, 0);
    assert_int_equal(lease_state(lease), LEASE_ORPHANED);
    assert_int_equal(fixture->recorder.count, 0);
    fixture_pass(fixture, 900 * CLOCK_US_PER_MS);
    fixture_answer(fixture, fixture_op(fixture, STORE_RELEASE), STORE_OK, 0);
    assert_forgotten(fixture);
}

static struct lease *resume(struct fixture *fixture, const struct id128 *token)
{
    return resume_for(fixture, token, &fixture->recorder);
}

static void test_a_lease_of_another_server_is_resumed(void **state)
{
    struct fixture *fixture = *state;
    const struct id128 token = id128_random();
    struct lease *lease = resume(fixture, &token);
    struct store_op *op = fixture_only_op(fixture);
    size_t length = 0;
    assert_int_equal(op->verb, STORE_RESUME);
    assert_true(id128_equal(&op->token, &token));
    const struct store_result found = {
        .code = STORE_OK,
        .fence = 44,
        .since_ms = 5,
        .holder = {.mode = STORE_SHARED,
                   .label = "me",
                   .label_length = 2,
                   .value = "v",
                   .value_length = 1},
    };
    fixture_answer_with(fixture, op, found, 0);
    assert_int_equal(fixture_heard(fixture, 1)->event, LEASE_EVENT_GRANTED);
    assert_int_equal(lease_fence(lease), 44);
    assert_int_equal(lease_mode(lease), STORE_SHARED);
    assert_memory_equal(lease_label(lease, &length), "me", 2);
    assert_memory_equal(lease_value(lease, &length), "v", 1);
    fixture_pass(fixture, S);
    assert_int_equal(fixture_only_op(fixture)->mode, STORE_SHARED);
    assert_int_equal(fixture_only_op(fixture)->value_length, 1);
    fixture_answer(fixture, fixture_only_op(fixture), STORE_OK, 0);
    finish(fixture, lease);
    assert_forgotten(fixture);
}

static void test_a_lease_that_is_gone_cannot_be_resumed(void **state)
{
    struct fixture *fixture = *state;
    const struct id128 token = id128_random();
    (void)resume(fixture, &token);
    fixture_answer(fixture, fixture_only_op(fixture), STORE_NOT_HELD, 0);
    assert_int_equal(fixture_heard(fixture, 1)->result->code, STORE_NOT_HELD);
    assert_forgotten(fixture);
}

static struct lease *ask_detached(struct fixture *fixture, const struct id128 *token)
{
    struct lease_ask ask = fixture_ask();
    ask.is_detached = true;
    ask.token = token;
    ask.may_be_retried = token != NULL;
    return fixture_ask_for(fixture, &ask, &fixture->recorder);
}

static void test_a_detached_lease_leaves_nothing_here(void **state)
{
    struct fixture *fixture = *state;
    const struct id128 token = id128_random();
    (void)ask_detached(fixture, &token);
    assert_true(id128_equal(&fixture_only_op(fixture)->tenure, &token));
    fixture_answer(fixture, fixture_only_op(fixture), STORE_OK, 0);
    assert_int_equal(fixture_heard(fixture, 1)->event, LEASE_EVENT_GRANTED);
    assert_forgotten(fixture);
}

static void test_an_abandoned_detached_grant_stays_only_if_it_may_be_retried(void **state)
{
    struct fixture *fixture = *state;
    const struct id128 token = id128_random();
    for (int i = 0; i < 2; i++) {
        struct lease *lease = ask_detached(fixture, i == 0 ? &token : NULL);
        fixture_send(fixture_only_op(fixture));
        lease_revoke(lease, fixture->now_us);
        fixture_answer(fixture, fixture_only_op(fixture), STORE_OK, 0);
        if (i == 1) {
            fixture_answer(fixture, fixture_op(fixture, STORE_RELEASE), STORE_OK, 0);
        }
        assert_forgotten(fixture);
    }
}

static void test_a_detached_waiter_leaves_the_queue(void **state)
{
    struct fixture *fixture = *state;
    struct lease *lease = ask_detached(fixture, NULL);
    fixture_answer_with(fixture, fixture_only_op(fixture), queued, 0);
    lease_revoke(lease, fixture->now_us);
    fixture_answer(fixture, fixture_op(fixture, STORE_RELEASE), STORE_NOT_HELD, 0);
    fixture_turn(fixture);
    assert_forgotten(fixture);
}

static void assert_leaves(const struct store_op *op, const struct id128 *token)
{
    assert_int_equal(op->verb, STORE_RELEASE);
    assert_true(op->keeps_lock);
    assert_true(op->wants_queue);
    assert_true(id128_equal(&op->tenure, token));
}

static void test_a_detached_waiter_leaves_the_queue_but_not_what_a_retry_may_have(void **state)
{
    struct fixture *fixture = *state;
    const struct id128 token = id128_random();
    struct lease *lease = ask_detached(fixture, &token);
    fixture_answer_with(fixture, fixture_only_op(fixture), queued, 0);
    lease_revoke(lease, fixture->now_us);
    assert_leaves(fixture_only_op(fixture), &token);
    fixture_answer(fixture, fixture_only_op(fixture), STORE_OK, 0);
    fixture_turn(fixture);
    assert_forgotten(fixture);
}

static void test_a_wait_that_is_over_leaves_the_queue_until_that_is_settled(void **state)
{
    struct fixture *fixture = *state;
    const struct id128 token = id128_random();
    struct lease_ask ask = fixture_ask();
    ask.is_detached = true;
    ask.token = &token;
    ask.may_be_retried = true;
    ask.wait_until_us = fixture->now_us + CLOCK_US_PER_MS;
    (void)fixture_ask_for(fixture, &ask, &fixture->recorder);
    fixture_send(fixture_only_op(fixture));
    fixture_pass(fixture, CLOCK_US_PER_MS);
    assert_int_equal(fixture_heard(fixture, 1)->event, LEASE_EVENT_REFUSED);
    fixture_answer(fixture, fixture_only_op(fixture), STORE_UNKNOWN, 0);
    assert_leaves(fixture_only_op(fixture), &token);
    fixture_answer(fixture, fixture_only_op(fixture), STORE_UNKNOWN, 0);
    assert_leaves(fixture_only_op(fixture), &token);
    fixture_answer(fixture, fixture_only_op(fixture), STORE_OK, 0);
    assert_int_equal(fixture_op_count(fixture), 0);
    fixture_pass(fixture, STORE_LATE_US); /* what was not answered has run, or never will */
    assert_leaves(fixture_only_op(fixture), &token);
    fixture_answer(fixture, fixture_only_op(fixture), STORE_OK, 0);
    fixture_turn(fixture);
    assert_forgotten(fixture);
}

static void test_a_retry_here_stands_in_the_queue_again(void **state)
{
    struct fixture *fixture = *state;
    const struct id128 token = id128_random();
    struct store_result behind = queued;
    behind.holder.remaining_us = 60 * S;
    struct lease *first = ask_detached(fixture, &token);
    fixture_answer_with(fixture, fixture_only_op(fixture), behind, 0);
    lease_revoke(first, fixture->now_us);
    struct store_op *leave = fixture_only_op(fixture);
    fixture_send(leave);
    (void)ask_detached(fixture, &token);
    fixture_answer_with(fixture, fixture_op(fixture, STORE_ACQUIRE), behind, 0);
    fixture_answer(fixture, leave, STORE_UNKNOWN, 0); /* perhaps it runs only now */
    fixture_answer(fixture, fixture_only_op(fixture), STORE_OK, 0);
    fixture_pass(fixture, STORE_LATE_US);
    assert_leaves(fixture_only_op(fixture), &token);
    fixture_answer(fixture, fixture_only_op(fixture), STORE_OK, 0);
    fixture_answer(fixture, fixture_op(fixture, STORE_ACQUIRE), STORE_OK, 0);
    assert_int_equal(fixture->recorder.reports[fixture->recorder.count - 1].event,
                     LEASE_EVENT_GRANTED);
    assert_forgotten(fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
        TEST(test_readers_ask_together),
        TEST(test_the_end_of_a_reader_names_its_token),
        TEST(test_readers_that_are_refused_wait_for_the_first),
        TEST(test_a_reader_waits_behind_a_writer),
        TEST(test_permits_are_asked_for_one_by_one),
        TEST(test_only_a_lease_with_grace_can_be_resumed),
        TEST(test_a_resumed_lease_is_not_handed_on_in_memory),
        TEST(test_a_lease_with_grace_outlives_its_holder_and_comes_back),
        TEST(test_grace_ends),
        TEST(test_resuming_from_a_living_holder_tells_it),
        TEST(test_whoever_goes_again_while_coming_back_has_a_new_grace),
        TEST(test_a_lease_of_another_server_is_resumed),
        TEST(test_a_lease_that_is_gone_cannot_be_resumed),
        TEST(test_a_detached_lease_leaves_nothing_here),
        TEST(test_an_abandoned_detached_grant_stays_only_if_it_may_be_retried),
        TEST(test_a_detached_waiter_leaves_the_queue),
        TEST(test_a_detached_waiter_leaves_the_queue_but_not_what_a_retry_may_have),
        TEST(test_a_wait_that_is_over_leaves_the_queue_until_that_is_settled),
        TEST(test_a_retry_here_stands_in_the_queue_again),
#undef TEST
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
