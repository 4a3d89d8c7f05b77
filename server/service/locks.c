/* SPDX-License-Identifier: Apache-2.0 */
#include "service/locks.h"

#include <stdio.h>
#include <string.h>

#include "service/answers.h"
#include "service/binding.h"
#include "service/detached.h"
#include "service/fields.h"
#include "service/hold.h"
#include "service/session.h"

static int64_t now_us_of(const struct call *call)
{
    return loop_now_us(call->session->services->loop);
}

static int64_t ttl_or_default(const struct call *call, uint32_t ttl_ms)
{
    return ttl_ms == 0 ? call->session->services->config.default_ttl_ms : ttl_ms;
}

static void refuse(struct call *call, const char *problem)
{
    session_fail_call(call, STATUS_INVALID_ARGUMENT, "%s", problem);
}

/*
 * ---- Acquire ----
 */

static bool check_acquire(const Holdfast__V1__AcquireRequest *request,
                          char problem[FIELDS_PROBLEM_SIZE])
{
    struct id128 token;
    if (!fields_check_key(request->key, problem) || !fields_check_ttl(request->ttl_ms, problem) ||
        !fields_check_label(request->label, problem)) {
        return false;
    }
    if (request->token.len == 0) {
        return true;
    }
    if (!request->detached) {
        snprintf(problem, FIELDS_PROBLEM_SIZE,
                 "token: only with detached; the server chooses the token of a lease that is "
                 "bound to a connection");
        return false;
    }
    return fields_take_token(&request->token, &token, problem);
}

static void answer_granted(struct call *call, struct binding *binding, int64_t now_us)
{
    Holdfast__V1__AcquireResponse response = HOLDFAST__V1__ACQUIRE_RESPONSE__INIT;
    struct lease_answer lease;
    lease_answer_init(&lease, binding->lease, now_us);
    response.result_case = HOLDFAST__V1__ACQUIRE_RESPONSE__RESULT_LEASE;
    response.lease = &lease.message;
    binding_forget_call(binding);
    call_reply(call, &response.base);
}

static void answer_refused(struct call *call, const struct store_result *result, int64_t now_us)
{
    Holdfast__V1__AcquireResponse response = HOLDFAST__V1__ACQUIRE_RESPONSE__INIT;
    struct holder_answer busy;
    if (result->code != STORE_BUSY) {
        answer_store_failure(call, result, now_us);
        return;
    }
    holder_answer_init(&busy, &result->holder);
    response.result_case = HOLDFAST__V1__ACQUIRE_RESPONSE__RESULT_BUSY;
    response.busy = &busy.message;
    call_reply(call, &response.base);
}

static void on_acquire_event(struct call *call, const struct lease_report *report, int64_t now_us)
{
    struct binding *binding = call->user;
    call->user = NULL;
    call->on_cancel = NULL;
    if (report->event == LEASE_EVENT_GRANTED) {
        answer_granted(call, binding, now_us);
    } else {
        answer_refused(call, report->result, now_us);
    }
}

static void on_acquire_withdrawn(struct call *call, enum binding_withdrawal why)
{
    (void)why; /* an unanswered Acquire has no lease that could be released by its token */
    call->user = NULL;
    call->on_cancel = NULL;
    session_fail_call(call, STATUS_UNAVAILABLE, "the server is shutting down; ask another one");
}

static const struct binding_owner acquire_owner = {
    .on_event = on_acquire_event,
    .on_withdrawn = on_acquire_withdrawn,
};

static void on_acquire_cancel(struct call *call)
{
    binding_revoke(call->user, now_us_of(call));
    call->user = NULL;
}

static void acquire_bound(struct call *call, const Holdfast__V1__AcquireRequest *request)
{
    int64_t now_us = now_us_of(call);
    struct lease_ask ask = {
        .key = request->key,
        .key_length = strlen(request->key),
        .label = request->label,
        .label_length = strlen(request->label),
        .ttl_ms = ttl_or_default(call, request->ttl_ms),
        .deadline_us = call->deadline_us,
    };
    struct binding *binding = binding_create(call, &acquire_owner, &ask, now_us);
    if (binding != NULL) {
        call->user = binding;
        call->on_cancel = on_acquire_cancel;
    }
}

static void locks_acquire(Holdfast__V1__Locks_Service *service,
                          const Holdfast__V1__AcquireRequest *request,
                          Holdfast__V1__AcquireResponse_Closure closure, void *user)
{
    struct call *call = user;
    char problem[FIELDS_PROBLEM_SIZE];
    (void)service;
    (void)closure;
    if (!check_acquire(request, problem)) {
        refuse(call, problem);
    } else if (request->detached) {
        detached_acquire(call, request, ttl_or_default(call, request->ttl_ms));
    } else {
        acquire_bound(call, request);
    }
}

/*
 * ---- Renew ----
 */

/* A lease of this server is renewed by the server; the call only asks how it stands. */
static void report_bound(struct call *call, const struct lease *lease)
{
    Holdfast__V1__RenewResponse response = HOLDFAST__V1__RENEW_RESPONSE__INIT;
    Holdfast__V1__NotHeld not_held = HOLDFAST__V1__NOT_HELD__INIT;
    struct lease_answer answer;
    int64_t now_us = now_us_of(call);
    if (lease_is_valid(lease, now_us)) {
        lease_answer_init(&answer, lease, now_us);
        response.result_case = HOLDFAST__V1__RENEW_RESPONSE__RESULT_LEASE;
        response.lease = &answer.message;
    } else {
        response.result_case = HOLDFAST__V1__RENEW_RESPONSE__RESULT_NOT_HELD;
        response.not_held = &not_held;
    }
    call_reply(call, &response.base);
}

static void locks_renew(Holdfast__V1__Locks_Service *service,
                        const Holdfast__V1__RenewRequest *request,
                        Holdfast__V1__RenewResponse_Closure closure, void *user)
{
    struct call *call = user;
    const struct keeper *keeper = call->session->services->keeper;
    struct id128 token;
    char problem[FIELDS_PROBLEM_SIZE];
    (void)service;
    (void)closure;
    if (!fields_check_key(request->key, problem) ||
        !fields_take_token(&request->token, &token, problem) ||
        !fields_check_ttl(request->ttl_ms, problem)) {
        refuse(call, problem);
        return;
    }
    const struct lease *lease = keeper_find(keeper, request->key, strlen(request->key), &token);
    if (lease == NULL) {
        detached_renew(call, request, &token, ttl_or_default(call, request->ttl_ms));
    } else if (request->ttl_ms != 0) {
        refuse(call, "ttl_ms: must be 0 for a lease that is bound to a connection; the server "
                     "renews it with its own ttl");
    } else {
        report_bound(call, lease);
    }
}

/*
 * ---- Release ----
 */

static void on_release_cancel(struct call *call)
{
    binding_stop_waiting(call->user, now_us_of(call));
    call->user = NULL;
}

static void locks_release(Holdfast__V1__Locks_Service *service,
                          const Holdfast__V1__ReleaseRequest *request,
                          Holdfast__V1__ReleaseResponse_Closure closure, void *user)
{
    struct call *call = user;
    struct id128 token;
    char problem[FIELDS_PROBLEM_SIZE];
    (void)service;
    (void)closure;
    if (!fields_check_key(request->key, problem) ||
        !fields_take_token(&request->token, &token, problem)) {
        refuse(call, problem);
        return;
    }
    struct binding *binding = binding_find(call->session->services, request->key, &token);
    if (binding == NULL) {
        detached_release(call, request, &token);
        return;
    }
    call->user = binding_await_release(binding, call, now_us_of(call));
    call->on_cancel = on_release_cancel;
}

/*
 * ---- Inspect, Hold ----
 */

static void locks_inspect(Holdfast__V1__Locks_Service *service,
                          const Holdfast__V1__InspectRequest *request,
                          Holdfast__V1__InspectResponse_Closure closure, void *user)
{
    struct call *call = user;
    char problem[FIELDS_PROBLEM_SIZE];
    (void)service;
    (void)closure;
    if (!fields_check_key(request->key, problem)) {
        refuse(call, problem);
        return;
    }
    detached_inspect(call, request);
}

static void locks_hold(Holdfast__V1__Locks_Service *service,
                       const Holdfast__V1__HoldRequest *request,
                       Holdfast__V1__HoldEvent_Closure closure, void *user)
{
    (void)service;
    (void)closure;
    hold_message(user, request);
}

Holdfast__V1__Locks_Service locks_service = HOLDFAST__V1__LOCKS__INIT(locks_);
