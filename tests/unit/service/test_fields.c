/* SPDX-License-Identifier: Apache-2.0 */
#include "service/fields.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "lease/lease.h"

static char problem[FIELDS_PROBLEM_SIZE];

/* A string of `length` bytes, valid until the next call. */
static const char *text_of(size_t length)
{
    static char text[1024];
    memset(text, 'k', length);
    text[length] = '\0';
    return text;
}

static void key_has_1_to_512_bytes(void **state)
{
    (void)state;
    assert_true(fields_check_key(text_of(1), problem));
    assert_true(fields_check_key(text_of(LEASE_KEY_MAX), problem));
    assert_false(fields_check_key("", problem));
    assert_string_equal(problem, "key: missing; 1 to 512 bytes are required");
    assert_false(fields_check_key(text_of(LEASE_KEY_MAX + 1), problem));
    assert_string_equal(problem, "key: 513 bytes are too many; at most 512");
}

static void label_has_at_most_128_bytes(void **state)
{
    (void)state;
    assert_true(fields_check_label("", problem));
    assert_true(fields_check_label(text_of(LEASE_LABEL_MAX), problem));
    assert_false(fields_check_label(text_of(LEASE_LABEL_MAX + 1), problem));
    assert_string_equal(problem, "label: 129 bytes are too many; at most 128");
}

static void ttl_is_0_or_within_bounds(void **state)
{
    (void)state;
    assert_true(fields_check_ttl(0, problem));
    assert_true(fields_check_ttl(100, problem));
    assert_true(fields_check_ttl(86400000, problem));
    assert_false(fields_check_ttl(1, problem));
    assert_false(fields_check_ttl(99, problem));
    assert_string_equal(problem, "ttl_ms: 99 is out of bounds; 0 (default) or 100 to 86400000");
    assert_false(fields_check_ttl(86400001, problem));
    assert_false(fields_check_ttl(UINT32_MAX, problem));
    assert_string_equal(problem,
                        "ttl_ms: 4294967295 is out of bounds; 0 (default) or 100 to 86400000");
}

static void heartbeat_is_0_or_within_bounds(void **state)
{
    (void)state;
    assert_true(fields_check_heartbeat(0, problem));
    assert_true(fields_check_heartbeat(100, problem));
    assert_true(fields_check_heartbeat(86400000, problem));
    assert_false(fields_check_heartbeat(99, problem));
    assert_string_equal(problem, "heartbeat_ms: 99 is out of bounds; 0 (none) or 100 to 86400000");
    assert_false(fields_check_heartbeat(86400001, problem));
}

static void names_are_one_key_or_2_to_16_keys(void **state)
{
    (void)state;
    char numbers[17][12];
    char *keys[17];
    for (int i = 0; i < 17; i++) {
        snprintf(numbers[i], sizeof(numbers[i]), "%d", i);
        keys[i] = numbers[i];
    }
    assert_true(fields_check_names("a", NULL, 0, problem));
    assert_true(fields_check_names("", keys, 2, problem));
    assert_true(fields_check_names("", keys, 16, problem));
    assert_false(fields_check_names("", NULL, 0, problem));
    assert_string_equal(problem, "key: missing; 1 to 512 bytes are required");
    assert_false(fields_check_names("a", keys, 2, problem));
    assert_string_equal(problem, "key: must be empty where keys are given");
    assert_false(fields_check_names("", keys, 1, problem));
    assert_string_equal(problem, "keys: 1 names; 2 to 16 are allowed, or key for one");
    assert_false(fields_check_names("", keys, 17, problem));
    assert_string_equal(problem, "keys: 17 names; 2 to 16 are allowed, or key for one");
    keys[2] = keys[1];
    assert_false(fields_check_names("", keys, 3, problem));
    assert_string_equal(problem, "keys[2]: the same name as keys[1]; they must differ");
    keys[2] = (char *)"";
    assert_false(fields_check_names("", keys, 3, problem));
    assert_string_equal(problem, "keys[2]: empty; 1 to 512 bytes are required");
    keys[2] = (char *)text_of(LEASE_KEY_MAX + 1);
    assert_false(fields_check_names("", keys, 3, problem));
    assert_string_equal(problem, "keys[2]: 513 bytes are too many; at most 512");
}

static void value_has_at_most_4096_bytes(void **state)
{
    (void)state;
    assert_true(fields_check_value(&(ProtobufCBinaryData){.len = 0}, problem));
    assert_true(fields_check_value(&(ProtobufCBinaryData){.len = 4096}, problem));
    assert_false(fields_check_value(&(ProtobufCBinaryData){.len = 4097}, problem));
    assert_string_equal(problem, "value: 4097 bytes are too many; at most 4096");
}

static void limit_goes_with_shared_only(void **state)
{
    (void)state;
    assert_true(fields_check_mode(HOLDFAST__V1__MODE__MODE_UNSPECIFIED, 0, problem));
    assert_true(fields_check_mode(HOLDFAST__V1__MODE__MODE_EXCLUSIVE, 0, problem));
    assert_true(fields_check_mode(HOLDFAST__V1__MODE__MODE_SHARED, 0, problem));
    assert_true(fields_check_mode(HOLDFAST__V1__MODE__MODE_SHARED, 1000000, problem));
    assert_false(fields_check_mode(HOLDFAST__V1__MODE__MODE_UNSPECIFIED, 1, problem));
    assert_string_equal(problem, "limit: only with mode SHARED; otherwise 0");
    assert_false(fields_check_mode(HOLDFAST__V1__MODE__MODE_EXCLUSIVE, 1, problem));
    assert_false(fields_check_mode(HOLDFAST__V1__MODE__MODE_SHARED, 1000001, problem));
    assert_string_equal(problem, "limit: 1000001 is out of bounds; 0 (any number) or 1 to 1000000");
    assert_false(fields_check_mode((Holdfast__V1__Mode)7, 0, problem));
    assert_string_equal(problem, "mode: 7 is unknown; 1 (EXCLUSIVE) or 2 (SHARED)");
}

static void durations_and_pages_are_bounded(void **state)
{
    (void)state;
    assert_true(fields_check_duration("wait_ms", 86400000, problem));
    assert_false(fields_check_duration("wait_ms", 86400001, problem));
    assert_string_equal(problem, "wait_ms: 86400001 is out of bounds; at most 86400000");
    assert_true(fields_check_page_size(1000, problem));
    assert_false(fields_check_page_size(1001, problem));
    assert_string_equal(problem, "page_size: 1001 is out of bounds; 0 (default) or 1 to 1000");
}

static void token_has_exactly_16_bytes(void **state)
{
    (void)state;
    uint8_t bytes[17] = "0123456789abcdef";
    struct id128 token;
    assert_true(fields_take_token("token", &(ProtobufCBinaryData){.len = 16, .data = bytes}, &token,
                                  problem));
    assert_memory_equal(token.bytes, bytes, 16);
    assert_false(fields_take_token("token", &(ProtobufCBinaryData){.len = 0}, &token, problem));
    assert_string_equal(problem, "token: 0 bytes; exactly 16 are required");
    assert_false(fields_take_token("token", &(ProtobufCBinaryData){.len = 15, .data = bytes},
                                   &token, problem));
    assert_false(fields_take_token("token", &(ProtobufCBinaryData){.len = 17, .data = bytes},
                                   &token, problem));
    assert_string_equal(problem, "token: 17 bytes; exactly 16 are required");
    memset(bytes, 0, sizeof(bytes));
    assert_false(fields_take_token("resume_token", &(ProtobufCBinaryData){.len = 16, .data = bytes},
                                   &token, problem));
    assert_string_equal(problem, "resume_token: all bytes are 0; random ones are required");
    bytes[15] = 1;
    assert_true(fields_take_token("token", &(ProtobufCBinaryData){.len = 16, .data = bytes}, &token,
                                  problem));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(key_has_1_to_512_bytes),
        cmocka_unit_test(label_has_at_most_128_bytes),
        cmocka_unit_test(ttl_is_0_or_within_bounds),
        cmocka_unit_test(heartbeat_is_0_or_within_bounds),
        cmocka_unit_test(names_are_one_key_or_2_to_16_keys),
        cmocka_unit_test(value_has_at_most_4096_bytes),
        cmocka_unit_test(limit_goes_with_shared_only),
        cmocka_unit_test(durations_and_pages_are_bounded),
        cmocka_unit_test(token_has_exactly_16_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
