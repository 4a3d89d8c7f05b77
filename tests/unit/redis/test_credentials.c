/* SPDX-License-Identifier: Apache-2.0 */
#include "redis/credentials.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/compiler.h"

struct file {
    char directory[32];
    char path[64];
};

static int make_directory(void **state)
{
    static struct file file;
    snprintf(file.directory, sizeof(file.directory), "/tmp/hf-unit-XXXXXX");
    assert_non_null(mkdtemp(file.directory));
    snprintf(file.path, sizeof(file.path), "%s/password", file.directory);
    *state = &file;
    return 0;
}

static int remove_directory(void **state)
{
    struct file *file = *state;
    unlink(file->path);
    return rmdir(file->directory);
}

static void fill(const struct file *file, const char *bytes, size_t length)
{
    int fd = open(file->path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, bytes, length), length);
    close(fd);
}

static bool load(struct credentials *credentials, const struct file *file, char *problem)
{
    return credentials_load(credentials, "user", "unused", file->path, problem);
}

static void test_line_ends_are_trimmed(void **state)
{
    static const char *const texts[] = {"s3cret", "s3cret\n", "s3cret\r\n"};
    for (size_t i = 0; i < COUNT_OF(texts); i++) {
        struct credentials credentials;
        char problem[CREDENTIALS_PROBLEM_SIZE];
        fill(*state, texts[i], strlen(texts[i]));
        assert_true(load(&credentials, *state, problem));
        assert_true(credentials.has_password);
        assert_string_equal(credentials.password, "s3cret");
        assert_string_equal(credentials.user, "user");
        credentials_release(&credentials);
    }
}

static void test_only_one_line_end(void **state)
{
    struct credentials credentials;
    char problem[CREDENTIALS_PROBLEM_SIZE];
    fill(*state, " a b \n\n", 7);
    assert_true(load(&credentials, *state, problem));
    assert_string_equal(credentials.password, " a b \n");
}

static void test_lengths(void **state)
{
    char bytes[CREDENTIALS_PASSWORD_MAX + 10];
    memset(bytes, 'p', sizeof(bytes));
    bytes[CREDENTIALS_PASSWORD_MAX] = '\n';
    struct credentials credentials;
    char problem[CREDENTIALS_PROBLEM_SIZE];
    fill(*state, bytes, CREDENTIALS_PASSWORD_MAX + 1);
    assert_true(load(&credentials, *state, problem));
    assert_int_equal(strlen(credentials.password), CREDENTIALS_PASSWORD_MAX);
    bytes[CREDENTIALS_PASSWORD_MAX] = 'p';
    fill(*state, bytes, CREDENTIALS_PASSWORD_MAX + 1);
    assert_false(load(&credentials, *state, problem));
    assert_non_null(strstr(problem, "1024"));
    fill(*state, bytes, sizeof(bytes));
    assert_false(load(&credentials, *state, problem));
    fill(*state, "\n", 1);
    assert_false(load(&credentials, *state, problem));
    fill(*state, "", 0);
    assert_false(load(&credentials, *state, problem));
}

static void test_files_that_are_none(void **state)
{
    const struct file *file = *state;
    struct credentials credentials;
    char problem[CREDENTIALS_PROBLEM_SIZE];
    unlink(file->path);
    assert_false(load(&credentials, file, problem));
    assert_non_null(strstr(problem, file->path));
    assert_false(credentials_load(&credentials, NULL, NULL, file->directory, problem));
    assert_non_null(strstr(problem, "not a file"));
    /* A pipe nobody writes to must not block. */
    assert_int_equal(mkfifo(file->path, 0600), 0);
    assert_false(load(&credentials, file, problem));
}

static void test_without_a_file(void **state)
{
    (void)state;
    struct credentials credentials;
    char problem[CREDENTIALS_PROBLEM_SIZE];
    assert_true(credentials_load(&credentials, NULL, NULL, NULL, problem));
    assert_false(credentials.has_password);
    assert_true(credentials_load(&credentials, NULL, "word", NULL, problem));
    assert_true(credentials.has_password);
    assert_string_equal(credentials.password, "word");
    char text[CREDENTIALS_PASSWORD_MAX + 2] = "";
    memset(text, 'p', CREDENTIALS_PASSWORD_MAX + 1);
    assert_false(credentials_load(&credentials, NULL, text, NULL, problem));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_line_ends_are_trimmed, make_directory,
                                        remove_directory),
        cmocka_unit_test_setup_teardown(test_only_one_line_end, make_directory, remove_directory),
        cmocka_unit_test_setup_teardown(test_lengths, make_directory, remove_directory),
        cmocka_unit_test_setup_teardown(test_files_that_are_none, make_directory, remove_directory),
        cmocka_unit_test(test_without_a_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
