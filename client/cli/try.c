/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A lease ends with the connection that holds it, so a plain `try` can only tell whether the lock
 * was to be had: it takes it and gives it back. With --detached it leaves the lease behind.
 */
#include "commands.h"

#include <jansson.h>

#include "output.h"
#include "session.h"
#include "waiting.h"

struct
try {
    struct session session;
    struct waiting waiting;
    struct holdfast_lease *lease;
};

/* A secret that the caller has does not go into his logs as well. */
static void print_detached(const struct session *session, const struct holdfast_lease *lease)
{
    const struct arguments *arguments = session->arguments;
    const uint64_t fence = holdfast_lease_fence(lease);
    char token[OUTPUT_TOKEN_SIZE];
    output_token(holdfast_lease_token(lease), token);
    if (arguments->is_json) {
        output_json(json_pack("{s:s, s:s, s:s*, s:I, s:I, s:I}", "key", arguments->key, "outcome",
                              "granted", "token", arguments->has_token ? NULL : token, "fence",
                              (json_int_t)fence, "ttl_ms", (json_int_t)holdfast_lease_ttl_ms(lease),
                              "valid_for_ms", (json_int_t)holdfast_lease_valid_for_ms(lease)));
    } else if (arguments->has_token) {
        output_line("key %s\nfence %llu", session->key, (unsigned long long)fence);
    } else {
        output_line("token %s\nfence %llu", token, (unsigned long long)fence);
    }
}

static void print_free(const struct session *session, uint64_t fence)
{
    const struct arguments *arguments = session->arguments;
    if (arguments->is_json) {
        output_json(json_pack("{s:s, s:s, s:I}", "key", arguments->key, "outcome", "free", "fence",
                              (json_int_t)fence));
    } else if (!arguments->is_quiet) {
        output_line("%s was free (taken and released, fence %llu)", session->key,
                    (unsigned long long)fence);
    }
}

static void fail(struct session *session, enum holdfast_result result,
                 const struct holdfast_holder *holder, const char *error)
{
    if (result == HOLDFAST_BUSY && holder != NULL && session->arguments->is_json) {
        output_json(json_pack("{s:s, s:s, s:o}", "key", session->arguments->key, "outcome", "busy",
                              "holder", output_holder_json(holder)));
    }
    session_fail(session, result, holder, error);
}

static void on_detached(enum holdfast_result result, struct holdfast_lease *lease,
                        const struct holdfast_holder *holder, const char *error, void *user)
{
    struct try *try = (struct try *)user;
    if (!try->session.is_ended && result == HOLDFAST_OK) {
        print_detached(&try->session, lease);
        session_end(&try->session, EXIT_OK);
    } else if (!try->session.is_ended) {
        fail(&try->session, result, holder, error);
    }
    if (lease != NULL) {
        holdfast_lease_free(lease);
    }
}

static void on_given_back(enum holdfast_result result, const char *error, void *user)
{
    struct try *try = (struct try *)user;
    if (!try->session.is_ended && result == HOLDFAST_OK) {
        print_free(&try->session, holdfast_lease_fence(try->lease));
        session_end(&try->session, EXIT_OK);
    } else if (!try->session.is_ended) {
        session_fail(&try->session, result, NULL, error);
    }
}

/* try prints one object, so --json has no events of the wait. */
static void on_queued(uint32_t position, const struct holdfast_holder *holder, void *user)
{
    struct try *try = (struct try *)user;
    if (!try->session.is_ended && !try->session.arguments->is_json) {
        waiting_update(&try->waiting, position, holder);
    }
}

static void on_taken(enum holdfast_result result, struct holdfast_lease *lease,
                     const struct holdfast_holder *holder, const char *error, void *user)
{
    struct try *try = (struct try *)user;
    try->lease = lease;
    waiting_end(&try->waiting);
    if (try->session.is_ended) {
        return;
    }
    if (result == HOLDFAST_OK) {
        holdfast_async_release(try->session.async, lease, on_given_back, try);
    } else {
        fail(&try->session, result, holder, error);
    }
}

int command_try(const struct arguments *arguments)
{
    struct try try = {.lease = NULL};
    if (session_open(&try.session, arguments) && waiting_open(&try.waiting, &try.session)) {
        struct holdfast_ask ask = session_ask(&try.session);
        if (arguments->is_detached) {
            holdfast_async_acquire_detached(try.session.async, &ask,
                                            arguments->has_token ? arguments->token : NULL,
                                            on_detached, &try);
        } else {
            ask.events = (struct holdfast_lease_events){.on_queued = on_queued, .user = &try};
            holdfast_async_hold(try.session.async, &ask, on_taken, &try);
        }
        session_run(&try.session);
    }
    waiting_close(&try.waiting);
    if (try.lease != NULL) {
        holdfast_lease_free(try.lease);
    }
    return session_close(&try.session);
}
