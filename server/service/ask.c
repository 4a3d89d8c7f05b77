/* SPDX-License-Identifier: Apache-2.0 */
#include "service/ask.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "service/session.h"

/* The terms that the messages share. */
struct terms {
    const char *key;
    char *const *keys;
    size_t key_count;
    const char *label;
    const ProtobufCBinaryData *value;
    uint32_t ttl_ms;
    uint32_t wait_ms;
    Holdfast__V1__Mode mode;
    uint32_t limit;
    uint32_t grace_ms;
    uint32_t lock_delay_ms;
    uint32_t max_hold_ms;
};

/* Writes the sentence and returns false, so that a check can end with it. */
static bool refuse(char problem[FIELDS_PROBLEM_SIZE], const char *sentence)
{
    snprintf(problem, FIELDS_PROBLEM_SIZE, "%s", sentence);
    return false;
}

static bool check_durations(const struct terms *terms, char problem[FIELDS_PROBLEM_SIZE])
{
    return fields_check_duration("wait_ms", terms->wait_ms, problem) &&
           fields_check_duration("grace_ms", terms->grace_ms, problem) &&
           fields_check_duration("lock_delay_ms", terms->lock_delay_ms, problem) &&
           fields_check_duration("max_hold_ms", terms->max_hold_ms, problem);
}

static bool check(const struct terms *terms, char problem[FIELDS_PROBLEM_SIZE])
{
    if (!fields_check_names(terms->key, terms->keys, terms->key_count, problem) ||
        !fields_check_ttl(terms->ttl_ms, problem) || !fields_check_label(terms->label, problem) ||
        !fields_check_value(terms->value, problem) ||
        !fields_check_mode(terms->mode, terms->limit, problem) ||
        !check_durations(terms, problem)) {
        return false;
    }
    return terms->key_count == 0 || terms->grace_ms == 0 ||
           refuse(problem, "grace_ms: not with keys; several locks cannot be resumed");
}

static void take_names(struct ask *ask, const struct terms *terms)
{
    ask->count = terms->key_count == 0 ? 1 : terms->key_count;
    for (size_t i = 0; i < ask->count; i++) {
        const char *key = terms->key_count == 0 ? terms->key : terms->keys[i];
        ask->names[i] = (struct group_name){.key = key, .key_length = strlen(key)};
    }
    ask->lease.key = ask->names[0].key;
    ask->lease.key_length = ask->names[0].key_length;
}

static void take(struct ask *ask, const struct terms *terms, struct call *call)
{
    struct session *session = call->session;
    const struct services *services = session->services;
    const bool is_shared = terms->mode == HOLDFAST__V1__MODE__MODE_SHARED;
    *ask = (struct ask){
        .lease = {
            .label = terms->label,
            .label_length = strlen(terms->label),
            .value = (const char *)terms->value->data,
            .value_length = terms->value->len,
            .mode = is_shared ? STORE_SHARED : STORE_EXCLUSIVE,
            .limit = terms->limit,
            .ttl_ms = terms->ttl_ms == 0 ? services->config.default_ttl_ms : terms->ttl_ms,
            .deadline_us = call->deadline_us,
            .grace_ms = terms->grace_ms,
            .lock_delay_ms = terms->lock_delay_ms,
            .max_hold_ms = terms->max_hold_ms,
            .party = &session->party,
        }};
    if (terms->wait_ms != 0) {
        ask->lease.wait_until_us =
            loop_now_us(services->loop) + (int64_t)terms->wait_ms * CLOCK_US_PER_MS;
    }
    take_names(ask, terms);
}

static bool check_detached(const Holdfast__V1__AcquireRequest *request,
                           char problem[FIELDS_PROBLEM_SIZE])
{
    if (!request->detached) {
        return request->token.len == 0 ||
               refuse(problem, "token: only with detached; the server chooses the token of a lease "
                               "that is bound to a connection");
    }
    if (request->n_keys > 0) {
        return refuse(problem, "keys: not with detached");
    }
    if (request->grace_ms != 0) {
        return refuse(problem, "grace_ms: not with detached, which no connection owns");
    }
    return request->max_hold_ms == 0 ||
           refuse(problem, "max_hold_ms: not with detached, which only its ttl ends");
}

bool ask_from_acquire(struct ask *ask, const Holdfast__V1__AcquireRequest *request,
                      struct call *call, char problem[FIELDS_PROBLEM_SIZE])
{
    const struct terms terms = {
        .key = request->key,
        .keys = request->keys,
        .key_count = request->n_keys,
        .label = request->label,
        .value = &request->value,
        .ttl_ms = request->ttl_ms,
        .wait_ms = request->wait_ms,
        .mode = request->mode,
        .limit = request->limit,
        .grace_ms = request->grace_ms,
        .lock_delay_ms = request->lock_delay_ms,
        .max_hold_ms = request->max_hold_ms,
    };
    if (!check(&terms, problem) || !check_detached(request, problem)) {
        return false;
    }
    take(ask, &terms, call);
    ask->lease.is_detached = request->detached;
    if (request->token.len == 0) {
        return true;
    }
    ask->lease.may_be_retried = true;
    ask->lease.token = &ask->token;
    return fields_take_token("token", &request->token, &ask->token, problem);
}

/* What comes with a resume_token would be ignored, so it is refused. */
static bool check_resume(const Holdfast__V1__HoldAsk *request, char problem[FIELDS_PROBLEM_SIZE])
{
    const char *field = request->wait_ms != 0    ? "wait_ms"
                        : request->mode != 0     ? "mode"
                        : request->limit != 0    ? "limit"
                        : request->n_keys > 0    ? "keys"
                        : request->label[0] != 0 ? "label"
                        : request->value.len > 0 ? "value"
                                                 : NULL;
    if (field != NULL) {
        snprintf(problem, FIELDS_PROBLEM_SIZE,
                 "%s: must be empty with resume_token; a lease that is resumed keeps its own",
                 field);
    }
    return field == NULL;
}

static bool take_resume_token(struct ask *ask, const Holdfast__V1__HoldAsk *request,
                              char problem[FIELDS_PROBLEM_SIZE])
{
    ask->is_resume = true;
    ask->lease.token = &ask->token;
    return fields_take_token("resume_token", &request->resume_token, &ask->token, problem);
}

bool ask_from_hold(struct ask *ask, const Holdfast__V1__HoldAsk *request, struct call *call,
                   char problem[FIELDS_PROBLEM_SIZE])
{
    const bool is_resume = request->resume_token.len > 0;
    const struct terms terms = {
        .key = request->key,
        .keys = request->keys,
        .key_count = request->n_keys,
        .label = request->label,
        .value = &request->value,
        .ttl_ms = request->ttl_ms,
        .wait_ms = request->wait_ms,
        .mode = request->mode,
        .limit = request->limit,
        .grace_ms = request->grace_ms,
        .lock_delay_ms = request->lock_delay_ms,
        .max_hold_ms = request->max_hold_ms,
    };
    if ((is_resume && !check_resume(request, problem)) || !check(&terms, problem) ||
        !fields_check_heartbeat(request->heartbeat_ms, problem)) {
        return false;
    }
    take(ask, &terms, call);
    return !is_resume || take_resume_token(ask, request, problem);
}

bool ask_from_resume(struct ask *ask, const Holdfast__V1__ResumeRequest *request, struct call *call,
                     char problem[FIELDS_PROBLEM_SIZE])
{
    static const ProtobufCBinaryData no_value;
    const struct terms terms = {
        .key = request->key,
        .label = "",
        .value = &no_value,
        .ttl_ms = request->ttl_ms,
        .grace_ms = request->grace_ms,
        .lock_delay_ms = request->lock_delay_ms,
        .max_hold_ms = request->max_hold_ms,
    };
    if (!check(&terms, problem)) {
        return false;
    }
    take(ask, &terms, call);
    ask->is_resume = true;
    ask->lease.token = &ask->token;
    return fields_take_token("token", &request->token, &ask->token, problem);
}

void ask_from_release(struct ask *ask, const char *key, const struct id128 *token,
                      struct call *call)
{
    static const ProtobufCBinaryData no_value;
    const struct terms terms = {.key = key, .label = "", .value = &no_value};
    take(ask, &terms, call);
    ask->is_resume = true;
    ask->token = *token;
    ask->lease.token = &ask->token;
}
