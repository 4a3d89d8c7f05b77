/* SPDX-License-Identifier: Apache-2.0 */
#include "transport/ttrpc_connection.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <cmocka.h>

#include <ttrpc/ttrpc.pb-c.h>

#include "base/clock.h"
#include "base/compiler.h"
#include "fake_session.h"
#include "harness.h"

#define BOTH (TTRPC_REMOTE_OPEN | TTRPC_REMOTE_CLOSED)

static int set_up(void **state)
{
    harness_set_up(state);
    harness_connect(*state);
    return 0;
}

/* Calls of every shape */

static void a_unary_call_is_answered_with_one_response(void **state)
{
    struct harness *harness = *state;
    harness_send_request(harness, 1, "Echo", "hello", 0);
    harness_expect_reply(harness, 1, "hello");
    harness_send_request(harness, 3, "Echo", "again", TTRPC_REMOTE_CLOSED);
    harness_expect_reply(harness, 3, "again");
    assert_int_equal(fake.started, 2);
    assert_int_equal(fake.messages, 2);
}

static void an_empty_payload_is_a_message_of_a_unary_call(void **state)
{
    struct harness *harness = *state;
    harness_send_request(harness, 1, "Echo", "", 0);
    harness_expect_reply(harness, 1, "");
    assert_int_equal(fake.messages, 1);
}

static void a_failure_has_status_and_text(void **state)
{
    harness_send_request(*state, 1, "Fail", "", 0);
    harness_expect_failure(*state, 1, STATUS_NOT_FOUND, "no such thing");
}

static void an_unknown_method_is_refused(void **state)
{
    harness_send_request(*state, 1, "Nothing", "", 0);
    harness_expect_failure(*state, 1, STATUS_UNIMPLEMENTED, "no such method");
    harness_expect_service(*state, 3);
}

static void a_server_stream_ends_with_an_empty_data_frame(void **state)
{
    harness_send_request(*state, 1, "Watch", "", TTRPC_REMOTE_CLOSED);
    harness_expect_data(*state, 1, "one");
    harness_expect_data(*state, 1, "two");
    harness_expect_end(*state, 1);
}

static void a_client_stream_ends_with_one_response(void **state)
{
    struct harness *harness = *state;
    harness_send_request(harness, 1, "Collect", "a", TTRPC_REMOTE_OPEN);
    harness_send_data(harness, 1, "b", 0);
    harness_send_data(harness, 1, "c", 0);
    harness_send_data(harness, 1, "", TTRPC_REMOTE_CLOSED | TTRPC_NO_DATA);
    harness_expect_reply(harness, 1, "abc");
    assert_int_equal(fake.half_closes, 1);
}

static void an_empty_payload_is_no_message_of_a_client_stream(void **state)
{
    struct harness *harness = *state;
    harness_send_request(harness, 1, "Chat", "", TTRPC_REMOTE_OPEN);
    harness_send_data(harness, 1, "first", 0);
    harness_expect_data(harness, 1, "first");
    assert_int_equal(fake.messages, 1);
    harness_send_data(harness, 1, "", TTRPC_REMOTE_CLOSED | TTRPC_NO_DATA);
    harness_expect_end(harness, 1);
}

static void a_stream_both_ways(void **state)
{
    struct harness *harness = *state;
    harness_send_request(harness, 1, "Chat", "hello", TTRPC_REMOTE_OPEN);
    harness_expect_data(harness, 1, "hello");
    harness_send_data(harness, 1, "how are you", 0);
    harness_expect_data(harness, 1, "how are you");
    fake_send(fake_session(), "out of turn");
    harness_expect_data(harness, 1, "out of turn");
    harness_send_data(harness, 1, "", TTRPC_REMOTE_CLOSED | TTRPC_NO_DATA);
    harness_expect_end(harness, 1);
}

static void a_stream_fails_with_a_response(void **state)
{
    struct harness *harness = *state;
    harness_send_request(harness, 1, "Break", "", TTRPC_REMOTE_OPEN);
    harness_send_data(harness, 1, "x", 0);
    harness_expect_failure(harness, 1, STATUS_ABORTED, "broken");
    harness_expect_service(harness, 3);
}

static void a_streaming_method_may_be_called_with_one_message(void **state)
{
    harness_send_request(*state, 1, "Chat", "only", 0);
    harness_expect_data(*state, 1, "only");
    harness_expect_end(*state, 1);
    harness_send_request(*state, 3, "Collect", "only", TTRPC_REMOTE_CLOSED);
    harness_expect_reply(*state, 3, "only");
}

static void the_last_message_may_close(void **state)
{
    struct harness *harness = *state;
    harness_send_request(harness, 1, "Collect", "a", TTRPC_REMOTE_OPEN);
    harness_send_data(harness, 1, "b", TTRPC_REMOTE_CLOSED);
    harness_expect_reply(harness, 1, "ab");
}

static void closing_without_bytes_is_no_message(void **state)
{
    struct harness *harness = *state;
    harness_send_request(harness, 1, "Collect", "a", TTRPC_REMOTE_OPEN);
    harness_send_data(harness, 1, "", TTRPC_REMOTE_CLOSED);
    harness_expect_reply(harness, 1, "a");
    assert_int_equal(fake.messages, 1);
}

static void an_empty_data_frame_is_an_empty_message(void **state)
{
    struct harness *harness = *state;
    harness_send_request(harness, 1, "Chat", "", TTRPC_REMOTE_OPEN);
    harness_send_data(harness, 1, "", 0);
    harness_expect_data(harness, 1, "");
    assert_int_equal(fake.messages, 1);
    harness_send_data(harness, 1, "", TTRPC_NO_DATA);
    harness_send_data(harness, 1, "x", 0);
    harness_expect_data(harness, 1, "x");
    assert_int_equal(fake.messages, 2);
    harness_hang_up(harness);
}

static void calls_are_answered_in_the_order_of_their_ends(void **state)
{
    struct harness *harness = *state;
    harness_send_request(harness, 1, "Silent", "", 0);
    harness_send_request(harness, 3, "Echo", "quick", 0);
    harness_expect_reply(harness, 3, "quick");
    fake_answer_silent(fake_session(), "slow");
    harness_expect_reply(harness, 1, "slow");
}

static void the_timeout_reaches_the_session(void **state)
{
    static const struct {
        int64_t nanoseconds;
        int64_t microseconds;
    } samples[] = {{0, 0}, {1, 1}, {2500000, 2500}, {-1, -1}};
    struct harness *harness = *state;
    for (size_t i = 0; i < COUNT_OF(samples); i++) {
        uint8_t bytes[64];
        uint32_t id = (uint32_t)(2 * i + 1);
        Ttrpc__Request request = TTRPC__REQUEST__INIT;
        request.service = (char[]){"test.Service"};
        request.method = (char[]){"Echo"};
        request.timeout_nano = samples[i].nanoseconds;
        struct ttrpc_header header = {.length = (uint32_t)ttrpc__request__pack(&request, bytes),
                                      .stream_id = id,
                                      .type = TTRPC_REQUEST};
        harness_send_frame(harness, &header, bytes);
        harness_expect_reply(harness, id, "");
        assert_int_equal(fake.timeout_us, samples[i].microseconds);
    }
}

/* Stream ids */

static void even_ids_are_refused(void **state)
{
    static const uint32_t ids[] = {0, 2, 0x80000000, 0xfffffffe};
    for (size_t i = 0; i < COUNT_OF(ids); i++) {
        harness_send_request(*state, ids[i], "Echo", "", 0);
        harness_expect_failure(*state, ids[i], STATUS_INVALID_ARGUMENT, "odd");
    }
    assert_int_equal(fake.started, 0);
    harness_expect_service(*state, 1);
}

static void ids_must_rise(void **state)
{
    struct harness *harness = *state;
    harness_expect_service(harness, 5);
    harness_send_request(harness, 5, "Echo", "", 0);
    harness_expect_failure(harness, 5, STATUS_INVALID_ARGUMENT, "must rise");
    harness_send_request(harness, 3, "Echo", "", 0);
    harness_expect_failure(harness, 3, STATUS_INVALID_ARGUMENT, "must rise");
    harness_expect_service(harness, 7);
    harness_expect_service(harness, UINT32_MAX);
    harness_send_request(harness, UINT32_MAX, "Echo", "", 0);
    harness_expect_failure(harness, UINT32_MAX, STATUS_INVALID_ARGUMENT, "must rise");
    assert_int_equal(fake.started, 3);
}

static void an_id_in_use_is_refused_and_its_call_goes_on(void **state)
{
    struct harness *harness = *state;
    harness_send_request(harness, 1, "Silent", "", 0);
    harness_send_request(harness, 1, "Echo", "", 0);
    harness_expect_failure(harness, 1, STATUS_INVALID_ARGUMENT, "must rise");
    fake_answer_silent(fake_session(), "first");
    harness_expect_reply(harness, 1, "first");
}

/* Frames that make no sense */

static void open_and_closed_at_once_is_refused(void **state)
{
    harness_send_request(*state, 1, "Chat", "x", BOTH);
    harness_expect_failure(*state, 1, STATUS_INVALID_ARGUMENT, "not both");
    assert_int_equal(fake.started, 0);
    harness_expect_service(*state, 3);
}

static void a_broken_envelope_is_refused(void **state)
{
    struct ttrpc_header header = {.length = 4, .stream_id = 1, .type = TTRPC_REQUEST};
    harness_send_frame(*state, &header, "\x0a\x02\xc3\x28");
    harness_expect_failure(*state, 1, STATUS_INVALID_ARGUMENT, "service: not valid UTF-8");
    assert_int_equal(fake.started, 0);
    harness_send_data(*state, 1, "late", 0); /* its call has been answered */
    harness_expect_service(*state, 3);
}

static void types_of_the_future_are_ignored(void **state)
{
    static const uint8_t types[] = {0, TTRPC_RESPONSE, 4, 255};
    for (size_t i = 0; i < COUNT_OF(types); i++) {
        struct ttrpc_header header = {.length = 5, .stream_id = 2, .type = types[i], .flags = 0xff};
        harness_send_frame(*state, &header, "bytes");
    }
    harness_expect_service(*state, 1);
}

static void data_for_streams_that_were_never_opened_is_refused(void **state)
{
    struct harness *harness = *state;
    harness_send_data(harness, 1, "x", 0);
    harness_expect_failure(harness, 1, STATUS_INVALID_ARGUMENT, "no request has opened");
    harness_expect_service(harness, 1); /* the id has not been used up */
    harness_send_data(harness, 3, "", TTRPC_REMOTE_CLOSED | TTRPC_NO_DATA);
    harness_expect_failure(harness, 3, STATUS_INVALID_ARGUMENT, "no request has opened");
    harness_send_data(harness, 0, "x", 0);
    harness_expect_failure(harness, 0, STATUS_INVALID_ARGUMENT, "no request has opened");
}

/* The server may have ended the call while the data was on its way. */
static void data_for_ended_streams_is_ignored(void **state)
{
    struct harness *harness = *state;
    harness_send_request(harness, 1, "Break", "x", TTRPC_REMOTE_OPEN);
    harness_send_data(harness, 1, "more", 0);
    harness_send_data(harness, 1, "", TTRPC_REMOTE_CLOSED | TTRPC_NO_DATA);
    harness_expect_failure(harness, 1, STATUS_ABORTED, "broken");
    harness_expect_service(harness, 3);
    assert_int_equal(fake.messages, 2);
}

static void a_message_after_the_end_ends_a_stream(void **state)
{
    struct harness *harness = *state;
    harness_send_request(harness, 1, "Watch", "", TTRPC_REMOTE_CLOSED);
    harness_expect_data(harness, 1, "one");
    harness_expect_data(harness, 1, "two");
    harness_expect_end(harness, 1);
    harness_send_data(harness, 1, "late", 0);
    harness_expect_service(harness, 3);
}

static void data_on_a_unary_call_is_ignored(void **state)
{
    struct harness *harness = *state;
    harness_send_request(harness, 1, "Silent", "", 0);
    harness_send_data(harness, 1, "more", 0);
    harness_send_data(harness, 1, "", TTRPC_REMOTE_CLOSED | TTRPC_NO_DATA);
    harness_expect_service(harness, 3);
    assert_int_equal(fake.messages, 2);
    assert_int_equal(fake.half_closes, 1);
    fake_answer_silent(fake_session(), "done");
    harness_expect_reply(harness, 1, "done");
}

static void no_data_with_data_ends_the_call(void **state)
{
    struct harness *harness = *state;
    harness_send_request(harness, 1, "Chat", "", TTRPC_REMOTE_OPEN);
    harness_send_data(harness, 1, "x", TTRPC_NO_DATA);
    harness_expect_failure(harness, 1, STATUS_INVALID_ARGUMENT, "no data");
    harness_expect_service(harness, 3);
}

/* Sizes */

static size_t largest_frame(void)
{
    return HARNESS_MESSAGE_MAX + 8 * 1024;
}

static void send_zeros(struct harness *harness, size_t length)
{
    uint8_t *zeros = calloc(1, length);
    harness_send(harness, zeros, length);
    free(zeros);
}

static void send_header(struct harness *harness, uint32_t id, uint8_t type, size_t length)
{
    uint8_t bytes[TTRPC_HEADER_SIZE];
    struct ttrpc_header header = {.length = (uint32_t)length, .stream_id = id, .type = type};
    ttrpc_header_encode(&header, bytes);
    harness_send(harness, bytes, sizeof(bytes));
}

static void a_request_as_large_as_allowed_is_served(void **state)
{
    char *text = malloc(HARNESS_MESSAGE_MAX + 1);
    memset(text, 'x', HARNESS_MESSAGE_MAX);
    text[HARNESS_MESSAGE_MAX] = '\0';
    harness_send_request(*state, 1, "Echo", text, 0);
    harness_expect_reply(*state, 1, text);
    free(text);
}

static void the_limit_of_a_frame_is_exact(void **state)
{
    struct harness *harness = *state;
    send_header(harness, 1, TTRPC_REQUEST, largest_frame());
    send_zeros(harness, largest_frame());
    harness_expect_failure(harness, 1, STATUS_INVALID_ARGUMENT, "the ttRPC request");
    send_header(harness, 3, TTRPC_REQUEST, largest_frame() + 1);
    harness_expect_failure(harness, 3, STATUS_RESOURCE_EXHAUSTED, "max-message-size");
    send_zeros(harness, largest_frame() + 1);
    harness_expect_service(harness, 5);
}

/* It is refused before its data has come, and its data is not kept. */
static void oversize_requests_are_refused_and_skipped(void **state)
{
    static const size_t sizes[] = {TTRPC_DATA_MAX, TTRPC_DATA_MAX + 1, 0x00ffffff};
    uint32_t id = 1;
    for (size_t i = 0; i < COUNT_OF(sizes); i++) {
        send_header(*state, id, TTRPC_REQUEST, sizes[i]);
        harness_expect_failure(*state, id, STATUS_RESOURCE_EXHAUSTED, "73728");
        harness_send_data(*state, id, "x", 0); /* the first bytes of what is skipped */
        send_zeros(*state, sizes[i] - TTRPC_HEADER_SIZE - 1);
        harness_send_data(*state, id, "its call has ended", 0);
        harness_expect_service(*state, id + 2);
        id += 4;
    }
}

static void oversize_data_ends_its_call(void **state)
{
    struct harness *harness = *state;
    harness_send_request(harness, 1, "Chat", "", TTRPC_REMOTE_OPEN);
    send_header(harness, 1, TTRPC_DATA, TTRPC_DATA_MAX + 1);
    harness_expect_failure(harness, 1, STATUS_RESOURCE_EXHAUSTED, "max-message-size");
    send_zeros(harness, TTRPC_DATA_MAX + 1);
    harness_expect_service(harness, 3);
}

static void oversize_frames_of_no_stream_are_skipped(void **state)
{
    struct harness *harness = *state;
    send_header(harness, 9, TTRPC_DATA, largest_frame() + 1);
    harness_expect_failure(harness, 9, STATUS_INVALID_ARGUMENT, "no request has opened");
    send_zeros(harness, largest_frame() + 1);
    send_header(harness, 1, 77, largest_frame() + 1);
    send_zeros(harness, largest_frame() + 1);
    send_header(harness, 2, TTRPC_REQUEST, largest_frame() + 1);
    harness_expect_failure(harness, 2, STATUS_INVALID_ARGUMENT, "odd");
    send_zeros(harness, largest_frame() + 1);
    harness_expect_service(harness, 1);
}

static void an_answer_that_does_not_fit_is_a_failure(void **state)
{
    struct harness *harness = *state;
    harness->host.output_max = (size_t)64 * 1024 * 1024;
    harness_connect(harness);
    harness_send_request(harness, 1, "Big", "4194200", 0);
    harness_expect_reply(harness, 1, NULL);
    harness_send_request(harness, 3, "Big", "4194305", 0);
    harness_expect_failure(harness, 3, STATUS_RESOURCE_EXHAUSTED, "does not fit");
}

static void a_first_byte_that_is_not_zero_closes(void **state)
{
    struct harness *harness = *state;
    harness_send_request(harness, 1, "Silent", "", 0);
    harness_expect_service(harness, 3);
    send_header(harness, 5, TTRPC_REQUEST, 0x01000000);
    HARNESS_WAIT(harness, harness->is_ended);
    assert_int_equal(harness->metrics.protocol_errors, 1);
    assert_int_equal(fake.cancelled, 1);
}

/* Time and turns */

static void bytes_may_come_one_at_a_time(void **state)
{
    struct harness *harness = *state;
    size_t length = 0;
    uint8_t *request = harness_request(1, "Chat", "hello", TTRPC_REMOTE_OPEN, &length);
    for (size_t i = 0; i < length; i++) {
        assert_int_equal(fake.started, 0);
        harness_send(harness, request + i, 1);
        harness_turn(harness);
    }
    harness_expect_data(harness, 1, "hello");
    free(request);
}

/* Whatever part of a conversation has arrived when the peer goes, every call ends once. */
static void a_connection_may_end_at_every_byte(void **state)
{
    struct harness *harness = *state;
    uint8_t script[512];
    size_t length = 0;
    static const struct {
        const char *method;
        uint8_t flags;
    } steps[] = {{"Echo", 0}, {"Silent", 0}, {"Chat", TTRPC_REMOTE_OPEN}, {"Watch", 0}};
    for (size_t i = 0; i < COUNT_OF(steps); i++) {
        size_t size = 0;
        uint8_t *frame =
            harness_request((uint32_t)(2 * i + 1), steps[i].method, "text", steps[i].flags, &size);
        assert_true(length + size <= sizeof(script));
        memcpy(script + length, frame, size);
        length += size;
        free(frame);
    }
    for (size_t cut = 0; cut <= length; cut++) {
        harness_connect(harness);
        harness_send(harness, script, cut);
        harness_hang_up(harness);
        HARNESS_WAIT(harness, harness->host.count == 0);
        assert_int_equal(fake.started, fake.answered + fake.cancelled);
        assert_int_equal(fake.sessions, fake.destroyed);
    }
    assert_true(fake.cancelled > 0);
}

/* All that was sent before the end is served; only then the connection counts as gone. */
static void requests_before_the_end_are_served(void **state)
{
    struct harness *harness = *state;
    for (uint32_t i = 0; i < 500; i++) {
        harness_send_request(harness, 2 * i + 1, "Echo", "x", 0);
    }
    assert_int_equal(shutdown(harness->peer, SHUT_WR), 0);
    for (uint32_t i = 0; i < 500; i++) {
        harness_expect_reply(harness, 2 * i + 1, "x");
    }
    HARNESS_WAIT(harness, harness->is_ended);
}

static void one_turn_serves_a_part_of_a_long_queue(void **state)
{
    struct harness *harness = *state;
    size_t most = 0;
    uint8_t *all = NULL;
    size_t length = 0;
    for (uint32_t i = 0; i < 300; i++) {
        size_t size = 0;
        uint8_t *frame = harness_request(2 * i + 1, "Echo", "x", 0, &size);
        all = realloc(all, length + size);
        memcpy(all + length, frame, size);
        length += size;
        free(frame);
    }
    harness_send(harness, all, length);
    free(all);
    while (fake.started < 300) {
        size_t before = fake.started;
        harness_turn(harness);
        most = fake.started - before > most ? fake.started - before : most;
    }
    assert_int_equal(most, 64);
    for (uint32_t i = 0; i < 300; i++) {
        harness_expect_reply(harness, 2 * i + 1, "x");
    }
}

/* Back-pressure */

static void a_peer_that_does_not_read_is_not_read_either(void **state)
{
    struct harness *harness = *state;
    uint32_t sent = 0;
    size_t served = 0;
    harness->is_deaf = true;
    while (sent < 100) {
        harness_send_request(harness, 2 * sent + 1, "Big", "30000", 0);
        sent++;
    }
    harness_calm_down(harness);
    served = fake.answered;
    assert_true(served < 60); /* half of the allowed output, and what the kernel took */
    assert_true(served * 30000 > HARNESS_OUTPUT_MAX / 2);
    assert_false(harness->is_ended);
    harness->is_deaf = false;
    for (uint32_t i = 0; i < sent; i++) {
        harness_expect_reply(harness, 2 * i + 1, NULL);
    }
    assert_int_equal(harness->metrics.slow_clients_closed, 0);
}

static void output_past_its_limit_closes(void **state)
{
    struct harness *harness = *state;
    char *text = calloc(1, 60001);
    memset(text, 'x', 60000);
    harness_send_request(harness, 1, "Chat", "", TTRPC_REMOTE_OPEN);
    harness_expect_service(harness, 3);
    harness->is_deaf = true;
    for (int i = 0; i < 40 && harness->host.count > 0; i++) {
        fake_send(fake_session(), text);
        harness_turn(harness);
    }
    assert_int_equal(harness->host.count, 0);
    assert_int_equal(harness->metrics.slow_clients_closed, 1);
    assert_int_equal(fake.cancelled, 1);
    free(text);
}

/* The end of connections */

static void what_is_in_flight_is_cancelled_once(void **state)
{
    struct harness *harness = *state;
    for (uint32_t i = 0; i < 50; i++) {
        harness_send_request(harness, 2 * i + 1, i % 2 == 0 ? "Silent" : "Chat", "",
                             i % 2 == 0 ? 0 : TTRPC_REMOTE_OPEN);
    }
    harness_expect_service(harness, 101);
    harness_hang_up(harness);
    HARNESS_WAIT(harness, harness->host.count == 0);
    assert_int_equal(fake.cancelled, 50);
}

static void shutting_down_answers_what_is_in_flight(void **state)
{
    struct harness *harness = *state;
    harness_send_request(harness, 1, "Silent", "", 0);
    harness_send_request(harness, 3, "Chat", "", TTRPC_REMOTE_OPEN);
    harness_expect_service(harness, 5);
    connection_shut_down(LIST_FIRST(&harness->host.connections));
    harness_expect_failure(harness, 3, STATUS_UNAVAILABLE, "shutting down");
    harness_expect_failure(harness, 1, STATUS_UNAVAILABLE, "shutting down");
    HARNESS_WAIT(harness, harness->is_ended);
    assert_int_equal(fake.shut_downs, 1);
    assert_int_equal(harness->host.count, 0);
}

static void a_connection_is_idle_between_calls(void **state)
{
    struct harness *harness = *state;
    struct connection *connection = LIST_FIRST(&harness->host.connections);
    assert_true(connection_is_idle(connection));
    harness_send_request(harness, 1, "Silent", "", 0);
    HARNESS_WAIT(harness, fake.started == 1);
    assert_false(connection_is_idle(connection));
    fake_answer_silent(fake_session(), "");
    harness_expect_reply(harness, 1, "");
    assert_true(connection_is_idle(connection));
    harness_send(harness, "\0", 1);
    harness_turn(harness);
    harness_turn(harness);
    assert_false(connection_is_idle(connection));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, harness_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_unary_call_is_answered_with_one_response),
        TEST(an_empty_payload_is_a_message_of_a_unary_call),
        TEST(a_failure_has_status_and_text),
        TEST(an_unknown_method_is_refused),
        TEST(a_server_stream_ends_with_an_empty_data_frame),
        TEST(a_client_stream_ends_with_one_response),
        TEST(an_empty_payload_is_no_message_of_a_client_stream),
        TEST(a_stream_both_ways),
        TEST(a_stream_fails_with_a_response),
        TEST(a_streaming_method_may_be_called_with_one_message),
        TEST(the_last_message_may_close),
        TEST(closing_without_bytes_is_no_message),
        TEST(an_empty_data_frame_is_an_empty_message),
        TEST(calls_are_answered_in_the_order_of_their_ends),
        TEST(the_timeout_reaches_the_session),
        TEST(even_ids_are_refused),
        TEST(ids_must_rise),
        TEST(an_id_in_use_is_refused_and_its_call_goes_on),
        TEST(open_and_closed_at_once_is_refused),
        TEST(a_broken_envelope_is_refused),
        TEST(types_of_the_future_are_ignored),
        TEST(data_for_streams_that_were_never_opened_is_refused),
        TEST(data_for_ended_streams_is_ignored),
        TEST(a_message_after_the_end_ends_a_stream),
        TEST(data_on_a_unary_call_is_ignored),
        TEST(no_data_with_data_ends_the_call),
        TEST(a_request_as_large_as_allowed_is_served),
        TEST(the_limit_of_a_frame_is_exact),
        TEST(oversize_requests_are_refused_and_skipped),
        TEST(oversize_data_ends_its_call),
        TEST(oversize_frames_of_no_stream_are_skipped),
        TEST(an_answer_that_does_not_fit_is_a_failure),
        TEST(a_first_byte_that_is_not_zero_closes),
        TEST(bytes_may_come_one_at_a_time),
        TEST(a_connection_may_end_at_every_byte),
        TEST(requests_before_the_end_are_served),
        TEST(one_turn_serves_a_part_of_a_long_queue),
        TEST(a_peer_that_does_not_read_is_not_read_either),
        TEST(output_past_its_limit_closes),
        TEST(what_is_in_flight_is_cancelled_once),
        TEST(shutting_down_answers_what_is_in_flight),
        TEST(a_connection_is_idle_between_calls),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
