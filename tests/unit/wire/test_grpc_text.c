/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/grpc_text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "base/compiler.h"

static const struct {
    const char *text;
    const char *encoded;
} samples[] = {
    {"", ""},
    {"key: missing; ask for ~1!", "key: missing; ask for ~1!"},
    {"100%", "100%25"},
    {"two\nlines\r\t\x7f", "two%0Alines%0D%09%7F"},
    {"zo\xc3\xab \xe9\x8e\x96", "zo%C3%AB %E9%8E%96"},
};

static void texts_are_encoded(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(samples); i++) {
        char encoded[100];
        size_t length = grpc_text_encode(samples[i].text, strlen(samples[i].text), encoded);
        assert_int_equal(length, strlen(samples[i].encoded));
        assert_memory_equal(encoded, samples[i].encoded, length);
    }
}

static void every_byte_fits(void **state)
{
    (void)state;
    for (int byte = 0; byte < 256; byte++) {
        char text = (char)byte;
        char encoded[GRPC_TEXT_SIZE(1)];
        size_t length = grpc_text_encode(&text, 1, encoded);
        assert_true(length == 1 || (length == 3 && encoded[0] == '%'));
        for (size_t i = 0; i < length; i++) {
            assert_true(encoded[i] >= ' ' && encoded[i] <= '~');
        }
    }
}

static void texts_come_back(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(samples); i++) {
        char text[100];
        grpc_text_decode(samples[i].encoded, strlen(samples[i].encoded), text, sizeof(text));
        assert_string_equal(text, samples[i].text);
    }
}

/* Whoever encodes badly is shown as he wrote. */
static void what_is_not_encoded_stands_for_itself(void **state)
{
    static const char *const texts[] = {"%", "%4", "%4x", "%x4", "100%", "% 41", "%%"};
    (void)state;
    for (size_t i = 0; i < COUNT_OF(texts); i++) {
        char text[100];
        grpc_text_decode(texts[i], strlen(texts[i]), text, sizeof(text));
        assert_string_equal(text, texts[i]);
    }
}

static void long_texts_are_cut(void **state)
{
    char text[4];
    (void)state;
    grpc_text_decode("%41%42%43%44", 12, text, sizeof(text));
    assert_string_equal(text, "ABC");
    grpc_text_decode("%c3%B6x", 7, text, 1);
    assert_string_equal(text, "");
    grpc_text_decode("%c3%B6x", 7, text, sizeof(text));
    assert_string_equal(text, "\xc3\xb6x");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(texts_are_encoded),
        cmocka_unit_test(every_byte_fits),
        cmocka_unit_test(texts_come_back),
        cmocka_unit_test(what_is_not_encoded_stands_for_itself),
        cmocka_unit_test(long_texts_are_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
