/* SPDX-License-Identifier: Apache-2.0 */
/* The asynchronous API: checks arguments, then hands over. */
#include <holdfast/holdfast.h>

#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "client.h"
#include "hold.h"
#include "lease.h"
#include "request.h"
#include "unary.h"

#define KEY_MAX   512
#define LABEL_MAX 256

_Static_assert(HOLDFAST_TOKEN_SIZE == ID128_SIZE, "a token is an id128");
_Static_assert(HOLDFAST_LABEL_SIZE == LABEL_MAX + 1, "a label and its NUL");

/* NULL, or what is wrong. The rest is the server's to judge. */
static const char *key_problem(const char *key)
{
    if (key == NULL || key[0] == '\0') {
        return "key: required";
    }
    return strnlen(key, KEY_MAX + 1) > KEY_MAX ? "key: longer than 512 bytes" : NULL;
}

static const char *ask_problem(const struct holdfast_ask *ask)
{
    const char *problem = key_problem(ask->key);
    if (problem == NULL && ask->label != NULL && strnlen(ask->label, LABEL_MAX + 1) > LABEL_MAX) {
        problem = "label: longer than 256 bytes";
    }
    return problem;
}

static const char *lease_problem(const struct unary_lease *of)
{
    const char *problem = key_problem(of->key);
    return problem == NULL && of->token == NULL ? "token: required" : problem;
}

static void refuse(struct holdfast_async *async, const struct callback *callback,
                   enum holdfast_result result, const char *why)
{
    struct request *request = request_create(async, callback);
    if (request != NULL) {
        request_answer(request, result, why);
    }
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

void holdfast_async_hold(struct holdfast_async *async, const struct holdfast_ask *ask,
                         holdfast_lease_fn *on_done, void *user)
{
    const struct callback callback = {.kind = CALLBACK_LEASE, .on_lease = on_done, .user = user};
    const char *problem = ask_problem(ask);
    if (problem != NULL) {
        refuse(async, &callback, HOLDFAST_INVALID, problem);
    } else {
        hold_start(async, ask, &callback);
    }
}

void holdfast_async_acquire_detached(struct holdfast_async *async, const struct holdfast_ask *ask,
                                     const unsigned char *token, holdfast_lease_fn *on_done,
                                     void *user)
{
    const struct callback callback = {.kind = CALLBACK_LEASE, .on_lease = on_done, .user = user};
    const char *problem = ask_problem(ask);
    if (problem != NULL) {
        refuse(async, &callback, HOLDFAST_INVALID, problem);
    } else {
        unary_acquire(async, ask, token, &callback);
    }
}

void holdfast_async_release(struct holdfast_async *async, struct holdfast_lease *lease,
                            holdfast_done_fn *on_done, void *user)
{
    const struct callback callback = {.kind = CALLBACK_DONE, .on_done = on_done, .user = user};
    if (lease->is_detached) {
        const struct unary_lease of = {.key = lease->key, .token = lease->token.bytes};
        unary_release(async, &of, lease, &callback);
    } else if (lease->hold != NULL) {
        hold_release(lease->hold, &callback);
    } else {
        refuse(async, &callback, HOLDFAST_NOT_HELD, "the lease was lost or released before");
    }
}

void holdfast_async_renew(struct holdfast_async *async, struct holdfast_lease *lease,
                          uint32_t ttl_ms, holdfast_done_fn *on_done, void *user)
{
    const struct callback callback = {.kind = CALLBACK_DONE, .on_done = on_done, .user = user};
    if (lease->is_detached) {
        unary_renew(async, lease, ttl_ms, &callback);
    } else if (ttl_ms != 0) {
        refuse(async, &callback, HOLDFAST_INVALID,
               "ttl_ms: must be 0 for a held lease, whose ttl stays as it is");
    } else if (lease->hold != NULL) {
        hold_renew(lease->hold, &callback);
    } else {
        refuse(async, &callback, HOLDFAST_NOT_HELD, "the lease was lost or released before");
    }
}

void holdfast_async_release_token(struct holdfast_async *async, const char *key,
                                  const unsigned char *token, holdfast_done_fn *on_done, void *user)
{
    const struct callback callback = {.kind = CALLBACK_DONE, .on_done = on_done, .user = user};
    const struct unary_lease of = {.key = key, .token = token};
    const char *problem = lease_problem(&of);
    if (problem != NULL) {
        refuse(async, &callback, HOLDFAST_INVALID, problem);
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
        refuse(async, &callback, HOLDFAST_INVALID, problem);
    } else {
        unary_renew_token(async, &of, ttl_ms, &callback);
    }
}

void holdfast_async_inspect(struct holdfast_async *async, const char *key,
                            holdfast_inspect_fn *on_done, void *user)
{
    const struct callback callback = {
        .kind = CALLBACK_INSPECT, .on_inspect = on_done, .user = user};
    const char *problem = key_problem(key);
    if (problem != NULL) {
        refuse(async, &callback, HOLDFAST_INVALID, problem);
    } else {
        unary_inspect(async, key, &callback);
    }
}
