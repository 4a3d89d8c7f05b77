/* SPDX-License-Identifier: Apache-2.0 */
/* Flags, environment, and precedence. The file has a test of its own. */
#include "base/options.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/compiler.h"
#include "options_fixture.h"

#define PATH_SIZE 32

#define ARGUMENTS(...)                                                                             \
    (const char *const[])                                                                          \
    {                                                                                              \
        "holdfastd", __VA_ARGS__, NULL                                                             \
    }
#define NO_ARGUMENTS                                                                               \
    (const char *const[])                                                                          \
    {                                                                                              \
        "holdfastd", NULL                                                                          \
    }
#define ENVIRONMENT(...)                                                                           \
    (const char *const[])                                                                          \
    {                                                                                              \
        __VA_ARGS__, NULL                                                                          \
    }

/* One reading and all it fills. */
struct reading {
    struct values values;
    struct option_origin origins[ROWS];
    char error[OPTIONS_ERROR_SIZE];
};

static bool read_options(struct reading *reading, const char *const *argv,
                         const char *const *environment)
{
    *reading = (struct reading){.error = "unset"};
    return read_table(&reading->values, argv, environment, reading->origins, reading->error);
}

static void release(struct reading *reading)
{
    options_release(table, &reading->values);
}

/* The values must be read without an error. */
static void expect(struct reading *reading, const char *const *argv, const char *const *environment)
{
    bool is_read = read_options(reading, argv, environment);
    assert_string_equal(reading->error, "");
    assert_true(is_read);
}

static void expect_error(const char *const *argv, const char *const *environment, const char *error)
{
    struct reading reading;
    assert_false(read_options(&reading, argv, environment));
    assert_string_equal(reading.error, error);
    release(&reading);
}

static void expect_list(const struct option_list *list, size_t count, const char *first,
                        const char *last)
{
    assert_int_equal(list->count, count);
    assert_string_equal(list->items[0], first);
    assert_string_equal(list->items[count - 1], last);
}

static void test_without_anything_the_defaults_hold(void **state)
{
    (void)state;
    struct reading reading;
    expect(&reading, NO_ARGUMENTS, NULL);
    const struct values *values = &reading.values;
    assert_null(values->config);
    expect_list(&values->listen, 2, "127.0.0.1:7420", "unix:/run/h.sock");
    assert_int_equal(values->extra.count, 0);
    assert_true(values->strict);
    assert_false(values->quiet);
    assert_int_equal(values->port, 80);
    assert_true(values->offset == -5);
    assert_int_equal(values->ttl_ms, 10000);
    assert_int_equal(values->age_ms, 0);
    assert_string_equal(values->redis, "redis://127.0.0.1:6379/\"0\"\\");
    assert_null(values->label);
    assert_int_equal(values->level, 1);
    for (int i = 0; i < ROWS; i++) {
        assert_int_equal(reading.origins[i].layer, OPTION_DEFAULT);
    }
    release(&reading);
    release(&reading);
}

static void test_flags_of_every_kind(void **state)
{
    (void)state;
    struct reading reading;
    expect(&reading,
           ARGUMENTS("--no-strict", "--quiet", "--admin-port", "65535", "--offset=-9",
                     "--default-ttl=250ms", "--redis=redis://u:p=q@h", "--label", "-x",
                     "--log-level", "warn"),
           NULL);
    assert_false(reading.values.strict);
    assert_true(reading.values.quiet);
    assert_int_equal(reading.values.port, 65535);
    assert_true(reading.values.offset == -9);
    assert_int_equal(reading.values.ttl_ms, 250);
    assert_string_equal(reading.values.redis, "redis://u:p=q@h");
    assert_string_equal(reading.values.label, "-x");
    assert_int_equal(reading.values.level, 2);
    assert_int_equal(reading.origins[STRICT].layer, OPTION_FLAG);
    assert_int_equal(reading.origins[AGE].layer, OPTION_DEFAULT);
    release(&reading);
}

static void test_the_words_of_a_boolean(void **state)
{
    (void)state;
    static const char *const words[] = {"true", "yes", "on", "1", "false", "no", "off", "0"};
    for (size_t i = 0; i < COUNT_OF(words); i++) {
        char flag[32];
        struct reading reading;
        snprintf(flag, sizeof(flag), "--quiet=%s", words[i]);
        expect(&reading, ARGUMENTS(flag), NULL);
        assert_int_equal(reading.values.quiet, i < 4);
        release(&reading);
    }
}

static void test_integers_of_64_bits(void **state)
{
    (void)state;
    struct reading reading;
    expect(&reading, ARGUMENTS("--offset", "-9223372036854775808"), NULL);
    assert_true(reading.values.offset == INT64_MIN);
    release(&reading);
    expect(&reading, ARGUMENTS("--offset", "9223372036854775807"), NULL);
    assert_true(reading.values.offset == INT64_MAX);
    release(&reading);
}

static void test_the_last_of_equal_flags_wins(void **state)
{
    (void)state;
    struct reading reading;
    expect(&reading, ARGUMENTS("--label", "a", "--label", "b", "--quiet", "--no-quiet"), NULL);
    assert_string_equal(reading.values.label, "b");
    assert_false(reading.values.quiet);
    release(&reading);
}

static void test_environment_of_every_kind(void **state)
{
    (void)state;
    struct reading reading;
    expect(&reading, NO_ARGUMENTS,
           ENVIRONMENT("HOLDFAST_LISTEN= a , b:1,\tc ", "HOLDFAST_STRICT=off",
                       "HOLDFAST_ADMIN_PORT=1", "HOLDFAST_DEFAULT_TTL=1h", "HOLDFAST_LABEL=x=y",
                       "HOLDFAST_LOG_LEVEL=debug"));
    expect_list(&reading.values.listen, 3, "a", "c");
    assert_string_equal(reading.values.listen.items[1], "b:1");
    assert_false(reading.values.strict);
    assert_int_equal(reading.values.port, 1);
    assert_int_equal(reading.values.ttl_ms, 3600000);
    assert_string_equal(reading.values.label, "x=y");
    assert_int_equal(reading.values.level, 0);
    assert_int_equal(reading.origins[LISTEN].layer, OPTION_ENVIRONMENT);
    release(&reading);
}

static void test_foreign_and_empty_variables_count_as_not_given(void **state)
{
    (void)state;
    struct reading reading;
    expect(&reading, NO_ARGUMENTS,
           ENVIRONMENT("HOLDFAST_SERVICE_HOST=10.0.0.1", "HOLDFAST_PORT=tcp://10.0.0.1:7420",
                       "HOLDFAST_ADMIN_PORT=", "HOLDFAST_LABEL", "HOLDFAST_LABELS=x", "PATH=/bin",
                       "HOLDFAST_REDIS="));
    for (int i = 0; i < ROWS; i++) {
        assert_int_equal(reading.origins[i].layer, OPTION_DEFAULT);
    }
    assert_int_equal(reading.values.port, 80);
    release(&reading);
}

static void test_list_flags_replace_and_then_add(void **state)
{
    (void)state;
    struct reading reading;
    expect(&reading, ARGUMENTS("--listen", "a,b", "--quiet", "--listen=c"),
           ENVIRONMENT("HOLDFAST_LISTEN=x,y,z"));
    expect_list(&reading.values.listen, 2, "a,b", "c");
    assert_int_equal(reading.origins[LISTEN].layer, OPTION_FLAG);
    release(&reading);
}

/* Writes `text` into a new file and its name into `path`. */
static void write_file(char path[PATH_SIZE], const char *text)
{
    snprintf(path, PATH_SIZE, "/tmp/holdfast-options-XXXXXX");
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    close(fd);
}

static void test_flag_beats_environment_beats_file_beats_default(void **state)
{
    (void)state;
    char path[PATH_SIZE];
    char variable[64];
    write_file(path, "label: file\nredis: file\nadmin-port: 3\n"
                     "listen: [f1, f2, f3]\nextra: [f1, f2]\n");
    snprintf(variable, sizeof(variable), "HOLDFAST_CONFIG=%s", path);
    struct reading reading;
    expect(&reading, ARGUMENTS("--label", "flag", "--listen=flag"),
           ENVIRONMENT(variable, "HOLDFAST_LABEL=environment", "HOLDFAST_REDIS=environment",
                       "HOLDFAST_EXTRA=e", "HOLDFAST_LISTEN=e1,e2"));
    unlink(path);
    assert_string_equal(reading.values.label, "flag");
    assert_string_equal(reading.values.redis, "environment");
    assert_int_equal(reading.values.port, 3);
    assert_int_equal(reading.values.age_ms, 0);
    expect_list(&reading.values.listen, 1, "flag", "flag");
    expect_list(&reading.values.extra, 1, "e", "e");
    assert_string_equal(reading.values.config, path);
    assert_int_equal(reading.origins[CONFIG].layer, OPTION_ENVIRONMENT);
    assert_int_equal(reading.origins[LABEL].layer, OPTION_FLAG);
    assert_int_equal(reading.origins[REDIS].layer, OPTION_ENVIRONMENT);
    assert_int_equal(reading.origins[PORT].layer, OPTION_FILE);
    assert_int_equal(reading.origins[AGE].layer, OPTION_DEFAULT);
    release(&reading);
}

static void test_the_flag_for_the_file_beats_the_variable(void **state)
{
    (void)state;
    char path[PATH_SIZE];
    write_file(path, "label: right\n");
    struct reading reading;
    expect(&reading, ARGUMENTS("--quiet", "--config", path),
           ENVIRONMENT("HOLDFAST_CONFIG=/nonexistent"));
    unlink(path);
    assert_string_equal(reading.values.label, "right");
    release(&reading);
}

static void test_values_can_be_read_again_into_the_same_struct(void **state)
{
    (void)state;
    struct reading reading;
    expect(&reading, ARGUMENTS("--label", "a", "--listen", "b"), NULL);
    assert_true(read_table(&reading.values, NO_ARGUMENTS, NULL, NULL, reading.error));
    assert_null(reading.values.label);
    assert_int_equal(reading.values.listen.count, 2);
    release(&reading);
}

static void test_mistakes_in_flags_are_explained(void **state)
{
    (void)state;
    expect_error(ARGUMENTS("--default-tll", "1s"), NULL,
                 "unknown flag \"--default-tll\"; did you mean \"--default-ttl\"?");
    expect_error(ARGUMENTS("--loglevel=info"), NULL,
                 "unknown flag \"--loglevel\"; did you mean \"--log-level\"?");
    expect_error(ARGUMENTS("--no-stric"), NULL,
                 "unknown flag \"--no-stric\"; --help lists them all");
    expect_error(ARGUMENTS("--no-label"), NULL,
                 "unknown flag \"--no-label\"; did you mean \"--label\"?");
    expect_error(ARGUMENTS("--zzzzzzzz"), NULL,
                 "unknown flag \"--zzzzzzzz\"; --help lists them all");
    expect_error(ARGUMENTS("--"), NULL, "unknown flag \"--\"; --help lists them all");
    expect_error(ARGUMENTS("--no-quiet=1"), NULL, "--no-quiet takes no value");
    expect_error(ARGUMENTS("--label"), NULL, "--label needs a value: --label TEXT");
    expect_error(ARGUMENTS("--label", "--quiet"), NULL, "--label needs a value: --label TEXT");
    expect_error(ARGUMENTS("serve"), NULL,
                 "unexpected argument \"serve\"; flags are written --name VALUE or --name=VALUE");
    expect_error(ARGUMENTS("-v"), NULL,
                 "unexpected argument \"-v\"; flags are written --name VALUE or --name=VALUE");
    expect_error(ARGUMENTS("--quiet", "true"), NULL,
                 "unexpected argument \"true\"; flags are written --name VALUE or --name=VALUE");
    expect_error(ARGUMENTS("--listen="), NULL, "--listen: an item must not be empty");
}

static void test_mistakes_in_values_are_explained(void **state)
{
    (void)state;
    expect_error(ARGUMENTS("--quiet=maybe"), NULL, "--quiet: \"maybe\" is neither true nor false");
    expect_error(ARGUMENTS("--admin-port=x"), NULL,
                 "--admin-port: \"x\" is not a whole number; allowed is 1 to 65535");
    expect_error(ARGUMENTS("--admin-port="), NULL,
                 "--admin-port: \"\" is not a whole number; allowed is 1 to 65535");
    expect_error(ARGUMENTS("--admin-port=-"), NULL,
                 "--admin-port: \"-\" is not a whole number; allowed is 1 to 65535");
    expect_error(ARGUMENTS("--admin-port=0"), NULL,
                 "--admin-port: \"0\" is out of range; allowed is 1 to 65535");
    expect_error(ARGUMENTS("--admin-port=65536"), NULL,
                 "--admin-port: \"65536\" is out of range; allowed is 1 to 65535");
    expect_error(ARGUMENTS("--default-ttl=10"), NULL,
                 "--default-ttl: \"10\" is not a duration; write a whole number and its unit (ms, "
                 "s, m or h), for example 250ms or 3s");
    expect_error(ARGUMENTS("--default-ttl=99ms"), NULL,
                 "--default-ttl: \"99ms\" is out of range; allowed is 100ms to 1h");
    expect_error(ARGUMENTS("--default-ttl=3601s"), NULL,
                 "--default-ttl: \"3601s\" is out of range; allowed is 100ms to 1h");
    expect_error(ARGUMENTS("--log-level=trace"), NULL,
                 "--log-level: \"trace\" is not one of debug, info, warn");
    static const char *const integers[] = {"9223372036854775808", "-9223372036854775809", "1 ",
                                           "+1", "1.0"};
    for (size_t i = 0; i < COUNT_OF(integers); i++) {
        char flag[64];
        char error[OPTIONS_ERROR_SIZE];
        snprintf(flag, sizeof(flag), "--offset=%s", integers[i]);
        snprintf(error, sizeof(error),
                 "--offset: \"%s\" is not a whole number; allowed is -9223372036854775808 or more",
                 integers[i]);
        expect_error(ARGUMENTS(flag), NULL, error);
    }
}

static void test_mistakes_in_variables_are_explained(void **state)
{
    (void)state;
    expect_error(NO_ARGUMENTS, ENVIRONMENT("HOLDFAST_DEFAULT_TTL=1ms"),
                 "environment variable HOLDFAST_DEFAULT_TTL: \"1ms\" is out of range; allowed is "
                 "100ms to 1h");
    expect_error(NO_ARGUMENTS, ENVIRONMENT("HOLDFAST_LISTEN=a,,b"),
                 "environment variable HOLDFAST_LISTEN: \"a,,b\" has an empty item; separate items "
                 "by one ','");
    expect_error(NO_ARGUMENTS, ENVIRONMENT("HOLDFAST_LISTEN=a, "),
                 "environment variable HOLDFAST_LISTEN: \"a, \" has an empty item; separate items "
                 "by one ','");
    expect_error(NO_ARGUMENTS, ENVIRONMENT("HOLDFAST_CONFIG=/nonexistent/x.yaml"),
                 "cannot open /nonexistent/x.yaml: No such file or directory");
}

static void test_long_values_are_cut_in_errors(void **state)
{
    (void)state;
    char flag[4000] = "--admin-port=";
    memset(flag + strlen(flag), 'x', sizeof(flag) - strlen(flag) - 1);
    flag[sizeof(flag) - 1] = '\0';
    struct reading reading;
    assert_false(read_options(&reading, ARGUMENTS(flag), NULL));
    assert_true(strlen(reading.error) < 200);
    assert_non_null(strstr(reading.error, "xxx...\" is not a whole number"));
    release(&reading);
    flag[12] = 'x';
    assert_false(read_options(&reading, ARGUMENTS(flag), NULL));
    assert_true(strlen(reading.error) < 200);
    release(&reading);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_without_anything_the_defaults_hold),
        cmocka_unit_test(test_flags_of_every_kind),
        cmocka_unit_test(test_the_words_of_a_boolean),
        cmocka_unit_test(test_integers_of_64_bits),
        cmocka_unit_test(test_the_last_of_equal_flags_wins),
        cmocka_unit_test(test_environment_of_every_kind),
        cmocka_unit_test(test_foreign_and_empty_variables_count_as_not_given),
        cmocka_unit_test(test_list_flags_replace_and_then_add),
        cmocka_unit_test(test_flag_beats_environment_beats_file_beats_default),
        cmocka_unit_test(test_the_flag_for_the_file_beats_the_variable),
        cmocka_unit_test(test_values_can_be_read_again_into_the_same_struct),
        cmocka_unit_test(test_mistakes_in_flags_are_explained),
        cmocka_unit_test(test_mistakes_in_values_are_explained),
        cmocka_unit_test(test_mistakes_in_variables_are_explained),
        cmocka_unit_test(test_long_values_are_cut_in_errors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
