/* SPDX-License-Identifier: Apache-2.0 */
#include "base/check.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static void fail_a_check(void)
{
    const struct rlimit no_core = {0};
    setrlimit(RLIMIT_CORE, &no_core);
    CHECK(1 + 1 == 3);
}

static void test_a_failed_check_aborts_with_one_line(void **state)
{
    (void)state;
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        dup2(ends[1], STDERR_FILENO);
        fail_a_check();
        _exit(0);
    }
    close(ends[1]);
    char line[256] = "";
    assert_true(read(ends[0], line, sizeof(line) - 1) > 0);
    close(ends[0]);
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGABRT);
    assert_non_null(strstr(line, "CHECK(1 + 1 == 3) failed at "));
    assert_non_null(strstr(line, "test_check.c:"));
    assert_ptr_equal(strchr(line, '\n'), line + strlen(line) - 1);
}

static void test_a_true_check_does_nothing(void **state)
{
    (void)state;
    int evaluations = 0;
    CHECK(++evaluations == 1);
    assert_int_equal(evaluations, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_failed_check_aborts_with_one_line),
        cmocka_unit_test(test_a_true_check_does_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
