/* SPDX-License-Identifier: Apache-2.0 */
#include "service/health.h"

#include <string.h>

#include "fixture.h"
#include "service/methods.h"

#define HEALTH "grpc.health.v1.Health"

#define SERVING         GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__SERVING
#define NOT_SERVING     GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__NOT_SERVING
#define SERVICE_UNKNOWN GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__SERVICE_UNKNOWN

static struct fake_call *ask(struct fixture *fixture, const char *method, const char *service)
{
    Grpc__Health__V1__HealthCheckRequest request = GRPC__HEALTH__V1__HEALTH_CHECK_REQUEST__INIT;
    request.service = (char *)service;
    struct fake_call *call = fixture_start_call_of(fixture, 0, HEALTH, method, 0);
    fake_call_message(call, &request.base);
    session_half_close(&call->call);
    return call;
}

static void expect_status(struct fixture *fixture, const char *service, int status)
{
    struct fake_call *call = ask(fixture, "Check", service);
    fake_call_expect_end(call, STATUS_OK, "");
    const Grpc__Health__V1__HealthCheckResponse *response = (void *)call->reply;
    assert_int_equal(response->status, status);
}

static void expect_told(struct fake_call *call, int status)
{
    const Grpc__Health__V1__HealthCheckResponse *response =
        fake_call_next(call, &grpc__health__v1__health_check_response__descriptor);
    assert_int_equal(response->status, status);
}

static void check_follows_the_store(void **state)
{
    struct fixture *fixture = *state;
    expect_status(fixture, "", NOT_SERVING);
    health_set_store(&fixture->services.health, true);
    expect_status(fixture, "", SERVING);
    for (size_t i = 0; i < method_table.count; i++) {
        expect_status(fixture, method_table.rows[i].service, SERVING);
    }
    health_set_store(&fixture->services.health, false);
    expect_status(fixture, "", NOT_SERVING);
    expect_status(fixture, "holdfast.v1.Locks", NOT_SERVING);
}

static void check_knows_no_other_service(void **state)
{
    struct fixture *fixture = *state;
    health_set_store(&fixture->services.health, true);
    fake_call_expect_end(ask(fixture, "Check", "holdfast.v1.Lock"), STATUS_NOT_FOUND,
                         "\"holdfast.v1.Lock\"");
    fake_call_expect_end(ask(fixture, "Check", "holdfast.v1.Locks/Acquire"), STATUS_NOT_FOUND, "");
}

static void a_draining_server_does_not_serve(void **state)
{
    struct fixture *fixture = *state;
    health_set_store(&fixture->services.health, true);
    services_drain(&fixture->services);
    expect_status(fixture, "", NOT_SERVING);
    health_set_store(&fixture->services.health, true);
    expect_status(fixture, "", NOT_SERVING);
}

static void list_has_every_service_once(void **state)
{
    struct fixture *fixture = *state;
    Grpc__Health__V1__HealthListRequest request = GRPC__HEALTH__V1__HEALTH_LIST_REQUEST__INIT;
    health_set_store(&fixture->services.health, true);
    struct fake_call *call = fixture_start_call_of(fixture, 0, HEALTH, "List", 0);
    fake_call_message(call, &request.base);
    fake_call_expect_end(call, STATUS_OK, "");
    const Grpc__Health__V1__HealthListResponse *response = (void *)call->reply;
    assert_int_equal(response->n_statuses, 6);
    assert_string_equal(response->statuses[0]->key, "");
    for (size_t i = 0; i < response->n_statuses; i++) {
        assert_int_equal(response->statuses[i]->value->status, SERVING);
        for (size_t j = 0; j < i; j++) {
            assert_string_not_equal(response->statuses[i]->key, response->statuses[j]->key);
        }
    }
}

static void watch_tells_each_change_once(void **state)
{
    struct fixture *fixture = *state;
    struct fake_call *call = ask(fixture, "Watch", "holdfast.v1.Locks");
    expect_told(call, NOT_SERVING);
    fake_call_expect_open(call);
    health_set_store(&fixture->services.health, true);
    expect_told(call, SERVING);
    health_set_store(&fixture->services.health, true);
    fake_call_expect_open(call);
    health_set_store(&fixture->services.health, false);
    expect_told(call, NOT_SERVING);
    session_cancel_call(&call->call);
    fake_call_expect_cancelled(call);
    health_set_store(&fixture->services.health, true);
    fake_call_expect_cancelled(call);
}

static void watch_of_an_unknown_service_stays(void **state)
{
    struct fixture *fixture = *state;
    struct fake_call *call = ask(fixture, "Watch", "nobody.knows");
    expect_told(call, SERVICE_UNKNOWN);
    health_set_store(&fixture->services.health, true);
    fake_call_expect_open(call);
}

static void a_drain_ends_watches(void **state)
{
    struct fixture *fixture = *state;
    health_set_store(&fixture->services.health, true);
    struct fake_call *one = ask(fixture, "Watch", "");
    struct fake_call *two = ask(fixture, "Watch", "nobody.knows");
    expect_told(one, SERVING);
    expect_told(two, SERVICE_UNKNOWN);
    services_drain(&fixture->services);
    expect_told(one, NOT_SERVING);
    fake_call_expect_end(one, STATUS_UNAVAILABLE, "shutting down");
    fake_call_expect_end(two, STATUS_UNAVAILABLE, "shutting down");
    struct fake_call *late = ask(fixture, "Watch", "");
    expect_told(late, NOT_SERVING);
    fake_call_expect_end(late, STATUS_UNAVAILABLE, "shutting down");
}

static void a_deadline_ends_a_watch(void **state)
{
    struct fixture *fixture = *state;
    Grpc__Health__V1__HealthCheckRequest request = GRPC__HEALTH__V1__HEALTH_CHECK_REQUEST__INIT;
    struct fake_call *call = fixture_start_call_of(fixture, 0, HEALTH, "Watch", 5000);
    fake_call_message(call, &request.base);
    expect_told(call, NOT_SERVING);
    fixture_advance_ms(fixture, 6);
    fake_call_expect_end(call, STATUS_DEADLINE_EXCEEDED, "");
    health_set_store(&fixture->services.health, true);
}

static void a_dropped_connection_ends_its_watches(void **state)
{
    struct fixture *fixture = *state;
    struct fake_call *call = ask(fixture, "Watch", "");
    expect_told(call, NOT_SERVING);
    fixture_drop(fixture, 0);
    fake_call_expect_cancelled(call);
    assert_true(LIST_EMPTY(&fixture->services.health.watches));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(check_follows_the_store),
        FIXTURE_TEST(check_knows_no_other_service),
        FIXTURE_TEST(a_draining_server_does_not_serve),
        FIXTURE_TEST(list_has_every_service_once),
        FIXTURE_TEST(watch_tells_each_change_once),
        FIXTURE_TEST(watch_of_an_unknown_service_stays),
        FIXTURE_TEST(a_drain_ends_watches),
        FIXTURE_TEST(a_deadline_ends_a_watch),
        FIXTURE_TEST(a_dropped_connection_ends_its_watches),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
