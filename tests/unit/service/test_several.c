/* SPDX-License-Identifier: Apache-2.0 */
/* Several locks as one lease. */
#include "fixture.h"

#include <string.h>

#define GRANTED  HOLDFAST__V1__HOLD_EVENT__EVENT_GRANTED
#define QUEUED   HOLDFAST__V1__HOLD_EVENT__EVENT_QUEUED
#define LOST     HOLDFAST__V1__HOLD_EVENT__EVENT_LOST
#define RELEASED HOLDFAST__V1__HOLD_EVENT__EVENT_RELEASED

static const Holdfast__V1__AcquireRequest empty_acquire = HOLDFAST__V1__ACQUIRE_REQUEST__INIT;
static const Holdfast__V1__HoldAsk empty_ask = HOLDFAST__V1__HOLD_ASK__INIT;

static char *keys[] = {(char *)"b", (char *)"a", (char *)"c"};

static const struct store_holder other = {
    .is_held = true, .remaining_us = 5000000, .label = "other", .label_length = 5};

static struct fake_call *acquire(struct fixture *fixture)
{
    Holdfast__V1__AcquireRequest request = empty_acquire;
    request.keys = keys;
    request.n_keys = 3;
    return fixture_call(fixture, 0, "Acquire", &request.base);
}

static void grant_next(struct fixture *fixture, const char *key, uint64_t fence)
{
    struct store_op *op = fake_store_send(&fixture->store, STORE_ACQUIRE);
    assert_memory_equal(op->key, key, 1);
    fake_store_answer(
        &fixture->store, op,
        &(struct store_result){.code = STORE_OK, .sent_us = fixture->now_us, .fence = fence});
}

static const Holdfast__V1__Lease *grant_all(struct fixture *fixture, struct fake_call *call)
{
    grant_next(fixture, "a", 11);
    grant_next(fixture, "b", 12);
    fake_call_expect_open(call);
    grant_next(fixture, "c", 13);
    fake_call_expect_end(call, STATUS_OK, "");
    const Holdfast__V1__AcquireResponse *response = (const void *)call->reply;
    assert_int_equal(response->result_case, HOLDFAST__V1__ACQUIRE_RESPONSE__RESULT_LEASE);
    return response->lease;
}

static void all_are_described_in_the_order_of_their_names(void **state)
{
    struct fixture *fixture = *state;
    const Holdfast__V1__Lease *lease = grant_all(fixture, acquire(fixture));
    assert_string_equal(lease->key, "a");
    assert_int_equal(lease->fence, 11);
    assert_int_equal(lease->n_locks, 3);
    assert_string_equal(lease->locks[0]->key, "a");
    assert_string_equal(lease->locks[2]->key, "c");
    assert_int_equal(lease->locks[2]->fence, 13);
    assert_int_equal(fixture->sessions[0]->lease_count, 3);

    Holdfast__V1__RenewRequest request = HOLDFAST__V1__RENEW_REQUEST__INIT;
    request.key = (char *)"b";
    request.token = lease->token;
    struct fake_call *call = fixture_call(fixture, 0, "Renew", &request.base);
    fake_call_expect_end(call, STATUS_OK, "");
    assert_int_equal(((const Holdfast__V1__RenewResponse *)(void *)call->reply)->lease->n_locks, 3);
}

static void one_busy_is_all_busy(void **state)
{
    struct fixture *fixture = *state;
    struct fake_call *call = acquire(fixture);
    grant_next(fixture, "a", 11);
    fake_store_busy(&fixture->store, &other);
    fake_call_expect_end(call, STATUS_OK, "");
    const Holdfast__V1__AcquireResponse *response = (const void *)call->reply;
    assert_int_equal(response->result_case, HOLDFAST__V1__ACQUIRE_RESPONSE__RESULT_BUSY);
    assert_string_equal(response->busy->key, "b");
    fake_store_ok(&fixture->store, STORE_RELEASE, 0);
    assert_true(session_is_idle(fixture->sessions[0]));
    assert_int_equal(keeper_count(fixture->keeper), 0);
}

static void one_release_gives_all_back(void **state)
{
    struct fixture *fixture = *state;
    const Holdfast__V1__Lease *lease = grant_all(fixture, acquire(fixture));
    Holdfast__V1__ReleaseRequest request = HOLDFAST__V1__RELEASE_REQUEST__INIT;
    request.key = (char *)"b";
    request.token = lease->token;
    struct fake_call *first = fixture_call(fixture, 0, "Release", &request.base);
    fake_store_ok(&fixture->store, STORE_RELEASE, 0);
    request.key = (char *)"a"; /* given back already, as part of what is under way */
    struct fake_call *second = fixture_call(fixture, 0, "Release", &request.base);
    fake_store_ok(&fixture->store, STORE_RELEASE, 0);
    fake_call_expect_open(first);
    fake_call_expect_open(second);
    fake_store_ok(&fixture->store, STORE_RELEASE, 0);
    const struct fake_call *const calls[] = {first, second};
    for (size_t i = 0; i < 2; i++) {
        fake_call_expect_end(calls[i], STATUS_OK, "");
        assert_int_equal(((const Holdfast__V1__ReleaseResponse *)(void *)calls[i]->reply)->outcome,
                         HOLDFAST__V1__RELEASE_RESPONSE__OUTCOME__OUTCOME_RELEASED);
    }
    assert_int_equal(fake_store_count(&fixture->store), 0);
    assert_true(session_is_idle(fixture->sessions[0]));
}

static void one_lost_is_all_lost(void **state)
{
    struct fixture *fixture = *state;
    Holdfast__V1__HoldAsk ask = empty_ask;
    ask.keys = keys;
    ask.n_keys = 3;
    struct fake_call *call = fixture_hold_with(fixture, 0, &ask);
    grant_next(fixture, "a", 11);
    grant_next(fixture, "b", 12);
    grant_next(fixture, "c", 13);
    assert_int_equal(fake_call_event(call, GRANTED)->granted->n_locks, 3);
    fixture_advance_ms(fixture, FIXTURE_TTL_MS / 3 + 1);
    fake_store_code(&fixture->store, STORE_RENEW, STORE_NOT_HELD, NULL);
    assert_int_equal(fake_call_event(call, LOST)->lost->reason,
                     HOLDFAST__V1__HOLD_LOST__REASON__REASON_TAKEN);
    fake_call_expect_end(call, STATUS_OK, "");
    assert_true(session_is_idle(fixture->sessions[0]));
}

static void a_wait_names_the_lock(void **state)
{
    struct fixture *fixture = *state;
    Holdfast__V1__HoldAsk ask = empty_ask;
    ask.keys = keys;
    ask.n_keys = 3;
    ask.wait_ms = 1000;
    struct fake_call *call = fixture_hold_with(fixture, 0, &ask);
    fixture_advance_ms(fixture, 1);
    grant_next(fixture, "a", 11);
    fixture_advance_ms(fixture, 1);
    fake_store_queued(&fixture->store, &other);
    fixture_advance_ms(fixture, 1);
    assert_string_equal(fake_call_event(call, QUEUED)->queued->holder->key, "b");
    session_half_close(&call->call);
    fake_call_event(call, RELEASED);
    fake_call_expect_end(call, STATUS_OK, "");
    assert_true(session_is_idle(fixture->sessions[0]));
}

/* The second of its locks would close the circle, when the first has been had already. */
static void a_circle_found_later_is_refused_with_its_text(void **state)
{
    struct fixture *fixture = *state;
    Holdfast__V1__AcquireRequest request = empty_acquire;
    fixture_connect(fixture, 1);
    fixture_acquire(fixture, 0, "x", 1);
    fixture_acquire(fixture, 1, "b", 2);
    request.key = (char *)"x";
    request.wait_ms = 1000;
    struct fake_call *waiting = fixture_call(fixture, 1, "Acquire", &request.base);
    request = empty_acquire;
    request.keys = keys;
    request.n_keys = 3;
    request.wait_ms = 1000;
    struct fake_call *call = fixture_call(fixture, 0, "Acquire", &request.base);
    fixture_advance_ms(fixture, 1);
    while (!call->is_ended) {
        struct store_op *op = TAILQ_FIRST(&fixture->store.queue);
        assert_non_null(op);
        fake_store_ok(&fixture->store, op->verb, 3);
    }
    fake_call_expect_end(call, STATUS_ABORTED, "");
    assert_in_range(strlen(call->text), 10, FAKE_TEXT_SIZE);
    fake_call_expect_open(waiting);
    assert_int_equal(fixture->sessions[0]->lease_count, 1);
}

static void there_must_be_room_for_all(void **state)
{
    struct fixture *fixture = *state;
    for (char key[2] = "g"; key[0] < 'g' + 18; key[0]++) {
        fixture_acquire(fixture, 0, key, 1);
    }
    fake_call_expect_end(acquire(fixture), STATUS_RESOURCE_EXHAUSTED, "max-leases-per-connection");
}

static void several_are_neither_detached_nor_kept_for_a_grace(void **state)
{
    struct fixture *fixture = *state;
    Holdfast__V1__AcquireRequest request = empty_acquire;
    request.keys = keys;
    request.n_keys = 3;
    request.detached = true;
    fake_call_expect_end(fixture_call(fixture, 0, "Acquire", &request.base),
                         STATUS_INVALID_ARGUMENT, "keys: not with detached");
    request.detached = false;
    request.grace_ms = 1;
    fake_call_expect_end(fixture_call(fixture, 0, "Acquire", &request.base),
                         STATUS_INVALID_ARGUMENT, "grace_ms: not with keys");
    request.grace_ms = 0;
    request.key = (char *)"a";
    fake_call_expect_end(fixture_call(fixture, 0, "Acquire", &request.base),
                         STATUS_INVALID_ARGUMENT, "key: must be empty");
}

static void the_other_terms_are_checked(void **state)
{
    struct fixture *fixture = *state;
    Holdfast__V1__AcquireRequest request = empty_acquire;
    request.key = (char *)"a";
    request.limit = 1;
    fake_call_expect_end(fixture_call(fixture, 0, "Acquire", &request.base),
                         STATUS_INVALID_ARGUMENT, "limit: only with mode SHARED");
    request.limit = 0;
    request.lock_delay_ms = 86400001;
    fake_call_expect_end(fixture_call(fixture, 0, "Acquire", &request.base),
                         STATUS_INVALID_ARGUMENT, "lock_delay_ms: 86400001");
    request.lock_delay_ms = 0;
    request.detached = true;
    request.grace_ms = 1;
    fake_call_expect_end(fixture_call(fixture, 0, "Acquire", &request.base),
                         STATUS_INVALID_ARGUMENT, "grace_ms: not with detached");
    request.grace_ms = 0;
    request.max_hold_ms = 1;
    fake_call_expect_end(fixture_call(fixture, 0, "Acquire", &request.base),
                         STATUS_INVALID_ARGUMENT, "max_hold_ms: not with detached");
    assert_int_equal(fake_store_count(&fixture->store), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(all_are_described_in_the_order_of_their_names),
        FIXTURE_TEST(one_busy_is_all_busy),
        FIXTURE_TEST(one_release_gives_all_back),
        FIXTURE_TEST(one_lost_is_all_lost),
        FIXTURE_TEST(a_wait_names_the_lock),
        FIXTURE_TEST(a_circle_found_later_is_refused_with_its_text),
        FIXTURE_TEST(there_must_be_room_for_all),
        FIXTURE_TEST(several_are_neither_detached_nor_kept_for_a_grace),
        FIXTURE_TEST(the_other_terms_are_checked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
