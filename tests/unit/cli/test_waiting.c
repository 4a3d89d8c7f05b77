/* SPDX-License-Identifier: Apache-2.0 */
#include "waiting.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static void test_the_line_of_a_wait(void **state)
{
    struct holdfast_holder holder = {.is_held = true, .label = "anna@web1:7", .since_ms = 1000};
    char line[WAITING_LINE_SIZE];
    (void)state;
    waiting_line("k", 3, &holder, 13999, line);
    assert_string_equal(line, "waiting for k: position 3, held by anna@web1:7 for 12 s");
    waiting_line("k", 3, &holder, 201000, line);
    assert_string_equal(line, "waiting for k: position 3, held by anna@web1:7 for 3 min 20 s");
    waiting_line("k", 1, &holder, 0, line);
    assert_string_equal(line, "waiting for k: position 1, held by anna@web1:7 for 0 s");
    holder.since_ms = 0;
    holder.holders = 3;
    waiting_line("k", 1, &holder, 0, line);
    assert_string_equal(line, "waiting for k: position 1, held by anna@web1:7 and 2 more");
    holder.is_foreign = true;
    holder.holders = 1;
    waiting_line("k", 1, &holder, 0, line);
    assert_non_null(strstr(line, "held by another program"));
}

static void test_the_line_where_nobody_holds(void **state)
{
    struct holdfast_holder holder = {.is_held = false};
    char line[WAITING_LINE_SIZE];
    (void)state;
    waiting_line("k", 2, &holder, 0, line);
    assert_string_equal(line, "waiting for k: position 2");
    holder.is_closed = true;
    waiting_line("k", 2, &holder, 0, line);
    assert_string_equal(line, "waiting for k: position 2, closed after its holder was lost");
}

static void test_the_longest_line_fits(void **state)
{
    struct holdfast_holder holder = {.is_held = true, .since_ms = 1, .holders = 1000000};
    char key[80];
    char line[WAITING_LINE_SIZE];
    (void)state;
    memset(key, 'k', sizeof(key) - 1);
    key[sizeof(key) - 1] = '\0';
    memset(holder.label, 'l', HOLDFAST_LABEL_SIZE - 1);
    waiting_line(key, UINT32_MAX, &holder, 86400001, line);
    assert_non_null(strstr(line, "and 999999 more for 24 h 0 min"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_line_of_a_wait),
        cmocka_unit_test(test_the_line_where_nobody_holds),
        cmocka_unit_test(test_the_longest_line_fits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
