/* SPDX-License-Identifier: Apache-2.0 */
#include "base/arena.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void test_pieces_are_zeroed_aligned_and_apart(void **state)
{
    (void)state;
    struct arena arena;
    arena_init(&arena, (size_t)1 << 24);
    struct {
        uint8_t *bytes;
        size_t size;
    } pieces[400];
    for (size_t i = 0; i < 400; i++) {
        pieces[i].size = i % 50 == 49 ? 20000 : i;
        pieces[i].bytes = arena_alloc(&arena, pieces[i].size);
        assert_non_null(pieces[i].bytes);
        assert_int_equal((uintptr_t)pieces[i].bytes % _Alignof(max_align_t), 0);
        for (size_t j = 0; j < pieces[i].size; j++) {
            assert_int_equal(pieces[i].bytes[j], 0);
        }
        if (pieces[i].size > 0) {
            memset(pieces[i].bytes, (int)i, pieces[i].size);
        }
    }
    for (size_t i = 0; i < 400; i++) {
        for (size_t j = 0; j < pieces[i].size; j++) {
            assert_int_equal(pieces[i].bytes[j], (uint8_t)i);
        }
    }
    arena_release(&arena);
}

static void test_empty_pieces_are_not_null(void **state)
{
    (void)state;
    struct arena arena;
    arena_init(&arena, 1000);
    void *first = arena_alloc(&arena, 0);
    void *second = arena_alloc(&arena, 0);
    assert_non_null(first);
    assert_non_null(second);
    assert_ptr_not_equal(first, second);
    arena_release(&arena);
}

static void test_the_limit_holds(void **state)
{
    (void)state;
    for (size_t size = 1; size < 6000; size = size * 3 / 2 + 1) {
        struct arena arena;
        arena_init(&arena, 200000);
        size_t count = 0;
        while (arena_alloc(&arena, size) != NULL) {
            count++;
            assert_true(arena.used <= 200000);
        }
        assert_true(count >= 1);
        assert_true(count * size <= 200000);
        /* Headers, rounding and the rest of a block cost a third at most. */
        assert_true((count + 1) * (size + 48) * 4 / 3 > 200000);
        arena_release(&arena);
    }
}

static void test_a_piece_near_the_limit_is_given_exactly(void **state)
{
    (void)state;
    struct arena arena;
    arena_init(&arena, 100000);
    assert_null(arena_alloc(&arena, 100000));
    assert_null(arena_alloc(&arena, SIZE_MAX));
    assert_null(arena_alloc(&arena, SIZE_MAX - 8));
    assert_null(arena_copy(&arena, "", SIZE_MAX));
    assert_int_equal(arena.used, 0);
    assert_non_null(arena_alloc(&arena, 100000 - 64));
    assert_null(arena_alloc(&arena, 64));
    arena_release(&arena);
    arena_init(&arena, 0);
    assert_null(arena_alloc(&arena, 0));
    arena_release(&arena);
}

static void test_the_limit_counts_what_the_arena_itself_needs(void **state)
{
    (void)state;
    struct arena arena;
    size_t size = 5008;
    arena_init(&arena, (size_t)1 << 20);
    assert_non_null(arena_alloc(&arena, size));
    size_t with_header = arena.used;
    assert_true(with_header > size);
    arena_release(&arena);
    arena_init(&arena, 2 * with_header - 1);
    assert_non_null(arena_alloc(&arena, size));
    assert_null(arena_alloc(&arena, size));
    arena_release(&arena);
    arena_init(&arena, 2 * with_header);
    assert_non_null(arena_alloc(&arena, size));
    assert_non_null(arena_alloc(&arena, size));
    arena_release(&arena);
}

static void test_large_pieces_leave_the_small_block_in_use(void **state)
{
    (void)state;
    struct arena arena;
    arena_init(&arena, (size_t)1 << 20);
    assert_non_null(arena_alloc(&arena, 16));
    assert_non_null(arena_alloc(&arena, 50000));
    size_t used = arena.used;
    assert_non_null(arena_alloc(&arena, 16));
    assert_int_equal(arena.used, used);
    arena_release(&arena);
}

static void test_a_released_arena_can_be_used_again(void **state)
{
    (void)state;
    struct arena arena;
    arena_init(&arena, 10000);
    for (int round = 0; round < 3; round++) {
        assert_non_null(arena_alloc(&arena, 8000));
        assert_null(arena_alloc(&arena, 8000));
        arena_release(&arena);
        assert_int_equal(arena.used, 0);
    }
}

static void test_copies_end_in_a_nul(void **state)
{
    (void)state;
    struct arena arena;
    arena_init(&arena, 10000);
    assert_memory_equal(arena_copy(&arena, "a\0bc", 3), "a\0b", 4);
    assert_string_equal(arena_copy(&arena, NULL, 0), "");
    arena_release(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pieces_are_zeroed_aligned_and_apart),
        cmocka_unit_test(test_empty_pieces_are_not_null),
        cmocka_unit_test(test_the_limit_holds),
        cmocka_unit_test(test_a_piece_near_the_limit_is_given_exactly),
        cmocka_unit_test(test_the_limit_counts_what_the_arena_itself_needs),
        cmocka_unit_test(test_large_pieces_leave_the_small_block_in_use),
        cmocka_unit_test(test_a_released_arena_can_be_used_again),
        cmocka_unit_test(test_copies_end_in_a_nul),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
