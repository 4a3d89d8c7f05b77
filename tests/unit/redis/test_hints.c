/* SPDX-License-Identifier: Apache-2.0 */
/* What the store tells its listener unasked, against a real server. */
#include "redis/hints.h"

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
#include "store_fixture.h"

struct fixture {
    struct redis_fixture redis;
    struct store_fixture store;
    struct asked asked[4];
    char server[64]; /* the server's channel */
};

static struct fixture *open_fixture(const char *credentials)
{
    char url[160];
    struct fixture *fixture = calloc(1, sizeof(*fixture));
    assert_non_null(fixture);
    redis_fixture_init(&fixture->redis, NULL);
    snprintf(url, sizeof(url), "redis://%s127.0.0.1:%d", credentials, fixture->redis.port);
    store_fixture_init(&fixture->store, store_fixture_config(), url);
    return fixture;
}

static void close_fixture(struct fixture *fixture)
{
    store_fixture_release(&fixture->store);
    redis_fixture_release(&fixture->redis);
    free(fixture);
}

static void find_server(struct fixture *fixture)
{
    redisReply *reply = redis_fixture_command(&fixture->redis, "PUBSUB CHANNELS holdfast:server:*");
    assert_int_equal(reply->elements, 1);
    snprintf(fixture->server, sizeof(fixture->server), "%s", reply->element[0]->str);
    freeReplyObject(reply);
}

static int set_up(void **state)
{
    struct fixture *fixture = open_fixture("");
    store_fixture_wait_up(&fixture->store);
    store_fixture_wait(&fixture->store, fixture->store.subscribed == 1);
    find_server(fixture);
    *state = fixture;
    return 0;
}

static int tear_down(void **state)
{
    close_fixture(*state);
    return 0;
}

static void watch(struct fixture *fixture, const char *key)
{
    store_watch(fixture->store.port, key, strlen(key));
}

static void unwatch(struct fixture *fixture, const char *key)
{
    store_unwatch(fixture->store.port, key, strlen(key));
}

static void cut_off(struct fixture *fixture)
{
    freeReplyObject(redis_fixture_command(&fixture->redis, "CLIENT KILL TYPE pubsub"));
}

static int64_t grant(struct fixture *fixture, const char *payload, size_t length)
{
    return redis_fixture_integer(&fixture->redis, "PUBLISH %s %b", fixture->server, payload,
                                 length);
}

static void test_a_lock_is_given_to_us(void **state)
{
    struct fixture *fixture = *state;
    static const char payload[] = "\0tenure\n16 bytes"
                                  "lock:a\0b";
    assert_int_equal(grant(fixture, payload, sizeof(payload) - 1), 1);
    store_fixture_wait(&fixture->store, fixture->store.granted == 1);
    assert_memory_equal(fixture->store.hinted_tenure.bytes, payload, 16);
    assert_memory_equal(fixture->store.hinted_key, "a\0b", 4);
    assert_int_equal(fixture->store.metrics.redis_messages_ignored, 0);
}

static void test_what_is_not_for_us(void **state)
{
    struct fixture *fixture = *state;
    static const char *const payloads[] = {"",
                                           "short",
                                           "0123456789abcdef",
                                           "0123456789abcdeflock:",
                                           "0123456789abcdefLOCK:a",
                                           "0123456789abcdefother:lock:a"};
    char longest[16 + 5 + 513 + 1];
    memset(longest, 'x', sizeof(longest));
    memcpy(longest + 16, "lock:", 5);
    for (size_t i = 0; i < COUNT_OF(payloads); i++) {
        assert_int_equal(grant(fixture, payloads[i], strlen(payloads[i])), 1);
    }
    assert_int_equal(grant(fixture, longest, sizeof(longest) - 1), 1);
    assert_int_equal(grant(fixture, "0123456789abcdeflock:last", 25), 1);
    store_fixture_wait(&fixture->store, fixture->store.granted == 1);
    assert_string_equal(fixture->store.hinted_key, "last");
    assert_int_equal(fixture->store.metrics.redis_messages_ignored, COUNT_OF(payloads) + 1);
}

static void test_subscribed_again(void **state)
{
    struct fixture *fixture = *state;
    for (int i = 2; i <= 4; i++) {
        cut_off(fixture);
        store_fixture_wait(&fixture->store, fixture->store.subscribed == i);
    }
    assert_int_equal(fixture->store.ups, 1);
    assert_int_equal(fixture->store.metrics.redis_connects, 1);
}

static void test_a_watched_lock(void **state)
{
    struct fixture *fixture = *state;
    struct store_fixture *store = &fixture->store;
    watch(fixture, "a");
    assert_int_equal(store->changed, 0);
    store_fixture_wait(store, store->changed == 1);
    assert_string_equal(store->hinted_key, "a");
    assert_int_equal(redis_fixture_integer(&fixture->redis, "PUBLISH holdfast:lock:lock:a x"), 1);
    store_fixture_wait(store, store->changed == 2);
    watch(fixture, "b");
    store_fixture_wait(store, store->changed == 3);
    assert_string_equal(store->hinted_key, "b");
    cut_off(fixture);
    store_fixture_wait(store, store->subscribed == 2 && store->changed == 5);
    unwatch(fixture, "a");
    unwatch(fixture, "b");
    store_fixture_wait(
        store, redis_fixture_integer(&fixture->redis, "PUBLISH holdfast:lock:lock:b x") == 0);
    assert_int_equal(store->metrics.redis_watches_now, 0);
}

static void test_batches_while_something_is_watched(void **state)
{
    struct fixture *fixture = *state;
    struct store_fixture *store = &fixture->store;
    assert_int_equal(store->metrics.redis_batches, 0);
    watch(fixture, "a");
    /* The first was NOSCRIPT. */
    store_fixture_wait(store, store->metrics.redis_batches == 2);
    store_fixture_wait(store, store->changed == 1);
    uint64_t before = store->metrics.redis_batches;
    int64_t before_us = clock_now_us();
    store_fixture_wait(store, store->metrics.redis_batches > before);
    assert_true(clock_now_us() - before_us > 2 * CLOCK_US_PER_S);
    assert_int_equal(store->metrics.redis_operations, 0);
    unwatch(fixture, "a");
    assert_int_equal(store->subscribed, 1);
}

/* Who must not subscribe hears nothing, so it does not queue either. */
static void test_nobody_queues_who_cannot_hear(void **state)
{
    (void)state;
    struct fixture *fixture = open_fixture("app:pw@");
    freeReplyObject(
        redis_fixture_command(&fixture->redis, "ACL SETUSER app on >pw ~* &* +@all -subscribe"));
    struct asked *holder = &fixture->asked[0];
    asked_init(holder, &fixture->store, STORE_ACQUIRE, "a", 1);
    assert_int_equal(asked_run(holder), STORE_OK);
    struct asked *waiter = &fixture->asked[1];
    asked_init(waiter, &fixture->store, STORE_ACQUIRE, "a", 2);
    waiter->op.wants_queue = true;
    assert_int_equal(asked_run(waiter), STORE_BUSY);
    assert_true(waiter->op.wants_queue);
    assert_int_equal(fixture->store.subscribed, 0);
    freeReplyObject(redis_fixture_command(&fixture->redis, "ACL SETUSER app +subscribe"));
    store_fixture_wait(&fixture->store, fixture->store.subscribed == 1);
    close_fixture(fixture);
}

static void test_redis_restarts(void **state)
{
    struct fixture *fixture = *state;
    struct store_fixture *store = &fixture->store;
    watch(fixture, "a");
    store_fixture_wait(store, store->changed == 1);
    for (int i = 2; i <= 3; i++) {
        redis_fixture_kill(&fixture->redis);
        store_fixture_wait(store, !redis_store_is_up(store->store));
        redis_fixture_start(&fixture->redis);
        store_fixture_wait(store, store->ups == i && store->subscribed >= i && store->changed >= i);
    }
    find_server(fixture);
    assert_int_equal(grant(fixture, "0123456789abcdeflock:a", 22), 1);
    store_fixture_wait(store, store->granted == 1);
    unwatch(fixture, "a");
}

static void ignore(void *user, int64_t now_us)
{
    (void)user;
    (void)now_us;
}

static void ignore_task(struct task *task)
{
    (void)task;
}

/* Redis stopped telling for a while: whoever watches must look again. */
static void test_watching_was_interrupted(void **state)
{
    struct fixture *fixture = *state;
    struct store_fixture *store = &fixture->store;
    int64_t now_us = clock_now_us();
    struct link_config config = {.url = &store->url,
                                 .connect_timeout_us = CLOCK_US_PER_S,
                                 .ack_timeout_us = CLOCK_US_PER_S,
                                 .backoff_max_us = CLOCK_US_PER_S};
    struct link_listener nobody = {.on_up = ignore, .on_down = ignore};
    struct link *link = link_create(&config, &nobody, store->loop, &store->metrics);
    struct task flush;
    struct doubt doubt;
    task_init(&flush, ignore_task);
    doubt_init(&doubt, store->loop, store->port, &flush, 0);
    struct hints *hints =
        hints_create(&config, store->port, "lock:", link, &doubt, store->loop, &store->metrics);
    store_fixture_wait(store, store->subscribed == 2);
    assert_int_equal(hints_watch_us(hints), 0);
    hints_watch(hints, "a", 1);
    assert_true(hints_watch_us(hints) > 0);
    int64_t watch_us = hints_watch_us(hints) / 4 * 3; /* which is what it is good for */
    store_fixture_wait(store, store->changed == 1);
    hints_watched(hints, now_us, now_us + 1);
    hints_watched(hints, now_us + watch_us - 2, now_us + watch_us - 1);
    loop_turn(store->loop, 0);
    assert_int_equal(store->subscribed, 2);
    hints_watched(hints, now_us + 2 * watch_us - 2, now_us + 2 * watch_us);
    store_fixture_wait(store, store->subscribed == 3);
    hints_unwatch(hints, "a", 1);
    hints_watch(hints, "b", 1);
    hints_watched(hints, now_us + 9 * watch_us, now_us + 9 * watch_us);
    loop_turn(store->loop, 0);
    assert_int_equal(store->subscribed, 3);
    hints_destroy(hints);
    doubt_release(&doubt);
    link_destroy(link);
}

#define HINTS_TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        HINTS_TEST(test_a_lock_is_given_to_us),
        HINTS_TEST(test_what_is_not_for_us),
        HINTS_TEST(test_subscribed_again),
        HINTS_TEST(test_a_watched_lock),
        HINTS_TEST(test_batches_while_something_is_watched),
        cmocka_unit_test(test_nobody_queues_who_cannot_hear),
        HINTS_TEST(test_redis_restarts),
        HINTS_TEST(test_watching_was_interrupted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
