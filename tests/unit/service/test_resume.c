/* SPDX-License-Identifier: Apache-2.0 */
/* Leases that outlive their connection for a grace, and those who come back for them. */
#include "fixture.h"

#include <string.h>

#define GRANTED HOLDFAST__V1__HOLD_EVENT__EVENT_GRANTED
#define LOST    HOLDFAST__V1__HOLD_EVENT__EVENT_LOST
#define TOKEN   "0123456789abcdef"

static const Holdfast__V1__HoldAsk empty_ask = HOLDFAST__V1__HOLD_ASK__INIT;

/* A Hold of `a` on session 0 with a grace of a second; copies its token. */
static struct fake_call *hold_with_grace(struct fixture *fixture, uint8_t token[16])
{
    Holdfast__V1__HoldAsk ask = empty_ask;
    ask.key = (char *)"a";
    ask.grace_ms = 1000;
    struct fake_call *call = fixture_hold_with(fixture, 0, &ask);
    fake_store_ok(&fixture->store, STORE_ACQUIRE, 6);
    memcpy(token, fake_call_event(call, GRANTED)->granted->token.data, 16);
    return call;
}

static ProtobufCBinaryData token_of(const uint8_t *bytes)
{
    return (ProtobufCBinaryData){.len = 16, .data = (uint8_t *)bytes};
}

static struct fake_call *resume(struct fixture *fixture, size_t index, ProtobufCBinaryData token)
{
    Holdfast__V1__ResumeRequest request = HOLDFAST__V1__RESUME_REQUEST__INIT;
    request.key = (char *)"a";
    request.token = token;
    return fixture_call(fixture, index, "Resume", &request.base);
}

static struct fake_call *resume_hold(struct fixture *fixture, size_t index,
                                     ProtobufCBinaryData token)
{
    Holdfast__V1__HoldAsk ask = empty_ask;
    ask.key = (char *)"a";
    ask.resume_token = token;
    return fixture_hold_with(fixture, index, &ask);
}

static struct fake_call *release(struct fixture *fixture, size_t index, ProtobufCBinaryData token)
{
    Holdfast__V1__ReleaseRequest request = HOLDFAST__V1__RELEASE_REQUEST__INIT;
    request.key = (char *)"a";
    request.token = token;
    return fixture_call(fixture, index, "Release", &request.base);
}

static const Holdfast__V1__ResumeResponse *resumed(const struct fake_call *call)
{
    fake_call_expect_end(call, STATUS_OK, "");
    const Holdfast__V1__ResumeResponse *response = (const void *)call->reply;
    assert_ptr_equal(response->base.descriptor, &holdfast__v1__resume_response__descriptor);
    return response;
}

static void expect_lease(const struct fake_call *call, const uint8_t *token)
{
    const Holdfast__V1__ResumeResponse *response = resumed(call);
    assert_int_equal(response->result_case, HOLDFAST__V1__RESUME_RESPONSE__RESULT_LEASE);
    assert_int_equal(response->lease->fence, 6);
    assert_memory_equal(response->lease->token.data, token, 16);
}

/* The store gives the lease to its new tenure; the old one finds itself without. */
static void take_over(struct fixture *fixture)
{
    fake_store_ok(&fixture->store, STORE_RESUME, 6);
    fake_store_code(&fixture->store, STORE_RELEASE, STORE_NOT_HELD, NULL);
}

static void a_dropped_lease_is_resumed_within_its_grace(void **state)
{
    struct fixture *fixture = *state;
    uint8_t token[16];
    struct fake_call *held = hold_with_grace(fixture, token);
    fixture_drop(fixture, 0);
    fake_call_expect_cancelled(held);
    assert_int_equal(fake_store_count(&fixture->store), 0);
    fixture_connect(fixture, 1);
    fixture_advance_ms(fixture, 900);
    struct fake_call *call = resume(fixture, 1, token_of(token));
    take_over(fixture);
    expect_lease(call, token);
    assert_int_equal(fixture->sessions[1]->lease_count, 1);
    fixture_advance_ms(fixture, 1000);
    assert_int_equal(keeper_count(fixture->keeper), 1);
    fixture_drop(fixture, 1); /* the grace was not asked for again */
    fake_store_ok(&fixture->store, STORE_RELEASE, 0);
    assert_int_equal(keeper_count(fixture->keeper), 0);
}

static void a_cancelled_stream_keeps_its_grace(void **state)
{
    struct fixture *fixture = *state;
    uint8_t token[16];
    struct fake_call *held = hold_with_grace(fixture, token);
    session_cancel_call(&held->call);
    fake_call_expect_cancelled(held);
    assert_true(session_is_idle(fixture->sessions[0]));
    struct fake_call *call = resume_hold(fixture, 0, token_of(token));
    take_over(fixture);
    assert_int_equal(fake_call_event(call, GRANTED)->granted->fence, 6);
    fake_call_expect_open(call);
}

static void after_the_grace_it_is_given_up(void **state)
{
    struct fixture *fixture = *state;
    uint8_t token[16];
    hold_with_grace(fixture, token);
    fixture_drop(fixture, 0);
    fixture_advance_ms(fixture, 1000);
    fake_store_ok(&fixture->store, STORE_RELEASE, 0);
    assert_int_equal(keeper_count(fixture->keeper), 0);
}

/* A deadline was the owner's own wish. */
static void a_deadline_has_no_grace(void **state)
{
    struct fixture *fixture = *state;
    Holdfast__V1__HoldAsk ask = empty_ask;
    Holdfast__V1__HoldRequest request = HOLDFAST__V1__HOLD_REQUEST__INIT;
    ask.key = (char *)"a";
    ask.grace_ms = 1000;
    request.message_case = HOLDFAST__V1__HOLD_REQUEST__MESSAGE_ASK;
    request.ask = &ask;
    struct fake_call *call = fixture_start_call(fixture, 0, "Hold", 100000);
    fake_call_message(call, &request.base);
    fake_store_ok(&fixture->store, STORE_ACQUIRE, 6);
    fake_call_event(call, GRANTED);
    fixture_advance_ms(fixture, 100);
    fake_call_expect_end(call, STATUS_DEADLINE_EXCEEDED, "100 ms");
    fake_store_ok(&fixture->store, STORE_RELEASE, 0);
    assert_int_equal(keeper_count(fixture->keeper), 0);
}

static void a_missed_heartbeat_has_no_grace(void **state)
{
    struct fixture *fixture = *state;
    Holdfast__V1__HoldAsk ask = empty_ask;
    ask.key = (char *)"a";
    ask.grace_ms = 1000;
    ask.heartbeat_ms = 100;
    struct fake_call *call = fixture_hold_with(fixture, 0, &ask);
    fake_store_ok(&fixture->store, STORE_ACQUIRE, 6);
    fake_call_event(call, GRANTED);
    fixture_advance_ms(fixture, 102);
    fake_call_event(call, LOST);
    fake_call_expect_end(call, STATUS_OK, "");
    fake_store_ok(&fixture->store, STORE_RELEASE, 0);
    assert_int_equal(keeper_count(fixture->keeper), 0);
}

/* Its owner may come back to another server. */
static void a_shutdown_leaves_a_lease_with_a_grace(void **state)
{
    struct fixture *fixture = *state;
    uint8_t token[16];
    struct fake_call *held = hold_with_grace(fixture, token);
    session_shut_down(fixture->sessions[0]);
    assert_int_equal(fake_call_event(held, LOST)->lost->reason,
                     HOLDFAST__V1__HOLD_LOST__REASON__REASON_SHUTDOWN);
    fake_call_expect_end(held, STATUS_OK, "");
    assert_true(session_is_idle(fixture->sessions[0]));
    assert_int_equal(fake_store_count(&fixture->store), 0);
    assert_int_equal(keeper_count(fixture->keeper), 1);
}

static void whoever_resumes_takes_it_from_its_holder(void **state)
{
    struct fixture *fixture = *state;
    uint8_t token[16];
    fixture_connect(fixture, 1);
    struct fake_call *held = hold_with_grace(fixture, token);
    struct fake_call *call = resume(fixture, 1, token_of(token));
    fake_call_expect_open(held);
    take_over(fixture);
    assert_int_equal(fake_call_event(held, LOST)->lost->reason,
                     HOLDFAST__V1__HOLD_LOST__REASON__REASON_RESUMED);
    fake_call_expect_end(held, STATUS_OK, "");
    assert_true(session_is_idle(fixture->sessions[0]));
    expect_lease(call, token);
}

static void a_lease_of_another_server_is_resumed_in_the_store(void **state)
{
    struct fixture *fixture = *state;
    struct fake_call *call = resume(fixture, 0, token_of((const uint8_t *)TOKEN));
    struct store_op *op = fake_store_send(&fixture->store, STORE_RESUME);
    assert_memory_equal(op->token.bytes, TOKEN, 16);
    fake_store_answer(&fixture->store, op,
                      &(struct store_result){.code = STORE_OK,
                                             .sent_us = fixture->now_us,
                                             .fence = 6,
                                             .holder = {.label = "me", .label_length = 2}});
    expect_lease(call, (const uint8_t *)TOKEN);
    struct fake_call *hold = resume_hold(fixture, 0, token_of((const uint8_t *)TOKEN));
    take_over(fixture);
    fake_call_event(hold, GRANTED);
}

static void what_has_ended_is_not_resumed(void **state)
{
    struct fixture *fixture = *state;
    struct fake_call *call = resume(fixture, 0, token_of((const uint8_t *)TOKEN));
    fake_store_code(&fixture->store, STORE_RESUME, STORE_NOT_HELD, NULL);
    assert_int_equal(resumed(call)->result_case, HOLDFAST__V1__RESUME_RESPONSE__RESULT_NOT_HELD);
    call = resume_hold(fixture, 0, token_of((const uint8_t *)TOKEN));
    fake_store_code(&fixture->store, STORE_RESUME, STORE_NOT_HELD, NULL);
    assert_int_equal(fake_call_event(call, LOST)->lost->reason,
                     HOLDFAST__V1__HOLD_LOST__REASON__REASON_TAKEN);
    fake_call_expect_end(call, STATUS_OK, "");
    call = resume(fixture, 0, token_of((const uint8_t *)TOKEN));
    fake_store_code(&fixture->store, STORE_RESUME, STORE_WRONG_TYPE, "list");
    fake_call_expect_end(call, STATUS_FAILED_PRECONDITION, "(list)");
    assert_true(session_is_idle(fixture->sessions[0]));
}

static void a_lease_without_a_holder_is_released(void **state)
{
    struct fixture *fixture = *state;
    uint8_t token[16];
    hold_with_grace(fixture, token);
    fixture_drop(fixture, 0);
    fixture_connect(fixture, 1);
    struct fake_call *call = release(fixture, 1, token_of(token));
    take_over(fixture);
    fake_call_expect_open(call);
    fake_store_ok(&fixture->store, STORE_RELEASE, 0);
    fake_call_expect_end(call, STATUS_OK, "");
    const Holdfast__V1__ReleaseResponse *response = (const void *)call->reply;
    assert_int_equal(response->outcome, HOLDFAST__V1__RELEASE_RESPONSE__OUTCOME__OUTCOME_RELEASED);
    assert_int_equal(keeper_count(fixture->keeper), 0);
}

static void releasing_it_goes_on_when_the_caller_has_gone(void **state)
{
    struct fixture *fixture = *state;
    uint8_t token[16];
    hold_with_grace(fixture, token);
    fixture_drop(fixture, 0);
    fixture_connect(fixture, 1);
    struct fake_call *call = release(fixture, 1, token_of(token));
    struct store_op *op = fake_store_send(&fixture->store, STORE_RESUME);
    fixture_drop(fixture, 1);
    fake_call_expect_cancelled(call);
    fake_store_answer(
        &fixture->store, op,
        &(struct store_result){.code = STORE_OK, .sent_us = fixture->now_us, .fence = 6});
    fake_store_ok(&fixture->store, STORE_RELEASE, 0);
    fixture_advance_ms(fixture, 1000);
    fake_store_code(&fixture->store, STORE_RELEASE, STORE_NOT_HELD, NULL); /* the old tenure */
    assert_int_equal(keeper_count(fixture->keeper), 0);
}

static void renew_tells_of_a_lease_without_a_holder(void **state)
{
    struct fixture *fixture = *state;
    uint8_t token[16];
    hold_with_grace(fixture, token);
    fixture_drop(fixture, 0);
    fixture_connect(fixture, 1);
    Holdfast__V1__RenewRequest request = HOLDFAST__V1__RENEW_REQUEST__INIT;
    request.key = (char *)"a";
    request.token = token_of(token);
    struct fake_call *call = fixture_call(fixture, 1, "Renew", &request.base);
    fake_call_expect_end(call, STATUS_OK, "");
    const Holdfast__V1__RenewResponse *response = (const void *)call->reply;
    assert_int_equal(response->result_case, HOLDFAST__V1__RENEW_RESPONSE__RESULT_LEASE);
    assert_int_equal(response->lease->fence, 6);
}

static void a_cancelled_resume_changes_nothing(void **state)
{
    struct fixture *fixture = *state;
    uint8_t token[16];
    struct fake_call *held = hold_with_grace(fixture, token);
    struct fake_call *call = resume(fixture, 0, token_of(token));
    session_cancel_call(&call->call);
    fake_call_expect_cancelled(call);
    fixture_advance_ms(fixture, 1);
    assert_int_equal(fake_store_count(&fixture->store), 0);
    fake_call_expect_open(held);
}

static void draining_refuses_to_resume(void **state)
{
    struct fixture *fixture = *state;
    fixture->services.is_draining = true;
    fake_call_expect_end(fixture_start_call(fixture, 0, "Resume", 0), STATUS_UNAVAILABLE,
                         "shutting down");
}

static void the_fields_of_a_resume_are_checked(void **state)
{
    struct fixture *fixture = *state;
    Holdfast__V1__HoldAsk ask = empty_ask;
    fake_call_expect_end(resume(fixture, 0, (ProtobufCBinaryData){0}), STATUS_INVALID_ARGUMENT,
                         "token: 0 bytes");
    ask.key = (char *)"a";
    ask.resume_token = (ProtobufCBinaryData){.len = 3, .data = (uint8_t *)"abc"};
    fake_call_expect_end(fixture_hold_with(fixture, 0, &ask), STATUS_INVALID_ARGUMENT,
                         "resume_token: 3 bytes");
    ask.wait_ms = 1;
    fake_call_expect_end(fixture_hold_with(fixture, 0, &ask), STATUS_INVALID_ARGUMENT,
                         "wait_ms: must be empty with resume_token");
    ask.wait_ms = 0;
    ask.label = (char *)"x";
    fake_call_expect_end(fixture_hold_with(fixture, 0, &ask), STATUS_INVALID_ARGUMENT,
                         "label: must be empty with resume_token");
    assert_int_equal(fake_store_count(&fixture->store), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(a_dropped_lease_is_resumed_within_its_grace),
        FIXTURE_TEST(a_cancelled_stream_keeps_its_grace),
        FIXTURE_TEST(after_the_grace_it_is_given_up),
        FIXTURE_TEST(a_deadline_has_no_grace),
        FIXTURE_TEST(a_missed_heartbeat_has_no_grace),
        FIXTURE_TEST(a_shutdown_leaves_a_lease_with_a_grace),
        FIXTURE_TEST(whoever_resumes_takes_it_from_its_holder),
        FIXTURE_TEST(a_lease_of_another_server_is_resumed_in_the_store),
        FIXTURE_TEST(what_has_ended_is_not_resumed),
        FIXTURE_TEST(a_lease_without_a_holder_is_released),
        FIXTURE_TEST(releasing_it_goes_on_when_the_caller_has_gone),
        FIXTURE_TEST(renew_tells_of_a_lease_without_a_holder),
        FIXTURE_TEST(a_cancelled_resume_changes_nothing),
        FIXTURE_TEST(draining_refuses_to_resume),
        FIXTURE_TEST(the_fields_of_a_resume_are_checked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
