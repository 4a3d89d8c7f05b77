/* SPDX-License-Identifier: Apache-2.0 */
#include "json_reader.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct json_reader reader;
static char problem[JSON_READER_PROBLEM_SIZE];

static int set_up(void **state)
{
    (void)state;
    reader = (struct json_reader){.bytes = NULL};
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    json_reader_release(&reader);
    return 0;
}

static void feed(const char *text)
{
    json_reader_feed(&reader, text, strlen(text));
}

static void expect_object(const char *expected)
{
    json_t *object = NULL;
    assert_int_equal(json_reader_next(&reader, &object, problem), JSON_READER_OBJECT);
    char *text = json_dumps(object, JSON_COMPACT);
    assert_string_equal(text, expected);
    free(text);
    json_decref(object);
}

static void expect_more(bool is_within)
{
    json_t *object = NULL;
    assert_int_equal(json_reader_next(&reader, &object, problem), JSON_READER_MORE);
    assert_int_equal(json_reader_is_within(&reader), is_within);
}

static void expect_wrong(const char *text)
{
    json_t *object = NULL;
    assert_int_equal(json_reader_next(&reader, &object, problem), JSON_READER_WRONG);
    assert_non_null(strstr(problem, text));
}

static void test_one_behind_another(void **state)
{
    (void)state;
    expect_more(false);
    feed(" {\"a\":1}{} \n\t{\"b\":[{\"c\":\"}\"}]}\r\n");
    expect_object("{\"a\":1}");
    expect_object("{}");
    expect_object("{\"b\":[{\"c\":\"}\"}]}");
    expect_more(false);
}

/* However it is cut. */
static void test_byte_by_byte(void **state)
{
    (void)state;
    static const char text[] = "{\"a\\\"}\":[true,1.5e3,\"\xe2\x82\xac\\\\\"]}{\"b\":{}}";
    const size_t first = strlen(text) - strlen("{\"b\":{}}");
    for (size_t i = 0; i < first; i++) {
        expect_more(i > 0);
        json_reader_feed(&reader, &text[i], 1);
    }
    expect_object("{\"a\\\"}\":[true,1500.0,\"\xe2\x82\xac\\\\\"]}");
    feed(text + first);
    expect_object("{\"b\":{}}");
}

static void test_what_is_no_object(void **state)
{
    (void)state;
    static const char *const texts[] = {"[]", "null", "\"{}\"", "x{}", "}", "\xef\xbb\xbf{}"};
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        json_reader_release(&reader);
        feed(texts[i]);
        expect_wrong("begins with {");
    }
}

static void test_what_is_wrong_inside(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "{]",
        "{\"a\":1,}",
        "{\"a\" 1}",
        "{'a':1}",
        "{\"a\":1,\"a\":2}",
        "{\"a\":\"\xff\"}",
        "{\"a\":\"\\u0000\"}",
    };
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        json_reader_release(&reader);
        feed(texts[i]);
        expect_wrong("line 1");
    }
}

static void test_an_object_without_end_has_one(void **state)
{
    (void)state;
    static char spaces[65536];
    memset(spaces, ' ', sizeof(spaces));
    feed("{");
    for (size_t fed = 0; fed < JSON_READER_MAX - sizeof(spaces); fed += sizeof(spaces)) {
        json_reader_feed(&reader, spaces, sizeof(spaces));
        expect_more(true);
    }
    json_reader_feed(&reader, spaces, sizeof(spaces));
    json_reader_feed(&reader, spaces, sizeof(spaces));
    expect_wrong("longer than 8388608 bytes");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_one_behind_another, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_byte_by_byte, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_what_is_no_object, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_what_is_wrong_inside, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_an_object_without_end_has_one, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
