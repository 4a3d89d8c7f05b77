/* SPDX-License-Identifier: Apache-2.0 */
#include "service/hold.h"

#include "base/clock.h"
#include "base/memory.h"
#include "service/answers.h"
#include "service/ask.h"
#include "service/binding.h"
#include "service/session.h"

struct hold {
    struct call *call;
    struct binding *binding;
    bool is_waiting; /* may have to wait for the grant */
    bool is_granted;
    int64_t heartbeat_us; /* 0: none asked for */
    struct timer heartbeat;
    bool is_heartbeat_due; /* the timer has fired once: what has arrived meanwhile is read first */
};

static struct loop *loop_of(const struct hold *hold)
{
    return hold->call->session->services->loop;
}

static int64_t now_us_of(const struct hold *hold)
{
    return loop_now_us(loop_of(hold));
}

static void send_event(struct call *call, Holdfast__V1__HoldEvent__EventCase which,
                       ProtobufCMessage *body)
{
    Holdfast__V1__HoldEvent event = HOLDFAST__V1__HOLD_EVENT__INIT;
    event.event_case = which;
    /* The members of the oneof are pointers to messages that all begin with their base. */
    event.granted = (void *)body;
    call_send(call, &event.base);
}

static void send_lost(struct call *call, Holdfast__V1__HoldLost__Reason reason)
{
    Holdfast__V1__HoldLost lost = HOLDFAST__V1__HOLD_LOST__INIT;
    lost.reason = reason;
    send_event(call, HOLDFAST__V1__HOLD_EVENT__EVENT_LOST, &lost.base);
}

static uint32_t valid_for_ms(const struct hold *hold)
{
    return answer_valid_for_ms(group_deadline_us(&hold->binding->group), now_us_of(hold));
}

/* Lets go of the call, which is still to be finished. */
static struct call *end(struct hold *hold)
{
    struct call *call = hold->call;
    wheel_clear(loop_wheel(loop_of(hold)), &hold->heartbeat);
    call->user = NULL;
    call->on_cancel = NULL;
    call->on_half_close = NULL;
    memory_free(hold);
    return call;
}

static void finish(struct hold *hold)
{
    call_finish(end(hold), STATUS_OK, "%s", "");
}

static void finish_released(struct hold *hold)
{
    Holdfast__V1__HoldReleased released = HOLDFAST__V1__HOLD_RELEASED__INIT;
    send_event(hold->call, HOLDFAST__V1__HOLD_EVENT__EVENT_RELEASED, &released.base);
    finish(hold);
}

static void finish_lost(struct hold *hold, Holdfast__V1__HoldLost__Reason reason)
{
    send_lost(hold->call, reason);
    finish(hold);
}

static void feed_heartbeat(struct hold *hold)
{
    if (hold->heartbeat_us != 0 && hold->is_granted) {
        hold->is_heartbeat_due = false;
        wheel_set(loop_wheel(loop_of(hold)), &hold->heartbeat,
                  now_us_of(hold) + hold->heartbeat_us);
    }
}

static void on_heartbeat_missed(struct timer *timer, int64_t now_us)
{
    struct hold *hold = CONTAINER_OF(timer, struct hold, heartbeat);
    /* After this process was stopped itself, the client's pings wait to be read. */
    if (!hold->is_heartbeat_due) {
        hold->is_heartbeat_due = true;
        wheel_set(loop_wheel(loop_of(hold)), timer, now_us);
        return;
    }
    binding_log_loss(hold->binding, group_lease(&hold->binding->group, 0), "heartbeat_missed");
    binding_revoke(hold->binding, now_us);
    finish_lost(hold, HOLDFAST__V1__HOLD_LOST__REASON__REASON_HEARTBEAT_MISSED);
}

static void release(struct hold *hold, int64_t now_us)
{
    wheel_clear(loop_wheel(loop_of(hold)), &hold->heartbeat);
    binding_release(hold->binding, now_us);
}

static void on_queued(struct hold *hold, const struct group *group,
                      const struct lease_report *report)
{
    Holdfast__V1__HoldQueued queued = HOLDFAST__V1__HOLD_QUEUED__INIT;
    struct holder_answer holder;
    holder_answer_init_for(&holder, report, group);
    queued.position = (uint32_t)report->position;
    queued.holder = &holder.message;
    send_event(hold->call, HOLDFAST__V1__HOLD_EVENT__EVENT_QUEUED, &queued.base);
}

static void on_granted(struct hold *hold, const struct group *group, int64_t now_us)
{
    struct lease_answer lease;
    hold->is_granted = true;
    if (hold->call->is_half_closed) {
        release(hold, now_us);
        return;
    }
    lease_answer_init(&lease, group, now_us);
    send_event(hold->call, HOLDFAST__V1__HOLD_EVENT__EVENT_GRANTED, &lease.message.base);
    feed_heartbeat(hold);
}

static void on_refused(struct hold *hold, const struct group *group,
                       const struct lease_report *report, int64_t now_us)
{
    struct holder_answer busy;
    if (report->problem == NULL && report->result->code == STORE_NOT_HELD) {
        finish_lost(hold, HOLDFAST__V1__HOLD_LOST__REASON__REASON_TAKEN);
        return;
    }
    if (!answer_is_busy(report)) {
        answer_refusal(end(hold), report, now_us);
        return;
    }
    holder_answer_init_for(&busy, report, group);
    send_event(hold->call, HOLDFAST__V1__HOLD_EVENT__EVENT_BUSY, &busy.message.base);
    finish(hold);
}

static void on_at_risk(struct hold *hold)
{
    Holdfast__V1__HoldAtRisk at_risk = HOLDFAST__V1__HOLD_AT_RISK__INIT;
    at_risk.valid_for_ms = valid_for_ms(hold);
    send_event(hold->call, HOLDFAST__V1__HOLD_EVENT__EVENT_AT_RISK, &at_risk.base);
}

static Holdfast__V1__HoldLost__Reason reason_of(enum lease_loss loss)
{
    switch (loss) {
    case LEASE_LOSS_EXPIRED:
        return HOLDFAST__V1__HOLD_LOST__REASON__REASON_EXPIRED;
    case LEASE_LOSS_TAKEN:
        return HOLDFAST__V1__HOLD_LOST__REASON__REASON_TAKEN;
    case LEASE_LOSS_MAX_HOLD:
        return HOLDFAST__V1__HOLD_LOST__REASON__REASON_MAX_HOLD;
    case LEASE_LOSS_RESUMED:
        return HOLDFAST__V1__HOLD_LOST__REASON__REASON_RESUMED;
    }
    return HOLDFAST__V1__HOLD_LOST__REASON__REASON_UNSPECIFIED;
}

static void on_event(struct call *call, const struct group *group,
                     const struct lease_report *report, int64_t now_us)
{
    struct hold *hold = call->user;
    switch (report->event) {
    case LEASE_EVENT_QUEUED:
        on_queued(hold, group, report);
        break;
    case LEASE_EVENT_GRANTED:
        on_granted(hold, group, now_us);
        break;
    case LEASE_EVENT_REFUSED:
        on_refused(hold, group, report, now_us);
        break;
    case LEASE_EVENT_AT_RISK:
        on_at_risk(hold);
        break;
    case LEASE_EVENT_RENEWED:
        /* Not sent: a client would take it for the answer to a ping that is still on its way and
         * count the validity from there. Its next ping tells. */
        break;
    case LEASE_EVENT_LOST:
        finish_lost(hold, reason_of(report->loss));
        break;
    case LEASE_EVENT_RELEASED:
        finish_released(hold);
        break;
    }
}

static void on_withdrawn(struct call *call, enum binding_withdrawal why)
{
    struct hold *hold = call->user;
    if (why == BINDING_RELEASED) {
        finish_lost(hold, HOLDFAST__V1__HOLD_LOST__REASON__REASON_TAKEN);
    } else if (hold->is_granted) {
        finish_lost(hold, HOLDFAST__V1__HOLD_LOST__REASON__REASON_SHUTDOWN);
    } else {
        session_fail_call(end(hold), STATUS_UNAVAILABLE,
                          "the server is shutting down; ask another one");
    }
}

static const struct binding_owner hold_owner = {
    .on_event = on_event,
    .on_withdrawn = on_withdrawn,
};

static void on_cancel(struct call *call)
{
    struct hold *hold = call->user;
    binding_leave(hold->binding, call, now_us_of(hold));
    end(hold);
}

/* While asking without a wait nothing can be given back yet, and the answer is near: on_granted
 * sees to it. A wait could last, so the question is taken back. */
static void on_half_close(struct call *call)
{
    struct hold *hold = call->user;
    if (hold->is_granted) {
        release(hold, now_us_of(hold));
    } else if (hold->is_waiting) {
        binding_revoke(hold->binding, now_us_of(hold));
        finish_released(hold);
    }
}

static void start(struct call *call, const struct ask *ask, uint32_t heartbeat_ms)
{
    int64_t now_us = loop_now_us(call->session->services->loop);
    struct binding *binding = binding_create(call, &hold_owner, ask, now_us);
    if (binding == NULL) {
        return;
    }
    struct hold *hold = memory_alloc(sizeof(*hold));
    hold->call = call;
    hold->binding = binding;
    hold->is_waiting = ask->lease.wait_until_us != 0;
    hold->heartbeat_us = (int64_t)heartbeat_ms * CLOCK_US_PER_MS;
    timer_init(&hold->heartbeat, on_heartbeat_missed);
    call->user = hold;
    call->on_cancel = on_cancel;
    call->on_half_close = on_half_close;
}

static void on_first_message(struct call *call, const Holdfast__V1__HoldRequest *request)
{
    struct ask ask;
    char problem[FIELDS_PROBLEM_SIZE];
    if (request->message_case != HOLDFAST__V1__HOLD_REQUEST__MESSAGE_ASK) {
        session_fail_call(call, STATUS_INVALID_ARGUMENT,
                          "ask: missing; the first message of Hold must be ask");
    } else if (!ask_from_hold(&ask, request->ask, call, problem)) {
        session_fail_call(call, STATUS_INVALID_ARGUMENT, "%s", problem);
    } else {
        start(call, &ask, request->ask->heartbeat_ms);
    }
}

static void on_ping(struct hold *hold)
{
    Holdfast__V1__HoldRenewed renewed = HOLDFAST__V1__HOLD_RENEWED__INIT;
    if (!hold->is_granted) {
        return;
    }
    feed_heartbeat(hold);
    renewed.valid_for_ms = valid_for_ms(hold);
    send_event(hold->call, HOLDFAST__V1__HOLD_EVENT__EVENT_RENEWED, &renewed.base);
}

void hold_message(struct call *call, const Holdfast__V1__HoldRequest *request)
{
    if (call->user == NULL) {
        on_first_message(call, request);
    } else if (request->message_case == HOLDFAST__V1__HOLD_REQUEST__MESSAGE_PING) {
        on_ping(call->user);
    } else if (request->message_case == HOLDFAST__V1__HOLD_REQUEST__MESSAGE_ASK) {
        session_abort_call(call, STATUS_INVALID_ARGUMENT,
                           "ask: only the first message of Hold may be ask");
    } else {
        session_abort_call(call, STATUS_INVALID_ARGUMENT,
                           "message: missing; after ask only ping is understood");
    }
}
