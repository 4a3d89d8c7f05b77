/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/ttrpc.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/compiler.h"

static const struct {
    struct ttrpc_header header;
    uint8_t bytes[TTRPC_HEADER_SIZE];
} samples[] = {
    {{0}, {0}},
    {{.length = 1, .stream_id = 1, .type = TTRPC_REQUEST}, {0, 0, 0, 1, 0, 0, 0, 1, 1, 0}},
    {{.length = TTRPC_DATA_MAX, .stream_id = 3, .type = TTRPC_DATA, .flags = TTRPC_REMOTE_CLOSED},
     {0, 0x40, 0, 0, 0, 0, 0, 3, 3, 1}},
    {{.length = 0x01020304, .stream_id = 0x05060708, .type = TTRPC_RESPONSE, .flags = 0x09},
     {1, 2, 3, 4, 5, 6, 7, 8, 2, 9}},
    {{.length = UINT32_MAX, .stream_id = UINT32_MAX, .type = 0xff, .flags = 0xff},
     {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}},
    {{.stream_id = 5, .type = TTRPC_DATA, .flags = TTRPC_REMOTE_CLOSED | TTRPC_NO_DATA},
     {0, 0, 0, 0, 0, 0, 0, 5, 3, 5}},
};

static void headers_encode(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(samples); i++) {
        uint8_t bytes[TTRPC_HEADER_SIZE];
        ttrpc_header_encode(&samples[i].header, bytes);
        assert_memory_equal(bytes, samples[i].bytes, sizeof(bytes));
    }
}

static void headers_decode(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(samples); i++) {
        struct ttrpc_header header;
        ttrpc_header_decode(&header, samples[i].bytes);
        assert_int_equal(header.length, samples[i].header.length);
        assert_int_equal(header.stream_id, samples[i].header.stream_id);
        assert_int_equal(header.type, samples[i].header.type);
        assert_int_equal(header.flags, samples[i].header.flags);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(headers_encode),
        cmocka_unit_test(headers_decode),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
