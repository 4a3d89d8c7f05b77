/* SPDX-License-Identifier: Apache-2.0 */
/* Release, from every side. */
#include "fixture.h"

#include <string.h>

#define TOKEN    "0123456789abcdef"
#define RELEASED HOLDFAST__V1__RELEASE_RESPONSE__OUTCOME__OUTCOME_RELEASED
#define NOT_HELD HOLDFAST__V1__RELEASE_RESPONSE__OUTCOME__OUTCOME_NOT_HELD

static struct fake_call *release(struct fixture *fixture, size_t index, const char *key,
                                 ProtobufCBinaryData token)
{
    Holdfast__V1__ReleaseRequest request = HOLDFAST__V1__RELEASE_REQUEST__INIT;
    request.key = (char *)key;
    request.token = token;
    return fixture_call(fixture, index, "Release", &request.base);
}

static ProtobufCBinaryData token_of(const char *text)
{
    return (ProtobufCBinaryData){.len = strlen(text), .data = (uint8_t *)text};
}

static void expect_outcome(const struct fake_call *call,
                           Holdfast__V1__ReleaseResponse__Outcome outcome)
{
    fake_call_expect_end(call, STATUS_OK, "");
    const Holdfast__V1__ReleaseResponse *response = (void *)call->reply;
    assert_ptr_equal(response->base.descriptor, &holdfast__v1__release_response__descriptor);
    assert_int_equal(response->outcome, outcome);
}

/* A granted Hold stream; returns its lease's token. */
static ProtobufCBinaryData grant(struct fixture *fixture, struct fake_call *call)
{
    fake_store_ok(&fixture->store, STORE_ACQUIRE, 6);
    return fake_call_event(call, HOLDFAST__V1__HOLD_EVENT__EVENT_GRANTED)->granted->token;
}

static void a_bound_lease_is_released_when_the_store_says_so(void **state)
{
    struct fixture *fixture = *state;
    const Holdfast__V1__Lease *lease = fixture_acquire(fixture, 0, "a", 1);
    struct fake_call *call = release(fixture, 0, "a", lease->token);
    fake_call_expect_open(call);
    fake_store_ok(&fixture->store, STORE_RELEASE, 0);
    expect_outcome(call, RELEASED);
    assert_true(session_is_idle(fixture->sessions[0]));
    assert_int_equal(keeper_count(fixture->keeper), 0);
}

static void a_lease_lost_meanwhile_is_not_held(void **state)
{
    struct fixture *fixture = *state;
    const Holdfast__V1__Lease *lease = fixture_acquire(fixture, 0, "a", 1);
    struct fake_call *call = release(fixture, 0, "a", lease->token);
    fake_store_code(&fixture->store, STORE_RELEASE, STORE_NOT_HELD, NULL);
    expect_outcome(call, NOT_HELD);
}

static void every_concurrent_release_is_answered(void **state)
{
    struct fixture *fixture = *state;
    fixture_connect(fixture, 1);
    fixture_connect(fixture, 2);
    const Holdfast__V1__Lease *lease = fixture_acquire(fixture, 0, "a", 1);
    struct fake_call *first = release(fixture, 0, "a", lease->token);
    struct fake_call *second = release(fixture, 1, "a", lease->token);
    struct fake_call *third = release(fixture, 2, "a", lease->token);
    struct fake_call *wrong_key = release(fixture, 2, "b", lease->token);
    struct store_op *op = fake_store_send(&fixture->store, STORE_RELEASE);
    fake_store_code(&fixture->store, STORE_RELEASE, STORE_NOT_HELD, NULL);
    expect_outcome(wrong_key, NOT_HELD);
    fake_call_expect_open(first);
    fake_call_expect_open(second);
    fake_call_expect_open(third);
    fake_store_answer(&fixture->store, op, &(struct store_result){.code = STORE_OK});
    expect_outcome(first, RELEASED);
    expect_outcome(second, RELEASED);
    expect_outcome(third, RELEASED);
    assert_int_equal(fake_store_count(&fixture->store), 0);
}

static void a_release_outlives_the_owner_of_the_lease(void **state)
{
    struct fixture *fixture = *state;
    fixture_connect(fixture, 1);
    const Holdfast__V1__Lease *lease = fixture_acquire(fixture, 0, "a", 1);
    struct fake_call *call = release(fixture, 1, "a", lease->token);
    fixture_drop(fixture, 0);
    fake_call_expect_open(call);
    fake_store_ok(&fixture->store, STORE_RELEASE, 0);
    expect_outcome(call, RELEASED);
}

static void a_release_goes_on_when_its_caller_has_gone(void **state)
{
    struct fixture *fixture = *state;
    fixture_connect(fixture, 1);
    const Holdfast__V1__Lease *lease = fixture_acquire(fixture, 0, "a", 1);
    struct fake_call *first = release(fixture, 1, "a", lease->token);
    struct fake_call *second = release(fixture, 1, "a", lease->token);
    session_cancel_call(&first->call);
    fake_call_expect_cancelled(first);
    fixture_drop(fixture, 1);
    fake_call_expect_cancelled(second);
    fake_store_ok(&fixture->store, STORE_RELEASE, 0);
    assert_int_equal(keeper_count(fixture->keeper), 0);
    assert_true(session_is_idle(fixture->sessions[0]));
}

static void releasing_a_held_stream_tells_its_owner_first(void **state)
{
    struct fixture *fixture = *state;
    fixture_connect(fixture, 1);
    struct fake_call *hold = fixture_hold(fixture, 0, "a", 0);
    ProtobufCBinaryData token = grant(fixture, hold);
    struct fake_call *call = release(fixture, 1, "a", token);
    const Holdfast__V1__HoldEvent *event =
        fake_call_event(hold, HOLDFAST__V1__HOLD_EVENT__EVENT_LOST);
    assert_int_equal(event->lost->reason, HOLDFAST__V1__HOLD_LOST__REASON__REASON_TAKEN);
    fake_call_expect_end(hold, STATUS_OK, "");
    assert_true(session_is_idle(fixture->sessions[0]));
    fake_call_expect_open(call);
    fake_store_ok(&fixture->store, STORE_RELEASE, 0);
    expect_outcome(call, RELEASED);
}

static void releasing_what_its_owner_gives_back_joins_in(void **state)
{
    struct fixture *fixture = *state;
    fixture_connect(fixture, 1);
    struct fake_call *hold = fixture_hold(fixture, 0, "a", 0);
    ProtobufCBinaryData token = grant(fixture, hold);
    session_half_close(&hold->call);
    struct fake_call *call = release(fixture, 1, "a", token);
    fake_call_expect_open(hold);
    fake_call_expect_open(call);
    fake_store_ok(&fixture->store, STORE_RELEASE, 0);
    fake_call_event(hold, HOLDFAST__V1__HOLD_EVENT__EVENT_RELEASED);
    fake_call_expect_end(hold, STATUS_OK, "");
    expect_outcome(call, RELEASED);
}

static void a_joined_release_survives_the_owner(void **state)
{
    struct fixture *fixture = *state;
    fixture_connect(fixture, 1);
    struct fake_call *hold = fixture_hold(fixture, 0, "a", 0);
    ProtobufCBinaryData token = grant(fixture, hold);
    session_half_close(&hold->call);
    struct fake_call *call = release(fixture, 1, "a", token);
    fixture_drop(fixture, 0);
    fake_call_expect_cancelled(hold);
    fake_store_ok(&fixture->store, STORE_RELEASE, 0);
    expect_outcome(call, RELEASED);
}

static void the_owner_survives_a_joined_release(void **state)
{
    struct fixture *fixture = *state;
    fixture_connect(fixture, 1);
    struct fake_call *hold = fixture_hold(fixture, 0, "a", 0);
    ProtobufCBinaryData token = grant(fixture, hold);
    session_half_close(&hold->call);
    struct fake_call *call = release(fixture, 1, "a", token);
    fixture_drop(fixture, 1);
    fake_call_expect_cancelled(call);
    fake_store_ok(&fixture->store, STORE_RELEASE, 0);
    fake_call_event(hold, HOLDFAST__V1__HOLD_EVENT__EVENT_RELEASED);
    fake_call_expect_end(hold, STATUS_OK, "");
}

static void a_detached_lease_is_released_in_the_store(void **state)
{
    struct fixture *fixture = *state;
    struct fake_call *call = release(fixture, 0, "a", token_of(TOKEN));
    struct store_op *op = fake_store_send(&fixture->store, STORE_RELEASE);
    assert_memory_equal(op->tenure.bytes, TOKEN, 16);
    fake_store_answer(&fixture->store, op, &(struct store_result){.code = STORE_OK});
    expect_outcome(call, RELEASED);
    call = release(fixture, 0, "a", token_of(TOKEN));
    fake_store_code(&fixture->store, STORE_RELEASE, STORE_NOT_HELD, NULL);
    expect_outcome(call, NOT_HELD);
    call = release(fixture, 0, "a", token_of(TOKEN));
    fake_store_code(&fixture->store, STORE_RELEASE, STORE_WRONG_TYPE, "list");
    fake_call_expect_end(call, STATUS_FAILED_PRECONDITION, "(list)");
}

static void release_checks_its_fields(void **state)
{
    struct fixture *fixture = *state;
    fake_call_expect_end(release(fixture, 0, "", token_of(TOKEN)), STATUS_INVALID_ARGUMENT,
                         "key: missing");
    fake_call_expect_end(release(fixture, 0, "a", token_of("x")), STATUS_INVALID_ARGUMENT,
                         "token: 1 bytes");
    assert_int_equal(fake_store_count(&fixture->store), 0);
}

static void shutting_the_owner_down_leaves_a_release_of_others(void **state)
{
    struct fixture *fixture = *state;
    fixture_connect(fixture, 1);
    struct fake_call *hold = fixture_hold(fixture, 0, "a", 0);
    ProtobufCBinaryData token = grant(fixture, hold);
    session_half_close(&hold->call);
    struct fake_call *call = release(fixture, 1, "a", token);
    session_shut_down(fixture->sessions[0]);
    fake_call_event(hold, HOLDFAST__V1__HOLD_EVENT__EVENT_LOST);
    fake_call_expect_end(hold, STATUS_OK, "");
    fake_call_expect_open(call);
    fake_store_ok(&fixture->store, STORE_RELEASE, 0);
    expect_outcome(call, RELEASED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(a_bound_lease_is_released_when_the_store_says_so),
        FIXTURE_TEST(a_lease_lost_meanwhile_is_not_held),
        FIXTURE_TEST(every_concurrent_release_is_answered),
        FIXTURE_TEST(a_release_outlives_the_owner_of_the_lease),
        FIXTURE_TEST(a_release_goes_on_when_its_caller_has_gone),
        FIXTURE_TEST(releasing_a_held_stream_tells_its_owner_first),
        FIXTURE_TEST(releasing_what_its_owner_gives_back_joins_in),
        FIXTURE_TEST(a_joined_release_survives_the_owner),
        FIXTURE_TEST(the_owner_survives_a_joined_release),
        FIXTURE_TEST(a_detached_lease_is_released_in_the_store),
        FIXTURE_TEST(release_checks_its_fields),
        FIXTURE_TEST(shutting_the_owner_down_leaves_a_release_of_others),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
