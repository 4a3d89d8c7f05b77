/* SPDX-License-Identifier: Apache-2.0 */
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

struct reading {
    struct values values;
    struct option_origin origins[ROWS];
    char error[OPTIONS_ERROR_SIZE];
    char path[32];
};

/* Reads a file of these bytes. */
static bool read_bytes(struct reading *reading, const char *bytes, size_t length)
{
    *reading = (struct reading){.error = "unset", .path = "/tmp/holdfast-options-XXXXXX"};
    int fd = mkstemp(reading->path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, bytes, length), (ssize_t)length);
    close(fd);
    const char *argv[] = {"holdfastd", "--config", reading->path, NULL};
    bool is_read = read_table(&reading->values, argv, NULL, reading->origins, reading->error);
    unlink(reading->path);
    return is_read;
}

static void expect(struct reading *reading, const char *text)
{
    bool is_read = read_bytes(reading, text, strlen(text));
    assert_string_equal(reading->error, "");
    assert_true(is_read);
}

/* `error` is what follows the path. */
static void expect_error(const char *text, const char *error)
{
    struct reading reading;
    assert_false(read_bytes(&reading, text, strlen(text)));
    size_t length = strlen(reading.path);
    assert_memory_equal(reading.error, reading.path, length);
    assert_string_equal(reading.error + length, error);
    options_release(table, &reading.values);
}

static void test_every_kind(void **state)
{
    (void)state;
    struct reading reading;
    expect(&reading, "# a comment\n"
                     "strict: false\n"
                     "quiet: \"yes\"\n"
                     "admin-port: 8080\n"
                     "offset: -1\n"
                     "default-ttl: 30s   # another\n"
                     "redis: 'it''s'\n"
                     "label: \"\"\n"
                     "log-level: debug\n"
                     "listen:\n"
                     "  - one, still one\n"
                     "  - \"two\"\n"
                     "extra: [a, b, c]\n");
    assert_false(reading.values.strict);
    assert_true(reading.values.quiet);
    assert_int_equal(reading.values.port, 8080);
    assert_true(reading.values.offset == -1);
    assert_int_equal(reading.values.ttl_ms, 30000);
    assert_string_equal(reading.values.redis, "it's");
    assert_string_equal(reading.values.label, "");
    assert_int_equal(reading.values.level, 0);
    assert_int_equal(reading.values.listen.count, 2);
    assert_string_equal(reading.values.listen.items[0], "one, still one");
    assert_int_equal(reading.values.extra.count, 3);
    assert_int_equal(reading.origins[EXTRA].layer, OPTION_FILE);
    assert_int_equal(reading.origins[EXTRA].line, 13);
    assert_int_equal(reading.origins[LISTEN].line, 10);
    assert_int_equal(reading.origins[LABEL].layer, OPTION_FILE);
    assert_int_equal(reading.origins[AGE].layer, OPTION_DEFAULT);
    options_release(table, &reading.values);
}

static void test_empty_files_say_nothing(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "", "\n\n", "# only\n# comments\n", "---\n", "---\n...\n", "{}\n", "null\n"};
    for (size_t i = 0; i < COUNT_OF(texts); i++) {
        struct reading reading;
        expect(&reading, texts[i]);
        assert_int_equal(reading.values.port, 80);
        options_release(table, &reading.values);
    }
}

static void test_null_leaves_a_row_as_it_is(void **state)
{
    (void)state;
    struct reading reading;
    expect(&reading, "admin-port:\nlabel: ~\nlisten: null\nredis:\n");
    assert_int_equal(reading.values.port, 80);
    assert_null(reading.values.label);
    assert_int_equal(reading.values.listen.count, 2);
    assert_int_equal(reading.origins[PORT].layer, OPTION_DEFAULT);
    options_release(table, &reading.values);
}

static void test_an_empty_list_empties_the_default(void **state)
{
    (void)state;
    struct reading reading;
    expect(&reading, "listen: []\n");
    assert_int_equal(reading.values.listen.count, 0);
    assert_int_equal(reading.origins[LISTEN].layer, OPTION_FILE);
    options_release(table, &reading.values);
}

static void test_mistakes_are_explained_with_their_line(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *error;
    } rows[] = {
        {"label: a\n\ndefault-tl: 1s\n",
         ":3: unknown option \"default-tl\"; did you mean \"default-ttl\"?"},
        {"zzzzzzzzzz: 1\n", ":1: unknown option \"zzzzzzzzzz\"; --help lists them all"},
        {"\"\": 1\n", ":1: unknown option \"\"; --help lists them all"},
        {"label: a\nlabel: b\n", ":2: label: is given twice in this file"},
        {"config: x\n", ":1: config: cannot be given in the file itself"},
        {"\nadmin-port: 0\n", ":2: admin-port: \"0\" is out of range; allowed is 1 to 65535"},
        {"default-ttl: soon\n",
         ":1: default-ttl: \"soon\" is not a duration; write a whole number and its unit (ms, s, m "
         "or h), for example 250ms or 3s"},
        {"log-level: loud\n", ":1: log-level: \"loud\" is not one of debug, info, warn"},
        {"strict: maybe\n", ":1: strict: \"maybe\" is neither true nor false"},
        {"label: [a]\n", ":1: label: takes a single value"},
        {"label: {a: b}\n", ":1: label: takes a single value"},
        {"listen: a\n", ":1: listen: takes a list: [one, two]"},
        {"listen: {a: b}\n", ":1: listen: takes a list: [one, two]"},
        {"listen:\n  - a\n  - [b]\n", ":3: listen: an item must be plain text"},
        {"listen:\n  - a\n  -\n", ":3: listen: an item must not be empty"},
        {"label: &a x\nredis: *a\n",
         ":2: redis: aliases are not supported; write the value itself"},
        {"label: \"a\\0b\"\n", ":1: label: the text contains a NUL byte"},
        {"listen: [\"a\\0b\"]\n", ":1: listen: the text contains a NUL byte"},
        {"\"label\\0\": x\n", ":1: unknown option \"label\"; did you mean \"label\"?"},
        {"- a\n- b\n", ":1: lines of the form \"name: value\" were expected"},
        {"hello\n", ":1: lines of the form \"name: value\" were expected"},
        {"[a]: b\n", ":1: the name of an option was expected"},
        {"? {a: b}\n: c\n", ":1: the name of an option was expected"},
        {"label: a\n---\nlabel: b\n", ":2: a second document begins; only one is allowed"},
        {"label: a\n\tredis: b\n",
         ":2: not valid YAML: found a tab character that violates indentation"},
        {"label: \"a\n", ":2: not valid YAML: found unexpected end of stream"},
        {"label: \x80\n", ":1: not valid YAML: invalid leading UTF-8 octet"},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        expect_error(rows[i].text, rows[i].error);
    }
}

static void test_a_file_that_is_too_large_is_refused(void **state)
{
    (void)state;
    size_t size = ((size_t)1 << 20) + 1;
    char *bytes = malloc(size);
    memset(bytes, '#', size);
    struct reading reading;
    assert_false(read_bytes(&reading, bytes, size));
    assert_non_null(strstr(reading.error, " is larger than 1048576 bytes"));
    options_release(table, &reading.values);
    assert_true(read_bytes(&reading, bytes, size - 1));
    options_release(table, &reading.values);
    free(bytes);
}

static void test_a_directory_is_refused(void **state)
{
    (void)state;
    struct reading reading = {.error = ""};
    const char *argv[] = {"holdfastd", "--config=/tmp", NULL};
    assert_false(read_table(&reading.values, argv, NULL, NULL, reading.error));
    assert_string_equal(reading.error, "cannot read /tmp: Is a directory");
    options_release(table, &reading.values);
}

/* Whatever the bytes, it ends with values or with an error, and without a leak. */
static void test_broken_files_do_no_harm(void **state)
{
    (void)state;
    static const char text[] = "listen: [\"a\", b]\nlabel: &x 'y'\nextra:\n  - p\n  - {q: r}\n";
    for (size_t length = 0; length < sizeof(text); length++) {
        for (int change = 0; change < 3; change++) {
            char bytes[sizeof(text)];
            struct reading reading;
            memcpy(bytes, text, sizeof(text));
            bytes[length] = "\0[\xff"[change];
            bool is_read = read_bytes(&reading, bytes, length + 1);
            assert_int_equal(is_read, reading.error[0] == '\0');
            options_release(table, &reading.values);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_kind),
        cmocka_unit_test(test_empty_files_say_nothing),
        cmocka_unit_test(test_null_leaves_a_row_as_it_is),
        cmocka_unit_test(test_an_empty_list_empties_the_default),
        cmocka_unit_test(test_mistakes_are_explained_with_their_line),
        cmocka_unit_test(test_a_file_that_is_too_large_is_refused),
        cmocka_unit_test(test_a_directory_is_refused),
        cmocka_unit_test(test_broken_files_do_no_harm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
