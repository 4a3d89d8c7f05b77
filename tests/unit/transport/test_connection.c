/* SPDX-License-Identifier: Apache-2.0 */
#include "transport/connection.h"

#include <malloc.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/compiler.h"
#include "fake_session.h"
#include "harness.h"

#define SOON_US (50 * CLOCK_US_PER_MS)

static const char upgrade[] = "HTTP/1.1 426 Upgrade Required\r\n";

static int set_up(void **state)
{
    harness_set_up(state);
    harness_connect(*state);
    return 0;
}

static void wait_closed(struct harness *harness)
{
    HARNESS_WAIT(harness, harness->is_ended);
    assert_int_equal(harness->host.count, 0);
    assert_int_equal(fake.sessions, fake.destroyed);
}

static void check_upgrade(struct harness *harness)
{
    wait_closed(harness);
    assert_true(harness->length > sizeof(upgrade));
    assert_memory_equal(harness->received, upgrade, sizeof(upgrade) - 1);
    harness->received[harness->length - 1] = '\0';
    const char *text = (const char *)harness->received;
    const char *body = strstr(text, "\r\n\r\n");
    assert_non_null(body);
    assert_non_null(strstr(text, "Upgrade: h2c, ttrpc\r\n"));
    assert_non_null(strstr(text, "Connection: close, Upgrade\r\n"));
    size_t length = strtoul(strstr(text, "Content-Length: ") + 16, NULL, 10);
    assert_int_equal(length, strlen(body + 4) + 1); /* its last byte made room for a NUL */
    assert_int_equal(harness->metrics.protocol_errors, 1);
}

static void http1_is_told_to_upgrade(void **state)
{
    static const char *const openings[] = {"GET / HTTP/1.1\r\nHost: x\r\n\r\n", "POST ", "HEAD / "};
    for (size_t i = 0; i < COUNT_OF(openings); i++) {
        struct harness *harness = *state;
        harness_connect(harness);
        HARNESS_WAIT(harness, harness->host.count == 1);
        harness->metrics.protocol_errors = 0;
        harness_send(harness, openings[i], strlen(openings[i]));
        check_upgrade(harness);
    }
}

static void http1_may_come_byte_by_byte(void **state)
{
    struct harness *harness = *state;
    for (const char *at = "GET "; *at != '\0'; at++) {
        harness_turn(harness);
        assert_int_equal(harness->host.count, 1);
        harness_send(harness, at, 1);
    }
    check_upgrade(harness);
}

/* The body of a request that is still coming must not cost the client its answer. */
static void a_large_request_gets_its_answer(void **state)
{
    struct harness *harness = *state;
    char body[100000] = "PUT /x HTTP/1.1\r\nContent-Length: 100000\r\n\r\n";
    harness_send(harness, body, sizeof(body));
    check_upgrade(harness);
    assert_false(harness->is_reset);
}

static void other_protocols_are_closed(void **state)
{
    static const struct {
        const char *bytes;
        size_t length;
    } openings[] = {{"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 11},
                    {"hello there\r\n", 13},
                    {"\xff\xff\xff\xff", 4},
                    {"\x01\x00\x00\x00", 4}};
    struct harness *harness = *state;
    for (size_t i = 0; i < COUNT_OF(openings); i++) {
        harness_connect(harness);
        harness_send(harness, openings[i].bytes, openings[i].length);
        HARNESS_WAIT(harness, harness->is_ended);
        assert_int_equal(harness->length, 0);
        assert_int_equal(harness->metrics.protocol_errors, i + 1);
    }
}

static void a_client_may_connect_early_and_speak_late(void **state)
{
    struct harness *harness = *state;
    harness->host.handshake_timeout_us = SOON_US;
    harness_connect(harness);
    int64_t until_us = clock_now_us() + 3 * SOON_US;
    while (clock_now_us() < until_us) {
        harness_turn(harness);
    }
    harness_expect_service(harness, 1);
    assert_int_equal(harness->metrics.protocol_errors, 0);
}

static void half_an_opening_is_closed_in_time(void **state)
{
    struct harness *harness = *state;
    harness->host.handshake_timeout_us = SOON_US;
    harness_connect(harness);
    harness_send(harness, "PRI * HT", 8);
    HARNESS_WAIT(harness, harness->is_ended);
}

static void a_client_that_has_spoken_may_be_silent(void **state)
{
    struct harness *harness = *state;
    harness->host.handshake_timeout_us = SOON_US;
    harness_connect(harness);
    harness_expect_service(harness, 1);
    int64_t until_us = clock_now_us() + 3 * SOON_US;
    while (clock_now_us() < until_us) {
        harness_turn(harness);
    }
    harness_expect_service(harness, 3);
}

static void half_a_frame_is_closed_in_time(void **state)
{
    struct harness *harness = *state;
    size_t length = 0;
    uint8_t *request = harness_request(5, "Echo", "x", 0, &length);
    harness->host.handshake_timeout_us = SOON_US;
    for (size_t cut = 1; cut < length; cut += 13) {
        harness_connect(harness);
        harness_expect_service(harness, 1);
        harness_send(harness, request, cut);
        HARNESS_WAIT(harness, harness->is_ended);
    }
    free(request);
}

/* Every frame has its own time: frames that follow one another are no slow frame. */
static void slow_but_steady_frames_are_served(void **state)
{
    struct harness *harness = *state;
    size_t length = 0;
    harness->host.handshake_timeout_us = 4 * SOON_US;
    harness_connect(harness);
    int64_t until_us = clock_now_us() + 8 * SOON_US;
    uint8_t *first = harness_request(1, "Echo", "x", 0, &length);
    uint32_t id = 1;
    harness_send(harness, first, 5);
    while (clock_now_us() < until_us) {
        uint8_t *request = harness_request(id, "Echo", "x", 0, &length);
        uint8_t *next = harness_request(id + 2, "Echo", "x", 0, &length);
        harness_send(harness, request + 5, length - 5);
        harness_send(harness, next, 5);
        harness_expect_reply(harness, id, "x");
        free(request);
        free(next);
        id += 2;
    }
    free(first);
}

static void the_limit_of_connections_is_kept(void **state)
{
    struct harness *harness = *state;
    harness->services.config.sessions_max = 1;
    assert_false(connection_create(&harness->host, 0, "unix"));
    assert_int_equal(harness->host.count, 1);
    assert_int_equal(harness->metrics.connections_accepted, 1);
}

static void a_finishing_connection_has_given_everything_back(void **state)
{
    struct harness *harness = *state;
    harness_send_request(harness, 1, "Silent", "", 0);
    HARNESS_WAIT(harness, fake.started == 1);
    struct connection *connection = LIST_FIRST(&harness->host.connections);
    connection_finish(connection);
    assert_int_equal(fake.cancelled, 1);
    assert_int_equal(fake.destroyed, 1);
    assert_int_equal(harness->host.count, 1);
    assert_false(connection_is_idle(connection));
    connection_finish(connection);
    connection_shut_down(connection);
    wait_closed(harness);
    assert_int_equal(fake.shut_downs, 0);
}

static void a_finishing_connection_can_be_closed(void **state)
{
    struct harness *harness = *state;
    struct connection *connection = LIST_FIRST(&harness->host.connections);
    connection_finish(connection);
    connection_close(connection);
    wait_closed(harness);
}

/* A sanitizer's allocator does not tell; the other builds do. */
static void an_idle_connection_costs_at_most_4_kib(void **state)
{
    struct harness *harness = *state;
    int peers[64];
    harness_expect_service(harness, 1);
    size_t before = mallinfo2().uordblks;
    for (size_t i = 0; i < COUNT_OF(peers); i++) {
        harness_connect(harness);
        harness_expect_service(harness, 1);
        peers[i] = harness->peer;
        harness->peer = -1;
    }
    harness_turn(harness);
    assert_true(mallinfo2().uordblks - before <= COUNT_OF(peers) * 4096);
    for (size_t i = 0; i < COUNT_OF(peers); i++) {
        close(peers[i]);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, harness_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(http1_is_told_to_upgrade),
        TEST(http1_may_come_byte_by_byte),
        TEST(a_large_request_gets_its_answer),
        TEST(other_protocols_are_closed),
        TEST(a_client_may_connect_early_and_speak_late),
        TEST(half_an_opening_is_closed_in_time),
        TEST(a_client_that_has_spoken_may_be_silent),
        TEST(half_a_frame_is_closed_in_time),
        TEST(slow_but_steady_frames_are_served),
        TEST(the_limit_of_connections_is_kept),
        TEST(a_finishing_connection_has_given_everything_back),
        TEST(a_finishing_connection_can_be_closed),
        TEST(an_idle_connection_costs_at_most_4_kib),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
