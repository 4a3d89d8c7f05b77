/* SPDX-License-Identifier: Apache-2.0 */
#include "service/watch.h"

#include "fixture.h"

#define FREE HOLDFAST__V1__WATCH_EVENT__STATE_FREE
#define HELD HOLDFAST__V1__WATCH_EVENT__STATE_HELD

static struct fake_call *watch(struct fixture *fixture, size_t index)
{
    Holdfast__V1__WatchRequest request = HOLDFAST__V1__WATCH_REQUEST__INIT;
    request.key = (char *)"a";
    struct fake_call *call = fixture_start_call(fixture, index, "Watch", 0);
    fake_call_message(call, &request.base);
    return call;
}

static void see(struct fixture *fixture, const struct store_holder *holder)
{
    struct store_op *op = fake_store_send(&fixture->store, STORE_INSPECT);
    fake_store_answer(&fixture->store, op,
                      &(struct store_result){.code = STORE_OK, .holder = *holder});
}

static void change(struct fixture *fixture)
{
    struct store_listener *listener = fixture->store.port.listener;
    listener->on_changed(listener, "a", 1, fixture->now_us);
}

static void the_state_is_told_and_told_again(void **state)
{
    struct fixture *fixture = *state;
    struct fake_call *call = watch(fixture, 0);
    assert_int_equal(fixture->store.watched, 1);
    fake_call_expect_open(call);
    see(fixture, &(struct store_holder){0});
    fake_call_watch_event(call, FREE);
    change(fixture);
    see(fixture, &(struct store_holder){.is_held = true,
                                        .remaining_us = -1,
                                        .mode = STORE_SHARED,
                                        .holders = 2,
                                        .label = "me",
                                        .label_length = 2,
                                        .value = "here",
                                        .value_length = 4});
    const Holdfast__V1__Holder *held = fake_call_watch_event(call, HELD)->held;
    assert_string_equal(held->label, "me");
    assert_int_equal(held->value.len, 4);
    assert_memory_equal(held->value.data, "here", 4);
    assert_int_equal(held->mode, HOLDFAST__V1__MODE__MODE_SHARED);
    assert_int_equal(held->holders, 2);
    change(fixture);
    see(fixture, &(struct store_holder){.is_closed = true, .remaining_us = 5000000});
    assert_true(fake_call_watch_event(call, HELD)->held->closed);
    fake_call_expect_open(call);
    session_cancel_call(&call->call);
    fake_call_expect_cancelled(call);
    assert_int_equal(fixture->store.watched, 0);
    assert_int_equal(keeper_count(fixture->keeper), 0);
}

/* As generated clients do: the half-close is only the end of the request. */
static void a_half_close_before_the_first_event_is_no_end(void **state)
{
    struct fixture *fixture = *state;
    struct fake_call *call = watch(fixture, 0);
    session_half_close(&call->call);
    see(fixture, &(struct store_holder){0});
    fake_call_watch_event(call, FREE);
    fake_call_expect_open(call);
}

static void a_half_close_later_ends_the_stream(void **state)
{
    struct fixture *fixture = *state;
    struct fake_call *call = watch(fixture, 0);
    see(fixture, &(struct store_holder){0});
    fake_call_watch_event(call, FREE);
    session_half_close(&call->call);
    fake_call_expect_end(call, STATUS_OK, "");
    assert_int_equal(fixture->store.watched, 0);
    assert_int_equal(keeper_count(fixture->keeper), 0);
}

static void another_type_of_value_ends_the_stream(void **state)
{
    struct fixture *fixture = *state;
    struct fake_call *call = watch(fixture, 0);
    fake_store_code(&fixture->store, STORE_INSPECT, STORE_WRONG_TYPE, "list");
    fake_call_expect_end(call, STATUS_FAILED_PRECONDITION, "(list)");
    assert_int_equal(fixture->store.watched, 0);
}

static void a_dropped_connection_ends_its_watches_only(void **state)
{
    struct fixture *fixture = *state;
    fixture_connect(fixture, 1);
    struct fake_call *dropped = watch(fixture, 0);
    struct fake_call *call = watch(fixture, 1);
    fixture_drop(fixture, 0);
    fake_call_expect_cancelled(dropped);
    assert_int_equal(fixture->store.watched, 1);
    while (!TAILQ_EMPTY(&fixture->store.queue)) {
        see(fixture, &(struct store_holder){0});
    }
    fake_call_watch_event(call, FREE);
    fake_call_expect_open(call);
}

static void shutting_down_ends_a_watch(void **state)
{
    struct fixture *fixture = *state;
    struct fake_call *call = watch(fixture, 0);
    session_shut_down(fixture->sessions[0]);
    fake_call_expect_end(call, STATUS_UNAVAILABLE, "shutting down");
    assert_int_equal(fixture->store.watched, 0);
}

static void watch_checks_its_key(void **state)
{
    struct fixture *fixture = *state;
    Holdfast__V1__WatchRequest request = HOLDFAST__V1__WATCH_REQUEST__INIT;
    fake_call_expect_end(fixture_call(fixture, 0, "Watch", &request.base), STATUS_INVALID_ARGUMENT,
                         "key: missing");
}

static int setup_for_one_lease(void **state)
{
    fixture_start(state, 1);
    return 0;
}

static void watches_count_as_leases(void **state)
{
    struct fixture *fixture = *state;
    fixture_acquire(fixture, 0, "b", 1);
    fake_call_expect_end(watch(fixture, 0), STATUS_RESOURCE_EXHAUSTED, "max-leases: ");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(the_state_is_told_and_told_again),
        FIXTURE_TEST(a_half_close_before_the_first_event_is_no_end),
        FIXTURE_TEST(a_half_close_later_ends_the_stream),
        FIXTURE_TEST(another_type_of_value_ends_the_stream),
        FIXTURE_TEST(a_dropped_connection_ends_its_watches_only),
        FIXTURE_TEST(shutting_down_ends_a_watch),
        FIXTURE_TEST(watch_checks_its_key),
        cmocka_unit_test_setup_teardown(watches_count_as_leases, setup_for_one_lease,
                                        fixture_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
