/* SPDX-License-Identifier: Apache-2.0 */
/* Against the server's end of the same protocol, in memory. */
#include "grpc/http2_client.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/compiler.h"

#define LARGE ((size_t)3 << 20)

struct fixture {
    struct http2_client *client;
    struct http2 *server;
    char log[2048]; /* what the client's events said */
    size_t data;    /* bytes that the client heard */
    size_t taken;   /* bytes that the server heard */
    bool is_half_closed;
    bool is_withholding; /* the server does not open its window */
    int32_t stream;      /* the server's */
    size_t request;      /* bytes that the client still has to say */
    size_t answer;       /* that the server has */
    bool has_all;        /* no more comes behind the request */
};

static void note(struct fixture *fixture, const char *what, int32_t id)
{
    const size_t used = strlen(fixture->log);
    snprintf(fixture->log + used, sizeof(fixture->log) - used, "%s%d ", what, (int)id);
}

/*
 * ---- The client's events ----
 */

static void on_field(void *user, int32_t id, const char *name, size_t name_length,
                     const char *value, size_t value_length)
{
    struct fixture *fixture = user;
    const size_t used = strlen(fixture->log);
    (void)id;
    snprintf(fixture->log + used, sizeof(fixture->log) - used, "%.*s=%.*s ", (int)name_length, name,
             (int)(value_length < 10 ? value_length : 10), value);
}

static void on_head(void *user, int32_t id, bool is_whole)
{
    note(user, is_whole ? "head" : "cut", id);
}

static void on_data(void *user, int32_t id, const uint8_t *bytes, size_t length)
{
    struct fixture *fixture = user;
    (void)id;
    (void)bytes;
    fixture->data += length;
}

static void on_end(void *user, int32_t id)
{
    note(user, "end", id);
}

static void on_close(void *user, int32_t id, uint32_t error)
{
    note(user, http2_client_error_name(error), id);
}

static size_t give(size_t *left, uint8_t *bytes, size_t size)
{
    const size_t length = *left < size ? *left : size;
    memset(bytes, 'x', length);
    *left -= length;
    return length;
}

static size_t on_pull(void *user, int32_t id, uint8_t *bytes, size_t size, bool *is_last)
{
    struct fixture *fixture = user;
    (void)id;
    const size_t length = give(&fixture->request, bytes, size);
    *is_last = fixture->has_all && fixture->request == 0;
    return length;
}

static const struct http2_client_events client_events = {
    .on_field = on_field,
    .on_head = on_head,
    .on_data = on_data,
    .on_end = on_end,
    .on_close = on_close,
    .on_pull = on_pull,
};

/*
 * ---- The server's ----
 */

static void *server_open(void *user, int32_t id)
{
    struct fixture *fixture = user;
    fixture->stream = id;
    return fixture;
}

static void server_field(void *user, void *stream, const char *name, size_t name_length,
                         const char *value, size_t value_length)
{
    (void)user;
    (void)stream;
    (void)name;
    (void)name_length;
    (void)value;
    (void)value_length;
}

static void server_request(void *user, void *stream, bool is_whole)
{
    (void)user;
    (void)stream;
    assert_true(is_whole);
}

static void server_data(void *user, void *stream, const uint8_t *bytes, size_t length)
{
    struct fixture *fixture = user;
    (void)stream;
    (void)bytes;
    fixture->taken += length;
    if (!fixture->is_withholding) {
        http2_consume(fixture->server, fixture->stream, length);
    }
}

static void server_half_close(void *user, void *stream)
{
    struct fixture *fixture = user;
    (void)stream;
    fixture->is_half_closed = true;
}

static void server_close(void *user, void *stream)
{
    struct fixture *fixture = user;
    (void)stream;
    fixture->stream = 0;
}

static size_t server_pull(void *user, void *stream, uint8_t *bytes, size_t size, bool *is_last)
{
    static const struct http2_field trailers[] = {{"grpc-status", "0", 1}};
    struct fixture *fixture = user;
    (void)stream;
    const size_t length = give(&fixture->answer, bytes, size);
    if (fixture->answer == 0) {
        http2_send_trailers(fixture->server, fixture->stream, trailers, COUNT_OF(trailers));
        *is_last = true;
    }
    return length;
}

static const struct http2_events server_events = {
    .on_open = server_open,
    .on_field = server_field,
    .on_request = server_request,
    .on_data = server_data,
    .on_half_close = server_half_close,
    .on_close = server_close,
    .on_pull = server_pull,
};

static const struct http2_config config = {
    .streams_max = 10, .header_list_max = 16384, .connection_window = 1 << 20};

/* Until neither has anything to say. */
static void exchange(struct fixture *fixture)
{
    size_t said = 1;
    while (said > 0) {
        const uint8_t *bytes = NULL;
        size_t length = 0;
        assert_true(http2_client_produce(fixture->client, &bytes, &length));
        said = length;
        if (length > 0) {
            assert_true(http2_receive(fixture->server, bytes, length));
        }
        assert_true(http2_produce(fixture->server, &bytes, &length));
        said += length;
        if (length > 0) {
            assert_true(http2_client_receive(fixture->client, bytes, length));
        }
    }
}

static int setup(void **state)
{
    static struct fixture fixture;
    fixture = (struct fixture){.is_half_closed = false};
    fixture.client = http2_client_create(&client_events, &fixture);
    fixture.server = http2_create(&config, &server_events, &fixture);
    *state = &fixture;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *fixture = *state;
    http2_client_destroy(fixture->client);
    http2_destroy(fixture->server);
    return 0;
}

static int32_t ask(struct fixture *fixture)
{
    static const struct http2_field fields[] = {{":method", "POST", 4},
                                                {":scheme", "http", 4},
                                                {":path", "/a/b", 4},
                                                {"te", "trailers", 8}};
    return http2_client_request(fixture->client, fields, COUNT_OF(fields));
}

static void respond(struct fixture *fixture, size_t answer)
{
    static const struct http2_field fields[] = {{":status", "200", 3}};
    fixture->answer = answer;
    http2_respond(fixture->server, fixture->stream, fields, COUNT_OF(fields), false);
}

/*
 * ---- Tests ----
 */

static void test_a_call(void **state)
{
    struct fixture *fixture = *state;
    fixture->request = 10;
    fixture->has_all = true;
    assert_int_equal(ask(fixture), 1);
    exchange(fixture);
    assert_int_equal(fixture->taken, 10);
    assert_true(fixture->is_half_closed);
    respond(fixture, 7);
    exchange(fixture);
    assert_int_equal(fixture->data, 7);
    assert_string_equal(fixture->log, ":status=200 head1 grpc-status=0 head1 end1 NO_ERROR1 ");
}

static void test_a_request_goes_on_when_it_is_woken(void **state)
{
    struct fixture *fixture = *state;
    const int32_t id = ask(fixture);
    exchange(fixture);
    assert_int_equal(fixture->taken, 0);
    fixture->request = 5;
    exchange(fixture);
    assert_int_equal(fixture->taken, 0);
    http2_client_wake(fixture->client, id);
    http2_client_wake(fixture->client, id);
    exchange(fixture);
    assert_int_equal(fixture->taken, 5);
    fixture->has_all = true;
    http2_client_wake(fixture->client, id);
    exchange(fixture);
    assert_true(fixture->is_half_closed);
    http2_client_wake(fixture->client, id + 2);
}

/* No more leaves than the server's windows take. */
static void test_the_server_slows_us_down(void **state)
{
    struct fixture *fixture = *state;
    fixture->is_withholding = true;
    fixture->request = LARGE;
    fixture->has_all = true;
    ask(fixture);
    exchange(fixture);
    assert_int_equal(fixture->taken, 65535);
    fixture->is_withholding = false;
    http2_consume(fixture->server, fixture->stream, 65535);
    exchange(fixture);
    assert_int_equal(fixture->taken, LARGE);
}

static void test_large_answers_keep_coming(void **state)
{
    struct fixture *fixture = *state;
    ask(fixture);
    exchange(fixture);
    respond(fixture, LARGE);
    exchange(fixture);
    assert_int_equal(fixture->data, LARGE);
}

static void test_both_ends_reset(void **state)
{
    struct fixture *fixture = *state;
    http2_client_reset(fixture->client, ask(fixture), HTTP2_CANCEL);
    exchange(fixture);
    const int32_t id = ask(fixture);
    exchange(fixture);
    assert_int_equal(fixture->stream, id);
    http2_client_reset(fixture->client, id, HTTP2_CANCEL);
    exchange(fixture);
    assert_int_equal(fixture->stream, 0);
    memset(fixture->log, 0, sizeof(fixture->log));
    ask(fixture);
    exchange(fixture);
    http2_reset(fixture->server, fixture->stream, HTTP2_ENHANCE_YOUR_CALM);
    exchange(fixture);
    assert_string_equal(fixture->log, "ENHANCE_YOUR_CALM5 ");
}

/* What has begun goes on; nothing new begins. */
static void test_a_farewell(void **state)
{
    struct fixture *fixture = *state;
    assert_int_equal(http2_client_farewell(fixture->client), -1);
    ask(fixture);
    exchange(fixture);
    http2_end(fixture->server, HTTP2_NO_ERROR);
    exchange(fixture);
    assert_int_equal(http2_client_farewell(fixture->client), 0);
    assert_false(http2_client_is_over(fixture->client));
    assert_int_equal(ask(fixture), 3);
    exchange(fixture);
    assert_string_equal(fixture->log, "REFUSED_STREAM3 ");
    fixture->has_all = true;
    http2_client_wake(fixture->client, 1);
    respond(fixture, 1);
    exchange(fixture);
    assert_int_equal(fixture->data, 1);
    assert_true(http2_client_is_over(fixture->client));
}

static void test_nonsense(void **state)
{
    static const uint8_t nonsense[] = "\0\0\0\4\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0";
    struct fixture *fixture = *state;
    const uint8_t *bytes = NULL;
    size_t length = 1;
    bool is_good = http2_client_receive(fixture->client, nonsense, sizeof(nonsense) - 1);
    while (is_good && length > 0) {
        is_good = http2_client_produce(fixture->client, &bytes, &length);
    }
    assert_true(!is_good || http2_client_is_over(fixture->client));
    assert_non_null(http2_client_problem(fixture->client));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_a_call, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_request_goes_on_when_it_is_woken, setup, teardown),
        cmocka_unit_test_setup_teardown(test_the_server_slows_us_down, setup, teardown),
        cmocka_unit_test_setup_teardown(test_large_answers_keep_coming, setup, teardown),
        cmocka_unit_test_setup_teardown(test_both_ends_reset, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_farewell, setup, teardown),
        cmocka_unit_test_setup_teardown(test_nonsense, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
