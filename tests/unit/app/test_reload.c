/* SPDX-License-Identifier: Apache-2.0 */
#include "app/reload.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/log.h"

#define OUTPUT_SIZE 8192

static char path[] = "/tmp/holdfast-test-reload-XXXXXX";
static struct app_options options;
static struct app_arguments arguments;
static char output[OUTPUT_SIZE]; /* what reload wrote to stderr */

static void write_file(const char *content)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_true(fputs(content, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

/* Runs reload_options with stderr going to `output`. */
static bool reload(void)
{
    int ends[2];
    int saved = dup(STDERR_FILENO);
    assert_int_equal(pipe(ends), 0);
    assert_true(dup2(ends[1], STDERR_FILENO) >= 0);
    bool is_read = reload_options(&options, &arguments);
    assert_true(dup2(saved, STDERR_FILENO) >= 0);
    close(saved);
    close(ends[1]);
    ssize_t size = read(ends[0], output, sizeof(output) - 1);
    output[size < 0 ? 0 : size] = '\0';
    close(ends[0]);
    return is_read;
}

static int setup(void **state)
{
    (void)state;
    static char *argv[] = {(char *)"holdfastd", (char *)"--config", path, (char *)"--max-leases=7",
                           NULL};
    static char *environment[] = {NULL};
    char error[OPTIONS_ERROR_SIZE];
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    close(fd);
    arguments = (struct app_arguments){.argc = 4, .argv = argv, .environment = environment};
    write_file("default-ttl: 5s\n");
    log_set_level(LOG_LEVEL_INFO);
    return app_options_read(&options, &arguments, error) ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    app_options_release(&options);
    unlink(path);
    memset(path + strlen(path) - 6, 'X', 6);
    return 0;
}

static void a_reloadable_option_is_applied(void **state)
{
    (void)state;
    write_file("default-ttl: 5s\nlog-level: debug\n");
    assert_true(reload());
    assert_int_equal(options.log_level, LOG_LEVEL_DEBUG);
    assert_true(log_is_enabled(LOG_LEVEL_DEBUG));
    assert_string_equal(output, "");
    write_file("default-ttl: 5s\n");
    assert_true(reload());
    assert_false(log_is_enabled(LOG_LEVEL_DEBUG));
}

static void other_changes_are_named_and_ignored(void **state)
{
    (void)state;
    write_file("default-ttl: 6s\nmax-connections: 5\nmax-leases: 9\nlog-level: warn\n");
    assert_true(reload());
    assert_int_equal(options.default_ttl_ms, 5000);
    assert_int_equal(options.max_connections, 10000);
    assert_int_equal(options.log_level, LOG_LEVEL_WARN);
    assert_non_null(strstr(output, "\"option\":\"default-ttl\""));
    assert_non_null(strstr(output, "\"option\":\"max-connections\""));
    assert_null(strstr(output, "max-leases")); /* the flag still wins */
    assert_null(strstr(output, "\"option\":\"log-level\""));
}

static void wrong_options_change_nothing(void **state)
{
    (void)state;
    write_file("log-level: debug\ndefault-ttl: soon\n");
    assert_false(reload());
    assert_int_equal(options.log_level, LOG_LEVEL_INFO);
    assert_non_null(strstr(output, "reload.failed"));
    assert_non_null(strstr(output, "default-ttl"));
    unlink(path);
    assert_false(reload());
    assert_non_null(strstr(output, path));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_reloadable_option_is_applied, setup, teardown),
        cmocka_unit_test_setup_teardown(other_changes_are_named_and_ignored, setup, teardown),
        cmocka_unit_test_setup_teardown(wrong_options_change_nothing, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
