/* SPDX-License-Identifier: Apache-2.0 */
#include "service/release.h"

#include <string.h>

#include "service/answers.h"
#include "service/binding.h"
#include "service/detached.h"
#include "service/session.h"

static int64_t now_us_of(const struct call *call)
{
    return loop_now_us(call->session->services->loop);
}

static void on_cancel(struct call *call)
{
    binding_stop_waiting(call->user, now_us_of(call));
    call->user = NULL;
}

static void await(struct call *call, struct binding *binding)
{
    call->user = binding_await_release(binding, call, now_us_of(call));
    call->on_cancel = on_cancel;
}

/*
 * ---- A lease without a holder: taken over, then given back ----
 */

static void on_orphan_cancel(struct call *call)
{
    struct binding *binding = call->user;
    call->user = NULL;
    binding_revoke(binding, now_us_of(call));
}

static void on_orphan_event(struct call *call, const struct group *group,
                            const struct lease_report *report, int64_t now_us)
{
    (void)group;
    switch (report->event) {
    case LEASE_EVENT_GRANTED:
        binding_release(call->user, now_us);
        break;
    case LEASE_EVENT_RELEASED:
    case LEASE_EVENT_REFUSED:
    case LEASE_EVENT_LOST:
        answer_release(call, report->event == LEASE_EVENT_RELEASED);
        break;
    case LEASE_EVENT_QUEUED:
    case LEASE_EVENT_AT_RISK:
    case LEASE_EVENT_RENEWED:
        break;
    }
}

/* Somebody else's Release got in between: then it is no longer for this call to report. */
static void on_orphan_withdrawn(struct call *call, enum binding_withdrawal why)
{
    if (why == BINDING_RELEASED) {
        answer_release(call, false);
        return;
    }
    call->user = NULL;
    call->on_cancel = NULL;
    session_fail_call(call, STATUS_UNAVAILABLE, "the server is shutting down; ask another one");
}

static const struct binding_owner orphan_owner = {
    .on_event = on_orphan_event,
    .on_withdrawn = on_orphan_withdrawn,
};

static void release_orphan(struct call *call, const char *key, const struct id128 *token)
{
    struct ask ask;
    ask_from_release(&ask, key, token, call);
    struct binding *binding = binding_create(call, &orphan_owner, &ask, now_us_of(call));
    if (binding != NULL) {
        call->user = binding;
        call->on_cancel = on_orphan_cancel;
    }
}

void release_lease(struct call *call, const Holdfast__V1__ReleaseRequest *request,
                   const struct id128 *token)
{
    const struct services *services = call->session->services;
    const char *key = request->key;
    struct binding *binding = binding_find(services, key, token);
    if (binding != NULL) {
        await(call, binding);
    } else if (keeper_find(services->keeper, key, strlen(key), token) != NULL) {
        release_orphan(call, key, token);
    } else {
        detached_release(call, request, token);
    }
}
