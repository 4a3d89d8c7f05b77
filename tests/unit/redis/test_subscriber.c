/* SPDX-License-Identifier: Apache-2.0 */
/* The subscriber against a real server, and against one that the test plays. */
#include "redis/subscriber.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <hiredis/hiredis.h>

#include "base/clock.h"
#include "base/compiler.h"
#include "redis_fixture.h"

#define WAIT_US (10 * CLOCK_US_PER_S)
#define MANY    3000

struct fixture {
    struct redis_fixture redis;
    struct redis_url url;
    struct loop *loop;
    struct metrics metrics;
    struct subscriber *subscriber;
    int ups, downs, forgotten, messages, lock_ups, lock_messages;
    char payload[64];
    char key[64];
};

static void keep(char *text, size_t size, const char *bytes, size_t length)
{
    snprintf(text, size, "%.*s", (int)length, bytes);
}

static void on_up(void *user, int64_t now_us)
{
    struct fixture *fixture = user;
    assert_true(now_us > 0);
    assert_true(subscriber_is_up(fixture->subscriber));
    fixture->ups++;
}

static void on_down(void *user, int64_t now_us)
{
    struct fixture *fixture = user;
    assert_true(now_us > 0);
    assert_false(subscriber_is_up(fixture->subscriber));
    fixture->downs++;
}

static void on_forgotten(void *user, int64_t now_us)
{
    assert_true(now_us > 0);
    ((struct fixture *)user)->forgotten++;
}

static void on_message(void *user, const char *payload, size_t length, int64_t now_us)
{
    struct fixture *fixture = user;
    assert_true(now_us > 0);
    fixture->messages++;
    keep(fixture->payload, sizeof(fixture->payload), payload, length);
}

static void on_lock_up(void *user, const char *key, size_t key_length, int64_t now_us)
{
    struct fixture *fixture = user;
    assert_true(now_us > 0);
    assert_true(fixture->ups > fixture->downs);
    fixture->lock_ups++;
    keep(fixture->key, sizeof(fixture->key), key, key_length);
}

static void on_lock_message(void *user, const char *key, size_t key_length, const char *payload,
                            size_t length, int64_t now_us)
{
    struct fixture *fixture = user;
    assert_true(now_us > 0);
    fixture->lock_messages++;
    keep(fixture->key, sizeof(fixture->key), key, key_length);
    keep(fixture->payload, sizeof(fixture->payload), payload, length);
}

#define WAIT_FOR(fixture, condition)                                                               \
    do {                                                                                           \
        int64_t deadline_us = clock_now_us() + WAIT_US;                                            \
        while (!(condition)) {                                                                     \
            loop_turn((fixture)->loop, 5 * CLOCK_US_PER_MS);                                       \
            if (clock_now_us() > deadline_us) {                                                    \
                fail_msg("timed out waiting for: %s", #condition);                                 \
            }                                                                                      \
        }                                                                                          \
    } while (0)

static struct fixture *open_fixture(const char *const *options, const char *credentials)
{
    char url[160];
    char problem[REDIS_URL_PROBLEM_SIZE];
    struct fixture *fixture = calloc(1, sizeof(*fixture));
    assert_non_null(fixture);
    redis_fixture_init(&fixture->redis, options);
    snprintf(url, sizeof(url), "redis://%s127.0.0.1:%d/3", credentials, fixture->redis.port);
    assert_true(redis_url_parse(&fixture->url, url, problem));
    fixture->loop = loop_create();
    struct link_config config = {
        .url = &fixture->url,
        .connect_timeout_us = CLOCK_US_PER_S,
        .ack_timeout_us = CLOCK_US_PER_S,
        .backoff_max_us = 100 * CLOCK_US_PER_MS,
    };
    struct subscriber_listener listener = {on_up,      on_down,         on_forgotten, on_message,
                                           on_lock_up, on_lock_message, fixture};
    fixture->subscriber = subscriber_create(&config, &listener, fixture->loop, &fixture->metrics);
    return fixture;
}

static void close_fixture(struct fixture *fixture)
{
    subscriber_destroy(fixture->subscriber);
    loop_destroy(fixture->loop);
    redis_url_release(&fixture->url);
    redis_fixture_release(&fixture->redis);
    free(fixture);
}

static int set_up(void **state)
{
    struct fixture *fixture = open_fixture(NULL, "");
    WAIT_FOR(fixture, fixture->ups == 1);
    *state = fixture;
    return 0;
}

static int tear_down(void **state)
{
    close_fixture(*state);
    return 0;
}

static void add(struct fixture *fixture, const char *key)
{
    assert_true(subscriber_add(fixture->subscriber, key, strlen(key)));
}

static void drop(struct fixture *fixture, const char *key)
{
    subscriber_remove(fixture->subscriber, key, strlen(key));
}

/* How many are subscribed, after Redis has worked off what was sent before. */
static int64_t publish(struct fixture *fixture, const char *channel, const char *payload)
{
    return redis_fixture_integer(&fixture->redis, "PUBLISH %s %s", channel, payload);
}

static int64_t tell_server(struct fixture *fixture, const char *payload)
{
    char channel[64];
    snprintf(channel, sizeof(channel), "holdfast:server:%s", subscriber_id(fixture->subscriber));
    return publish(fixture, channel, payload);
}

static void wait_subscribers(struct fixture *fixture, const char *channel, int64_t count)
{
    WAIT_FOR(fixture, publish(fixture, channel, "") == count);
}

static void test_messages_to_the_server(void **state)
{
    struct fixture *fixture = *state;
    assert_int_equal(strlen(subscriber_id(fixture->subscriber)), 32);
    assert_int_equal(tell_server(fixture, "one"), 1);
    WAIT_FOR(fixture, fixture->messages == 1);
    assert_string_equal(fixture->payload, "one");
    for (int i = 0; i < MANY; i++) {
        assert_int_equal(tell_server(fixture, "more"), 1);
    }
    WAIT_FOR(fixture, fixture->messages == 1 + MANY);
    assert_int_equal(fixture->metrics.redis_messages, 1 + MANY);
    assert_int_equal(fixture->metrics.redis_messages_ignored, 0);
    assert_int_equal(fixture->metrics.redis_subscribes, 1);
    assert_int_equal(fixture->metrics.redis_connects, 0);
    assert_int_equal(fixture->forgotten, 0);
}

static void flush(struct fixture *fixture, const char *command)
{
    int before = fixture->forgotten;
    int64_t before_us = clock_now_us();
    freeReplyObject(redis_fixture_command(&fixture->redis, command));
    WAIT_FOR(fixture, fixture->forgotten == before + 1);
    assert_true(clock_now_us() - before_us < CLOCK_US_PER_S);
}

/* Of any database, for the message does not say which. */
static void test_a_flush_is_heard(void **state)
{
    struct fixture *fixture = *state;
    assert_true(subscriber_hears_flushes(fixture->subscriber));
    flush(fixture, "FLUSHALL");
    flush(fixture, "FLUSHDB");
    flush(fixture, "FLUSHALL ASYNC");
    freeReplyObject(redis_fixture_command(&fixture->redis, "SELECT 3"));
    flush(fixture, "FLUSHDB");
    assert_int_equal(tell_server(fixture, "still here"), 1);
    WAIT_FOR(fixture, fixture->messages == 1);
    assert_int_equal(fixture->metrics.redis_messages_ignored, 0);
    assert_int_equal(fixture->downs, 0);
}

/* Redis keeps no table of what it would have to tell of. */
static void test_to_hear_of_flushes_costs_redis_nothing(void **state)
{
    struct fixture *fixture = *state;
    add(fixture, "lock:a");
    WAIT_FOR(fixture, fixture->lock_ups == 1);
    freeReplyObject(redis_fixture_command(&fixture->redis, "SELECT 3"));
    freeReplyObject(redis_fixture_command(&fixture->redis, "SET lock:a 1"));
    freeReplyObject(redis_fixture_command(&fixture->redis, "GET lock:a"));
    redisReply *reply = redis_fixture_command(&fixture->redis, "INFO stats");
    assert_non_null(strstr(reply->str, "tracking_total_keys:0\r\n"));
    freeReplyObject(reply);
    reply = redis_fixture_command(&fixture->redis, "INFO clients");
    assert_non_null(strstr(reply->str, "tracking_clients:1\r\n"));
    freeReplyObject(reply);
    freeReplyObject(redis_fixture_command(&fixture->redis, "DEL lock:a"));
    assert_int_equal(tell_server(fixture, "last"), 1);
    WAIT_FOR(fixture, fixture->messages == 1);
    assert_int_equal(fixture->forgotten, 0);
}

static void test_somebody_finds_that_redis_forgot(void **state)
{
    struct fixture *fixture = *state;
    assert_int_equal(publish(fixture, "holdfast:forgotten", ""), 1);
    WAIT_FOR(fixture, fixture->forgotten == 1);
    assert_int_equal(fixture->metrics.redis_messages_ignored, 0);
}

static void test_a_flush_is_heard_after_being_cut_off(void **state)
{
    struct fixture *fixture = *state;
    for (int i = 1; i <= 3; i++) {
        freeReplyObject(redis_fixture_command(&fixture->redis, "CLIENT KILL TYPE pubsub"));
        WAIT_FOR(fixture, fixture->downs == i);
        assert_false(subscriber_hears_flushes(fixture->subscriber));
        WAIT_FOR(fixture, fixture->ups == 1 + i);
        assert_true(subscriber_hears_flushes(fixture->subscriber));
        flush(fixture, "FLUSHALL");
    }
}

static void test_messages_that_are_too_long(void **state)
{
    struct fixture *fixture = *state;
    static char payload[100000];
    memset(payload, 'x', sizeof(payload) - 1);
    assert_int_equal(tell_server(fixture, payload), 1);
    payload[SUBSCRIBER_PAYLOAD_MAX + 1] = '\0';
    assert_int_equal(tell_server(fixture, payload), 1);
    payload[SUBSCRIBER_PAYLOAD_MAX] = '\0';
    assert_int_equal(tell_server(fixture, payload), 1);
    WAIT_FOR(fixture, fixture->messages == 1);
    assert_int_equal(fixture->metrics.redis_messages_ignored, 2);
    assert_int_equal(fixture->downs, 0);
}

static void test_locks_come_and_go(void **state)
{
    struct fixture *fixture = *state;
    add(fixture, "lock:a");
    WAIT_FOR(fixture, fixture->lock_ups == 1);
    assert_string_equal(fixture->key, "lock:a");
    assert_int_equal(publish(fixture, "holdfast:lock:lock:a", "x"), 1);
    WAIT_FOR(fixture, fixture->lock_messages == 1);
    assert_string_equal(fixture->key, "lock:a");
    assert_string_equal(fixture->payload, "x");
    add(fixture, "lock:b");
    WAIT_FOR(fixture, fixture->lock_ups == 2);
    drop(fixture, "lock:a");
    wait_subscribers(fixture, "holdfast:lock:lock:a", 0);
    int heard = fixture->lock_messages;
    assert_int_equal(publish(fixture, "holdfast:lock:lock:b", "y"), 1);
    WAIT_FOR(fixture, fixture->lock_messages == heard + 1);
    assert_string_equal(fixture->key, "lock:b");
    assert_int_equal(fixture->metrics.redis_watches_now, 1);
    drop(fixture, "lock:b");
    drop(fixture, "lock:b");
    drop(fixture, "lock:never");
    wait_subscribers(fixture, "holdfast:lock:lock:b", 0);
    assert_int_equal(tell_server(fixture, "still here"), 1);
    assert_int_equal(fixture->metrics.redis_watches_now, 0);
    assert_int_equal(fixture->downs, 0);
}

/* What is asked for again before it has gone is told again all the same. */
static void test_a_lock_added_again_at_any_moment(void **state)
{
    struct fixture *fixture = *state;
    for (int turns = 0; turns < 6; turns++) {
        add(fixture, "k");
        for (int i = 0; i < turns; i++) {
            loop_turn(fixture->loop, CLOCK_US_PER_MS);
        }
        drop(fixture, "k");
        for (int i = 0; i < turns % 3; i++) {
            loop_turn(fixture->loop, CLOCK_US_PER_MS);
        }
        int before = fixture->lock_ups;
        add(fixture, "k");
        WAIT_FOR(fixture, fixture->lock_ups == before + 1);
        assert_int_equal(publish(fixture, "holdfast:lock:k", ""), 1);
        drop(fixture, "k");
    }
    wait_subscribers(fixture, "holdfast:lock:k", 0);
    assert_int_equal(fixture->downs, 0);
}

static void test_many_locks(void **state)
{
    struct fixture *fixture = *state;
    char key[32];
    for (int i = 0; i < MANY; i++) {
        snprintf(key, sizeof(key), "lock:%d", i);
        add(fixture, key);
    }
    WAIT_FOR(fixture, fixture->lock_ups == MANY);
    freeReplyObject(redis_fixture_command(&fixture->redis, "CLIENT KILL TYPE pubsub"));
    WAIT_FOR(fixture, fixture->downs == 1 && fixture->lock_ups == 2 * MANY);
    assert_int_equal(publish(fixture, "holdfast:lock:lock:2999", ""), 1);
    for (int i = 0; i < MANY; i += 2) {
        snprintf(key, sizeof(key), "lock:%d", i);
        drop(fixture, key);
    }
    wait_subscribers(fixture, "holdfast:lock:lock:2998", 0);
    assert_int_equal(publish(fixture, "holdfast:lock:lock:2999", ""), 1);
}

static void test_subscribes_again_when_cut_off(void **state)
{
    struct fixture *fixture = *state;
    char id[40];
    snprintf(id, sizeof(id), "%s", subscriber_id(fixture->subscriber));
    add(fixture, "lock:a");
    WAIT_FOR(fixture, fixture->lock_ups == 1);
    for (int i = 1; i <= 3; i++) {
        freeReplyObject(redis_fixture_command(&fixture->redis, "CLIENT KILL TYPE pubsub"));
        WAIT_FOR(fixture, fixture->ups == 1 + i && fixture->lock_ups == 1 + i);
        assert_int_equal(fixture->downs, i);
        assert_int_equal(publish(fixture, "holdfast:lock:lock:a", ""), 1);
        assert_int_equal(tell_server(fixture, ""), 1);
    }
    assert_string_equal(id, subscriber_id(fixture->subscriber));
    assert_int_equal(fixture->metrics.redis_subscribes, 4);
    assert_int_equal(fixture->metrics.redis_unsubscribes, 3);
}

static void test_locks_added_and_dropped_while_away(void **state)
{
    struct fixture *fixture = *state;
    add(fixture, "lock:a");
    add(fixture, "lock:b");
    WAIT_FOR(fixture, fixture->lock_ups == 2);
    redis_fixture_kill(&fixture->redis);
    WAIT_FOR(fixture, fixture->downs == 1);
    assert_false(subscriber_is_up(fixture->subscriber));
    drop(fixture, "lock:a");
    add(fixture, "lock:c");
    add(fixture, "lock:d");
    drop(fixture, "lock:d");
    redis_fixture_start(&fixture->redis);
    WAIT_FOR(fixture, fixture->ups == 2 && fixture->lock_ups == 4);
    assert_int_equal(publish(fixture, "holdfast:lock:lock:a", ""), 0);
    assert_int_equal(publish(fixture, "holdfast:lock:lock:b", ""), 1);
    assert_int_equal(publish(fixture, "holdfast:lock:lock:c", ""), 1);
    assert_int_equal(publish(fixture, "holdfast:lock:lock:d", ""), 0);
}

static void test_fail_on_purpose(void **state)
{
    struct fixture *fixture = *state;
    add(fixture, "lock:a");
    WAIT_FOR(fixture, fixture->lock_ups == 1);
    subscriber_fail(fixture->subscriber, "on purpose");
    assert_false(subscriber_is_up(fixture->subscriber));
    drop(fixture, "lock:a");
    add(fixture, "lock:a");
    WAIT_FOR(fixture, fixture->downs == 1);
    subscriber_retry_now(fixture->subscriber);
    WAIT_FOR(fixture, fixture->ups == 2 && fixture->lock_ups == 2);
}

/* Longer than every deadline there is: the messages come when it goes on. */
static void test_a_stopped_redis_keeps_the_subscription(void **state)
{
    struct fixture *fixture = *state;
    redis_fixture_stop(&fixture->redis);
    add(fixture, "lock:a");
    int64_t until_us = clock_now_us() + 2500 * CLOCK_US_PER_MS;
    while (clock_now_us() < until_us) {
        loop_turn(fixture->loop, 20 * CLOCK_US_PER_MS);
    }
    assert_true(subscriber_is_up(fixture->subscriber));
    redis_fixture_resume(&fixture->redis);
    WAIT_FOR(fixture, fixture->lock_ups == 1);
    assert_int_equal(tell_server(fixture, "awake"), 1);
    WAIT_FOR(fixture, fixture->messages == 1);
    assert_int_equal(fixture->downs, 0);
}

static void test_password(void **state)
{
    (void)state;
    static const char *const options[] = {"--requirepass", "s3cret", NULL};
    struct fixture *fixture = open_fixture(options, ":s3cret@");
    add(fixture, "lock:a");
    WAIT_FOR(fixture, fixture->ups == 1 && fixture->lock_ups == 1);
    close_fixture(fixture);
}

/* Nothing else suffers where tracking is refused. */
static void test_a_user_without_the_right_to_track(void **state)
{
    (void)state;
    static const char *const rights[] = {"+@all -client",
                                         "-@all +@pubsub +client|id +info +time +select"};
    for (size_t i = 0; i < COUNT_OF(rights); i++) {
        char command[128];
        struct fixture *fixture = open_fixture(NULL, "app:pw@");
        snprintf(command, sizeof(command), "ACL SETUSER app on >pw ~* &* %s", rights[i]);
        freeReplyObject(redis_fixture_command(&fixture->redis, command));
        add(fixture, "lock:a");
        WAIT_FOR(fixture, fixture->ups == 1 && fixture->lock_ups == 1);
        assert_false(subscriber_hears_flushes(fixture->subscriber));
        freeReplyObject(redis_fixture_command(&fixture->redis, "FLUSHALL"));
        assert_int_equal(tell_server(fixture, "last"), 1);
        WAIT_FOR(fixture, fixture->messages == 1);
        assert_int_equal(fixture->forgotten, 0);
        freeReplyObject(redis_fixture_command(&fixture->redis, "ACL SETUSER app +client"));
        freeReplyObject(redis_fixture_command(&fixture->redis, "CLIENT KILL TYPE pubsub"));
        WAIT_FOR(fixture, fixture->ups == 2);
        assert_true(subscriber_hears_flushes(fixture->subscriber));
        flush(fixture, "FLUSHALL");
        close_fixture(fixture);
    }
}

/* Somebody who may do everything but subscribe. */
static void test_a_user_without_the_right(void **state)
{
    (void)state;
    struct fixture *fixture = open_fixture(NULL, "app:pw@");
    freeReplyObject(
        redis_fixture_command(&fixture->redis, "ACL SETUSER app on >pw ~* &* +@all -subscribe"));
    int64_t until_us = clock_now_us() + 300 * CLOCK_US_PER_MS;
    while (clock_now_us() < until_us) {
        loop_turn(fixture->loop, 20 * CLOCK_US_PER_MS);
    }
    assert_int_equal(fixture->ups, 0);
    assert_int_equal(fixture->downs, 0);
    assert_int_equal(fixture->metrics.redis_subscribes, 0);
    freeReplyObject(redis_fixture_command(&fixture->redis, "ACL SETUSER app +subscribe"));
    WAIT_FOR(fixture, fixture->ups == 1);
    close_fixture(fixture);
}

static void test_destroy_at_any_moment(void **state)
{
    (void)state;
    for (int turns = 0; turns < 8; turns++) {
        struct fixture *fixture = open_fixture(NULL, "");
        add(fixture, "lock:a");
        for (int i = 0; i < turns; i++) {
            loop_turn(fixture->loop, 2 * CLOCK_US_PER_MS);
        }
        drop(fixture, "lock:a");
        add(fixture, "lock:b");
        close_fixture(fixture);
    }
}

#define SUBSCRIBER_TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        SUBSCRIBER_TEST(test_messages_to_the_server),
        SUBSCRIBER_TEST(test_a_flush_is_heard),
        SUBSCRIBER_TEST(test_to_hear_of_flushes_costs_redis_nothing),
        SUBSCRIBER_TEST(test_somebody_finds_that_redis_forgot),
        SUBSCRIBER_TEST(test_a_flush_is_heard_after_being_cut_off),
        SUBSCRIBER_TEST(test_messages_that_are_too_long),
        SUBSCRIBER_TEST(test_locks_come_and_go),
        SUBSCRIBER_TEST(test_a_lock_added_again_at_any_moment),
        SUBSCRIBER_TEST(test_many_locks),
        SUBSCRIBER_TEST(test_subscribes_again_when_cut_off),
        SUBSCRIBER_TEST(test_locks_added_and_dropped_while_away),
        SUBSCRIBER_TEST(test_fail_on_purpose),
        SUBSCRIBER_TEST(test_a_stopped_redis_keeps_the_subscription),
        cmocka_unit_test(test_password),
        cmocka_unit_test(test_a_user_without_the_right_to_track),
        cmocka_unit_test(test_a_user_without_the_right),
        cmocka_unit_test(test_destroy_at_any_moment),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
