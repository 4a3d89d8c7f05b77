/* SPDX-License-Identifier: Apache-2.0 */
#include "redis/batch.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#include <hiredis/hiredis.h>

#include "base/compiler.h"
#include "lease/lease.h"
#include "redis/lock_value.h"

struct fixture {
    struct script script;
    struct batch batch;
    struct batch_call call;
    struct store_op ops[BATCH_OPERATIONS_MAX];
    struct batch_answer answer;
};

static int set_up(void **state)
{
    static struct fixture fixture;
    memset(&fixture, 0, sizeof(fixture));
    script_init(&fixture.script);
    batch_init(&fixture.batch);
    fixture.call = (struct batch_call){
        .script = &fixture.script,
        .key_prefix = "lock:",
        .key_prefix_length = strlen("lock:"),
        .run_id = "run",
        .not_after_us = INT64_MAX,
        .recovery_window_us = 2000000,
    };
    *state = &fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    batch_release(&fixture->batch);
    return 0;
}

static void add(struct fixture *fixture, enum store_verb verb, const char *key)
{
    struct store_op *op = &fixture->ops[fixture->batch.count];
    *op = (struct store_op){.verb = verb, .key = key, .key_length = strlen(key), .ttl_ms = 3000};
    memset(op->tenure.bytes, 't', ID128_SIZE);
    memset(op->token.bytes, 'k', ID128_SIZE);
    op->label = "me";
    op->label_length = 2;
    op->fence = LOCK_VALUE_NUMBER_LIMIT - 1;
    op->since_ms = 258;
    batch_add(&fixture->batch, op);
}

static void assert_argument(const struct batch *batch, size_t at, const void *bytes, size_t length)
{
    assert_true(at < batch->argument_count);
    assert_int_equal(batch->lengths[at], length);
    assert_memory_equal(batch->arguments[at], bytes, length);
}

static void assert_text(const struct batch *batch, size_t at, const char *text)
{
    assert_argument(batch, at, text, strlen(text));
}

#define OWNER "\1tttttttttttttttt"
#define GRANT OWNER "kkkkkkkkkkkkkkkk"
#define VALUE GRANT "\0\x1f\xff\xff\xff\xff\xff\xff\0\0\0\0\0\0\1\2me"

static void test_every_verb(void **state)
{
    struct fixture *fixture = *state;
    const struct batch *batch = &fixture->batch;
    add(fixture, STORE_RENEW, "r");
    add(fixture, STORE_RELEASE, "l");
    add(fixture, STORE_ACQUIRE, "a");
    add(fixture, STORE_INSPECT, "i");
    batch_encode(&fixture->batch, &fixture->call);
    static const char *const start[] = {
        "5",   "holdfast:register",   "lock:r", "lock:l", "lock:a", "lock:i",
        "run", "9223372036854775807", "2000000"};
    assert_text(batch, 0, "EVALSHA");
    assert_text(batch, 1, fixture->script.sha);
    for (size_t i = 0; i < COUNT_OF(start); i++) {
        assert_text(batch, 2 + i, start[i]);
    }
    assert_text(batch, 11, "RENEW");
    assert_argument(batch, 12, VALUE, sizeof(VALUE) - 1);
    assert_text(batch, 13, "9007199254740991");
    assert_text(batch, 14, "3000");
    assert_text(batch, 15, "RELEASE");
    assert_text(batch, 16, OWNER);
    assert_text(batch, 17, "ACQUIRE");
    assert_text(batch, 18, GRANT);
    assert_text(batch, 19, "me");
    assert_text(batch, 20, "3000");
    assert_text(batch, 21, "INSPECT");
    assert_int_equal(batch->argument_count, 22);
}

static void test_in_full(void **state)
{
    struct fixture *fixture = *state;
    add(fixture, STORE_INSPECT, "i");
    fixture->call.is_in_full = true;
    batch_encode(&fixture->batch, &fixture->call);
    assert_text(&fixture->batch, 0, "EVAL");
    assert_text(&fixture->batch, 1, fixture->script.text);
}

static void test_the_largest_batch(void **state)
{
    struct fixture *fixture = *state;
    static char key[LEASE_KEY_MAX + 1];
    static char label[LEASE_LABEL_MAX];
    memset(key, 'k', LEASE_KEY_MAX);
    memset(label, 'l', LEASE_LABEL_MAX);
    for (int round = 0; round < 2; round++) {
        batch_clear(&fixture->batch);
        for (size_t i = 0; i < BATCH_OPERATIONS_MAX; i++) {
            add(fixture, STORE_RENEW, key);
            fixture->ops[i].label = label;
            fixture->ops[i].label_length = LEASE_LABEL_MAX;
            fixture->ops[i].ttl_ms = INT64_MAX;
        }
        batch_encode(&fixture->batch, &fixture->call);
        assert_int_equal(fixture->batch.argument_count, BATCH_ARGUMENTS_MAX);
        assert_int_equal(fixture->batch.lengths[4], strlen("lock:") + LEASE_KEY_MAX);
        assert_int_equal(fixture->batch.lengths[BATCH_ARGUMENTS_MAX - 3], LOCK_VALUE_SIZE_MAX);
    }
}

/* Reads `bytes` as hiredis would, and decodes it for the operations in the batch. */
static bool decode(struct fixture *fixture, const char *bytes)
{
    redisReader *reader = redisReaderCreate();
    void *reply = NULL;
    assert_int_equal(redisReaderFeed(reader, bytes, strlen(bytes)), REDIS_OK);
    assert_int_equal(redisReaderGetReply(reader, &reply), REDIS_OK);
    assert_non_null(reply);
    bool is_decoded = batch_decode(&fixture->batch, reply, &fixture->answer);
    freeReplyObject(reply);
    redisReaderFree(reader);
    return is_decoded;
}

static void test_results(void **state)
{
    struct fixture *fixture = *state;
    const struct store_result *results = fixture->answer.results;
    for (int i = 0; i < 4; i++) {
        add(fixture, STORE_ACQUIRE, "a");
    }
    add(fixture, STORE_RENEW, "r");
    add(fixture, STORE_RELEASE, "l");
    add(fixture, STORE_INSPECT, "i");
    add(fixture, STORE_INSPECT, "i");
    assert_true(decode(fixture, "*27\r\n:1700000000000000\r\n"
                                "$2\r\nOK\r\n:9007199254740991\r\n:77\r\n"
                                "$4\r\nBUSY\r\n:0\r\n:5\r\n:6\r\n:7\r\n$2\r\nab\r\n"
                                "$10\r\nRECOVERING\r\n:1999999\r\n"
                                "$4\r\nBUSY\r\n:1\r\n:0\r\n:0\r\n:-1\r\n$0\r\n\r\n"
                                "$2\r\nOK\r\n"
                                "$8\r\nNOT_HELD\r\n"
                                "$4\r\nFREE\r\n"
                                "$4\r\nHELD\r\n:0\r\n:5\r\n:6\r\n"
                                ":9223372036854775807\r\n$0\r\n\r\n"));
    assert_int_equal(fixture->answer.now_us, 1700000000000000);
    assert_int_equal(results[0].code, STORE_OK);
    assert_int_equal(results[0].fence, 9007199254740991);
    assert_int_equal(results[0].since_ms, 77);
    assert_int_equal(results[1].code, STORE_BUSY);
    assert_true(results[1].holder.is_held);
    assert_false(results[1].holder.is_foreign);
    assert_int_equal(results[1].holder.fence, 5);
    assert_int_equal(results[1].holder.since_ms, 6);
    assert_int_equal(results[1].holder.remaining_us, 7000);
    assert_int_equal(results[1].holder.label_length, 2);
    assert_int_equal(results[2].code, STORE_RECOVERING);
    assert_int_equal(results[2].retry_after_us, 1999999);
    assert_true(results[3].holder.is_foreign);
    assert_int_equal(results[3].holder.remaining_us, -1);
    assert_int_equal(results[4].code, STORE_OK);
    assert_int_equal(results[5].code, STORE_NOT_HELD);
    assert_int_equal(results[6].code, STORE_OK);
    assert_false(results[6].holder.is_held);
    assert_int_equal(results[7].code, STORE_OK);
    assert_true(results[7].holder.is_held);
    assert_int_equal(results[7].holder.remaining_us, INT64_MAX);
}

static void test_results_of_every_verb(void **state)
{
    struct fixture *fixture = *state;
    for (int verb = STORE_ACQUIRE; verb <= STORE_INSPECT; verb++) {
        batch_clear(&fixture->batch);
        for (int i = 0; i < 3; i++) {
            add(fixture, (enum store_verb)verb, "a");
        }
        assert_true(decode(fixture, "*6\r\n:5\r\n$7\r\nEXPIRED\r\n"
                                    "$10\r\nWRONG_TYPE\r\n$4\r\nlist\r\n"
                                    "$5\r\nERROR\r\n$3\r\nOOM\r\n"));
        assert_int_equal(fixture->answer.results[0].code, STORE_EXPIRED);
        assert_int_equal(fixture->answer.results[1].code, STORE_WRONG_TYPE);
        assert_int_equal(fixture->answer.results[2].code, STORE_UNAVAILABLE);
    }
}

/* For a batch of one ACQUIRE. */
static const char *const malformed[] = {
    "+OK\r\n",
    ":5\r\n",
    "$-1\r\n",
    "*-1\r\n",
    "*0\r\n",
    "*1\r\n:5\r\n",
    "*3\r\n:5\r\n$7\r\nEXPIRED\r\n$7\r\nEXPIRED\r\n",
    "*2\r\n$1\r\n5\r\n$7\r\nEXPIRED\r\n",
    "*2\r\n:-5\r\n$7\r\nEXPIRED\r\n",
    "*2\r\n:9007199254740992\r\n$7\r\nEXPIRED\r\n",
    "*2\r\n:5\r\n*1\r\n$7\r\nEXPIRED\r\n",
    "*2\r\n:5\r\n*0\r\n",
    "*2\r\n:5\r\n-ERR no\r\n",
    "*2\r\n:5\r\n:7\r\n",
    "*2\r\n:5\r\n$-1\r\n",
    "*2\r\n:5\r\n$3\r\nFOO\r\n",
    "*2\r\n:5\r\n$0\r\n\r\n",
    "*2\r\n:5\r\n+OK\r\n",
    "*2\r\n:5\r\n$2\r\nOK\r\n",
    "*3\r\n:5\r\n$2\r\nOK\r\n:5\r\n",
    "*2\r\n:5\r\n$8\r\nNOT_HELD\r\n",
    "*2\r\n:5\r\n$4\r\nFREE\r\n",
    "*3\r\n:5\r\n$7\r\nEXPIRED\r\n:1\r\n",
    "*4\r\n:5\r\n$2\r\nOK\r\n:0\r\n:7\r\n",
    "*4\r\n:5\r\n$2\r\nOK\r\n:-1\r\n:7\r\n",
    "*4\r\n:5\r\n$2\r\nOK\r\n:9007199254740992\r\n:7\r\n",
    "*4\r\n:5\r\n$2\r\nOK\r\n:5\r\n:-1\r\n",
    "*4\r\n:5\r\n$2\r\nOK\r\n$1\r\n5\r\n:7\r\n",
    "*5\r\n:5\r\n$2\r\nOK\r\n:5\r\n:7\r\n:7\r\n",
    "*2\r\n:5\r\n$10\r\nRECOVERING\r\n",
    "*3\r\n:5\r\n$10\r\nRECOVERING\r\n:-1\r\n",
    "*3\r\n:5\r\n$5\r\nERROR\r\n:5\r\n",
    "*2\r\n:5\r\n$5\r\nERROR\r\n",
    "*3\r\n:5\r\n$10\r\nWRONG_TYPE\r\n$-1\r\n",
    "*2\r\n:5\r\n$4\r\nBUSY\r\n",
    "*6\r\n:5\r\n$4\r\nBUSY\r\n:0\r\n:5\r\n:6\r\n:7\r\n",
    "*7\r\n:5\r\n$4\r\nBUSY\r\n:0\r\n:5\r\n:6\r\n:-2\r\n$0\r\n\r\n",
    "*7\r\n:5\r\n$4\r\nBUSY\r\n:0\r\n:5\r\n:6\r\n:7\r\n:8\r\n",
    "*7\r\n:5\r\n$4\r\nBUSY\r\n:0\r\n:-5\r\n:6\r\n:7\r\n$0\r\n\r\n",
    "*7\r\n:5\r\n$4\r\nBUSY\r\n:0\r\n:5\r\n:6\r\n:7\r\n$-1\r\n",
    "*7\r\n:5\r\n$4\r\nBUSY\r\n$1\r\n0\r\n:5\r\n:6\r\n:7\r\n$0\r\n\r\n",
    "*7\r\n:5\r\n$4\r\nHELD\r\n:0\r\n:5\r\n:6\r\n:7\r\n$0\r\n\r\n",
    "*7\r\n:5\r\n$4\r\nBUSY\r\n:0\r\n:5\r\n:6\r\n*0\r\n$0\r\n\r\n",
};

static void test_malformed(void **state)
{
    struct fixture *fixture = *state;
    add(fixture, STORE_ACQUIRE, "a");
    for (size_t i = 0; i < COUNT_OF(malformed); i++) {
        if (decode(fixture, malformed[i])) {
            fail_msg("taken for a reply: %s", malformed[i]);
        }
    }
}

static void test_malformed_for_other_verbs(void **state)
{
    struct fixture *fixture = *state;
    add(fixture, STORE_RENEW, "a");
    assert_false(decode(fixture, "*4\r\n:5\r\n$2\r\nOK\r\n:5\r\n:7\r\n"));
    assert_false(decode(fixture, "*3\r\n:5\r\n$8\r\nNOT_HELD\r\n:1\r\n"));
    assert_false(decode(fixture, "*3\r\n:5\r\n$10\r\nRECOVERING\r\n:1\r\n"));
    batch_clear(&fixture->batch);
    add(fixture, STORE_INSPECT, "a");
    assert_false(decode(fixture, "*2\r\n:5\r\n$2\r\nOK\r\n"));
    assert_false(decode(fixture, "*3\r\n:5\r\n$4\r\nFREE\r\n:1\r\n"));
}

static void test_longest_label(void **state)
{
    struct fixture *fixture = *state;
    char label[LEASE_LABEL_MAX + 2] = "";
    char bytes[500];
    add(fixture, STORE_INSPECT, "a");
    for (size_t length = LEASE_LABEL_MAX; length <= LEASE_LABEL_MAX + 1; length++) {
        memset(label, 'l', length);
        snprintf(bytes, sizeof(bytes),
                 "*7\r\n:5\r\n$4\r\nHELD\r\n:0\r\n:5\r\n:6\r\n:7\r\n$%zu\r\n%s\r\n", length, label);
        assert_int_equal(decode(fixture, bytes), length == LEASE_LABEL_MAX);
    }
}

#define BATCH_TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        BATCH_TEST(test_every_verb),
        BATCH_TEST(test_in_full),
        BATCH_TEST(test_the_largest_batch),
        BATCH_TEST(test_results),
        BATCH_TEST(test_results_of_every_verb),
        BATCH_TEST(test_malformed),
        BATCH_TEST(test_malformed_for_other_verbs),
        BATCH_TEST(test_longest_label),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
