/* SPDX-License-Identifier: Apache-2.0 */
/* Acquire, Renew and Inspect. */
#include "fixture.h"

#include <string.h>

#include "lease/keeper_internal.h"
#include "lease/tenure.h"
#include "service/locks.h"

#define TOKEN "0123456789abcdef"

static const Holdfast__V1__AcquireRequest empty_acquire = HOLDFAST__V1__ACQUIRE_REQUEST__INIT;

static Holdfast__V1__AcquireRequest acquire_of(const char *key)
{
    Holdfast__V1__AcquireRequest request = empty_acquire;
    request.key = (char *)key;
    return request;
}

static ProtobufCBinaryData token_of(const char *text)
{
    return (ProtobufCBinaryData){.len = strlen(text), .data = (uint8_t *)text};
}

static struct fake_call *acquire(struct fixture *fixture,
                                 const Holdfast__V1__AcquireRequest *request)
{
    return fixture_call(fixture, 0, "Acquire", &request->base);
}

static struct fake_call *renew(struct fixture *fixture, const char *key, ProtobufCBinaryData token,
                               uint32_t ttl_ms)
{
    Holdfast__V1__RenewRequest request = HOLDFAST__V1__RENEW_REQUEST__INIT;
    request.key = (char *)key;
    request.token = token;
    request.ttl_ms = ttl_ms;
    return fixture_call(fixture, 0, "Renew", &request.base);
}

static struct fake_call *inspect(struct fixture *fixture, const char *key)
{
    Holdfast__V1__InspectRequest request = HOLDFAST__V1__INSPECT_REQUEST__INIT;
    request.key = (char *)key;
    return fixture_call(fixture, 0, "Inspect", &request.base);
}

static const Holdfast__V1__Lease *lease_of(const struct fake_call *call)
{
    fake_call_expect_end(call, STATUS_OK, "");
    const Holdfast__V1__AcquireResponse *response = (void *)call->reply;
    assert_ptr_equal(response->base.descriptor, &holdfast__v1__acquire_response__descriptor);
    assert_int_equal(response->result_case, HOLDFAST__V1__ACQUIRE_RESPONSE__RESULT_LEASE);
    return response->lease;
}

static const Holdfast__V1__Holder *busy_of(const struct fake_call *call)
{
    fake_call_expect_end(call, STATUS_OK, "");
    const Holdfast__V1__AcquireResponse *response = (void *)call->reply;
    assert_int_equal(response->result_case, HOLDFAST__V1__ACQUIRE_RESPONSE__RESULT_BUSY);
    return response->busy;
}

static const Holdfast__V1__Lease *renewed_of(const struct fake_call *call)
{
    fake_call_expect_end(call, STATUS_OK, "");
    const Holdfast__V1__RenewResponse *response = (void *)call->reply;
    assert_ptr_equal(response->base.descriptor, &holdfast__v1__renew_response__descriptor);
    assert_int_equal(response->result_case, HOLDFAST__V1__RENEW_RESPONSE__RESULT_LEASE);
    return response->lease;
}

static void expect_not_held(const struct fake_call *call)
{
    fake_call_expect_end(call, STATUS_OK, "");
    const Holdfast__V1__RenewResponse *response = (void *)call->reply;
    assert_int_equal(response->result_case, HOLDFAST__V1__RENEW_RESPONSE__RESULT_NOT_HELD);
}

/*
 * ---- Acquire, bound ----
 */

static void a_granted_lease_is_described(void **state)
{
    struct fixture *fixture = *state;
    Holdfast__V1__AcquireRequest request = acquire_of("orders/7");
    request.label = (char *)"worker 7";
    request.ttl_ms = 5000;
    request.grace_ms = 1000;
    struct fake_call *call = acquire(fixture, &request);
    fake_call_expect_open(call);

    struct store_op *op = fake_store_send(&fixture->store, STORE_ACQUIRE);
    assert_int_equal(op->key_length, 8);
    assert_memory_equal(op->key, "orders/7", 8);
    assert_int_equal(op->label_length, 8);
    assert_memory_equal(op->label, "worker 7", 8);
    assert_int_equal(op->ttl_ms, 5000);
    struct store_result result = {.code = STORE_OK, .sent_us = fixture->now_us, .fence = 77};
    fixture_advance_ms(fixture, 40);
    fake_store_answer(&fixture->store, op, &result);

    const Holdfast__V1__Lease *lease = lease_of(call);
    assert_string_equal(lease->key, "orders/7");
    assert_int_equal(lease->token.len, 16);
    assert_memory_equal(lease->token.data, op->token.bytes, 16);
    assert_int_equal(lease->fence, 77);
    assert_int_equal(lease->ttl_ms, 5000);
    assert_int_equal(lease->valid_for_ms, 5000 - 50 - 2 - 40);
    assert_int_equal(fixture->sessions[0]->lease_count, 1);
}

static void ttl_0_means_the_default(void **state)
{
    struct fixture *fixture = *state;
    const Holdfast__V1__Lease *lease = fixture_acquire(fixture, 0, "a", 1);
    assert_int_equal(lease->ttl_ms, FIXTURE_TTL_MS);
    assert_int_equal(lease->valid_for_ms, FIXTURE_TTL_MS - 100 - 2);
}

static void a_busy_lock_names_its_holder(void **state)
{
    struct fixture *fixture = *state;
    Holdfast__V1__AcquireRequest request = acquire_of("a");
    struct fake_call *call = acquire(fixture, &request);
    fake_store_busy(&fixture->store, &(struct store_holder){.is_held = true,
                                                            .remaining_us = 3000000,
                                                            .since_ms = 1700000000000,
                                                            .fence = 9,
                                                            .label = "other",
                                                            .label_length = 5});
    const Holdfast__V1__Holder *busy = busy_of(call);
    assert_string_equal(busy->label, "other");
    assert_int_equal(busy->remaining_ms, 3000);
    assert_int_equal(busy->since_ms, 1700000000000);
    assert_int_equal(busy->fence, 9);
    assert_true(session_is_idle(fixture->sessions[0]));
    assert_int_equal(keeper_count(fixture->keeper), 0);
}

static void another_type_of_value_is_named(void **state)
{
    struct fixture *fixture = *state;
    Holdfast__V1__AcquireRequest request = acquire_of("a");
    struct fake_call *call = acquire(fixture, &request);
    fake_store_code(&fixture->store, STORE_ACQUIRE, STORE_WRONG_TYPE, "list");
    fake_call_expect_end(call, STATUS_FAILED_PRECONDITION,
                         "key: the Redis key of this lock holds another type of value (list)");
    assert_true(session_is_idle(fixture->sessions[0]));
}

static void an_unreachable_store_is_unavailable(void **state)
{
    struct fixture *fixture = *state;
    Holdfast__V1__AcquireRequest request = acquire_of("a");
    struct fake_call *call = acquire(fixture, &request);
    fake_store_code(&fixture->store, STORE_ACQUIRE, STORE_UNAVAILABLE, "Connection refused");
    fake_call_expect_end(call, STATUS_UNAVAILABLE,
                         "Redis cannot serve this now (Connection refused)");
}

static void a_limit_of_the_store_is_resource_exhausted(void **state)
{
    struct fixture *fixture = *state;
    Holdfast__V1__AcquireRequest request = acquire_of("a");
    struct fake_call *call = acquire(fixture, &request);
    const struct store_result result = {
        .code = STORE_UNAVAILABLE, .is_limit = true, .detail = "max-x: too many"};
    fake_store_answer(&fixture->store, fake_store_send(&fixture->store, STORE_ACQUIRE), &result);
    fake_call_expect_end(call, STATUS_RESOURCE_EXHAUSTED, "max-x: too many");
}

static void acquire_checks_its_fields(void **state)
{
    struct fixture *fixture = *state;
    char long_label[300];
    memset(long_label, 'l', 299);
    long_label[299] = '\0';

    Holdfast__V1__AcquireRequest request = acquire_of("");
    fake_call_expect_end(acquire(fixture, &request), STATUS_INVALID_ARGUMENT, "key: missing");
    request = acquire_of("a");
    request.ttl_ms = 99;
    fake_call_expect_end(acquire(fixture, &request), STATUS_INVALID_ARGUMENT, "ttl_ms: 99");
    request = acquire_of("a");
    request.label = long_label;
    fake_call_expect_end(acquire(fixture, &request), STATUS_INVALID_ARGUMENT, "label: 299");
    request = acquire_of("a");
    request.token = token_of(TOKEN);
    fake_call_expect_end(acquire(fixture, &request), STATUS_INVALID_ARGUMENT,
                         "token: only with detached");
    request.detached = true;
    request.token = token_of("short");
    fake_call_expect_end(acquire(fixture, &request), STATUS_INVALID_ARGUMENT, "token: 5 bytes");
    assert_int_equal(fake_store_count(&fixture->store), 0);
}

static void leases_of_one_connection_are_limited(void **state)
{
    struct fixture *fixture = *state;
    for (char key[2] = "a"; key[0] < 'a' + 20; key[0]++) {
        fixture_acquire(fixture, 0, key, 1);
    }
    Holdfast__V1__AcquireRequest request = acquire_of("z");
    fake_call_expect_end(acquire(fixture, &request), STATUS_RESOURCE_EXHAUSTED,
                         "max-leases-per-connection: this connection has 20 leases");
    fake_call_expect_end(fixture_hold(fixture, 0, "z", 0), STATUS_RESOURCE_EXHAUSTED,
                         "max-leases-per-connection");
    assert_int_equal(fixture->metrics.leases_refused, 2);
    fixture_connect(fixture, 1);
    fixture_acquire(fixture, 1, "z", 1);
}

static int setup_for_two_leases(void **state)
{
    fixture_start(state, 2);
    return 0;
}

static void leases_of_the_server_are_limited(void **state)
{
    struct fixture *fixture = *state;
    fixture_acquire(fixture, 0, "a", 1);
    fixture_acquire(fixture, 0, "b", 2);
    Holdfast__V1__AcquireRequest request = acquire_of("c");
    fake_call_expect_end(acquire(fixture, &request), STATUS_RESOURCE_EXHAUSTED,
                         "max-leases: this server keeps 2 leases");
    request.detached = true;
    fake_call_expect_end(acquire(fixture, &request), STATUS_RESOURCE_EXHAUSTED, "max-leases: ");
    fake_call_expect_end(fixture_hold(fixture, 0, "c", 0), STATUS_RESOURCE_EXHAUSTED,
                         "max-leases: ");
    fake_call_expect_end(inspect(fixture, "c"), STATUS_RESOURCE_EXHAUSTED, "max-leases: ");
    assert_int_equal(fixture->sessions[0]->lease_count, 2);
}

static void cancelling_before_it_is_sent_leaves_nothing(void **state)
{
    struct fixture *fixture = *state;
    Holdfast__V1__AcquireRequest request = acquire_of("a");
    struct fake_call *call = acquire(fixture, &request);
    session_cancel_call(&call->call);
    fake_call_expect_cancelled(call);
    assert_int_equal(fake_store_count(&fixture->store), 0);
    assert_true(session_is_idle(fixture->sessions[0]));
}

static void a_grant_for_nobody_is_given_back(void **state)
{
    struct fixture *fixture = *state;
    Holdfast__V1__AcquireRequest request = acquire_of("a");
    struct fake_call *call = acquire(fixture, &request);
    struct store_op *op = fake_store_send(&fixture->store, STORE_ACQUIRE);
    session_cancel_call(&call->call);
    fake_call_expect_cancelled(call);
    fake_store_answer(
        &fixture->store, op,
        &(struct store_result){.code = STORE_OK, .sent_us = fixture->now_us, .fence = 3});
    fake_store_ok(&fixture->store, STORE_RELEASE, 0);
    assert_int_equal(keeper_count(fixture->keeper), 0);
}

static void a_deadline_gives_the_lease_up(void **state)
{
    struct fixture *fixture = *state;
    Holdfast__V1__AcquireRequest request = acquire_of("a");
    struct fake_call *call = fixture_start_call(fixture, 0, "Acquire", 50000);
    fake_call_message(call, &request.base);
    struct store_op *op = fake_store_send(&fixture->store, STORE_ACQUIRE);
    fixture_advance_ms(fixture, 50);
    fake_call_expect_end(call, STATUS_DEADLINE_EXCEEDED, "50 ms");
    fake_store_answer(
        &fixture->store, op,
        &(struct store_result){.code = STORE_OK, .sent_us = fixture->now_us, .fence = 3});
    fake_store_ok(&fixture->store, STORE_RELEASE, 0);
    assert_int_equal(keeper_count(fixture->keeper), 0);
}

static void a_dropped_connection_gives_its_leases_up(void **state)
{
    struct fixture *fixture = *state;
    fixture_acquire(fixture, 0, "a", 1);
    fixture_drop(fixture, 0);
    fake_store_ok(&fixture->store, STORE_RELEASE, 0);
    assert_int_equal(keeper_count(fixture->keeper), 0);
    assert_int_equal(fixture->metrics.leases_revoked, 1);
}

static void a_bound_lease_is_renewed_while_the_connection_lives(void **state)
{
    struct fixture *fixture = *state;
    fixture_acquire(fixture, 0, "a", 1);
    for (int i = 0; i < 6; i++) {
        fixture_advance_ms(fixture, FIXTURE_TTL_MS / 3 + 1);
        fake_store_ok(&fixture->store, STORE_RENEW, 0);
    }
    assert_int_equal(fixture->sessions[0]->lease_count, 1);
    assert_int_equal(fixture->metrics.renewals_confirmed, 6);
}

static void a_lost_lease_leaves_the_session(void **state)
{
    struct fixture *fixture = *state;
    const Holdfast__V1__Lease *lease = fixture_acquire(fixture, 0, "a", 1);
    fixture_advance_ms(fixture, FIXTURE_TTL_MS / 3 + 1);
    fake_store_code(&fixture->store, STORE_RENEW, STORE_NOT_HELD, NULL);
    assert_true(session_is_idle(fixture->sessions[0]));
    struct fake_call *call = renew(fixture, "a", lease->token, 0);
    fake_store_code(&fixture->store, STORE_RENEW, STORE_NOT_HELD, NULL);
    expect_not_held(call);
}

/*
 * ---- Acquire, detached ----
 */

static void a_detached_lease_survives_its_connection(void **state)
{
    struct fixture *fixture = *state;
    Holdfast__V1__AcquireRequest request = acquire_of("a");
    request.detached = true;
    request.ttl_ms = 1000;
    request.label = (char *)"me";
    struct fake_call *call = acquire(fixture, &request);
    struct store_op *op = fake_store_send(&fixture->store, STORE_ACQUIRE);
    assert_memory_equal(op->tenure.bytes, op->token.bytes, 16);
    assert_memory_equal(op->label, "me", 2);
    struct store_result result = {.code = STORE_OK, .sent_us = fixture->now_us, .fence = 5};
    fixture_advance_ms(fixture, 10);
    struct id128 token = op->token;
    fake_store_answer(&fixture->store, op, &result);
    const Holdfast__V1__Lease *lease = lease_of(call);
    assert_string_equal(lease->key, "a");
    assert_memory_equal(lease->token.data, token.bytes, 16);
    assert_int_equal(lease->fence, 5);
    assert_int_equal(lease->ttl_ms, 1000);
    assert_int_equal(lease->valid_for_ms, 1000 - 10 - 2 - 10);
    assert_true(session_is_idle(fixture->sessions[0]));
    fixture_drop(fixture, 0);
    assert_int_equal(fake_store_count(&fixture->store), 0);
}

static void a_token_of_the_caller_is_used(void **state)
{
    struct fixture *fixture = *state;
    Holdfast__V1__AcquireRequest request = acquire_of("a");
    request.detached = true;
    request.token = token_of(TOKEN);
    struct fake_call *call = acquire(fixture, &request);
    struct store_op *op = fake_store_send(&fixture->store, STORE_ACQUIRE);
    assert_memory_equal(op->tenure.bytes, TOKEN, 16);
    struct store_result result = {.code = STORE_OK, .sent_us = fixture->now_us, .fence = 5};
    fake_store_answer(&fixture->store, op, &result);
    assert_memory_equal(lease_of(call)->token.data, TOKEN, 16);
}

static void a_detached_acquire_may_be_busy_or_fail(void **state)
{
    struct fixture *fixture = *state;
    Holdfast__V1__AcquireRequest request = acquire_of("a");
    request.detached = true;
    struct fake_call *call = acquire(fixture, &request);
    fake_store_busy(&fixture->store, &(struct store_holder){
                                         .is_held = true, .is_foreign = true, .remaining_us = -1});
    assert_true(busy_of(call)->foreign);
    call = acquire(fixture, &request);
    fake_store_code(&fixture->store, STORE_ACQUIRE, STORE_WRONG_TYPE, "hash");
    fake_call_expect_end(call, STATUS_FAILED_PRECONDITION, "(hash)");
    call = acquire(fixture, &request);
    fake_store_code(&fixture->store, STORE_ACQUIRE, STORE_UNAVAILABLE, NULL);
    fake_call_expect_end(call, STATUS_UNAVAILABLE, "Redis cannot serve this now");
}

static void cancel_sent_detached(struct fixture *fixture, const char *token)
{
    Holdfast__V1__AcquireRequest request = acquire_of("a");
    request.detached = true;
    request.token = token_of(token);
    struct fake_call *call = acquire(fixture, &request);
    struct store_op *op = fake_store_send(&fixture->store, STORE_ACQUIRE);
    session_cancel_call(&call->call);
    fake_call_expect_cancelled(call);
    fake_store_answer(
        &fixture->store, op,
        &(struct store_result){.code = STORE_OK, .sent_us = fixture->now_us, .fence = 3});
}

static void a_cancelled_detached_acquire_is_undone(void **state)
{
    struct fixture *fixture = *state;
    cancel_sent_detached(fixture, "");
    fake_store_ok(&fixture->store, STORE_RELEASE, 0);
    assert_int_equal(keeper_count(fixture->keeper), 0);
}

static void a_cancelled_detached_acquire_that_may_be_retried_stays(void **state)
{
    struct fixture *fixture = *state;
    cancel_sent_detached(fixture, TOKEN);
    assert_int_equal(fake_store_count(&fixture->store), 0);
    assert_int_equal(keeper_count(fixture->keeper), 0);
}

/*
 * ---- Renew ----
 */

static void renewing_a_bound_lease_reports_it(void **state)
{
    struct fixture *fixture = *state;
    const Holdfast__V1__Lease *lease = fixture_acquire(fixture, 0, "a", 8);
    fixture_advance_ms(fixture, 500);
    struct fake_call *call = renew(fixture, "a", lease->token, 0);
    const Holdfast__V1__Lease *renewed = renewed_of(call);
    assert_int_equal(renewed->fence, 8);
    assert_int_equal(renewed->ttl_ms, FIXTURE_TTL_MS);
    assert_int_equal(renewed->valid_for_ms, FIXTURE_TTL_MS - 100 - 2 - 500);
    assert_memory_equal(renewed->token.data, lease->token.data, 16);
    assert_int_equal(fake_store_count(&fixture->store), 0);
}

static void a_bound_lease_takes_no_new_ttl(void **state)
{
    struct fixture *fixture = *state;
    const Holdfast__V1__Lease *lease = fixture_acquire(fixture, 0, "a", 8);
    fake_call_expect_end(renew(fixture, "a", lease->token, 1000), STATUS_INVALID_ARGUMENT,
                         "ttl_ms: must be 0");
}

static void an_overdue_bound_lease_is_not_held(void **state)
{
    struct fixture *fixture = *state;
    const Holdfast__V1__Lease *lease = fixture_acquire(fixture, 0, "a", 8);
    /* The process stands still beyond the deadline, and the request is the first thing it sees. */
    wheel_clear(
        loop_wheel(fixture->loop),
        &keeper_find(fixture->keeper, "a", 1, (const void *)lease->token.data)->tenure->timer);
    fixture_advance_ms(fixture, FIXTURE_TTL_MS - 100 - 3);
    renewed_of(renew(fixture, "a", lease->token, 0));
    fixture_advance_ms(fixture, 1);
    expect_not_held(renew(fixture, "a", lease->token, 0));
}

static void a_detached_lease_is_renewed_in_the_store(void **state)
{
    struct fixture *fixture = *state;
    struct fake_call *call = renew(fixture, "a", token_of(TOKEN), 3000);
    struct store_op *op = fake_store_send(&fixture->store, STORE_RENEW);
    assert_memory_equal(op->tenure.bytes, TOKEN, 16);
    assert_int_equal(op->ttl_ms, 3000);
    struct store_result result = {.code = STORE_OK, .sent_us = fixture->now_us, .fence = 12};
    fixture_advance_ms(fixture, 100);
    fake_store_answer(&fixture->store, op, &result);
    const Holdfast__V1__Lease *lease = renewed_of(call);
    assert_string_equal(lease->key, "a");
    assert_memory_equal(lease->token.data, TOKEN, 16);
    assert_int_equal(lease->fence, 12);
    assert_int_equal(lease->ttl_ms, 3000);
    assert_int_equal(lease->valid_for_ms, 3000 - 30 - 2 - 100);
}

static void renewing_what_is_not_held_says_so(void **state)
{
    struct fixture *fixture = *state;
    struct fake_call *call = renew(fixture, "a", token_of(TOKEN), 0);
    fake_store_code(&fixture->store, STORE_RENEW, STORE_NOT_HELD, NULL);
    expect_not_held(call);
    call = renew(fixture, "a", token_of(TOKEN), 0);
    fake_store_code(&fixture->store, STORE_RENEW, STORE_WRONG_TYPE, "set");
    fake_call_expect_end(call, STATUS_FAILED_PRECONDITION, "(set)");
}

static void renewing_waits_for_the_store_only_so_long(void **state)
{
    struct fixture *fixture = *state;
    struct fake_call *call = renew(fixture, "a", token_of(TOKEN), 0);
    fake_store_code(&fixture->store, STORE_RENEW, STORE_UNAVAILABLE, "Connection refused");
    for (int i = 0; i < 200 && !call->is_ended; i++) {
        fixture_advance_ms(fixture, 50);
        if (!TAILQ_EMPTY(&fixture->store.queue)) {
            fake_store_code(&fixture->store, STORE_RENEW, STORE_UNAVAILABLE, "Connection refused");
        }
    }
    fake_call_expect_end(call, STATUS_UNAVAILABLE, "Redis cannot serve this now");
}

static void renew_checks_its_fields(void **state)
{
    struct fixture *fixture = *state;
    fake_call_expect_end(renew(fixture, "", token_of(TOKEN), 0), STATUS_INVALID_ARGUMENT, "key: ");
    fake_call_expect_end(renew(fixture, "a", token_of(""), 0), STATUS_INVALID_ARGUMENT,
                         "token: 0 bytes");
    fake_call_expect_end(renew(fixture, "a", token_of(TOKEN), 99), STATUS_INVALID_ARGUMENT,
                         "ttl_ms: 99");
    assert_int_equal(fake_store_count(&fixture->store), 0);
}

/*
 * ---- Inspect ----
 */

static void inspect_tells_free_or_held(void **state)
{
    struct fixture *fixture = *state;
    struct fake_call *call = inspect(fixture, "a");
    fake_store_ok(&fixture->store, STORE_INSPECT, 0);
    fake_call_expect_end(call, STATUS_OK, "");
    const Holdfast__V1__InspectResponse *response = (void *)call->reply;
    assert_int_equal(response->state_case, HOLDFAST__V1__INSPECT_RESPONSE__STATE_FREE);

    call = inspect(fixture, "a");
    struct store_op *op = fake_store_send(&fixture->store, STORE_INSPECT);
    struct store_result result = {
        .code = STORE_OK,
        .holder = {
            .is_held = true, .remaining_us = 1000, .fence = 4, .label = "x", .label_length = 1}};
    fake_store_answer(&fixture->store, op, &result);
    fake_call_expect_end(call, STATUS_OK, "");
    response = (void *)call->reply;
    assert_int_equal(response->state_case, HOLDFAST__V1__INSPECT_RESPONSE__STATE_HELD);
    assert_string_equal(response->held->label, "x");
    assert_int_equal(response->held->fence, 4);
}

static void inspect_may_fail(void **state)
{
    struct fixture *fixture = *state;
    fake_call_expect_end(inspect(fixture, ""), STATUS_INVALID_ARGUMENT, "key: missing");
    struct fake_call *call = inspect(fixture, "a");
    fake_store_code(&fixture->store, STORE_INSPECT, STORE_WRONG_TYPE, "zset");
    fake_call_expect_end(call, STATUS_FAILED_PRECONDITION, "(zset)");
    call = inspect(fixture, "a");
    fake_store_code(&fixture->store, STORE_INSPECT, STORE_UNAVAILABLE, "away");
    fake_call_expect_end(call, STATUS_UNAVAILABLE, "(away)");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(a_granted_lease_is_described),
        FIXTURE_TEST(ttl_0_means_the_default),
        FIXTURE_TEST(a_busy_lock_names_its_holder),
        FIXTURE_TEST(another_type_of_value_is_named),
        FIXTURE_TEST(an_unreachable_store_is_unavailable),
        FIXTURE_TEST(a_limit_of_the_store_is_resource_exhausted),
        FIXTURE_TEST(acquire_checks_its_fields),
        FIXTURE_TEST(leases_of_one_connection_are_limited),
        cmocka_unit_test_setup_teardown(leases_of_the_server_are_limited, setup_for_two_leases,
                                        fixture_teardown),
        FIXTURE_TEST(cancelling_before_it_is_sent_leaves_nothing),
        FIXTURE_TEST(a_grant_for_nobody_is_given_back),
        FIXTURE_TEST(a_deadline_gives_the_lease_up),
        FIXTURE_TEST(a_dropped_connection_gives_its_leases_up),
        FIXTURE_TEST(a_bound_lease_is_renewed_while_the_connection_lives),
        FIXTURE_TEST(a_lost_lease_leaves_the_session),
        FIXTURE_TEST(a_detached_lease_survives_its_connection),
        FIXTURE_TEST(a_token_of_the_caller_is_used),
        FIXTURE_TEST(a_detached_acquire_may_be_busy_or_fail),
        FIXTURE_TEST(a_cancelled_detached_acquire_is_undone),
        FIXTURE_TEST(a_cancelled_detached_acquire_that_may_be_retried_stays),
        FIXTURE_TEST(renewing_a_bound_lease_reports_it),
        FIXTURE_TEST(a_bound_lease_takes_no_new_ttl),
        FIXTURE_TEST(an_overdue_bound_lease_is_not_held),
        FIXTURE_TEST(a_detached_lease_is_renewed_in_the_store),
        FIXTURE_TEST(renewing_what_is_not_held_says_so),
        FIXTURE_TEST(renewing_waits_for_the_store_only_so_long),
        FIXTURE_TEST(renew_checks_its_fields),
        FIXTURE_TEST(inspect_tells_free_or_held),
        FIXTURE_TEST(inspect_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
