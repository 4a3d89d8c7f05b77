/* SPDX-License-Identifier: Apache-2.0 */
#include "commands.h"

#include <jansson.h>

#include "output.h"
#include "session.h"
#include "text.h"

static const char *state_of(const struct holdfast_holder *holder)
{
    if (holder->is_closed) {
        return "closed";
    }
    return holder->is_held ? "held" : "free";
}

static void print_json(const char *key, const struct holdfast_holder *holder)
{
    json_t *state = json_pack("{s:s, s:s}", "key", key, "state", state_of(holder));
    if (state != NULL && (holder->is_held || holder->is_closed)) {
        json_object_set_new(state, "holder", output_holder_json(holder));
    }
    output_json(state);
}

static void print_text(const char *key, const struct holdfast_holder *holder)
{
    if (!holder->is_held && !holder->is_closed) {
        char shown[TEXT_KEY_SIZE];
        text_key(shown, key);
        output_line("%s is free", shown);
        return;
    }
    char text[OUTPUT_TEXT_SIZE];
    output_holder_text(key, holder, text);
    if (holder->fence > 0) {
        output_line("%s, fence %llu", text, (unsigned long long)holder->fence);
    } else {
        output_line("%s", text);
    }
}

static void on_inspected(enum holdfast_result result, const struct holdfast_holder *holder,
                         const char *error, void *user)
{
    struct session *session = (struct session *)user;
    const char *key = session->arguments->key;
    if (session->is_ended) {
        return;
    }
    if (result != HOLDFAST_OK) {
        session_fail(session, result, NULL, error);
        return;
    }
    const struct holdfast_holder nobody = {.is_held = false};
    const struct holdfast_holder *state = holder != NULL ? holder : &nobody;
    if (session->arguments->is_json) {
        print_json(key, state);
    } else {
        print_text(key, state);
    }
    session_end(session, EXIT_OK);
}

int command_inspect(const struct arguments *arguments)
{
    struct session session;
    if (session_open(&session, arguments)) {
        holdfast_async_inspect(session.async, arguments->key, on_inspected, &session);
        session_run(&session);
    }
    return session_close(&session);
}
