/* SPDX-License-Identifier: Apache-2.0 */
#include "service/answers.h"

#include "fixture.h"

#include <string.h>

static void holder_is_described(void **state)
{
    (void)state;
    struct holder_answer answer;
    const struct store_holder holder = {
        .is_held = true,
        .remaining_us = 1500001,
        .since_ms = 1700000000123,
        .fence = 42,
        .label = "worker 7 and more",
        .label_length = 8,
    };
    holder_answer_init(&answer, &holder);
    assert_string_equal(answer.message.label, "worker 7");
    assert_int_equal(answer.message.remaining_ms, 1501);
    assert_int_equal(answer.message.since_ms, 1700000000123);
    assert_int_equal(answer.message.fence, 42);
    assert_false(answer.message.foreign);
}

static void foreign_holder_without_expiry_is_described(void **state)
{
    (void)state;
    struct holder_answer answer;
    const struct store_holder holder = {.is_held = true, .is_foreign = true, .remaining_us = -1};
    holder_answer_init(&answer, &holder);
    assert_string_equal(answer.message.label, "");
    assert_int_equal(answer.message.remaining_ms, -1);
    assert_true(answer.message.foreign);
}

static void a_label_that_is_not_text_is_cleaned_and_cut(void **state)
{
    (void)state;
    struct holder_answer answer;
    char label[1000];
    memset(label, 'x', sizeof(label));
    label[1] = (char)0xff;
    holder_answer_init(&answer, &(struct store_holder){.label = label, .label_length = 3});
    assert_string_equal(answer.message.label, "x\xef\xbf\xbdx");
    label[1] = 'x';
    holder_answer_init(&answer,
                       &(struct store_holder){.label = label, .label_length = sizeof(label)});
    assert_int_equal(strlen(answer.message.label), LEASE_LABEL_MAX);
}

static void remaining_validity_is_rounded_down(void **state)
{
    (void)state;
    assert_int_equal(answer_valid_for_ms(10999, 9000), 1);
    assert_int_equal(answer_valid_for_ms(11000, 9000), 2);
    assert_int_equal(answer_valid_for_ms(9999, 9000), 0);
    assert_int_equal(answer_valid_for_ms(9000, 9000), 0);
    assert_int_equal(answer_valid_for_ms(0, INT64_MAX), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(holder_is_described),
        cmocka_unit_test(foreign_holder_without_expiry_is_described),
        cmocka_unit_test(a_label_that_is_not_text_is_cleaned_and_cut),
        cmocka_unit_test(remaining_validity_is_rounded_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
