/* SPDX-License-Identifier: Apache-2.0 */
#include "commands.h"

#include <event2/event.h>
#include <jansson.h>
#include <signal.h>

#include "input.h"
#include "output.h"
#include "session.h"
#include "waiting.h"

struct hold {
    struct session session;
    struct waiting waiting;
    struct holdfast_lease *lease;
    bool is_releasing;
    struct input input;
    struct event *interrupt;
    struct event *terminate;
};

/* The fence of each lock, where there are several. */
static json_t *fences_json(const struct holdfast_lease *lease)
{
    json_t *fences = json_object();
    for (size_t i = 0; i < holdfast_lease_key_count(lease); i++) {
        const char *key = holdfast_lease_key_at(lease, i);
        json_object_set_new(fences, key,
                            json_integer((json_int_t)holdfast_lease_fence_of(lease, key)));
    }
    return fences;
}

/* The token is a secret, and shown only where somebody may have to resume the lease by it. */
static void print_granted_json(const struct hold *hold)
{
    const struct arguments *arguments = hold->session.arguments;
    json_t *event = json_pack("{s:s, s:s, s:I, s:I, s:I}", "event", "granted", "key",
                              holdfast_lease_key(hold->lease), "fence",
                              (json_int_t)holdfast_lease_fence(hold->lease), "ttl_ms",
                              (json_int_t)holdfast_lease_ttl_ms(hold->lease), "valid_for_ms",
                              (json_int_t)holdfast_lease_valid_for_ms(hold->lease));
    if (event != NULL && arguments->grace_ms > 0) {
        char token[OUTPUT_TOKEN_SIZE];
        output_token(holdfast_lease_token(hold->lease), token);
        json_object_set_new(event, "token", json_string(token));
    }
    if (event != NULL && holdfast_lease_key_count(hold->lease) > 1) {
        json_object_set_new(event, "fences", fences_json(hold->lease));
    }
    output_json(event);
}

static void print_granted(const struct hold *hold)
{
    const struct arguments *arguments = hold->session.arguments;
    const uint64_t fence = holdfast_lease_fence(hold->lease);
    const uint32_t ttl_ms = holdfast_lease_ttl_ms(hold->lease);
    if (arguments->is_json) {
        print_granted_json(hold);
    } else if (!arguments->is_quiet) {
        char ttl[OUTPUT_DURATION_SIZE];
        output_duration(ttl_ms, ttl);
        output_line("holding %s: fence %llu, ttl %s", hold->session.key, (unsigned long long)fence,
                    ttl);
    }
}

static void on_released(enum holdfast_result result, const char *error, void *user)
{
    struct hold *hold = (struct hold *)user;
    const struct arguments *arguments = hold->session.arguments;
    if (hold->session.is_ended) {
        return;
    }
    if (result != HOLDFAST_OK) {
        session_fail(&hold->session, result, NULL, error);
        return;
    }
    if (arguments->is_json) {
        output_json(json_pack("{s:s, s:s}", "event", "released", "key", arguments->key));
    } else if (!arguments->is_quiet) {
        output_line("released %s", hold->session.key);
    }
    session_end(&hold->session, EXIT_OK);
}

/* From now on a signal ends the process as usual, should the release take too long. */
static void release(struct hold *hold)
{
    if (hold->is_releasing) {
        return;
    }
    hold->is_releasing = true;
    input_stop(&hold->input);
    event_del(hold->interrupt);
    event_del(hold->terminate);
    holdfast_async_release(hold->session.async, hold->lease, on_released, hold);
}

static void on_signal(evutil_socket_t number, short what, void *user)
{
    (void)number;
    (void)what;
    release((struct hold *)user);
}

static void on_input_end(void *user)
{
    release((struct hold *)user);
}

static void on_at_risk(struct holdfast_lease *lease, int64_t valid_for_ms, void *user)
{
    const struct hold *hold = (const struct hold *)user;
    const struct arguments *arguments = hold->session.arguments;
    (void)lease;
    if (arguments->is_json) {
        output_json(json_pack("{s:s, s:s, s:I}", "event", "at_risk", "key", arguments->key,
                              "valid_for_ms", (json_int_t)valid_for_ms));
    }
    if (!arguments->is_quiet) {
        char left[OUTPUT_DURATION_SIZE];
        output_duration(valid_for_ms, left);
        output_error("%s is at risk: no renewal is confirmed; it is lost in %s unless one is.",
                     hold->session.key, left);
    }
}

static void on_lost(struct holdfast_lease *lease, enum holdfast_loss loss, void *user)
{
    struct hold *hold = (struct hold *)user;
    const struct arguments *arguments = hold->session.arguments;
    (void)lease;
    if (arguments->is_json) {
        output_json(json_pack("{s:s, s:s, s:s}", "event", "lost", "key", arguments->key, "reason",
                              holdfast_loss_text(loss)));
    }
    output_error("%s is lost: %s.", hold->session.key, holdfast_loss_text(loss));
    session_end(&hold->session, EXIT_LOST);
}

static void on_queued(uint32_t position, const struct holdfast_holder *holder, void *user)
{
    struct hold *hold = (struct hold *)user;
    if (!hold->session.is_ended) {
        waiting_update(&hold->waiting, position, holder);
    }
}

static void on_granted(enum holdfast_result result, struct holdfast_lease *lease,
                       const struct holdfast_holder *holder, const char *error, void *user)
{
    struct hold *hold = (struct hold *)user;
    const struct arguments *arguments = hold->session.arguments;
    hold->lease = lease;
    waiting_end(&hold->waiting);
    if (hold->session.is_ended) {
        return;
    }
    if (result != HOLDFAST_OK) {
        if (result == HOLDFAST_BUSY && holder != NULL && arguments->is_json) {
            output_json(json_pack("{s:s, s:s, s:o}", "event", "busy", "key", arguments->key,
                                  "holder", output_holder_json(holder)));
        }
        session_fail(&hold->session, result, holder, error);
        return;
    }
    print_granted(hold);
    if (!input_start(&hold->input) || event_add(hold->interrupt, NULL) != 0 ||
        event_add(hold->terminate, NULL) != 0) {
        output_error("Cannot watch the input and signals: out of memory.");
        session_end(&hold->session, EXIT_UNEXPECTED);
    }
}

static bool create_events(struct hold *hold)
{
    struct event_base *base = hold->session.base;
    hold->interrupt = event_new(base, SIGINT, EV_SIGNAL | EV_PERSIST, on_signal, hold);
    hold->terminate = event_new(base, SIGTERM, EV_SIGNAL | EV_PERSIST, on_signal, hold);
    if (!input_open(&hold->input, base) || hold->interrupt == NULL || hold->terminate == NULL) {
        output_error("Cannot watch the input and signals: out of memory.");
        return false;
    }
    return true;
}

static void free_event(struct event *event)
{
    if (event != NULL) {
        event_free(event);
    }
}

static void ask(struct hold *hold)
{
    const struct arguments *arguments = hold->session.arguments;
    struct holdfast_ask ask = session_ask(&hold->session);
    ask.events = (struct holdfast_lease_events){
        .on_at_risk = on_at_risk, .on_queued = on_queued, .on_lost = on_lost, .user = hold};
    if (arguments->command == COMMAND_RESUME) {
        holdfast_async_resume(hold->session.async, &ask, arguments->token, on_granted, hold);
    } else {
        holdfast_async_hold(hold->session.async, &ask, on_granted, hold);
    }
}

int command_hold(const struct arguments *arguments)
{
    struct hold hold = {.input = {.on_end = on_input_end}};
    hold.input.user = &hold;
    if (session_open(&hold.session, arguments) && waiting_open(&hold.waiting, &hold.session) &&
        create_events(&hold)) {
        ask(&hold);
        session_run(&hold.session);
    }
    waiting_close(&hold.waiting);
    input_close(&hold.input);
    free_event(hold.interrupt);
    free_event(hold.terminate);
    if (hold.lease != NULL) {
        holdfast_lease_free(hold.lease);
    }
    return session_close(&hold.session);
}

/* The same, with a lease that exists. */
int command_resume(const struct arguments *arguments)
{
    return command_hold(arguments);
}
