/* SPDX-License-Identifier: Apache-2.0 */
#include "commands.h"

#include <jansson.h>

#include "output.h"
#include "session.h"

/* The fence is 0 where the server does not repeat it. */
static void print_renewed(const struct session *session, const struct holdfast_lease *lease)
{
    const struct arguments *arguments = session->arguments;
    const uint64_t fence = holdfast_lease_fence(lease);
    const int64_t valid_for_ms = holdfast_lease_valid_for_ms(lease);
    if (arguments->is_json) {
        output_json(json_pack("{s:s, s:s, s:o, s:I, s:I}", "key", arguments->key, "outcome",
                              "renewed", "fence", output_fence_json(fence), "ttl_ms",
                              (json_int_t)holdfast_lease_ttl_ms(lease), "valid_for_ms",
                              (json_int_t)valid_for_ms));
    } else if (!arguments->is_quiet) {
        char duration[OUTPUT_DURATION_SIZE];
        output_duration(valid_for_ms, duration);
        output_line("%s is renewed, valid for %s", session->key, duration);
    }
}

static void on_renewed(enum holdfast_result result, struct holdfast_lease *lease,
                       const struct holdfast_holder *holder, const char *error, void *user)
{
    struct session *session = (struct session *)user;
    const struct arguments *arguments = session->arguments;
    (void)holder;
    if (session->is_ended) {
        return;
    }
    if (result == HOLDFAST_OK) {
        print_renewed(session, lease);
        holdfast_lease_free(lease);
        session_end(session, EXIT_OK);
    } else if (result == HOLDFAST_NOT_HELD) {
        if (arguments->is_json) {
            output_json(json_pack("{s:s, s:s}", "key", arguments->key, "outcome", "not_held"));
        }
        output_error("%s is not held with this token: released, expired or taken before.",
                     session->key);
        session_end(session, EXIT_LOST);
    } else {
        session_fail(session, result, NULL, error);
    }
}

int command_renew(const struct arguments *arguments)
{
    struct session session;
    if (session_open(&session, arguments)) {
        holdfast_async_renew_token(session.async, arguments->key, arguments->token,
                                   (uint32_t)arguments->ttl_ms, on_renewed, &session);
        session_run(&session);
    }
    return session_close(&session);
}
