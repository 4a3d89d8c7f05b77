/* SPDX-License-Identifier: Apache-2.0 */
#include "redis/batch.h"

#include <endian.h>
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
#define CALL_NUMBERS     ((size_t)1)  /* how many keys */
#define OP_NUMBERS       ((size_t)1)  /* at most: how long the lock is held */
#define REMAINING_MS_MAX (INT64_MAX / CLOCK_US_PER_MS)

#define TIMES_SIZE ((size_t)32) /* not_after_us, recovery_window_us, watch_us, px_ms */

/* A verb, and what its operation asks for beyond the plain case. */
#define VERB_SIZE_MAX ((size_t)32)

/* How a RELEASE goes about the queue. */
enum { RELEASE_STAYS, RELEASE_LEAVES, RELEASE_LEAVES_ONLY };

/* In a holder's flags. */
#define HOLDER_FOREIGN   ((int64_t)1)
#define HOLDER_CLOSED    ((int64_t)2)
#define HOLDER_SHARED    ((int64_t)4)
#define HOLDER_FLAGS_ALL ((int64_t)7)

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

static void put_key(struct batch *batch, const struct batch_call *call, const struct store_op *op)
{
    size_t length = call->key_prefix_length + op->key_length;
    char *key = claim(batch, length);
    memcpy(key, call->key_prefix, call->key_prefix_length);
    memcpy(key + call->key_prefix_length, op->key, op->key_length);
    put(batch, key, length);
}

/* What goes into the record of a grant to the operation's owner. */
static struct lock_value value_of(const struct store_op *op)
{
    return (struct lock_value){
        .tenure = op->tenure,
        .token = op->token,
        .fence = op->fence,
        .since_ms = op->since_ms,
        .label = op->label,
        .label_length = op->label_length,
        .value = op->value,
        .value_length = op->value_length,
    };
}

/* Writes the record and returns where it is. */
static const char *claim_record(struct batch *batch, const struct store_op *op, size_t *size)
{
    struct lock_value value = value_of(op);
    *size = lock_value_size(&value);
    char *bytes = claim(batch, *size);
    lock_value_encode(&value, (uint8_t *)bytes);
    return bytes;
}

/* The argument of a verb and its options while it is written. */
struct verb {
    struct batch *batch;
    char *bytes;
    size_t length;
};

static void verb_bytes(struct verb *verb, const void *bytes, size_t length)
{
    CHECK(length <= VERB_SIZE_MAX - verb->length);
    memcpy(verb->bytes + verb->length, bytes, length);
    verb->length += length;
}

static struct verb verb_begin(struct batch *batch, char letter)
{
    struct verb verb = {.batch = batch, .bytes = claim(batch, VERB_SIZE_MAX)};
    verb_bytes(&verb, &letter, 1);
    return verb;
}

static void verb_u8(struct verb *verb, uint8_t number)
{
    verb_bytes(verb, &number, 1);
}

static void verb_u32(struct verb *verb, uint32_t number)
{
    uint8_t bytes[] = {(uint8_t)(number >> 24), (uint8_t)(number >> 16), (uint8_t)(number >> 8),
                       (uint8_t)number};
    verb_bytes(verb, bytes, sizeof(bytes));
}

static void verb_put(const struct verb *verb)
{
    put(verb->batch, verb->bytes, verb->length);
}

static uint8_t mode_of(const struct store_op *op)
{
    return op->mode == STORE_SHARED ? 1 : 0;
}

/* What operations that are told in short have in common. */
struct common {
    int64_t px_ms;
    const struct store_op *op; /* an ACQUIRE, for its label and value; NULL: without either */
};

static int64_t px_ms_of(const struct store_op *op)
{
    return op->ttl_ms + op->lock_delay_ms;
}

/* EXCLUSIVE, and nothing is asked for beyond the plain case. */
static bool is_plain(const struct store_op *op)
{
    switch (op->verb) {
    case STORE_ACQUIRE:
        return op->mode != STORE_SHARED && !op->wants_queue && op->fence_block == 0;
    case STORE_RENEW:
        return op->mode != STORE_SHARED && op->fence_block == 0;
    case STORE_RELEASE:
        return op->mode == STORE_EXCLUSIVE && !op->keeps_lock && !op->wants_queue &&
               op->lock_delay_ms == 0;
    case STORE_RESUME:
    case STORE_INSPECT:
        break;
    }
    return false;
}

static bool has_tail(const struct store_op *op, const struct store_op *other)
{
    const size_t label_length = other != NULL ? other->label_length : 0;
    const size_t value_length = other != NULL ? other->value_length : 0;
    return op->label_length == label_length && op->value_length == value_length &&
           (label_length == 0 || memcmp(op->label, other->label, label_length) == 0) &&
           (value_length == 0 || memcmp(op->value, other->value, value_length) == 0);
}

static bool is_short(const struct store_op *op, const struct common *common)
{
    return is_plain(op) && (op->verb == STORE_RELEASE || px_ms_of(op) == common->px_ms) &&
           (op->verb != STORE_ACQUIRE || has_tail(op, common->op));
}

/* As the first ACQUIRE has it; where there is none, the first RENEW. */
static struct common common_of(const struct batch *batch)
{
    struct common common = {0};
    for (size_t i = 0; i < batch->count && common.op == NULL; i++) {
        const struct store_op *op = batch->ops[i];
        if (!is_plain(op) || op->verb == STORE_RELEASE) {
            continue;
        }
        if (op->verb == STORE_ACQUIRE) {
            common = (struct common){.px_ms = px_ms_of(op), .op = op};
        } else if (common.px_ms == 0) {
            common.px_ms = px_ms_of(op);
        }
    }
    return common;
}

static void put_acquire(struct batch *batch, const struct store_op *op, const struct common *common)
{
    size_t size = 0;
    const char *record = claim_record(batch, op, &size);
    if (is_short(op, common)) {
        put(batch, record, LOCK_VALUE_GRANT_SIZE);
        return;
    }
    struct verb verb = verb_begin(batch, 'A');
    if (op->mode == STORE_SHARED || op->wants_queue || op->fence_block > 0) {
        int64_t grant_ms = op->ttl_ms < STORE_GRANT_MS ? op->ttl_ms : STORE_GRANT_MS;
        verb_u8(&verb, mode_of(op));
        verb_u8(&verb, op->wants_queue ? 1 : 0);
        verb_u32(&verb, op->limit);
        verb_u32(&verb, op->fence_block);
        verb_u32(&verb, (uint32_t)grant_ms);
    }
    verb_put(&verb);
    put(batch, record, LOCK_VALUE_GRANT_SIZE);
    put(batch, record + LOCK_VALUE_STAMP_SIZE, size - LOCK_VALUE_STAMP_SIZE);
    put_number(batch, px_ms_of(op));
}

static void put_renew(struct batch *batch, const struct store_op *op, const struct common *common)
{
    CHECK(op->fence < LOCK_VALUE_NUMBER_LIMIT);
    size_t size = 0;
    const char *record = claim_record(batch, op, &size);
    if (is_short(op, common)) {
        put(batch, record, size);
        return;
    }
    struct verb verb = verb_begin(batch, 'N');
    if (op->mode == STORE_SHARED || op->fence_block > 0) {
        verb_u8(&verb, mode_of(op));
        verb_u32(&verb, op->fence_block);
    }
    verb_put(&verb);
    put(batch, record, size);
    put_number(batch, px_ms_of(op));
}

/* What a RELEASE asks of the queue. */
static uint8_t leaves_of(const struct store_op *op)
{
    if (op->keeps_lock) {
        return RELEASE_LEAVES_ONLY;
    }
    return op->wants_queue ? RELEASE_LEAVES : RELEASE_STAYS;
}

static void put_release(struct batch *batch, const struct store_op *op)
{
    if (!is_plain(op)) {
        struct verb verb = verb_begin(batch, 'R');
        verb_u8(&verb, leaves_of(op));
        verb_u32(&verb, op->lock_delay_ms);
        verb_bytes(&verb, op->token.bytes, ID128_SIZE);
        verb_put(&verb);
    }
    char *owner = claim(batch, LOCK_VALUE_OWNER_SIZE);
    owner[0] = (char)LOCK_VALUE_VERSION;
    memcpy(owner + 1, op->tenure.bytes, ID128_SIZE);
    owner[LOCK_VALUE_OWNER_SIZE - 1] = 0;
    put(batch, owner, LOCK_VALUE_OWNER_SIZE);
}

/* As big-endian doubles, which one struct.unpack reads; times below 2^53 are exact. */
static void put_times(struct batch *batch, const struct batch_call *call, int64_t px_ms)
{
    const double times[] = {(double)call->not_after_us, (double)call->recovery_window_us,
                            (double)call->watch_us, (double)px_ms};
    char *bytes = claim(batch, TIMES_SIZE);
    for (size_t i = 0; i < TIMES_SIZE / sizeof(times[0]); i++) {
        uint64_t bits = 0;
        memcpy(&bits, &times[i], sizeof(bits));
        bits = htobe64(bits);
        memcpy(bytes + i * sizeof(bits), &bits, sizeof(bits));
    }
    put(batch, bytes, TIMES_SIZE);
}

/* The end of the records of those that are told in short. */
static void put_tail(struct batch *batch, const struct common *common)
{
    const struct store_op none = {0};
    size_t size = 0;
    const char *record = claim_record(batch, common->op != NULL ? common->op : &none, &size);
    put(batch, record + LOCK_VALUE_STAMP_SIZE, size - LOCK_VALUE_STAMP_SIZE);
}

static void put_operation(struct batch *batch, const struct store_op *op,
                          const struct common *common)
{
    switch (op->verb) {
    case STORE_ACQUIRE:
        put_acquire(batch, op, common);
        break;
    case STORE_RENEW:
        put_renew(batch, op, common);
        break;
    case STORE_RELEASE:
        put_release(batch, op);
        break;
    case STORE_RESUME:
        put_text(batch, "S");
        put(batch, op->tenure.bytes, ID128_SIZE);
        put(batch, op->token.bytes, ID128_SIZE);
        put_number(batch, px_ms_of(op));
        break;
    case STORE_INSPECT:
        put_text(batch, "I");
        break;
    }
}

/* Memory is taken before anything points into it. */
static void make_room(struct batch *batch, const struct batch_call *call)
{
    size_t needed = CALL_NUMBERS * NUMBER_SIZE + TIMES_SIZE + LOCK_VALUE_SIZE_MAX;
    for (size_t i = 0; i < batch->count; i++) {
        const struct store_op *op = batch->ops[i];
        needed += call->key_prefix_length + op->key_length;
        needed += LOCK_VALUE_HEAD_SIZE + op->label_length + op->value_length;
        needed += VERB_SIZE_MAX + OP_NUMBERS * NUMBER_SIZE;
    }
    if (needed > batch->size) {
        batch->bytes = memory_resize(batch->bytes, needed);
        batch->size = needed;
    }
    batch->used = 0;
    batch->argument_count = 0;
}

/* What is left of a reply's list. */
struct cursor {
    struct redisReply *const *next;
    size_t left;
};

/* The next element if it is of `type`; NULL otherwise. */
static const struct redisReply *take(struct cursor *cursor, int type)
{
    if (cursor->left == 0 || cursor->next[0]->type != type) {
        return NULL;
    }
    cursor->left--;
    return *cursor->next++;
}

/* An integer from `min` up to 2^53. */
static bool take_number(struct cursor *cursor, int64_t min, int64_t *number)
{
    const struct redisReply *reply = take(cursor, REDIS_REPLY_INTEGER);
    if (reply == NULL || reply->integer < min ||
        reply->integer >= (int64_t)LOCK_VALUE_NUMBER_LIMIT) {
        return false;
    }
    *number = reply->integer;
    return true;
}

static bool take_fence(struct cursor *cursor, int64_t min, uint64_t *fence)
{
    int64_t number = 0;
    bool is_taken = take_number(cursor, min, &number);
    *fence = (uint64_t)number;
    return is_taken;
}

static bool take_text(struct cursor *cursor, const char **text)
{
    const struct redisReply *reply = take(cursor, REDIS_REPLY_STRING);
    *text = reply != NULL ? reply->str : NULL;
    return reply != NULL;
}

/* -1 stands for ever. */
static bool take_remaining(struct cursor *cursor, int64_t *remaining_us)
{
    const struct redisReply *reply = take(cursor, REDIS_REPLY_INTEGER);
    if (reply == NULL || reply->integer < -1) {
        return false;
    }
    if (reply->integer > REMAINING_MS_MAX) {
        *remaining_us = INT64_MAX;
    } else {
        *remaining_us = reply->integer < 0 ? -1 : reply->integer * CLOCK_US_PER_MS;
    }
    return true;
}

static bool take_u32(struct cursor *cursor, uint32_t *number)
{
    int64_t wide = 0;
    bool is_taken = take_number(cursor, 0, &wide) && wide <= UINT32_MAX;
    *number = (uint32_t)wide;
    return is_taken;
}

/* Bytes, at most `max` of them. */
static bool take_bytes(struct cursor *cursor, size_t max, const char **bytes, size_t *length)
{
    const struct redisReply *reply = take(cursor, REDIS_REPLY_STRING);
    if (reply == NULL || reply->len > max) {
        return false;
    }
    *bytes = reply->str;
    *length = reply->len;
    return true;
}

static bool take_label(struct cursor *cursor, struct store_holder *holder)
{
    return take_bytes(cursor, LEASE_LABEL_MAX, &holder->label, &holder->label_length);
}

static bool take_value(struct cursor *cursor, struct store_holder *holder)
{
    return take_bytes(cursor, LEASE_VALUE_MAX, &holder->value, &holder->value_length);
}

static bool take_holder_flags(struct cursor *cursor, struct store_holder *holder)
{
    int64_t flags = 0;
    bool is_taken = take_number(cursor, 0, &flags) && flags <= HOLDER_FLAGS_ALL;
    holder->is_held = true;
    holder->is_foreign = (flags & HOLDER_FOREIGN) != 0;
    holder->is_closed = (flags & HOLDER_CLOSED) != 0;
    holder->mode = (flags & HOLDER_SHARED) != 0 ? STORE_SHARED : STORE_EXCLUSIVE;
    holder->holders = 1;
    return is_taken;
}

static bool take_holder(struct cursor *cursor, struct store_holder *holder)
{
    return take_holder_flags(cursor, holder) && take_u32(cursor, &holder->holders) &&
           take_fence(cursor, 0, &holder->fence) && take_number(cursor, 0, &holder->since_ms) &&
           take_remaining(cursor, &holder->remaining_us) && take_label(cursor, holder);
}

/* What every verb may answer. */
static bool take_refusal(struct cursor *cursor, const char *word, struct store_result *result)
{
    if (strcmp(word, "EXPIRED") == 0) {
        result->code = STORE_EXPIRED;
        return true;
    }
    if (strcmp(word, "WRONG_TYPE") == 0) {
        result->code = STORE_WRONG_TYPE;
        return take_text(cursor, &result->detail);
    }
    if (strcmp(word, "ERROR") == 0) {
        result->code = STORE_UNAVAILABLE;
        return take_text(cursor, &result->detail);
    }
    return false;
}

/* For who asked for a block of fences. */
static bool take_block(struct cursor *cursor, const struct store_op *op,
                       struct store_result *result)
{
    return op->fence_block == 0 ||
           (take_fence(cursor, 0, &result->fence_end) && take_u32(cursor, &result->waiting));
}

static bool take_recovering(struct cursor *cursor, struct store_result *result)
{
    result->code = STORE_RECOVERING;
    return take_number(cursor, 0, &result->retry_after_us);
}

static bool take_acquire(struct cursor *cursor, const char *word, const struct store_op *op,
                         struct store_result *result)
{
    if (strcmp(word, "OK") == 0) {
        result->code = STORE_OK;
        return take_fence(cursor, 1, &result->fence) && take_number(cursor, 0, &result->since_ms) &&
               take_block(cursor, op, result);
    }
    if (strcmp(word, "BUSY") == 0) {
        result->code = STORE_BUSY;
        return take_holder(cursor, &result->holder);
    }
    if (strcmp(word, "QUEUED") == 0) {
        result->code = STORE_QUEUED;
        return op->wants_queue && take_holder(cursor, &result->holder);
    }
    if (strcmp(word, "RECOVERING") == 0) {
        return take_recovering(cursor, result);
    }
    return take_refusal(cursor, word, result);
}

static bool take_owned(struct cursor *cursor, const char *word, struct store_result *result)
{
    if (strcmp(word, "OK") == 0) {
        result->code = STORE_OK;
        return true;
    }
    if (strcmp(word, "NOT_HELD") == 0) {
        result->code = STORE_NOT_HELD;
        return true;
    }
    return take_refusal(cursor, word, result);
}

/* Who renews without knowing the fence is told. */
static bool take_renew(struct cursor *cursor, const char *word, const struct store_op *op,
                       struct store_result *result)
{
    if (!take_owned(cursor, word, result)) {
        return false;
    }
    if (result->code != STORE_OK) {
        return true;
    }
    return (op->fence != 0 || take_fence(cursor, 1, &result->fence)) &&
           take_block(cursor, op, result);
}

static bool take_resume(struct cursor *cursor, const char *word, struct store_result *result)
{
    struct store_holder *holder = &result->holder;
    if (strcmp(word, "OK") == 0) {
        result->code = STORE_OK;
        if (!take_holder_flags(cursor, holder) || holder->is_foreign || holder->is_closed ||
            !take_fence(cursor, 1, &result->fence) || !take_number(cursor, 0, &result->since_ms) ||
            !take_label(cursor, holder) || !take_value(cursor, holder)) {
            return false;
        }
        holder->fence = result->fence;
        holder->since_ms = result->since_ms;
        return true;
    }
    if (strcmp(word, "RECOVERING") == 0) {
        return take_recovering(cursor, result);
    }
    return take_owned(cursor, word, result);
}

static bool take_inspect(struct cursor *cursor, const char *word, struct store_result *result)
{
    result->code = STORE_OK;
    struct store_holder *holder = &result->holder;
    if (strcmp(word, "FREE") == 0) {
        return take_u32(cursor, &holder->waiting);
    }
    if (strcmp(word, "HELD") == 0) {
        return take_holder(cursor, holder) && take_u32(cursor, &holder->waiting) &&
               take_value(cursor, holder);
    }
    return take_refusal(cursor, word, result);
}

/* A grant without more to tell. */
static bool take_grant(struct cursor *cursor, const struct store_op *op, int64_t now_us,
                       struct store_result *result)
{
    result->code = STORE_OK;
    result->since_ms = now_us / CLOCK_US_PER_MS;
    return op->verb == STORE_ACQUIRE && op->fence_block == 0 &&
           take_fence(cursor, 1, &result->fence);
}

/* How many operations went plainly in a row: the negative number that comes next; 0 where it is
 * none. */
static size_t take_row(struct cursor *cursor)
{
    if (cursor->left == 0 || cursor->next[0]->type != REDIS_REPLY_INTEGER ||
        cursor->next[0]->integer >= 0 ||
        cursor->next[0]->integer < -(int64_t)BATCH_OPERATIONS_MAX) {
        return 0;
    }
    return (size_t)-take(cursor, REDIS_REPLY_INTEGER)->integer;
}

/* Whether all that the operation is to be told when it succeeds is that, or a fence. */
static bool may_go_plainly(const struct store_op *op)
{
    switch (op->verb) {
    case STORE_ACQUIRE:
        return op->fence_block == 0;
    case STORE_RENEW:
        return op->fence_block == 0 && op->fence != 0;
    case STORE_RELEASE:
        return true;
    case STORE_RESUME:
    case STORE_INSPECT:
        break;
    }
    return false;
}

/* The results of a row of `count` operations from `first` on. */
static bool take_row_results(struct cursor *cursor, const struct batch *batch, size_t first,
                             size_t count, struct batch_answer *answer)
{
    uint64_t fence = 0;
    if (count > batch->count - first) {
        return false;
    }
    for (size_t i = first; i < first + count; i++) {
        const struct store_op *op = batch->ops[i];
        struct store_result *result = &answer->results[i];
        *result = (struct store_result){.code = STORE_OK};
        if (!may_go_plainly(op)) {
            return false;
        }
        if (op->verb != STORE_ACQUIRE) {
            continue;
        }
        if (fence == 0 && !take_fence(cursor, 1, &fence)) {
            return false;
        }
        result->fence = fence++;
        result->since_ms = answer->now_us / CLOCK_US_PER_MS;
    }
    return fence <= LOCK_VALUE_NUMBER_LIMIT;
}

static bool take_result(struct cursor *cursor, const struct store_op *op, int64_t now_us,
                        struct store_result *result)
{
    const char *word = NULL;
    *result = (struct store_result){.code = STORE_UNKNOWN};
    if (cursor->left > 0 && cursor->next[0]->type == REDIS_REPLY_INTEGER) {
        return take_grant(cursor, op, now_us, result);
    }
    if (!take_text(cursor, &word)) {
        return false;
    }
    switch (op->verb) {
    case STORE_ACQUIRE:
        return take_acquire(cursor, word, op, result);
    case STORE_RENEW:
        return take_renew(cursor, word, op, result);
    case STORE_RELEASE:
        return take_owned(cursor, word, result);
    case STORE_RESUME:
        return take_resume(cursor, word, result);
    case STORE_INSPECT:
        return take_inspect(cursor, word, result);
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
    const struct common common = common_of(batch);
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
        put_key(batch, call, batch->ops[i]);
    }
    put_text(batch, call->run_id);
    put(batch, call->server_id, BATCH_SERVER_ID_LENGTH);
    put_times(batch, call, common.px_ms);
    put_tail(batch, &common);
    for (size_t i = 0; i < batch->count; i++) {
        put_operation(batch, batch->ops[i], &common);
    }
}

bool batch_decode(const struct batch *batch, const struct redisReply *reply,
                  struct batch_answer *answer)
{
    if (reply->type != REDIS_REPLY_ARRAY) {
        return false;
    }
    struct cursor cursor = {reply->element, reply->elements};
    if (!take_number(&cursor, 0, &answer->now_us)) {
        return false;
    }
    answer->window_us = 0;
    /* An empty batch that came too late has no window to tell. */
    if (batch->count == 0 && cursor.left > 0 && !take_number(&cursor, 0, &answer->window_us)) {
        return false;
    }
    for (size_t i = 0; i < batch->count;) {
        const size_t row = take_row(&cursor);
        if (row > 0 ? !take_row_results(&cursor, batch, i, row, answer)
                    : !take_result(&cursor, batch->ops[i], answer->now_us, &answer->results[i])) {
            return false;
        }
        i += row > 0 ? row : 1;
    }
    return cursor.left == 0;
}
