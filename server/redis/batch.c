/* SPDX-License-Identifier: Apache-2.0 */
#include "redis/batch.h"

#include <hiredis/hiredis.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/memory.h"
#include "redis/lock_value.h"

#define REGISTER_KEY "holdfast:register"

#define NUMBER_SIZE      ((size_t)24) /* any 64-bit number in decimal, with its NUL */
#define CALL_NUMBERS     ((size_t)3)  /* key count, not_after_us, recovery_window_us */
#define OP_NUMBERS       ((size_t)2)  /* at most: fence, ttl_ms */
#define HOLDER_ELEMENTS  ((size_t)6)
#define GRANT_ELEMENTS   ((size_t)3)
#define REMAINING_MS_MAX (INT64_MAX / CLOCK_US_PER_MS)

static void put(struct batch *batch, const void *bytes, size_t length)
{
    CHECK(batch->argument_count < BATCH_ARGUMENTS_MAX);
    batch->arguments[batch->argument_count] = bytes;
    batch->lengths[batch->argument_count] = length;
    batch->argument_count++;
}

static void put_text(struct batch *batch, const char *text)
{
    put(batch, text, strlen(text));
}

/* Takes `length` bytes of the batch's own memory. */
static char *claim(struct batch *batch, size_t length)
{
    CHECK(length <= batch->size - batch->used);
    char *bytes = batch->bytes + batch->used;
    batch->used += length;
    return bytes;
}

static void put_number(struct batch *batch, int64_t number)
{
    char *text = claim(batch, NUMBER_SIZE);
    int length = snprintf(text, NUMBER_SIZE, "%" PRId64, number);
    put(batch, text, (size_t)length);
}

static void put_key(struct batch *batch, const char *prefix, const struct store_op *op)
{
    size_t prefix_length = strlen(prefix);
    char *key = claim(batch, prefix_length + op->key_length);
    memcpy(key, prefix, prefix_length);
    memcpy(key + prefix_length, op->key, op->key_length);
    put(batch, key, prefix_length + op->key_length);
}

/* The first `size` bytes of the lock's value; all of it when size is LOCK_VALUE_SIZE_MAX. */
static void put_value(struct batch *batch, const struct store_op *op, size_t size)
{
    struct lock_value value = {
        .tenure = op->tenure,
        .token = op->token,
        .fence = op->fence,
        .since_ms = op->since_ms,
        .label = op->label,
        .label_length = op->label_length,
    };
    char *bytes = claim(batch, LOCK_VALUE_SIZE_MAX);
    size_t whole = lock_value_encode(&value, (uint8_t *)bytes);
    put(batch, bytes, whole < size ? whole : size);
}

static void put_operation(struct batch *batch, const struct store_op *op)
{
    switch (op->verb) {
    case STORE_ACQUIRE:
        put_text(batch, "ACQUIRE");
        put_value(batch, op, LOCK_VALUE_GRANT_SIZE);
        put(batch, op->label_length > 0 ? op->label : "", op->label_length);
        put_number(batch, op->ttl_ms);
        break;
    case STORE_RENEW:
        CHECK(op->fence < LOCK_VALUE_NUMBER_LIMIT);
        put_text(batch, "RENEW");
        put_value(batch, op, LOCK_VALUE_SIZE_MAX);
        put_number(batch, (int64_t)op->fence);
        put_number(batch, op->ttl_ms);
        break;
    case STORE_RELEASE:
        put_text(batch, "RELEASE");
        put_value(batch, op, LOCK_VALUE_OWNER_SIZE);
        break;
    case STORE_INSPECT:
        put_text(batch, "INSPECT");
        break;
    }
}

/* Memory is taken before anything points into it. */
static void make_room(struct batch *batch, const struct batch_call *call)
{
    size_t needed = CALL_NUMBERS * NUMBER_SIZE;
    for (size_t i = 0; i < batch->count; i++) {
        needed += strlen(call->key_prefix) + batch->ops[i]->key_length;
        needed += LOCK_VALUE_SIZE_MAX + OP_NUMBERS * NUMBER_SIZE;
    }
    if (needed > batch->size) {
        batch->bytes = memory_resize(batch->bytes, needed);
        batch->size = needed;
    }
    batch->used = 0;
    batch->argument_count = 0;
}

static bool is_word(const struct redisReply *reply, const char *word)
{
    return reply->type == REDIS_REPLY_STRING && reply->len == strlen(word) &&
           memcmp(reply->str, word, reply->len) == 0;
}

/* An integer from `min` up to 2^53. */
static bool take_number(const struct redisReply *reply, int64_t min, int64_t *number)
{
    if (reply->type != REDIS_REPLY_INTEGER || reply->integer < min ||
        reply->integer >= (int64_t)LOCK_VALUE_NUMBER_LIMIT) {
        return false;
    }
    *number = reply->integer;
    return true;
}

static bool take_holder(const struct redisReply *reply, struct store_holder *holder)
{
    int64_t is_foreign = 0;
    int64_t fence = 0;
    if (reply->elements != HOLDER_ELEMENTS || !take_number(reply->element[1], 0, &is_foreign) ||
        !take_number(reply->element[2], 0, &fence) ||
        !take_number(reply->element[3], 0, &holder->since_ms)) {
        return false;
    }
    const struct redisReply *remaining = reply->element[4];
    const struct redisReply *label = reply->element[5];
    if (remaining->type != REDIS_REPLY_INTEGER || remaining->integer < -1 ||
        label->type != REDIS_REPLY_STRING || label->len > LEASE_LABEL_MAX) {
        return false;
    }
    holder->is_held = true;
    holder->is_foreign = is_foreign != 0;
    holder->fence = (uint64_t)fence;
    holder->remaining_us = remaining->integer;
    if (remaining->integer >= 0) {
        bool is_huge = remaining->integer > REMAINING_MS_MAX;
        holder->remaining_us = is_huge ? INT64_MAX : remaining->integer * CLOCK_US_PER_MS;
    }
    holder->label = label->str;
    holder->label_length = label->len;
    return true;
}

static bool take_text(const struct redisReply *reply, const char **text)
{
    if (reply->elements != 2 || reply->element[1]->type != REDIS_REPLY_STRING) {
        return false;
    }
    *text = reply->element[1]->str;
    return true;
}

/* What every verb may answer. */
static bool take_refusal(const struct redisReply *reply, struct store_result *result)
{
    const struct redisReply *word = reply->element[0];
    if (is_word(word, "EXPIRED")) {
        result->code = STORE_EXPIRED;
        return reply->elements == 1;
    }
    if (is_word(word, "WRONG_TYPE")) {
        result->code = STORE_WRONG_TYPE;
        return take_text(reply, &result->detail);
    }
    if (is_word(word, "ERROR")) {
        result->code = STORE_UNAVAILABLE;
        return take_text(reply, &result->detail);
    }
    return false;
}

static bool take_acquire(const struct redisReply *reply, struct store_result *result)
{
    const struct redisReply *word = reply->element[0];
    if (is_word(word, "OK")) {
        int64_t fence = 0;
        result->code = STORE_OK;
        if (reply->elements != GRANT_ELEMENTS || !take_number(reply->element[1], 1, &fence)) {
            return false;
        }
        result->fence = (uint64_t)fence;
        return take_number(reply->element[2], 0, &result->since_ms);
    }
    if (is_word(word, "BUSY")) {
        result->code = STORE_BUSY;
        return take_holder(reply, &result->holder);
    }
    if (is_word(word, "RECOVERING")) {
        result->code = STORE_RECOVERING;
        return reply->elements == 2 && take_number(reply->element[1], 0, &result->retry_after_us);
    }
    return take_refusal(reply, result);
}

static bool take_owned(const struct redisReply *reply, struct store_result *result)
{
    const struct redisReply *word = reply->element[0];
    if (is_word(word, "OK") || is_word(word, "NOT_HELD")) {
        result->code = is_word(word, "OK") ? STORE_OK : STORE_NOT_HELD;
        return reply->elements == 1;
    }
    return take_refusal(reply, result);
}

static bool take_inspect(const struct redisReply *reply, struct store_result *result)
{
    const struct redisReply *word = reply->element[0];
    result->code = STORE_OK;
    if (is_word(word, "FREE")) {
        return reply->elements == 1;
    }
    if (is_word(word, "HELD")) {
        return take_holder(reply, &result->holder);
    }
    return take_refusal(reply, result);
}

static bool take_result(enum store_verb verb, const struct redisReply *reply,
                        struct store_result *result)
{
    *result = (struct store_result){.code = STORE_UNKNOWN};
    if (reply->type != REDIS_REPLY_ARRAY || reply->elements == 0) {
        return false;
    }
    switch (verb) {
    case STORE_ACQUIRE:
        return take_acquire(reply, result);
    case STORE_RENEW:
    case STORE_RELEASE:
        return take_owned(reply, result);
    case STORE_INSPECT:
        return take_inspect(reply, result);
    }
    return false;
}

void batch_init(struct batch *batch)
{
    batch->bytes = NULL;
    batch->size = 0;
    batch_clear(batch);
}

void batch_release(struct batch *batch)
{
    memory_free(batch->bytes);
}

void batch_clear(struct batch *batch)
{
    batch->count = 0;
    batch->argument_count = 0;
    batch->used = 0;
}

void batch_add(struct batch *batch, struct store_op *op)
{
    CHECK(batch->count < BATCH_OPERATIONS_MAX);
    batch->ops[batch->count] = op;
    batch->count++;
}

void batch_encode(struct batch *batch, const struct batch_call *call)
{
    make_room(batch, call);
    put_text(batch, call->is_in_full ? "EVAL" : "EVALSHA");
    if (call->is_in_full) {
        put(batch, call->script->text, call->script->length);
    } else {
        put(batch, call->script->sha, SCRIPT_SHA_LENGTH);
    }
    put_number(batch, (int64_t)batch->count + 1);
    put_text(batch, REGISTER_KEY);
    for (size_t i = 0; i < batch->count; i++) {
        put_key(batch, call->key_prefix, batch->ops[i]);
    }
    put_text(batch, call->run_id);
    put_number(batch, call->not_after_us);
    put_number(batch, call->recovery_window_us);
    for (size_t i = 0; i < batch->count; i++) {
        put_operation(batch, batch->ops[i]);
    }
}

bool batch_decode(const struct batch *batch, const struct redisReply *reply,
                  struct batch_answer *answer)
{
    if (reply->type != REDIS_REPLY_ARRAY || reply->elements != batch->count + 1 ||
        !take_number(reply->element[0], 0, &answer->now_us)) {
        return false;
    }
    for (size_t i = 0; i < batch->count; i++) {
        if (!take_result(batch->ops[i]->verb, reply->element[i + 1], &answer->results[i])) {
            return false;
        }
    }
    return true;
}
