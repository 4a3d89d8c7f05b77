/* SPDX-License-Identifier: Apache-2.0 */
#include "redis/batch.h"

#include <endian.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "base/memory.h"
#include "redis/lock_value.h"

#define REGISTER_KEY "holdfast:register"

#define NUMBER_SIZE  ((size_t)24) /* any 64-bit number in decimal, with its NUL */
#define CALL_NUMBERS ((size_t)1)  /* how many keys */
#define OP_NUMBERS   ((size_t)1)  /* at most: how long the lock is held */

#define TIMES_SIZE ((size_t)32) /* not_after_us, recovery_window_us, watch_us, px_ms */

/* A verb, and what its operation asks for beyond the plain case. */
#define VERB_SIZE_MAX ((size_t)32)

/* How a RELEASE goes about the queue. */
enum { RELEASE_STAYS, RELEASE_LEAVES, RELEASE_LEAVES_ONLY };

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
