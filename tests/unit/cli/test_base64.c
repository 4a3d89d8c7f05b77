/* SPDX-License-Identifier: Apache-2.0 */
#include "base64.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* RFC 4648, section 10, and the two digits that differ in section 5. */
static const struct {
    const char *bytes;
    const char *text;
} vectors[] = {
    {"", ""},
    {"f", "Zg=="},
    {"fo", "Zm8="},
    {"foo", "Zm9v"},
    {"foob", "Zm9vYg=="},
    {"fooba", "Zm9vYmE="},
    {"foobar", "Zm9vYmFy"},
    {"\xfb\xff", "+/8="},
};

#define VECTOR_COUNT (sizeof(vectors) / sizeof(vectors[0]))

static void test_the_vectors_of_the_rfc(void **state)
{
    (void)state;
    for (size_t i = 0; i < VECTOR_COUNT; i++) {
        char *text = base64_encode((const uint8_t *)vectors[i].bytes, strlen(vectors[i].bytes));
        assert_string_equal(text, vectors[i].text);
        free(text);
    }
}

static void expect_bytes(const char *text, const char *expected)
{
    uint8_t *bytes = NULL;
    size_t length = 0;
    assert_true(base64_decode(text, &bytes, &length));
    assert_int_equal(length, strlen(expected));
    assert_memory_equal(bytes, expected, length);
    free(bytes);
}

static void test_reading(void **state)
{
    (void)state;
    for (size_t i = 0; i < VECTOR_COUNT; i++) {
        char bare[16] = "";
        memcpy(bare, vectors[i].text, strcspn(vectors[i].text, "="));
        expect_bytes(vectors[i].text, vectors[i].bytes);
        expect_bytes(bare, vectors[i].bytes);
    }
    expect_bytes("-_8=", "\xfb\xff");
    expect_bytes("-_8", "\xfb\xff");
}

static void test_what_is_no_base64(void **state)
{
    static const char *const texts[] = {"Z",        "Zg=",  "Zg===", "=",      "====", "Zm9v=",
                                        "Zm9v====", "Z=g=", "Zm 9v", "Zm9v\n", "Zm9$", "Zm8=Zm8="};
    (void)state;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        uint8_t *bytes = NULL;
        size_t length = 0;
        assert_false(base64_decode(texts[i], &bytes, &length));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_vectors_of_the_rfc),
        cmocka_unit_test(test_reading),
        cmocka_unit_test(test_what_is_no_base64),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
