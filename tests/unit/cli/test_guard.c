/* SPDX-License-Identifier: Apache-2.0 */
#include "guard.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static const int64_t ttls_ms[] = {100, 101, 250, 400, 1000, 3000, 10000, 60000, 86400000};

#define TTL_COUNT (sizeof(ttls_ms) / sizeof(ttls_ms[0]))

static void test_a_lease_that_is_renewed_is_left_alone(void **state)
{
    (void)state;
    for (size_t i = 0; i < TTL_COUNT; i++) {
        struct guard guard;
        guard_init(&guard, ttls_ms[i], 0);
        /* Renewed at a third, and what we know is another third old: no more than a question. */
        const int64_t oldest_ms = (ttls_ms[i] - ttls_ms[i] / 100 - 2) / 3;
        assert_true(guard_judge(&guard, oldest_ms) <= GUARD_REFRESH);
        assert_int_equal(guard_judge(&guard, ttls_ms[i] / 2), GUARD_FINE);
    }
}

static void test_the_borders_come_in_order(void **state)
{
    (void)state;
    for (size_t i = 0; i < TTL_COUNT; i++) {
        struct guard guard;
        guard_init(&guard, ttls_ms[i], 0);
        assert_true(0 < guard.kill_at_ms);
        assert_true(guard.kill_at_ms < guard.stop_at_ms);
        assert_true(guard.stop_at_ms < guard.refresh_at_ms);
        assert_int_equal(guard_judge(&guard, guard.refresh_at_ms + 1), GUARD_FINE);
        assert_int_equal(guard_judge(&guard, guard.refresh_at_ms), GUARD_REFRESH);
        assert_int_equal(guard_judge(&guard, guard.stop_at_ms + 1), GUARD_REFRESH);
        assert_int_equal(guard_judge(&guard, guard.stop_at_ms), GUARD_STOP);
        assert_int_equal(guard_judge(&guard, guard.kill_at_ms + 1), GUARD_STOP);
        assert_int_equal(guard_judge(&guard, guard.kill_at_ms), GUARD_KILL);
        assert_int_equal(guard_judge(&guard, 0), GUARD_KILL);
    }
}

static void test_the_windows_are_what_help_says(void **state)
{
    struct guard guard;
    (void)state;
    guard_init(&guard, 10000, 0);
    assert_int_equal(guard.stop_at_ms, 2500);
    assert_int_equal(guard.kill_at_ms, 200);
    guard_init(&guard, 60000, 0);
    assert_int_equal(guard.stop_at_ms, 5000);
    guard_init(&guard, 1000, 0);
    assert_int_equal(guard.kill_at_ms, 50);
    guard_init(&guard, 86400000, 0);
    assert_int_equal(guard.kill_at_ms, 2500);
}

/* Whoever waits as told and judges again never jumps over a border. */
static void test_no_border_is_slept_through(void **state)
{
    (void)state;
    for (size_t i = 0; i < TTL_COUNT; i++) {
        struct guard guard;
        guard_init(&guard, ttls_ms[i] < 60000 ? ttls_ms[i] : 60000, 0);
        int64_t valid_ms = guard.refresh_at_ms * 2;
        int64_t stopped_at_ms = -1;
        while (guard_judge(&guard, valid_ms) != GUARD_KILL) {
            if (stopped_at_ms < 0 && guard_judge(&guard, valid_ms) == GUARD_STOP) {
                stopped_at_ms = valid_ms;
            }
            const int64_t wait_ms = guard_wait_ms(&guard, valid_ms);
            assert_in_range(wait_ms, 1, guard.tick_ms);
            valid_ms -= wait_ms;
        }
        assert_int_equal(stopped_at_ms, guard.stop_at_ms);
        assert_int_equal(valid_ms, guard.kill_at_ms);
    }
}

static void test_the_deadline_leaves_the_margin(void **state)
{
    struct guard guard;
    (void)state;
    guard_init(&guard, 1000, 0);
    assert_int_equal(guard_deadline_us(&guard, 5000000, 900), 5000000 + 850000);
    assert_true(guard_deadline_us(&guard, 5000000, 0) < 5000000);
}

static void test_a_heartbeat_brings_the_deadline_nearer(void **state)
{
    struct guard guard;
    (void)state;
    guard_init(&guard, 10000, 1500);
    assert_int_equal(guard_deadline_us(&guard, 0, 9000), 1000000);
    assert_int_equal(guard_deadline_us(&guard, 0, 700), 500000);
    /* Announced often enough that it moves on before it comes. */
    assert_true(guard.tick_ms < 1000 / 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_lease_that_is_renewed_is_left_alone),
        cmocka_unit_test(test_the_borders_come_in_order),
        cmocka_unit_test(test_the_windows_are_what_help_says),
        cmocka_unit_test(test_no_border_is_slept_through),
        cmocka_unit_test(test_the_deadline_leaves_the_margin),
        cmocka_unit_test(test_a_heartbeat_brings_the_deadline_nearer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
