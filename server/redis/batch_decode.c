/* SPDX-License-Identifier: Apache-2.0 */
/* The reply to a batch, made into results. */
#include "redis/batch.h"

#include <hiredis/hiredis.h>
#include <string.h>

#include "base/clock.h"
#include "redis/lock_value.h"

#define REMAINING_MS_MAX (INT64_MAX / CLOCK_US_PER_MS)

/* In a holder's flags. */
#define HOLDER_FOREIGN   ((int64_t)1)
#define HOLDER_CLOSED    ((int64_t)2)
#define HOLDER_SHARED    ((int64_t)4)
#define HOLDER_FLAGS_ALL ((int64_t)7)

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
