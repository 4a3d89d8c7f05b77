/* SPDX-License-Identifier: Apache-2.0 */
#include "base/table.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/memory.h"

struct entry {
    char name[16];
    int number;
    UT_hash_handle hh;
};

static void test_equal_bytes_have_equal_hashes(void **state)
{
    (void)state;
    char first[] = "_lock-name";
    assert_int_equal(table_hash(first + 1, 9), table_hash("lock-name", 9));
    assert_int_not_equal(table_hash("lock-name", 9), table_hash("lock-namf", 9));
}

/* The hash of a fixed name in a fresh process. */
static uint32_t hash_elsewhere(const char *program)
{
    int ends[2];
    uint32_t hash = 0;
    assert_int_equal(pipe(ends), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        dup2(ends[1], STDOUT_FILENO);
        execl(program, program, "--print-hash", (char *)NULL);
        _exit(1);
    }
    close(ends[1]);
    assert_int_equal(read(ends[0], &hash, sizeof(hash)), sizeof(hash));
    close(ends[0]);
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    return hash;
}

static void test_every_process_has_its_own_key(void **state)
{
    (void)state;
    uint32_t first = hash_elsewhere("/proc/self/exe");
    uint32_t second = hash_elsewhere("/proc/self/exe");
    uint32_t third = hash_elsewhere("/proc/self/exe");
    assert_true(first != second || second != third);
}

static void test_hashes_spread(void **state)
{
    (void)state;
    size_t counts[64] = {0};
    for (int i = 0; i < 64000; i++) {
        char name[16];
        int length = snprintf(name, sizeof(name), "lock-%d", i);
        counts[table_hash(name, (size_t)length) % 64]++;
    }
    for (size_t i = 0; i < 64; i++) {
        assert_in_range(counts[i], 700, 1300);
    }
}

static void test_uthash_works_with_it(void **state)
{
    (void)state;
    struct entry *table = NULL;
    for (int i = 0; i < 5000; i++) {
        struct entry *entry = memory_alloc(sizeof(*entry));
        snprintf(entry->name, sizeof(entry->name), "%d", i);
        entry->number = i;
        HASH_ADD_STR(table, name, entry);
    }
    struct entry *found;
    HASH_FIND_STR(table, "4711", found);
    assert_non_null(found);
    assert_int_equal(found->number, 4711);
    HASH_FIND_STR(table, "5000", found);
    assert_null(found);
    struct entry *entry;
    struct entry *next;
    HASH_ITER (hh, table, entry, next) {
        HASH_DEL(table, entry);
        memory_free(entry);
    }
    assert_null(table);
}

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "--print-hash") == 0) {
        uint32_t hash = table_hash("lock", 4);
        return write(STDOUT_FILENO, &hash, sizeof(hash)) == sizeof(hash) ? 0 : 1;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_equal_bytes_have_equal_hashes),
        cmocka_unit_test(test_every_process_has_its_own_key),
        cmocka_unit_test(test_hashes_spread),
        cmocka_unit_test(test_uthash_works_with_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
