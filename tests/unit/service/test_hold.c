/* SPDX-License-Identifier: Apache-2.0 */
#include "service/hold.h"

#include "fixture.h"

#include <string.h>

#include "base/clock.h"

#define GRANTED  HOLDFAST__V1__HOLD_EVENT__EVENT_GRANTED
#define BUSY     HOLDFAST__V1__HOLD_EVENT__EVENT_BUSY
#define RENEWED  HOLDFAST__V1__HOLD_EVENT__EVENT_RENEWED
#define AT_RISK  HOLDFAST__V1__HOLD_EVENT__EVENT_AT_RISK
#define LOST     HOLDFAST__V1__HOLD_EVENT__EVENT_LOST
#define RELEASED HOLDFAST__V1__HOLD_EVENT__EVENT_RELEASED

#define EXPIRED          HOLDFAST__V1__HOLD_LOST__REASON__REASON_EXPIRED
#define TAKEN            HOLDFAST__V1__HOLD_LOST__REASON__REASON_TAKEN
#define HEARTBEAT_MISSED HOLDFAST__V1__HOLD_LOST__REASON__REASON_HEARTBEAT_MISSED

#define VALIDITY_MS (FIXTURE_TTL_MS - FIXTURE_TTL_MS / 100 - 2)

static struct fake_call *granted_hold(struct fixture *fixture, uint32_t heartbeat_ms)
{
    struct fake_call *call = fixture_hold(fixture, 0, "a", heartbeat_ms);
    fake_store_ok(&fixture->store, STORE_ACQUIRE, 6);
    fake_call_event(call, GRANTED);
    return call;
}

static void ping(struct fake_call *call)
{
    Holdfast__V1__HoldPing body = HOLDFAST__V1__HOLD_PING__INIT;
    Holdfast__V1__HoldRequest request = HOLDFAST__V1__HOLD_REQUEST__INIT;
    request.message_case = HOLDFAST__V1__HOLD_REQUEST__MESSAGE_PING;
    request.ping = &body;
    fake_call_message(call, &request.base);
}

static struct fake_call *ask_with(struct fixture *fixture, const Holdfast__V1__HoldAsk *ask)
{
    Holdfast__V1__HoldRequest request = HOLDFAST__V1__HOLD_REQUEST__INIT;
    request.message_case = HOLDFAST__V1__HOLD_REQUEST__MESSAGE_ASK;
    request.ask = (Holdfast__V1__HoldAsk *)ask;
    struct fake_call *call = fixture_start_call(fixture, 0, "Hold", 0);
    fake_call_message(call, &request.base);
    return call;
}

static void expect_lost(struct fake_call *call, Holdfast__V1__HoldLost__Reason reason)
{
    assert_int_equal(fake_call_event(call, LOST)->lost->reason, reason);
    fake_call_expect_end(call, STATUS_OK, "");
}

static void expect_settled(struct fixture *fixture)
{
    assert_int_equal(fake_store_count(&fixture->store), 0);
    assert_int_equal(keeper_count(fixture->keeper), 0);
    assert_true(session_is_idle(fixture->sessions[0]));
}

static void a_granted_hold_lives_until_half_close(void **state)
{
    struct fixture *fixture = *state;
    struct fake_call *call = fixture_hold(fixture, 0, "a", 0);
    fake_call_expect_open(call);
    struct store_op *op = fake_store_send(&fixture->store, STORE_ACQUIRE);
    struct store_result result = {.code = STORE_OK, .sent_us = fixture->now_us, .fence = 6};
    fixture_advance_ms(fixture, 5);
    fake_store_answer(&fixture->store, op, &result);
    const Holdfast__V1__Lease *lease = fake_call_event(call, GRANTED)->granted;
    assert_string_equal(lease->key, "a");
    assert_int_equal(lease->fence, 6);
    assert_int_equal(lease->token.len, 16);
    assert_int_equal(lease->ttl_ms, FIXTURE_TTL_MS);
    assert_int_equal(lease->valid_for_ms, VALIDITY_MS - 5);

    session_half_close(&call->call);
    fake_call_expect_open(call);
    fake_store_ok(&fixture->store, STORE_RELEASE, 0);
    fake_call_event(call, RELEASED);
    fake_call_expect_end(call, STATUS_OK, "");
    expect_settled(fixture);
}

static void a_busy_hold_ends_with_the_holder(void **state)
{
    struct fixture *fixture = *state;
    struct fake_call *call = fixture_hold(fixture, 0, "a", 0);
    fake_store_busy(&fixture->store, &(struct store_holder){.is_held = true,
                                                            .remaining_us = 5000,
                                                            .label = "other",
                                                            .label_length = 5});
    assert_string_equal(fake_call_event(call, BUSY)->busy->label, "other");
    fake_call_expect_end(call, STATUS_OK, "");
    expect_settled(fixture);
}

static void a_refused_hold_ends_with_its_status(void **state)
{
    struct fixture *fixture = *state;
    struct fake_call *call = fixture_hold(fixture, 0, "a", 0);
    fake_store_code(&fixture->store, STORE_ACQUIRE, STORE_WRONG_TYPE, "list");
    fake_call_expect_end(call, STATUS_FAILED_PRECONDITION, "(list)");
    call = fixture_hold(fixture, 0, "a", 0);
    fake_store_code(&fixture->store, STORE_ACQUIRE, STORE_UNAVAILABLE, "away");
    fake_call_expect_end(call, STATUS_UNAVAILABLE, "(away)");
    expect_settled(fixture);
}

static void the_first_message_must_be_ask(void **state)
{
    struct fixture *fixture = *state;
    struct fake_call *call = fixture_start_call(fixture, 0, "Hold", 0);
    ping(call);
    fake_call_expect_end(call, STATUS_INVALID_ARGUMENT, "ask: missing");
    call = fixture_start_call(fixture, 0, "Hold", 0);
    session_message(&call->call, NULL, 0);
    fake_call_expect_end(call, STATUS_INVALID_ARGUMENT, "ask: missing");
}

static void the_fields_of_ask_are_checked(void **state)
{
    struct fixture *fixture = *state;
    char label[300];
    memset(label, 'l', 257);
    label[257] = '\0';
    Holdfast__V1__HoldAsk ask = HOLDFAST__V1__HOLD_ASK__INIT;
    fake_call_expect_end(ask_with(fixture, &ask), STATUS_INVALID_ARGUMENT, "key: missing");
    ask.key = (char *)"a";
    ask.ttl_ms = 86400001;
    fake_call_expect_end(ask_with(fixture, &ask), STATUS_INVALID_ARGUMENT, "ttl_ms: 86400001");
    ask.ttl_ms = 0;
    ask.heartbeat_ms = 99;
    fake_call_expect_end(ask_with(fixture, &ask), STATUS_INVALID_ARGUMENT, "heartbeat_ms: 99");
    ask.heartbeat_ms = 0;
    ask.label = label;
    fake_call_expect_end(ask_with(fixture, &ask), STATUS_INVALID_ARGUMENT, "label: 257");
    expect_settled(fixture);
}

static void a_second_ask_ends_the_stream(void **state)
{
    struct fixture *fixture = *state;
    Holdfast__V1__HoldAsk ask = HOLDFAST__V1__HOLD_ASK__INIT;
    Holdfast__V1__HoldRequest request = HOLDFAST__V1__HOLD_REQUEST__INIT;
    ask.key = (char *)"b";
    request.message_case = HOLDFAST__V1__HOLD_REQUEST__MESSAGE_ASK;
    request.ask = &ask;
    struct fake_call *call = granted_hold(fixture, 0);
    fake_call_message(call, &request.base);
    fake_call_expect_end(call, STATUS_INVALID_ARGUMENT, "ask: only the first message");
    fake_store_ok(&fixture->store, STORE_RELEASE, 0);
    expect_settled(fixture);
}

static void an_empty_message_ends_the_stream(void **state)
{
    struct fixture *fixture = *state;
    const uint8_t unknown_field[] = {0x5a, 0x00}; /* field 11: a message kind of the future */
    struct fake_call *call = granted_hold(fixture, 0);
    session_message(&call->call, unknown_field, sizeof(unknown_field));
    fake_call_expect_end(call, STATUS_INVALID_ARGUMENT, "message: missing");
    fake_store_ok(&fixture->store, STORE_RELEASE, 0);
    expect_settled(fixture);
}

static void a_message_too_long_ends_the_stream(void **state)
{
    struct fixture *fixture = *state;
    static uint8_t bytes[FIXTURE_MESSAGE_MAX + 1];
    struct fake_call *call = granted_hold(fixture, 0);
    session_message(&call->call, bytes, sizeof(bytes));
    fake_call_expect_end(call, STATUS_RESOURCE_EXHAUSTED, "max-message-size");
    fake_store_ok(&fixture->store, STORE_RELEASE, 0);
    expect_settled(fixture);
}

static void a_ping_is_answered_with_the_validity(void **state)
{
    struct fixture *fixture = *state;
    struct fake_call *call = granted_hold(fixture, 0);
    fixture_advance_ms(fixture, 1000);
    ping(call);
    assert_int_equal(fake_call_event(call, RENEWED)->renewed->valid_for_ms, VALIDITY_MS - 1000);
    fixture_advance_ms(fixture, FIXTURE_TTL_MS / 3 + 1 - 1000);
    struct store_op *op = fake_store_send(&fixture->store, STORE_RENEW);
    struct store_result result = {.code = STORE_OK, .sent_us = fixture->now_us};
    fake_store_answer(&fixture->store, op, &result);
    ping(call);
    assert_int_equal(fake_call_event(call, RENEWED)->renewed->valid_for_ms, VALIDITY_MS);
    fake_call_expect_open(call);
}

static void a_ping_before_the_grant_is_not_answered(void **state)
{
    struct fixture *fixture = *state;
    struct fake_call *call = fixture_hold(fixture, 0, "a", 100);
    ping(call);
    fake_call_expect_open(call);
    fake_store_ok(&fixture->store, STORE_ACQUIRE, 6);
    fake_call_event(call, GRANTED);
    fake_call_expect_open(call);
}

/* Days of pings must not use memory up. */
static void messages_of_a_stream_do_not_pile_up(void **state)
{
    struct fixture *fixture = *state;
    struct fake_call *call = fixture_hold(fixture, 0, "a", 0);
    for (int i = 0; i < 200000; i++) {
        ping(call);
    }
    fake_call_expect_open(call);
    assert_int_equal(call->call.arena.used, 0);
}

static void at_risk_and_its_end_are_told(void **state)
{
    struct fixture *fixture = *state;
    struct fake_call *call = granted_hold(fixture, 0);
    fixture_advance_ms(fixture, FIXTURE_TTL_MS / 3 + 1);
    struct store_op *op = fake_store_send(&fixture->store, STORE_RENEW);
    fixture_advance_ms(fixture, FIXTURE_TTL_MS / 3 + 1);
    const int passed_ms = 2 * (FIXTURE_TTL_MS / 3 + 1);
    assert_in_range(fake_call_event(call, AT_RISK)->at_risk->valid_for_ms, VALIDITY_MS - passed_ms,
                    VALIDITY_MS - passed_ms + 2);
    struct store_result result = {.code = STORE_OK, .sent_us = fixture->now_us};
    fake_store_answer(&fixture->store, op, &result);
    fake_call_expect_open(call);
    ping(call);
    assert_int_equal(fake_call_event(call, RENEWED)->renewed->valid_for_ms, VALIDITY_MS);
}

static void an_expired_lease_is_lost(void **state)
{
    struct fixture *fixture = *state;
    struct fake_call *call = granted_hold(fixture, 0);
    fixture_advance_ms(fixture, VALIDITY_MS - 1);
    fake_call_event(call, AT_RISK);
    fake_call_expect_open(call);
    fixture_advance_ms(fixture, 1);
    expect_lost(call, EXPIRED);
    assert_true(session_is_idle(fixture->sessions[0]));
}

static void a_lease_taken_in_the_store_is_lost(void **state)
{
    struct fixture *fixture = *state;
    struct fake_call *call = granted_hold(fixture, 0);
    fixture_advance_ms(fixture, FIXTURE_TTL_MS / 3 + 1);
    fake_store_code(&fixture->store, STORE_RENEW, STORE_NOT_HELD, NULL);
    expect_lost(call, TAKEN);
    assert_true(session_is_idle(fixture->sessions[0]));
}

static void a_lease_lost_while_it_is_given_back_is_told(void **state)
{
    struct fixture *fixture = *state;
    struct fake_call *call = granted_hold(fixture, 0);
    session_half_close(&call->call);
    fake_store_code(&fixture->store, STORE_RELEASE, STORE_NOT_HELD, NULL);
    expect_lost(call, TAKEN);
    expect_settled(fixture);
}

static void a_missed_heartbeat_revokes_the_lease(void **state)
{
    struct fixture *fixture = *state;
    struct fake_call *call = granted_hold(fixture, 200);
    for (int i = 0; i < 5; i++) {
        fixture_advance_ms(fixture, 199);
        ping(call);
        fake_call_event(call, RENEWED);
    }
    fixture_advance_ms(fixture, 199);
    fake_call_expect_open(call);
    fixture_advance_ms(fixture, 1);
    fake_call_expect_open(call);
    fixture_advance_ms(fixture, 1);
    expect_lost(call, HEARTBEAT_MISSED);
    fake_store_ok(&fixture->store, STORE_RELEASE, 0);
    expect_settled(fixture);
}

/* This process stood still, not the client: its pings are there and are read after the timers. */
static void a_ping_that_waited_is_a_heartbeat(void **state)
{
    struct fixture *fixture = *state;
    struct fake_call *call = granted_hold(fixture, 200);
    fixture->now_us += 1000 * CLOCK_US_PER_MS;
    fixture_advance_ms(fixture, 1);
    ping(call);
    fake_call_event(call, RENEWED);
    fixture_advance_ms(fixture, 199);
    fake_call_expect_open(call);
    fixture_advance_ms(fixture, 2);
    expect_lost(call, HEARTBEAT_MISSED);
}

static void the_heartbeat_begins_with_the_grant(void **state)
{
    struct fixture *fixture = *state;
    struct fake_call *call = fixture_hold(fixture, 0, "a", 100);
    struct store_op *op = fake_store_send(&fixture->store, STORE_ACQUIRE);
    fixture_advance_ms(fixture, 500);
    fake_call_expect_open(call);
    fake_store_answer(
        &fixture->store, op,
        &(struct store_result){.code = STORE_OK, .sent_us = fixture->now_us, .fence = 1});
    fake_call_event(call, GRANTED);
    fixture_advance_ms(fixture, 99);
    fake_call_expect_open(call);
    fixture_advance_ms(fixture, 1);
    fake_call_expect_open(call);
    fixture_advance_ms(fixture, 1);
    expect_lost(call, HEARTBEAT_MISSED);
}

static void no_heartbeat_is_due_after_half_close(void **state)
{
    struct fixture *fixture = *state;
    struct fake_call *call = granted_hold(fixture, 100);
    session_half_close(&call->call);
    fixture_advance_ms(fixture, 500);
    fake_call_expect_open(call);
    fake_store_ok(&fixture->store, STORE_RELEASE, 0);
    fake_call_event(call, RELEASED);
    fake_call_expect_end(call, STATUS_OK, "");
}

static void half_close_before_the_grant_releases_it(void **state)
{
    struct fixture *fixture = *state;
    struct fake_call *call = fixture_hold(fixture, 0, "a", 100);
    session_half_close(&call->call);
    fake_call_expect_open(call);
    fake_store_ok(&fixture->store, STORE_ACQUIRE, 6);
    fake_call_expect_open(call);
    fake_store_ok(&fixture->store, STORE_RELEASE, 0);
    fake_call_event(call, RELEASED);
    fake_call_expect_end(call, STATUS_OK, "");
    expect_settled(fixture);
}

static void half_close_before_busy_ends_with_busy(void **state)
{
    struct fixture *fixture = *state;
    struct fake_call *call = fixture_hold(fixture, 0, "a", 0);
    session_half_close(&call->call);
    fake_store_busy(&fixture->store, &(struct store_holder){.is_held = true});
    fake_call_event(call, BUSY);
    fake_call_expect_end(call, STATUS_OK, "");
    expect_settled(fixture);
}

static void cancelling_while_acquiring_leaves_nothing(void **state)
{
    struct fixture *fixture = *state;
    struct fake_call *call = fixture_hold(fixture, 0, "a", 100);
    session_cancel_call(&call->call);
    fake_call_expect_cancelled(call);
    expect_settled(fixture);
}

static void cancelling_a_sent_acquire_gives_the_grant_back(void **state)
{
    struct fixture *fixture = *state;
    struct fake_call *call = fixture_hold(fixture, 0, "a", 100);
    struct store_op *op = fake_store_send(&fixture->store, STORE_ACQUIRE);
    session_half_close(&call->call);
    session_cancel_call(&call->call);
    fake_call_expect_cancelled(call);
    fake_store_answer(
        &fixture->store, op,
        &(struct store_result){.code = STORE_OK, .sent_us = fixture->now_us, .fence = 1});
    fake_store_ok(&fixture->store, STORE_RELEASE, 0);
    expect_settled(fixture);
}

static void cancelling_a_held_stream_revokes(void **state)
{
    struct fixture *fixture = *state;
    struct fake_call *call = granted_hold(fixture, 100);
    session_cancel_call(&call->call);
    fake_call_expect_cancelled(call);
    fake_store_ok(&fixture->store, STORE_RELEASE, 0);
    expect_settled(fixture);
    assert_int_equal(fixture->metrics.leases_revoked, 1);
}

static void cancelling_while_releasing_lets_the_release_go_on(void **state)
{
    struct fixture *fixture = *state;
    struct fake_call *call = granted_hold(fixture, 0);
    session_half_close(&call->call);
    session_cancel_call(&call->call);
    fake_call_expect_cancelled(call);
    fake_store_ok(&fixture->store, STORE_RELEASE, 0);
    expect_settled(fixture);
}

static void a_dropped_connection_revokes_its_streams(void **state)
{
    struct fixture *fixture = *state;
    struct fake_call *held = granted_hold(fixture, 0);
    struct fake_call *acquiring = fixture_hold(fixture, 0, "b", 0);
    fixture_drop(fixture, 0);
    fake_call_expect_cancelled(held);
    fake_call_expect_cancelled(acquiring);
    fake_store_ok(&fixture->store, STORE_RELEASE, 0);
    assert_int_equal(fake_store_count(&fixture->store), 0);
    assert_int_equal(keeper_count(fixture->keeper), 0);
}

static void a_deadline_ends_the_stream(void **state)
{
    struct fixture *fixture = *state;
    Holdfast__V1__HoldAsk ask = HOLDFAST__V1__HOLD_ASK__INIT;
    Holdfast__V1__HoldRequest request = HOLDFAST__V1__HOLD_REQUEST__INIT;
    ask.key = (char *)"a";
    request.message_case = HOLDFAST__V1__HOLD_REQUEST__MESSAGE_ASK;
    request.ask = &ask;
    struct fake_call *call = fixture_start_call(fixture, 0, "Hold", 100000);
    fake_call_message(call, &request.base);
    fake_store_ok(&fixture->store, STORE_ACQUIRE, 6);
    fake_call_event(call, GRANTED);
    fixture_advance_ms(fixture, 99);
    fake_call_expect_open(call);
    fixture_advance_ms(fixture, 1);
    fake_call_expect_end(call, STATUS_DEADLINE_EXCEEDED, "Hold: the caller's deadline of 100 ms");
    fake_store_ok(&fixture->store, STORE_RELEASE, 0);
    expect_settled(fixture);
}

static void a_stream_refused_by_drain_holds_nothing(void **state)
{
    struct fixture *fixture = *state;
    struct fake_call *held = granted_hold(fixture, 0);
    fixture->services.is_draining = true;
    fake_call_expect_end(fixture_hold(fixture, 0, "b", 0), STATUS_UNAVAILABLE, "shutting down");
    ping(held);
    fake_call_event(held, RENEWED);
    fake_call_expect_open(held);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(a_granted_hold_lives_until_half_close),
        FIXTURE_TEST(a_busy_hold_ends_with_the_holder),
        FIXTURE_TEST(a_refused_hold_ends_with_its_status),
        FIXTURE_TEST(the_first_message_must_be_ask),
        FIXTURE_TEST(the_fields_of_ask_are_checked),
        FIXTURE_TEST(a_second_ask_ends_the_stream),
        FIXTURE_TEST(an_empty_message_ends_the_stream),
        FIXTURE_TEST(a_message_too_long_ends_the_stream),
        FIXTURE_TEST(a_ping_is_answered_with_the_validity),
        FIXTURE_TEST(a_ping_before_the_grant_is_not_answered),
        FIXTURE_TEST(messages_of_a_stream_do_not_pile_up),
        FIXTURE_TEST(at_risk_and_its_end_are_told),
        FIXTURE_TEST(an_expired_lease_is_lost),
        FIXTURE_TEST(a_lease_taken_in_the_store_is_lost),
        FIXTURE_TEST(a_lease_lost_while_it_is_given_back_is_told),
        FIXTURE_TEST(a_missed_heartbeat_revokes_the_lease),
        FIXTURE_TEST(a_ping_that_waited_is_a_heartbeat),
        FIXTURE_TEST(the_heartbeat_begins_with_the_grant),
        FIXTURE_TEST(no_heartbeat_is_due_after_half_close),
        FIXTURE_TEST(half_close_before_the_grant_releases_it),
        FIXTURE_TEST(half_close_before_busy_ends_with_busy),
        FIXTURE_TEST(cancelling_while_acquiring_leaves_nothing),
        FIXTURE_TEST(cancelling_a_sent_acquire_gives_the_grant_back),
        FIXTURE_TEST(cancelling_a_held_stream_revokes),
        FIXTURE_TEST(cancelling_while_releasing_lets_the_release_go_on),
        FIXTURE_TEST(a_dropped_connection_revokes_its_streams),
        FIXTURE_TEST(a_deadline_ends_the_stream),
        FIXTURE_TEST(a_stream_refused_by_drain_holds_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
