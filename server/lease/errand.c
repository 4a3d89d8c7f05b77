/* SPDX-License-Identifier: Apache-2.0 */
#include "lease/errand.h"

#include <string.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/compiler.h"
#include "base/memory.h"
#include "lease/keeper_internal.h"
#include "lease/operation.h"

struct errand {
    LIST_ENTRY(errand) link;
    struct keeper *keeper;
    struct operation operation;
    errand_done_fn *on_done; /* NULL once nobody waits */
    void *user;
    char key[];
};

/* When nothing that other servers sent for a detached lease can be in force, unless they go on. */
static int64_t others_lapse_us(int64_t now_us)
{
    const int64_t longest_us = LEASE_TTL_MAX_MS * CLOCK_US_PER_MS;
    return now_us + STORE_LATE_US + longest_us + longest_us / 100;
}

/* Nobody waits any more. */
static void settle(struct errand *errand, int64_t now_us)
{
    (void)now_us;
    if (operation_stop(&errand->operation)) { /* else its answer brings us back here */
        errand_destroy(errand);
    }
}

/* Whether a lease renewed by this answer has run out before the answer was here. */
static bool is_too_late(const struct operation *operation, const struct store_result *result,
                        int64_t now_us)
{
    return result->code == STORE_OK && operation->op.verb == STORE_RENEW &&
           now_us >= result->sent_us + lease_validity_us(operation->op.ttl_ms);
}

static void on_operation_done(struct operation *operation, const struct store_result *result,
                              int64_t now_us)
{
    static const struct store_result late = {.code = STORE_UNAVAILABLE,
                                             .detail = "the answer came too late"};
    struct errand *errand = CONTAINER_OF(operation, struct errand, operation);
    errand_done_fn *on_done = errand->on_done;
    if (on_done != NULL) {
        const struct store_result *told = is_too_late(operation, result, now_us) ? &late : result;
        errand->on_done = NULL;
        on_done(errand->user, told, now_us);
    }
    settle(errand, now_us);
}

static void check_ask(const struct errand_ask *ask)
{
    CHECK(ask->key_length >= 1 && ask->key_length <= LEASE_KEY_MAX);
    CHECK(ask->verb == STORE_RENEW || ask->verb == STORE_RELEASE || ask->verb == STORE_INSPECT);
    if (ask->verb == STORE_RENEW) {
        CHECK(ask->ttl_ms >= LEASE_TTL_MIN_MS && ask->ttl_ms <= LEASE_TTL_MAX_MS);
    }
}

static struct errand *create(struct keeper *keeper, const struct errand_ask *ask)
{
    struct errand *errand = memory_alloc(sizeof(*errand) + ask->key_length);
    memcpy(errand->key, ask->key, ask->key_length);
    errand->keeper = keeper;
    LIST_INSERT_HEAD(&keeper->errands, errand, link);
    operation_init(&errand->operation, keeper->store, keeper->wheel, on_operation_done);
    errand->operation.op = (struct store_op){
        .verb = ask->verb,
        .mode = STORE_ANY_MODE,
        .key = errand->key,
        .key_length = ask->key_length,
        .tenure = ask->token,
        .token = ask->token,
        .ttl_ms = ask->ttl_ms,
    };
    return errand;
}

struct errand *errand_start(struct keeper *keeper, const struct errand_ask *ask,
                            errand_done_fn *on_done, void *user, int64_t now_us)
{
    check_ask(ask);
    CHECK(on_done != NULL);
    if (!keeper_admit(keeper)) {
        return NULL;
    }
    struct errand *errand = create(keeper, ask);
    errand->on_done = on_done;
    errand->user = user;
    errand->operation.deadline_us = ask->deadline_us;
    const bool is_own = ask->verb == STORE_INSPECT;
    if (!is_own && ask->deadline_us > now_us + STORE_PATIENCE_US) {
        /* Unlike a lease's own, an errand is answered soon when the store is away. */
        errand->operation.deadline_us = now_us + STORE_PATIENCE_US;
    }
    operation_start(&errand->operation, is_own ? 0 : others_lapse_us(now_us), now_us);
    return errand;
}

void errand_abandon(struct errand *errand, int64_t now_us)
{
    errand->on_done = NULL;
    settle(errand, now_us);
}

void errand_destroy(struct errand *errand)
{
    struct keeper *keeper = errand->keeper;
    wheel_clear(keeper->wheel, &errand->operation.retry);
    LIST_REMOVE(errand, link);
    memory_free(errand);
    keeper_dismiss(keeper);
}
