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

#define SERVER_ID "0123456789abcdef0123456789abcdef"

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
        .watch_us = 77,
        .server_id = SERVER_ID,
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

#define OWNER  "\1tttttttttttttttt\0"
#define GRANT  OWNER "kkkkkkkkkkkkkkkk"
#define TAIL   "\2me"
#define RECORD GRANT "\0\x1f\xff\xff\xff\xff\xff\xff\0\0\0\0\0\0\1\2" TAIL

#define ASSERT_BYTES(batch, at, bytes) assert_argument(batch, at, bytes, sizeof(bytes) - 1)

static void test_every_verb(void **state)
{
    struct fixture *fixture = *state;
    const struct batch *batch = &fixture->batch;
    add(fixture, STORE_RENEW, "r");
    add(fixture, STORE_RELEASE, "l");
    add(fixture, STORE_ACQUIRE, "a");
    add(fixture, STORE_RESUME, "s");
    add(fixture, STORE_INSPECT, "i");
    batch_encode(&fixture->batch, &fixture->call);
    static const char *const start[] = {
        "6",      "holdfast:register", "lock:r", "lock:l", "lock:a", "lock:s", "lock:i", "run",
        SERVER_ID};
    assert_text(batch, 0, "EVALSHA");
    assert_text(batch, 1, fixture->script.sha);
    for (size_t i = 0; i < COUNT_OF(start); i++) {
        assert_text(batch, 2 + i, start[i]);
    }
    ASSERT_BYTES(batch, 11,
                 "\x43\xe0\0\0\0\0\0\0"
                 "\x41\x3e\x84\x80\0\0\0\0"
                 "\x40\x53\x40\0\0\0\0\0"
                 "\x40\xa7\x70\0\0\0\0\0");
    ASSERT_BYTES(batch, 12, TAIL);
    ASSERT_BYTES(batch, 13, RECORD);
    ASSERT_BYTES(batch, 14, OWNER);
    ASSERT_BYTES(batch, 15, GRANT);
    assert_text(batch, 16, "S");
    assert_text(batch, 17, "tttttttttttttttt");
    assert_text(batch, 18, "kkkkkkkkkkkkkkkk");
    assert_text(batch, 19, "3000");
    assert_text(batch, 20, "I");
    assert_int_equal(batch->argument_count, 21);
}

/* What differs from what most have in common is told in full. */
static void test_in_short(void **state)
{
    struct fixture *fixture = *state;
    const struct batch *batch = &fixture->batch;
    struct store_op *ops = fixture->ops;
    add(fixture, STORE_RENEW, "a");
    ops[0].ttl_ms = 4000;
    add(fixture, STORE_ACQUIRE, "b");
    ops[1].wants_queue = true;
    add(fixture, STORE_ACQUIRE, "c");
    ops[2].lock_delay_ms = 500;
    add(fixture, STORE_ACQUIRE, "d");
    ops[3].ttl_ms = 3500;
    add(fixture, STORE_ACQUIRE, "e");
    add(fixture, STORE_ACQUIRE, "f");
    ops[5].ttl_ms = 3500;
    ops[5].label = "my";
    add(fixture, STORE_ACQUIRE, "g");
    ops[6].ttl_ms = 3500;
    ops[6].value = "it";
    ops[6].value_length = 2;
    batch_encode(&fixture->batch, &fixture->call);
    const size_t first = 14;
    ASSERT_BYTES(batch, first, TAIL);
    assert_text(batch, first + 1, "N");
    ASSERT_BYTES(batch, first + 2, RECORD);
    assert_text(batch, first + 3, "4000");
    ASSERT_BYTES(batch, first + 4, "A\0\1\0\0\0\0\0\0\0\0\0\0\3\xe8");
    ASSERT_BYTES(batch, first + 8, GRANT);
    ASSERT_BYTES(batch, first + 9, GRANT);
    assert_text(batch, first + 10, "A");
    assert_text(batch, first + 13, "3000");
    assert_text(batch, first + 14, "A");
    assert_text(batch, first + 16, "\2my");
    assert_text(batch, first + 18, "A");
    assert_text(batch, first + 20, TAIL "it");
    assert_int_equal(batch->argument_count, first + 22);
}

/* Without an ACQUIRE the ttl is that of the first RENEW, and the tail has nothing in it. */
static void test_renewals_in_short(void **state)
{
    struct fixture *fixture = *state;
    const struct batch *batch = &fixture->batch;
    add(fixture, STORE_RELEASE, "a");
    add(fixture, STORE_RENEW, "b");
    add(fixture, STORE_RENEW, "c");
    fixture->ops[2].ttl_ms = 4000;
    batch_encode(&fixture->batch, &fixture->call);
    ASSERT_BYTES(batch, 10, "\0");
    ASSERT_BYTES(batch, 11, OWNER);
    ASSERT_BYTES(batch, 12, RECORD);
    assert_text(batch, 13, "N");
    assert_text(batch, 15, "4000");
}

static void test_options(void **state)
{
    struct fixture *fixture = *state;
    const struct batch *batch = &fixture->batch;
    struct store_op *ops = fixture->ops;
    add(fixture, STORE_ACQUIRE, "a");
    ops[0].mode = STORE_SHARED;
    ops[0].wants_queue = true;
    ops[0].limit = 0x01020304;
    ops[0].fence_block = 5;
    ops[0].value = "it";
    ops[0].value_length = 2;
    ops[0].lock_delay_ms = 500;
    add(fixture, STORE_ACQUIRE, "b");
    ops[1].wants_queue = true;
    ops[1].ttl_ms = 200;
    add(fixture, STORE_RENEW, "c");
    ops[2].mode = STORE_SHARED;
    ops[2].lock_delay_ms = 1;
    add(fixture, STORE_RENEW, "d");
    ops[3].fence_block = 258;
    add(fixture, STORE_RELEASE, "e");
    ops[4].mode = STORE_ANY_MODE;
    add(fixture, STORE_RELEASE, "f");
    ops[5].lock_delay_ms = UINT32_MAX;
    add(fixture, STORE_RELEASE, "g");
    ops[6].wants_queue = true;
    add(fixture, STORE_RENEW, "h");
    ops[7].mode = STORE_ANY_MODE;
    add(fixture, STORE_RELEASE, "i");
    ops[8].keeps_lock = true;
    batch_encode(&fixture->batch, &fixture->call);
    const size_t first = 17;
    ASSERT_BYTES(batch, first, "A\1\1\1\2\3\4\0\0\0\5\0\0\3\xe8");
    assert_text(batch, first + 2, TAIL "it");
    assert_text(batch, first + 3, "3500");
    ASSERT_BYTES(batch, first + 4, "A\0\1\0\0\0\0\0\0\0\0\0\0\0\xc8");
    ASSERT_BYTES(batch, first + 8, "N\1\0\0\0\0");
    assert_text(batch, first + 10, "3001");
    ASSERT_BYTES(batch, first + 11, "N\0\0\0\1\2");
    ASSERT_BYTES(batch, first + 14, "R\0\0\0\0\0kkkkkkkkkkkkkkkk");
    ASSERT_BYTES(batch, first + 16, "R\0\xff\xff\xff\xffkkkkkkkkkkkkkkkk");
    ASSERT_BYTES(batch, first + 18, "R\1\0\0\0\0kkkkkkkkkkkkkkkk");
    ASSERT_BYTES(batch, first + 20, RECORD);
    ASSERT_BYTES(batch, first + 21, "R\2\0\0\0\0kkkkkkkkkkkkkkkk");
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
    static char data[LEASE_VALUE_MAX];
    memset(data, 'd', LEASE_VALUE_MAX);
    memset(key, 'k', LEASE_KEY_MAX);
    memset(label, 'l', LEASE_LABEL_MAX);
    for (int round = 0; round < 2; round++) {
        batch_clear(&fixture->batch);
        for (size_t i = 0; i < BATCH_OPERATIONS_MAX; i++) {
            add(fixture, STORE_ACQUIRE, key);
            fixture->ops[i].label = label;
            fixture->ops[i].label_length = LEASE_LABEL_MAX;
            fixture->ops[i].value = data;
            fixture->ops[i].value_length = LEASE_VALUE_MAX;
            fixture->ops[i].wants_queue = true;
            fixture->ops[i].ttl_ms = INT64_MAX;
        }
        batch_encode(&fixture->batch, &fixture->call);
        assert_int_equal(fixture->batch.argument_count, BATCH_ARGUMENTS_MAX);
        assert_int_equal(fixture->batch.lengths[4], strlen("lock:") + LEASE_KEY_MAX);
        assert_int_equal(fixture->batch.lengths[BATCH_ARGUMENTS_MAX - 2],
                         LOCK_VALUE_SIZE_MAX - LOCK_VALUE_STAMP_SIZE);
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
    assert_true(decode(fixture, "*33\r\n:1700000000000000\r\n"
                                "$2\r\nOK\r\n:9007199254740991\r\n:77\r\n"
                                "$4\r\nBUSY\r\n:6\r\n:4\r\n:5\r\n:6\r\n:7\r\n$2\r\nab\r\n"
                                "$10\r\nRECOVERING\r\n:1999999\r\n"
                                "$4\r\nBUSY\r\n:1\r\n:1\r\n:0\r\n:0\r\n:-1\r\n$0\r\n\r\n"
                                "$2\r\nOK\r\n"
                                "$8\r\nNOT_HELD\r\n"
                                "$4\r\nFREE\r\n:3\r\n"
                                "$4\r\nHELD\r\n:0\r\n:1\r\n:5\r\n:6\r\n"
                                ":9223372036854775807\r\n$0\r\n\r\n:2\r\n$2\r\nxy\r\n"));
    assert_int_equal(fixture->answer.now_us, 1700000000000000);
    assert_int_equal(results[0].code, STORE_OK);
    assert_int_equal(results[0].fence, 9007199254740991);
    assert_int_equal(results[0].since_ms, 77);
    assert_int_equal(results[1].code, STORE_BUSY);
    assert_true(results[1].holder.is_held);
    assert_false(results[1].holder.is_foreign);
    assert_true(results[1].holder.is_closed);
    assert_int_equal(results[1].holder.mode, STORE_SHARED);
    assert_int_equal(results[1].holder.holders, 4);
    assert_int_equal(results[1].holder.fence, 5);
    assert_int_equal(results[1].holder.since_ms, 6);
    assert_int_equal(results[1].holder.remaining_us, 7000);
    assert_int_equal(results[1].holder.label_length, 2);
    assert_int_equal(results[2].code, STORE_RECOVERING);
    assert_int_equal(results[2].retry_after_us, 1999999);
    assert_true(results[3].holder.is_foreign);
    assert_int_equal(results[3].holder.mode, STORE_EXCLUSIVE);
    assert_int_equal(results[3].holder.remaining_us, -1);
    assert_int_equal(results[4].code, STORE_OK);
    assert_int_equal(results[5].code, STORE_NOT_HELD);
    assert_int_equal(results[6].code, STORE_OK);
    assert_false(results[6].holder.is_held);
    assert_int_equal(results[6].holder.waiting, 3);
    assert_int_equal(results[7].code, STORE_OK);
    assert_true(results[7].holder.is_held);
    assert_int_equal(results[7].holder.remaining_us, INT64_MAX);
    assert_int_equal(results[7].holder.waiting, 2);
    assert_int_equal(results[7].holder.value_length, 2);
}

static void test_a_grant_without_more_to_tell(void **state)
{
    struct fixture *fixture = *state;
    const struct store_result *results = fixture->answer.results;
    add(fixture, STORE_ACQUIRE, "a");
    assert_true(decode(fixture, "*2\r\n:1700000000000999\r\n:1700000000000999\r\n"));
    assert_int_equal(results[0].code, STORE_OK);
    assert_int_equal(results[0].fence, 1700000000000999);
    assert_int_equal(results[0].since_ms, 1700000000000);
    assert_false(decode(fixture, "*2\r\n:5\r\n:0\r\n"));
    assert_false(decode(fixture, "*2\r\n:5\r\n:9007199254740992\r\n"));
    fixture->ops[0].fence_block = 8;
    assert_false(decode(fixture, "*2\r\n:5\r\n:6\r\n"));
    fixture->ops[0].fence_block = 0;
    fixture->ops[0].verb = STORE_RELEASE;
    assert_false(decode(fixture, "*2\r\n:5\r\n:6\r\n"));
}

static void test_rows(void **state)
{
    struct fixture *fixture = *state;
    const struct store_result *results = fixture->answer.results;
    add(fixture, STORE_RENEW, "n");
    add(fixture, STORE_RELEASE, "r");
    add(fixture, STORE_ACQUIRE, "a");
    add(fixture, STORE_ACQUIRE, "b");
    fixture->ops[3].wants_queue = true; /* but could not be told to Redis */
    assert_true(decode(fixture, "*3\r\n:7000\r\n:-4\r\n:8000\r\n"));
    for (int i = 0; i < 4; i++) {
        assert_int_equal(results[i].code, STORE_OK);
    }
    assert_int_equal(results[2].fence, 8000);
    assert_int_equal(results[3].fence, 8001);
    assert_int_equal(results[3].since_ms, 7);
    assert_true(decode(fixture, "*5\r\n:7000\r\n:-1\r\n$8\r\nNOT_HELD\r\n:-2\r\n:9000\r\n"));
    assert_int_equal(results[0].code, STORE_OK);
    assert_int_equal(results[1].code, STORE_NOT_HELD);
    assert_int_equal(results[2].fence, 9000);
    assert_int_equal(results[3].fence, 9001);
    assert_true(decode(fixture, "*3\r\n:5\r\n:-4\r\n:9007199254740990\r\n"));
}

static void test_malformed_rows(void **state)
{
    struct fixture *fixture = *state;
    add(fixture, STORE_RENEW, "n");
    add(fixture, STORE_ACQUIRE, "a");
    add(fixture, STORE_ACQUIRE, "b");
    assert_true(decode(fixture, "*3\r\n:5\r\n:-3\r\n:6\r\n"));
    assert_false(decode(fixture, "*2\r\n:5\r\n:-3\r\n"));
    assert_false(decode(fixture, "*3\r\n:5\r\n:-2\r\n:6\r\n"));
    assert_false(decode(fixture, "*3\r\n:5\r\n:-4\r\n:6\r\n"));
    assert_false(decode(fixture, "*3\r\n:5\r\n:-3\r\n:0\r\n"));
    assert_false(decode(fixture, "*3\r\n:5\r\n:-3\r\n:9007199254740991\r\n"));
    assert_false(decode(fixture, "*3\r\n:5\r\n:-9223372036854775808\r\n:6\r\n"));
    assert_false(decode(fixture, "*4\r\n:5\r\n:-3\r\n:6\r\n:7\r\n"));
    fixture->ops[0].fence = 0;
    assert_false(decode(fixture, "*3\r\n:5\r\n:-3\r\n:6\r\n"));
    fixture->ops[0].fence = 1;
    fixture->ops[2].fence_block = 1;
    assert_false(decode(fixture, "*3\r\n:5\r\n:-3\r\n:6\r\n"));
    fixture->ops[2].verb = STORE_INSPECT;
    assert_false(decode(fixture, "*3\r\n:5\r\n:-3\r\n:6\r\n"));
}

static void test_results_of_waiting(void **state)
{
    struct fixture *fixture = *state;
    const struct store_result *results = fixture->answer.results;
    add(fixture, STORE_ACQUIRE, "a");
    fixture->ops[0].wants_queue = true;
    add(fixture, STORE_ACQUIRE, "a");
    fixture->ops[1].fence_block = 8;
    add(fixture, STORE_RENEW, "r");
    fixture->ops[2].fence_block = 8;
    add(fixture, STORE_RENEW, "r");
    fixture->ops[3].fence = 0;
    fixture->ops[3].fence_block = 8;
    add(fixture, STORE_RESUME, "s");
    add(fixture, STORE_RESUME, "s");
    add(fixture, STORE_RESUME, "s");
    assert_true(decode(fixture, "*29\r\n:5\r\n"
                                "$6\r\nQUEUED\r\n:0\r\n:1\r\n:5\r\n:6\r\n:7\r\n$0\r\n\r\n"
                                "$2\r\nOK\r\n:5\r\n:6\r\n:13\r\n:2\r\n"
                                "$2\r\nOK\r\n:0\r\n:4294967295\r\n"
                                "$2\r\nOK\r\n:5\r\n:14\r\n:0\r\n"
                                "$2\r\nOK\r\n:4\r\n:5\r\n:6\r\n$1\r\nl\r\n$2\r\nvv\r\n"
                                "$8\r\nNOT_HELD\r\n"
                                "$10\r\nRECOVERING\r\n:9\r\n"));
    assert_int_equal(results[0].code, STORE_QUEUED);
    assert_int_equal(results[0].holder.fence, 5);
    assert_int_equal(results[1].fence_end, 13);
    assert_int_equal(results[1].waiting, 2);
    assert_int_equal(results[2].fence_end, 0);
    assert_int_equal(results[2].waiting, UINT32_MAX);
    assert_int_equal(results[3].fence, 5);
    assert_int_equal(results[3].fence_end, 14);
    assert_int_equal(results[4].code, STORE_OK);
    assert_int_equal(results[4].fence, 5);
    assert_int_equal(results[4].since_ms, 6);
    assert_int_equal(results[4].holder.mode, STORE_SHARED);
    assert_int_equal(results[4].holder.label_length, 1);
    assert_int_equal(results[4].holder.value_length, 2);
    assert_int_equal(results[5].code, STORE_NOT_HELD);
    assert_int_equal(results[6].code, STORE_RECOVERING);
    assert_int_equal(results[6].retry_after_us, 9);
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
    "*2\r\n:5\r\n:-7\r\n",
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
    "*7\r\n:5\r\n$4\r\nBUSY\r\n:0\r\n:1\r\n:5\r\n:6\r\n:7\r\n",
    "*8\r\n:5\r\n$4\r\nBUSY\r\n:0\r\n:1\r\n:5\r\n:6\r\n:-2\r\n$0\r\n\r\n",
    "*8\r\n:5\r\n$4\r\nBUSY\r\n:0\r\n:1\r\n:5\r\n:6\r\n:7\r\n:8\r\n",
    "*8\r\n:5\r\n$4\r\nBUSY\r\n:0\r\n:1\r\n:-5\r\n:6\r\n:7\r\n$0\r\n\r\n",
    "*8\r\n:5\r\n$4\r\nBUSY\r\n:0\r\n:-1\r\n:5\r\n:6\r\n:7\r\n$0\r\n\r\n",
    "*8\r\n:5\r\n$4\r\nBUSY\r\n:0\r\n:4294967296\r\n:5\r\n:6\r\n:7\r\n$0\r\n\r\n",
    "*8\r\n:5\r\n$4\r\nBUSY\r\n:8\r\n:1\r\n:5\r\n:6\r\n:7\r\n$0\r\n\r\n",
    "*8\r\n:5\r\n$4\r\nBUSY\r\n:0\r\n:1\r\n:5\r\n:6\r\n:7\r\n$-1\r\n",
    "*8\r\n:5\r\n$4\r\nBUSY\r\n$1\r\n0\r\n:1\r\n:5\r\n:6\r\n:7\r\n$0\r\n\r\n",
    "*8\r\n:5\r\n$4\r\nHELD\r\n:0\r\n:1\r\n:5\r\n:6\r\n:7\r\n$0\r\n\r\n",
    "*8\r\n:5\r\n$4\r\nBUSY\r\n:0\r\n:1\r\n:5\r\n:6\r\n*0\r\n$0\r\n\r\n",
    "*8\r\n:5\r\n$6\r\nQUEUED\r\n:0\r\n:1\r\n:5\r\n:6\r\n:7\r\n$0\r\n\r\n",
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
    assert_false(decode(fixture, "*2\r\n:5\r\n$4\r\nFREE\r\n"));
    assert_false(decode(fixture, "*3\r\n:5\r\n$4\r\nFREE\r\n:-1\r\n"));
    batch_clear(&fixture->batch);
    add(fixture, STORE_RESUME, "a");
    assert_false(decode(fixture, "*2\r\n:5\r\n$2\r\nOK\r\n"));
    assert_false(decode(fixture, "*7\r\n:5\r\n$2\r\nOK\r\n:1\r\n:5\r\n:6\r\n$0\r\n\r\n"
                                 "$0\r\n\r\n"));
    assert_false(decode(fixture, "*7\r\n:5\r\n$2\r\nOK\r\n:0\r\n:0\r\n:6\r\n$0\r\n\r\n"
                                 "$0\r\n\r\n"));
    batch_clear(&fixture->batch);
    add(fixture, STORE_RENEW, "a");
    fixture->ops[0].fence_block = 1;
    assert_false(decode(fixture, "*2\r\n:5\r\n$2\r\nOK\r\n"));
    assert_false(decode(fixture, "*3\r\n:5\r\n$2\r\nOK\r\n:5\r\n"));
    assert_false(decode(fixture, "*4\r\n:5\r\n$2\r\nOK\r\n:5\r\n:4294967296\r\n"));
}

static void test_an_empty_batch_tells_the_window_unless_it_came_too_late(void **state)
{
    struct fixture *fixture = *state;
    batch_clear(&fixture->batch);
    assert_true(decode(fixture, "*2\r\n:5\r\n:7\r\n"));
    assert_int_equal(fixture->answer.now_us, 5);
    assert_int_equal(fixture->answer.window_us, 7);
    assert_true(decode(fixture, "*1\r\n:6\r\n"));
    assert_int_equal(fixture->answer.now_us, 6);
    assert_int_equal(fixture->answer.window_us, 0);
    assert_false(decode(fixture, "*3\r\n:5\r\n:7\r\n:9\r\n"));
}

static void test_longest_texts(void **state)
{
    struct fixture *fixture = *state;
    char label[LEASE_LABEL_MAX + 2] = "";
    static char data[LEASE_VALUE_MAX + 2];
    static char bytes[LEASE_VALUE_MAX + 500];
    add(fixture, STORE_INSPECT, "a");
    for (size_t more = 0; more < 4; more++) {
        size_t label_length = LEASE_LABEL_MAX + more % 2;
        size_t data_length = LEASE_VALUE_MAX + more / 2;
        memset(label, 0, sizeof(label));
        memset(data, 0, sizeof(data));
        memset(label, 'l', label_length);
        memset(data, 'd', data_length);
        snprintf(bytes, sizeof(bytes),
                 "*10\r\n:5\r\n$4\r\nHELD\r\n:0\r\n:1\r\n:5\r\n:6\r\n:7\r\n$%zu\r\n%s\r\n"
                 ":0\r\n$%zu\r\n%s\r\n",
                 label_length, label, data_length, data);
        assert_int_equal(decode(fixture, bytes), more == 0);
    }
}

#define BATCH_TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        BATCH_TEST(test_every_verb),
        BATCH_TEST(test_in_short),
        BATCH_TEST(test_renewals_in_short),
        BATCH_TEST(test_options),
        BATCH_TEST(test_in_full),
        BATCH_TEST(test_the_largest_batch),
        BATCH_TEST(test_results),
        BATCH_TEST(test_a_grant_without_more_to_tell),
        BATCH_TEST(test_rows),
        BATCH_TEST(test_malformed_rows),
        BATCH_TEST(test_results_of_waiting),
        BATCH_TEST(test_results_of_every_verb),
        BATCH_TEST(test_malformed),
        BATCH_TEST(test_malformed_for_other_verbs),
        BATCH_TEST(test_an_empty_batch_tells_the_window_unless_it_came_too_late),
        BATCH_TEST(test_longest_texts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
