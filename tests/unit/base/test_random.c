/* SPDX-License-Identifier: Apache-2.0 */
#include "base/random.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static int compare_pieces(const void *a, const void *b)
{
    return memcmp(a, b, 16);
}

static void test_fill_draws_new_bytes(void **state)
{
    (void)state;
    uint8_t first[32];
    uint8_t second[32];
    random_fill(first, sizeof(first));
    random_fill(second, sizeof(second));
    assert_memory_not_equal(first, second, sizeof(first));
}

static void test_fill_writes_nothing_outside(void **state)
{
    (void)state;
    uint8_t bytes[40];
    memset(bytes, 0xaa, sizeof(bytes));
    random_fill(bytes + 10, 20);
    random_fill(bytes, 0);
    for (size_t i = 0; i < 10; i++) {
        assert_int_equal(bytes[i], 0xaa);
        assert_int_equal(bytes[30 + i], 0xaa);
    }
}

/* Bytes are drawn ahead and given out in pieces of any size. */
static void test_fill_gives_no_byte_twice(void **state)
{
    (void)state;
    enum { PIECES = 1000, SIZE = 16 };
    static uint8_t pieces[PIECES][SIZE];
    uint8_t skipped[SIZE];
    for (int i = 0; i < PIECES; i++) {
        random_fill(pieces[i], SIZE);
        random_fill(skipped, (size_t)i % SIZE);
    }
    qsort(pieces, PIECES, SIZE, compare_pieces);
    for (int i = 1; i < PIECES; i++) {
        assert_memory_not_equal(pieces[i - 1], pieces[i], SIZE);
    }
}

/* What was drawn ahead is the parent's. */
static void test_fill_gives_a_child_bytes_of_its_own(void **state)
{
    (void)state;
    uint8_t ours[16];
    uint8_t theirs[16];
    int ends[2];
    random_fill(ours, sizeof(ours));
    assert_int_equal(pipe(ends), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        random_fill(theirs, sizeof(theirs));
        _exit(write(ends[1], theirs, sizeof(theirs)) == sizeof(theirs) ? 0 : 1);
    }
    random_fill(ours, sizeof(ours));
    assert_int_equal(read(ends[0], theirs, sizeof(theirs)), sizeof(theirs));
    int status = -1;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    assert_memory_not_equal(ours, theirs, sizeof(ours));
    close(ends[0]);
    close(ends[1]);
}

static void test_below_reaches_every_number_and_no_other(void **state)
{
    (void)state;
    size_t seen[7] = {0};
    for (int i = 0; i < 7000; i++) {
        uint64_t number = random_below(7);
        assert_true(number < 7);
        seen[number]++;
    }
    /* 1000 expected, standard deviation 29: 14 of them away is no accident. */
    for (size_t i = 0; i < 7; i++) {
        assert_in_range(seen[i], 600, 1400);
    }
}

static void test_below_at_its_bounds(void **state)
{
    (void)state;
    for (int i = 0; i < 100; i++) {
        assert_int_equal(random_below(1), 0);
        assert_true(random_below(UINT64_MAX) < UINT64_MAX);
        assert_true(random_below((UINT64_C(1) << 63) + 1) <= UINT64_C(1) << 63);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fill_draws_new_bytes),
        cmocka_unit_test(test_fill_writes_nothing_outside),
        cmocka_unit_test(test_fill_gives_no_byte_twice),
        cmocka_unit_test(test_fill_gives_a_child_bytes_of_its_own),
        cmocka_unit_test(test_below_reaches_every_number_and_no_other),
        cmocka_unit_test(test_below_at_its_bounds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
