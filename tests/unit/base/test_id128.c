/* SPDX-License-Identifier: Apache-2.0 */
#include "base/id128.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static const struct id128 sample = {.bytes = {0x00, 0x01, 0x7f, 0x80, 0xff, 0xa5, 0x5a, 0x10, 0x20,
                                              0x30, 0x40, 0x50, 0x60, 0x70, 0x8f, 0xf8}};

static void test_ids_differ(void **state)
{
    (void)state;
    struct id128 first = id128_random();
    struct id128 second = id128_random();
    assert_true(id128_equal(&first, &first));
    assert_false(id128_equal(&first, &second));
}

static void test_every_bit_counts_in_comparing(void **state)
{
    (void)state;
    for (unsigned int bit = 0; bit < 128; bit++) {
        struct id128 other = sample;
        other.bytes[bit / 8] = (uint8_t)(other.bytes[bit / 8] ^ (1U << (bit % 8)));
        assert_false(id128_equal(&sample, &other));
    }
}

static void test_bytes_must_be_sixteen(void **state)
{
    (void)state;
    struct id128 id = {.bytes = {1}};
    uint8_t bytes[17] = {9};
    assert_false(id128_from_bytes(&id, bytes, 0));
    assert_false(id128_from_bytes(&id, bytes, 15));
    assert_false(id128_from_bytes(&id, bytes, 17));
    assert_int_equal(id.bytes[0], 1);
    assert_true(id128_from_bytes(&id, bytes, 16));
    assert_int_equal(id.bytes[0], 9);
}

static void test_hex_and_back(void **state)
{
    (void)state;
    char hex[ID128_HEX_SIZE];
    struct id128 parsed;
    id128_to_hex(&sample, hex);
    assert_string_equal(hex, "00017f80ffa55a102030405060708ff8");
    assert_true(id128_from_hex(&parsed, hex));
    assert_true(id128_equal(&parsed, &sample));
    assert_true(id128_from_hex(&parsed, "00017F80FFA55A102030405060708FF8"));
    assert_true(id128_equal(&parsed, &sample));
}

static void test_bad_hex_is_refused_and_changes_nothing(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        "0",
        "00017f80ffa55a102030405060708ff",
        "00017f80ffa55a102030405060708ff80",
        "00017f80ffa55a102030405060708ffg",
        "g0017f80ffa55a102030405060708ff8",
        " 0017f80ffa55a102030405060708ff8",
        "0x017f80ffa55a102030405060708ff8",
    };
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        struct id128 id = sample;
        assert_false(id128_from_hex(&id, bad[i]));
        assert_true(id128_equal(&id, &sample));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ids_differ),
        cmocka_unit_test(test_every_bit_counts_in_comparing),
        cmocka_unit_test(test_bytes_must_be_sixteen),
        cmocka_unit_test(test_hex_and_back),
        cmocka_unit_test(test_bad_hex_is_refused_and_changes_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
