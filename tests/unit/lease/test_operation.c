/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/compiler.h"
#include "fixture.h"
#include "lease/operation.h"

#define MS      ((int64_t)1000)
#define TTL_MS  ((int64_t)1000)
#define LIFE_US (TTL_MS * MS + TTL_MS * MS / 100) /* by a store that runs 1 % slow */

struct probe {
    struct fixture *fixture;
    struct operation operation;
    size_t done;
    struct store_result result;
};

static void on_done(struct operation *operation, const struct store_result *result, int64_t now_us)
{
    struct probe *probe = CONTAINER_OF(operation, struct probe, operation);
    assert_int_equal(now_us, probe->fixture->now_us);
    assert_false(operation_is_running(operation));
    probe->done++;
    probe->result = *result;
}

static void init(struct probe *probe, void **state)
{
    *probe = (struct probe){.fixture = *state};
    operation_init(&probe->operation, &probe->fixture->store, probe->fixture->wheel, on_done);
    probe->operation.op.key = "k";
    probe->operation.op.key_length = 1;
    probe->operation.op.ttl_ms = TTL_MS;
}

static void start(struct probe *probe, enum store_verb verb, int64_t in_force_until_us)
{
    probe->operation.op.verb = verb;
    operation_start(&probe->operation, in_force_until_us, probe->fixture->now_us);
    assert_true(operation_is_running(&probe->operation));
}

static void answer(struct probe *probe, enum store_code code)
{
    fixture_answer(probe->fixture, fixture_only_op(probe->fixture), code, 0);
}

/* The operation ended once with `code`, and left neither operation nor timer behind. */
static void assert_ended(struct probe *probe, enum store_code code)
{
    assert_int_equal(probe->done, 1);
    assert_int_equal(probe->result.code, code);
    assert_false(operation_is_running(&probe->operation));
    assert_int_equal(fixture_op_count(probe->fixture), 0);
    assert_int_equal(wheel_next_us(probe->fixture->wheel), CLOCK_NEVER);
}

/* It goes on: asked again just now. */
static void assert_asked_again(struct probe *probe, size_t submitted)
{
    assert_int_equal(probe->done, 0);
    assert_int_equal(probe->fixture->submitted, submitted);
    assert_int_equal(fixture_op_count(probe->fixture), 1);
}

static void test_settled_answers_are_passed_on(void **state)
{
    static const enum store_verb verbs[] = {STORE_ACQUIRE, STORE_RENEW, STORE_RELEASE,
                                            STORE_INSPECT};
    static const enum store_code codes[] = {STORE_OK, STORE_BUSY, STORE_NOT_HELD, STORE_WRONG_TYPE};
    for (size_t i = 0; i < COUNT_OF(verbs); i++) {
        for (size_t j = 0; j < COUNT_OF(codes); j++) {
            struct probe probe;
            init(&probe, state);
            start(&probe, verbs[i], probe.fixture->now_us + LIFE_US);
            answer(&probe, codes[j]);
            assert_ended(&probe, codes[j]);
        }
    }
}

static void test_expired_is_asked_again_at_once(void **state)
{
    static const enum store_verb verbs[] = {STORE_ACQUIRE, STORE_RENEW, STORE_RELEASE,
                                            STORE_INSPECT};
    for (size_t i = 0; i < COUNT_OF(verbs); i++) {
        struct probe probe;
        init(&probe, state);
        const size_t before = probe.fixture->submitted;
        start(&probe, verbs[i], probe.fixture->now_us + LIFE_US);
        answer(&probe, STORE_EXPIRED);
        assert_asked_again(&probe, before + 2);
        answer(&probe, STORE_EXPIRED);
        assert_asked_again(&probe, before + 3);
        answer(&probe, STORE_OK);
        assert_ended(&probe, STORE_OK);
    }
}

static void test_expired_ends_at_the_deadline(void **state)
{
    struct probe probe;
    init(&probe, state);
    probe.operation.deadline_us = probe.fixture->now_us + 10 * MS;
    start(&probe, STORE_ACQUIRE, 0);
    fixture_pass(probe.fixture, 10 * MS);
    assert_int_equal(probe.done, 0);
    answer(&probe, STORE_EXPIRED);
    assert_ended(&probe, STORE_UNAVAILABLE);
    assert_non_null(probe.result.detail);
}

static void test_recovering_waits_for_the_end_of_the_window(void **state)
{
    struct probe probe;
    init(&probe, state);
    start(&probe, STORE_ACQUIRE, 0);
    const struct store_result recovering = {.code = STORE_RECOVERING, .retry_after_us = 500 * MS};
    fixture_answer_with(probe.fixture, fixture_only_op(probe.fixture), recovering, 0);
    fixture_pass(probe.fixture, 500 * MS - 1);
    assert_int_equal(fixture_op_count(probe.fixture), 0);
    fixture_pass(probe.fixture, 1);
    assert_asked_again(&probe, 2);
    answer(&probe, STORE_OK);
    assert_ended(&probe, STORE_OK);
}

static void test_recovering_ends_at_the_deadline(void **state)
{
    struct probe probe;
    init(&probe, state);
    probe.operation.deadline_us = probe.fixture->now_us + 100 * MS;
    start(&probe, STORE_ACQUIRE, 0);
    const struct store_result recovering = {.code = STORE_RECOVERING, .retry_after_us = 500 * MS};
    fixture_answer_with(probe.fixture, fixture_only_op(probe.fixture), recovering, 0);
    fixture_pass(probe.fixture, 100 * MS - 1);
    assert_int_equal(probe.done, 0);
    fixture_pass(probe.fixture, 1);
    assert_ended(&probe, STORE_UNAVAILABLE);
}

static void test_recovering_without_a_time_does_not_spin(void **state)
{
    struct probe probe;
    init(&probe, state);
    start(&probe, STORE_ACQUIRE, 0);
    answer(&probe, STORE_RECOVERING); /* retry_after_us 0 */
    assert_int_equal(fixture_op_count(probe.fixture), 0);
    fixture_pass(probe.fixture, MS);
    assert_asked_again(&probe, 2);
    assert_true(operation_stop(&probe.operation));
}

static void test_unavailable_is_passed_on_when_nothing_can_be_in_force(void **state)
{
    static const enum store_verb verbs[] = {STORE_ACQUIRE, STORE_INSPECT};
    for (size_t i = 0; i < COUNT_OF(verbs); i++) {
        struct probe probe;
        init(&probe, state);
        start(&probe, verbs[i], 0);
        answer(&probe, STORE_UNAVAILABLE);
        assert_ended(&probe, STORE_UNAVAILABLE);
        assert_int_equal(operation_lapses_us(&probe.operation), 0);
    }
}

static void test_unavailable_renewals_and_releases_are_asked_again_later(void **state)
{
    static const enum store_verb verbs[] = {STORE_RENEW, STORE_RELEASE};
    for (size_t i = 0; i < COUNT_OF(verbs); i++) {
        struct probe probe;
        init(&probe, state);
        const size_t before = probe.fixture->submitted;
        start(&probe, verbs[i], probe.fixture->now_us + LIFE_US);
        answer(&probe, STORE_UNAVAILABLE);
        fixture_pass(probe.fixture, OPERATION_RETRY_US - 1);
        assert_int_equal(fixture_op_count(probe.fixture), 0);
        fixture_pass(probe.fixture, 1);
        assert_asked_again(&probe, before + 2);
        answer(&probe, STORE_OK);
        assert_ended(&probe, STORE_OK);
    }
}

static void test_a_try_gives_up_on_a_store_that_is_away(void **state)
{
    struct probe probe;
    init(&probe, state);
    const int64_t now_us = probe.fixture->now_us;
    start(&probe, STORE_ACQUIRE, 0);
    assert_int_equal(probe.operation.op.give_up_us, CLOCK_NEVER);
    assert_true(probe.operation.op.is_impatient);
    answer(&probe, STORE_OK);
    init(&probe, state);
    probe.operation.deadline_us = now_us + 5 * MS;
    start(&probe, STORE_INSPECT, 0);
    assert_int_equal(probe.operation.op.give_up_us, now_us + 5 * MS);
    assert_true(probe.operation.op.is_impatient);
    answer(&probe, STORE_OK);
}

static void test_who_queues_waits_for_the_store(void **state)
{
    struct probe probe;
    init(&probe, state);
    probe.operation.op.wants_queue = true;
    start(&probe, STORE_ACQUIRE, 0);
    assert_int_equal(probe.operation.op.give_up_us, CLOCK_NEVER);
    assert_false(probe.operation.op.is_impatient);
    answer(&probe, STORE_OK);
}

static void test_renewals_and_releases_wait_for_the_store(void **state)
{
    struct probe probe;
    init(&probe, state);
    start(&probe, STORE_RENEW, 0);
    assert_int_equal(probe.operation.op.give_up_us, CLOCK_NEVER);
    assert_false(probe.operation.op.is_impatient);
    answer(&probe, STORE_OK);
    start(&probe, STORE_RELEASE, 0);
    assert_int_equal(probe.operation.op.give_up_us, CLOCK_NEVER);
    assert_false(probe.operation.op.is_impatient);
    answer(&probe, STORE_OK);
}

static void test_an_unknown_acquire_is_settled_by_asking_again(void **state)
{
    struct probe probe;
    init(&probe, state);
    probe.operation.deadline_us = probe.fixture->now_us + 10 * MS;
    start(&probe, STORE_ACQUIRE, 0);
    const int64_t sent_us = probe.fixture->now_us;
    fixture_pass(probe.fixture, 20 * MS);
    fixture_answer(probe.fixture, fixture_only_op(probe.fixture), STORE_UNKNOWN, 20 * MS);
    assert_asked_again(&probe, 2); /* past its deadline, for it may be in force */
    assert_int_equal(probe.operation.op.give_up_us, CLOCK_NEVER);
    assert_false(probe.operation.op.is_impatient);
    assert_int_equal(operation_lapses_us(&probe.operation), sent_us + STORE_LATE_US + LIFE_US);
    answer(&probe, STORE_UNAVAILABLE); /* the second was not done, but the first? */
    assert_int_equal(probe.done, 0);
    fixture_pass(probe.fixture, OPERATION_RETRY_US);
    assert_asked_again(&probe, 3);
    answer(&probe, STORE_BUSY);
    assert_ended(&probe, STORE_BUSY);
    /* The first may still run. */
    assert_int_equal(operation_lapses_us(&probe.operation), sent_us + STORE_LATE_US + LIFE_US);
}

static void test_an_unknown_acquire_ends_when_it_must_have_lapsed(void **state)
{
    struct probe probe;
    init(&probe, state);
    start(&probe, STORE_ACQUIRE, 0);
    answer(&probe, STORE_UNKNOWN);
    fixture_pass(probe.fixture, STORE_LATE_US + LIFE_US - 1);
    assert_asked_again(&probe, 2);
    fixture_pass(probe.fixture, 1);
    assert_ended(&probe, STORE_UNAVAILABLE);
}

static void test_an_unknown_renewal_ends_when_it_must_have_lapsed(void **state)
{
    struct probe probe;
    init(&probe, state);
    start(&probe, STORE_RENEW, 0);
    answer(&probe, STORE_UNKNOWN);
    fixture_pass(probe.fixture, STORE_LATE_US + LIFE_US);
    assert_ended(&probe, STORE_UNAVAILABLE);
}

static void test_an_unknown_inspection_is_asked_until_its_deadline(void **state)
{
    struct probe probe;
    init(&probe, state);
    probe.operation.deadline_us = probe.fixture->now_us + 10 * MS;
    start(&probe, STORE_INSPECT, 0);
    answer(&probe, STORE_UNKNOWN);
    assert_asked_again(&probe, 2);
    fixture_pass(probe.fixture, 10 * MS);
    answer(&probe, STORE_UNKNOWN);
    assert_ended(&probe, STORE_UNAVAILABLE);
    assert_int_equal(operation_lapses_us(&probe.operation), 0);
}

static void test_a_release_ends_when_the_lease_must_have_lapsed(void **state)
{
    struct probe probe;
    init(&probe, state);
    start(&probe, STORE_RELEASE, probe.fixture->now_us + LIFE_US);
    fixture_pass(probe.fixture, LIFE_US - 1);
    assert_asked_again(&probe, 1);
    fixture_pass(probe.fixture, 1);
    assert_ended(&probe, STORE_NOT_HELD);
}

static void test_a_release_at_the_store_is_not_ended_by_time(void **state)
{
    struct probe probe;
    init(&probe, state);
    start(&probe, STORE_RELEASE, probe.fixture->now_us + LIFE_US);
    fixture_send(fixture_only_op(probe.fixture));
    fixture_pass(probe.fixture, 2 * LIFE_US);
    assert_asked_again(&probe, 1);
    answer(&probe, STORE_UNKNOWN);
    assert_ended(&probe, STORE_NOT_HELD);
}

static void test_a_refused_release_ends_when_the_lease_must_have_lapsed(void **state)
{
    struct probe probe;
    init(&probe, state);
    start(&probe, STORE_RELEASE, probe.fixture->now_us + OPERATION_RETRY_US / 2);
    answer(&probe, STORE_UNAVAILABLE);
    fixture_pass(probe.fixture, OPERATION_RETRY_US / 2);
    assert_ended(&probe, STORE_NOT_HELD);
}

static void test_a_release_that_may_have_worked_counts(void **state)
{
    struct probe probe;
    init(&probe, state);
    start(&probe, STORE_RELEASE, probe.fixture->now_us + LIFE_US);
    answer(&probe, STORE_UNKNOWN);
    answer(&probe, STORE_NOT_HELD);
    assert_ended(&probe, STORE_OK);
    start(&probe, STORE_RELEASE, probe.fixture->now_us + LIFE_US);
    probe.done = 0;
    answer(&probe, STORE_NOT_HELD); /* only within one operation */
    assert_ended(&probe, STORE_NOT_HELD);
}

static void test_an_operation_with_a_deadline_ends_there(void **state)
{
    static const enum store_verb verbs[] = {STORE_RENEW, STORE_RELEASE};
    for (size_t i = 0; i < COUNT_OF(verbs); i++) {
        struct probe probe;
        init(&probe, state);
        probe.operation.deadline_us = probe.fixture->now_us + 20 * MS;
        start(&probe, verbs[i], probe.fixture->now_us + LIFE_US);
        assert_int_equal(probe.operation.op.give_up_us, probe.operation.deadline_us);
        answer(&probe, STORE_UNAVAILABLE);
        fixture_pass(probe.fixture, 20 * MS);
        assert_ended(&probe, STORE_UNAVAILABLE);
    }
}

static void test_stop_of_an_idle_operation_is_harmless(void **state)
{
    struct probe probe;
    init(&probe, state);
    assert_true(operation_stop(&probe.operation));
    assert_int_equal(probe.done, 0);
}

static void test_stop_withdraws_what_is_queued(void **state)
{
    struct probe probe;
    init(&probe, state);
    start(&probe, STORE_ACQUIRE, 0);
    assert_true(operation_stop(&probe.operation));
    assert_int_equal(probe.done, 0);
    assert_int_equal(fixture_op_count(probe.fixture), 0);
    assert_int_equal(operation_lapses_us(&probe.operation), 0);
    assert_false(operation_undo(&probe.operation, probe.fixture->now_us));
}

static void test_stop_ends_a_wait(void **state)
{
    struct probe probe;
    init(&probe, state);
    start(&probe, STORE_ACQUIRE, 0);
    answer(&probe, STORE_RECOVERING);
    assert_true(operation_stop(&probe.operation));
    assert_int_equal(wheel_next_us(probe.fixture->wheel), CLOCK_NEVER);
}

static void test_stop_lets_what_is_sent_answer_once(void **state)
{
    static const enum store_code codes[] = {
        STORE_OK,      STORE_BUSY,       STORE_NOT_HELD,    STORE_RECOVERING,
        STORE_EXPIRED, STORE_WRONG_TYPE, STORE_UNAVAILABLE, STORE_UNKNOWN,
    };
    for (size_t i = 0; i < COUNT_OF(codes); i++) {
        struct probe probe;
        init(&probe, state);
        start(&probe, STORE_ACQUIRE, 0);
        fixture_send(fixture_only_op(probe.fixture));
        assert_false(operation_stop(&probe.operation));
        assert_false(operation_stop(&probe.operation));
        assert_int_equal(probe.done, 0);
        answer(&probe, codes[i]);
        assert_ended(&probe, codes[i]);
        const bool may_be_in_force = codes[i] == STORE_OK || codes[i] == STORE_UNKNOWN;
        assert_int_equal(operation_lapses_us(&probe.operation) > 0, may_be_in_force);
    }
}

static void test_undo_releases_what_was_granted(void **state)
{
    struct probe probe;
    init(&probe, state);
    start(&probe, STORE_ACQUIRE, 0);
    answer(&probe, STORE_OK);
    assert_ended(&probe, STORE_OK);
    probe.done = 0;
    assert_true(operation_undo(&probe.operation, probe.fixture->now_us));
    assert_int_equal(fixture_only_op(probe.fixture)->verb, STORE_RELEASE);
    answer(&probe, STORE_OK);
    assert_ended(&probe, STORE_OK);
    assert_false(operation_undo(&probe.operation, probe.fixture->now_us));
}

static void test_undo_comes_back_for_strays(void **state)
{
    struct probe probe;
    init(&probe, state);
    start(&probe, STORE_ACQUIRE, 0);
    fixture_send(fixture_only_op(probe.fixture));
    assert_false(operation_stop(&probe.operation));
    answer(&probe, STORE_UNKNOWN);
    assert_ended(&probe, STORE_UNKNOWN);
    probe.done = 0;
    const int64_t sent_us = probe.fixture->now_us;
    assert_true(operation_undo(&probe.operation, sent_us));
    answer(&probe, STORE_NOT_HELD); /* the acquire has not run yet */
    assert_int_equal(probe.done, 0);
    fixture_pass(probe.fixture, STORE_LATE_US - 1);
    assert_int_equal(fixture_op_count(probe.fixture), 0);
    fixture_pass(probe.fixture, 1);
    assert_int_equal(fixture_only_op(probe.fixture)->verb, STORE_RELEASE);
    answer(&probe, STORE_OK);
    assert_ended(&probe, STORE_OK);
    assert_int_equal(operation_lapses_us(&probe.operation), 0);
}

static void test_undo_that_keeps_a_grant_only_leaves_the_queue(void **state)
{
    struct probe probe;
    init(&probe, state);
    probe.operation.op.keeps_lock = true;
    start(&probe, STORE_ACQUIRE, 0);
    answer(&probe, STORE_OK);
    assert_ended(&probe, STORE_OK);
    assert_false(operation_undo(&probe.operation, probe.fixture->now_us));
    probe.done = 0;
    probe.operation.op.wants_queue = true;
    start(&probe, STORE_ACQUIRE, 0);
    answer(&probe, STORE_QUEUED);
    probe.done = 0;
    assert_true(operation_undo(&probe.operation, probe.fixture->now_us));
    assert_true(fixture_only_op(probe.fixture)->wants_queue);
    answer(&probe, STORE_OK);
    assert_ended(&probe, STORE_OK);
    assert_false(operation_undo(&probe.operation, probe.fixture->now_us));
}

static void test_undo_ends_when_all_must_have_lapsed(void **state)
{
    struct probe probe;
    init(&probe, state);
    probe.operation.deadline_us = probe.fixture->now_us + MS; /* no longer matters */
    start(&probe, STORE_ACQUIRE, 0);
    answer(&probe, STORE_OK);
    probe.done = 0;
    assert_true(operation_undo(&probe.operation, probe.fixture->now_us));
    answer(&probe, STORE_UNAVAILABLE);
    fixture_pass(probe.fixture, STORE_LATE_US + LIFE_US - 1);
    assert_int_equal(probe.done, 0);
    fixture_pass(probe.fixture, 1);
    assert_ended(&probe, STORE_NOT_HELD);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
        TEST(test_settled_answers_are_passed_on),
        TEST(test_expired_is_asked_again_at_once),
        TEST(test_expired_ends_at_the_deadline),
        TEST(test_recovering_waits_for_the_end_of_the_window),
        TEST(test_recovering_ends_at_the_deadline),
        TEST(test_recovering_without_a_time_does_not_spin),
        TEST(test_unavailable_is_passed_on_when_nothing_can_be_in_force),
        TEST(test_unavailable_renewals_and_releases_are_asked_again_later),
        TEST(test_a_try_gives_up_on_a_store_that_is_away),
        TEST(test_who_queues_waits_for_the_store),
        TEST(test_renewals_and_releases_wait_for_the_store),
        TEST(test_an_unknown_acquire_is_settled_by_asking_again),
        TEST(test_an_unknown_acquire_ends_when_it_must_have_lapsed),
        TEST(test_an_unknown_renewal_ends_when_it_must_have_lapsed),
        TEST(test_an_unknown_inspection_is_asked_until_its_deadline),
        TEST(test_a_release_ends_when_the_lease_must_have_lapsed),
        TEST(test_a_release_at_the_store_is_not_ended_by_time),
        TEST(test_a_refused_release_ends_when_the_lease_must_have_lapsed),
        TEST(test_a_release_that_may_have_worked_counts),
        TEST(test_an_operation_with_a_deadline_ends_there),
        TEST(test_stop_of_an_idle_operation_is_harmless),
        TEST(test_stop_withdraws_what_is_queued),
        TEST(test_stop_ends_a_wait),
        TEST(test_stop_lets_what_is_sent_answer_once),
        TEST(test_undo_releases_what_was_granted),
        TEST(test_undo_comes_back_for_strays),
        TEST(test_undo_that_keeps_a_grant_only_leaves_the_queue),
        TEST(test_undo_ends_when_all_must_have_lapsed),
#undef TEST
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
