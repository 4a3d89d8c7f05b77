/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/sniff.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/compiler.h"

/* Every beginning of `opening` needs more, until `decided_at` bytes are there. */
static void check_opening(const char *opening, size_t length, size_t decided_at, enum sniff found)
{
    uint8_t bytes[64];
    assert_true(length <= sizeof(bytes));
    memcpy(bytes, opening, length);
    for (size_t i = 0; i < decided_at; i++) {
        assert_int_equal(sniff(bytes, i), SNIFF_NEED_MORE);
    }
    for (size_t i = decided_at; i <= length; i++) {
        assert_int_equal(sniff(bytes, i), found);
    }
}

static void nothing_needs_more(void **state)
{
    (void)state;
    assert_int_equal(sniff(NULL, 0), SNIFF_NEED_MORE);
}

static void a_zero_byte_is_ttrpc(void **state)
{
    (void)state;
    check_opening("\0\0\0\x20\0\0\0\x01\x01\0payload", 17, 1, SNIFF_TTRPC);
    check_opening("\0\xff\xff\xff\xff", 5, 1, SNIFF_TTRPC);
}

static void the_preface_is_http2(void **state)
{
    (void)state;
    check_opening("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 24, 14, SNIFF_HTTP2);
}

static void every_method_is_http1(void **state)
{
    static const char *const methods[] = {"GET ",    "HEAD ",    "POST ",    "PUT ",  "PATCH ",
                                          "DELETE ", "OPTIONS ", "CONNECT ", "TRACE "};
    (void)state;
    for (size_t i = 0; i < COUNT_OF(methods); i++) {
        char line[32] = {0};
        size_t length = strlen(methods[i]);
        memcpy(line, methods[i], length);
        memcpy(line + length, "/ HTTP/1.1\r\n", 12);
        check_opening(line, length + 12, length, SNIFF_HTTP1);
    }
}

static void a_handshake_record_is_tls(void **state)
{
    (void)state;
    check_opening("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 11, 2, SNIFF_TLS);
    check_opening("\x16\x03\x03", 3, 2, SNIFF_TLS);
}

static void what_departs_from_everything_is_unknown(void **state)
{
    static const char *const others[] = {"hello",    "get / ", "GETX", "PRI *  HTTP",
                                         "PRIx",     "PUTT",   "\x01", "\x16\x02",
                                         "\x17\x03", "\xff",   " ",    "\n"};
    (void)state;
    for (size_t i = 0; i < COUNT_OF(others); i++) {
        assert_int_equal(sniff((const uint8_t *)others[i], strlen(others[i])), SNIFF_UNKNOWN);
    }
}

/* After any first byte, followed by any one second byte over and over. */
static void sixteen_bytes_always_decide(void **state)
{
    (void)state;
    for (unsigned first = 0; first < 256; first++) {
        for (unsigned second = 0; second < 256; second++) {
            uint8_t bytes[16];
            memset(bytes, (int)second, sizeof(bytes));
            bytes[0] = (uint8_t)first;
            assert_int_not_equal(sniff(bytes, sizeof(bytes)), SNIFF_NEED_MORE);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_needs_more),
        cmocka_unit_test(a_zero_byte_is_ttrpc),
        cmocka_unit_test(the_preface_is_http2),
        cmocka_unit_test(every_method_is_http1),
        cmocka_unit_test(a_handshake_record_is_tls),
        cmocka_unit_test(what_departs_from_everything_is_unknown),
        cmocka_unit_test(sixteen_bytes_always_decide),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
