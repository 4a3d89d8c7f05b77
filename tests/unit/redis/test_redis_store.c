/* SPDX-License-Identifier: Apache-2.0 */
/* The store against a real server: what it answers, in which order, and how it connects. */
#include "redis/redis_store.h"

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
#include "redis/batch.h"
#include "redis_fixture.h"
#include "store_fixture.h"

#define MANY 600

struct fixture {
    struct redis_fixture redis;
    struct store_fixture store;
    struct asked asked[MANY];
    char keys[MANY][16];
};

static struct fixture *new_fixture(const char *const *options)
{
    struct fixture *fixture = calloc(1, sizeof(*fixture));
    assert_non_null(fixture);
    redis_fixture_init(&fixture->redis, options);
    return fixture;
}

static void free_fixture(struct fixture *fixture)
{
    redis_fixture_release(&fixture->redis);
    free(fixture);
}

static void open_store(struct fixture *fixture, struct redis_store_config config)
{
    char url[160];
    snprintf(url, sizeof(url), "unix://%s", fixture->redis.socket_path);
    store_fixture_init(&fixture->store, config, url);
}

static int set_up(void **state)
{
    struct fixture *fixture = new_fixture(NULL);
    open_store(fixture, store_fixture_config());
    *state = fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    store_fixture_release(&fixture->store);
    free_fixture(fixture);
    return 0;
}

static struct asked *ask(struct fixture *fixture, size_t slot, enum store_verb verb,
                         const char *key, uint8_t number)
{
    asked_init(&fixture->asked[slot], &fixture->store, verb, key, number);
    return &fixture->asked[slot];
}

static struct asked *ask_own_key(struct fixture *fixture, size_t slot, enum store_verb verb)
{
    snprintf(fixture->keys[slot], sizeof(fixture->keys[slot]), "key%zu", slot);
    return ask(fixture, slot, verb, fixture->keys[slot], 1);
}

static void test_a_lease_from_acquire_to_release(void **state)
{
    struct fixture *fixture = *state;
    struct asked *one = ask(fixture, 0, STORE_ACQUIRE, "a", 1);
    assert_int_equal(asked_run(one), STORE_OK);
    assert_true(one->result.fence > 1000000);
    assert_true(one->result.since_ms > 1000000000000);
    assert_true(one->result.sent_us > 0 && one->result.sent_us <= one->answered_us);
    assert_int_equal(redis_fixture_integer(&fixture->redis, "EXISTS lock:a"), 1);

    struct asked *two = ask(fixture, 1, STORE_ACQUIRE, "a", 2);
    assert_int_equal(asked_run(two), STORE_BUSY);
    assert_int_equal(two->result.holder.fence, one->result.fence);
    assert_int_equal(two->result.holder.since_ms, one->result.since_ms);
    assert_string_equal(two->label, "label");
    assert_true(two->result.holder.remaining_us > 50 * CLOCK_US_PER_S);

    struct asked *again = ask(fixture, 2, STORE_ACQUIRE, "a", 1);
    assert_int_equal(asked_run(again), STORE_OK);
    assert_int_equal(again->result.fence, one->result.fence);

    struct asked *renew = ask(fixture, 3, STORE_RENEW, "a", 1);
    renew->op.fence = one->result.fence;
    renew->op.ttl_ms = 90000;
    assert_int_equal(asked_run(renew), STORE_OK);
    assert_true(redis_fixture_integer(&fixture->redis, "PTTL lock:a") > 80000);
    assert_int_equal(asked_run(ask(fixture, 4, STORE_RENEW, "a", 2)), STORE_NOT_HELD);

    struct asked *inspect = ask(fixture, 5, STORE_INSPECT, "a", 0);
    assert_int_equal(asked_run(inspect), STORE_OK);
    assert_true(inspect->result.holder.is_held);
    assert_string_equal(inspect->label, "label");

    assert_int_equal(asked_run(ask(fixture, 6, STORE_RELEASE, "a", 2)), STORE_NOT_HELD);
    assert_int_equal(asked_run(ask(fixture, 7, STORE_RELEASE, "a", 1)), STORE_OK);
    assert_int_equal(asked_run(inspect), STORE_OK);
    assert_false(inspect->result.holder.is_held);
}

static void test_another_type_is_named(void **state)
{
    struct fixture *fixture = *state;
    redis_fixture_integer(&fixture->redis, "RPUSH lock:a x");
    struct asked *asked = ask(fixture, 0, STORE_ACQUIRE, "a", 1);
    assert_int_equal(asked_run(asked), STORE_WRONG_TYPE);
    assert_string_equal(asked->detail, "list");
}

static void test_operations_of_a_turn_go_together(void **state)
{
    struct fixture *fixture = *state;
    store_fixture_wait_up(&fixture->store);
    for (size_t i = 0; i < 100; i++) {
        asked_submit(ask_own_key(fixture, i, STORE_ACQUIRE));
    }
    store_fixture_wait(&fixture->store, fixture->store.answered == 100);
    assert_int_equal(fixture->store.metrics.redis_batches, 2); /* the first was NOSCRIPT */
    assert_int_equal(fixture->store.metrics.redis_script_reloads, 1);
    assert_int_equal(fixture->store.metrics.redis_operations_now, 0);
    for (size_t i = 0; i < 100; i++) {
        assert_int_equal(fixture->asked[i].result.code, STORE_OK);
        assert_int_equal(fixture->asked[i].answers, 1);
    }
}

static void test_more_than_two_batches(void **state)
{
    struct fixture *fixture = *state;
    store_fixture_wait_up(&fixture->store);
    assert_int_equal(asked_run(ask_own_key(fixture, 0, STORE_INSPECT)), STORE_OK);
    uint64_t before = fixture->store.metrics.redis_batches;
    fixture->store.answered = 0;
    for (size_t i = 0; i < MANY; i++) {
        asked_submit(ask_own_key(fixture, i, STORE_ACQUIRE));
    }
    store_fixture_wait(&fixture->store, fixture->store.answered == MANY);
    assert_int_equal(fixture->store.metrics.redis_batches - before,
                     (MANY + BATCH_OPERATIONS_MAX - 1) / BATCH_OPERATIONS_MAX);
    for (size_t i = 1; i < MANY; i++) {
        assert_true(fixture->asked[i - 1].position < fixture->asked[i].position);
    }
}

/* Who is near is not asked twice at a time, unless a whole batch waits. */
static void test_what_a_near_redis_gets_next_waits_for_its_answer(void **state)
{
    struct fixture *fixture = *state;
    store_fixture_wait_up(&fixture->store);
    for (size_t i = 0; i < 100; i++) {
        assert_int_equal(asked_run(ask_own_key(fixture, 0, STORE_INSPECT)), STORE_OK);
    }
    redis_fixture_stop(&fixture->redis);
    const uint64_t before = fixture->store.metrics.redis_batches;
    fixture->store.answered = 0;
    for (size_t i = 0; i < BATCH_OPERATIONS_MAX; i++) {
        struct asked *asked = ask_own_key(fixture, i, STORE_ACQUIRE);
        asked_submit(asked);
        store_fixture_wait(&fixture->store, i > 0 || asked->op.state == STORE_OP_SENT);
    }
    store_fixture_turn(&fixture->store, 0);
    assert_int_equal(fixture->store.metrics.redis_batches - before, 1);
    asked_submit(ask_own_key(fixture, BATCH_OPERATIONS_MAX, STORE_ACQUIRE));
    store_fixture_wait(&fixture->store, fixture->store.metrics.redis_batches - before == 2);
    redis_fixture_resume(&fixture->redis);
    store_fixture_wait(&fixture->store, fixture->store.answered == BATCH_OPERATIONS_MAX + 1);
    assert_int_equal(fixture->store.metrics.redis_batches - before, 2);
}

static void test_renewals_in_front_then_releases(void **state)
{
    struct fixture *fixture = *state;
    static const enum store_verb verbs[] = {STORE_ACQUIRE, STORE_INSPECT, STORE_RELEASE,
                                            STORE_RENEW};
    for (size_t i = 0; i < 40; i++) {
        asked_submit(ask_own_key(fixture, i, verbs[i % 4]));
    }
    store_fixture_wait(&fixture->store, fixture->store.answered == 40);
    for (size_t i = 0; i < 40; i++) {
        size_t position = fixture->asked[i].position;
        if (verbs[i % 4] == STORE_RENEW) {
            assert_true(position < 10);
        } else if (verbs[i % 4] == STORE_RELEASE) {
            assert_true(position >= 10 && position < 20);
        } else {
            assert_true(position >= 20);
        }
    }
}

static void test_a_script_flush_is_healed(void **state)
{
    struct fixture *fixture = *state;
    assert_int_equal(asked_run(ask(fixture, 0, STORE_ACQUIRE, "a", 1)), STORE_OK);
    for (uint64_t i = 1; i <= 3; i++) {
        freeReplyObject(redis_fixture_command(&fixture->redis, "SCRIPT FLUSH"));
        assert_int_equal(asked_run(ask(fixture, 0, STORE_RENEW, "a", 1)), STORE_OK);
        assert_int_equal(fixture->store.metrics.redis_script_reloads, i + 1);
    }
    assert_int_equal(fixture->store.metrics.redis_connects, 1);
}

static void test_withdraw(void **state)
{
    struct fixture *fixture = *state;
    struct store *port = fixture->store.port;
    struct asked *queued = ask(fixture, 0, STORE_ACQUIRE, "a", 1);
    asked_submit(queued);
    assert_int_equal(queued->op.state, STORE_OP_QUEUED);
    assert_true(store_withdraw(port, &queued->op));
    assert_int_equal(queued->op.state, STORE_OP_IDLE);

    store_fixture_wait_up(&fixture->store);
    struct asked *sent = ask(fixture, 1, STORE_ACQUIRE, "b", 1);
    asked_submit(sent);
    store_fixture_wait(&fixture->store, sent->op.state == STORE_OP_SENT || sent->answers > 0);
    if (sent->answers == 0) {
        assert_false(store_withdraw(port, &sent->op));
    }
    store_fixture_wait(&fixture->store, sent->answers == 1);
    assert_int_equal(queued->answers, 0);
    assert_int_equal(redis_fixture_integer(&fixture->redis, "EXISTS lock:a"), 0);
    assert_int_equal(fixture->store.metrics.redis_operations_now, 0);
}

static void test_limit_of_operations(void **state)
{
    (void)state;
    struct fixture *fixture = new_fixture(NULL);
    struct redis_store_config config = store_fixture_config();
    config.operations_max = 2;
    open_store(fixture, config);
    asked_submit(ask(fixture, 0, STORE_ACQUIRE, "a", 1));
    asked_submit(ask(fixture, 1, STORE_ACQUIRE, "b", 1));
    asked_submit(ask(fixture, 2, STORE_ACQUIRE, "c", 1));
    asked_submit(ask(fixture, 3, STORE_INSPECT, "c", 1));
    asked_submit(ask(fixture, 4, STORE_INSPECT, "d", 1));
    asked_submit(ask(fixture, 5, STORE_RENEW, "d", 1));
    asked_submit(ask(fixture, 6, STORE_RELEASE, "d", 1));
    assert_int_equal(fixture->store.answered, 0);
    assert_true(store_withdraw(fixture->store.port, &fixture->asked[3].op));
    store_fixture_wait(&fixture->store, fixture->store.answered == 6);
    static const enum store_code codes[] = {STORE_OK,      STORE_OK,          STORE_UNAVAILABLE,
                                            STORE_OK,      STORE_UNAVAILABLE, STORE_NOT_HELD,
                                            STORE_NOT_HELD};
    for (size_t i = 0; i < COUNT_OF(codes); i++) {
        assert_int_equal(fixture->asked[i].answers, i == 3 ? 0 : 1);
        assert_int_equal(fixture->asked[i].result.code, codes[i]);
    }
    assert_non_null(strstr(fixture->asked[2].detail, "max-redis-operations: too many"));
    assert_true(fixture->asked[2].result.is_limit);
    assert_false(fixture->asked[0].result.is_limit);
    store_fixture_release(&fixture->store);
    free_fixture(fixture);
}

static void test_the_limit_counts_what_it_refuses(void **state)
{
    (void)state;
    struct fixture *fixture = new_fixture(NULL);
    struct redis_store_config config = store_fixture_config();
    config.operations_max = 2;
    open_store(fixture, config);
    for (size_t i = 0; i < 10; i++) {
        asked_submit(ask_own_key(fixture, i, i % 2 == 0 ? STORE_RENEW : STORE_RELEASE));
    }
    asked_submit(ask_own_key(fixture, 10, STORE_ACQUIRE));
    asked_submit(ask_own_key(fixture, 11, STORE_INSPECT));
    asked_submit(ask_own_key(fixture, 12, STORE_ACQUIRE));
    assert_int_equal(fixture->store.metrics.redis_operations_now, 13);
    store_fixture_wait(&fixture->store, fixture->store.answered == 13);
    assert_int_equal(fixture->asked[10].result.code, STORE_OK);
    assert_int_equal(fixture->asked[11].result.code, STORE_OK);
    assert_int_equal(fixture->asked[12].result.code, STORE_UNAVAILABLE);
    assert_true(fixture->asked[12].result.is_limit);
    assert_int_equal(asked_run(&fixture->asked[12]), STORE_OK);
    assert_int_equal(fixture->store.metrics.redis_operations_now, 0);
    store_fixture_release(&fixture->store);
    free_fixture(fixture);
}

/* However long it has waited: what answers others will come to it. */
static void test_the_impatient_wait_for_a_redis_that_answers(void **state)
{
    struct fixture *fixture = *state;
    assert_int_equal(asked_run(ask(fixture, 0, STORE_ACQUIRE, "a", 1)), STORE_OK);
    const int64_t long_ago_us = loop_now_us(fixture->store.loop) - 10 * STORE_PATIENCE_US;
    struct asked *late = ask(fixture, 1, STORE_ACQUIRE, "b", 1);
    late->op.is_impatient = true;
    store_submit(fixture->store.port, &late->op, long_ago_us);
    store_fixture_wait(&fixture->store, late->answers == 1);
    assert_int_equal(late->result.code, STORE_OK);
}

static void test_recovery_window(void **state)
{
    (void)state;
    struct fixture *fixture = new_fixture(NULL);
    struct redis_store_config config = store_fixture_config();
    config.recovery_window_ms = 300;
    open_store(fixture, config);
    struct asked *grant = ask(fixture, 0, STORE_ACQUIRE, "a", 1);
    assert_int_equal(asked_run(grant), STORE_RECOVERING);
    assert_true(grant->result.retry_after_us > 0);
    assert_true(grant->result.retry_after_us <= 300 * CLOCK_US_PER_MS);
    /* This Redis has no register, so every fence is one it never saw. */
    struct asked *renew = ask(fixture, 1, STORE_RENEW, "b", 1);
    renew->op.fence = 5;
    renew->op.since_ms = 6;
    assert_int_equal(asked_run(renew), STORE_OK);
    assert_int_equal(redis_fixture_integer(&fixture->redis, "EXISTS lock:b"), 1);
    store_fixture_wait(&fixture->store, asked_run(grant) != STORE_RECOVERING);
    assert_int_equal(grant->result.code, STORE_OK);
    store_fixture_release(&fixture->store);
    free_fixture(fixture);
}

static void test_a_new_redis_needs_no_recovery(void **state)
{
    (void)state;
    struct fixture *fixture = new_fixture(NULL);
    struct redis_store_config config = store_fixture_config();
    config.recovery_window_ms = 60000;
    open_store(fixture, config);
    redis_store_expect_new(fixture->store.store);
    assert_int_equal(asked_run(ask(fixture, 0, STORE_ACQUIRE, "a", 1)), STORE_OK);
    freeReplyObject(redis_fixture_command(&fixture->redis, "FLUSHALL"));
    assert_int_equal(asked_run(ask(fixture, 1, STORE_ACQUIRE, "b", 1)), STORE_RECOVERING);
    store_fixture_release(&fixture->store);
    free_fixture(fixture);
}

static void test_prefix_and_database(void **state)
{
    (void)state;
    struct fixture *fixture = new_fixture(NULL);
    struct redis_store_config config = store_fixture_config();
    char url[160];
    config.key_prefix = "";
    snprintf(url, sizeof(url), "unix://%s?db=5", fixture->redis.socket_path);
    store_fixture_init(&fixture->store, config, url);
    struct asked *asked = ask(fixture, 0, STORE_ACQUIRE, "a\0b", 1);
    asked->op.key_length = 3;
    assert_int_equal(asked_run(asked), STORE_OK);
    freeReplyObject(redis_fixture_command(&fixture->redis, "SELECT 5"));
    assert_int_equal(redis_fixture_integer(&fixture->redis, "EXISTS %b", "a\0b", (size_t)3), 1);
    store_fixture_release(&fixture->store);
    free_fixture(fixture);
}

static void connect_by_name(const char *host)
{
    struct fixture *fixture = new_fixture(NULL);
    char url[160];
    snprintf(url, sizeof(url), "redis://%s:%d", host, fixture->redis.port);
    store_fixture_init(&fixture->store, store_fixture_config(), url);
    assert_int_equal(asked_run(ask(fixture, 0, STORE_ACQUIRE, "a", 1)), STORE_OK);
    store_fixture_release(&fixture->store);
    free_fixture(fixture);
}

static void test_names_and_numbers(void **state)
{
    (void)state;
    connect_by_name("127.0.0.1");
    connect_by_name("localhost");
}

static void test_destroy_with_work_in_every_state(void **state)
{
    (void)state;
    for (int turns = 0; turns < 12; turns++) {
        struct fixture *fixture = new_fixture(NULL);
        char url[160];
        snprintf(url, sizeof(url), "redis://localhost:%d", fixture->redis.port);
        store_fixture_init(&fixture->store, store_fixture_config(), url);
        for (int turn = 0; turn < turns; turn++) {
            loop_turn(fixture->store.loop, CLOCK_US_PER_MS);
            asked_submit(ask_own_key(fixture, (size_t)turn, STORE_ACQUIRE));
        }
        store_fixture_release(&fixture->store);
        free_fixture(fixture);
    }
}

#define STORE_TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORE_TEST(test_a_lease_from_acquire_to_release),
        STORE_TEST(test_another_type_is_named),
        STORE_TEST(test_operations_of_a_turn_go_together),
        STORE_TEST(test_more_than_two_batches),
        STORE_TEST(test_what_a_near_redis_gets_next_waits_for_its_answer),
        STORE_TEST(test_renewals_in_front_then_releases),
        STORE_TEST(test_a_script_flush_is_healed),
        STORE_TEST(test_withdraw),
        cmocka_unit_test(test_limit_of_operations),
        cmocka_unit_test(test_the_limit_counts_what_it_refuses),
        STORE_TEST(test_the_impatient_wait_for_a_redis_that_answers),
        cmocka_unit_test(test_recovery_window),
        cmocka_unit_test(test_a_new_redis_needs_no_recovery),
        cmocka_unit_test(test_prefix_and_database),
        cmocka_unit_test(test_names_and_numbers),
        cmocka_unit_test(test_destroy_with_work_in_every_state),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
