/* SPDX-License-Identifier: Apache-2.0 */
#include "service/watch.h"

#include <string.h>

#include "base/memory.h"
#include "lease/watch.h"
#include "service/answers.h"
#include "service/session.h"

struct watching {
    struct call *call;
    struct watch *watch;
    bool has_told;
};

/* Lets go of the call, which is still to be finished. */
static struct call *end(struct watching *watching)
{
    struct call *call = watching->call;
    watch_end(watching->watch, loop_now_us(call->session->services->loop));
    call->user = NULL;
    call->on_cancel = NULL;
    call->on_half_close = NULL;
    memory_free(watching);
    return call;
}

static void on_state(void *user, const struct store_result *result, int64_t now_us)
{
    struct watching *watching = user;
    Holdfast__V1__WatchEvent event = HOLDFAST__V1__WATCH_EVENT__INIT;
    Holdfast__V1__Free free_state = HOLDFAST__V1__FREE__INIT;
    struct holder_answer held;
    if (result->code != STORE_OK) {
        answer_store_failure(end(watching), result, now_us);
        return;
    }
    if (result->holder.is_held || result->holder.is_closed) {
        holder_answer_init(&held, &result->holder);
        event.state_case = HOLDFAST__V1__WATCH_EVENT__STATE_HELD;
        event.held = &held.message;
    } else {
        event.state_case = HOLDFAST__V1__WATCH_EVENT__STATE_FREE;
        event.free = &free_state;
    }
    watching->has_told = true;
    call_send(watching->call, &event.base);
}

static void on_cancel(struct call *call)
{
    end(call->user);
}

/* Generated clients half-close behind the one message of the request, and still want the answer. */
static void on_half_close(struct call *call)
{
    struct watching *watching = call->user;
    if (watching->has_told) {
        call_finish(end(watching), STATUS_OK, "%s", "");
    }
}

void watch_lock(struct call *call, const Holdfast__V1__WatchRequest *request)
{
    const struct services *services = call->session->services;
    struct watching *watching = memory_alloc(sizeof(*watching));
    watching->call = call;
    watching->watch = watch_start(services->keeper, request->key, strlen(request->key), on_state,
                                  watching, loop_now_us(services->loop));
    if (watching->watch == NULL) {
        memory_free(watching);
        answer_leases_limit(call);
        return;
    }
    call->user = watching;
    call->on_cancel = on_cancel;
    call->on_half_close = on_half_close;
}
