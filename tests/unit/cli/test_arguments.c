/* SPDX-License-Identifier: Apache-2.0 */
#include "arguments.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct arguments parsed;
static char error[ARGUMENTS_ERROR_SIZE];

/* Counts up to the NULL that PARSE adds. */
static bool parse(const char *const *argv)
{
    int argc = 0;
    while (argv[argc] != NULL) {
        argc++;
    }
    return arguments_parse(&parsed, argc, (char *const *)(uintptr_t)argv, error);
}

#define PARSE(...) parse((const char *const[]){"holdfast", __VA_ARGS__, NULL})

static int clear_environment(void **state)
{
    static const char *const names[] = {"HOLDFAST_SERVER",    "HOLDFAST_TOKEN",
                                        "HOLDFAST_TIMEOUT",   "HOLDFAST_CA_FILE",
                                        "HOLDFAST_CERT_FILE", "HOLDFAST_KEY_FILE"};
    (void)state;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        unsetenv(names[i]);
    }
    return 0;
}

static void assert_refused(bool is_accepted, const char *expected)
{
    assert_false(is_accepted);
    assert_non_null(strstr(error, expected));
}

static void test_run_keeps_the_program_apart(void **state)
{
    (void)state;
    assert_true(PARSE("run", "k", "--ttl", "3s", "--", "sh", "-c", "--json", "--"));
    assert_int_equal(parsed.command, COMMAND_RUN);
    assert_string_equal(parsed.key, "k");
    assert_int_equal(parsed.ttl_ms, 3000);
    assert_string_equal(parsed.program[0], "sh");
    assert_string_equal(parsed.program[2], "--json");
    assert_string_equal(parsed.program[3], "--");
    assert_null(parsed.program[4]);
    assert_false(parsed.is_json);
    assert_int_equal(parsed.kill_after_ms, -1);
    assert_refused(PARSE("run", "k"), "run needs a command");
    assert_refused(PARSE("run", "k", "--"), "run needs a command");
    assert_refused(PARSE("run", "--", "true"), "run needs a key");
    assert_refused(PARSE("run", "k", "true"), "run k -- true");
}

static void test_options_stand_anywhere_before_the_dashes(void **state)
{
    (void)state;
    assert_true(PARSE("--json", "--server=unix:///s", "inspect", "--quiet", "k", "--timeout=1s"));
    assert_int_equal(parsed.command, COMMAND_INSPECT);
    assert_true(parsed.is_json && parsed.is_quiet && parsed.is_server_flag);
    assert_string_equal(parsed.server, "unix:///s");
    assert_int_equal(parsed.timeout_ms, 1000);
    assert_true(PARSE("inspect", "--json", "--", "--quiet"));
    assert_string_equal(parsed.key, "--quiet");
    assert_false(parsed.is_quiet);
    assert_true(PARSE("try", "k", "--label", "--odd"));
    assert_string_equal(parsed.label, "--odd");
    assert_true(PARSE("try", "k", "--label="));
    assert_string_equal(parsed.label, "");
}

static void test_what_is_unknown_gets_a_suggestion(void **state)
{
    (void)state;
    assert_refused(PARSE("try", "k", "--detatched"), "did you mean --detached?");
    assert_refused(PARSE("try", "k", "--tll", "3s"), "did you mean --ttl?");
    assert_refused(PARSE("try", "k", "--jsn=1"), "did you mean --json?");
    assert_refused(PARSE("try", "k", "--frobnicate"), "lists the options");
    assert_refused(PARSE("try", "k", "-x"), "Unknown option -x");
    assert_refused(PARSE("inspct", "k"), "did you mean \"inspect\"?");
    assert_refused(PARSE("frobnicate", "k"), "lists the commands");
    assert_refused(PARSE("help", "rnu"), "did you mean \"run\"?");
    char longest[4096];
    memset(longest, 'x', sizeof(longest) - 1);
    longest[0] = longest[1] = '-';
    longest[sizeof(longest) - 1] = '\0';
    assert_refused(PARSE("try", "k", longest), "Unknown option --xx");
    assert_refused(PARSE(longest + 2, "k"), "Unknown command");
}

static void test_options_belong_to_commands(void **state)
{
    (void)state;
    assert_refused(PARSE("inspect", "k", "--ttl", "3s"), "--ttl does not go with inspect");
    assert_refused(PARSE("run", "k", "--json", "--", "true"), "--json does not go with run");
    assert_refused(PARSE("hold", "k", "--kill-after", "1s"), "--kill-after does not go with hold");
    assert_refused(PARSE("try", "k", "--ttl"), "--ttl needs a value");
    assert_refused(PARSE("try", "k", "--json=yes"), "--json takes no value");
}

static void test_operands(void **state)
{
    (void)state;
    assert_refused(parse((const char *const[]){"holdfast", NULL}), "A command is missing");
    assert_refused(parse((const char *const[]){NULL}), "A command is missing");
    assert_refused(PARSE("inspect"), "inspect needs a key");
    assert_refused(PARSE("inspect", ""), "inspect needs a key");
    assert_refused(PARSE("inspect", "a", "b"), "Unexpected argument \"b\"");
    assert_true(PARSE("help"));
    assert_int_equal(parsed.topic, COMMAND_NONE);
    assert_true(PARSE("help", "try"));
    assert_int_equal(parsed.topic, COMMAND_TRY);
    assert_refused(PARSE("help", "try", "more"), "Unexpected argument \"more\"");
    assert_true(PARSE("run", "--help"));
    assert_true(parsed.wants_help);
    assert_int_equal(parsed.command, COMMAND_RUN);
    assert_true(PARSE("-h"));
    assert_true(parsed.wants_help);
    assert_true(PARSE("--version"));
    assert_true(parsed.wants_version);
}

static void test_bounds(void **state)
{
    (void)state;
    assert_refused(PARSE("try", "k", "--ttl", "99ms"), "100ms to 24h");
    assert_true(PARSE("try", "k", "--ttl", "100ms"));
    assert_true(PARSE("try", "k", "--ttl", "24h"));
    assert_refused(PARSE("try", "k", "--ttl", "86400001ms"), "100ms to 24h");
    assert_refused(PARSE("try", "k", "--ttl", "10"), "is not a duration");
    assert_refused(PARSE("hold", "k", "--heartbeat", "0"), "100ms to 24h");
    assert_true(PARSE("run", "k", "--kill-after", "0", "--", "true"));
    assert_int_equal(parsed.kill_after_ms, 0);
    assert_refused(PARSE("try", "k", "--timeout", "0"), "1ms to 24h");
}

#define HEX "00112233445566778899aAbBcCdDeEfF"

static void test_tokens(void **state)
{
    static const unsigned char expected[HOLDFAST_TOKEN_SIZE] = {0x00, 0x11, 0x22, 0x33, 0x44, 0x55,
                                                                0x66, 0x77, 0x88, 0x99, 0xaa, 0xbb,
                                                                0xcc, 0xdd, 0xee, 0xff};
    (void)state;
    const char *too_long = HEX "0";
    assert_true(PARSE("release", "k", "--token", HEX));
    assert_true(parsed.has_token);
    assert_memory_equal(parsed.token, expected, sizeof(expected));
    assert_refused(PARSE("release", "k"), "HOLDFAST_TOKEN");
    assert_refused(PARSE("renew", "k"), "HOLDFAST_TOKEN");
    assert_refused(PARSE("release", "k", "--token", "0011"), "32 hex digits");
    assert_refused(PARSE("release", "k", "--token", too_long), "32 hex digits");
    assert_refused(PARSE("release", "k", "--token", too_long + 2), "32 hex digits");
    const char *mistyped = "0011223344556677889gaAbBcCdDeEfF";
    assert_refused(PARSE("release", "k", "--token", mistyped), "32 hex digits");
    assert_null(strstr(error, "0011")); /* a mistyped secret is still a secret */
    assert_refused(PARSE("try", "k", "--token", HEX), "--detached");
    assert_true(PARSE("try", "k", "--detached", "--token", HEX));
    assert_true(parsed.has_token);
    assert_true(PARSE("try", "k", "--detached"));
    assert_false(parsed.has_token);
}

static void test_the_environment_fills_in(void **state)
{
    (void)state;
    setenv("HOLDFAST_SERVER", "tcp://a:1", 1);
    setenv("HOLDFAST_TOKEN", HEX, 1);
    setenv("HOLDFAST_TIMEOUT", "250ms", 1);
    assert_true(PARSE("release", "k"));
    assert_string_equal(parsed.server, "tcp://a:1");
    assert_true(parsed.has_token);
    assert_false(parsed.is_server_flag);
    assert_int_equal(parsed.timeout_ms, 250);
    assert_true(PARSE("try", "k"));
    assert_false(parsed.has_token);
    assert_true(PARSE("inspect", "k", "--server", "tcp://b:2", "--timeout", "3s"));
    assert_string_equal(parsed.server, "tcp://b:2");
    assert_int_equal(parsed.timeout_ms, 3000);
    setenv("HOLDFAST_TIMEOUT", "soon", 1);
    assert_refused(PARSE("inspect", "k"), "HOLDFAST_TIMEOUT");
    setenv("HOLDFAST_TIMEOUT", "", 1);
    assert_true(PARSE("inspect", "k"));
    assert_int_equal(parsed.timeout_ms, 0);
    assert_true(PARSE("help"));
}

static void test_durations(void **state)
{
    static const struct {
        const char *text;
        int64_t ms;
    } good[] = {{"250ms", 250}, {"3s", 3000},
                {"5m", 300000}, {"2h", 7200000},
                {"0", 0},       {"0s", 0},
                {"007s", 7000}, {"1000000000000h", INT64_C(3600000000000000000)}};
    static const char *const bad[] = {"",
                                      "s",
                                      "3",
                                      "-3s",
                                      "+3s",
                                      " 3s",
                                      "3 s",
                                      "3s ",
                                      "3sec",
                                      "3S",
                                      "1d",
                                      "1.5s",
                                      "0x1s",
                                      "99999999999999999999s",
                                      "9223372036854775807ms"};
    (void)state;
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        int64_t ms = -1;
        assert_true(arguments_parse_duration(good[i].text, &ms));
        assert_int_equal(ms, good[i].ms);
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        int64_t ms = -1;
        assert_false(arguments_parse_duration(bad[i], &ms));
        assert_int_equal(ms, -1);
    }
}

static void test_waiting(void **state)
{
    (void)state;
    assert_true(PARSE("run", "k", "--wait", "--", "true"));
    assert_int_equal(parsed.wait_ms, 86400000);
    assert_true(PARSE("run", "--wait=30s", "k", "--", "true"));
    assert_int_equal(parsed.wait_ms, 30000);
    assert_true(PARSE("try", "k"));
    assert_int_equal(parsed.wait_ms, 0);
    assert_refused(PARSE("run", "k", "--wait", "5s", "--", "true"), "--wait=5s");
    assert_refused(PARSE("hold", "--wait", "5s", "k"), "--wait=5s");
    assert_refused(PARSE("hold", "k", "--wait=soon"), "not a duration");
    assert_refused(PARSE("hold", "k", "--wait=25h"), "out of bounds");
    assert_refused(PARSE("inspect", "k", "--wait"), "--wait does not go with inspect");
    assert_true(PARSE("hold", "--wait", "k"));
    assert_string_equal(parsed.key, "k");
}

static void test_sharing(void **state)
{
    (void)state;
    assert_true(PARSE("hold", "k", "--shared", "--limit", "3", "--value", "v"));
    assert_true(parsed.is_shared);
    assert_int_equal(parsed.limit, 3);
    assert_string_equal(parsed.value, "v");
    assert_refused(PARSE("hold", "k", "--limit=3"), "--limit goes with --shared");
    assert_refused(PARSE("hold", "k", "--shared", "--limit=0"), "not a number from 1 to 1000000");
    assert_refused(PARSE("hold", "k", "--shared", "--limit=1000001"), "not a number");
    assert_refused(PARSE("hold", "k", "--shared", "--limit=3x"), "not a number");
    assert_refused(PARSE("hold", "k", "--shared", "--limit="), "not a number");
}

static void test_several_keys(void **state)
{
    (void)state;
    assert_true(PARSE("hold", "--key", "a", "--key=b"));
    assert_int_equal(parsed.key_count, 2);
    assert_string_equal(parsed.key, "a");
    assert_string_equal(parsed.keys[1], "b");
    assert_true(PARSE("hold", "--key", "b", "a"));
    assert_int_equal(parsed.key_count, 2);
    assert_string_equal(parsed.key, "a");
    assert_string_equal(parsed.keys[0], "a");
    assert_string_equal(parsed.keys[1], "b");
    assert_true(PARSE("run", "--key", "a", "--", "true"));
    assert_int_equal(parsed.key_count, 0);
    assert_string_equal(parsed.key, "a");
    const char *many[2 * HOLDFAST_KEYS_MAX + 5] = {"holdfast", "hold"};
    for (size_t i = 0; i <= HOLDFAST_KEYS_MAX; i++) {
        many[2 + 2 * i] = "--key";
        many[3 + 2 * i] = "k";
    }
    assert_refused(parse(many), "at most 16 locks");
}

static void test_the_lease_s_bounds(void **state)
{
    (void)state;
    assert_true(
        PARSE("run", "k", "--grace", "10s", "--lock-delay=1s", "--max-hold", "1h", "--", "true"));
    assert_int_equal(parsed.grace_ms, 10000);
    assert_int_equal(parsed.lock_delay_ms, 1000);
    assert_int_equal(parsed.max_hold_ms, 3600000);
    assert_refused(PARSE("try", "k", "--grace", "1s"), "--grace does not go with try");
}

static void test_commands_that_look(void **state)
{
    (void)state;
    assert_true(PARSE("ls"));
    assert_null(parsed.key);
    assert_true(PARSE("ls", "batch/", "--fleet", "--json"));
    assert_string_equal(parsed.key, "batch/");
    assert_true(parsed.is_fleet && parsed.is_json);
    assert_true(PARSE("top", "--once"));
    assert_true(parsed.is_once);
    assert_refused(PARSE("top", "k"), "Unexpected argument \"k\"");
    assert_refused(PARSE("watch"), "watch needs a key");
    assert_true(PARSE("watch", "k", "--json"));
}

static void test_elect(void **state)
{
    (void)state;
    assert_true(PARSE("elect", "n", "--value", "v", "--", "sh", "-c", "x"));
    assert_int_equal(parsed.command, COMMAND_ELECT);
    assert_string_equal(parsed.program[2], "x");
    assert_refused(PARSE("elect", "n", "--", "true"), "--value TEXT");
    assert_refused(PARSE("elect", "n", "--value", "v"), "elect needs a command");
    assert_refused(PARSE("elect", "n", "--value", "v", "true"), "holdfast elect n -- true");
    assert_refused(PARSE("elect", "n", "--value", "v", "--wait", "--", "true"), "does not go");
}

static void test_bench(void **state)
{
    (void)state;
    assert_true(PARSE("bench"));
    assert_null(parsed.mix);
    assert_true(parsed.connections == 0 && parsed.count == 0 && parsed.rate == 0);
    assert_true(PARSE("bench", "--mix=hold", "--connections", "20000", "--depth", "50",
                      "--duration", "1m", "--count", "7", "--rate", "1000", "--ttl", "3s",
                      "--json"));
    assert_string_equal(parsed.mix, "hold");
    assert_int_equal(parsed.connections, 20000);
    assert_int_equal(parsed.depth, 50);
    assert_int_equal(parsed.duration_ms, 60000);
    assert_int_equal(parsed.count, 7);
    assert_int_equal(parsed.rate, 1000);
    assert_refused(PARSE("bench", "k"), "Unexpected argument \"k\"");
    assert_refused(PARSE("bench", "--mix", "pair"), "not one of pairs, hot and hold");
    assert_refused(PARSE("bench", "--mix", "hot", "--depth", "2"), "each connection waits once");
    assert_true(PARSE("bench", "--mix", "hot", "--depth", "1"));
    assert_refused(PARSE("bench", "--connections", "20001"), "1 to 20000");
    assert_refused(PARSE("bench", "--label", "l"), "--label does not go with bench");
    assert_refused(PARSE("hold", "k", "--rate", "1"), "--rate does not go with hold");
}

static void test_resume_needs_the_token(void **state)
{
    (void)state;
    assert_refused(PARSE("resume", "k"), "resume needs the lease's token");
    assert_true(PARSE("resume", "k", "--token", "000102030405060708090a0b0c0d0e0f"));
    assert_int_equal(parsed.token[15], 15);
}

static void test_call(void **state)
{
    (void)state;
    assert_true(PARSE("call", "Locks/Hold", "-"));
    assert_int_equal(parsed.command, COMMAND_CALL);
    assert_string_equal(parsed.key, "Locks/Hold");
    assert_string_equal(parsed.data, "-");
    assert_true(PARSE("call", "-d", "-", "Locks/Hold", "-H", "a: 1", "--header", "b:2",
                      "--deadline", "5s"));
    assert_string_equal(parsed.data, "-");
    assert_int_equal(parsed.header_count, 2);
    assert_string_equal(parsed.headers[0], "a: 1");
    assert_string_equal(parsed.headers[1], "b:2");
    assert_int_equal(parsed.deadline_ms, 5000);
    assert_true(PARSE("call", "Locks/Hold"));
    assert_null(parsed.data);
    assert_refused(PARSE("call", "-d", "{}", "Locks/Hold", "{}"), "Unexpected argument \"{}\"");
    assert_refused(PARSE("call"), "SERVICE/METHOD");
    assert_refused(PARSE("call", "m", "-dx"), "Unknown option -dx");
    assert_refused(PARSE("call", "m", "-x"), "Unknown option -x");
    assert_refused(PARSE("call", "m", "-H"), "--header needs a value");
    assert_refused(PARSE("call", "m", "-H", "a"), "is not \"NAME: VALUE\"");
    assert_refused(PARSE("hold", "k", "-H", "a:b"), "--header does not go with hold");
}

static void test_headers_have_a_limit(void **state)
{
    const char *argv[2 * HOLDFAST_HEADERS_MAX + 6] = {"holdfast", "call", "m"};
    size_t count = 3;
    (void)state;
    for (size_t i = 0; i < HOLDFAST_HEADERS_MAX; i++) {
        argv[count++] = "-H";
        argv[count++] = "a:b";
    }
    assert_true(parse(argv));
    argv[count++] = "-H";
    argv[count++] = "a:b";
    assert_refused(parse(argv), "at most 64");
}

static void test_what_needs_no_key(void **state)
{
    (void)state;
    assert_true(PARSE("list"));
    assert_null(parsed.key);
    assert_true(PARSE("describe", "Locks"));
    assert_string_equal(parsed.key, "Locks");
    assert_refused(PARSE("completion"), "bash or zsh");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_run_keeps_the_program_apart, clear_environment),
        cmocka_unit_test_setup(test_options_stand_anywhere_before_the_dashes, clear_environment),
        cmocka_unit_test_setup(test_what_is_unknown_gets_a_suggestion, clear_environment),
        cmocka_unit_test_setup(test_options_belong_to_commands, clear_environment),
        cmocka_unit_test_setup(test_operands, clear_environment),
        cmocka_unit_test_setup(test_bounds, clear_environment),
        cmocka_unit_test_setup(test_tokens, clear_environment),
        cmocka_unit_test_setup(test_the_environment_fills_in, clear_environment),
        cmocka_unit_test(test_durations),
        cmocka_unit_test_setup(test_waiting, clear_environment),
        cmocka_unit_test_setup(test_sharing, clear_environment),
        cmocka_unit_test_setup(test_several_keys, clear_environment),
        cmocka_unit_test_setup(test_the_lease_s_bounds, clear_environment),
        cmocka_unit_test_setup(test_commands_that_look, clear_environment),
        cmocka_unit_test_setup(test_elect, clear_environment),
        cmocka_unit_test_setup(test_bench, clear_environment),
        cmocka_unit_test_setup(test_resume_needs_the_token, clear_environment),
        cmocka_unit_test_setup(test_call, clear_environment),
        cmocka_unit_test_setup(test_headers_have_a_limit, clear_environment),
        cmocka_unit_test_setup(test_what_needs_no_key, clear_environment),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
