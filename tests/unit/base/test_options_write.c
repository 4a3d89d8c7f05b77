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

#include "options_fixture.h"

#define PATH_SIZE 32

/* Everything `write` writes, owned by the caller. */
static char *text_of(void (*write_table)(const struct option *, FILE *))
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    write_table(table, out);
    fclose(out);
    return text;
}

static void expect_part(const char *text, const char *part)
{
    if (strstr(text, part) == NULL) {
        fail_msg("this part is missing:\n%s\nin:\n%s", part, text);
    }
}

static void expect_lines_within(const char *text, size_t width)
{
    for (const char *at = text; *at != '\0'; at += strcspn(at, "\n") + 1) {
        assert_true(strcspn(at, "\n") <= width);
    }
}

static void test_help_shows_everything(void **state)
{
    (void)state;
    char *text = text_of(options_write_help);
    expect_lines_within(text, 88);
    expect_part(text, "  --config FILE\n"
                      "        Read options from this file.\n"
                      "        [$HOLDFAST_CONFIG]\n");
    expect_part(text, "  --listen ADDRESS\n"
                      "        Listen here.\n"
                      "        May be repeated. Default: 127.0.0.1:7420,unix:/run/h.sock. "
                      "[$HOLDFAST_LISTEN]\n");
    expect_part(text, "  --[no-]strict\n"
                      "        Be strict.\n"
                      "        Default: true. Applied on SIGHUP. [$HOLDFAST_STRICT]\n");
    expect_part(text, "  --default-ttl DURATION\n"
                      "        How long a lease lives without renewal. This sentence makes the "
                      "text so long\n"
                      "        that it has to be broken into more than one line, wherever it is "
                      "shown.\n"
                      "        Allowed: 100ms to 1h. Default: 10s. Applied on SIGHUP. "
                      "[$HOLDFAST_DEFAULT_TTL]\n");
    expect_part(text, "Allowed: 0 or more. Default: 0. ");
    expect_part(text, "Allowed: debug, info, warn. Default: info. ");
    free(text);
}

static void test_markdown_has_a_line_for_every_row(void **state)
{
    (void)state;
    char *text = text_of(options_write_markdown);
    size_t lines = 0;
    for (const char *at = text; *at != '\0'; at += strcspn(at, "\n") + 1) {
        lines++;
    }
    assert_int_equal(lines, ROWS + 2);
    expect_part(text, "\n| `strict` | `true` | true, false | yes | `HOLDFAST_STRICT` | Be strict. "
                      "|\n");
    expect_part(text, "\n| `extra` |  | NAME, ... |  | `HOLDFAST_EXTRA` | More names. |\n");
    expect_part(text, "\n| `admin-port` | `80` | 1 to 65535 |  | `HOLDFAST_ADMIN_PORT` | A port. "
                      "|\n");
    expect_part(text, "\n| `log-level` | `info` | debug, info, warn |  | `HOLDFAST_LOG_LEVEL` | "
                      "What to log. |\n");
    expect_part(text, " A \\| b. |\n");
    free(text);
}

static void test_the_sample_shows_everything(void **state)
{
    (void)state;
    char *text = text_of(options_write_sample);
    expect_lines_within(text, 88);
    expect_part(text, "# Listen here.\n"
                      "#listen: [\"127.0.0.1:7420\", \"unix:/run/h.sock\"]\n\n");
    expect_part(text, "# More names.\n#extra: []\n\n");
    expect_part(text, "# A port. Allowed: 1 to 65535.\n#admin-port: 80\n\n");
    expect_part(text, "# A label.\n#label:\n\n");
    expect_part(text, "Applied on SIGHUP.\n#default-ttl: 10s\n\n");
    assert_null(strstr(text, "config"));
    free(text);
}

/* Writes the sample into `path`, with the options no longer commented out if `is_active`. */
static void write_sample(char path[PATH_SIZE], bool is_active)
{
    snprintf(path, PATH_SIZE, "/tmp/holdfast-options-XXXXXX");
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    FILE *file = fdopen(fd, "w");
    char *text = text_of(options_write_sample);
    for (char *at = text; *at != '\0'; at += strcspn(at, "\n") + 1) {
        bool is_option = at[0] == '#' && at[1] != ' ';
        const char *line = is_active && is_option ? at + 1 : at;
        fprintf(file, "%.*s\n", (int)strcspn(line, "\n"), line);
    }
    fclose(file);
    free(text);
}

static void expect_same_list(const struct option_list *a, const struct option_list *b)
{
    assert_int_equal(a->count, b->count);
    for (size_t i = 0; i < a->count; i++) {
        assert_string_equal(a->items[i], b->items[i]);
    }
}

static void expect_defaults(const struct values *read)
{
    struct values defaults = {.config = NULL};
    options_set_defaults(table, &defaults);
    expect_same_list(&read->listen, &defaults.listen);
    expect_same_list(&read->extra, &defaults.extra);
    assert_int_equal(read->strict, defaults.strict);
    assert_int_equal(read->quiet, defaults.quiet);
    assert_int_equal(read->port, defaults.port);
    assert_true(read->offset == defaults.offset);
    assert_int_equal(read->ttl_ms, defaults.ttl_ms);
    assert_int_equal(read->age_ms, defaults.age_ms);
    assert_string_equal(read->redis, defaults.redis);
    assert_null(read->label);
    assert_int_equal(read->level, defaults.level);
    options_release(table, &defaults);
}

static void read_sample(bool is_active, enum option_layer layer)
{
    char path[PATH_SIZE];
    write_sample(path, is_active);
    const char *argv[] = {"holdfastd", "--config", path, NULL};
    char error[OPTIONS_ERROR_SIZE];
    struct values values = {.config = NULL};
    struct option_origin origins[ROWS];
    bool is_read = read_table(&values, argv, NULL, origins, error);
    unlink(path);
    assert_string_equal(error, "");
    assert_true(is_read);
    expect_defaults(&values);
    for (int i = 0; i < ROWS; i++) {
        if (i != CONFIG && i != LABEL) {
            assert_int_equal(origins[i].layer, layer);
        }
    }
    options_release(table, &values);
}

static void test_the_sample_read_back_gives_the_defaults(void **state)
{
    (void)state;
    read_sample(false, OPTION_DEFAULT);
    read_sample(true, OPTION_FILE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_help_shows_everything),
        cmocka_unit_test(test_markdown_has_a_line_for_every_row),
        cmocka_unit_test(test_the_sample_shows_everything),
        cmocka_unit_test(test_the_sample_read_back_gives_the_defaults),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
