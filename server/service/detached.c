/* SPDX-License-Identifier: Apache-2.0 */
#include "service/detached.h"

#include <string.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/memory.h"
#include "lease/errand.h"
#include "service/answers.h"
#include "service/session.h"

/* A call and the errand that answers it. */
struct trip {
    struct call *call;
    struct errand *errand;
    const char *key; /* in the call's arena */
    struct id128 token;
    int64_t ttl_ms;
};

/* The errand is over: lets go of the call and returns it; `*trip` keeps what the answer needs. */
static struct call *finish_trip(struct trip *trip)
{
    struct call *call = trip->call;
    CHECK(call->user == trip);
    call->user = NULL;
    call->on_cancel = NULL;
    memory_free(trip);
    return call;
}

static void on_cancel(struct call *call)
{
    struct trip *trip = call->user;
    errand_abandon(trip->errand, loop_now_us(call->session->services->loop));
    finish_trip(trip);
}

/* The lease of `trip`, granted or renewed by what left at result->sent_us. */
static void fill_lease(Holdfast__V1__Lease *lease, struct trip *trip,
                       const struct store_result *result, int64_t now_us)
{
    int64_t deadline_us = result->sent_us + lease_validity_us(trip->ttl_ms);
    holdfast__v1__lease__init(lease);
    lease->key = (char *)trip->key;
    lease->token.data = trip->token.bytes;
    lease->token.len = ID128_SIZE;
    lease->fence = result->fence;
    lease->ttl_ms = (uint32_t)trip->ttl_ms;
    lease->valid_for_ms = answer_valid_for_ms(deadline_us, now_us);
}

static void on_acquired(void *user, const struct store_result *result, int64_t now_us)
{
    struct trip trip = *(struct trip *)user;
    struct call *call = finish_trip(user);
    Holdfast__V1__AcquireResponse response = HOLDFAST__V1__ACQUIRE_RESPONSE__INIT;
    Holdfast__V1__Lease lease;
    struct holder_answer busy;
    if (result->code == STORE_OK) {
        fill_lease(&lease, &trip, result, now_us);
        response.result_case = HOLDFAST__V1__ACQUIRE_RESPONSE__RESULT_LEASE;
        response.lease = &lease;
    } else if (result->code == STORE_BUSY) {
        holder_answer_init(&busy, &result->holder);
        response.result_case = HOLDFAST__V1__ACQUIRE_RESPONSE__RESULT_BUSY;
        response.busy = &busy.message;
    } else {
        answer_store_failure(call, result, now_us);
        return;
    }
    call_reply(call, &response.base);
}

static void on_renewed(void *user, const struct store_result *result, int64_t now_us)
{
    struct trip trip = *(struct trip *)user;
    struct call *call = finish_trip(user);
    Holdfast__V1__RenewResponse response = HOLDFAST__V1__RENEW_RESPONSE__INIT;
    Holdfast__V1__Lease lease;
    Holdfast__V1__NotHeld not_held = HOLDFAST__V1__NOT_HELD__INIT;
    if (result->code == STORE_OK) {
        fill_lease(&lease, &trip, result, now_us);
        response.result_case = HOLDFAST__V1__RENEW_RESPONSE__RESULT_LEASE;
        response.lease = &lease;
    } else if (result->code == STORE_NOT_HELD) {
        response.result_case = HOLDFAST__V1__RENEW_RESPONSE__RESULT_NOT_HELD;
        response.not_held = &not_held;
    } else {
        answer_store_failure(call, result, now_us);
        return;
    }
    call_reply(call, &response.base);
}

static void on_released(void *user, const struct store_result *result, int64_t now_us)
{
    struct call *call = finish_trip(user);
    if (result->code == STORE_OK || result->code == STORE_NOT_HELD) {
        answer_release(call, result->code == STORE_OK);
    } else {
        answer_store_failure(call, result, now_us);
    }
}

static void on_inspected(void *user, const struct store_result *result, int64_t now_us)
{
    struct call *call = finish_trip(user);
    Holdfast__V1__InspectResponse response = HOLDFAST__V1__INSPECT_RESPONSE__INIT;
    Holdfast__V1__Free free_state = HOLDFAST__V1__FREE__INIT;
    struct holder_answer held;
    if (result->code != STORE_OK) {
        answer_store_failure(call, result, now_us);
        return;
    }
    if (result->holder.is_held) {
        holder_answer_init(&held, &result->holder);
        response.state_case = HOLDFAST__V1__INSPECT_RESPONSE__STATE_HELD;
        response.held = &held.message;
    } else {
        response.state_case = HOLDFAST__V1__INSPECT_RESPONSE__STATE_FREE;
        response.free = &free_state;
    }
    call_reply(call, &response.base);
}

/* Sends `ask` on its way; completes it with the key and the deadline. */
static void start(struct call *call, struct errand_ask *ask, const char *key,
                  errand_done_fn *on_done)
{
    const struct services *services = call->session->services;
    int64_t now_us = loop_now_us(services->loop);
    struct trip *trip = memory_alloc(sizeof(*trip));
    trip->call = call;
    trip->key = key;
    trip->token = ask->token;
    trip->ttl_ms = ask->ttl_ms;
    ask->key = key;
    ask->key_length = strlen(key);
    ask->deadline_us = call->deadline_us;
    trip->errand = errand_start(services->keeper, ask, on_done, trip, now_us);
    if (trip->errand == NULL) {
        memory_free(trip);
        answer_leases_limit(call);
        return;
    }
    call->user = trip;
    call->on_cancel = on_cancel;
}

void detached_acquire(struct call *call, const Holdfast__V1__AcquireRequest *request,
                      int64_t ttl_ms)
{
    struct errand_ask ask = {
        .verb = STORE_ACQUIRE,
        .label = request->label,
        .label_length = strlen(request->label),
        .ttl_ms = ttl_ms,
        .may_be_retried = request->token.len > 0,
    };
    if (!ask.may_be_retried) {
        ask.token = id128_random();
    } else {
        bool has_taken = id128_from_bytes(&ask.token, request->token.data, request->token.len);
        CHECK(has_taken);
    }
    start(call, &ask, request->key, on_acquired);
}

void detached_renew(struct call *call, const Holdfast__V1__RenewRequest *request,
                    const struct id128 *token, int64_t ttl_ms)
{
    struct errand_ask ask = {.verb = STORE_RENEW, .token = *token, .ttl_ms = ttl_ms};
    start(call, &ask, request->key, on_renewed);
}

void detached_release(struct call *call, const Holdfast__V1__ReleaseRequest *request,
                      const struct id128 *token)
{
    struct errand_ask ask = {.verb = STORE_RELEASE, .token = *token};
    start(call, &ask, request->key, on_released);
}

void detached_inspect(struct call *call, const Holdfast__V1__InspectRequest *request)
{
    struct errand_ask ask = {.verb = STORE_INSPECT};
    start(call, &ask, request->key, on_inspected);
}
