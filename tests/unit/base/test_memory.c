/* SPDX-License-Identifier: Apache-2.0 */
#include "base/memory.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void test_new_memory_is_zeroed(void **state)
{
    (void)state;
    static const char zeros[300];
    char *block = memory_alloc(sizeof(zeros));
    assert_memory_equal(block, zeros, sizeof(zeros));
    memory_free(block);
}

static void test_resizing_keeps_the_bytes(void **state)
{
    (void)state;
    char *block = memory_resize(NULL, 4);
    memcpy(block, "abc", 4);
    block = memory_resize(block, 100000);
    assert_string_equal(block, "abc");
    memory_free(block);
}

static void test_copies_end_in_a_nul(void **state)
{
    (void)state;
    char *text = memory_copy_string("lock");
    char *bytes = memory_copy("a\0bc", 3);
    char *empty = memory_copy(NULL, 0);
    assert_string_equal(text, "lock");
    assert_memory_equal(bytes, "a\0b", 4);
    assert_string_equal(empty, "");
    memory_free(text);
    memory_free(bytes);
    memory_free(empty);
    memory_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_new_memory_is_zeroed),
        cmocka_unit_test(test_resizing_keeps_the_bytes),
        cmocka_unit_test(test_copies_end_in_a_nul),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
