/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "fixture.h"
#include "lease/keeper_internal.h"

#define TTL_MS ((int64_t)3000)
#define S      CLOCK_US_PER_S

/* The lease has gone from memory and left nothing anywhere. */
static void assert_forgotten(struct fixture *fixture)
{
    assert_int_equal(keeper_count(fixture->keeper), 0);
    assert_int_equal(fixture_op_count(fixture), 0);
    assert_int_equal(wheel_next_us(fixture->wheel), CLOCK_NEVER);
}

/* The store is asked to release, once, and does. */
static void finish_release(struct fixture *fixture)
{
    assert_int_equal(fixture_only_op(fixture)->verb, STORE_RELEASE);
    fixture_answer(fixture, fixture_only_op(fixture), STORE_OK, 0);
}

static void renewing(struct fixture *fixture)
{
    fixture_pass(fixture, lease_renewal_us(TTL_MS));
    assert_int_equal(fixture_only_op(fixture)->verb, STORE_RENEW);
}

static void test_an_acquire_says_who_asks_for_what(void **state)
{
    struct fixture *fixture = *state;
    struct lease *lease = fixture_acquire(fixture, TTL_MS);
    const struct store_op *op = fixture_only_op(fixture);
    assert_int_equal(op->verb, STORE_ACQUIRE);
    assert_int_equal(op->key_length, 1);
    assert_memory_equal(op->key, "k", 1);
    assert_int_equal(op->label_length, 2);
    assert_memory_equal(op->label, "me", 2);
    assert_int_equal(op->ttl_ms, TTL_MS);
    assert_false(id128_equal(&lease->token, &op->tenure));
    assert_int_equal(lease->state, LEASE_WAITING);
    lease_revoke(lease, fixture->now_us);
}

static void test_every_attempt_has_its_own_tenure(void **state)
{
    struct fixture *fixture = *state;
    struct lease *first = fixture_acquire(fixture, TTL_MS);
    struct lease *second = fixture_acquire(fixture, TTL_MS);
    assert_false(id128_equal(&first->tenure->id, &second->tenure->id));
    assert_false(id128_equal(&first->token, &second->token));
    lease_revoke(first, fixture->now_us);
    lease_revoke(second, fixture->now_us);
}

static void test_a_grant_counts_from_its_sending(void **state)
{
    struct fixture *fixture = *state;
    struct lease *lease = fixture_acquire(fixture, TTL_MS);
    fixture_answer(fixture, fixture_only_op(fixture), STORE_OK, 300);
    assert_int_equal(fixture_heard(fixture, 1)->event, LEASE_EVENT_GRANTED);
    assert_int_equal(lease->state, LEASE_HELD);
    assert_int_equal(lease->fence, 7);
    assert_int_equal(lease->since_ms, 1234);
    assert_int_equal(lease_deadline_us(lease), fixture->now_us - 300 + lease_validity_us(TTL_MS));
    assert_int_equal(fixture->metrics.leases_granted, 1);
    lease_revoke(lease, fixture->now_us);
    finish_release(fixture);
}

static void test_a_busy_lock_is_refused(void **state)
{
    struct fixture *fixture = *state;
    (void)fixture_acquire(fixture, TTL_MS);
    const struct store_result busy = {
        .code = STORE_BUSY,
        .holder = {.is_held = true, .remaining_us = 5, .label = "you", .label_length = 3},
    };
    fixture_answer_with(fixture, fixture_only_op(fixture), busy, 0);
    const struct lease_report *report = fixture_heard(fixture, 1);
    assert_int_equal(report->event, LEASE_EVENT_REFUSED);
    assert_int_equal(report->result->code, STORE_BUSY);
    assert_int_equal(report->result->holder.remaining_us, 5);
    assert_int_equal(fixture->metrics.leases_busy, 1);
    assert_forgotten(fixture);
}

static void test_other_refusals_are_told(void **state)
{
    static const enum store_code codes[] = {STORE_WRONG_TYPE, STORE_UNAVAILABLE};
    struct fixture *fixture = *state;
    for (size_t i = 0; i < 2; i++) {
        (void)fixture_acquire(fixture, TTL_MS);
        fixture_answer(fixture, fixture_only_op(fixture), codes[i], 0);
        assert_int_equal(fixture_heard(fixture, i + 1)->event, LEASE_EVENT_REFUSED);
        assert_int_equal(fixture_heard(fixture, i + 1)->result->code, codes[i]);
        assert_forgotten(fixture);
    }
    assert_int_equal(fixture->metrics.leases_busy, 0);
}

static void test_a_grant_that_comes_too_late_is_given_back(void **state)
{
    struct fixture *fixture = *state;
    (void)fixture_acquire(fixture, TTL_MS);
    fixture_answer(fixture, fixture_only_op(fixture), STORE_OK, lease_validity_us(TTL_MS));
    const struct lease_report *report = fixture_heard(fixture, 1);
    assert_int_equal(report->event, LEASE_EVENT_REFUSED);
    assert_int_equal(report->result->code, STORE_UNAVAILABLE);
    assert_string_equal(report->result->detail, "the answer came too late");
    finish_release(fixture);
    assert_forgotten(fixture);
}

static void test_a_grant_in_the_last_microsecond_counts(void **state)
{
    struct fixture *fixture = *state;
    struct lease *lease = fixture_acquire(fixture, TTL_MS);
    fixture_answer(fixture, fixture_only_op(fixture), STORE_OK, lease_validity_us(TTL_MS) - 1);
    assert_int_equal(fixture_heard(fixture, 1)->event, LEASE_EVENT_GRANTED);
    assert_true(lease_is_valid(lease, fixture->now_us));
    assert_false(lease_is_valid(lease, fixture->now_us + 1));
    wheel_run(fixture->wheel, fixture->now_us);
    assert_int_equal(fixture_heard(fixture, 2)->event, LEASE_EVENT_AT_RISK);
    fixture_pass(fixture, 1);
    assert_int_equal(fixture_heard(fixture, 3)->event, LEASE_EVENT_LOST);
}

static void test_a_refusal_after_an_unknown_try_is_cleaned_up(void **state)
{
    struct fixture *fixture = *state;
    (void)fixture_acquire(fixture, TTL_MS);
    fixture_answer(fixture, fixture_only_op(fixture), STORE_UNKNOWN, 0);
    fixture_answer(fixture, fixture_only_op(fixture), STORE_BUSY, 0);
    assert_int_equal(fixture_heard(fixture, 1)->event, LEASE_EVENT_REFUSED);
    finish_release(fixture); /* at once, and again when the first try must have run */
    assert_int_equal(keeper_count(fixture->keeper), 1);
    fixture_pass(fixture, STORE_LATE_US);
    finish_release(fixture);
    assert_forgotten(fixture);
}

static void test_renewals_go_on_and_on(void **state)
{
    struct fixture *fixture = *state;
    struct lease *lease = fixture_hold(fixture, TTL_MS);
    for (int i = 0; i < 5; i++) {
        renewing(fixture);
        assert_int_equal(lease->tenure->state, TENURE_RENEWING);
        const struct store_op *op = fixture_only_op(fixture);
        assert_int_equal(op->fence, 7);
        assert_int_equal(op->since_ms, 1234);
        const int64_t sent_us = fixture->now_us;
        fixture_answer(fixture, fixture_only_op(fixture), STORE_OK, 0);
        assert_int_equal(lease->state, LEASE_HELD);
        assert_int_equal(lease_deadline_us(lease), sent_us + lease_validity_us(TTL_MS));
    }
    fixture_heard(fixture, 1);
    assert_int_equal(fixture->metrics.renewals_confirmed, 5);
    lease_revoke(lease, fixture->now_us);
}

static void test_a_renewal_credits_only_from_its_sending(void **state)
{
    struct fixture *fixture = *state;
    struct lease *lease = fixture_hold(fixture, TTL_MS);
    const int64_t deadline_us = lease_deadline_us(lease);
    renewing(fixture);
    fixture_pass(fixture, S / 2);
    fixture_answer(fixture, fixture_only_op(fixture), STORE_OK, S / 2);
    assert_int_equal(lease_deadline_us(lease), deadline_us + S);
    renewing(fixture); /* due a third of the ttl after the sending, so a little sooner */
    fixture_answer(fixture, fixture_only_op(fixture), STORE_OK, 10 * S); /* never backwards */
    assert_int_equal(lease_deadline_us(lease), deadline_us + S);
    lease_revoke(lease, fixture->now_us);
}

static void test_a_confirmed_renewal_ends_the_risk(void **state)
{
    struct fixture *fixture = *state;
    struct lease *lease = fixture_hold(fixture, TTL_MS);
    fixture_pass(fixture, lease_at_risk_us(TTL_MS));
    assert_int_equal(fixture_heard(fixture, 2)->event, LEASE_EVENT_AT_RISK);
    assert_true(lease->tenure->is_at_risk);
    assert_int_equal(fixture->metrics.leases_at_risk, 1);
    fixture_answer(fixture, fixture_only_op(fixture), STORE_OK, 0);
    assert_int_equal(fixture_heard(fixture, 3)->event, LEASE_EVENT_RENEWED);
    assert_false(lease->tenure->is_at_risk);
    fixture_pass(fixture, lease_renewal_us(TTL_MS) - 1);
    assert_int_equal(fixture_op_count(fixture), 0);
    fixture_pass(fixture, lease_at_risk_us(TTL_MS) - lease_renewal_us(TTL_MS) + 1);
    assert_int_equal(fixture_heard(fixture, 4)->event, LEASE_EVENT_AT_RISK);
    lease_revoke(lease, fixture->now_us);
}

static void test_a_lease_that_is_taken_is_lost_at_once(void **state)
{
    static const enum store_code codes[] = {STORE_NOT_HELD, STORE_WRONG_TYPE};
    struct fixture *fixture = *state;
    for (size_t i = 0; i < 2; i++) {
        fixture->recorder.count = 0;
        (void)fixture_hold(fixture, TTL_MS);
        renewing(fixture);
        fixture_answer(fixture, fixture_only_op(fixture), codes[i], 0);
        assert_int_equal(fixture_heard(fixture, 2)->event, LEASE_EVENT_LOST);
        assert_int_equal(fixture_heard(fixture, 2)->loss, LEASE_LOSS_TAKEN);
        assert_forgotten(fixture);
        assert_int_equal(fixture->metrics.leases_lost, i + 1);
    }
}

static void test_an_expired_lease_withdraws_its_renewal_and_cleans_up(void **state)
{
    struct fixture *fixture = *state;
    (void)fixture_hold(fixture, TTL_MS);
    fixture_pass(fixture, lease_validity_us(TTL_MS));
    assert_int_equal(fixture_heard(fixture, 3)->loss, LEASE_LOSS_EXPIRED);
    finish_release(fixture);
    assert_forgotten(fixture);
}

static void test_a_cleanup_is_bounded(void **state)
{
    struct fixture *fixture = *state;
    (void)fixture_hold(fixture, TTL_MS);
    fixture_pass(fixture, lease_validity_us(TTL_MS));
    assert_int_equal(fixture_only_op(fixture)->verb, STORE_RELEASE);
    fixture_pass(fixture, STORE_LATE_US + TTL_MS * CLOCK_US_PER_MS); /* the store is away */
    assert_forgotten(fixture);
}

static void test_the_store_cannot_revive_an_expired_lease(void **state)
{
    struct fixture *fixture = *state;
    (void)fixture_hold(fixture, TTL_MS);
    renewing(fixture);
    fixture_send(fixture_only_op(fixture));
    fixture_pass(fixture, lease_validity_us(TTL_MS));
    assert_int_equal(fixture_heard(fixture, 3)->event, LEASE_EVENT_LOST);
    fixture_answer(fixture, fixture_only_op(fixture), STORE_OK, S / 2);
    fixture_heard(fixture, 3);
    finish_release(fixture);
    assert_forgotten(fixture);
}

/* The process was stopped, and the answer is read before the timers fire. */
static void test_a_late_renewal_is_lost_even_before_the_timer_fires(void **state)
{
    struct fixture *fixture = *state;
    (void)fixture_hold(fixture, TTL_MS);
    renewing(fixture);
    fixture->now_us += lease_validity_us(TTL_MS);
    fixture_answer(fixture, fixture_only_op(fixture), STORE_OK, S / 2);
    assert_int_equal(fixture_heard(fixture, 2)->event, LEASE_EVENT_LOST);
    assert_int_equal(fixture_heard(fixture, 2)->loss, LEASE_LOSS_EXPIRED);
    finish_release(fixture);
    assert_forgotten(fixture);
}

static void test_waking_before_the_deadline_renews_and_warns_at_once(void **state)
{
    struct fixture *fixture = *state;
    struct lease *lease = fixture_hold(fixture, TTL_MS);
    fixture->now_us += lease_at_risk_us(TTL_MS) + 1;
    wheel_run(fixture->wheel, fixture->now_us);
    assert_int_equal(fixture_only_op(fixture)->verb, STORE_RENEW);
    assert_int_equal(fixture_heard(fixture, 2)->event, LEASE_EVENT_AT_RISK);
    lease_revoke(lease, fixture->now_us);
}

static void test_waking_after_the_deadline_loses_at_once(void **state)
{
    struct fixture *fixture = *state;
    (void)fixture_hold(fixture, TTL_MS);
    fixture->now_us += 60 * S;
    wheel_run(fixture->wheel, fixture->now_us);
    assert_int_equal(fixture_heard(fixture, 2)->event, LEASE_EVENT_LOST);
    assert_forgotten(fixture); /* long enough ago to have lapsed in the store, too */
}

static void test_when_the_store_is_back_held_leases_are_renewed(void **state)
{
    struct fixture *fixture = *state;
    struct lease *lease = fixture_hold(fixture, TTL_MS);
    fixture_pass(fixture, S / 10);
    fixture->store.listener->on_up(fixture->store.listener, fixture->now_us);
    assert_int_equal(fixture_only_op(fixture)->verb, STORE_RENEW);
    assert_int_equal(lease->tenure->state, TENURE_RENEWING);
    fixture->store.listener->on_up(fixture->store.listener, fixture->now_us);
    assert_int_equal(fixture_op_count(fixture), 1);
    fixture_answer(fixture, fixture_only_op(fixture), STORE_OK, 0);
    assert_int_equal(lease->state, LEASE_HELD);
    lease_revoke(lease, fixture->now_us);
}

static void test_when_the_store_is_back_an_expired_lease_is_left_alone(void **state)
{
    struct fixture *fixture = *state;
    (void)fixture_hold(fixture, TTL_MS);
    fixture->now_us += lease_validity_us(TTL_MS);
    fixture->store.listener->on_up(fixture->store.listener, fixture->now_us);
    assert_int_equal(fixture_op_count(fixture), 0);
    wheel_run(fixture->wheel, fixture->now_us);
    assert_int_equal(fixture_heard(fixture, 2)->event, LEASE_EVENT_LOST);
}

static void test_release_is_told_when_it_is_done(void **state)
{
    struct fixture *fixture = *state;
    struct lease *lease = fixture_hold(fixture, TTL_MS);
    lease_release(lease, fixture->now_us);
    assert_int_equal(lease->state, LEASE_RELEASING);
    fixture_heard(fixture, 1);
    finish_release(fixture);
    assert_int_equal(fixture_heard(fixture, 2)->event, LEASE_EVENT_RELEASED);
    assert_int_equal(fixture->metrics.leases_released, 1);
    assert_forgotten(fixture);
}

static void test_release_replaces_a_queued_renewal(void **state)
{
    struct fixture *fixture = *state;
    struct lease *lease = fixture_hold(fixture, TTL_MS);
    renewing(fixture);
    lease_release(lease, fixture->now_us);
    finish_release(fixture);
    assert_int_equal(fixture_heard(fixture, 2)->event, LEASE_EVENT_RELEASED);
    assert_forgotten(fixture);
}

static void test_release_waits_for_a_sent_renewal(void **state)
{
    static const enum store_code codes[] = {STORE_OK, STORE_EXPIRED, STORE_UNAVAILABLE};
    struct fixture *fixture = *state;
    for (size_t i = 0; i < 3; i++) {
        fixture->recorder.count = 0;
        struct lease *lease = fixture_hold(fixture, TTL_MS);
        renewing(fixture);
        fixture_send(fixture_only_op(fixture));
        lease_release(lease, fixture->now_us);
        assert_int_equal(fixture_only_op(fixture)->verb, STORE_RENEW);
        fixture_answer(fixture, fixture_only_op(fixture), codes[i], 0);
        fixture_heard(fixture, 1);
        finish_release(fixture);
        assert_int_equal(fixture_heard(fixture, 2)->event, LEASE_EVENT_RELEASED);
        assert_forgotten(fixture);
    }
}

static void test_release_after_an_unknown_renewal_is_done_twice(void **state)
{
    struct fixture *fixture = *state;
    struct lease *lease = fixture_hold(fixture, TTL_MS);
    renewing(fixture);
    fixture_send(fixture_only_op(fixture));
    lease_release(lease, fixture->now_us);
    fixture_answer(fixture, fixture_only_op(fixture), STORE_UNKNOWN, 0);
    finish_release(fixture);
    assert_int_equal(fixture_heard(fixture, 2)->event, LEASE_EVENT_RELEASED);
    finish_release(fixture);
    fixture_pass(fixture, STORE_LATE_US); /* the renewal might have re-created it meanwhile */
    finish_release(fixture);
    assert_forgotten(fixture);
}

static void test_release_of_a_lease_that_was_taken(void **state)
{
    struct fixture *fixture = *state;
    struct lease *lease = fixture_hold(fixture, TTL_MS);
    lease_release(lease, fixture->now_us);
    fixture_answer(fixture, fixture_only_op(fixture), STORE_NOT_HELD, 0);
    assert_int_equal(fixture_heard(fixture, 2)->event, LEASE_EVENT_LOST);
    assert_int_equal(fixture_heard(fixture, 2)->loss, LEASE_LOSS_TAKEN);
    assert_forgotten(fixture);
}

static void test_release_hears_from_the_renewal_that_it_was_taken(void **state)
{
    struct fixture *fixture = *state;
    struct lease *lease = fixture_hold(fixture, TTL_MS);
    renewing(fixture);
    fixture_send(fixture_only_op(fixture));
    lease_release(lease, fixture->now_us);
    fixture_answer(fixture, fixture_only_op(fixture), STORE_NOT_HELD, 0);
    assert_int_equal(fixture_heard(fixture, 2)->loss, LEASE_LOSS_TAKEN);
    assert_forgotten(fixture);
}

static void test_release_that_ran_out_meanwhile_is_released(void **state)
{
    struct fixture *fixture = *state;
    struct lease *lease = fixture_hold(fixture, TTL_MS);
    lease_release(lease, fixture->now_us);
    fixture_pass(fixture, lease_validity_us(TTL_MS)); /* the store is away */
    fixture_answer(fixture, fixture_only_op(fixture), STORE_NOT_HELD, 0);
    assert_int_equal(fixture_heard(fixture, 2)->event, LEASE_EVENT_RELEASED);
    assert_forgotten(fixture);
}

static void test_release_that_cannot_be_settled_ends_as_released(void **state)
{
    struct fixture *fixture = *state;
    struct lease *lease = fixture_hold(fixture, TTL_MS);
    lease_release(lease, fixture->now_us);
    fixture_pass(fixture, STORE_LATE_US + 1010 * TTL_MS - 1);
    fixture_heard(fixture, 1);
    fixture_pass(fixture, 1);
    assert_int_equal(fixture_heard(fixture, 2)->event, LEASE_EVENT_RELEASED);
    assert_forgotten(fixture);
}

static void test_release_after_the_deadline(void **state)
{
    static const enum store_code codes[] = {STORE_OK, STORE_NOT_HELD};
    static const enum lease_event events[] = {LEASE_EVENT_RELEASED, LEASE_EVENT_LOST};
    struct fixture *fixture = *state;
    for (size_t i = 0; i < 2; i++) {
        fixture->recorder.count = 0;
        struct lease *lease = fixture_hold(fixture, TTL_MS);
        fixture->now_us += lease_validity_us(TTL_MS); /* and the timer has not fired yet */
        lease_release(lease, fixture->now_us);
        fixture_answer(fixture, fixture_only_op(fixture), codes[i], 0);
        assert_int_equal(fixture_heard(fixture, 2)->event, events[i]);
        assert_int_equal(fixture_heard(fixture, 2)->loss, LEASE_LOSS_EXPIRED);
        assert_forgotten(fixture);
    }
}

static void test_revoke_of_an_unsent_attempt_leaves_nothing(void **state)
{
    struct fixture *fixture = *state;
    lease_revoke(fixture_acquire(fixture, TTL_MS), fixture->now_us);
    assert_forgotten(fixture);
    assert_int_equal(fixture->recorder.count, 0);
    assert_int_equal(fixture->metrics.leases_revoked, 0); /* it never was a lease */
}

static void revoke_sent(struct fixture *fixture, enum store_code code)
{
    struct lease *lease = fixture_acquire(fixture, TTL_MS);
    struct store_op *op = fixture_only_op(fixture);
    fixture_send(op);
    lease_revoke(lease, fixture->now_us);
    assert_int_equal(keeper_count(fixture->keeper), 1);
    fixture_answer(fixture, op, code, 0);
    assert_int_equal(fixture->recorder.count, 0);
}

static void test_revoke_of_a_sent_attempt_gives_back_what_it_got(void **state)
{
    struct fixture *fixture = *state;
    revoke_sent(fixture, STORE_OK);
    finish_release(fixture);
    assert_forgotten(fixture);
    revoke_sent(fixture, STORE_UNKNOWN);
    finish_release(fixture);
    fixture_pass(fixture, STORE_LATE_US);
    finish_release(fixture);
    assert_forgotten(fixture);
}

static void test_revoke_of_a_sent_attempt_that_got_nothing(void **state)
{
    static const enum store_code codes[] = {STORE_BUSY, STORE_RECOVERING, STORE_EXPIRED,
                                            STORE_WRONG_TYPE, STORE_UNAVAILABLE};
    struct fixture *fixture = *state;
    for (size_t i = 0; i < 5; i++) {
        revoke_sent(fixture, codes[i]);
        assert_forgotten(fixture);
    }
}

static void test_revoke_of_an_attempt_with_an_unknown_try(void **state)
{
    struct fixture *fixture = *state;
    struct lease *lease = fixture_acquire(fixture, TTL_MS);
    fixture_answer(fixture, fixture_only_op(fixture), STORE_UNKNOWN, 0);
    lease_revoke(lease, fixture->now_us);
    finish_release(fixture); /* instead of the acquire that was queued again */
    fixture_pass(fixture, STORE_LATE_US);
    finish_release(fixture);
    assert_forgotten(fixture);
}

static void test_revoke_releases_at_once(void **state)
{
    struct fixture *fixture = *state;
    lease_revoke(fixture_hold(fixture, TTL_MS), fixture->now_us);
    finish_release(fixture);
    assert_int_equal(fixture->metrics.leases_revoked, 1);
    fixture_heard(fixture, 1);
    assert_forgotten(fixture);
}

static void test_revoke_while_renewing(void **state)
{
    struct fixture *fixture = *state;
    struct lease *lease = fixture_hold(fixture, TTL_MS);
    renewing(fixture);
    lease_revoke(lease, fixture->now_us); /* queued: withdrawn */
    finish_release(fixture);
    assert_forgotten(fixture);
    fixture->recorder.count = 0;
    lease = fixture_hold(fixture, TTL_MS);
    renewing(fixture);
    fixture_send(fixture_only_op(fixture));
    lease_revoke(lease, fixture->now_us); /* sent: waited for */
    fixture_answer(fixture, fixture_only_op(fixture), STORE_OK, 0);
    finish_release(fixture);
    assert_forgotten(fixture);
    fixture_heard(fixture, 1);
}

static void test_revoke_during_a_release(void **state)
{
    struct fixture *fixture = *state;
    struct lease *lease = fixture_hold(fixture, TTL_MS);
    lease_release(lease, fixture->now_us);
    lease_revoke(lease, fixture->now_us);
    finish_release(fixture);
    fixture_heard(fixture, 1);
    assert_int_equal(fixture->metrics.leases_released, 1);
    assert_int_equal(fixture->metrics.leases_revoked, 0);
    assert_forgotten(fixture);
}

static void test_a_holder_may_give_up_when_it_hears_granted(void **state)
{
    struct fixture *fixture = *state;
    fixture->recorder.then = lease_revoke;
    (void)fixture_acquire(fixture, TTL_MS);
    fixture_answer(fixture, fixture_only_op(fixture), STORE_OK, 0);
    finish_release(fixture);
    assert_forgotten(fixture);
    fixture->recorder.then = lease_release;
    fixture->recorder.count = 0;
    (void)fixture_acquire(fixture, TTL_MS);
    fixture_answer(fixture, fixture_only_op(fixture), STORE_OK, 0);
    finish_release(fixture);
    assert_int_equal(fixture_heard(fixture, 2)->event, LEASE_EVENT_RELEASED);
    assert_forgotten(fixture);
}

static void test_names_and_accessors(void **state)
{
    struct fixture *fixture = *state;
    struct lease *lease = fixture_hold(fixture, TTL_MS);
    size_t length = 0;
    assert_memory_equal(lease_key(lease, &length), "k", 1);
    assert_int_equal(length, 1);
    assert_int_equal(lease_ttl_ms(lease), TTL_MS);
    assert_string_equal(lease_state_name(lease->state), "HELD");
    assert_string_equal(lease_state_name(LEASE_RELEASING), "RELEASING");
    lease_revoke(lease, fixture->now_us);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
        TEST(test_an_acquire_says_who_asks_for_what),
        TEST(test_every_attempt_has_its_own_tenure),
        TEST(test_a_grant_counts_from_its_sending),
        TEST(test_a_busy_lock_is_refused),
        TEST(test_other_refusals_are_told),
        TEST(test_a_grant_that_comes_too_late_is_given_back),
        TEST(test_a_grant_in_the_last_microsecond_counts),
        TEST(test_a_refusal_after_an_unknown_try_is_cleaned_up),
        TEST(test_renewals_go_on_and_on),
        TEST(test_a_renewal_credits_only_from_its_sending),
        TEST(test_a_confirmed_renewal_ends_the_risk),
        TEST(test_a_lease_that_is_taken_is_lost_at_once),
        TEST(test_an_expired_lease_withdraws_its_renewal_and_cleans_up),
        TEST(test_a_cleanup_is_bounded),
        TEST(test_the_store_cannot_revive_an_expired_lease),
        TEST(test_a_late_renewal_is_lost_even_before_the_timer_fires),
        TEST(test_waking_before_the_deadline_renews_and_warns_at_once),
        TEST(test_waking_after_the_deadline_loses_at_once),
        TEST(test_when_the_store_is_back_held_leases_are_renewed),
        TEST(test_when_the_store_is_back_an_expired_lease_is_left_alone),
        TEST(test_release_is_told_when_it_is_done),
        TEST(test_release_replaces_a_queued_renewal),
        TEST(test_release_waits_for_a_sent_renewal),
        TEST(test_release_after_an_unknown_renewal_is_done_twice),
        TEST(test_release_of_a_lease_that_was_taken),
        TEST(test_release_hears_from_the_renewal_that_it_was_taken),
        TEST(test_release_that_ran_out_meanwhile_is_released),
        TEST(test_release_that_cannot_be_settled_ends_as_released),
        TEST(test_release_after_the_deadline),
        TEST(test_revoke_of_an_unsent_attempt_leaves_nothing),
        TEST(test_revoke_of_a_sent_attempt_gives_back_what_it_got),
        TEST(test_revoke_of_a_sent_attempt_that_got_nothing),
        TEST(test_revoke_of_an_attempt_with_an_unknown_try),
        TEST(test_revoke_releases_at_once),
        TEST(test_revoke_while_renewing),
        TEST(test_revoke_during_a_release),
        TEST(test_a_holder_may_give_up_when_it_hears_granted),
        TEST(test_names_and_accessors),
#undef TEST
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
