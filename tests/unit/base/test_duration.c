/* SPDX-License-Identifier: Apache-2.0 */
#include "base/duration.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void test_what_people_write_is_understood(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t ms;
    } rows[] = {
        {"0", 0},
        {"0ms", 0},
        {"0h", 0},
        {"1ms", 1},
        {"250ms", 250},
        {"007s", 7000},
        {"3s", 3000},
        {"5m", 300000},
        {"2h", 7200000},
        {"90m", 5400000},
        {"1500ms", 1500},
        {"9223372036854775807ms", INT64_MAX},
        {"2562047788015h", 2562047788015 * 3600000},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        int64_t ms = -1;
        assert_true(duration_parse(rows[i].text, &ms));
        assert_true(ms == rows[i].ms);
    }
}

static void test_anything_else_is_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {"",
                                      "s",
                                      "1",
                                      "00",
                                      "10",
                                      "-1s",
                                      "+1s",
                                      "1.5s",
                                      "1 s",
                                      " 1s",
                                      "1s ",
                                      "1S",
                                      "1sec",
                                      "1d",
                                      "1us",
                                      "0x1s",
                                      "1m30s",
                                      "9223372036854775808ms",
                                      "99999999999999999999999s",
                                      "9223372036854776s",
                                      "2562047788016h",
                                      "1mss",
                                      "1\n"};
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        int64_t ms = 77;
        assert_false(duration_parse(bad[i], &ms));
        assert_true(ms == 77);
    }
}

static void test_the_shortest_exact_form_is_written(void **state)
{
    (void)state;
    static const struct {
        int64_t ms;
        const char *text;
    } rows[] = {
        {0, "0"},
        {1, "1ms"},
        {999, "999ms"},
        {1000, "1s"},
        {1500, "1500ms"},
        {60000, "1m"},
        {61000, "61s"},
        {3600000, "1h"},
        {5400000, "90m"},
        {86400000, "24h"},
        {INT64_MAX, "9223372036854775807ms"},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        char text[DURATION_TEXT_SIZE];
        int64_t ms = -1;
        duration_format(rows[i].ms, text);
        assert_string_equal(text, rows[i].text);
        assert_true(duration_parse(text, &ms));
        assert_true(ms == rows[i].ms);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_people_write_is_understood),
        cmocka_unit_test(test_anything_else_is_refused),
        cmocka_unit_test(test_the_shortest_exact_form_is_written),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
