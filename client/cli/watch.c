/* SPDX-License-Identifier: Apache-2.0 */
#include "commands.h"

#include <jansson.h>

#include "output.h"
#include "session.h"

struct watch {
    struct session session;
    struct holdfast_watch *watch;
    bool has_seen; /* a state was told */
};

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

static void print_text(const struct watch *watch, const struct holdfast_holder *holder)
{
    char text[OUTPUT_TEXT_SIZE];
    char value[OUTPUT_TEXT_SIZE];
    if (!holder->is_held && !holder->is_closed) {
        output_line("%s is free", watch->session.key);
        return;
    }
    output_holder_text(watch->session.arguments->key, holder, text);
    output_value(holder, value);
    if (holder->fence > 0) {
        output_line("%s, fence %llu%s", text, (unsigned long long)holder->fence, value);
    } else {
        output_line("%s%s", text, value);
    }
}

/* The server may come back, and then the state is told anew; but one that was never there will
 * hardly appear. */
static void on_interrupted(struct watch *watch, const char *error)
{
    if (!watch->has_seen) {
        session_fail(&watch->session, HOLDFAST_AWAY, NULL, error);
        return;
    }
    output_error("%s: what happens now is not known: %s. Watching goes on.", watch->session.key,
                 error);
}

static void on_state(enum holdfast_result result, const struct holdfast_holder *holder,
                     const char *error, void *user)
{
    struct watch *watch = (struct watch *)user;
    if (watch->session.is_ended) {
        return;
    }
    if (result == HOLDFAST_AWAY) {
        on_interrupted(watch, error);
    } else if (result != HOLDFAST_OK) {
        session_fail(&watch->session, result, NULL, error);
    } else {
        watch->has_seen = true;
        if (watch->session.arguments->is_json) {
            print_json(watch->session.arguments->key, holder);
        } else {
            print_text(watch, holder);
        }
    }
}

int command_watch(const struct arguments *arguments)
{
    struct watch watch = {.watch = NULL};
    if (session_open(&watch.session, arguments)) {
        watch.watch = holdfast_async_watch(watch.session.async, arguments->key, on_state, &watch);
        session_run(&watch.session);
    }
    holdfast_watch_stop(watch.watch);
    return session_close(&watch.session);
}
