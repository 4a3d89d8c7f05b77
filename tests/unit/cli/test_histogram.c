/* SPDX-License-Identifier: Apache-2.0 */
#include "histogram.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct histogram histogram;

static int empty(void **state)
{
    (void)state;
    memset(&histogram, 0, sizeof(histogram));
    return 0;
}

static void test_an_empty_one_has_nothing(void **state)
{
    (void)state;
    assert_int_equal(histogram_percentile(&histogram, 50), 0);
    assert_int_equal(histogram_percentile(&histogram, 100), 0);
    assert_true(histogram_mean(&histogram) == 0);
}

static void test_short_durations_are_exact(void **state)
{
    (void)state;
    for (int64_t us = 1; us <= 200; us++) {
        histogram_add(&histogram, us);
    }
    assert_int_equal(histogram.count, 200);
    assert_int_equal(histogram_percentile(&histogram, 0), 1);
    assert_int_equal(histogram_percentile(&histogram, 50), 100);
    assert_int_equal(histogram_percentile(&histogram, 50.5), 101);
    assert_int_equal(histogram_percentile(&histogram, 99), 198);
    assert_int_equal(histogram_percentile(&histogram, 100), 200);
    assert_true(histogram_mean(&histogram) == 100.5);
}

/* A lone duration below a longer one: its percentile is its slot's end. */
static void test_no_duration_is_off_by_more_than_a_part(void **state)
{
    (void)state;
    for (int64_t us = 1; us < (int64_t)1 << 39; us += 1 + us / 37) {
        empty(NULL);
        histogram_add(&histogram, us);
        histogram_add(&histogram, (int64_t)1 << 39);
        const int64_t found_us = histogram_percentile(&histogram, 50);
        assert_in_range(found_us, us, us + us / 128);
    }
}

/* What falls into one slot is less than what falls into the next, at every border. */
static void test_borders(void **state)
{
    (void)state;
    for (int bit = 6; bit < HISTOGRAM_TOP_BITS; bit++) {
        for (int64_t off = -1; off <= 1; off++) {
            const int64_t us = ((int64_t)1 << bit) + off;
            empty(NULL);
            histogram_add(&histogram, us);
            histogram_add(&histogram, ((int64_t)1 << HISTOGRAM_TOP_BITS) - 1);
            assert_in_range(histogram_percentile(&histogram, 50), us, us + us / 128);
        }
    }
}

static void test_what_is_out_of_range_is_the_next_best(void **state)
{
    (void)state;
    histogram_add(&histogram, -5);
    assert_int_equal(histogram_percentile(&histogram, 100), 0);
    histogram_add(&histogram, INT64_MAX);
    assert_int_equal(histogram.count, 2);
    assert_int_equal(histogram_percentile(&histogram, 50), 0);
    assert_int_equal(histogram_percentile(&histogram, 100), ((int64_t)1 << HISTOGRAM_TOP_BITS) - 1);
}

/* Against the definition: sorted, the value at the rank. */
static void test_percentiles_of_a_crowd(void **state)
{
    enum { COUNT = 10000 };
    static int64_t sorted[COUNT];
    uint64_t random = 88172645463325252U;
    (void)state;
    for (int i = 0; i < COUNT; i++) {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        const int64_t us = (int64_t)(random % 1000000) * (int64_t)(random % 7 + 1) / 7;
        histogram_add(&histogram, us);
        int place = i;
        for (; place > 0 && sorted[place - 1] > us; place--) {
            sorted[place] = sorted[place - 1];
        }
        sorted[place] = us;
    }
    static const double percents[] = {1, 25, 50, 90, 99, 99.9, 99.99};
    for (size_t i = 0; i < sizeof(percents) / sizeof(percents[0]); i++) {
        const int64_t exact_us = sorted[(int)(percents[i] / 100 * (double)COUNT + 0.5) - 1];
        assert_in_range(histogram_percentile(&histogram, percents[i]), exact_us,
                        exact_us + exact_us / 128);
    }
    assert_int_equal(histogram_percentile(&histogram, 100), sorted[COUNT - 1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_an_empty_one_has_nothing, empty),
        cmocka_unit_test_setup(test_short_durations_are_exact, empty),
        cmocka_unit_test_setup(test_no_duration_is_off_by_more_than_a_part, empty),
        cmocka_unit_test_setup(test_borders, empty),
        cmocka_unit_test_setup(test_what_is_out_of_range_is_the_next_best, empty),
        cmocka_unit_test_setup(test_percentiles_of_a_crowd, empty),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
