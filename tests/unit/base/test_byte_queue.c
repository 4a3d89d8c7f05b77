/* SPDX-License-Identifier: Apache-2.0 */
#include "base/byte_queue.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void nothing_takes_no_memory(void **state)
{
    (void)state;
    struct byte_queue queue = {0};
    assert_null(byte_queue_front(&queue));
    byte_queue_add(&queue, NULL, 0);
    byte_queue_drop(&queue, 0);
    assert_null(queue.block);
    byte_queue_add(&queue, "abc", 3);
    assert_non_null(queue.block);
    byte_queue_drop(&queue, 3);
    assert_null(queue.block);
    assert_null(byte_queue_front(&queue));
}

static void bytes_leave_in_the_order_they_came(void **state)
{
    (void)state;
    struct byte_queue queue = {0};
    byte_queue_add(&queue, "abc", 3);
    byte_queue_add(&queue, "defg", 4);
    assert_memory_equal(byte_queue_front(&queue), "abcdefg", 7);
    byte_queue_drop(&queue, 2);
    memcpy(byte_queue_extend(&queue, 2), "hi", 2);
    assert_int_equal(queue.length, 7);
    assert_memory_equal(byte_queue_front(&queue), "cdefghi", 7);
    byte_queue_release(&queue);
    assert_int_equal(queue.length, 0);
}

/* Whatever is added and dropped, the bytes are the same and the block stays in proportion. */
static void it_grows_and_slides(void **state)
{
    (void)state;
    struct byte_queue queue = {0};
    uint8_t next_in = 0;
    uint8_t next_out = 0;
    size_t most = 64;
    for (unsigned round = 1; round < 3000; round++) {
        for (unsigned i = 0; i < round % 97; i++) {
            byte_queue_add(&queue, &next_in, 1);
            next_in++;
        }
        most = queue.length > most ? queue.length : most;
        size_t length = queue.length < round % 89 ? queue.length : round % 89;
        for (size_t i = 0; i < length; i++) {
            assert_int_equal(byte_queue_front(&queue)[i], next_out);
            next_out++;
        }
        byte_queue_drop(&queue, length);
        assert_true(queue.capacity <= 4 * most);
    }
    byte_queue_release(&queue);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_takes_no_memory),
        cmocka_unit_test(bytes_leave_in_the_order_they_came),
        cmocka_unit_test(it_grows_and_slides),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
