/* SPDX-License-Identifier: Apache-2.0 */
#include "service/fields.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
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

static void token_has_exactly_16_bytes(void **state)
{
    (void)state;
    uint8_t bytes[17] = "0123456789abcdef";
    struct id128 token;
    assert_true(
        fields_take_token(&(ProtobufCBinaryData){.len = 16, .data = bytes}, &token, problem));
    assert_memory_equal(token.bytes, bytes, 16);
    assert_false(fields_take_token(&(ProtobufCBinaryData){.len = 0}, &token, problem));
    assert_string_equal(problem, "token: 0 bytes; exactly 16 are required");
    assert_false(
        fields_take_token(&(ProtobufCBinaryData){.len = 15, .data = bytes}, &token, problem));
    assert_false(
        fields_take_token(&(ProtobufCBinaryData){.len = 17, .data = bytes}, &token, problem));
    assert_string_equal(problem, "token: 17 bytes; exactly 16 are required");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(key_has_1_to_512_bytes),
        cmocka_unit_test(label_has_at_most_128_bytes),
        cmocka_unit_test(ttl_is_0_or_within_bounds),
        cmocka_unit_test(heartbeat_is_0_or_within_bounds),
        cmocka_unit_test(token_has_exactly_16_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
