/* SPDX-License-Identifier: Apache-2.0 */
#include "fake_store.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/compiler.h"

static void submit(struct store *port, struct store_op *op, int64_t now_us)
{
    struct fake_store *store = CONTAINER_OF(port, struct fake_store, port);
    op->state = STORE_OP_QUEUED;
    op->queued_us = now_us;
    TAILQ_INSERT_TAIL(&store->queue, op, link);
}

static bool withdraw(struct store *port, struct store_op *op)
{
    struct fake_store *store = CONTAINER_OF(port, struct fake_store, port);
    if (op->state != STORE_OP_QUEUED) {
        return false;
    }
    TAILQ_REMOVE(&store->queue, op, link);
    op->state = STORE_OP_IDLE;
    return true;
}

static void watch(struct store *port, const char *key, size_t key_length)
{
    struct fake_store *store = CONTAINER_OF(port, struct fake_store, port);
    (void)key;
    (void)key_length;
    store->watched++;
}

static void unwatch(struct store *port, const char *key, size_t key_length)
{
    struct fake_store *store = CONTAINER_OF(port, struct fake_store, port);
    (void)key;
    (void)key_length;
    assert_int_not_equal(store->watched, 0);
    store->watched--;
}

static const struct store_vtable vtable = {
    .submit = submit, .withdraw = withdraw, .watch = watch, .unwatch = unwatch};

void fake_store_init(struct fake_store *store)
{
    *store = (struct fake_store){.port = {.vtable = &vtable}};
    TAILQ_INIT(&store->queue);
    TAILQ_INIT(&store->sent);
}

size_t fake_store_count(const struct fake_store *store)
{
    const struct store_op *op = NULL;
    size_t count = 0;
    TAILQ_FOREACH (op, &store->queue, link) {
        count++;
    }
    TAILQ_FOREACH (op, &store->sent, link) {
        count++;
    }
    return count;
}

struct store_op *fake_store_send(struct fake_store *store, enum store_verb verb)
{
    struct store_op *op = TAILQ_FIRST(&store->queue);
    assert_non_null(op);
    assert_int_equal(op->verb, verb);
    TAILQ_REMOVE(&store->queue, op, link);
    TAILQ_INSERT_TAIL(&store->sent, op, link);
    op->state = STORE_OP_SENT;
    return op;
}

void fake_store_answer(struct fake_store *store, struct store_op *op,
                       const struct store_result *result)
{
    assert_int_equal(op->state, STORE_OP_SENT);
    TAILQ_REMOVE(&store->sent, op, link);
    op->state = STORE_OP_IDLE;
    op->on_done(op, result, clock_now_us());
}

void fake_store_ok(struct fake_store *store, enum store_verb verb, uint64_t fence)
{
    struct store_op *op = fake_store_send(store, verb);
    struct store_result result = {
        .code = STORE_OK, .sent_us = op->queued_us, .fence = fence, .since_ms = 1700000000000};
    fake_store_answer(store, op, &result);
}

void fake_store_busy(struct fake_store *store, const struct store_holder *holder)
{
    struct store_op *op = fake_store_send(store, STORE_ACQUIRE);
    struct store_result result = {.code = STORE_BUSY, .sent_us = op->queued_us, .holder = *holder};
    fake_store_answer(store, op, &result);
}

void fake_store_queued(struct fake_store *store, const struct store_holder *holder)
{
    struct store_op *op = fake_store_send(store, STORE_ACQUIRE);
    assert_true(op->wants_queue);
    struct store_result result = {
        .code = STORE_QUEUED, .sent_us = op->queued_us, .holder = *holder};
    fake_store_answer(store, op, &result);
}

void fake_store_code(struct fake_store *store, enum store_verb verb, enum store_code code,
                     const char *detail)
{
    struct store_op *op = fake_store_send(store, verb);
    struct store_result result = {.code = code, .sent_us = op->queued_us, .detail = detail};
    fake_store_answer(store, op, &result);
}

void fake_store_drop(struct fake_store *store)
{
    TAILQ_INIT(&store->queue);
    TAILQ_INIT(&store->sent);
}
