/* SPDX-License-Identifier: Apache-2.0 */
/* The small pure parts: errors, INFO, the clock estimate, the log's repeat guard, the script. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/compiler.h"
#include "redis/error.h"
#include "redis/redis_clock.h"
#include "redis/repeat.h"
#include "redis/script.h"
#include "redis/server_info.h"

static void test_first_word_of_errors(void **state)
{
    (void)state;
    static const struct {
        const char *text, *word;
    } rows[] = {
        {"NOSCRIPT No matching script. Please use EVAL.", "NOSCRIPT"},
        {"NOSCRIPT", "NOSCRIPT"},
        {"READONLY You can't write against a read only replica.", "READONLY"},
        {"ERR unknown command", "ERR"},
        {"ERR Error running script (call to f_ab): @user_script:4: -READONLY You can't",
         "READONLY"},
        {"ERR Error running script (call to f_ab): @user_script: 12: -OOM command not", "OOM"},
        {"ERR Error running script (call to f_ab): @user_script:74: WRONGTYPE Operation",
         "WRONGTYPE"},
        {"ERR Error running script (call to f_ab): @user_script:74: attempt to index", "ERR"},
        {"ERR invalid expire time script: ab, on @user_script:74.", "ERR"},
        {"OOM command not allowed when used memory > 'maxmemory'. script: ab, on x", "OOM"},
        {"ERR ACL failure in script: User u has no permissions to run the 'set' command", "NOPERM"},
        {"ERR The user executing the script can't run this command or subcommand script: ab",
         "NOPERM"},
        {"ERR Error running script (call to f_ab): @user_script:61: The user executing the script "
         "can't run this command or subcommand",
         "NOPERM"},
        {"", "ERR"},
        {"what is this", "ERR"},
        {"A_WORD_THAT_GOES_ON_AND_ON_AND_ON_WITHOUT_END", "A_WORD_THAT_GOES_ON_AND_ON_AND_"},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        char word[REDIS_ERROR_WORD_SIZE];
        redis_error_word(rows[i].text, word);
        assert_string_equal(word, rows[i].word);
    }
}

static void test_kinds_of_errors(void **state)
{
    (void)state;
    assert_int_equal(redis_error_kind("NOSCRIPT"), REDIS_ERROR_NO_SCRIPT);
    assert_int_equal(redis_error_kind("READONLY"), REDIS_ERROR_CONNECTION);
    assert_int_equal(redis_error_kind("LOADING"), REDIS_ERROR_CONNECTION);
    assert_int_equal(redis_error_kind("MASTERDOWN"), REDIS_ERROR_CONNECTION);
    assert_int_equal(redis_error_kind("NOAUTH"), REDIS_ERROR_CONNECTION);
    assert_int_equal(redis_error_kind("OOM"), REDIS_ERROR_COMMAND);
    assert_int_equal(redis_error_kind("SOMETHING"), REDIS_ERROR_COMMAND);
    assert_non_null(strstr(redis_error_explain("OOM"), "memory"));
    assert_string_equal(redis_error_explain("SOMETHING"), "SOMETHING");
}

static const char *refusal_of(const char *text, bool requires_noeviction)
{
    struct server_info info;
    server_info_init(&info);
    server_info_read(&info, text, strlen(text));
    return server_info_refusal(&info, requires_noeviction);
}

#define GOOD                                                                                       \
    "# Server\r\nredis_version:7.0.15\r\nredis_mode:standalone\r\nrun_id:0123456789abcdef\r\n"     \
    "\r\n# Replication\r\nrole:master\r\n# Memory\r\nmaxmemory_policy:noeviction\r\nloading:0\r\n"

static void test_servers_that_will_do(void **state)
{
    (void)state;
    assert_null(refusal_of(GOOD, true));
    assert_null(refusal_of("redis_version:6.2.0\nrun_id:a\nrole:master", false));
    assert_null(refusal_of("redis_version:10.0\r\nrun_id:a\r\nrole:master\r\n", true));
    assert_null(refusal_of(GOOD "maxmemory_policy:allkeys-lru\r\n", false));
    struct server_info info;
    server_info_init(&info);
    server_info_read(&info, GOOD, strlen(GOOD));
    assert_string_equal(info.run_id, "0123456789abcdef");
    assert_false(server_info_may_evict(&info));
}

static void test_servers_that_will_not_do(void **state)
{
    (void)state;
    static const struct {
        const char *text, *hint;
    } rows[] = {
        {"", "INFO"},
        {"redis_version:7.0\r\nrole:master\r\n", "INFO"},
        {"run_id:a\r\nrole:master\r\n", "INFO"},
        {"redis_version:6.1.9\r\nrun_id:a\r\nrole:master\r\n", "too old"},
        {"redis_version:5.0.14\r\nrun_id:a\r\nrole:master\r\n", "too old"},
        {"redis_version:seven\r\nrun_id:a\r\nrole:master\r\n", "too old"},
        {GOOD "role:slave\r\n", "replica"},
        {GOOD "redis_mode:cluster\r\n", "cluster"},
        {GOOD "redis_mode:sentinel\r\n", "Sentinel"},
        {GOOD "loading:1\r\n", "loading"},
        {GOOD "maxmemory_policy:volatile-lru\r\n", "noeviction"},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        const char *refusal = refusal_of(rows[i].text, true);
        assert_non_null(refusal);
        assert_non_null(strstr(refusal, rows[i].hint));
    }
}

static void test_fields_that_do_not_fit_are_left_out(void **state)
{
    (void)state;
    char text[200] = "run_id:";
    memset(text + 7, 'a', 70);
    struct server_info info;
    server_info_init(&info);
    server_info_read(&info, text, 77);
    assert_string_equal(info.run_id, "");
    server_info_read(&info, text, 7 + 64);
    assert_int_equal(strlen(info.run_id), 64);
    server_info_read(&info, "rolex:master\nrole", 17);
    assert_string_equal(info.role, "");
}

static void test_clock_errs_on_the_late_side(void **state)
{
    (void)state;
    struct redis_clock clock;
    redis_clock_init(&clock);
    redis_clock_observe(&clock, 1000500, 1000, 2000);
    assert_int_equal(redis_clock_estimate_us(&clock, 2000), 1001490);
    /* A quicker reply tells more. */
    redis_clock_observe(&clock, 1002400, 3000, 3020);
    assert_int_equal(redis_clock_estimate_us(&clock, 3000), 1002400);
    /* A slower one tells nothing. */
    redis_clock_observe(&clock, 1004000, 4000, 9000);
    assert_int_equal(redis_clock_estimate_us(&clock, 9000), 1008350);
}

/* However the clocks run, within a hundredth, it errs no later than it did. */
static void test_clock_after_a_silence(void **state)
{
    (void)state;
    struct redis_clock clock;
    redis_clock_init(&clock);
    redis_clock_observe(&clock, 5000000, 1000, 1100);
    for (int64_t silence_us = 0; silence_us < 1000000000; silence_us += 12345678) {
        int64_t slow_us = 5000000 + silence_us - silence_us / 100;
        int64_t latest_us = redis_clock_estimate_us(&clock, 1000 + silence_us);
        assert_in_range(latest_us, slow_us - 1, slow_us + 1);
    }
    redis_clock_observe(&clock, 905000000, 900001000, 900001100);
    assert_int_equal(redis_clock_estimate_us(&clock, 900001000), 905000000);
}

static void test_clock_follows_steps(void **state)
{
    (void)state;
    struct redis_clock clock;
    redis_clock_init(&clock);
    redis_clock_observe(&clock, 100000, 1000, 1100);
    redis_clock_observe(&clock, 900000, 2000, 2100);
    assert_int_equal(redis_clock_estimate_us(&clock, 2000), 900000);
    redis_clock_observe(&clock, 50000, 3000, 3100);
    assert_int_equal(redis_clock_estimate_us(&clock, 3000), 50000);
}

static void test_repeat(void **state)
{
    (void)state;
    struct repeat repeat;
    repeat_init(&repeat);
    assert_true(repeat_is_news(&repeat, "a", 5));
    assert_false(repeat_is_news(&repeat, "a", 6));
    assert_true(repeat_is_news(&repeat, "b", 7));
    assert_false(repeat_is_news(&repeat, "b", 7 + REPEAT_INTERVAL_US - 1));
    assert_true(repeat_is_news(&repeat, "b", 7 + REPEAT_INTERVAL_US));
}

static void test_script(void **state)
{
    (void)state;
    struct script script;
    script_init(&script);
    assert_int_equal(strlen(script.text), script.length);
    assert_int_equal(strlen(script.sha), SCRIPT_SHA_LENGTH);
    assert_int_equal(strspn(script.sha, "0123456789abcdef"), SCRIPT_SHA_LENGTH);
    assert_non_null(strstr(script.text, "local function acquire"));
    assert_non_null(strstr(script.text, "return reply"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_first_word_of_errors),
        cmocka_unit_test(test_kinds_of_errors),
        cmocka_unit_test(test_servers_that_will_do),
        cmocka_unit_test(test_servers_that_will_not_do),
        cmocka_unit_test(test_fields_that_do_not_fit_are_left_out),
        cmocka_unit_test(test_clock_errs_on_the_late_side),
        cmocka_unit_test(test_clock_after_a_silence),
        cmocka_unit_test(test_clock_follows_steps),
        cmocka_unit_test(test_repeat),
        cmocka_unit_test(test_script),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
