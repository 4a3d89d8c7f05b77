/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "fixture.h"
#include "lease/keeper_internal.h"

#define TTL_MS ((int64_t)3000)

struct caller {
    struct fixture *fixture;
    struct errand_ask ask;
    struct errand *errand;
    size_t done;
    struct store_result result;
};

static void on_done(void *user, const struct store_result *result, int64_t now_us)
{
    struct caller *caller = user;
    assert_int_equal(now_us, caller->fixture->now_us);
    caller->done++;
    caller->result = *result;
}

static void start(struct caller *caller, void **state, enum store_verb verb)
{
    *caller = (struct caller){
        .fixture = *state,
        .ask =
            {
                .verb = verb,
                .key = "k",
                .key_length = 1,
                .ttl_ms = TTL_MS,
                .token = id128_random(),
                .deadline_us = CLOCK_NEVER,
            },
    };
    caller->errand = errand_start(caller->fixture->keeper, &caller->ask, on_done, caller,
                                  caller->fixture->now_us);
    assert_non_null(caller->errand);
    assert_int_equal(caller->done, 0);
}

static void answer(struct caller *caller, enum store_code code)
{
    fixture_answer(caller->fixture, fixture_only_op(caller->fixture), code, 0);
}

static void assert_gone(const struct caller *caller)
{
    assert_int_equal(keeper_count(caller->fixture->keeper), 0);
    assert_int_equal(fixture_op_count(caller->fixture), 0);
    assert_int_equal(wheel_next_us(caller->fixture->wheel), CLOCK_NEVER);
}

static void assert_told(const struct caller *caller, enum store_code code)
{
    assert_int_equal(caller->done, 1);
    assert_int_equal(caller->result.code, code);
}

static void test_answers_are_told(void **state)
{
    static const struct {
        enum store_verb verb;
        enum store_code code;
    } rows[] = {
        {STORE_RENEW, STORE_WRONG_TYPE},   {STORE_RENEW, STORE_OK},
        {STORE_RENEW, STORE_NOT_HELD},     {STORE_RELEASE, STORE_OK},
        {STORE_RELEASE, STORE_NOT_HELD},   {STORE_INSPECT, STORE_OK},
        {STORE_INSPECT, STORE_WRONG_TYPE}, {STORE_INSPECT, STORE_UNAVAILABLE},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct caller caller;
        start(&caller, state, rows[i].verb);
        answer(&caller, rows[i].code);
        assert_told(&caller, rows[i].code);
        assert_gone(&caller);
    }
}

static void test_a_store_that_is_away_is_told_soon(void **state)
{
    static const enum store_verb verbs[] = {STORE_RENEW, STORE_RELEASE};
    for (size_t i = 0; i < 2; i++) {
        struct caller caller;
        start(&caller, state, verbs[i]);
        assert_int_equal(fixture_only_op(caller.fixture)->give_up_us,
                         caller.fixture->now_us + STORE_PATIENCE_US);
        fixture_pass(caller.fixture, STORE_PATIENCE_US);
        answer(&caller, STORE_UNAVAILABLE);
        assert_told(&caller, STORE_UNAVAILABLE);
        assert_gone(&caller);
    }
}

static void test_a_release_that_may_have_worked_is_settled_first(void **state)
{
    struct caller caller;
    start(&caller, state, STORE_RELEASE);
    answer(&caller, STORE_UNKNOWN);
    fixture_pass(caller.fixture, 60 * CLOCK_US_PER_S);
    assert_int_equal(caller.done, 0);
    answer(&caller, STORE_NOT_HELD);
    assert_told(&caller, STORE_OK);
    assert_gone(&caller);
}

static void test_a_renewal_that_comes_too_late_is_unavailable(void **state)
{
    struct caller caller;
    start(&caller, state, STORE_RENEW);
    fixture_answer(caller.fixture, fixture_only_op(caller.fixture), STORE_OK,
                   lease_validity_us(TTL_MS));
    assert_told(&caller, STORE_UNAVAILABLE);
    assert_gone(&caller);
}

static void test_abandoning_what_is_queued_leaves_nothing(void **state)
{
    static const enum store_verb verbs[] = {STORE_RENEW, STORE_RELEASE, STORE_INSPECT};
    for (size_t i = 0; i < 3; i++) {
        struct caller caller;
        start(&caller, state, verbs[i]);
        errand_abandon(caller.errand, caller.fixture->now_us);
        assert_int_equal(caller.done, 0);
        assert_gone(&caller);
    }
}

static void test_abandoning_what_is_sent_waits_for_its_answer(void **state)
{
    static const enum store_verb verbs[] = {STORE_RENEW, STORE_RELEASE, STORE_INSPECT};
    static const enum store_code codes[] = {STORE_OK, STORE_UNKNOWN, STORE_EXPIRED,
                                            STORE_UNAVAILABLE};
    for (size_t i = 0; i < 3; i++) {
        for (size_t j = 0; j < 4; j++) {
            struct caller caller;
            start(&caller, state, verbs[i]);
            fixture_send(fixture_only_op(caller.fixture));
            errand_abandon(caller.errand, caller.fixture->now_us);
            assert_int_equal(keeper_count(caller.fixture->keeper), 1);
            answer(&caller, codes[j]);
            assert_int_equal(caller.done, 0);
            assert_gone(&caller);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
        TEST(test_answers_are_told),
        TEST(test_a_store_that_is_away_is_told_soon),
        TEST(test_a_release_that_may_have_worked_is_settled_first),
        TEST(test_a_renewal_that_comes_too_late_is_unavailable),
        TEST(test_abandoning_what_is_queued_leaves_nothing),
        TEST(test_abandoning_what_is_sent_waits_for_its_answer),
#undef TEST
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
