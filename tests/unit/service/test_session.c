/* SPDX-License-Identifier: Apache-2.0 */
#include "service/binding.h"
#include "service/session.h"

#include "fixture.h"

#include <string.h>

static struct fake_call *start(struct fixture *fixture, const char *service, const char *method)
{
    struct fake_call *call = fake_call_create();
    fixture->calls[fixture->call_count++] = call;
    session_start_call(fixture->sessions[0], &call->call, service, method, 0);
    return call;
}

static struct fake_call *inspect(struct fixture *fixture, size_t index)
{
    Holdfast__V1__InspectRequest request = HOLDFAST__V1__INSPECT_REQUEST__INIT;
    request.key = (char *)"a";
    return fixture_call(fixture, index, "Inspect", &request.base);
}

static struct fake_call *inspect_within(struct fixture *fixture, int64_t timeout_us)
{
    Holdfast__V1__InspectRequest request = HOLDFAST__V1__INSPECT_REQUEST__INIT;
    request.key = (char *)"a";
    struct fake_call *call = fixture_start_call(fixture, 0, "Inspect", timeout_us);
    fake_call_message(call, &request.base);
    session_half_close(&call->call);
    return call;
}

/* There is one for every lease that is held: see tests/unit/lease/test_footprint.c. */
static void a_binding_is_small(void **state)
{
    (void)state;
    assert_true(sizeof(struct binding) <= 72);
}

static void unknown_method_names_service_and_method(void **state)
{
    struct fixture *fixture = *state;
    struct fake_call *call = start(fixture, "holdfast.v1.Locks", "Steal");
    fake_call_expect_end(call, STATUS_UNIMPLEMENTED,
                         "service holdfast.v1.Locks has no method \"Steal\"");
    assert_int_equal(fixture->metrics.calls_failed, 1);
}

static void unknown_service_is_named(void **state)
{
    struct fake_call *call = start(*state, "holdfast.v1.Keys", "Acquire");
    fake_call_expect_end(call, STATUS_UNIMPLEMENTED,
                         "no service \"holdfast.v1.Keys\" (method \"Acquire\")");
}

static void odd_names_are_shown_short_and_printable(void **state)
{
    char name[3000];
    memset(name, 'n', sizeof(name) - 1);
    name[sizeof(name) - 1] = '\0';
    struct fake_call *call = start(*state, name, "a\nb\xc3\xa4");
    fake_call_expect_end(call, STATUS_UNIMPLEMENTED, "(method \"a?b??\")");
    assert_in_range(strlen(call->text), 1, 200);
}

static void an_ended_call_ignores_what_follows(void **state)
{
    struct fake_call *call = start(*state, "holdfast.v1.Locks", "Steal");
    session_message(&call->call, NULL, 0);
    session_half_close(&call->call);
    session_cancel_call(&call->call);
    session_forget_call(&call->call);
    fake_call_expect_end(call, STATUS_UNIMPLEMENTED, "Steal");
}

static void half_close_without_a_message_is_refused(void **state)
{
    struct fake_call *call = start(*state, "holdfast.v1.Locks", "Acquire");
    session_half_close(&call->call);
    fake_call_expect_end(call, STATUS_INVALID_ARGUMENT, "no request message; Acquire needs one");
    call = start(*state, "holdfast.v1.Locks", "Hold");
    session_half_close(&call->call);
    fake_call_expect_end(call, STATUS_INVALID_ARGUMENT, "no request message; Hold needs one");
}

static void second_message_of_a_unary_call_is_refused(void **state)
{
    struct fixture *fixture = *state;
    Holdfast__V1__AcquireRequest request = HOLDFAST__V1__ACQUIRE_REQUEST__INIT;
    request.key = (char *)"a";
    struct fake_call *call = fixture_start_call(fixture, 0, "Acquire", 0);
    fake_call_message(call, &request.base);
    fake_call_expect_open(call);
    fake_call_message(call, &request.base);
    fake_call_expect_end(call, STATUS_INVALID_ARGUMENT,
                         "more than one request message; Acquire takes one");
    assert_int_equal(fake_store_count(&fixture->store), 0);
    assert_int_equal(keeper_count(fixture->keeper), 0);
}

static void bytes_that_are_no_message_are_refused(void **state)
{
    struct fixture *fixture = *state;
    const uint8_t garbage[] = {0x0a, 0x7f, 'x'};
    struct fake_call *call = fixture_start_call(fixture, 0, "Acquire", 0);
    session_message(&call->call, garbage, sizeof(garbage));
    fake_call_expect_end(call, STATUS_INVALID_ARGUMENT, "");
    assert_in_range(strlen(call->text), 1, FAKE_TEXT_SIZE);
}

static void strings_with_nul_are_refused_by_name(void **state)
{
    struct fixture *fixture = *state;
    const uint8_t nul_in_key[] = {0x0a, 3, 'a', 0, 'b'};
    struct fake_call *call = fixture_start_call(fixture, 0, "Acquire", 0);
    session_message(&call->call, nul_in_key, sizeof(nul_in_key));
    fake_call_expect_end(call, STATUS_INVALID_ARGUMENT, "key: ");
}

static void message_size_is_limited(void **state)
{
    struct fixture *fixture = *state;
    static uint8_t bytes[FIXTURE_MESSAGE_MAX + 1];
    struct fake_call *call = fixture_start_call(fixture, 0, "Acquire", 0);
    session_message(&call->call, bytes, FIXTURE_MESSAGE_MAX + 1);
    fake_call_expect_end(call, STATUS_RESOURCE_EXHAUSTED,
                         "max-message-size: the request message has 8193 bytes, the limit is 8192");
    assert_int_equal(fixture->metrics.calls_refused, 1);

    call = fixture_start_call(fixture, 0, "Acquire", 0);
    session_message(&call->call, bytes, FIXTURE_MESSAGE_MAX);
    fake_call_expect_end(call, STATUS_INVALID_ARGUMENT, "");
}

static void calls_per_connection_are_limited(void **state)
{
    struct fixture *fixture = *state;
    struct fake_call *last = NULL;
    for (int i = 0; i < 30; i++) {
        last = inspect(fixture, 0);
        fake_call_expect_open(last);
    }
    struct fake_call *refused = inspect(fixture, 0);
    fake_call_expect_end(refused, STATUS_RESOURCE_EXHAUSTED, "max-calls-per-connection: 30 calls");
    assert_int_equal(fixture->metrics.calls_refused, 1);
    session_cancel_call(&last->call);
    fake_call_expect_cancelled(last);
    fake_call_expect_open(inspect(fixture, 0));
}

static void calls_of_all_connections_are_limited(void **state)
{
    struct fixture *fixture = *state;
    fixture_connect(fixture, 1);
    for (size_t i = 0; i < 40; i++) {
        fake_call_expect_open(inspect(fixture, i % 2));
    }
    fake_call_expect_end(inspect(fixture, 1), STATUS_RESOURCE_EXHAUSTED, "max-calls: 40 calls");
    assert_int_equal(fixture->services.calls, 40);
}

static void connections_are_limited(void **state)
{
    struct fixture *fixture = *state;
    for (size_t i = 1; i < FIXTURE_SESSIONS_MAX; i++) {
        fixture_connect(fixture, i);
    }
    assert_null(session_create(&fixture->services, "unix"));
    fixture_drop(fixture, 2);
    fixture_connect(fixture, 2);
}

static void a_deadline_ends_the_call_once(void **state)
{
    struct fixture *fixture = *state;
    struct fake_call *call = inspect_within(fixture, 20000);
    struct store_op *op = fake_store_send(&fixture->store, STORE_INSPECT);
    fixture_advance_ms(fixture, 19);
    fake_call_expect_open(call);
    fixture_advance_ms(fixture, 1);
    fake_call_expect_end(call, STATUS_DEADLINE_EXCEEDED,
                         "Inspect: the caller's deadline of 20 ms passed");
    assert_int_equal(fixture->metrics.calls_deadline_exceeded, 1);
    fake_store_answer(&fixture->store, op,
                      &(struct store_result){.code = STORE_OK, .sent_us = fixture->now_us});
    assert_int_equal(keeper_count(fixture->keeper), 0);
}

static void an_answer_clears_the_deadline(void **state)
{
    struct fixture *fixture = *state;
    struct fake_call *call = inspect_within(fixture, 20000);
    fake_store_ok(&fixture->store, STORE_INSPECT, 0);
    fake_call_expect_end(call, STATUS_OK, "");
    fixture_advance_ms(fixture, 30);
    assert_int_equal(fixture->metrics.calls_deadline_exceeded, 0);
}

static void a_deadline_in_the_past_ends_the_call_at_once(void **state)
{
    struct fixture *fixture = *state;
    fake_call_expect_end(inspect_within(fixture, -1), STATUS_DEADLINE_EXCEEDED, "deadline");
    fake_call_expect_end(inspect_within(fixture, INT64_MIN), STATUS_DEADLINE_EXCEEDED, "deadline");
    assert_int_equal(fake_store_count(&fixture->store), 0);
}

static void a_deadline_beyond_time_never_comes(void **state)
{
    struct fixture *fixture = *state;
    struct fake_call *call = inspect_within(fixture, INT64_MAX);
    fake_call_expect_open(call);
    assert_int_equal(call->call.deadline_us, INT64_MAX);
}

/* The keeper gives up at the same moment as the caller: the deadline is what the caller hears. */
static void the_deadline_wins_over_an_unreachable_store(void **state)
{
    struct fixture *fixture = *state;
    struct fake_call *call = inspect_within(fixture, 10000);
    struct store_op *op = fake_store_send(&fixture->store, STORE_INSPECT);
    wheel_clear(loop_wheel(fixture->loop), &call->call.deadline);
    fixture_advance_ms(fixture, 10);
    fake_store_answer(&fixture->store, op,
                      &(struct store_result){.code = STORE_UNAVAILABLE, .detail = "away"});
    fake_call_expect_end(call, STATUS_DEADLINE_EXCEEDED, "deadline of 10 ms");
}

static void dropping_the_connection_cancels_its_calls(void **state)
{
    struct fixture *fixture = *state;
    struct fake_call *call = inspect(fixture, 0);
    struct fake_call *waiting = fixture_start_call(fixture, 0, "Hold", 0);
    fixture_drop(fixture, 0);
    fake_call_expect_cancelled(call);
    fake_call_expect_cancelled(waiting);
    assert_int_equal(fake_store_count(&fixture->store), 0);
    assert_int_equal(fixture->metrics.calls_failed, 0);
}

static void a_session_is_idle_without_calls_and_leases(void **state)
{
    struct fixture *fixture = *state;
    struct session *session = fixture->sessions[0];
    assert_true(session_is_idle(session));
    struct fake_call *call = inspect(fixture, 0);
    assert_false(session_is_idle(session));
    session_cancel_call(&call->call);
    assert_true(session_is_idle(session));
    fixture_acquire(fixture, 0, "a", 1);
    assert_int_equal(session->call_count, 0);
    assert_false(session_is_idle(session));
}

static void what_is_held_between_calls_is_told_from_streams(void **state)
{
    struct fixture *fixture = *state;
    assert_false(session_holds_between_calls(fixture->sessions[0]));
    fixture_acquire(fixture, 0, "a", 1);
    assert_true(session_holds_between_calls(fixture->sessions[0]));
    fixture_connect(fixture, 1);
    fixture_hold(fixture, 1, "b", 0);
    assert_false(session_is_idle(fixture->sessions[1]));
    assert_false(session_holds_between_calls(fixture->sessions[1]));
}

static void without_tls_only_health_is_served(void **state)
{
    struct fixture *fixture = *state;
    static const char health[] = "grpc.health.v1.Health";
    fixture->sessions[0]->is_unsecured = true;
    struct fake_call *call = fixture_start_call(fixture, 0, "Inspect", 0);
    fake_call_expect_end(call, STATUS_PERMISSION_DENIED, "holdfast.v1.Locks over TLS only");
    call = fixture_start_call(fixture, 0, "ListLocks", 0);
    fake_call_expect_end(call, STATUS_PERMISSION_DENIED, "over TLS only");
    fake_call_expect_open(fixture_start_call_of(fixture, 0, health, "Check", 0));
    fake_call_expect_open(fixture_start_call_of(fixture, 0, health, "Watch", 0));
}

static void draining_refuses_new_leases_only(void **state)
{
    struct fixture *fixture = *state;
    fixture->services.is_draining = true;
    struct fake_call *call = fixture_start_call(fixture, 0, "Acquire", 0);
    fake_call_expect_end(call, STATUS_UNAVAILABLE, "the server is shutting down");
    call = fixture_start_call(fixture, 0, "Hold", 0);
    fake_call_expect_end(call, STATUS_UNAVAILABLE, "the server is shutting down");
    fake_call_expect_open(fixture_start_call(fixture, 0, "Renew", 0));
    fake_call_expect_open(fixture_start_call(fixture, 0, "Release", 0));
    fake_call_expect_open(fixture_start_call(fixture, 0, "Inspect", 0));
}

static void shutting_down_ends_every_call_and_lease(void **state)
{
    struct fixture *fixture = *state;
    Holdfast__V1__AcquireRequest request = HOLDFAST__V1__ACQUIRE_REQUEST__INIT;
    request.key = (char *)"c";
    fixture_acquire(fixture, 0, "a", 1);
    struct fake_call *held = fixture_hold(fixture, 0, "b", 0);
    fake_store_ok(&fixture->store, STORE_ACQUIRE, 2);
    fake_call_event(held, HOLDFAST__V1__HOLD_EVENT__EVENT_GRANTED);
    struct fake_call *acquiring = fixture_call(fixture, 0, "Acquire", &request.base);
    struct fake_call *wanting = fixture_hold(fixture, 0, "d", 0);
    struct fake_call *inspecting = inspect(fixture, 0);

    session_shut_down(fixture->sessions[0]);
    const Holdfast__V1__HoldEvent *event =
        fake_call_event(held, HOLDFAST__V1__HOLD_EVENT__EVENT_LOST);
    assert_int_equal(event->lost->reason, HOLDFAST__V1__HOLD_LOST__REASON__REASON_SHUTDOWN);
    fake_call_expect_end(held, STATUS_OK, "");
    fake_call_expect_end(acquiring, STATUS_UNAVAILABLE, "the server is shutting down");
    fake_call_expect_end(wanting, STATUS_UNAVAILABLE, "the server is shutting down");
    fake_call_expect_end(inspecting, STATUS_UNAVAILABLE, "the server is shutting down");
    assert_true(session_is_idle(fixture->sessions[0]));
    fake_store_ok(&fixture->store, STORE_RELEASE, 0);
    fake_store_ok(&fixture->store, STORE_RELEASE, 0);
    assert_int_equal(fake_store_count(&fixture->store), 0);
    assert_int_equal(keeper_count(fixture->keeper), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(unknown_method_names_service_and_method),
        FIXTURE_TEST(unknown_service_is_named),
        FIXTURE_TEST(odd_names_are_shown_short_and_printable),
        FIXTURE_TEST(an_ended_call_ignores_what_follows),
        FIXTURE_TEST(half_close_without_a_message_is_refused),
        FIXTURE_TEST(second_message_of_a_unary_call_is_refused),
        FIXTURE_TEST(bytes_that_are_no_message_are_refused),
        FIXTURE_TEST(strings_with_nul_are_refused_by_name),
        FIXTURE_TEST(message_size_is_limited),
        FIXTURE_TEST(calls_per_connection_are_limited),
        FIXTURE_TEST(calls_of_all_connections_are_limited),
        FIXTURE_TEST(connections_are_limited),
        FIXTURE_TEST(a_deadline_ends_the_call_once),
        FIXTURE_TEST(an_answer_clears_the_deadline),
        FIXTURE_TEST(a_deadline_in_the_past_ends_the_call_at_once),
        FIXTURE_TEST(a_deadline_beyond_time_never_comes),
        FIXTURE_TEST(the_deadline_wins_over_an_unreachable_store),
        FIXTURE_TEST(dropping_the_connection_cancels_its_calls),
        FIXTURE_TEST(a_session_is_idle_without_calls_and_leases),
        FIXTURE_TEST(what_is_held_between_calls_is_told_from_streams),
        FIXTURE_TEST(without_tls_only_health_is_served),
        FIXTURE_TEST(draining_refuses_new_leases_only),
        FIXTURE_TEST(shutting_down_ends_every_call_and_lease),
        FIXTURE_TEST(a_binding_is_small),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
