/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/grpc_message.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/compiler.h"

#define MAX ((size_t)300)

static enum grpc_message_read look(const uint8_t *bytes, size_t length,
                                   struct grpc_message *message)
{
    return grpc_message_read(message, bytes, length, MAX);
}

static void a_message_is_found_once_it_is_whole(void **state)
{
    (void)state;
    static const uint8_t bytes[] = {0, 0, 0, 0, 3, 'a', 'b', 'c', 0, 0};
    struct grpc_message message;
    for (size_t length = 0; length < 8; length++) {
        assert_int_equal(look(bytes, length, &message), GRPC_INCOMPLETE);
    }
    for (size_t length = 8; length <= sizeof(bytes); length++) {
        assert_int_equal(look(bytes, length, &message), GRPC_MESSAGE);
        assert_int_equal(message.length, 3);
        assert_ptr_equal(message.bytes, bytes + 5);
    }
}

static void a_message_may_be_empty(void **state)
{
    (void)state;
    static const uint8_t bytes[] = {0, 0, 0, 0, 0};
    struct grpc_message message;
    assert_int_equal(look(bytes, sizeof(bytes), &message), GRPC_MESSAGE);
    assert_int_equal(message.length, 0);
}

static void the_limit_is_exact(void **state)
{
    (void)state;
    static const uint8_t allowed[] = {0, 0, 0, 1, 0x2c};
    static const uint8_t larger[] = {0, 0, 0, 1, 0x2d};
    static const uint8_t largest[] = {0, 0xff, 0xff, 0xff, 0xff};
    struct grpc_message message;
    assert_int_equal(look(allowed, sizeof(allowed), &message), GRPC_INCOMPLETE);
    assert_int_equal(look(larger, sizeof(larger), &message), GRPC_TOO_LARGE);
    assert_int_equal(message.length, MAX + 1);
    assert_int_equal(look(largest, sizeof(largest), &message), GRPC_TOO_LARGE);
    assert_int_equal(message.length, UINT32_MAX);
}

static void compressed_messages_and_nonsense_are_told_apart(void **state)
{
    (void)state;
    static const uint8_t compressed[] = {1, 0, 0, 0, 1, 'x'};
    static const uint8_t nonsense[] = {2, 0, 0, 0, 1, 'x'};
    struct grpc_message message;
    assert_int_equal(look(compressed, 1, &message), GRPC_INCOMPLETE);
    assert_int_equal(look(compressed, 5, &message), GRPC_COMPRESSED);
    assert_int_equal(look(nonsense, 1, &message), GRPC_NONSENSE);
}

static void what_is_encoded_is_read(void **state)
{
    (void)state;
    static const uint32_t lengths[] = {0, 1, 255, 256, MAX};
    for (size_t i = 0; i < COUNT_OF(lengths); i++) {
        uint8_t bytes[GRPC_PREFIX_SIZE + MAX] = {0};
        struct grpc_message message;
        grpc_prefix_encode(bytes, lengths[i]);
        assert_int_equal(look(bytes, sizeof(bytes), &message), GRPC_MESSAGE);
        assert_int_equal(message.length, lengths[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_message_is_found_once_it_is_whole),
        cmocka_unit_test(a_message_may_be_empty),
        cmocka_unit_test(the_limit_is_exact),
        cmocka_unit_test(compressed_messages_and_nonsense_are_told_apart),
        cmocka_unit_test(what_is_encoded_is_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
