/* SPDX-License-Identifier: Apache-2.0 */
#include "base/utf8.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "base/compiler.h"
#include "base/random.h"

#define BAD "\xef\xbf\xbd"

static void test_valid_text_stays_and_bad_bytes_go(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        const char *clean;
    } rows[] = {
        {"", ""},
        {"plain", "plain"},
        {"Grüße 鍵 🔒", "Grüße 鍵 🔒"},
        {"\xf4\x8f\xbf\xbf", "\xf4\x8f\xbf\xbf"},
        {"a\xff"
         "b",
         "a" BAD "b"},
        {"\x80", BAD},
        {"\xc0\x80", BAD BAD},
        {"\xc1\xbf", BAD BAD},
        {"\xe0\x9f\xbf", BAD BAD BAD},
        {"\xed\xa0\x80", BAD BAD BAD},
        {"\xf0\x8f\xbf\xbf", BAD BAD BAD BAD},
        {"\xf4\x90\x80\x80", BAD BAD BAD BAD},
        {"\xf5\x80\x80\x80", BAD BAD BAD BAD},
        {"\xe9\x8d", BAD BAD},
        {"\xe9\x8dx", BAD BAD "x"},
        {"\xc3", BAD},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        char clean[64];
        size_t used;
        size_t length = strlen(rows[i].bytes);
        assert_int_equal(utf8_clean(rows[i].bytes, length, clean, sizeof(clean), &used), length);
        assert_int_equal(used, strlen(rows[i].clean));
        assert_memory_equal(clean, rows[i].clean, used);
    }
}

static void test_the_limit_cuts_between_characters(void **state)
{
    (void)state;
    char clean[8];
    size_t used;
    assert_int_equal(utf8_clean("a鍵b", 5, clean, 3, &used), 1);
    assert_int_equal(used, 1);
    assert_int_equal(utf8_clean("a鍵b", 5, clean, 4, &used), 4);
    assert_int_equal(used, 4);
    assert_int_equal(utf8_clean("\xff\xff\xff", 3, clean, 8, &used), 2);
    assert_int_equal(used, 6);
    assert_int_equal(utf8_clean("a", 1, clean, 0, &used), 0);
    assert_int_equal(used, 0);
}

static void test_jansson_takes_whatever_comes_out(void **state)
{
    (void)state;
    static const uint8_t frequent[] = {0x80, 0xbf, 0xc2, 0xe0, 0xed, 0xa0, 0xf0, 0xf4, 0x90, 'a'};
    for (int round = 0; round < 20000; round++) {
        char bytes[12];
        char clean[40];
        size_t used;
        random_fill(bytes, sizeof(bytes));
        for (size_t i = 0; i < sizeof(bytes); i++) {
            if (bytes[i] % 4 != 0) {
                bytes[i] = (char)frequent[(uint8_t)bytes[i] % sizeof(frequent)];
            }
        }
        assert_int_equal(utf8_clean(bytes, sizeof(bytes), clean, sizeof(clean), &used), 12);
        json_t *text = json_stringn(clean, used);
        assert_non_null(text);
        json_decref(text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_valid_text_stays_and_bad_bytes_go),
        cmocka_unit_test(test_the_limit_cuts_between_characters),
        cmocka_unit_test(test_jansson_takes_whatever_comes_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
