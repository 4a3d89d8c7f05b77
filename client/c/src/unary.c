/* SPDX-License-Identifier: Apache-2.0 */
#include "unary.h"

#include <string.h>

#include "base/arena.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/id128.h"
#include "base/memory.h"
#include "holdfast/v1/locks.pb-c.h"
#include "lease.h"
#include "outcome.h"
#include "wire/message.h"

/* How much longer than the server we wait: its own "timed out" has undone the request. */
#define SERVER_HEAD_START_US ((int64_t)250 * CLOCK_US_PER_MS)

#define ANSWER_ARENA_MAX ((size_t)64 << 10)

struct unary;

/* What differs between the methods. */
struct unary_method {
    const char *name;
    const ProtobufCMessageDescriptor *answer;
    void (*send)(struct unary *unary, struct channel_request *request);
    /* Answers the request by the server's message; false when that makes no sense. */
    bool (*take)(struct unary *unary, const ProtobufCMessage *message);
    bool is_retried; /* after a connection lost on the way: it is safe to ask twice */
};

struct unary {
    const struct unary_method *method;
    struct holdfast_async *client;
    struct request *request;
    struct channel_call call;
    int64_t sent_us;
    bool was_sent;
    bool is_late; /* past our deadline, within the head start */

    char *key;
    char *label;
    uint32_t ttl_ms;
    struct id128 token;
    bool is_token_ours;           /* the library's: nobody else can use it */
    struct holdfast_lease *lease; /* renewed, with a reference; or NULL */
    unsigned int releases;        /* of that lease when the renewal began */
};

static void ignore(enum holdfast_result result, const char *error, void *user)
{
    (void)result;
    (void)error;
    (void)user;
}

static void unary_destroy(struct unary *unary)
{
    channel_call_forget(&unary->client->channel, &unary->call);
    if (unary->lease != NULL) {
        lease_let_go(unary->lease);
    }
    memory_free(unary->key);
    memory_free(unary->label);
    memory_free(unary);
}

static void finish(struct unary *unary, enum holdfast_result result, const char *text)
{
    request_answer(unary->request, result, text);
    unary_destroy(unary);
}

/* An acquire that nobody waits for any more may have obtained, or still obtain, a lease. */
static void give_up_in_background(struct unary *unary)
{
    const struct callback nobody = {.kind = CALLBACK_DONE, .on_done = ignore};
    const struct unary_lease of = {.key = unary->key, .token = unary->token.bytes};
    if (unary->is_token_ours && unary->was_sent && !unary->client->is_closing) {
        unary_release(unary->client, &of, NULL, &nobody);
    }
}

static void on_ready(struct channel_call *call)
{
    struct unary *unary = CONTAINER_OF(call, struct unary, call);
    struct channel_request request = {.method = unary->method->name};
    unary->sent_us = clock_now_us();
    unary->was_sent = true;
    request.timeout_us = unary->request->deadline_us - unary->sent_us;
    if (request.timeout_us < CLOCK_US_PER_MS) {
        request.timeout_us = CLOCK_US_PER_MS;
    }
    unary->method->send(unary, &request);
}

static void take_answer(struct unary *unary, const struct channel_end *end)
{
    char problem[MESSAGE_PROBLEM_SIZE];
    struct arena arena;
    arena_init(&arena, ANSWER_ARENA_MAX);
    const ProtobufCMessage *message =
        message_unpack(unary->method->answer, end->payload, end->length, &arena, problem);
    if (message == NULL || !unary->method->take(unary, message)) {
        give_up_in_background(unary);
        request_answer_format(unary->request, HOLDFAST_REFUSED,
                              "the server's answer to %s makes no sense", unary->method->name);
    }
    unary_destroy(unary);
    arena_release(&arena);
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
        give_up_in_background(unary);
        finish(unary, HOLDFAST_TIMEOUT, "the server did not answer in time");
    }
}

static struct unary *unary_create(const struct unary_method *method, struct request *request,
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
    return unary;
}

static void start(struct unary *unary)
{
    channel_call_start(&unary->client->channel, &unary->call);
}

static void send(struct unary *unary, struct channel_request *request,
                 const ProtobufCMessage *message)
{
    request->message = message;
    channel_send_request(&unary->client->channel, &unary->call, request);
}

static ProtobufCBinaryData token_bytes(struct unary *unary)
{
    return (ProtobufCBinaryData){.len = ID128_SIZE, .data = unary->token.bytes};
}

static void send_acquire(struct unary *unary, struct channel_request *request)
{
    Holdfast__V1__AcquireRequest message = HOLDFAST__V1__ACQUIRE_REQUEST__INIT;
    message.key = unary->key;
    message.label = unary->label;
    message.ttl_ms = unary->ttl_ms;
    message.detached = true;
    message.token = token_bytes(unary);
    send(unary, request, &message.base);
}

static bool take_lease(struct unary *unary, const Holdfast__V1__Lease *message)
{
    struct holdfast_lease *lease =
        lease_create(message, unary->key, unary->sent_us, unary->client->mailbox);
    if (lease == NULL || !id128_equal(&lease->token, &unary->token)) {
        if (lease != NULL) {
            lease_let_go(lease);
        }
        return false;
    }
    lease->is_detached = true;
    if (lease_left_us(lease, clock_now_us()) <= 0) {
        lease_let_go(lease);
        give_up_in_background(unary);
        request_answer(unary->request, HOLDFAST_TIMEOUT,
                       "the lease had expired when its grant was read");
        return true;
    }
    unary->request->lease = lease;
    request_answer(unary->request, HOLDFAST_OK, "");
    return true;
}

static bool take_acquire(struct unary *unary, const ProtobufCMessage *message)
{
    const Holdfast__V1__AcquireResponse *answer = (const Holdfast__V1__AcquireResponse *)message;
    switch (answer->result_case) {
    case HOLDFAST__V1__ACQUIRE_RESPONSE__RESULT_LEASE:
        return answer->lease->fence != 0 && take_lease(unary, answer->lease);
    case HOLDFAST__V1__ACQUIRE_RESPONSE__RESULT_BUSY:
        outcome_take_holder(&unary->request->holder, answer->busy);
        unary->request->has_holder = true;
        request_answer(unary->request, HOLDFAST_BUSY, "somebody else holds the lock");
        return true;
    default:
        return false;
    }
}

static void send_renew(struct unary *unary, struct channel_request *request)
{
    Holdfast__V1__RenewRequest message = HOLDFAST__V1__RENEW_REQUEST__INIT;
    message.key = unary->key;
    message.token = token_bytes(unary);
    message.ttl_ms = unary->ttl_ms;
    send(unary, request, &message.base);
}

/* The answer to a renewal must not revive a lease that is being released meanwhile. */
static bool take_renewed_lease(struct unary *unary, const Holdfast__V1__Lease *message)
{
    struct holdfast_lease *lease = unary->lease;
    if (message->ttl_ms == 0) {
        return false;
    }
    if (lease->releases != unary->releases) {
        request_answer(unary->request, HOLDFAST_NOT_HELD, "the lease is being released");
        return true;
    }
    lease_confirm(lease, unary->sent_us, message->valid_for_ms);
    atomic_store(&lease->ttl_ms, message->ttl_ms);
    request_answer(unary->request, HOLDFAST_OK, "");
    return true;
}

static bool take_renew(struct unary *unary, const ProtobufCMessage *message)
{
    const Holdfast__V1__RenewResponse *answer = (const Holdfast__V1__RenewResponse *)message;
    switch (answer->result_case) {
    case HOLDFAST__V1__RENEW_RESPONSE__RESULT_LEASE:
        return take_renewed_lease(unary, answer->lease);
    case HOLDFAST__V1__RENEW_RESPONSE__RESULT_NOT_HELD:
        lease_end(unary->lease);
        request_answer(unary->request, HOLDFAST_NOT_HELD, "the lease is not held any more");
        return true;
    default:
        return false;
    }
}

/* Renewed for the owner of a token: the lease is made of the answer. */
static bool take_renew_token(struct unary *unary, const ProtobufCMessage *message)
{
    const Holdfast__V1__RenewResponse *answer = (const Holdfast__V1__RenewResponse *)message;
    switch (answer->result_case) {
    case HOLDFAST__V1__RENEW_RESPONSE__RESULT_LEASE:
        return take_lease(unary, answer->lease);
    case HOLDFAST__V1__RENEW_RESPONSE__RESULT_NOT_HELD:
        request_answer(unary->request, HOLDFAST_NOT_HELD, "the lease is not held any more");
        return true;
    default:
        return false;
    }
}

static void send_release(struct unary *unary, struct channel_request *request)
{
    Holdfast__V1__ReleaseRequest message = HOLDFAST__V1__RELEASE_REQUEST__INIT;
    message.key = unary->key;
    message.token = token_bytes(unary);
    send(unary, request, &message.base);
}

static bool take_release(struct unary *unary, const ProtobufCMessage *message)
{
    const Holdfast__V1__ReleaseResponse *answer = (const Holdfast__V1__ReleaseResponse *)message;
    switch (answer->outcome) {
    case HOLDFAST__V1__RELEASE_RESPONSE__OUTCOME__OUTCOME_RELEASED:
        request_answer(unary->request, HOLDFAST_OK, "");
        return true;
    case HOLDFAST__V1__RELEASE_RESPONSE__OUTCOME__OUTCOME_NOT_HELD:
        request_answer(unary->request, HOLDFAST_NOT_HELD, "the lease is not held any more");
        return true;
    default:
        return false;
    }
}

static void send_inspect(struct unary *unary, struct channel_request *request)
{
    Holdfast__V1__InspectRequest message = HOLDFAST__V1__INSPECT_REQUEST__INIT;
    message.key = unary->key;
    send(unary, request, &message.base);
}

static bool take_inspect(struct unary *unary, const ProtobufCMessage *message)
{
    const Holdfast__V1__InspectResponse *answer = (const Holdfast__V1__InspectResponse *)message;
    switch (answer->state_case) {
    case HOLDFAST__V1__INSPECT_RESPONSE__STATE_FREE:
        break;
    case HOLDFAST__V1__INSPECT_RESPONSE__STATE_HELD:
        outcome_take_holder(&unary->request->holder, answer->held);
        break;
    default:
        return false;
    }
    unary->request->has_holder = true;
    request_answer(unary->request, HOLDFAST_OK, "");
    return true;
}

static const struct unary_method acquire_method = {
    .name = "Acquire",
    .answer = &holdfast__v1__acquire_response__descriptor,
    .send = send_acquire,
    .take = take_acquire,
    .is_retried = true, /* with the same token it is the same acquire */
};

static const struct unary_method renew_method = {
    .name = "Renew",
    .answer = &holdfast__v1__renew_response__descriptor,
    .send = send_renew,
    .take = take_renew,
};

static const struct unary_method renew_token_method = {
    .name = "Renew",
    .answer = &holdfast__v1__renew_response__descriptor,
    .send = send_renew,
    .take = take_renew_token,
};

static const struct unary_method release_method = {
    .name = "Release",
    .answer = &holdfast__v1__release_response__descriptor,
    .send = send_release,
    .take = take_release,
};

static const struct unary_method inspect_method = {
    .name = "Inspect",
    .answer = &holdfast__v1__inspect_response__descriptor,
    .send = send_inspect,
    .take = take_inspect,
};

void unary_acquire(struct holdfast_async *client, const struct holdfast_ask *ask,
                   const unsigned char *token, const struct callback *callback)
{
    struct request *request = request_create(client, callback);
    if (request == NULL) {
        return;
    }
    struct unary *unary = unary_create(&acquire_method, request, ask->key);
    unary->label = memory_copy_string(ask->label != NULL ? ask->label : "");
    unary->ttl_ms = ask->ttl_ms;
    unary->is_token_ours = token == NULL;
    if (token != NULL) {
        CHECK(id128_from_bytes(&unary->token, token, ID128_SIZE));
    } else {
        unary->token = id128_random();
    }
    start(unary);
}

void unary_renew(struct holdfast_async *client, struct holdfast_lease *lease, uint32_t ttl_ms,
                 const struct callback *callback)
{
    struct request *request = request_create(client, callback);
    if (request == NULL) {
        return;
    }
    struct unary *unary = unary_create(&renew_method, request, lease->key);
    unary->ttl_ms = ttl_ms;
    unary->token = lease->token;
    unary->lease = lease;
    unary->releases = lease->releases;
    lease_hold(lease);
    start(unary);
}

void unary_renew_token(struct holdfast_async *client, const struct unary_lease *of, uint32_t ttl_ms,
                       const struct callback *callback)
{
    struct request *request = request_create(client, callback);
    if (request == NULL) {
        return;
    }
    struct unary *unary = unary_create(&renew_token_method, request, of->key);
    unary->ttl_ms = ttl_ms;
    CHECK(id128_from_bytes(&unary->token, of->token, ID128_SIZE));
    start(unary);
}

void unary_release(struct holdfast_async *client, const struct unary_lease *of,
                   struct holdfast_lease *lease, const struct callback *callback)
{
    struct request *request = request_create(client, callback);
    if (request == NULL) {
        return;
    }
    if (lease != NULL) {
        lease_end(lease);
        lease->releases++;
    }
    struct unary *unary = unary_create(&release_method, request, of->key);
    CHECK(id128_from_bytes(&unary->token, of->token, ID128_SIZE));
    start(unary);
}

void unary_inspect(struct holdfast_async *client, const char *key, const struct callback *callback)
{
    struct request *request = request_create(client, callback);
    if (request != NULL) {
        start(unary_create(&inspect_method, request, key));
    }
}
