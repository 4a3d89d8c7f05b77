/* SPDX-License-Identifier: Apache-2.0 */
#include "unary_internal.h"

#include "base/arena.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/memory.h"
#include "lease.h"
#include "outcome.h"
#include "wire/message.h"

/* How much longer than the server we wait: its own "timed out" has undone the request. */
#define SERVER_HEAD_START_US ((int64_t)250 * CLOCK_US_PER_MS)

#define ANSWER_ARENA_MAX ((size_t)64 << 10)

static void unary_destroy(struct unary *unary)
{
    channel_call_forget(&unary->client->channel, &unary->call);
    if (unary->lease != NULL) {
        lease_let_go(unary->lease);
    }
    if (unary->has_ask) {
        ask_release(&unary->ask);
    }
    memory_free(unary->key);
    memory_free(unary->page);
    memory_free(unary);
}

void unary_answer(struct unary *unary, enum holdfast_result result, const char *text)
{
    struct request *request = unary->request;
    unary->request = NULL;
    request_answer(request, result, text);
}

static void finish(struct unary *unary, enum holdfast_result result, const char *text)
{
    unary_answer(unary, result, text);
    unary_destroy(unary);
}

void unary_give_up(struct unary *unary)
{
    const struct callback nobody = {.kind = CALLBACK_DONE};
    const struct unary_lease of = {.key = unary->key, .token = unary->token.bytes};
    if (unary->is_token_ours && unary->was_sent && !unary->client->is_closing) {
        unary_release(unary->client, &of, NULL, &nobody);
    }
}

/* The wait begins when the server hears of it first; the timeout counts on top. */
static void begin_wait(struct unary *unary)
{
    if (unary->has_ask && unary->ask.wait_ms > 0 && unary->wait_until_us == 0) {
        int64_t wait_us = unary->ask.wait_ms * CLOCK_US_PER_MS;
        unary->wait_until_us = unary->sent_us + wait_us;
        request_postpone(unary->request,
                         wait_us + unary->client->reach.timeout_ms * CLOCK_US_PER_MS);
    }
}

static void on_ready(struct channel_call *call)
{
    struct unary *unary = CONTAINER_OF(call, struct unary, call);
    struct channel_request request = {.service = unary->method->service,
                                      .method = unary->method->name};
    unary->sent_us = clock_now_us();
    unary->was_sent = true;
    begin_wait(unary);
    request.timeout_us = unary->request->deadline_us - unary->sent_us;
    if (request.timeout_us < CLOCK_US_PER_MS) {
        request.timeout_us = CLOCK_US_PER_MS;
    }
    unary->method->send(unary, &request);
}

static bool take(struct unary *unary, const struct channel_end *end)
{
    char problem[MESSAGE_PROBLEM_SIZE];
    struct arena arena;
    if (unary->method->take_bytes != NULL) {
        return unary->method->take_bytes(unary, end->payload, end->length);
    }
    arena_init(&arena, ANSWER_ARENA_MAX);
    const ProtobufCMessage *message =
        message_unpack(unary->method->answer, end->payload, end->length, &arena, problem);
    bool is_understood = message != NULL && unary->method->take(unary, message);
    arena_release(&arena);
    return is_understood;
}

static void take_answer(struct unary *unary, const struct channel_end *end)
{
    if (!take(unary, end)) {
        unary_give_up(unary);
        request_answer_format(unary->request, HOLDFAST_REFUSED,
                              "the server's answer to %s makes no sense", unary->method->name);
        unary->request = NULL;
    }
    if (unary->request == NULL) {
        unary_destroy(unary);
    }
}

static void on_end(struct channel_call *call, const struct channel_end *end)
{
    struct unary *unary = CONTAINER_OF(call, struct unary, call);
    bool is_hopeless = end->is_untrusted && !unary->was_sent;
    if (end->is_disconnected && unary->method->is_retried && !is_hopeless) {
        channel_call_start(&unary->client->channel, call);
    } else if (end->is_disconnected) {
        finish(unary, HOLDFAST_AWAY, unary->client->down);
    } else if (end->status != STATUS_OK) {
        finish(unary, outcome_of_status(end->status), end->text);
    } else {
        take_answer(unary, end);
    }
}

static const struct channel_call_events call_events = {.on_ready = on_ready, .on_end = on_end};

static void on_timeout(struct request *request)
{
    struct unary *unary = request->owner;
    if (unary->client->is_closing) {
        finish(unary, HOLDFAST_AWAY, REQUEST_CLOSED);
    } else if (!unary->was_sent) {
        finish(unary, HOLDFAST_AWAY, unary->client->down);
    } else if (unary->call.state == CALL_ACTIVE && !unary->is_late) {
        unary->is_late = true;
        request_wait_longer(request, SERVER_HEAD_START_US);
    } else {
        unary_give_up(unary);
        finish(unary, HOLDFAST_TIMEOUT, "the server did not answer in time");
    }
}

static void on_cancel(struct request *request)
{
    struct unary *unary = request->owner;
    unary_give_up(unary);
    finish(unary, HOLDFAST_CANCELLED, "the request was cancelled");
}

struct unary *unary_create(const struct unary_method *method, struct request *request,
                           const char *key)
{
    struct unary *unary = memory_alloc(sizeof(*unary));
    unary->method = method;
    unary->client = request->client;
    unary->request = request;
    unary->call.events = &call_events;
    unary->key = memory_copy_string(key);
    request->owner = unary;
    request->on_timeout = on_timeout;
    request->on_cancel = on_cancel;
    return unary;
}

void unary_start(struct unary *unary)
{
    channel_call_start(&unary->client->channel, &unary->call);
}

void unary_go_on(struct unary *unary, const struct unary_method *method)
{
    unary->method = method;
    unary_start(unary);
}

void unary_send(struct unary *unary, struct channel_request *request,
                const ProtobufCMessage *message)
{
    request->message = message;
    channel_send_request(&unary->client->channel, &unary->call, request);
}
