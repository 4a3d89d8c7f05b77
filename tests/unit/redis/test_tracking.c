/* SPDX-License-Identifier: Apache-2.0 */
#include "redis/tracking.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <hiredis/hiredis.h>

#include "base/compiler.h"

static redisReply *parse(const char *bytes)
{
    redisReader *reader = redisReaderCreate();
    void *reply = NULL;
    assert_int_equal(redisReaderFeed(reader, bytes, strlen(bytes)), REDIS_OK);
    assert_int_equal(redisReaderGetReply(reader, &reply), REDIS_OK);
    assert_non_null(reply);
    redisReaderFree(reader);
    return reply;
}

static void take(struct tracking *tracking, const char *bytes)
{
    redisReply *reply = parse(bytes);
    tracking_take(tracking, reply);
    freeReplyObject(reply);
}

static void expect_command(const struct tracking *tracking, const char *const *words, size_t count)
{
    struct tracking_command command;
    tracking_command(tracking, &command);
    assert_int_equal(command.count, count);
    for (size_t i = 0; i < count; i++) {
        assert_string_equal(command.arguments[i], words[i]);
        assert_int_equal(command.lengths[i], strlen(words[i]));
    }
}

static void test_on(void **state)
{
    (void)state;
    static const char *const id[] = {"CLIENT", "ID"};
    static const char *const redirect[] = {"CLIENT", "TRACKING", "ON", "REDIRECT", "17"};
    struct tracking tracking;
    tracking_init(&tracking);
    assert_false(tracking_is_settled(&tracking));
    expect_command(&tracking, id, COUNT_OF(id));
    take(&tracking, ":17\r\n");
    assert_false(tracking_is_settled(&tracking));
    expect_command(&tracking, redirect, COUNT_OF(redirect));
    take(&tracking, "+OK\r\n");
    assert_true(tracking_is_settled(&tracking));
    assert_int_equal(tracking.state, TRACKING_ON);
    tracking_init(&tracking);
    assert_false(tracking_is_settled(&tracking));
    expect_command(&tracking, id, COUNT_OF(id));
}

static void expect_problem(const char *id_reply, const char *tracking_reply, const char *problem)
{
    struct tracking tracking;
    tracking_init(&tracking);
    take(&tracking, id_reply);
    if (tracking_reply != NULL) {
        take(&tracking, tracking_reply);
    }
    assert_true(tracking_is_settled(&tracking));
    assert_int_equal(tracking.state, TRACKING_REFUSED);
    assert_string_equal(tracking.problem, problem);
}

static void test_refused(void **state)
{
    (void)state;
    expect_problem("-NOPERM no right to run 'client|id'\r\n", NULL,
                   "Redis refuses CLIENT ID: NOPERM no right to run 'client|id'");
    expect_problem("+OK\r\n", NULL, "the reply to CLIENT ID makes no sense");
    expect_problem(":0\r\n", NULL, "the reply to CLIENT ID makes no sense");
    expect_problem(":7\r\n", "-ERR unknown subcommand\r\n",
                   "Redis refuses CLIENT TRACKING: ERR unknown subcommand");
    expect_problem(":7\r\n", ":7\r\n", "the reply to CLIENT TRACKING makes no sense");
}

static void test_a_refusal_without_end(void **state)
{
    (void)state;
    char reply[1000] = "-";
    struct tracking tracking;
    memset(reply + 1, 'x', sizeof(reply) - 4);
    memcpy(reply + sizeof(reply) - 3, "\r\n", 3);
    tracking_init(&tracking);
    take(&tracking, reply);
    assert_int_equal(tracking.state, TRACKING_REFUSED);
    assert_int_equal(strlen(tracking.problem), TRACKING_PROBLEM_SIZE - 1);
}

static bool is_flush(const char *channel, const char *payload)
{
    redisReply *name = parse(channel);
    redisReply *text = parse(payload);
    bool is_flush = tracking_is_flush(name, text);
    freeReplyObject(name);
    freeReplyObject(text);
    return is_flush;
}

static void test_what_a_flush_is(void **state)
{
    (void)state;
    static const char channel[] = "$20\r\n__redis__:invalidate\r\n";
    assert_true(is_flush(channel, "$-1\r\n"));
    assert_true(is_flush(channel, "*-1\r\n"));
    assert_false(is_flush(channel, "*1\r\n$1\r\nk\r\n"));
    assert_false(is_flush(channel, "$0\r\n\r\n"));
    assert_false(is_flush("$19\r\n__redis__:invalidat\r\n", "$-1\r\n"));
    assert_false(is_flush("+__redis__:invalidate\r\n", "$-1\r\n"));
    assert_false(is_flush("$-1\r\n", "$-1\r\n"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_on),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_a_refusal_without_end),
        cmocka_unit_test(test_what_a_flush_is),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
