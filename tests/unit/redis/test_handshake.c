/* SPDX-License-Identifier: Apache-2.0 */
#include "redis/handshake.h"

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

static bool take(struct handshake *handshake, enum handshake_step step, const char *bytes)
{
    redisReply *reply = parse(bytes);
    bool is_taken = handshake_take(handshake, step, reply);
    freeReplyObject(reply);
    return is_taken;
}

static void test_steps(void **state)
{
    (void)state;
    struct handshake handshake;
    handshake_init(&handshake, true, 3, false);
    for (int step = HANDSHAKE_AUTH; step <= HANDSHAKE_STEPS; step++) {
        assert_int_equal(handshake_next(&handshake, (enum handshake_step)step), step);
    }
    handshake_init(&handshake, false, 3, false);
    assert_int_equal(handshake_next(&handshake, HANDSHAKE_AUTH), HANDSHAKE_SELECT);
    handshake_init(&handshake, false, 0, false);
    assert_int_equal(handshake_next(&handshake, HANDSHAKE_AUTH), HANDSHAKE_SERVER);
    handshake_init(&handshake, true, 0, false);
    assert_int_equal(handshake_next(&handshake, HANDSHAKE_AUTH), HANDSHAKE_AUTH);
    assert_int_equal(handshake_next(&handshake, HANDSHAKE_SELECT), HANDSHAKE_SERVER);
}

static void test_commands(void **state)
{
    (void)state;
    struct handshake handshake;
    struct handshake_command command;
    struct credentials both = {.user = "u", .password = "p", .has_password = true};
    struct credentials alone = {.password = "p", .has_password = true};
    handshake_init(&handshake, true, 12, false);
    handshake_command(&handshake, HANDSHAKE_AUTH, &both, &command);
    assert_int_equal(command.count, 3);
    assert_string_equal(command.arguments[1], "u");
    assert_string_equal(command.arguments[2], "p");
    handshake_command(&handshake, HANDSHAKE_AUTH, &alone, &command);
    assert_int_equal(command.count, 2);
    assert_string_equal(command.arguments[1], "p");
    handshake_command(&handshake, HANDSHAKE_SELECT, &both, &command);
    assert_string_equal(command.arguments[0], "SELECT");
    assert_string_equal(command.arguments[1], "12");
    handshake_command(&handshake, HANDSHAKE_MEMORY, &both, &command);
    assert_string_equal(command.arguments[0], "INFO");
    assert_string_equal(command.arguments[1], "memory");
    assert_int_equal(command.lengths[1], 6);
    handshake_command(&handshake, HANDSHAKE_TIME, &both, &command);
    assert_int_equal(command.count, 1);
}

static void test_refusals(void **state)
{
    (void)state;
    struct handshake handshake;
    handshake_init(&handshake, true, 99, false);
    assert_true(take(&handshake, HANDSHAKE_AUTH, "+OK\r\n"));
    assert_false(take(&handshake, HANDSHAKE_AUTH, "-WRONGPASS invalid\r\n"));
    assert_non_null(strstr(handshake.problem, "password"));
    assert_false(take(&handshake, HANDSHAKE_SELECT, "-ERR DB index is out of range\r\n"));
    assert_non_null(strstr(handshake.problem, "DB index is out of range"));
    assert_false(take(&handshake, HANDSHAKE_SERVER, "-NOAUTH Authentication required.\r\n"));
    assert_non_null(strstr(handshake.problem, "NOAUTH"));
    assert_false(take(&handshake, HANDSHAKE_MEMORY, "-NOPERM this user has no permissions\r\n"));
    assert_non_null(strstr(handshake.problem, "ACL"));
    assert_false(take(&handshake, HANDSHAKE_SERVER, ":5\r\n"));
    /* The last INFO is where the server is judged. */
    assert_true(take(&handshake, HANDSHAKE_REPLICATION, "$10\r\nrole:slave\r\n"));
    assert_true(take(&handshake, HANDSHAKE_SERVER, "$28\r\nrun_id:abc\nredis_version:7.0\r\n"));
    assert_false(take(&handshake, HANDSHAKE_PERSISTENCE, "$9\r\nloading:0\r\n"));
    assert_non_null(strstr(handshake.problem, "replica"));
}

static void test_time(void **state)
{
    (void)state;
    static const char *const wrong[] = {
        "+OK\r\n",
        "*1\r\n$1\r\n5\r\n",
        "*3\r\n$1\r\n5\r\n$1\r\n5\r\n$1\r\n5\r\n",
        "*2\r\n:5\r\n:5\r\n",
        "*2\r\n$-1\r\n$1\r\n5\r\n",
        "*2\r\n$0\r\n\r\n$1\r\n5\r\n",
        "*2\r\n$2\r\n-5\r\n$1\r\n5\r\n",
        "*2\r\n$1\r\n5\r\n$7\r\n1000000\r\n",
        "*2\r\n$18\r\n999999999999999999\r\n$1\r\n5\r\n",
        "*2\r\n$19\r\n9999999999999999999\r\n$1\r\n5\r\n",
    };
    struct handshake handshake;
    handshake_init(&handshake, false, 0, false);
    assert_true(take(&handshake, HANDSHAKE_TIME, "*2\r\n$10\r\n1700000000\r\n$6\r\n999999\r\n"));
    assert_int_equal(handshake.redis_us, 1700000000999999);
    for (size_t i = 0; i < COUNT_OF(wrong); i++) {
        assert_false(take(&handshake, HANDSHAKE_TIME, wrong[i]));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_steps),
        cmocka_unit_test(test_commands),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
