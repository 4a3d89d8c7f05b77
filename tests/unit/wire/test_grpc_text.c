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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(texts_are_encoded),
        cmocka_unit_test(every_byte_fits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
