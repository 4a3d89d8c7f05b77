/* SPDX-License-Identifier: Apache-2.0 */
#include "fixture.h"

#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"
#include "fake_clock.h"

#define START_US ((int64_t)1000000000)

static void destroy_calls(struct fixture *fixture)
{
    for (size_t i = 0; i < fixture->call_count; i++) {
        fake_call_destroy(fixture->calls[i]);
    }
}

void fixture_start(void **state, size_t leases_max)
{
    struct fixture *fixture = memory_alloc(sizeof(*fixture));
    struct services_config config = {
        .default_ttl_ms = FIXTURE_TTL_MS,
        .sessions_max = FIXTURE_SESSIONS_MAX,
        .calls_max = 40,
        .session_calls_max = 30,
        .session_leases_max = 20,
        .message_bytes_max = FIXTURE_MESSAGE_MAX,
        .leases_max = leases_max,
        .waiters_max = FIXTURE_WAITERS_MAX,
    };
    const struct keeper_config keeper_config = {
        .leases_max = leases_max,
        .waiters_max = FIXTURE_WAITERS_MAX,
        .handoff_run_max = 64,
        .handoff_run_ms = 20,
        .finds_deadlocks = true,
    };
    log_set_level(LOG_LEVEL_ERROR);
    fixture->now_us = START_US;
    fake_clock_set(START_US);
    fixture->loop = loop_create();
    assert_non_null(fixture->loop);
    fake_store_init(&fixture->store);
    fixture->keeper = keeper_create(&keeper_config, &fixture->store.port, loop_wheel(fixture->loop),
                                    &fixture->metrics);
    services_init(&fixture->services, &config, fixture->loop, fixture->keeper, &fixture->metrics);
    fixture_connect(fixture, 0);
    fixture_advance_ms(fixture, 1);
    *state = fixture;
}

int fixture_setup(void **state)
{
    fixture_start(state, 1000);
    return 0;
}

int fixture_teardown(void **state)
{
    struct fixture *fixture = *state;
    for (size_t i = 0; i < FIXTURE_SESSIONS_MAX; i++) {
        fixture_drop(fixture, i);
    }
    assert_int_equal(fixture->services.sessions, 0);
    assert_int_equal(fixture->services.calls, 0);
    assert_int_equal(fixture->metrics.calls_now, 0);
    assert_null(fixture->services.releases);
    destroy_calls(fixture);
    fake_store_drop(&fixture->store);
    assert_int_equal(fixture->store.watched, 0);
    keeper_destroy(fixture->keeper);
    services_release(&fixture->services);
    assert_int_equal(fixture->metrics.leases_now, 0);
    loop_destroy(fixture->loop);
    memory_free(fixture);
    return 0;
}

void fixture_connect(struct fixture *fixture, size_t index)
{
    assert_null(fixture->sessions[index]);
    fixture->sessions[index] = session_create(&fixture->services, "unix");
    assert_non_null(fixture->sessions[index]);
}

void fixture_drop(struct fixture *fixture, size_t index)
{
    if (fixture->sessions[index] != NULL) {
        session_destroy(fixture->sessions[index]);
        fixture->sessions[index] = NULL;
    }
}

void fixture_advance_ms(struct fixture *fixture, int64_t ms)
{
    for (int64_t i = 0; i < ms; i++) {
        fixture->now_us += CLOCK_US_PER_MS;
        fake_clock_set(fixture->now_us);
        loop_turn(fixture->loop, 0);
    }
}

struct fake_call *fixture_start_call(struct fixture *fixture, size_t index, const char *method,
                                     int64_t timeout_us)
{
    const char *service =
        strncmp(method, "List", 4) == 0 ? "holdfast.v1.Admin" : "holdfast.v1.Locks";
    return fixture_start_call_of(fixture, index, service, method, timeout_us);
}

struct fake_call *fixture_start_call_of(struct fixture *fixture, size_t index, const char *service,
                                        const char *method, int64_t timeout_us)
{
    struct fake_call *call = fake_call_create();
    assert_in_range(fixture->call_count, 0, FIXTURE_CALLS_MAX - 1);
    fixture->calls[fixture->call_count++] = call;
    session_start_call(fixture->sessions[index], &call->call, service, method, timeout_us);
    return call;
}

struct fake_call *fixture_call(struct fixture *fixture, size_t index, const char *method,
                               const ProtobufCMessage *request)
{
    struct fake_call *call = fixture_start_call(fixture, index, method, 0);
    fake_call_message(call, request);
    session_half_close(&call->call);
    return call;
}

const Holdfast__V1__Lease *fixture_acquire(struct fixture *fixture, size_t index, const char *key,
                                           uint64_t fence)
{
    Holdfast__V1__AcquireRequest request = HOLDFAST__V1__ACQUIRE_REQUEST__INIT;
    request.key = (char *)key;
    struct fake_call *call = fixture_call(fixture, index, "Acquire", &request.base);
    fake_store_ok(&fixture->store, STORE_ACQUIRE, fence);
    fake_call_expect_end(call, STATUS_OK, "");
    const Holdfast__V1__AcquireResponse *response = (void *)call->reply;
    assert_int_equal(response->result_case, HOLDFAST__V1__ACQUIRE_RESPONSE__RESULT_LEASE);
    return response->lease;
}

struct fake_call *fixture_hold(struct fixture *fixture, size_t index, const char *key,
                               uint32_t heartbeat_ms)
{
    Holdfast__V1__HoldAsk ask = HOLDFAST__V1__HOLD_ASK__INIT;
    ask.key = (char *)key;
    ask.heartbeat_ms = heartbeat_ms;
    return fixture_hold_with(fixture, index, &ask);
}

struct fake_call *fixture_hold_with(struct fixture *fixture, size_t index,
                                    const Holdfast__V1__HoldAsk *ask)
{
    Holdfast__V1__HoldRequest request = HOLDFAST__V1__HOLD_REQUEST__INIT;
    request.message_case = HOLDFAST__V1__HOLD_REQUEST__MESSAGE_ASK;
    request.ask = (Holdfast__V1__HoldAsk *)ask;
    struct fake_call *call = fixture_start_call(fixture, index, "Hold", 0);
    fake_call_message(call, &request.base);
    return call;
}
