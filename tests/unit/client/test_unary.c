/* SPDX-License-Identifier: Apache-2.0 */
/* Detached leases and questions, over the asynchronous API. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "async_loop.h"
#include "base/clock.h"
#include "base/compiler.h"
#include "client.h"
#include "fake_server.h"
#include "wire/status.h"

static const unsigned char own_token[HOLDFAST_TOKEN_SIZE] = "fedcba9876543210";

static void start(struct async_loop *loop, struct fake_server *server, fake_script *script,
                  void *argument)
{
    fake_server_start(server, script, argument);
    async_loop_open_url(loop, server->url, 5000);
}

static void finish(struct async_loop *loop, struct fake_server *server)
{
    async_loop_close(loop);
    fake_server_finish(server);
}

static void acquire(struct async_loop *loop, const unsigned char *token, struct answer *answer)
{
    const struct holdfast_ask ask = {.key = FAKE_KEY, .label = "a test", .ttl_ms = 7000};
    *answer = (struct answer){.count = 0};
    holdfast_async_acquire_detached(loop->async, &ask, token, async_on_lease, answer);
    assert_int_equal(answer->count, 0);
    async_loop_run_until(loop, &answer->count, 1);
    assert_int_equal(answer->count, 1);
}

static Holdfast__V1__AcquireRequest *read_acquire(int connection, uint32_t *stream_id)
{
    struct fake_frame frame;
    Ttrpc__Request *request = fake_read_request(connection, "Acquire", &frame);
    REQUIRE(frame.header.flags == 0);
    REQUIRE(request->timeout_nano > 0);
    REQUIRE(request->timeout_nano <= 5000000000);
    *stream_id = frame.header.stream_id;
    Holdfast__V1__AcquireRequest *acquire =
        holdfast__v1__acquire_request__unpack(NULL, request->payload.len, request->payload.data);
    REQUIRE(acquire != NULL);
    REQUIRE(strcmp(acquire->key, FAKE_KEY) == 0);
    REQUIRE(strcmp(acquire->label, "a test") == 0);
    REQUIRE(acquire->ttl_ms == 7000);
    REQUIRE(acquire->detached);
    REQUIRE(acquire->token.len == 16);
    ttrpc__request__free_unpacked(request, NULL);
    return acquire;
}

static void respond_lease(int connection, uint32_t stream_id, const uint8_t *token,
                          uint32_t valid_for_ms)
{
    Holdfast__V1__AcquireResponse response = HOLDFAST__V1__ACQUIRE_RESPONSE__INIT;
    Holdfast__V1__Lease lease = fake_lease(FAKE_KEY, token, valid_for_ms);
    response.result_case = HOLDFAST__V1__ACQUIRE_RESPONSE__RESULT_LEASE;
    response.lease = &lease;
    fake_respond(connection, stream_id, &response.base);
}

/* Answers one acquire; returns the connection. */
static int grant(struct fake_server *server)
{
    uint32_t stream_id;
    int connection = fake_accept(server);
    Holdfast__V1__AcquireRequest *request = read_acquire(connection, &stream_id);
    respond_lease(connection, stream_id, request->token.data, 6900);
    holdfast__v1__acquire_request__free_unpacked(request, NULL);
    return connection;
}

static void grant_and_drain(struct fake_server *server, void *argument)
{
    (void)argument;
    fake_drain(grant(server));
}

static void test_acquire_with_and_without_a_token(void **state)
{
    (void)state;
    unsigned char first[HOLDFAST_TOKEN_SIZE] = {0};
    for (int i = 0; i < 3; i++) {
        struct fake_server server;
        struct async_loop loop;
        struct answer answer;
        start(&loop, &server, grant_and_drain, NULL);
        acquire(&loop, i == 0 ? own_token : NULL, &answer);
        assert_int_equal(answer.result, HOLDFAST_OK);
        assert_in_range(holdfast_lease_valid_for_ms(answer.lease), 1, 6900);
        if (i == 0) {
            assert_memory_equal(holdfast_lease_token(answer.lease), own_token, 16);
        } else {
            assert_memory_not_equal(holdfast_lease_token(answer.lease), first, 16);
            memcpy(first, holdfast_lease_token(answer.lease), 16);
        }
        finish(&loop, &server);
        assert_in_range(holdfast_lease_valid_for_ms(answer.lease), 1, 6900);
        holdfast_lease_free(answer.lease);
    }
}

/* Grants after a while, for less than that; what counts is the renewal that follows. */
static void grant_late_then_renew(struct fake_server *server, void *argument)
{
    const bool *is_held = argument;
    struct fake_frame frame;
    uint32_t stream_id;
    int connection = fake_accept(server);
    Holdfast__V1__AcquireRequest *request = read_acquire(connection, &stream_id);
    REQUIRE(request->wait_ms == 3900);
    fake_stays_open(connection, 100);
    respond_lease(connection, stream_id, request->token.data, 50);
    ttrpc__request__free_unpacked(fake_read_request(connection, "Renew", &frame), NULL);
    Holdfast__V1__RenewResponse response = HOLDFAST__V1__RENEW_RESPONSE__INIT;
    Holdfast__V1__NotHeld not_held = HOLDFAST__V1__NOT_HELD__INIT;
    Holdfast__V1__Lease lease = fake_lease(FAKE_KEY, request->token.data, 6900);
    response.result_case = HOLDFAST__V1__RENEW_RESPONSE__RESULT_NOT_HELD;
    response.not_held = &not_held;
    if (*is_held) {
        response.result_case = HOLDFAST__V1__RENEW_RESPONSE__RESULT_LEASE;
        response.lease = &lease;
    }
    fake_respond(connection, frame.header.stream_id, &response.base);
    holdfast__v1__acquire_request__free_unpacked(request, NULL);
    fake_drain(connection);
}

static void test_acquire_after_a_wait_is_confirmed(void **state)
{
    (void)state;
    const struct holdfast_ask ask = {
        .key = FAKE_KEY, .label = "a test", .ttl_ms = 7000, .wait_ms = 3900};
    for (int i = 0; i < 2; i++) {
        struct fake_server server;
        struct async_loop loop;
        struct answer answer = {.count = 0};
        bool is_held = i == 0;
        fake_server_start(&server, grant_late_then_renew, &is_held);
        async_loop_open_url(&loop, server.url, 1000);
        holdfast_async_acquire_detached(loop.async, &ask, own_token, async_on_lease, &answer);
        async_loop_run_until(&loop, &answer.count, 1);
        assert_int_equal(answer.result, is_held ? HOLDFAST_OK : HOLDFAST_TIMEOUT);
        if (is_held) {
            assert_in_range(holdfast_lease_valid_for_ms(answer.lease), 5000, 6900);
            assert_int_equal(holdfast_lease_fence(answer.lease), FAKE_FENCE);
        }
        holdfast_lease_free(answer.lease);
        finish(&loop, &server);
    }
}

static void respond_busy(struct fake_server *server, void *argument)
{
    (void)argument;
    uint32_t stream_id;
    int connection = fake_accept(server);
    holdfast__v1__acquire_request__free_unpacked(read_acquire(connection, &stream_id), NULL);
    Holdfast__V1__AcquireResponse response = HOLDFAST__V1__ACQUIRE_RESPONSE__INIT;
    Holdfast__V1__Holder holder = HOLDFAST__V1__HOLDER__INIT;
    holder.foreign = true;
    holder.remaining_ms = -1;
    response.result_case = HOLDFAST__V1__ACQUIRE_RESPONSE__RESULT_BUSY;
    response.busy = &holder;
    fake_respond(connection, stream_id, &response.base);
    fake_drain(connection);
}

static void test_acquire_busy(void **state)
{
    (void)state;
    struct fake_server server;
    struct async_loop loop;
    struct answer answer;
    start(&loop, &server, respond_busy, NULL);
    acquire(&loop, NULL, &answer);
    assert_int_equal(answer.result, HOLDFAST_BUSY);
    assert_null(answer.lease);
    assert_true(answer.has_holder);
    assert_true(answer.holder.is_foreign);
    assert_int_equal(answer.holder.remaining_ms, -1);
    assert_string_equal(answer.holder.label, "");
    finish(&loop, &server);
}

/* Cuts the connection twice after the request has arrived; the third one carries the same token. */
static void cut_twice_then_grant(struct fake_server *server, void *argument)
{
    (void)argument;
    uint8_t token[16];
    for (int i = 0; i < 3; i++) {
        uint32_t stream_id;
        int connection = fake_accept(server);
        Holdfast__V1__AcquireRequest *request = read_acquire(connection, &stream_id);
        if (i == 0) {
            memcpy(token, request->token.data, sizeof(token));
        }
        REQUIRE(memcmp(token, request->token.data, sizeof(token)) == 0);
        holdfast__v1__acquire_request__free_unpacked(request, NULL);
        if (i < 2) {
            (void)close(connection);
        } else {
            respond_lease(connection, stream_id, token, 6900);
            fake_drain(connection);
        }
    }
}

static void test_acquire_is_asked_again_with_the_same_token(void **state)
{
    (void)state;
    struct fake_server server;
    struct async_loop loop;
    struct answer answer;
    start(&loop, &server, cut_twice_then_grant, NULL);
    acquire(&loop, NULL, &answer);
    assert_int_equal(answer.result, HOLDFAST_OK);
    holdfast_lease_free(answer.lease);
    finish(&loop, &server);
}

/* Answers too late, and expects that what was granted is released. */
static void let_acquire_time_out(struct fake_server *server, void *argument)
{
    const bool *expects_release = argument;
    struct fake_frame frame;
    uint32_t stream_id;
    int connection = fake_accept(server);
    Holdfast__V1__AcquireRequest *acquire = read_acquire(connection, &stream_id);
    if (*expects_release) {
        Ttrpc__Request *request = fake_read_request(connection, "Release", &frame);
        Holdfast__V1__ReleaseRequest *release = holdfast__v1__release_request__unpack(
            NULL, request->payload.len, request->payload.data);
        REQUIRE(release != NULL);
        REQUIRE(strcmp(release->key, FAKE_KEY) == 0);
        REQUIRE(memcmp(release->token.data, acquire->token.data, 16) == 0);
        holdfast__v1__release_request__free_unpacked(release, NULL);
        ttrpc__request__free_unpacked(request, NULL);
        respond_lease(connection, stream_id, acquire->token.data, 6900);
    } else {
        REQUIRE(!fake_try_read(connection, &frame));
    }
    holdfast__v1__acquire_request__free_unpacked(acquire, NULL);
    fake_drain(connection);
}

static void test_acquire_that_times_out_is_undone(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        struct fake_server server;
        struct async_loop loop;
        struct answer answer;
        bool expects_release = i == 0;
        fake_server_start(&server, let_acquire_time_out, &expects_release);
        async_loop_open_url(&loop, server.url, 100);
        acquire(&loop, expects_release ? NULL : own_token, &answer);
        assert_int_equal(answer.result, HOLDFAST_TIMEOUT);
        assert_null(answer.lease);
        async_loop_run_for(&loop, 20);
        assert_int_equal(answer.count, 1);
        finish(&loop, &server);
    }
}

static void respond_status(struct fake_server *server, void *argument)
{
    const int *code = argument;
    uint32_t stream_id;
    int connection = fake_accept(server);
    holdfast__v1__acquire_request__free_unpacked(read_acquire(connection, &stream_id), NULL);
    fake_respond_status(connection, stream_id, *code, "what and why");
    fake_drain(connection);
}

static enum holdfast_result expected_result(int code)
{
    switch (code) {
    case STATUS_INVALID_ARGUMENT:
        return HOLDFAST_INVALID;
    case STATUS_UNAVAILABLE:
        return HOLDFAST_AWAY;
    case STATUS_DEADLINE_EXCEEDED:
        return HOLDFAST_TIMEOUT;
    case STATUS_RESOURCE_EXHAUSTED:
        return HOLDFAST_LIMIT;
    case STATUS_ABORTED:
        return HOLDFAST_DEADLOCK;
    default:
        return HOLDFAST_REFUSED;
    }
}

static void test_every_status(void **state)
{
    (void)state;
    for (int code = STATUS_CANCELLED; code <= STATUS_UNAUTHENTICATED + 1; code++) {
        struct fake_server server;
        struct async_loop loop;
        struct answer answer;
        int argument = code;
        start(&loop, &server, respond_status, &argument);
        acquire(&loop, NULL, &answer);
        assert_int_equal(answer.result, expected_result(code));
        assert_string_equal(answer.error, "what and why");
        finish(&loop, &server);
    }
}

enum nonsense {
    NONSENSE_NO_RESULT,
    NONSENSE_OTHER_TOKEN,
    NONSENSE_SHORT_TOKEN,
    NONSENSE_OTHER_KEY,
    NONSENSE_NO_FENCE,
    NONSENSE_NO_TTL,
    NONSENSE_GARBAGE,
    NONSENSE_COUNT,
};

static void respond_nonsense(struct fake_server *server, void *argument)
{
    const enum nonsense *nonsense = argument;
    uint32_t stream_id;
    int connection = fake_accept(server);
    Holdfast__V1__AcquireRequest *request = read_acquire(connection, &stream_id);
    Holdfast__V1__AcquireResponse response = HOLDFAST__V1__ACQUIRE_RESPONSE__INIT;
    Holdfast__V1__Lease lease = fake_lease(
        *nonsense == NONSENSE_OTHER_KEY ? "other" : FAKE_KEY,
        *nonsense == NONSENSE_OTHER_TOKEN ? (const uint8_t *)FAKE_TOKEN : request->token.data,
        6900);
    if (*nonsense == NONSENSE_SHORT_TOKEN) {
        lease.token.len = 15;
    }
    if (*nonsense == NONSENSE_NO_FENCE) {
        lease.fence = 0;
    }
    if (*nonsense == NONSENSE_NO_TTL) {
        lease.ttl_ms = 0;
    }
    if (*nonsense != NONSENSE_NO_RESULT) {
        response.result_case = HOLDFAST__V1__ACQUIRE_RESPONSE__RESULT_LEASE;
        response.lease = &lease;
    }
    if (*nonsense == NONSENSE_GARBAGE) {
        /* A Response whose payload is no message: field 2, two bytes. */
        const uint8_t bytes[] = {0x12, 0x02, 0xff, 0xff};
        const struct ttrpc_header header = {
            .length = sizeof(bytes), .stream_id = stream_id, .type = TTRPC_RESPONSE};
        fake_send(connection, &header, bytes);
    } else {
        fake_respond(connection, stream_id, &response.base);
    }
    holdfast__v1__acquire_request__free_unpacked(request, NULL);
    fake_drain(connection);
}

static void test_nonsense_is_refused(void **state)
{
    (void)state;
    for (int i = 0; i < NONSENSE_COUNT; i++) {
        struct fake_server server;
        struct async_loop loop;
        struct answer answer;
        enum nonsense nonsense = (enum nonsense)i;
        start(&loop, &server, respond_nonsense, &nonsense);
        acquire(&loop, NULL, &answer);
        assert_int_equal(answer.result, HOLDFAST_REFUSED);
        assert_null(answer.lease);
        finish(&loop, &server);
    }
}

static void check_lease_request(const Ttrpc__Request *request)
{
    /* Renew and Release share these two fields. */
    Holdfast__V1__ReleaseRequest *fields =
        holdfast__v1__release_request__unpack(NULL, request->payload.len, request->payload.data);
    REQUIRE(fields != NULL);
    REQUIRE(strcmp(fields->key, FAKE_KEY) == 0);
    REQUIRE(memcmp(fields->token.data, own_token, 16) == 0);
    holdfast__v1__release_request__free_unpacked(fields, NULL);
}

static uint32_t read_lease_request(int connection, const char *method)
{
    struct fake_frame frame;
    Ttrpc__Request *request = fake_read_request(connection, method, &frame);
    check_lease_request(request);
    ttrpc__request__free_unpacked(request, NULL);
    return frame.header.stream_id;
}

static void respond_renewed(int connection, uint32_t stream_id, uint32_t ttl_ms)
{
    Holdfast__V1__RenewResponse response = HOLDFAST__V1__RENEW_RESPONSE__INIT;
    Holdfast__V1__Lease lease = fake_lease(FAKE_KEY, own_token, ttl_ms - 100);
    lease.ttl_ms = ttl_ms;
    response.result_case = HOLDFAST__V1__RENEW_RESPONSE__RESULT_LEASE;
    response.lease = &lease;
    fake_respond(connection, stream_id, &response.base);
}

static void respond_released(int connection, uint32_t stream_id,
                             Holdfast__V1__ReleaseResponse__Outcome outcome)
{
    Holdfast__V1__ReleaseResponse response = HOLDFAST__V1__RELEASE_RESPONSE__INIT;
    response.outcome = outcome;
    fake_respond(connection, stream_id, &response.base);
}

static void grant_renew_lose_release(struct fake_server *server, void *argument)
{
    (void)argument;
    int connection = grant(server);
    respond_renewed(connection, read_lease_request(connection, "Renew"), 60000);
    uint32_t stream_id = read_lease_request(connection, "Renew");
    Holdfast__V1__RenewResponse response = HOLDFAST__V1__RENEW_RESPONSE__INIT;
    Holdfast__V1__NotHeld not_held = HOLDFAST__V1__NOT_HELD__INIT;
    response.result_case = HOLDFAST__V1__RENEW_RESPONSE__RESULT_NOT_HELD;
    response.not_held = &not_held;
    fake_respond(connection, stream_id, &response.base);
    respond_released(connection, read_lease_request(connection, "Release"),
                     HOLDFAST__V1__RELEASE_RESPONSE__OUTCOME__OUTCOME_NOT_HELD);
    respond_released(connection, read_lease_request(connection, "Release"),
                     HOLDFAST__V1__RELEASE_RESPONSE__OUTCOME__OUTCOME_RELEASED);
    fake_drain(connection);
}

static void renew(struct async_loop *loop, struct holdfast_lease *lease, struct answer *answer)
{
    *answer = (struct answer){.count = 0};
    holdfast_async_renew(loop->async, lease, 60000, async_on_done, answer);
    async_loop_run_until(loop, &answer->count, 1);
}

static void test_renew_and_release(void **state)
{
    (void)state;
    struct fake_server server;
    struct async_loop loop;
    struct answer acquired;
    struct answer answer;
    start(&loop, &server, grant_renew_lose_release, NULL);
    acquire(&loop, own_token, &acquired);
    renew(&loop, acquired.lease, &answer);
    assert_int_equal(answer.result, HOLDFAST_OK);
    assert_int_equal(holdfast_lease_ttl_ms(acquired.lease), 60000);
    assert_in_range(holdfast_lease_valid_for_ms(acquired.lease), 50000, 59900);
    renew(&loop, acquired.lease, &answer);
    assert_int_equal(answer.result, HOLDFAST_NOT_HELD);
    assert_int_equal(holdfast_lease_valid_for_ms(acquired.lease), 0);

    answer.count = 0;
    holdfast_async_release(loop.async, acquired.lease, async_on_done, &answer);
    async_loop_run_until(&loop, &answer.count, 1);
    assert_int_equal(answer.result, HOLDFAST_NOT_HELD);
    answer.count = 0;
    holdfast_async_release_token(loop.async, FAKE_KEY, own_token, async_on_done, &answer);
    async_loop_run_until(&loop, &answer.count, 1);
    assert_int_equal(answer.result, HOLDFAST_OK);
    assert_string_equal(answer.error, "");
    holdfast_lease_free(acquired.lease);
    finish(&loop, &server);
}

static void renew_by_token(struct fake_server *server, void *argument)
{
    (void)argument;
    int connection = fake_accept(server);
    respond_renewed(connection, read_lease_request(connection, "Renew"), 60000);
    Holdfast__V1__RenewResponse response = HOLDFAST__V1__RENEW_RESPONSE__INIT;
    Holdfast__V1__NotHeld not_held = HOLDFAST__V1__NOT_HELD__INIT;
    response.result_case = HOLDFAST__V1__RENEW_RESPONSE__RESULT_NOT_HELD;
    response.not_held = &not_held;
    fake_respond(connection, read_lease_request(connection, "Renew"), &response.base);
    fake_drain(connection);
}

static void test_renew_by_token(void **state)
{
    (void)state;
    struct fake_server server;
    struct async_loop loop;
    struct answer answer = {.count = 0};
    start(&loop, &server, renew_by_token, NULL);
    holdfast_async_renew_token(loop.async, FAKE_KEY, own_token, 0, async_on_lease, &answer);
    async_loop_run_until(&loop, &answer.count, 1);
    assert_int_equal(answer.result, HOLDFAST_OK);
    assert_int_equal(holdfast_lease_fence(answer.lease), FAKE_FENCE);
    assert_int_equal(holdfast_lease_ttl_ms(answer.lease), 60000);
    assert_in_range(holdfast_lease_valid_for_ms(answer.lease), 50000, 59900);
    holdfast_lease_free(answer.lease);
    holdfast_async_renew_token(loop.async, FAKE_KEY, own_token, 0, async_on_lease, &answer);
    async_loop_run_until(&loop, &answer.count, 2);
    assert_int_equal(answer.result, HOLDFAST_NOT_HELD);
    assert_null(answer.lease);
    holdfast_async_renew_token(loop.async, FAKE_KEY, NULL, 0, async_on_lease, &answer);
    async_loop_run_until(&loop, &answer.count, 3);
    assert_int_equal(answer.result, HOLDFAST_INVALID);
    finish(&loop, &server);
}

/* The renewal is answered after the release was asked for. */
static void cross_renewal_and_release(struct fake_server *server, void *argument)
{
    (void)argument;
    int connection = grant(server);
    uint32_t renewal = read_lease_request(connection, "Renew");
    uint32_t release = read_lease_request(connection, "Release");
    respond_renewed(connection, renewal, 60000);
    respond_released(connection, release,
                     HOLDFAST__V1__RELEASE_RESPONSE__OUTCOME__OUTCOME_RELEASED);
    fake_drain(connection);
}

static void test_a_crossing_renewal_revives_nothing(void **state)
{
    (void)state;
    struct fake_server server;
    struct async_loop loop;
    struct answer acquired;
    struct answer renewed = {.count = 0};
    struct answer released = {.count = 0};
    start(&loop, &server, cross_renewal_and_release, NULL);
    acquire(&loop, own_token, &acquired);
    holdfast_async_renew(loop.async, acquired.lease, 0, async_on_done, &renewed);
    holdfast_async_release(loop.async, acquired.lease, async_on_done, &released);
    async_loop_run_until(&loop, &released.count, 1);
    assert_int_equal(released.result, HOLDFAST_OK);
    assert_int_equal(renewed.count, 1);
    assert_int_equal(renewed.result, HOLDFAST_NOT_HELD);
    assert_int_equal(holdfast_lease_valid_for_ms(acquired.lease), 0);
    holdfast_lease_free(acquired.lease);
    finish(&loop, &server);
}

static void answer_two_inspections(struct fake_server *server, void *argument)
{
    (void)argument;
    char label[] = "somebody";
    struct fake_frame frame;
    int connection = fake_accept(server);
    Holdfast__V1__InspectResponse response = HOLDFAST__V1__INSPECT_RESPONSE__INIT;
    Holdfast__V1__Free free_state = HOLDFAST__V1__FREE__INIT;
    Holdfast__V1__Holder holder = HOLDFAST__V1__HOLDER__INIT;
    ttrpc__request__free_unpacked(fake_read_request(connection, "Inspect", &frame), NULL);
    response.state_case = HOLDFAST__V1__INSPECT_RESPONSE__STATE_FREE;
    response.free = &free_state;
    fake_respond(connection, frame.header.stream_id, &response.base);
    ttrpc__request__free_unpacked(fake_read_request(connection, "Inspect", &frame), NULL);
    holder.label = label;
    response.state_case = HOLDFAST__V1__INSPECT_RESPONSE__STATE_HELD;
    response.held = &holder;
    fake_respond(connection, frame.header.stream_id, &response.base);
    fake_drain(connection);
}

static void test_inspect(void **state)
{
    (void)state;
    struct fake_server server;
    struct async_loop loop;
    struct answer answer = {.count = 0};
    start(&loop, &server, answer_two_inspections, NULL);
    holdfast_async_inspect(loop.async, FAKE_KEY, async_on_inspect, &answer);
    async_loop_run_until(&loop, &answer.count, 1);
    assert_int_equal(answer.result, HOLDFAST_OK);
    assert_true(answer.has_holder);
    assert_false(answer.holder.is_held);
    holdfast_async_inspect(loop.async, FAKE_KEY, async_on_inspect, &answer);
    async_loop_run_until(&loop, &answer.count, 2);
    assert_int_equal(answer.result, HOLDFAST_OK);
    assert_true(answer.holder.is_held);
    assert_string_equal(answer.holder.label, "somebody");
    finish(&loop, &server);
}

static void close_after_request(struct fake_server *server, void *argument)
{
    (void)argument;
    struct fake_frame frame;
    int connection = fake_accept(server);
    fake_read(connection, &frame);
    (void)close(connection);
}

static void test_connection_lost_on_the_way(void **state)
{
    (void)state;
    struct fake_server server;
    struct async_loop loop;
    struct answer answer = {.count = 0};
    start(&loop, &server, close_after_request, NULL);
    holdfast_async_inspect(loop.async, FAKE_KEY, async_on_inspect, &answer);
    async_loop_run_until(&loop, &answer.count, 1);
    assert_int_equal(answer.result, HOLDFAST_AWAY);
    assert_false(answer.has_holder);
    assert_non_null(strstr(answer.error, server.url));
    finish(&loop, &server);
}

static void test_bounds_of_arguments(void **state)
{
    (void)state;
    struct async_loop loop;
    char key[514];
    char label[130];
    memset(key, 'k', sizeof(key));
    memset(label, 'l', sizeof(label));
    key[513] = '\0';
    label[129] = '\0';
    const struct holdfast_ask asks[] = {
        {.key = NULL}, {.key = ""}, {.key = key}, {.key = "fine", .label = label}};
    async_loop_open_url(&loop, "unix:///nonexistent/socket", 50);
    for (size_t i = 0; i < COUNT_OF(asks); i++) {
        struct answer hold = {.count = 0};
        struct answer acquire = {.count = 0};
        holdfast_async_hold(loop.async, &asks[i], async_on_lease, &hold);
        holdfast_async_acquire_detached(loop.async, &asks[i], NULL, async_on_lease, &acquire);
        assert_int_equal(hold.count, 0);
        async_loop_run_until(&loop, &acquire.count, 1);
        assert_int_equal(hold.count, 1);
        assert_int_equal(hold.result, HOLDFAST_INVALID);
        assert_int_equal(acquire.result, HOLDFAST_INVALID);
        assert_non_null(strstr(hold.error, i < 3 ? "key" : "label"));
    }
    struct answer other = {.count = 0};
    holdfast_async_inspect(loop.async, key, async_on_inspect, &other);
    async_loop_run_until(&loop, &other.count, 1);
    assert_int_equal(other.result, HOLDFAST_INVALID);
    holdfast_async_release_token(loop.async, "fine", NULL, async_on_done, &other);
    async_loop_run_until(&loop, &other.count, 2);
    assert_int_equal(other.result, HOLDFAST_INVALID);
    /* However many were refused, the next one is not one too many. */
    for (int i = 0; i <= CLIENT_REQUESTS_MAX; i++) {
        holdfast_async_release_token(loop.async, "fine", NULL, NULL, NULL);
        if (i % 1000 == 0) {
            async_loop_run_for(&loop, 1);
        }
    }
    async_loop_run_for(&loop, 20);
    holdfast_async_inspect(loop.async, "", async_on_inspect, &other);
    async_loop_run_until(&loop, &other.count, 3);
    assert_int_equal(other.result, HOLDFAST_INVALID);
    /* At the bounds there is nothing to say against it but that there is no server. */
    key[512] = '\0';
    label[128] = '\0';
    const struct holdfast_ask longest = {.key = key, .label = label};
    struct answer hold = {.count = 0};
    holdfast_async_hold(loop.async, &longest, async_on_lease, &hold);
    async_loop_run_until(&loop, &hold.count, 1);
    assert_int_equal(hold.result, HOLDFAST_AWAY);
    async_loop_close(&loop);
}

static void test_too_many_requests(void **state)
{
    (void)state;
    struct async_loop loop;
    size_t many = CLIENT_REQUESTS_MAX + 1;
    struct answer *answers = calloc(many, sizeof(*answers));
    assert_non_null(answers);
    async_loop_open_url(&loop, "unix:///nonexistent/socket", 60000);
    for (size_t i = 0; i < many; i++) {
        holdfast_async_inspect(loop.async, FAKE_KEY, async_on_inspect, &answers[i]);
    }
    async_loop_run_until(&loop, &answers[many - 1].count, 1);
    assert_int_equal(answers[many - 1].result, HOLDFAST_LIMIT);
    assert_int_equal(answers[many - 2].count, 0);
    holdfast_async_close(loop.async);
    loop.async = NULL;
    for (size_t i = 0; i < many; i++) {
        assert_int_equal(answers[i].count, 1);
    }
    for (size_t i = 0; i < many - 1; i++) {
        assert_int_equal(answers[i].result, HOLDFAST_AWAY);
    }
    async_loop_close(&loop);
    free(answers);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_acquire_with_and_without_a_token),
        cmocka_unit_test(test_acquire_after_a_wait_is_confirmed),
        cmocka_unit_test(test_acquire_busy),
        cmocka_unit_test(test_acquire_is_asked_again_with_the_same_token),
        cmocka_unit_test(test_acquire_that_times_out_is_undone),
        cmocka_unit_test(test_every_status),
        cmocka_unit_test(test_nonsense_is_refused),
        cmocka_unit_test(test_renew_and_release),
        cmocka_unit_test(test_renew_by_token),
        cmocka_unit_test(test_a_crossing_renewal_revives_nothing),
        cmocka_unit_test(test_inspect),
        cmocka_unit_test(test_connection_lost_on_the_way),
        cmocka_unit_test(test_bounds_of_arguments),
        cmocka_unit_test(test_too_many_requests),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
