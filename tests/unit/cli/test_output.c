/* SPDX-License-Identifier: Apache-2.0 */
#include "output.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

static void test_a_holder_for_people(void **state)
{
    struct holdfast_holder holder = {
        .is_held = true, .label = "anna@web1:7", .since_ms = 1700000000123, .remaining_ms = 7450};
    char text[OUTPUT_TEXT_SIZE];
    (void)state;
    setenv("TZ", "UTC", 1);
    tzset();
    output_holder_text("k", &holder, text);
    assert_string_equal(text, "k is held by anna@web1:7 since 2023-11-14 22:13:20, 7.4 s left");
    holder.since_ms = 0;
    holder.remaining_ms = -1;
    holder.label[0] = '\0';
    output_holder_text("k", &holder, text);
    assert_string_equal(text, "k is held by somebody without a label, no expiry");
    holder.is_foreign = true;
    output_holder_text("k", &holder, text);
    assert_non_null(strstr(text, "another program"));
}

/* A label must not be able to steer the terminal of whoever reads it. */
static void test_labels_lose_their_control_characters(void **state)
{
    struct holdfast_holder holder = {.is_held = true, .remaining_ms = 1};
    char text[OUTPUT_TEXT_SIZE];
    (void)state;
    memcpy(holder.label, "a\x1b[2Jb\nc\xc2\x9bz\xc3\xa9\x7f", 14);
    output_holder_text("k", &holder, text);
    assert_string_equal(text, "k is held by a?[2Jb?c?z\xc3\xa9?, 1 ms left");
}

static void test_the_longest_label_fits(void **state)
{
    struct holdfast_holder holder = {
        .is_held = true, .since_ms = 1700000000123, .remaining_ms = 86400000};
    char key[513];
    char text[OUTPUT_TEXT_SIZE];
    (void)state;
    memset(key, 'k', 512);
    key[512] = '\0';
    memset(holder.label, 'l', HOLDFAST_LABEL_SIZE - 1);
    output_holder_text(key, &holder, text);
    assert_non_null(strstr(text, "24 h 0 min left"));
}

static void test_a_holder_as_json(void **state)
{
    struct holdfast_holder holder = {.is_held = true,
                                     .label = "l",
                                     .since_ms = 12,
                                     .remaining_ms = 0,
                                     .fence = 9007199254740991};
    (void)state;
    json_t *object = output_holder_json(&holder);
    assert_string_equal(json_string_value(json_object_get(object, "label")), "l");
    assert_int_equal(json_integer_value(json_object_get(object, "since_ms")), 12);
    assert_true(json_is_integer(json_object_get(object, "remaining_ms")));
    assert_int_equal(json_integer_value(json_object_get(object, "fence")), 9007199254740991);
    assert_true(json_is_false(json_object_get(object, "foreign")));
    json_decref(object);
    holder = (struct holdfast_holder){.is_held = true, .is_foreign = true, .remaining_ms = -1};
    object = output_holder_json(&holder);
    assert_true(json_is_null(json_object_get(object, "since_ms")));
    assert_true(json_is_null(json_object_get(object, "remaining_ms")));
    assert_true(json_is_null(json_object_get(object, "fence")));
    assert_true(json_is_true(json_object_get(object, "foreign")));
    json_decref(object);
}

static void test_durations_for_people(void **state)
{
    static const struct {
        int64_t ms;
        const char *text;
    } cases[] = {{0, "0 ms"},
                 {999, "999 ms"},
                 {1000, "1.0 s"},
                 {59999, "59.9 s"},
                 {60000, "1 min 0 s"},
                 {3599999, "59 min 59 s"},
                 {3600000, "1 h 0 min"},
                 {86400000, "24 h 0 min"}};
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char text[OUTPUT_DURATION_SIZE];
        output_duration(cases[i].ms, text);
        assert_string_equal(text, cases[i].text);
    }
}

static void test_tokens_as_hex(void **state)
{
    const unsigned char token[HOLDFAST_TOKEN_SIZE] = {0x00, 0x0f, 0xf0, 0xff, 0x1a};
    char text[OUTPUT_TOKEN_SIZE];
    (void)state;
    output_token(token, text);
    assert_string_equal(text, "000ff0ff1a0000000000000000000000");
}

static void test_every_result_has_its_exit_code(void **state)
{
    (void)state;
    assert_int_equal(output_failure(HOLDFAST_BUSY, "k", ""), 75);
    assert_int_equal(output_failure(HOLDFAST_NOT_HELD, "k", ""), 76);
    assert_int_equal(output_failure(HOLDFAST_INVALID, "k", ""), 64);
    assert_int_equal(output_failure(HOLDFAST_AWAY, "k", "gone"), 69);
    assert_int_equal(output_failure(HOLDFAST_TIMEOUT, "k", NULL), 69);
    assert_int_equal(output_failure(HOLDFAST_LIMIT, "k", ""), 69);
    assert_int_equal(output_failure(HOLDFAST_REFUSED, "k", ""), 70);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_holder_for_people),
        cmocka_unit_test(test_labels_lose_their_control_characters),
        cmocka_unit_test(test_the_longest_label_fits),
        cmocka_unit_test(test_a_holder_as_json),
        cmocka_unit_test(test_durations_for_people),
        cmocka_unit_test(test_tokens_as_hex),
        cmocka_unit_test(test_every_result_has_its_exit_code),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
