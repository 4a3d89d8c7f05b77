/* SPDX-License-Identifier: Apache-2.0 */
#include "grpc/grpc_greeting.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "base/compiler.h"

#define TEXT(text) text, sizeof(text) - 1

static void test_what_answers(void **state)
{
    static const struct {
        const char *bytes;
        size_t length;
        enum grpc_greeting greeting;
    } cases[] = {
        {TEXT("\0\0\0\4\0\0\0\0\0"), GRPC_GREETING_HTTP2},
        {TEXT("\0\0\x12\4\0\0\0\0\0\0\3"), GRPC_GREETING_HTTP2},
        {TEXT("\0\1\2\4\0\0\0\0\0"), GRPC_GREETING_HTTP2},
        {TEXT("\0\0\5\4\0\0\0\0\0"), GRPC_GREETING_OTHER},     /* not of settings' size */
        {TEXT("\0\0\0\4\1\0\0\0\0"), GRPC_GREETING_OTHER},     /* an acknowledgement */
        {TEXT("\0\0\0\4\0\0\0\0\1"), GRPC_GREETING_OTHER},     /* on a stream */
        {TEXT("\1\0\0\4\0\0\0\0\0"), GRPC_GREETING_OTHER},     /* too long */
        {TEXT("\0\0\0\6\0\0\0\0\0"), GRPC_GREETING_OTHER},     /* another frame */
        {TEXT("\0\0\0\x0a\0\0\0\1\1\0"), GRPC_GREETING_OTHER}, /* ttRPC */
        {TEXT("220 mail."), GRPC_GREETING_OTHER},
        {TEXT("\x15\3\3\0\2\2\x46"), GRPC_GREETING_TLS},
        {TEXT("HTTP/1.1"), GRPC_GREETING_HTTP1},
        {TEXT("HTTP/1.0 400"), GRPC_GREETING_HTTP1},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        const uint8_t *bytes = (const uint8_t *)cases[i].bytes;
        assert_int_equal(grpc_greeting_read(bytes, cases[i].length), cases[i].greeting);
    }
}

/* The first byte is enough for none; the ninth decides. */
static void test_bytes_come_one_by_one(void **state)
{
    static const uint8_t settings[] = "\0\0\0\4\0\0\0\0\0";
    (void)state;
    for (size_t length = 0; length < GRPC_GREETING_SIZE; length++) {
        assert_int_equal(grpc_greeting_read(settings, length), GRPC_GREETING_SHORT);
    }
    assert_int_equal(grpc_greeting_read(settings, GRPC_GREETING_SIZE), GRPC_GREETING_HTTP2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_answers),
        cmocka_unit_test(test_bytes_come_one_by_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
