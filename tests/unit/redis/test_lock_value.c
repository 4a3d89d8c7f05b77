/* SPDX-License-Identifier: Apache-2.0 */
#include "redis/lock_value.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/compiler.h"

static struct lock_value sample(const char *label, size_t label_length, const char *data,
                                size_t data_length)
{
    struct lock_value value = {
        .fence = 0x0102030405060708,
        .since_ms = 0x1112131415161718,
        .label = label,
        .label_length = label_length,
        .value = data,
        .value_length = data_length,
        .flags = LOCK_VALUE_CONTENDED,
    };
    memset(value.tenure.bytes, 0xaa, ID128_SIZE);
    memset(value.token.bytes, 0xbb, ID128_SIZE);
    return value;
}

static void test_layout(void **state)
{
    (void)state;
    static const uint8_t numbers[] = {1,    2,    3,    4,    5,    6,    7,    8, 0x11,
                                      0x12, 0x13, 0x14, 0x15, 0x16, 0x17, 0x18, 2};
    uint8_t bytes[LOCK_VALUE_SIZE_MAX];
    struct lock_value value = sample("me", 2, "it", 2);
    assert_int_equal(lock_value_encode(&value, bytes), LOCK_VALUE_HEAD_SIZE + 4);
    assert_int_equal(bytes[0], 1);
    assert_memory_equal(bytes + 1, value.tenure.bytes, ID128_SIZE);
    assert_int_equal(bytes[LOCK_VALUE_OWNER_SIZE - 1], LOCK_VALUE_CONTENDED);
    assert_memory_equal(bytes + LOCK_VALUE_OWNER_SIZE, value.token.bytes, ID128_SIZE);
    assert_memory_equal(bytes + LOCK_VALUE_GRANT_SIZE, numbers, sizeof(numbers));
    assert_memory_equal(bytes + LOCK_VALUE_HEAD_SIZE, "meit", 4);
}

static void test_round_trip(void **state)
{
    (void)state;
    static char label[LEASE_LABEL_MAX];
    static char data[LEASE_VALUE_MAX];
    static const size_t data_lengths[] = {0, 1, 255, LEASE_VALUE_MAX};
    memset(label, 'l', sizeof(label));
    memset(data, 'd', sizeof(data));
    for (size_t i = 0; i < COUNT_OF(data_lengths) * (LEASE_LABEL_MAX + 1); i++) {
        uint8_t bytes[LOCK_VALUE_SIZE_MAX];
        size_t length = i % (LEASE_LABEL_MAX + 1);
        size_t data_length = data_lengths[i / (LEASE_LABEL_MAX + 1)];
        struct lock_value value =
            sample(length > 0 ? label : NULL, length, data_length > 0 ? data : NULL, data_length);
        struct lock_value decoded;
        size_t size = lock_value_encode(&value, bytes);
        assert_int_equal(size, lock_value_size(&value));
        assert_true(lock_value_decode(&decoded, bytes, size));
        assert_memory_equal(&decoded.tenure, &value.tenure, sizeof(value.tenure));
        assert_memory_equal(&decoded.token, &value.token, sizeof(value.token));
        assert_int_equal(decoded.fence, value.fence);
        assert_int_equal(decoded.since_ms, value.since_ms);
        assert_int_equal(decoded.flags, value.flags);
        assert_int_equal(decoded.label_length, length);
        assert_memory_equal(decoded.label, label, length);
        assert_int_equal(decoded.value_length, data_length);
        assert_memory_equal(decoded.value, data, data_length);
    }
}

static void test_another_programs_values(void **state)
{
    (void)state;
    uint8_t bytes[LOCK_VALUE_SIZE_MAX + 1] = {1};
    struct lock_value decoded;
    assert_false(lock_value_decode(&decoded, bytes, 0));
    assert_false(lock_value_decode(&decoded, bytes, LOCK_VALUE_HEAD_SIZE - 1));
    assert_true(lock_value_decode(&decoded, bytes, LOCK_VALUE_HEAD_SIZE));
    assert_true(lock_value_decode(&decoded, bytes, LOCK_VALUE_SIZE_MAX));
    assert_false(lock_value_decode(&decoded, bytes, LOCK_VALUE_SIZE_MAX + 1));
    bytes[LOCK_VALUE_HEAD_SIZE - 1] = 1;
    assert_false(lock_value_decode(&decoded, bytes, LOCK_VALUE_HEAD_SIZE));
    assert_true(lock_value_decode(&decoded, bytes, LOCK_VALUE_HEAD_SIZE + 1));
    bytes[LOCK_VALUE_HEAD_SIZE - 1] = LEASE_LABEL_MAX + 1;
    assert_false(lock_value_decode(&decoded, bytes, LOCK_VALUE_SIZE_MAX));
    bytes[LOCK_VALUE_HEAD_SIZE - 1] = 0;
    bytes[LOCK_VALUE_OWNER_SIZE - 1] = 4;
    assert_false(lock_value_decode(&decoded, bytes, LOCK_VALUE_HEAD_SIZE));
    bytes[LOCK_VALUE_OWNER_SIZE - 1] = LOCK_VALUE_CONTENDED | LOCK_VALUE_CLOSED;
    assert_true(lock_value_decode(&decoded, bytes, LOCK_VALUE_HEAD_SIZE));
    bytes[0] = 2;
    assert_false(lock_value_decode(&decoded, bytes, LOCK_VALUE_HEAD_SIZE));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_layout),
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_another_programs_values),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
