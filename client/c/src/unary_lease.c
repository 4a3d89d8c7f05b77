/* SPDX-License-Identifier: Apache-2.0 */
/* Detached leases, and Inspect. */
#include "base/check.h"
#include "base/clock.h"
#include "holdfast/v1/locks.pb-c.h"
#include "lease.h"
#include "unary_internal.h"

static const struct unary_method confirm_method;

static ProtobufCBinaryData token_bytes(struct unary *unary)
{
    return (ProtobufCBinaryData){.len = ID128_SIZE, .data = unary->token.bytes};
}

static uint32_t wait_left_ms(const struct unary *unary)
{
    int64_t left_us = unary->wait_until_us - unary->sent_us;
    return left_us > 0 ? (uint32_t)(left_us / CLOCK_US_PER_MS) : 0;
}

static void send_acquire(struct unary *unary, struct channel_request *request)
{
    Holdfast__V1__AcquireRequest message = HOLDFAST__V1__ACQUIRE_REQUEST__INIT;
    ask_fill_detached(&message, &unary->ask, &unary->token, wait_left_ms(unary));
    unary_send(unary, request, &message.base);
}

static void answer_lease(struct unary *unary, struct holdfast_lease *lease)
{
    unary->request->lease = lease;
    unary_answer(unary, HOLDFAST_OK, "");
}

static void answer_expired(struct unary *unary)
{
    unary_give_up(unary);
    unary_answer(unary, HOLDFAST_TIMEOUT, "the lease had expired when its grant was read");
}

/* The detached lease of the message, or NULL when that makes no sense. */
static struct holdfast_lease *lease_of(struct unary *unary, const Holdfast__V1__Lease *message)
{
    struct holdfast_lease *lease =
        lease_create(message, unary->key, unary->sent_us, unary->client->mailbox);
    if (lease != NULL && !id128_equal(&lease->token, &unary->token)) {
        lease_let_go(lease);
        return NULL;
    }
    if (lease != NULL) {
        lease->is_detached = true;
    }
    return lease;
}

static bool take_lease(struct unary *unary, const Holdfast__V1__Lease *message)
{
    struct holdfast_lease *lease = lease_of(unary, message);
    if (lease == NULL) {
        return false;
    }
    if (lease_left_us(lease, clock_now_us()) > 0) {
        answer_lease(unary, lease);
    } else {
        lease_let_go(lease);
        answer_expired(unary);
    }
    return true;
}

/* Counted from our question the lease may be over, although it was granted only now: renewing it
 * tells. */
static bool take_waited_lease(struct unary *unary, const Holdfast__V1__Lease *message)
{
    struct holdfast_lease *lease = lease_of(unary, message);
    if (lease == NULL) {
        return false;
    }
    unary->lease = lease;
    unary->ttl_ms = unary->ask.ttl_ms;
    unary_go_on(unary, &confirm_method);
    return true;
}

static bool take_acquire(struct unary *unary, const ProtobufCMessage *message)
{
    const Holdfast__V1__AcquireResponse *answer = (const Holdfast__V1__AcquireResponse *)message;
    switch (answer->result_case) {
    case HOLDFAST__V1__ACQUIRE_RESPONSE__RESULT_LEASE:
        if (answer->lease->fence == 0) {
            return false;
        }
        return unary->ask.wait_ms > 0 ? take_waited_lease(unary, answer->lease)
                                      : take_lease(unary, answer->lease);
    case HOLDFAST__V1__ACQUIRE_RESPONSE__RESULT_BUSY:
        request_take_holder(unary->request, answer->busy);
        unary_answer(unary, HOLDFAST_BUSY, "somebody else holds the lock");
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
    unary_send(unary, request, &message.base);
}

/* The answer to a renewal must not revive a lease that is being released meanwhile. */
static bool take_renewed_lease(struct unary *unary, const Holdfast__V1__Lease *message)
{
    struct holdfast_lease *lease = unary->lease;
    if (message->ttl_ms == 0) {
        return false;
    }
    if (lease->releases != unary->releases) {
        unary_answer(unary, HOLDFAST_NOT_HELD, "the lease is being released");
        return true;
    }
    lease_confirm(lease, unary->sent_us, message->valid_for_ms);
    atomic_store(&lease->ttl_ms, message->ttl_ms);
    unary_answer(unary, HOLDFAST_OK, "");
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
        unary_answer(unary, HOLDFAST_NOT_HELD, "the lease is not held any more");
        return true;
    default:
        return false;
    }
}

/* After a wait: the lease is the application's if it is still ours. */
static bool take_confirm(struct unary *unary, const ProtobufCMessage *message)
{
    const Holdfast__V1__RenewResponse *answer = (const Holdfast__V1__RenewResponse *)message;
    struct holdfast_lease *lease = unary->lease;
    if (answer->result_case == HOLDFAST__V1__RENEW_RESPONSE__RESULT_NOT_HELD) {
        answer_expired(unary);
        return true;
    }
    if (answer->result_case != HOLDFAST__V1__RENEW_RESPONSE__RESULT_LEASE) {
        return false;
    }
    lease_confirm(lease, unary->sent_us, answer->lease->valid_for_ms);
    if (lease_left_us(lease, clock_now_us()) <= 0) {
        answer_expired(unary);
        return true;
    }
    lease_hold(lease);
    answer_lease(unary, lease);
    return true;
}

/* Renewed for the owner of a token: the lease is made of the answer. */
static bool take_renew_token(struct unary *unary, const ProtobufCMessage *message)
{
    const Holdfast__V1__RenewResponse *answer = (const Holdfast__V1__RenewResponse *)message;
    switch (answer->result_case) {
    case HOLDFAST__V1__RENEW_RESPONSE__RESULT_LEASE:
        return take_lease(unary, answer->lease);
    case HOLDFAST__V1__RENEW_RESPONSE__RESULT_NOT_HELD:
        unary_answer(unary, HOLDFAST_NOT_HELD, "the lease is not held any more");
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
    unary_send(unary, request, &message.base);
}

static bool take_release(struct unary *unary, const ProtobufCMessage *message)
{
    const Holdfast__V1__ReleaseResponse *answer = (const Holdfast__V1__ReleaseResponse *)message;
    switch (answer->outcome) {
    case HOLDFAST__V1__RELEASE_RESPONSE__OUTCOME__OUTCOME_RELEASED:
        unary_answer(unary, HOLDFAST_OK, "");
        return true;
    case HOLDFAST__V1__RELEASE_RESPONSE__OUTCOME__OUTCOME_NOT_HELD:
        unary_answer(unary, HOLDFAST_NOT_HELD, "the lease is not held any more");
        return true;
    default:
        return false;
    }
}

static void send_inspect(struct unary *unary, struct channel_request *request)
{
    Holdfast__V1__InspectRequest message = HOLDFAST__V1__INSPECT_REQUEST__INIT;
    message.key = unary->key;
    unary_send(unary, request, &message.base);
}

static bool take_inspect(struct unary *unary, const ProtobufCMessage *message)
{
    const Holdfast__V1__InspectResponse *answer = (const Holdfast__V1__InspectResponse *)message;
    switch (answer->state_case) {
    case HOLDFAST__V1__INSPECT_RESPONSE__STATE_FREE:
        request_take_holder(unary->request, NULL);
        break;
    case HOLDFAST__V1__INSPECT_RESPONSE__STATE_HELD:
        request_take_holder(unary->request, answer->held);
        break;
    default:
        return false;
    }
    unary_answer(unary, HOLDFAST_OK, "");
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

static const struct unary_method confirm_method = {
    .name = "Renew",
    .answer = &holdfast__v1__renew_response__descriptor,
    .send = send_renew,
    .take = take_confirm,
    .is_retried = true, /* it only makes the lease live longer */
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

uint64_t unary_acquire(struct holdfast_async *client, const struct holdfast_ask *ask,
                       const unsigned char *token, const struct callback *callback)
{
    struct request *request = request_create(client, callback);
    uint64_t id = client->last_request_id;
    if (request == NULL) {
        return id;
    }
    struct unary *unary = unary_create(&acquire_method, request, ask->key);
    ask_copy(&unary->ask, ask);
    unary->has_ask = true;
    unary->is_token_ours = token == NULL;
    if (token != NULL) {
        CHECK(id128_from_bytes(&unary->token, token, ID128_SIZE));
    } else {
        unary->token = id128_random();
    }
    unary_start(unary);
    return id;
}

void unary_renew(struct holdfast_async *client, struct holdfast_lease *lease, uint32_t ttl_ms,
                 const struct callback *callback)
{
    struct request *request = request_create(client, callback);
    if (request == NULL) {
        return;
    }
    struct unary *unary = unary_create(&renew_method, request, lease->locks[0].key);
    unary->ttl_ms = ttl_ms;
    unary->token = lease->token;
    unary->lease = lease;
    unary->releases = lease->releases;
    lease_hold(lease);
    unary_start(unary);
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
    unary_start(unary);
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
    unary_start(unary);
}

void unary_inspect(struct holdfast_async *client, const char *key, const struct callback *callback)
{
    struct request *request = request_create(client, callback);
    if (request != NULL) {
        unary_start(unary_create(&inspect_method, request, key));
    }
}
