/* SPDX-License-Identifier: Apache-2.0 */
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>
#include <jansson.h>

#include "base/compiler.h"
#include "base/metrics.h"

/* stderr is a pipe while a test logs. */
struct capture {
    int saved;
    int reader;
    char text[3 * PIPE_BUF];
};

static void capture_begin(struct capture *capture)
{
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    fflush(stderr);
    capture->saved = dup(STDERR_FILENO);
    assert_true(capture->saved >= 0);
    capture->reader = ends[0];
    dup2(ends[1], STDERR_FILENO);
    close(ends[1]);
}

/* Gives stderr back. */
static void capture_restore(struct capture *capture)
{
    dup2(capture->saved, STDERR_FILENO);
    close(capture->saved);
}

/* Ends the capture; what was written is in `text`. */
static void capture_end(struct capture *capture)
{
    capture_restore(capture);
    size_t used = 0;
    ssize_t got;
    do {
        got = read(capture->reader, capture->text + used, sizeof(capture->text) - 1 - used);
        assert_true(got >= 0);
        used += (size_t)got;
    } while (got > 0);
    capture->text[used] = '\0';
    close(capture->reader);
}

/* The one line that was captured, parsed. */
static json_t *parse_line(const struct capture *capture)
{
    size_t length = strlen(capture->text);
    assert_in_range(length, 2, PIPE_BUF);
    assert_ptr_equal(strchr(capture->text, '\n'), capture->text + length - 1);
    json_error_t error;
    json_t *line = json_loads(capture->text, JSON_ALLOW_NUL, &error);
    assert_non_null(line);
    return line;
}

static const char *text_of(const json_t *line, const char *name)
{
    const char *text = json_string_value(json_object_get(line, name));
    assert_non_null(text);
    return text;
}

static void test_a_line_holds_every_field_in_order(void **state)
{
    (void)state;
    static const char *const names[] = {"ts",  "level", "event", "message", "text",
                                        "nil", "bytes", "least", "yes",     "no"};
    struct capture capture;
    capture_begin(&capture);
    LOG_WARN("redis.up", LOG_MESSAGE("a \"quoted\"\nmessage"), LOG_TEXT("text", "Grüße"),
             LOG_TEXT("nil", NULL), LOG_BYTES("bytes", "a\0\xff", 3),
             LOG_INTEGER("least", INT64_MIN), LOG_BOOLEAN("yes", 7), LOG_BOOLEAN("no", 0));
    capture_end(&capture);
    json_t *line = parse_line(&capture);
    size_t i = 0;
    for (void *at = json_object_iter(line); at != NULL; at = json_object_iter_next(line, at)) {
        assert_true(i < COUNT_OF(names));
        assert_string_equal(json_object_iter_key(at), names[i]);
        i++;
    }
    assert_int_equal(i, COUNT_OF(names));
    assert_string_equal(text_of(line, "level"), "warn");
    assert_string_equal(text_of(line, "event"), "redis.up");
    assert_string_equal(text_of(line, "message"), "a \"quoted\"\nmessage");
    assert_string_equal(text_of(line, "text"), "Grüße");
    assert_true(json_is_null(json_object_get(line, "nil")));
    json_t *bytes = json_object_get(line, "bytes");
    assert_int_equal(json_string_length(bytes), 5);
    assert_memory_equal(json_string_value(bytes), "a\0\xef\xbf\xbd", 5);
    assert_true(json_integer_value(json_object_get(line, "least")) == INT64_MIN);
    assert_true(json_is_true(json_object_get(line, "yes")));
    assert_true(json_is_false(json_object_get(line, "no")));
    json_decref(line);
}

static void test_the_time_is_utc_with_milliseconds(void **state)
{
    (void)state;
    struct capture capture;
    time_t before = time(NULL);
    capture_begin(&capture);
    LOG_INFO("a", LOG_MESSAGE("b"));
    capture_end(&capture);
    json_t *line = parse_line(&capture);
    const char *text = text_of(line, "ts");
    struct tm utc = {0};
    const char *rest = strptime(text, "%Y-%m-%dT%H:%M:%S.", &utc);
    assert_non_null(rest);
    assert_int_equal(strspn(rest, "0123456789"), 3);
    assert_string_equal(rest + 3, "Z");
    assert_in_range(timegm(&utc), before, time(NULL) + 1);
    json_decref(line);
}

static void test_levels_below_the_set_one_are_silent(void **state)
{
    (void)state;
    struct capture capture;
    capture_begin(&capture);
    LOG_DEBUG("hidden", LOG_MESSAGE("m"));
    log_set_level(LOG_LEVEL_ERROR);
    LOG_WARN("hidden", LOG_MESSAGE("m"));
    LOG_ERROR("shown", LOG_MESSAGE("m"));
    log_set_level(LOG_LEVEL_INFO);
    capture_end(&capture);
    json_t *line = parse_line(&capture);
    assert_string_equal(text_of(line, "event"), "shown");
    assert_string_equal(text_of(line, "level"), "error");
    json_decref(line);
}

static void test_level_names(void **state)
{
    (void)state;
    static const char *const names[] = {"debug", "info", "warn", "error"};
    enum log_level level;
    for (int i = 0; i < LOG_LEVELS; i++) {
        assert_true(log_level_parse(names[i], &level));
        assert_int_equal(level, i);
    }
    level = LOG_LEVEL_WARN;
    assert_false(log_level_parse("", &level));
    assert_false(log_level_parse("Info", &level));
    assert_false(log_level_parse("information", &level));
    assert_int_equal(level, LOG_LEVEL_WARN);
}

static void test_long_texts_are_cut(void **state)
{
    (void)state;
    char text[20000];
    memset(text, 'x', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    struct capture capture;
    capture_begin(&capture);
    LOG_INFO("cut", LOG_MESSAGE(text), LOG_INTEGER("last", 1));
    capture_end(&capture);
    json_t *line = parse_line(&capture);
    const char *message = text_of(line, "message");
    size_t length = strlen(message);
    assert_in_range(length, 512, 1100);
    assert_string_equal(message + length - 4, "x...");
    assert_non_null(json_object_get(line, "last"));
    json_decref(line);
}

static void test_a_text_of_just_the_limit_stays_whole(void **state)
{
    (void)state;
    char text[1025];
    memset(text, 'x', 1024);
    text[1024] = '\0';
    struct capture capture;
    capture_begin(&capture);
    LOG_INFO("whole", LOG_MESSAGE(text));
    capture_end(&capture);
    json_t *line = parse_line(&capture);
    assert_string_equal(text_of(line, "message"), text);
    json_decref(line);
}

/* Control characters take six bytes each in JSON. */
static void test_a_line_fits_a_pipe_whatever_it_holds(void **state)
{
    (void)state;
    char text[4000];
    memset(text, '\x01', sizeof(text));
    struct capture capture;
    uint64_t dropped = log_dropped();
    capture_begin(&capture);
    LOG_INFO("wide", LOG_BYTES("a", text, sizeof(text)), LOG_BYTES("b", text, sizeof(text)),
             LOG_BYTES("c", text, sizeof(text)), LOG_BYTES("d", text, sizeof(text)),
             LOG_BYTES("e", text, sizeof(text)), LOG_BYTES("f", text, sizeof(text)));
    capture_end(&capture);
    json_t *line = parse_line(&capture);
    assert_true(strlen(text_of(line, "f")) >= 16);
    json_decref(line);
    assert_int_equal(log_dropped(), dropped);
}

static void test_a_line_that_cannot_be_made_to_fit_is_counted(void **state)
{
    (void)state;
    static struct log_field fields[400];
    static char names[400][8];
    for (size_t i = 0; i < 399; i++) {
        snprintf(names[i], sizeof(names[i]), "n%zu", i);
        fields[i] = LOG_INTEGER(names[i], INT64_MAX);
    }
    struct capture capture;
    uint64_t dropped = log_dropped();
    capture_begin(&capture);
    log_write(LOG_LEVEL_INFO, "huge", fields);
    capture_end(&capture);
    assert_string_equal(capture.text, "");
    assert_int_equal(log_dropped(), dropped + 1);
}

static void test_a_full_pipe_drops_lines_instead_of_blocking(void **state)
{
    (void)state;
    struct capture capture;
    uint64_t dropped = log_dropped();
    capture_begin(&capture);
    int flags_before = fcntl(STDERR_FILENO, F_GETFL);
    for (int i = 0; i < 100000 && log_dropped() < dropped + 3; i++) {
        LOG_INFO("flood", LOG_INTEGER("number", i));
    }
    int flags_after = fcntl(STDERR_FILENO, F_GETFL);
    capture_restore(&capture);
    close(capture.reader);
    assert_int_equal(log_dropped(), dropped + 3);
    assert_int_equal(flags_after, flags_before);
    assert_int_equal(flags_after & O_NONBLOCK, 0);
}

static void test_a_reader_that_left_is_counted_too(void **state)
{
    (void)state;
    signal(SIGPIPE, SIG_IGN);
    struct capture capture;
    uint64_t dropped = log_dropped();
    capture_begin(&capture);
    close(capture.reader);
    errno = ENOENT;
    LOG_INFO("lost", LOG_MESSAGE("m"));
    int errno_after = errno;
    capture_restore(&capture);
    assert_int_equal(log_dropped(), dropped + 1);
    assert_int_equal(errno_after, ENOENT);
}

static void test_a_closed_stderr_is_counted_too(void **state)
{
    (void)state;
    struct capture capture;
    uint64_t dropped = log_dropped();
    capture_begin(&capture);
    close(capture.reader);
    close(STDERR_FILENO);
    LOG_INFO("lost", LOG_MESSAGE("m"));
    capture_restore(&capture);
    assert_int_equal(log_dropped(), dropped + 1);
}

static void test_metrics_are_one_event(void **state)
{
    (void)state;
    struct metrics metrics = {.leases_now = 3, .embedded_restarts = UINT64_C(1) << 62};
    struct capture capture;
    capture_begin(&capture);
    metrics_log(&metrics);
    capture_end(&capture);
    json_t *line = parse_line(&capture);
    assert_string_equal(text_of(line, "event"), "metrics");
    assert_int_equal(json_integer_value(json_object_get(line, "leases_now")), 3);
    assert_true(json_integer_value(json_object_get(line, "embedded_restarts")) == INT64_C(1) << 62);
    /* ts, level, event and message stand in front of them. */
    assert_int_equal(json_object_size(line), sizeof(metrics) / sizeof(uint64_t) + 4);
    json_decref(line);
}

static void test_every_metric_fits_in_a_line_at_its_largest(void **state)
{
    (void)state;
    struct metrics metrics;
    memset(&metrics, 0x7f, sizeof(metrics));
    struct capture capture;
    capture_begin(&capture);
    metrics_log(&metrics);
    capture_end(&capture);
    json_decref(parse_line(&capture));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_line_holds_every_field_in_order),
        cmocka_unit_test(test_the_time_is_utc_with_milliseconds),
        cmocka_unit_test(test_levels_below_the_set_one_are_silent),
        cmocka_unit_test(test_level_names),
        cmocka_unit_test(test_long_texts_are_cut),
        cmocka_unit_test(test_a_text_of_just_the_limit_stays_whole),
        cmocka_unit_test(test_a_line_fits_a_pipe_whatever_it_holds),
        cmocka_unit_test(test_a_line_that_cannot_be_made_to_fit_is_counted),
        cmocka_unit_test(test_a_full_pipe_drops_lines_instead_of_blocking),
        cmocka_unit_test(test_a_reader_that_left_is_counted_too),
        cmocka_unit_test(test_a_closed_stderr_is_counted_too),
        cmocka_unit_test(test_metrics_are_one_event),
        cmocka_unit_test(test_every_metric_fits_in_a_line_at_its_largest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
