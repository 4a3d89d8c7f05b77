/* SPDX-License-Identifier: Apache-2.0 */
#include "service/acquire.h"

#include "service/answers.h"
#include "service/binding.h"
#include "service/session.h"

static int64_t now_us_of(const struct call *call)
{
    return loop_now_us(call->session->services->loop);
}

/* The call is about to be answered: its lease, if it has one, stays with the session. */
static struct binding *let_go(struct call *call)
{
    struct binding *binding = call->user;
    call->user = NULL;
    call->on_cancel = NULL;
    return binding;
}

static void on_withdrawn(struct call *call, enum binding_withdrawal why)
{
    (void)why; /* an unanswered call has no lease that could be released by its token */
    let_go(call);
    session_fail_call(call, STATUS_UNAVAILABLE, "the server is shutting down; ask another one");
}

static void on_cancel(struct call *call)
{
    int64_t now_us = now_us_of(call);
    binding_leave(let_go(call), call, now_us);
}

static void start(struct call *call, const struct binding_owner *owner, const struct ask *ask)
{
    struct binding *binding = binding_create(call, owner, ask, now_us_of(call));
    if (binding != NULL) {
        call->user = binding;
        call->on_cancel = on_cancel;
    }
}

/*
 * ---- Acquire ----
 */

static void answer_granted(struct call *call, const struct group *group, int64_t now_us)
{
    Holdfast__V1__AcquireResponse response = HOLDFAST__V1__ACQUIRE_RESPONSE__INIT;
    struct lease_answer lease;
    lease_answer_init(&lease, group, now_us);
    response.result_case = HOLDFAST__V1__ACQUIRE_RESPONSE__RESULT_LEASE;
    response.lease = &lease.message;
    binding_forget_call(let_go(call));
    call_reply(call, &response.base);
}

static void answer_refused(struct call *call, const struct group *group,
                           const struct lease_report *report, int64_t now_us)
{
    Holdfast__V1__AcquireResponse response = HOLDFAST__V1__ACQUIRE_RESPONSE__INIT;
    struct holder_answer busy;
    let_go(call);
    if (!answer_is_busy(report)) {
        answer_refusal(call, report, now_us);
        return;
    }
    holder_answer_init_for(&busy, report, group);
    response.result_case = HOLDFAST__V1__ACQUIRE_RESPONSE__RESULT_BUSY;
    response.busy = &busy.message;
    call_reply(call, &response.base);
}

/* That it waits is of no interest to a call with one answer. */
static void on_acquire_event(struct call *call, const struct group *group,
                             const struct lease_report *report, int64_t now_us)
{
    if (report->event == LEASE_EVENT_GRANTED) {
        answer_granted(call, group, now_us);
    } else if (report->event == LEASE_EVENT_REFUSED) {
        answer_refused(call, group, report, now_us);
    }
}

static const struct binding_owner acquire_owner = {
    .on_event = on_acquire_event,
    .on_withdrawn = on_withdrawn,
};

void acquire_bound(struct call *call, const struct ask *ask)
{
    start(call, &acquire_owner, ask);
}

/*
 * ---- Resume ----
 */

static void answer_resumed(struct call *call, const struct group *group, int64_t now_us)
{
    Holdfast__V1__ResumeResponse response = HOLDFAST__V1__RESUME_RESPONSE__INIT;
    struct lease_answer lease;
    lease_answer_init(&lease, group, now_us);
    response.result_case = HOLDFAST__V1__RESUME_RESPONSE__RESULT_LEASE;
    response.lease = &lease.message;
    binding_forget_call(let_go(call));
    call_reply(call, &response.base);
}

static void answer_not_resumed(struct call *call, const struct lease_report *report, int64_t now_us)
{
    Holdfast__V1__ResumeResponse response = HOLDFAST__V1__RESUME_RESPONSE__INIT;
    Holdfast__V1__NotHeld not_held = HOLDFAST__V1__NOT_HELD__INIT;
    let_go(call);
    if (report->problem != NULL || report->result->code != STORE_NOT_HELD) {
        answer_refusal(call, report, now_us);
        return;
    }
    response.result_case = HOLDFAST__V1__RESUME_RESPONSE__RESULT_NOT_HELD;
    response.not_held = &not_held;
    call_reply(call, &response.base);
}

static void on_resume_event(struct call *call, const struct group *group,
                            const struct lease_report *report, int64_t now_us)
{
    if (report->event == LEASE_EVENT_GRANTED) {
        answer_resumed(call, group, now_us);
    } else if (report->event == LEASE_EVENT_REFUSED) {
        answer_not_resumed(call, report, now_us);
    }
}

static const struct binding_owner resume_owner = {
    .on_event = on_resume_event,
    .on_withdrawn = on_withdrawn,
};

void acquire_resumed(struct call *call, const struct ask *ask)
{
    start(call, &resume_owner, ask);
}
