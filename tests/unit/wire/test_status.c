/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/status.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void every_code_of_grpc_has_its_name(void **state)
{
    static const char *const names[] = {"OK",
                                        "CANCELLED",
                                        "UNKNOWN",
                                        "INVALID_ARGUMENT",
                                        "DEADLINE_EXCEEDED",
                                        "NOT_FOUND",
                                        "ALREADY_EXISTS",
                                        "PERMISSION_DENIED",
                                        "RESOURCE_EXHAUSTED",
                                        "FAILED_PRECONDITION",
                                        "ABORTED",
                                        "OUT_OF_RANGE",
                                        "UNIMPLEMENTED",
                                        "INTERNAL",
                                        "UNAVAILABLE",
                                        "DATA_LOSS",
                                        "UNAUTHENTICATED"};
    (void)state;
    for (int code = 0; code <= STATUS_UNAUTHENTICATED; code++) {
        assert_string_equal(status_name(code), names[code]);
    }
}

static void other_numbers_are_unknown(void **state)
{
    (void)state;
    assert_string_equal(status_name(-1), "UNKNOWN");
    assert_string_equal(status_name(17), "UNKNOWN");
    assert_string_equal(status_name(INT32_MAX), "UNKNOWN");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_code_of_grpc_has_its_name),
        cmocka_unit_test(other_numbers_are_unknown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
