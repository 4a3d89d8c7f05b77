/* SPDX-License-Identifier: Apache-2.0 */
#include "base/pool.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/compiler.h"

#define MANY      40000
#define SLAB_SIZE 1048576

static int setup(void **state)
{
    *state = pool_create();
    return 0;
}

static int teardown(void **state)
{
    pool_destroy(*state);
    return 0;
}

static int compare(const void *a, const void *b)
{
    const uintptr_t x = (uintptr_t) * (void *const *)a;
    const uintptr_t y = (uintptr_t) * (void *const *)b;
    return x < y ? -1 : x > y;
}

/* How many slabs these are in. They get sorted. */
static size_t count_slabs(void **objects, size_t count)
{
    size_t slabs = 0;
    qsort(objects, count, sizeof(objects[0]), compare);
    for (size_t i = 0; i < count; i++) {
        const bool is_same =
            i > 0 && (uintptr_t)objects[i] / SLAB_SIZE == (uintptr_t)objects[i - 1] / SLAB_SIZE;
        slabs += is_same ? 0 : 1;
    }
    return slabs;
}

static void test_objects_are_zeroed_and_apart(void **state)
{
    static const size_t sizes[] = {1, 8, 9, 72, 104, POOL_OBJECT_MAX, POOL_OBJECT_MAX + 1};
    static const uint8_t zeros[POOL_OBJECT_MAX + 1];
    for (size_t i = 0; i < COUNT_OF(sizes); i++) {
        uint8_t *objects[3];
        for (size_t round = 0; round < 2; round++) {
            for (size_t j = 0; j < COUNT_OF(objects); j++) {
                objects[j] = pool_alloc(*state, sizes[i]);
                assert_memory_equal(objects[j], zeros, sizes[i]);
                assert_int_equal((uintptr_t)objects[j] % 8, 0);
                memset(objects[j], (int)j + 1, sizes[i]);
            }
            for (size_t j = 0; j < COUNT_OF(objects); j++) {
                assert_int_equal(objects[j][0], j + 1);
                assert_int_equal(objects[j][sizes[i] - 1], j + 1);
                pool_free(*state, objects[j], sizes[i]);
            }
        }
    }
    pool_free(*state, NULL, 8);
}

static void test_nothing_is_added_to_an_object(void **state)
{
    static void *objects[MANY];
    for (size_t i = 0; i < MANY; i++) {
        objects[i] = pool_alloc(*state, 72);
    }
    assert_true(count_slabs(objects, MANY) <= MANY * 72 / (SLAB_SIZE - 64) + 1);
    for (size_t i = 0; i < MANY; i++) {
        pool_free(*state, objects[i], 72);
    }
}

static void test_what_was_freed_is_used_again(void **state)
{
    static void *objects[MANY];
    for (size_t i = 0; i < MANY; i++) {
        objects[i] = pool_alloc(*state, 104);
    }
    const size_t slabs = count_slabs(objects, MANY);
    for (size_t i = 0; i < MANY; i += 2) {
        pool_free(*state, objects[i], 104);
        objects[i] = NULL;
    }
    for (size_t i = 0; i < MANY; i += 2) {
        objects[i] = pool_alloc(*state, 104);
    }
    assert_int_equal(count_slabs(objects, MANY), slabs);
    for (size_t i = 0; i < MANY; i++) {
        pool_free(*state, objects[i], 104);
    }
}

/* A size of one slab is asked for again and again: whoever pays for slabs would see it here. */
static void test_one_that_comes_and_goes_stays_in_its_place(void **state)
{
    void *first = pool_alloc(*state, 40);
    pool_free(*state, first, 40);
    for (int i = 0; i < 100; i++) {
        void *object = pool_alloc(*state, 40);
        assert_ptr_equal(object, first);
        pool_free(*state, object, 40);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_objects_are_zeroed_and_apart, setup, teardown),
        cmocka_unit_test_setup_teardown(test_nothing_is_added_to_an_object, setup, teardown),
        cmocka_unit_test_setup_teardown(test_what_was_freed_is_used_again, setup, teardown),
        cmocka_unit_test_setup_teardown(test_one_that_comes_and_goes_stays_in_its_place, setup,
                                        teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
