/* SPDX-License-Identifier: Apache-2.0 */
#include "view.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const struct holdfast_lock_holder holders[] = {
    {.label = "anna@web1:7", .peer = "unix", .since_ms = 1000, .remaining_ms = 7450, .fence = 42},
    {.label = "ben", .peer = "", .remaining_ms = -1, .is_orphaned = true},
    {.label = "", .peer = "", .remaining_ms = 1, .is_foreign = true},
    {.label = "dora", .peer = "", .remaining_ms = 1, .is_closed = true},
};
static const struct holdfast_lock_waiter waiters[] = {
    {.label = "carl", .peer = "127.0.0.1:5", .mode = HOLDFAST_SHARED}};

static void test_a_row_per_holder(void **state)
{
    const struct holdfast_lock_state lock = {
        .key = "stock", .holders = holders, .holder_count = 4, .waiting = 5};
    char row[VIEW_ROW_SIZE];
    char head[VIEW_ROW_SIZE];
    (void)state;
    view_head(head);
    assert_int_equal(view_rows(&lock), 4);
    view_lock(&lock, 0, 4500, row);
    assert_string_equal(row, "stock                        exclusive anna@web1:7                  "
                             "3.5 s        7.4 s        42                     5");
    assert_int_equal(strlen(row), strlen(head));
    view_lock(&lock, 1, 4500, row);
    assert_non_null(strstr(row, "ben (away)"));
    assert_non_null(strstr(row, "no expiry"));
    view_lock(&lock, 2, 4500, row);
    assert_non_null(strstr(row, "(another program)"));
    view_lock(&lock, 3, 4500, row);
    assert_non_null(strstr(row, "dora (lost)"));
}

static void test_a_lock_that_nobody_holds(void **state)
{
    const struct holdfast_lock_state lock = {
        .key = "a\x1b[2J", .mode = HOLDFAST_SHARED, .waiting = 1};
    char row[VIEW_ROW_SIZE];
    (void)state;
    assert_int_equal(view_rows(&lock), 1);
    view_lock(&lock, 0, 0, row);
    assert_string_equal(row, "a?[2J                        shared    -                            "
                             "-            -            -                      1");
}

static void test_a_lock_as_json(void **state)
{
    const struct holdfast_lock_state lock = {.key = "k",
                                             .mode = HOLDFAST_SHARED,
                                             .holders = holders,
                                             .holder_count = 2,
                                             .waiters = waiters,
                                             .waiter_count = 1,
                                             .waiting = 1};
    (void)state;
    json_t *object = view_lock_json(&lock);
    char *text = json_dumps(object, JSON_COMPACT);
    assert_string_equal(
        text,
        "{\"key\":\"k\",\"mode\":\"shared\",\"holders\":[{\"label\":\"anna@web1:7\","
        "\"peer\":\"unix\",\"since_ms\":1000,\"remaining_ms\":7450,\"fence\":42,"
        "\"orphaned\":false,\"foreign\":false,\"closed\":false},{\"label\":\"ben\",\"peer\":\"\","
        "\"since_ms\":null,\"remaining_ms\":null,\"fence\":null,\"orphaned\":true,"
        "\"foreign\":false,\"closed\":false}],\"waiters\":[{\"label\":\"carl\",\"peer\":\"127.0.0."
        "1:5\","
        "\"mode\":\"shared\"}],\"waiting\":1}");
    free(text);
    json_decref(object);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_row_per_holder),
        cmocka_unit_test(test_a_lock_that_nobody_holds),
        cmocka_unit_test(test_a_lock_as_json),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
