/* SPDX-License-Identifier: Apache-2.0 */
#include "commands.h"

#include <jansson.h>

#include "output.h"
#include "session.h"

static void on_released(enum holdfast_result result, const char *error, void *user)
{
    struct session *session = (struct session *)user;
    const struct arguments *arguments = session->arguments;
    if (session->is_ended) {
        return;
    }
    if (arguments->is_json && (result == HOLDFAST_OK || result == HOLDFAST_NOT_HELD)) {
        output_json(json_pack("{s:s, s:s}", "key", arguments->key, "outcome",
                              result == HOLDFAST_OK ? "released" : "not_held"));
    }
    if (result == HOLDFAST_NOT_HELD) {
        output_error("%s is not held with this token: released, expired or taken before.",
                     session->key);
        session_end(session, EXIT_LOST);
    } else if (result != HOLDFAST_OK) {
        session_fail(session, result, NULL, error);
    } else {
        if (!arguments->is_json && !arguments->is_quiet) {
            output_line("%s is released", session->key);
        }
        session_end(session, EXIT_OK);
    }
}

int command_release(const struct arguments *arguments)
{
    struct session session;
    if (session_open(&session, arguments)) {
        holdfast_async_release_token(session.async, arguments->key, arguments->token, on_released,
                                     &session);
        session_run(&session);
    }
    return session_close(&session);
}
