/* SPDX-License-Identifier: Apache-2.0 */
/* Which locks there are, asked of a real server. */
#include "redis/scan.h"

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

#define MANY 2500

struct fixture {
    struct redis_fixture redis;
    struct store_fixture store;
    struct asked asked;
    const char *prefix;
    int answers, problems, steps;
    bool goes_on; /* until the cursor is 0 */
    bool is_complete;
    size_t names;
    char last[600];
    char problem[160];
    bool seen[MANY];
};

static void start(struct fixture *fixture, uint64_t cursor, size_t count);

static void on_done(void *user, const struct redis_scan_result *result, int64_t now_us)
{
    struct fixture *fixture = user;
    assert_true(now_us > 0);
    fixture->answers++;
    if (result->problem != NULL) {
        fixture->problems++;
        snprintf(fixture->problem, sizeof(fixture->problem), "%s", result->problem);
        return;
    }
    fixture->names += result->count;
    fixture->is_complete = result->cursor == 0;
    for (size_t i = 0; i < result->count; i++) {
        unsigned number = 0;
        assert_true(result->names[i].length < sizeof(fixture->last));
        memcpy(fixture->last, result->names[i].text, result->names[i].length);
        fixture->last[result->names[i].length] = '\0';
        if (sscanf(fixture->last, "key%u", &number) == 1 && number < MANY) {
            fixture->seen[number] = true;
        }
    }
    if (fixture->goes_on && !fixture->is_complete) {
        start(fixture, result->cursor, 100);
    }
}

static struct redis_scan *begin(struct fixture *fixture, uint64_t cursor, size_t count)
{
    return redis_scan_start(fixture->store.store, fixture->prefix, strlen(fixture->prefix), cursor,
                            count, on_done, fixture);
}

static void start(struct fixture *fixture, uint64_t cursor, size_t count)
{
    int before = fixture->answers;
    fixture->steps++;
    assert_non_null(begin(fixture, cursor, count));
    assert_int_equal(fixture->answers, before);
}

static struct fixture *open_fixture(const char *key_prefix)
{
    char url[160];
    struct fixture *fixture = calloc(1, sizeof(*fixture));
    struct redis_store_config config = store_fixture_config();
    assert_non_null(fixture);
    config.key_prefix = key_prefix;
    fixture->prefix = "";
    redis_fixture_init(&fixture->redis, NULL);
    snprintf(url, sizeof(url), "redis://127.0.0.1:%d", fixture->redis.port);
    store_fixture_init(&fixture->store, config, url);
    store_fixture_wait_up(&fixture->store);
    return fixture;
}

static void close_fixture(struct fixture *fixture)
{
    store_fixture_release(&fixture->store);
    redis_fixture_release(&fixture->redis);
    free(fixture);
}

static int set_up(void **state)
{
    *state = open_fixture("lock:");
    return 0;
}

static int tear_down(void **state)
{
    close_fixture(*state);
    return 0;
}

static void set(struct fixture *fixture, const char *key)
{
    freeReplyObject(redis_fixture_command(&fixture->redis, "SET %s x", key));
}

/* All names that begin with the prefix. */
static size_t scan_all(struct fixture *fixture, const char *prefix)
{
    fixture->prefix = prefix;
    fixture->names = 0;
    fixture->is_complete = false;
    fixture->goes_on = true;
    start(fixture, 0, 100);
    store_fixture_wait(&fixture->store, fixture->is_complete);
    return fixture->names;
}

static void test_nothing(void **state)
{
    struct fixture *fixture = *state;
    assert_int_equal(scan_all(fixture, ""), 0);
    assert_int_equal(fixture->answers, 1);
}

static void test_step_by_step(void **state)
{
    struct fixture *fixture = *state;
    for (int i = 0; i < MANY; i++) {
        freeReplyObject(redis_fixture_command(&fixture->redis, "SET lock:key%d x", i));
    }
    set(fixture, "other");
    set(fixture, "holdfast:register:x");
    assert_true(scan_all(fixture, "") >= MANY);
    assert_true(fixture->steps > 10);
    assert_int_equal(fixture->answers, fixture->steps);
    for (int i = 0; i < MANY; i++) {
        assert_true(fixture->seen[i]);
    }
    assert_true(scan_all(fixture, "key12") >= 111);
    assert_int_equal(fixture->problems, 0);
    assert_int_equal(fixture->store.metrics.redis_connects, 1);
}

static void test_patterns_are_names(void **state)
{
    static const char *const names[] = {"a*b", "a?b", "a[x]b", "a\\b", "[^a]", "a-b"};
    (void)state;
    struct fixture *fixture = open_fixture("l*[c]k:");
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        char key[32];
        snprintf(key, sizeof(key), "l*[c]k:%s", names[i]);
        set(fixture, key);
    }
    set(fixture, "lock:a-b");
    set(fixture, "lck:a-b");
    assert_int_equal(scan_all(fixture, ""), COUNT_OF(names));
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        assert_int_equal(scan_all(fixture, names[i]), 1);
        assert_string_equal(fixture->last, names[i]);
    }
    close_fixture(fixture);
}

static void test_bytes_of_any_kind(void **state)
{
    struct fixture *fixture = *state;
    freeReplyObject(redis_fixture_command(&fixture->redis, "SET %b x", "lock:a\0b", (size_t)8));
    assert_int_equal(scan_all(fixture, "a"), 1);
    assert_memory_equal(fixture->last, "a\0b", 4);
}

static void test_keys_that_are_no_locks(void **state)
{
    struct fixture *fixture = *state;
    char key[5 + 513 + 1];
    memset(key, 'k', sizeof(key));
    memcpy(key, "lock:", 5);
    key[sizeof(key) - 1] = '\0';
    set(fixture, key);
    key[sizeof(key) - 2] = '\0';
    set(fixture, key);
    set(fixture, "lock:");
    assert_int_equal(scan_all(fixture, ""), 1);
    assert_int_equal(strlen(fixture->last), 512);
}

static void test_only_so_many(void **state)
{
    struct fixture *fixture = *state;
    for (size_t i = 0; i < REDIS_SCANS_MAX; i++) {
        start(fixture, 0, REDIS_SCAN_COUNT_MAX);
    }
    assert_null(begin(fixture, 0, 1));
    store_fixture_wait(&fixture->store, fixture->answers == (int)REDIS_SCANS_MAX);
    start(fixture, UINT64_MAX, 1);
    store_fixture_wait(&fixture->store, fixture->answers == (int)REDIS_SCANS_MAX + 1);
    assert_int_equal(fixture->problems, 0);
}

static void test_refused(void **state)
{
    struct fixture *fixture = *state;
    freeReplyObject(redis_fixture_command(&fixture->redis, "ACL SETUSER default -scan"));
    start(fixture, 0, 10);
    store_fixture_wait(&fixture->store, fixture->problems == 1);
    assert_non_null(strstr(fixture->problem, "NOPERM"));
    assert_true(redis_store_is_up(fixture->store.store));
}

static void test_redis_goes_away(void **state)
{
    struct fixture *fixture = *state;
    redis_fixture_stop(&fixture->redis);
    for (int i = 0; i < 3; i++) {
        start(fixture, 0, 10);
        loop_turn(fixture->store.loop, 0);
    }
    redis_fixture_kill(&fixture->redis);
    store_fixture_wait(&fixture->store, fixture->answers == 3);
    start(fixture, 0, 10);
    store_fixture_wait(&fixture->store, fixture->answers == 4);
    assert_int_equal(fixture->problems, 4);
    assert_true(strlen(fixture->problem) > 0);
    redis_fixture_start(&fixture->redis);
    store_fixture_wait_up(&fixture->store);
    assert_int_equal(scan_all(fixture, ""), 0);
}

static void test_cancel_at_any_moment(void **state)
{
    struct fixture *fixture = *state;
    for (int turns = 0; turns < 3; turns++) {
        redis_fixture_stop(&fixture->redis);
        struct redis_scan *first = begin(fixture, 0, 10);
        struct redis_scan *second = begin(fixture, 0, 10);
        for (int i = 0; i < turns; i++) {
            loop_turn(fixture->store.loop, 0);
        }
        redis_scan_cancel(second);
        redis_scan_cancel(first);
        redis_fixture_resume(&fixture->redis);
        assert_int_equal(scan_all(fixture, ""), 0);
        assert_int_equal(fixture->answers, turns + 1);
    }
    redis_fixture_stop(&fixture->redis);
    struct redis_scan *last = begin(fixture, 0, 10);
    loop_turn(fixture->store.loop, 0);
    redis_scan_cancel(last);
    redis_fixture_kill(&fixture->redis);
    store_fixture_wait(&fixture->store, !redis_store_is_up(fixture->store.store));
    assert_non_null(begin(fixture, 0, 10)); /* dropped with the store */
}

static void test_locks_go_on_meanwhile(void **state)
{
    struct fixture *fixture = *state;
    asked_init(&fixture->asked, &fixture->store, STORE_ACQUIRE, "held", 1);
    for (size_t i = 0; i < REDIS_SCANS_MAX; i++) {
        start(fixture, 0, REDIS_SCAN_COUNT_MAX);
    }
    assert_int_equal(asked_run(&fixture->asked), STORE_OK);
    assert_int_equal(scan_all(fixture, "he"), 1);
    assert_string_equal(fixture->last, "held");
}

#define SCAN_TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCAN_TEST(test_nothing),
        SCAN_TEST(test_step_by_step),
        cmocka_unit_test(test_patterns_are_names),
        SCAN_TEST(test_bytes_of_any_kind),
        SCAN_TEST(test_keys_that_are_no_locks),
        SCAN_TEST(test_only_so_many),
        SCAN_TEST(test_refused),
        SCAN_TEST(test_redis_goes_away),
        SCAN_TEST(test_cancel_at_any_moment),
        SCAN_TEST(test_locks_go_on_meanwhile),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
