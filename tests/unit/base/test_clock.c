/* SPDX-License-Identifier: Apache-2.0 */
#include "base/clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include <cmocka.h>

static void test_now_is_the_boot_clock_and_never_goes_back(void **state)
{
    (void)state;
    struct timespec before;
    struct timespec after;
    clock_gettime(CLOCK_BOOTTIME, &before);
    int64_t first_us = clock_now_us();
    int64_t second_us = clock_now_us();
    clock_gettime(CLOCK_BOOTTIME, &after);
    assert_true(first_us >= before.tv_sec * CLOCK_US_PER_S + before.tv_nsec / 1000);
    assert_true(second_us >= first_us);
    assert_true(second_us <= after.tv_sec * CLOCK_US_PER_S + after.tv_nsec / 1000);
}

static void test_wall_time_is_in_milliseconds_since_1970(void **state)
{
    (void)state;
    int64_t before_s = (int64_t)time(NULL);
    int64_t wall_ms = clock_wall_ms();
    /* time(2) may lag by a tick of the kernel. */
    assert_true(wall_ms / 1000 >= before_s);
    assert_true(wall_ms / 1000 <= (int64_t)time(NULL) + 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_now_is_the_boot_clock_and_never_goes_back),
        cmocka_unit_test(test_wall_time_is_in_milliseconds_since_1970),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
