/* SPDX-License-Identifier: Apache-2.0 */
#include "lease/lock_table.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/compiler.h"
#include "base/memory.h"
#include "lease/lock.h"

#define MANY 5000

static struct lock *create(const char *key, size_t length)
{
    struct lock *lock = memory_alloc(sizeof(*lock) + length);
    memcpy(lock->key, key, length);
    lock->key_length = (uint16_t)length;
    return lock;
}

static size_t name_of(size_t number, char name[16])
{
    return (size_t)snprintf(name, 16, "lock-%zu", number);
}

static struct lock *find(const struct lock_table *table, size_t number)
{
    char name[16];
    const size_t length = name_of(number, name);
    return lock_table_find(table, name, length);
}

static size_t walk(const struct lock_table *table)
{
    size_t count = 0;
    struct lock *lock = NULL;
    while ((lock = lock_table_next(table, lock)) != NULL) {
        assert_ptr_equal(lock_table_find(table, lock->key, lock->key_length), lock);
        count++;
    }
    return count;
}

static void fill(struct lock_table *table)
{
    char name[16];
    for (size_t i = 0; i < MANY; i++) {
        const size_t length = name_of(i, name);
        lock_table_insert(table, create(name, length));
    }
}

static void take(struct lock_table *table, size_t number)
{
    struct lock *lock = find(table, number);
    assert_non_null(lock);
    lock_table_remove(table, lock);
    memory_free(lock);
}

static void test_every_lock_is_found_as_it_grows_and_shrinks(void **state)
{
    (void)state;
    struct lock_table table = {.chains = NULL};
    fill(&table);
    assert_int_equal(walk(&table), MANY);
    for (size_t i = 0; i < MANY; i += 2) {
        take(&table, i);
    }
    assert_int_equal(walk(&table), MANY / 2);
    for (size_t i = 0; i < MANY; i++) {
        assert_int_equal(find(&table, i) != NULL, i % 2 == 1);
    }
    for (size_t i = 1; i < MANY; i += 2) {
        take(&table, i);
        if (i % 501 == 0) {
            assert_int_equal(walk(&table), table.count);
        }
    }
    assert_null(table.chains);
}

static void test_an_empty_table_has_nothing(void **state)
{
    (void)state;
    const struct lock_table table = {.chains = NULL};
    assert_null(lock_table_find(&table, "k", 1));
    assert_null(lock_table_next(&table, NULL));
}

static void test_names_are_bytes(void **state)
{
    (void)state;
    static const char *const names[] = {"a\0b", "a\0c", "a"};
    static const size_t lengths[] = {3, 3, 1};
    struct lock *locks[COUNT_OF(names)];
    struct lock_table table = {.chains = NULL};
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        locks[i] = create(names[i], lengths[i]);
        lock_table_insert(&table, locks[i]);
    }
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        assert_ptr_equal(lock_table_find(&table, names[i], lengths[i]), locks[i]);
    }
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        lock_table_remove(&table, locks[i]);
        memory_free(locks[i]);
    }
}

/* A general table's entry takes 56 bytes and a bucket. */
static void test_it_takes_little_for_a_lock(void **state)
{
    (void)state;
    struct lock_table table = {.chains = NULL};
    fill(&table);
    assert_true(table.room <= MANY);
    assert_true(table.chain_count <= MANY / 2 + 1);
    assert_true(table.chain_count >= MANY / 2);
    for (size_t i = 0; i < MANY; i++) {
        take(&table, i);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_lock_is_found_as_it_grows_and_shrinks),
        cmocka_unit_test(test_an_empty_table_has_nothing),
        cmocka_unit_test(test_names_are_bytes),
        cmocka_unit_test(test_it_takes_little_for_a_lock),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
