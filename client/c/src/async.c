/* SPDX-License-Identifier: Apache-2.0 */
/* The asynchronous API: checks arguments, then hands over. */
#include <holdfast/holdfast.h>

#include <stdio.h>

#include "base/check.h"
#include "base/memory.h"
#include "call.h"
#include "client.h"
#include "election.h"
#include "hold.h"
#include "lease.h"
#include "list.h"
#include "request.h"
#include "unary.h"
#include "watch.h"

_Static_assert(HOLDFAST_TOKEN_SIZE == ID128_SIZE, "a token is an id128");

static const char *lease_problem(const struct unary_lease *of)
{
    const char *problem = ask_key_problem(of->key);
    return problem == NULL && of->token == NULL ? "token: required" : problem;
}

/* Returns the request's id. */
static uint64_t refuse(struct holdfast_async *async, const struct callback *callback,
                       enum holdfast_result result, const char *why)
{
    struct request *request = request_create(async, callback);
    if (request != NULL) {
        request_answer(request, result, why);
    }
    return async->last_request_id;
}

struct holdfast_async *holdfast_async_open(struct event_base *base,
                                           const struct holdfast_options *options, char *error)
{
    char text[HOLDFAST_ERROR_SIZE] = "";
    struct holdfast_async *async = memory_alloc(sizeof(*async));
    client_init(async, base);
    bool is_open = client_open(async, options, text);
    if (error != NULL) {
        (void)snprintf(error, HOLDFAST_ERROR_SIZE, "%s", text);
    }
    if (!is_open) {
        memory_free(async);
        return NULL;
    }
    return async;
}

void holdfast_async_close(struct holdfast_async *async)
{
    client_close(async);
    memory_free(async);
}

uint64_t holdfast_async_hold(struct holdfast_async *async, const struct holdfast_ask *ask,
                             holdfast_lease_fn *on_done, void *user)
{
    const struct callback callback = {.kind = CALLBACK_LEASE, .on_lease = on_done, .user = user};
    const char *problem = ask_problem(ask, ASK_HOLD);
    return problem != NULL ? refuse(async, &callback, HOLDFAST_INVALID, problem)
                           : hold_start(async, ask, NULL, &callback);
}

uint64_t holdfast_async_resume(struct holdfast_async *async, const struct holdfast_ask *ask,
                               const unsigned char *token, holdfast_lease_fn *on_done, void *user)
{
    const struct callback callback = {.kind = CALLBACK_LEASE, .on_lease = on_done, .user = user};
    const char *problem = ask_problem(ask, ASK_RESUME);
    struct id128 id;
    if (problem == NULL && token == NULL) {
        problem = "token: required";
    }
    if (problem != NULL) {
        return refuse(async, &callback, HOLDFAST_INVALID, problem);
    }
    CHECK(id128_from_bytes(&id, token, ID128_SIZE));
    return hold_start(async, ask, &id, &callback);
}

uint64_t holdfast_async_acquire_detached(struct holdfast_async *async,
                                         const struct holdfast_ask *ask, const unsigned char *token,
                                         holdfast_lease_fn *on_done, void *user)
{
    const struct callback callback = {.kind = CALLBACK_LEASE, .on_lease = on_done, .user = user};
    const char *problem = ask_problem(ask, ASK_DETACHED);
    return problem != NULL ? refuse(async, &callback, HOLDFAST_INVALID, problem)
                           : unary_acquire(async, ask, token, &callback);
}

bool holdfast_async_cancel(struct holdfast_async *async, uint64_t id)
{
    struct request *request = request_find(async, id);
    if (request == NULL || request->on_cancel == NULL || async->is_closing) {
        return false;
    }
    request->on_cancel(request);
    return true;
}

void holdfast_async_release(struct holdfast_async *async, struct holdfast_lease *lease,
                            holdfast_done_fn *on_done, void *user)
{
    const struct callback callback = {.kind = CALLBACK_DONE, .on_done = on_done, .user = user};
    if (lease->is_detached) {
        const struct unary_lease of = {.key = lease->locks[0].key, .token = lease->token.bytes};
        unary_release(async, &of, lease, &callback);
    } else if (lease->hold != NULL) {
        hold_release(lease->hold, &callback);
    } else {
        (void)refuse(async, &callback, HOLDFAST_NOT_HELD, "the lease was lost or released before");
    }
}

void holdfast_async_renew(struct holdfast_async *async, struct holdfast_lease *lease,
                          uint32_t ttl_ms, holdfast_done_fn *on_done, void *user)
{
    const struct callback callback = {.kind = CALLBACK_DONE, .on_done = on_done, .user = user};
    if (lease->is_detached) {
        unary_renew(async, lease, ttl_ms, &callback);
    } else if (ttl_ms != 0) {
        (void)refuse(async, &callback, HOLDFAST_INVALID,
                     "ttl_ms: must be 0 for a held lease, whose ttl stays as it is");
    } else if (lease->hold != NULL) {
        hold_renew(lease->hold, &callback);
    } else {
        (void)refuse(async, &callback, HOLDFAST_NOT_HELD, "the lease was lost or released before");
    }
}

void holdfast_async_release_token(struct holdfast_async *async, const char *key,
                                  const unsigned char *token, holdfast_done_fn *on_done, void *user)
{
    const struct callback callback = {.kind = CALLBACK_DONE, .on_done = on_done, .user = user};
    const struct unary_lease of = {.key = key, .token = token};
    const char *problem = lease_problem(&of);
    if (problem != NULL) {
        (void)refuse(async, &callback, HOLDFAST_INVALID, problem);
    } else {
        unary_release(async, &of, NULL, &callback);
    }
}

void holdfast_async_renew_token(struct holdfast_async *async, const char *key,
                                const unsigned char *token, uint32_t ttl_ms,
                                holdfast_lease_fn *on_done, void *user)
{
    const struct callback callback = {.kind = CALLBACK_LEASE, .on_lease = on_done, .user = user};
    const struct unary_lease of = {.key = key, .token = token};
    const char *problem = lease_problem(&of);
    if (problem != NULL) {
        (void)refuse(async, &callback, HOLDFAST_INVALID, problem);
    } else {
        unary_renew_token(async, &of, ttl_ms, &callback);
    }
}

void holdfast_async_inspect(struct holdfast_async *async, const char *key,
                            holdfast_inspect_fn *on_done, void *user)
{
    const struct callback callback = {
        .kind = CALLBACK_INSPECT, .on_inspect = on_done, .user = user};
    const char *problem = ask_key_problem(key);
    if (problem != NULL) {
        (void)refuse(async, &callback, HOLDFAST_INVALID, problem);
    } else {
        unary_inspect(async, key, &callback);
    }
}

struct holdfast_watch *holdfast_async_watch(struct holdfast_async *async, const char *key,
                                            holdfast_watch_fn *on_state, void *user)
{
    return watch_start(async, key, on_state, user);
}

struct holdfast_election *holdfast_async_elect(struct holdfast_async *async,
                                               const struct holdfast_ask *ask,
                                               const struct holdfast_election_events *events)
{
    return election_start(async, ask, events);
}

void holdfast_async_list_locks(struct holdfast_async *async, const struct holdfast_list *list,
                               holdfast_locks_fn *on_done, void *user)
{
    const struct callback callback = {.kind = CALLBACK_LOCKS, .on_locks = on_done, .user = user};
    list_locks(async, list, &callback);
}

void holdfast_async_list_connections(struct holdfast_async *async, const struct holdfast_list *list,
                                     holdfast_connections_fn *on_done, void *user)
{
    const struct callback callback = {
        .kind = CALLBACK_CONNECTIONS, .on_connections = on_done, .user = user};
    list_connections(async, list, &callback);
}

struct holdfast_call *holdfast_async_call(struct holdfast_async *async,
                                          const struct holdfast_call_ask *ask,
                                          const struct holdfast_call_events *events)
{
    return call_start(async, ask, events);
}
