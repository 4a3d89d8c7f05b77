/* SPDX-License-Identifier: Apache-2.0 */
#include "service/locks.h"

#include <string.h>

#include "service/acquire.h"
#include "service/answers.h"
#include "service/ask.h"
#include "service/detached.h"
#include "service/fields.h"
#include "service/hold.h"
#include "service/release.h"
#include "service/session.h"
#include "service/watch.h"

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
 * ---- Acquire, Resume ----
 */

static void locks_acquire(Holdfast__V1__Locks_Service *service,
                          const Holdfast__V1__AcquireRequest *request,
                          Holdfast__V1__AcquireResponse_Closure closure, void *user)
{
    struct call *call = user;
    struct ask ask;
    char problem[FIELDS_PROBLEM_SIZE];
    (void)service;
    (void)closure;
    if (!ask_from_acquire(&ask, request, call, problem)) {
        refuse(call, problem);
    } else if (request->detached) {
        detached_acquire(call, &ask.lease);
    } else {
        acquire_bound(call, &ask);
    }
}

static void locks_resume(Holdfast__V1__Locks_Service *service,
                         const Holdfast__V1__ResumeRequest *request,
                         Holdfast__V1__ResumeResponse_Closure closure, void *user)
{
    struct call *call = user;
    struct ask ask;
    char problem[FIELDS_PROBLEM_SIZE];
    (void)service;
    (void)closure;
    if (!ask_from_resume(&ask, request, call, problem)) {
        refuse(call, problem);
    } else {
        acquire_resumed(call, &ask);
    }
}

/*
 * ---- Renew ----
 */

/* A lease of this server is renewed by the server; the call only asks how it stands. `group` is
 * NULL for a lease without a holder. */
static void report_bound(struct call *call, const struct lease *lease, const struct group *group)
{
    Holdfast__V1__RenewResponse response = HOLDFAST__V1__RENEW_RESPONSE__INIT;
    Holdfast__V1__NotHeld not_held = HOLDFAST__V1__NOT_HELD__INIT;
    struct lease_answer answer;
    int64_t now_us = now_us_of(call);
    response.result_case = HOLDFAST__V1__RENEW_RESPONSE__RESULT_LEASE;
    response.lease = &answer.message;
    if (group != NULL && group_is_valid(group, now_us)) {
        lease_answer_init(&answer, group, now_us);
    } else if (group == NULL && lease_is_valid(lease, now_us)) {
        lease_answer_init_one(&answer, lease, now_us);
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
        !fields_take_token("token", &request->token, &token, problem) ||
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
        report_bound(call, lease, group_find(keeper, request->key, strlen(request->key), &token));
    }
}

/*
 * ---- Release ----
 */

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
        !fields_take_token("token", &request->token, &token, problem)) {
        refuse(call, problem);
        return;
    }
    release_lease(call, request, &token);
}

/*
 * ---- Inspect, Watch, Hold ----
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

static void locks_watch(Holdfast__V1__Locks_Service *service,
                        const Holdfast__V1__WatchRequest *request,
                        Holdfast__V1__WatchEvent_Closure closure, void *user)
{
    struct call *call = user;
    char problem[FIELDS_PROBLEM_SIZE];
    (void)service;
    (void)closure;
    if (!fields_check_key(request->key, problem)) {
        refuse(call, problem);
        return;
    }
    watch_lock(call, request);
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
