/* SPDX-License-Identifier: Apache-2.0 */
#include "text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void test_what_cannot_be_shown(void **state)
{
    static const struct {
        const char *from;
        const char *to;
    } cases[] = {
        {"", ""},
        {"plain ~", "plain ~"},
        {"a\x1b[2Jb\nc\x7f", "a?[2Jb?c?"},
        {"\xc2\x80\xc2\x9f\xc2\xa0", "??\xc2\xa0"},
        {"\xc3\xa9 \xe2\x82\xac \xf0\x9f\x94\x92", "\xc3\xa9 \xe2\x82\xac \xf0\x9f\x94\x92"},
        {"\xc3", "?"},
        {"\xe2\x82", "??"},
        {"\xf0\x9f\x94z", "???z"},
        {"\x80\xff", "??"},
        {"\xc0\xaf", "??"},           /* overlong */
        {"\xe0\x9f\xbf", "???"},      /* overlong */
        {"\xed\xa0\x80", "???"},      /* half of a pair */
        {"\xf4\x90\x80\x80", "????"}, /* beyond U+10FFFF */
        {"\xf4\x8f\xbf\xbf", "\xf4\x8f\xbf\xbf"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char text[64];
        text_clean(text, sizeof(text), cases[i].from);
        assert_string_equal(text, cases[i].to);
    }
}

static void test_no_character_is_cut(void **state)
{
    char text[5];
    (void)state;
    text_clean(text, sizeof(text), "ab\xe2\x82\xac");
    assert_string_equal(text, "ab");
    text_clean(text, sizeof(text), "a\xe2\x82\xac");
    assert_string_equal(text, "a\xe2\x82\xac");
    text_clean(text, sizeof(text), "abcdef");
    assert_string_equal(text, "abcd");
}

static void test_long_keys_are_shortened(void **state)
{
    char key[513];
    char text[TEXT_KEY_SIZE];
    (void)state;
    memset(key, 'k', sizeof(key));
    key[TEXT_KEY_SIZE - 1] = '\0';
    text_key(text, key);
    assert_string_equal(text, key);
    key[TEXT_KEY_SIZE - 1] = '\x1b';
    key[512] = '\0';
    text_key(text, key);
    assert_int_equal(strlen(text), 43);
    assert_string_equal(text + 39, "k...");
    memset(key, '\n', 512);
    text_key(text, key);
    assert_int_equal(strspn(text, "?"), 40);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_cannot_be_shown),
        cmocka_unit_test(test_no_character_is_cut),
        cmocka_unit_test(test_long_keys_are_shortened),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
