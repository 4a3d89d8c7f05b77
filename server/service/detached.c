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

/* The lease of `trip`, renewed by what left at result->sent_us. */
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
    if (result->holder.is_held || result->holder.is_closed) {
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

/*
 * ---- Acquire ----
 */

/* A call that waits for a detached lease. */
struct wish {
    struct lease_holder holder;
    struct lease *lease;
    struct call *call;
};

static struct call *finish_wish(struct wish *wish)
{
    struct call *call = wish->call;
    call->user = NULL;
    call->on_cancel = NULL;
    memory_free(wish);
    return call;
}

static void answer_granted(struct call *call, const struct lease *lease, int64_t now_us)
{
    Holdfast__V1__AcquireResponse response = HOLDFAST__V1__ACQUIRE_RESPONSE__INIT;
    struct lease_answer answer;
    lease_answer_init_one(&answer, lease, now_us);
    response.result_case = HOLDFAST__V1__ACQUIRE_RESPONSE__RESULT_LEASE;
    response.lease = &answer.message;
    call_reply(call, &response.base);
}

static void answer_refused(struct call *call, const struct lease_report *report, int64_t now_us)
{
    Holdfast__V1__AcquireResponse response = HOLDFAST__V1__ACQUIRE_RESPONSE__INIT;
    struct holder_answer busy;
    if (!answer_is_busy(report)) {
        answer_refusal(call, report, now_us);
        return;
    }
    holder_answer_init(&busy, &report->result->holder);
    response.result_case = HOLDFAST__V1__ACQUIRE_RESPONSE__RESULT_BUSY;
    response.busy = &busy.message;
    call_reply(call, &response.base);
}

static void on_event(struct lease_holder *holder, struct lease *lease,
                     const struct lease_report *report, int64_t now_us)
{
    struct wish *wish = CONTAINER_OF(holder, struct wish, holder);
    if (report->event == LEASE_EVENT_GRANTED) {
        answer_granted(finish_wish(wish), lease, now_us);
    } else if (report->event == LEASE_EVENT_REFUSED) {
        answer_refused(finish_wish(wish), report, now_us);
    }
}

static void on_wish_cancel(struct call *call)
{
    struct wish *wish = call->user;
    lease_revoke(wish->lease, loop_now_us(call->session->services->loop));
    finish_wish(wish);
}

void detached_acquire(struct call *call, const struct lease_ask *ask)
{
    const struct services *services = call->session->services;
    struct keeper_problem problem;
    struct wish *wish = memory_alloc(sizeof(*wish));
    wish->holder.on_event = on_event;
    wish->call = call;
    wish->lease =
        keeper_acquire(services->keeper, ask, &wish->holder, &problem, loop_now_us(services->loop));
    if (wish->lease == NULL) {
        memory_free(wish);
        answer_problem(call, &problem);
        return;
    }
    call->user = wish;
    call->on_cancel = on_wish_cancel;
}

/*
 * ---- Renew, Release, Inspect ----
 */

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
