/* SPDX-License-Identifier: Apache-2.0 */
/* Connections that are late, cut, lost, or talk nonsense. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "async_loop.h"
#include "base/clock.h"
#include "base/compiler.h"
#include "fake_server.h"
#include "latch.h"

static void finish(struct async_loop *loop, struct fake_server *server)
{
    async_loop_close(loop);
    fake_server_finish(server);
}

static size_t encode(uint8_t *bytes, uint8_t type, uint8_t flags, const void *data, size_t length)
{
    const struct ttrpc_header header = {
        .length = (uint32_t)length, .stream_id = 1, .type = type, .flags = flags};
    ttrpc_header_encode(&header, bytes);
    if (length > 0) {
        memcpy(bytes + TTRPC_HEADER_SIZE, data, length);
    }
    return TTRPC_HEADER_SIZE + length;
}

/* The bytes of "granted" on stream 1. */
static size_t encode_granted(uint8_t *bytes)
{
    uint8_t message[512];
    Holdfast__V1__HoldEvent event = HOLDFAST__V1__HOLD_EVENT__INIT;
    Holdfast__V1__Lease lease = fake_lease(FAKE_KEY, (const uint8_t *)FAKE_TOKEN, 8900);
    event.event_case = HOLDFAST__V1__HOLD_EVENT__EVENT_GRANTED;
    event.granted = &lease;
    size_t length = holdfast__v1__hold_event__pack(&event, message);
    return encode(bytes, TTRPC_DATA, 0, message, length);
}

static void grant_cut(struct fake_server *server, void *argument)
{
    const size_t *cut = argument;
    uint8_t bytes[600];
    int connection = fake_accept(server);
    (void)fake_read_ask(connection);
    (void)encode_granted(bytes);
    fake_write(connection, bytes, *cut);
    (void)close(connection);
}

static void test_an_answer_cut_at_every_byte(void **state)
{
    (void)state;
    uint8_t bytes[600];
    size_t length = encode_granted(bytes);
    for (size_t cut = 0; cut <= length; cut++) {
        struct fake_server server;
        struct async_loop loop;
        struct news news;
        struct answer held;
        size_t argument = cut;
        fake_server_start(&server, grant_cut, &argument);
        async_loop_open_url(&loop, server.url, 5000);
        async_hold(&loop, &news, &held);
        if (cut < length) {
            assert_int_equal(held.result, HOLDFAST_AWAY);
            assert_null(held.lease);
            assert_int_equal(news.lost_count, 0);
        } else {
            assert_int_equal(held.result, HOLDFAST_OK);
            async_loop_run_until(&loop, &news.lost_count, 1);
            assert_int_equal(news.loss, HOLDFAST_LOSS_CONNECTION);
            holdfast_lease_free(held.lease);
        }
        finish(&loop, &server);
    }
}

static void grant_byte_by_byte(struct fake_server *server, void *argument)
{
    (void)argument;
    uint8_t bytes[600];
    size_t length = encode_granted(bytes);
    int connection = fake_accept(server);
    (void)fake_read_ask(connection);
    for (size_t i = 0; i < length; i++) {
        fake_write(connection, &bytes[i], 1);
    }
    fake_drain(connection);
}

static void test_an_answer_byte_by_byte(void **state)
{
    (void)state;
    struct fake_server server;
    struct async_loop loop;
    struct news news;
    struct answer held;
    fake_server_start_tcp(&server, grant_byte_by_byte, NULL);
    async_loop_open_url(&loop, server.url, 5000);
    async_hold(&loop, &news, &held);
    assert_int_equal(held.result, HOLDFAST_OK);
    holdfast_lease_free(held.lease);
    finish(&loop, &server);
}

struct nonsense {
    const char *name;
    const uint8_t *bytes;
    size_t length;
};

/* Says something that makes no sense; the client must hang up. */
static void talk_nonsense(struct fake_server *server, void *argument)
{
    const struct nonsense *nonsense = argument;
    int connection = fake_accept(server);
    (void)fake_read_ask(connection);
    fake_write(connection, nonsense->bytes, nonsense->length);
    fake_drain(connection);
}

static void test_nonsense_drops_the_connection(void **state)
{
    (void)state;
    static const uint8_t too_long[] = {0x00, 0x40, 0x00, 0x01, 0, 0, 0, 1, 3, 0};
    static const uint8_t request[] = {0, 0, 0, 0, 0, 0, 0, 1, 1, 0};
    static const uint8_t bad_event[] = {0, 0, 0, 2, 0, 0, 0, 1, 3, 0, 0xff, 0xff};
    static const uint8_t bad_response[] = {0, 0, 0, 2, 0, 0, 0, 1, 2, 0, 0xff, 0xff};
    static const uint8_t released[] = {0, 0, 0, 2, 0, 0, 0, 1, 3, 0, 0x32, 0};
    static const uint8_t renewed[] = {0, 0, 0, 2, 0, 0, 0, 1, 3, 0, 0x1a, 0};
    static const uint8_t lost[] = {0, 0, 0, 2, 0, 0, 0, 1, 3, 0, 0x2a, 0};
    static const uint8_t granted[] = {0, 0, 0, 2, 0, 0, 0, 1, 3, 0, 0x0a, 0};
    static const struct nonsense rows[] = {
        {"HTTP", (const uint8_t *)"HTTP/1.1 400 Bad Request\r\n\r\n", 28},
        {"too long", too_long, sizeof(too_long)},
        {"a request", request, sizeof(request)},
        {"no event", bad_event, sizeof(bad_event)},
        {"no response", bad_response, sizeof(bad_response)},
        {"released before it was granted", released, sizeof(released)},
        {"renewed before it was granted", renewed, sizeof(renewed)},
        {"lost before it was granted", lost, sizeof(lost)},
        {"an empty grant", granted, sizeof(granted)},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct fake_server server;
        struct async_loop loop;
        struct news news;
        struct answer held;
        struct nonsense row = rows[i];
        print_message("%s\n", row.name);
        fake_server_start(&server, talk_nonsense, &row);
        async_loop_open_url(&loop, server.url, 5000);
        async_hold(&loop, &news, &held);
        assert_int_equal(held.result, HOLDFAST_AWAY);
        assert_int_equal(held.count, 1);
        finish(&loop, &server);
    }
}

/* Frames that mean nothing to us, before the grant. */
static void grant_among_oddities(struct fake_server *server, void *argument)
{
    (void)argument;
    static const uint8_t unknown_event[] = {0, 0, 0, 3, 0, 0, 0, 1, 3, 0, 0xfa, 0x06, 0};
    static const struct ttrpc_header of_the_future = {.length = 3, .stream_id = 1, .type = 77};
    static const struct ttrpc_header no_data = {
        .stream_id = 1, .type = TTRPC_DATA, .flags = TTRPC_NO_DATA};
    int connection = fake_accept(server);
    uint32_t stream_id = fake_read_ask(connection);
    fake_send(connection, &of_the_future, "abc");
    fake_send(connection, &no_data, NULL);
    fake_write(connection, unknown_event, sizeof(unknown_event));
    fake_send_granted(connection, stream_id + 98, 8900);
    fake_send_lost(connection, 42, HOLDFAST__V1__HOLD_LOST__REASON__REASON_TAKEN);
    fake_respond_status(connection, 7, 13, "not yours");
    fake_send_granted(connection, stream_id, 8900);
    fake_drain(connection);
}

static void test_what_the_future_brings_is_ignored(void **state)
{
    (void)state;
    struct fake_server server;
    struct async_loop loop;
    struct news news;
    struct answer held;
    fake_server_start(&server, grant_among_oddities, NULL);
    async_loop_open_url(&loop, server.url, 5000);
    async_hold(&loop, &news, &held);
    assert_int_equal(held.result, HOLDFAST_OK);
    assert_int_equal(news.lost_count, 0);
    holdfast_lease_free(held.lease);
    finish(&loop, &server);
}

static void grant_on_the_third(struct fake_server *server, void *argument)
{
    (void)argument;
    (void)close(fake_accept(server));
    (void)close(fake_accept(server));
    int connection = fake_accept(server);
    uint32_t stream_id = fake_read_ask(connection);
    REQUIRE(stream_id == 1);
    fake_send_granted(connection, stream_id, 8900);
    fake_drain(connection);
}

/* A request is either sent on a connection that drops, or waits for the next. */
static void test_reconnects(void **state)
{
    (void)state;
    struct fake_server server;
    struct async_loop loop;
    struct news news;
    struct answer held = {.result = HOLDFAST_AWAY};
    fake_server_start(&server, grant_on_the_third, NULL);
    async_loop_open_url(&loop, server.url, 5000);
    for (int i = 0; i < 3 && held.result == HOLDFAST_AWAY; i++) {
        async_hold(&loop, &news, &held);
    }
    assert_int_equal(held.result, HOLDFAST_OK);
    holdfast_lease_free(held.lease);
    finish(&loop, &server);
}

static void grant_and_drain(struct fake_server *server, void *argument)
{
    (void)argument;
    int connection = fake_accept(server);
    fake_send_granted(connection, fake_read_ask(connection), 8900);
    fake_drain(connection);
}

static void test_waits_for_a_server_that_starts_later(void **state)
{
    (void)state;
    struct fake_server server;
    struct async_loop loop;
    struct news news;
    struct answer held = {.count = 0};
    struct holdfast_ask ask = async_ask(&news);
    fake_server_start(&server, grant_and_drain, NULL);
    /* The socket's name is taken away and comes back while the client tries. */
    char hidden[128];
    (void)snprintf(hidden, sizeof(hidden), "%s.hidden", server.path);
    assert_int_equal(rename(server.path, hidden), 0);
    async_loop_open_url(&loop, server.url, 8000);
    holdfast_async_hold(loop.async, &ask, async_on_lease, &held);
    async_loop_run_for(&loop, 150);
    assert_int_equal(held.count, 0);
    assert_int_equal(rename(hidden, server.path), 0);
    async_loop_run_until(&loop, &held.count, 1);
    assert_int_equal(held.result, HOLDFAST_OK);
    holdfast_lease_free(held.lease);
    finish(&loop, &server);
}

static void test_without_a_server_requests_end_as_away(void **state)
{
    (void)state;
    struct async_loop loop;
    struct news news;
    struct answer held;
    int64_t started_us = clock_now_us();
    async_loop_open_url(&loop, "unix:///nonexistent/socket", 100);
    async_hold(&loop, &news, &held);
    /* libevent's clock is coarse: up to two ticks of 10 ms are missing. */
    assert_true(clock_now_us() - started_us >= 80 * CLOCK_US_PER_MS);
    assert_int_equal(held.result, HOLDFAST_AWAY);
    assert_non_null(strstr(held.error, "unix:///nonexistent/socket"));
    assert_non_null(strstr(held.error, "No such file"));
    async_loop_close(&loop);
}

static void test_a_name_is_resolved(void **state)
{
    (void)state;
    struct fake_server server;
    struct async_loop loop;
    struct news news;
    struct answer held;
    char url[128];
    fake_server_start_tcp(&server, grant_and_drain, NULL);
    (void)snprintf(url, sizeof(url), "tcp://localhost%s", strrchr(server.url, ':'));
    async_loop_open_url(&loop, url, 5000);
    async_hold(&loop, &news, &held);
    assert_int_equal(held.result, HOLDFAST_OK);
    holdfast_lease_free(held.lease);
    finish(&loop, &server);
}

static void test_a_name_that_means_nothing(void **state)
{
    (void)state;
    struct async_loop loop;
    struct news news;
    struct answer held;
    async_loop_open_url(&loop, "tcp://no-such-host.invalid:1", 1000);
    async_hold(&loop, &news, &held);
    assert_int_equal(held.result, HOLDFAST_AWAY);
    async_loop_close(&loop);
}

/* Closing while a name is being resolved. */
static void test_close_at_once(void **state)
{
    (void)state;
    struct async_loop loop;
    struct news news;
    struct answer held = {.count = 0};
    struct holdfast_ask ask = async_ask(&news);
    async_loop_open_url(&loop, "tcp://no-such-host.invalid:1", 1000);
    holdfast_async_hold(loop.async, &ask, async_on_lease, &held);
    async_loop_run_for(&loop, 1);
    async_loop_close(&loop);
    assert_int_equal(held.count, 1);
    assert_int_equal(held.result, HOLDFAST_AWAY);
}

/* Accepts nobody: the connection stands in the backlog and nothing ever answers. */
static void answer_nothing(struct fake_server *server, void *argument)
{
    (void)server;
    latch_wait(argument);
}

static void test_a_server_that_accepts_and_is_silent(void **state)
{
    (void)state;
    struct fake_server server;
    struct async_loop loop;
    struct latch latch;
    struct news news;
    struct answer held;
    latch_init(&latch);
    fake_server_start(&server, answer_nothing, &latch);
    async_loop_open_url(&loop, server.url, 100);
    async_hold(&loop, &news, &held);
    assert_int_equal(held.result, HOLDFAST_TIMEOUT);
    latch_open(&latch);
    finish(&loop, &server);
    latch_release(&latch);
}

static void grant_then_close_when_told(struct fake_server *server, void *argument)
{
    struct latch *latches = argument;
    int connection = fake_accept(server);
    fake_send_granted(connection, fake_read_ask(connection), 8900);
    latch_wait(&latches[0]);
    (void)close(connection);
    latch_open(&latches[1]);
}

/* With SIGPIPE's default action this process would end here. */
static void test_writing_to_a_closed_connection_raises_no_signal(void **state)
{
    (void)state;
    struct fake_server server;
    struct async_loop loop;
    struct latch latches[2];
    struct news news;
    struct answer held;
    struct answer inspected = {.count = 0};
    latch_init(&latches[0]);
    latch_init(&latches[1]);
    fake_server_start(&server, grant_then_close_when_told, latches);
    async_loop_open_url(&loop, server.url, 5000);
    async_hold(&loop, &news, &held);
    latch_open(&latches[0]);
    latch_wait(&latches[1]);
    holdfast_async_inspect(loop.async, FAKE_KEY, async_on_inspect, &inspected);
    async_loop_run_until(&loop, &inspected.count, 1);
    assert_int_equal(inspected.result, HOLDFAST_AWAY);
    async_loop_run_until(&loop, &news.lost_count, 1);
    assert_int_equal(news.loss, HOLDFAST_LOSS_CONNECTION);
    holdfast_lease_free(held.lease);
    finish(&loop, &server);
    latch_release(&latches[0]);
    latch_release(&latches[1]);
}

static void check_refused(const struct holdfast_options *options, const char *why)
{
    char error[HOLDFAST_ERROR_SIZE] = "";
    struct async_loop loop;
    async_loop_open_url(&loop, "unix:///nonexistent/socket", 1000);
    assert_null(holdfast_async_open(loop.base, options, error));
    assert_non_null(strstr(error, why));
    assert_null(holdfast_async_open(loop.base, options, NULL));
    async_loop_close(&loop);
}

static void test_options_that_make_no_sense(void **state)
{
    (void)state;
    const struct holdfast_options scheme = {.server = "ftp://host"};
    const struct holdfast_options plain = {.server = "tcp://host:1", .ca_file = "ca.pem"};
    const struct holdfast_options ca = {.server = "tls://host:1", .ca_file = "/nonexistent.pem"};
    const struct holdfast_options half = {.server = "tls://host:1", .cert_file = "c.pem"};
    const struct holdfast_options cert = {
        .server = "tls://host:1", .cert_file = "/nonexistent.pem", .key_file = "/nonexistent"};
    check_refused(&scheme, "ftp://host");
    check_refused(&plain, "not tls://");
    check_refused(&ca, "/nonexistent.pem");
    check_refused(&half, "key_file");
    check_refused(&cert, "/nonexistent.pem");
}

static void test_the_environment_names_the_server(void **state)
{
    (void)state;
    struct async_loop loop;
    struct news news;
    struct answer held;
    const struct holdfast_options options = {.timeout_ms = 50};
    assert_int_equal(setenv("HOLDFAST_SERVER", "unix:///nonexistent/named", 1), 0);
    async_loop_open(&loop, &options);
    assert_int_equal(unsetenv("HOLDFAST_SERVER"), 0);
    async_hold(&loop, &news, &held);
    assert_non_null(strstr(held.error, "/nonexistent/named"));
    async_loop_close(&loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_an_answer_cut_at_every_byte),
        cmocka_unit_test(test_an_answer_byte_by_byte),
        cmocka_unit_test(test_nonsense_drops_the_connection),
        cmocka_unit_test(test_what_the_future_brings_is_ignored),
        cmocka_unit_test(test_reconnects),
        cmocka_unit_test(test_waits_for_a_server_that_starts_later),
        cmocka_unit_test(test_without_a_server_requests_end_as_away),
        cmocka_unit_test(test_a_name_is_resolved),
        cmocka_unit_test(test_a_name_that_means_nothing),
        cmocka_unit_test(test_close_at_once),
        cmocka_unit_test(test_a_server_that_accepts_and_is_silent),
        cmocka_unit_test(test_writing_to_a_closed_connection_raises_no_signal),
        cmocka_unit_test(test_options_that_make_no_sense),
        cmocka_unit_test(test_the_environment_names_the_server),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
