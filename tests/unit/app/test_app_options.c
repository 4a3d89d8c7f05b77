/* SPDX-License-Identifier: Apache-2.0 */
#include "app/app_options.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/log.h"
#include "base/memory.h"

#define ARGUMENTS_MAX 16

static struct app_options options;
static char error[OPTIONS_ERROR_SIZE];

/* Reads the flags in `...`, a NULL at the end. */
static bool read_flags(const char *first, ...)
{
    char *argv[ARGUMENTS_MAX] = {(char *)"holdfastd"};
    char *environment[] = {NULL};
    struct app_arguments arguments = {.argc = 1, .argv = argv, .environment = environment};
    va_list flags;
    app_options_release(&options);
    memset(&options, 0, sizeof(options));
    error[0] = '\0';
    va_start(flags, first);
    for (const char *flag = first; flag != NULL; flag = va_arg(flags, const char *)) {
        assert_in_range(arguments.argc, 1, ARGUMENTS_MAX - 1);
        argv[arguments.argc++] = (char *)flag;
    }
    va_end(flags);
    return app_options_read(&options, &arguments, error);
}

static int teardown(void **state)
{
    (void)state;
    app_options_release(&options);
    return 0;
}

static void expect_error(const char *text)
{
    if (strstr(error, text) == NULL) {
        fail_msg("\"%s\" does not contain \"%s\"", error, text);
    }
}

static char *written(void (*write)(FILE *out))
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    assert_non_null(out);
    write(out);
    assert_int_equal(fclose(out), 0);
    return text;
}

/* Creates a file in /tmp with this content; the caller unlinks it. */
static void make_file(char path[64], const char *content)
{
    snprintf(path, 64, "/tmp/holdfast-test-XXXXXX");
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, content, strlen(content)), strlen(content));
    close(fd);
}

static void every_row_is_complete(void **state)
{
    (void)state;
    size_t count = 0;
    for (const struct option *row = app_options_table; row->name != NULL; row++) {
        size_t length = strlen(row->help);
        assert_in_range(length, 10, 400);
        assert_int_equal(row->help[length - 1], '.');
        assert_int_equal(row->argument == NULL, row->kind == OPTION_BOOLEAN);
        assert_in_range(row->offset, 0, sizeof(struct app_options) - sizeof(bool));
        for (const struct option *other = app_options_table; other != row; other++) {
            assert_string_not_equal(row->name, other->name);
            assert_int_not_equal(row->offset, other->offset);
        }
        count++;
    }
    assert_int_equal(count, 35);
}

static void defaults_are_as_documented(void **state)
{
    (void)state;
    assert_true(read_flags(NULL));
    assert_int_equal(options.listen.count, 1);
    assert_string_equal(options.listen.items[0], "tcp://127.0.0.1:7420");
    assert_int_equal(app_options_unix_mode(&options), 0660);
    assert_false(app_options_want_tls(&options));
    assert_null(options.redis);
    assert_string_equal(options.key_prefix, "lock:");
    assert_int_equal(options.connect_timeout_ms, 1000);
    assert_int_equal(options.ack_timeout_ms, 1000);
    assert_int_equal(options.reconnect_max_ms, 500);
    assert_int_equal(options.failover_grace_ms, 2000);
    assert_false(options.requires_noeviction);
    assert_int_equal(options.default_ttl_ms, 10000);
    assert_int_equal(options.max_connections, 10000);
    assert_int_equal(options.max_calls, 100000);
    assert_int_equal(options.max_calls_per_connection, 1000);
    assert_int_equal(options.max_leases, 1000000);
    assert_int_equal(options.max_leases_per_connection, 100000);
    assert_int_equal(options.max_waiters, 10000);
    assert_int_equal(options.handoff_run_max, 64);
    assert_int_equal(options.handoff_run_ms, 20);
    assert_int_equal(options.fairness, APP_FAIRNESS_DEFAULT);
    assert_true(options.deadlock_check);
    assert_int_equal(options.max_message_size, 65536);
    assert_int_equal(options.max_output, 1048576);
    assert_int_equal(options.max_redis_operations, 1000000);
    assert_int_equal(options.keepalive_ms, 1000);
    assert_int_equal(options.tcp_user_timeout_ms, 1000);
    assert_int_equal(options.handshake_timeout_ms, 5000);
    assert_int_equal(options.drain_timeout_ms, 10000);
    assert_int_equal(options.log_level, LOG_LEVEL_INFO);
}

static void log_levels_are_those_of_the_log(void **state)
{
    (void)state;
    static const char *const names[] = {"debug", "info", "warn", "error"};
    for (size_t i = 0; i < 4; i++) {
        enum log_level level;
        assert_true(read_flags("--log-level", names[i], NULL));
        assert_true(log_level_parse(names[i], &level));
        assert_int_equal(options.log_level, level);
    }
}

static void listen_takes_known_schemes(void **state)
{
    (void)state;
    assert_true(
        read_flags("--listen", "tcp://[::1]:0", "--listen=unix:///run/holdfast.sock", NULL));
    assert_int_equal(options.listen.count, 2);
    assert_false(read_flags("--listen", "localhost:7420", NULL));
    expect_error("listen: localhost:7420: not an address to listen on; use tcp://HOST:PORT");
    assert_false(read_flags("--listen", "unix://run/x", NULL));
    expect_error("listen: unix://run/x: the path must be absolute");
    assert_false(read_flags("--listen", "http://x", NULL));
    assert_false(read_flags("--listen", "tcp://127.0.0.1", NULL));
    expect_error("listen: tcp://127.0.0.1: the port is missing");
    assert_false(read_flags("--listen", "tcp://127.0.0.1:65536", NULL));
    expect_error("listen: tcp://127.0.0.1:65536: the port must be a number from 0 to 65535");
    char path[130] = "unix:///";
    memset(path + strlen(path), 'x', 110);
    assert_false(read_flags("--listen", path, NULL));
    expect_error("listen: unix:///xxx");
}

static void listen_must_not_be_empty(void **state)
{
    (void)state;
    char path[64];
    make_file(path, "listen: []\n");
    assert_false(read_flags("--config", path, NULL));
    expect_error("listen: ");
    unlink(path);
}

static void tls_needs_certificate_and_key(void **state)
{
    (void)state;
    assert_false(read_flags("--listen", "tls://*:7420", NULL));
    expect_error("listen: a tls:// address needs both tls-cert and tls-key");
    assert_false(read_flags("--listen", "tls://*:7420", "--tls-cert", "/dev/null", NULL));
    expect_error("listen: a tls:// address needs both tls-cert and tls-key");
    assert_false(read_flags("--tls-cert", "/dev/null", NULL));
    expect_error("tls-cert: needs tls-key");
    assert_false(read_flags("--tls-key", "/dev/null", NULL));
    expect_error("tls-key: needs tls-cert");
    assert_false(read_flags("--tls-client-ca", "/dev/null", NULL));
    expect_error("tls-client-ca: protects nothing");
    assert_false(read_flags("--listen", "tls://*:7420", "--tls-cert", "/dev/null", "--tls-key",
                            "/dev/null", NULL));
    expect_error("--tls-cert: /dev/null: ");
    assert_true(app_options_want_tls(&options));
}

static void named_files_must_be_readable(void **state)
{
    (void)state;
    assert_false(read_flags("--listen", "tls://*:7420", "--tls-cert", "/nowhere/cert.pem",
                            "--tls-key", "/dev/null", NULL));
    expect_error("tls-cert: cannot read /nowhere/cert.pem: No such file or directory");
    assert_false(
        read_flags("--redis", "redis://h", "--redis-password-file", "/nowhere/secret", NULL));
    expect_error("redis-password-file: cannot read /nowhere/secret");
}

static void redis_options_fit_together(void **state)
{
    (void)state;
    assert_true(read_flags("--redis", "redis://h:1/2", "--redis-user", "u", NULL));
    assert_false(read_flags("--redis", "http://h", NULL));
    expect_error("redis: ");
    assert_false(read_flags("--redis-user", "u", NULL));
    expect_error("redis-user: needs the option redis");
    assert_false(read_flags("--redis-password-file", "/dev/null", NULL));
    expect_error("redis-password-file: needs the option redis");
    assert_true(read_flags("--redis-program", "sh", NULL));
    assert_true(read_flags("--redis-program", "/bin/sh", NULL));
    assert_false(read_flags("--redis", "redis://h", "--redis-program", "valkey-server", NULL));
    expect_error("redis-program: starts a private Redis");
}

static void a_named_redis_program_must_be_there(void **state)
{
    (void)state;
    static const char *const wrong[] = {"/nowhere/redis-server", "no-such-redis-server", "/tmp",
                                        "/dev/null", "/etc/passwd"};
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        assert_false(read_flags("--redis-program", wrong[i], NULL));
        expect_error("redis-program: cannot find or execute ");
        expect_error(wrong[i]);
    }
}

static void a_wrong_redis_url_does_not_show_its_password(void **state)
{
    (void)state;
    assert_false(read_flags("--redis", "redis://user:hunter2@h:notaport", NULL));
    assert_null(strstr(error, "hunter2"));
}

static void key_prefix_is_bounded(void **state)
{
    (void)state;
    char prefix[66];
    memset(prefix, 'p', sizeof(prefix));
    prefix[64] = '\0';
    assert_true(read_flags("--key-prefix", prefix, NULL));
    prefix[64] = 'p';
    prefix[65] = '\0';
    assert_false(read_flags("--key-prefix", prefix, NULL));
    expect_error("key-prefix: 65 bytes; 1 to 64 are allowed");
    assert_false(read_flags("--key-prefix=", NULL));
    expect_error("key-prefix: 0 bytes");
    assert_false(read_flags("--key-prefix", "holdfast:locks:", NULL));
    expect_error("key-prefix: must not begin with \"holdfast:\"");
}

static void unix_mode_is_octal(void **state)
{
    (void)state;
    assert_true(read_flags("--unix-mode", "600", NULL));
    assert_int_equal(app_options_unix_mode(&options), 0600);
    assert_true(read_flags("--unix-mode", "0777", NULL));
    assert_int_equal(app_options_unix_mode(&options), 0777);
    static const char *const wrong[] = {"", "66", "680", "1777", "00660", "rw-", "-60", "0x1f"};
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        char flag[32];
        snprintf(flag, sizeof(flag), "--unix-mode=%s", wrong[i]);
        assert_false(read_flags(flag, NULL));
        expect_error("is no mode; write it in octal");
    }
}

static void bounds_are_enforced(void **state)
{
    (void)state;
    assert_true(read_flags("--default-ttl", "100ms", NULL));
    assert_true(read_flags("--default-ttl", "24h", NULL));
    assert_false(read_flags("--default-ttl", "99ms", NULL));
    expect_error("default-ttl");
    assert_false(read_flags("--default-ttl", "25h", NULL));
    assert_false(read_flags("--max-leases", "0", NULL));
    expect_error("max-leases");
    assert_false(read_flags("--ack-timeout", "2s", NULL));
    assert_false(read_flags("--max-message-size", "4194305", NULL));
    assert_false(read_flags("--keepalive", "1500ms", NULL));
    expect_error("keepalive: must be whole seconds");
}

static void the_sample_is_the_defaults(void **state)
{
    (void)state;
    char path[64];
    char *sample = written(app_options_write_sample);
    make_file(path, sample);
    struct app_options defaults;
    assert_true(read_flags(NULL));
    memcpy(&defaults, &options, sizeof(defaults));
    memset(&options, 0, sizeof(options));
    assert_true(read_flags("--config", path, NULL));
    for (const struct option *row = app_options_table; row->name != NULL; row++) {
        char line[80];
        snprintf(line, sizeof(line), "%s:", row->name);
        assert_int_equal(app_options_differ(row, &defaults, &options),
                         strcmp(row->name, "config") == 0);
        assert_int_equal(strstr(sample, line) == NULL, strcmp(row->name, "config") == 0);
    }
    app_options_release(&defaults);
    unlink(path);
    free(sample);
}

/* With its comment signs taken off every line that sets an option, the sample says the same. */
static void the_sample_round_trips(void **state)
{
    (void)state;
    char path[64];
    char *sample = written(app_options_write_sample);
    char *active = memory_alloc(strlen(sample) + 1);
    size_t used = 0;
    char *rest = NULL;
    char *line = NULL;
    for (char *from = sample; (line = strtok_r(from, "\n", &rest)) != NULL; from = NULL) {
        for (const struct option *row = app_options_table; row->name != NULL; row++) {
            char head[80];
            int length = snprintf(head, sizeof(head), "#%s: ", row->name);
            if (row->default_text != NULL && strncmp(line, head, (size_t)length) == 0) {
                used += (size_t)snprintf(active + used, strlen(line) + 1, "%s\n", line + 1);
            }
        }
    }
    assert_non_null(strstr(active, "default-ttl: 10s\n"));
    make_file(path, active);
    assert_true(read_flags("--config", path, NULL));
    assert_int_equal(options.default_ttl_ms, 10000);
    assert_int_equal(app_options_unix_mode(&options), 0660);
    unlink(path);
    memory_free(active);
    free(sample);
}

static void help_and_docs_name_every_option(void **state)
{
    (void)state;
    char *help = written(app_options_write_help);
    char *markdown = written(app_options_write_markdown);
    assert_non_null(strstr(help, "--check-config"));
    assert_non_null(strstr(help, "--markdown-options"));
    for (const struct option *row = app_options_table; row->name != NULL; row++) {
        char name[80];
        snprintf(name, sizeof(name), "`%s`", row->name);
        assert_non_null(strstr(help, row->name));
        assert_non_null(strstr(markdown, name));
    }
    free(help);
    free(markdown);
}

static void differences_are_found_in_every_kind(void **state)
{
    (void)state;
    static const char *const changes[] = {
        "--listen=tcp://*:1", "--unix-mode=0600", "--redis=redis://h", "--require-noeviction",
        "--default-ttl=1s",   "--max-leases=5",   "--log-level=error", "--key-prefix=other:",
        "--max-waiters=7",    "--handoff-run=1s", "--fairness=strict", "--no-deadlock-check",
    };
    struct app_options defaults;
    assert_true(read_flags(NULL));
    memcpy(&defaults, &options, sizeof(defaults));
    memset(&options, 0, sizeof(options));
    for (size_t i = 0; i < sizeof(changes) / sizeof(changes[0]); i++) {
        assert_true(read_flags(changes[i], NULL));
        size_t found = 0;
        for (const struct option *row = app_options_table; row->name != NULL; row++) {
            if (app_options_differ(row, &defaults, &options)) {
                assert_non_null(strstr(changes[i], row->name));
                found++;
            }
        }
        assert_int_equal(found, 1);
    }
    app_options_release(&defaults);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_row_is_complete),
        cmocka_unit_test(defaults_are_as_documented),
        cmocka_unit_test(log_levels_are_those_of_the_log),
        cmocka_unit_test(listen_takes_known_schemes),
        cmocka_unit_test(listen_must_not_be_empty),
        cmocka_unit_test(tls_needs_certificate_and_key),
        cmocka_unit_test(named_files_must_be_readable),
        cmocka_unit_test(redis_options_fit_together),
        cmocka_unit_test(a_named_redis_program_must_be_there),
        cmocka_unit_test(a_wrong_redis_url_does_not_show_its_password),
        cmocka_unit_test(key_prefix_is_bounded),
        cmocka_unit_test(unix_mode_is_octal),
        cmocka_unit_test(bounds_are_enforced),
        cmocka_unit_test(the_sample_is_the_defaults),
        cmocka_unit_test(the_sample_round_trips),
        cmocka_unit_test(help_and_docs_name_every_option),
        cmocka_unit_test(differences_are_found_in_every_kind),
    };
    return cmocka_run_group_tests(tests, NULL, teardown);
}
