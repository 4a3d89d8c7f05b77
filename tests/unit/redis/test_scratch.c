/* SPDX-License-Identifier: Apache-2.0 */
#include "redis/scratch.h"

#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static char parent[32];

static int set_up(void **state)
{
    (void)state;
    snprintf(parent, sizeof(parent), "/tmp/hf-unit-XXXXXX");
    assert_non_null(mkdtemp(parent));
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    return rmdir(parent); /* nothing may be left in it */
}

static bool exists(const char *path)
{
    return access(path, F_OK) == 0;
}

static void touch(const char *directory, const char *name)
{
    char path[128];
    snprintf(path, sizeof(path), "%s/%s", directory, name);
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    close(fd);
}

static void test_made_and_removed(void **state)
{
    (void)state;
    struct scratch scratch;
    char problem[SCRATCH_PROBLEM_SIZE];
    struct stat status;
    assert_true(scratch_init(&scratch, parent, problem));
    assert_int_equal(stat(scratch.path, &status), 0);
    assert_int_equal(status.st_mode & 07777, 0700);
    touch(scratch.path, "redis.log");
    scratch_release(&scratch);
}

static void test_those_in_use_are_left_alone(void **state)
{
    (void)state;
    struct scratch one;
    struct scratch two;
    char problem[SCRATCH_PROBLEM_SIZE];
    assert_true(scratch_init(&one, parent, problem));
    touch(one.path, "redis.log");
    assert_true(scratch_init(&two, parent, problem));
    assert_true(exists(one.path));
    scratch_release(&two);
    assert_true(exists(one.path));
    scratch_release(&one);
}

static void test_those_left_behind_are_removed(void **state)
{
    (void)state;
    int ends[2];
    char left[64] = "";
    char problem[SCRATCH_PROBLEM_SIZE];
    assert_int_equal(pipe(ends), 0);
    pid_t pid = fork();
    if (pid == 0) {
        struct scratch scratch;
        bool is_made = scratch_init(&scratch, parent, problem);
        touch(scratch.path, "redis.log");
        ssize_t written = is_made ? write(ends[1], scratch.path, strlen(scratch.path)) : 0;
        _exit(written > 0 ? 0 : 1);
    }
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    assert_true(read(ends[0], left, sizeof(left) - 1) > 0);
    close(ends[0]);
    close(ends[1]);
    assert_true(exists(left));
    struct scratch scratch;
    assert_true(scratch_init(&scratch, parent, problem));
    assert_false(exists(left));
    scratch_release(&scratch);
}

static void test_what_is_not_ours_is_left_alone(void **state)
{
    (void)state;
    static const char *const names[] = {"holdfast-abcdef", "holdfast-short", "holdfast-toolong1",
                                        "another-abcdef"};
    char path[128];
    char problem[SCRATCH_PROBLEM_SIZE];
    for (size_t i = 0; i < 4; i++) {
        snprintf(path, sizeof(path), "%s/%s", parent, names[i]);
        assert_int_equal(mkdir(path, 0700), 0);
        if (i > 0) {
            touch(path, "lock"); /* the first has the right name and no lock */
        }
    }
    snprintf(path, sizeof(path), "%s/holdfast-linked", parent);
    assert_int_equal(symlink("/tmp", path), 0);
    struct scratch scratch;
    assert_true(scratch_init(&scratch, parent, problem));
    scratch_release(&scratch);
    assert_int_equal(unlink(path), 0);
    for (size_t i = 0; i < 4; i++) {
        snprintf(path, sizeof(path), "%s/%s/lock", parent, names[i]);
        assert_int_equal(unlink(path) == 0, i > 0);
        snprintf(path, sizeof(path), "%s/%s", parent, names[i]);
        assert_int_equal(rmdir(path), 0);
    }
}

static void test_no_such_parent(void **state)
{
    (void)state;
    struct scratch scratch;
    char problem[SCRATCH_PROBLEM_SIZE];
    assert_false(scratch_init(&scratch, "/nonexistent", problem));
    assert_non_null(strstr(problem, "/nonexistent"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_made_and_removed, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_those_in_use_are_left_alone, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_those_left_behind_are_removed, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_what_is_not_ours_is_left_alone, set_up, tear_down),
        cmocka_unit_test(test_no_such_parent),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
