/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "fixture.h"

static void test_the_shortest_ttl(void **state)
{
    (void)state;
    assert_int_equal(lease_validity_us(LEASE_TTL_MIN_MS), 100000 - 1000 - 2000);
    assert_int_equal(lease_renewal_us(LEASE_TTL_MIN_MS), 33333);
    assert_int_equal(lease_at_risk_us(LEASE_TTL_MIN_MS), 66666);
}

static void test_the_longest_ttl(void **state)
{
    (void)state;
    const int64_t day_us = INT64_C(86400000000);
    assert_int_equal(lease_validity_us(LEASE_TTL_MAX_MS), day_us - day_us / 100 - 2000);
    assert_int_equal(lease_renewal_us(LEASE_TTL_MAX_MS), day_us / 3);
    assert_int_equal(lease_at_risk_us(LEASE_TTL_MAX_MS), 2 * day_us / 3);
}

static void test_validity_is_never_negative(void **state)
{
    (void)state;
    assert_int_equal(lease_validity_us(0), 0);
    assert_int_equal(lease_validity_us(2), 0);
    assert_int_equal(lease_validity_us(3), 970);
}

static void test_a_lease_renews_then_worries_then_ends(void **state)
{
    (void)state;
    for (int64_t ttl_ms = LEASE_TTL_MIN_MS; ttl_ms <= LEASE_TTL_MAX_MS; ttl_ms += ttl_ms / 2) {
        assert_true(lease_renewal_us(ttl_ms) < lease_at_risk_us(ttl_ms));
        assert_true(lease_at_risk_us(ttl_ms) < lease_validity_us(ttl_ms));
        assert_true(lease_validity_us(ttl_ms) < ttl_ms * CLOCK_US_PER_MS);
    }
}

/* A whole life at the bounds: due, at risk and lost to the microsecond. */
static void check_life(void **state, int64_t ttl_ms)
{
    struct fixture *fixture = *state;
    struct lease *lease = fixture_hold(fixture, ttl_ms);
    assert_int_equal(lease_deadline_us(lease), fixture->now_us + lease_validity_us(ttl_ms));
    const int64_t renewal_us = lease_renewal_due_us(fixture->now_us, ttl_ms) - fixture->now_us;
    fixture_pass(fixture, renewal_us - 1);
    assert_int_equal(fixture_op_count(fixture), 0);
    fixture_pass(fixture, 1);
    assert_int_equal(fixture_only_op(fixture)->verb, STORE_RENEW);
    fixture_pass(fixture, lease_at_risk_us(ttl_ms) - renewal_us - 1);
    fixture_heard(fixture, 1);
    fixture_pass(fixture, 1);
    assert_int_equal(fixture_heard(fixture, 2)->event, LEASE_EVENT_AT_RISK);
    fixture_pass(fixture, lease_validity_us(ttl_ms) - lease_at_risk_us(ttl_ms) - 1);
    assert_true(lease_is_valid(lease, fixture->now_us));
    fixture_heard(fixture, 2);
    fixture_pass(fixture, 1);
    assert_int_equal(fixture_heard(fixture, 3)->event, LEASE_EVENT_LOST);
    assert_int_equal(fixture_heard(fixture, 3)->loss, LEASE_LOSS_EXPIRED);
    assert_int_equal(fixture_only_op(fixture)->verb, STORE_RELEASE);
}

static void test_renewals_are_due_on_the_grid(void **state)
{
    (void)state;
    const int64_t sent_us = INT64_C(1000000000);
    for (int64_t later_us = 0; later_us < 3 * LEASE_RENEWAL_GRID_US; later_us += 7) {
        const int64_t due_us = lease_renewal_due_us(sent_us + later_us, 30000);
        const int64_t early_us = sent_us + later_us + lease_renewal_us(30000) - due_us;
        assert_int_equal(due_us % LEASE_RENEWAL_GRID_US, 0);
        assert_true(early_us >= 0 && early_us < LEASE_RENEWAL_GRID_US);
    }
}

/* Granted at different moments, they are renewed at one. */
static void test_renewals_leave_together(void **state)
{
    struct fixture *fixture = *state;
    struct recorder recorders[3];
    struct lease_ask ask = fixture_ask();
    static const char *const keys[] = {"a", "b", "c"};
    ask.wait_until_us = 0;
    ask.ttl_ms = 30000;
    for (size_t i = 0; i < 3; i++) {
        fixture_recorder_init(&recorders[i]);
        ask.key = keys[i];
        fixture_ask_for(fixture, &ask, &recorders[i]);
        fixture_answer(fixture, fixture_only_op(fixture), STORE_OK, 0);
        fixture_pass(fixture, LEASE_RENEWAL_GRID_US / 3 - 1);
    }
    const int64_t due_us = lease_renewal_due_us(FIXTURE_START_US, 30000);
    fixture_pass(fixture, due_us - fixture->now_us - 1);
    assert_int_equal(fixture_op_count(fixture), 0);
    fixture_pass(fixture, 1);
    assert_int_equal(fixture_op_count(fixture), 3);
    for (size_t i = 0; i < 3; i++) {
        fixture_answer(fixture, TAILQ_FIRST(&fixture->ops), STORE_NOT_HELD, 0);
    }
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(recorder_heard(&recorders[i], 2)->event, LEASE_EVENT_LOST);
    }
}

static void test_a_life_of_the_shortest_ttl(void **state)
{
    check_life(state, LEASE_TTL_MIN_MS);
}

static void test_a_life_of_the_longest_ttl(void **state)
{
    check_life(state, LEASE_TTL_MAX_MS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_shortest_ttl),
        cmocka_unit_test(test_the_longest_ttl),
        cmocka_unit_test(test_validity_is_never_negative),
        cmocka_unit_test(test_a_lease_renews_then_worries_then_ends),
        cmocka_unit_test(test_renewals_are_due_on_the_grid),
        cmocka_unit_test_setup_teardown(test_renewals_leave_together, fixture_setup,
                                        fixture_teardown),
        cmocka_unit_test_setup_teardown(test_a_life_of_the_shortest_ttl, fixture_setup,
                                        fixture_teardown),
        cmocka_unit_test_setup_teardown(test_a_life_of_the_longest_ttl, fixture_setup,
                                        fixture_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
