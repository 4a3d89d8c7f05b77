/* SPDX-License-Identifier: Apache-2.0 */
#include "transport/grpc_connection.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/compiler.h"
#include "fake_session.h"
#include "grpc_peer.h"
#include "harness.h"

static int set_up(void **state)
{
    struct grpc_peer *peer = malloc(sizeof(*peer));
    void *harness = NULL;
    harness_set_up(&harness);
    ((struct harness *)harness)->services.config.session_calls_max = 1000;
    grpc_peer_start(peer, harness);
    *state = peer;
    return 0;
}

static int tear_down(void **state)
{
    struct grpc_peer *peer = *state;
    void *harness = peer->harness;
    grpc_peer_stop(peer);
    free(peer);
    return harness_tear_down(&harness);
}

static struct connection *connection_of(struct grpc_peer *peer)
{
    return LIST_FIRST(&peer->harness->host.connections);
}

static void turn_some(struct grpc_peer *peer, int turns)
{
    for (int i = 0; i < turns; i++) {
        grpc_peer_turn(peer);
    }
}

/* Calls of every shape */

static void a_unary_call_is_answered(void **state)
{
    struct grpc_peer *peer = *state;
    int32_t first = grpc_peer_call(peer, "Echo", "hello");
    int32_t second = grpc_peer_call(peer, "Echo", "");
    grpc_peer_expect_message(peer, first, "hello");
    grpc_peer_expect_status(peer, first, STATUS_OK, "");
    grpc_peer_expect_message(peer, second, "");
    grpc_peer_expect_status(peer, second, STATUS_OK, "");
    assert_int_equal(fake.started, 2);
    assert_int_equal(fake.messages, 2);
}

static void a_failure_is_one_header(void **state)
{
    struct grpc_peer *peer = *state;
    int32_t id = grpc_peer_call(peer, "Fail", "");
    grpc_peer_expect_status(peer, id, STATUS_NOT_FOUND, "no such thing");
    id = grpc_peer_call(peer, "Nothing", "");
    grpc_peer_expect_status(peer, id, STATUS_UNIMPLEMENTED, "no such method");
    grpc_peer_expect_service(peer);
}

/* Clients of such methods end their side at once; that is not the end of their interest. */
static void a_server_stream_is_not_half_closed(void **state)
{
    struct grpc_peer *peer = *state;
    int32_t id = grpc_peer_call(peer, "Watch", "");
    grpc_peer_expect_message(peer, id, "one");
    grpc_peer_expect_message(peer, id, "two");
    grpc_peer_expect_status(peer, id, STATUS_OK, "");
    id = grpc_peer_call(peer, "Silent", "");
    turn_some(peer, 10);
    assert_int_equal(fake.half_closes, 0);
    fake_answer_silent(fake_session(), "late");
    grpc_peer_expect_message(peer, id, "late");
}

static void a_client_stream_ends_with_one_message(void **state)
{
    struct grpc_peer *peer = *state;
    int32_t id = grpc_peer_open(peer, "Collect", NULL);
    grpc_peer_send(peer, id, "a", false);
    turn_some(peer, 5);
    grpc_peer_send(peer, id, "b", false);
    grpc_peer_send(peer, id, "c", false);
    turn_some(peer, 5);
    grpc_peer_send_bytes(peer, id, NULL, 0, true);
    grpc_peer_expect_message(peer, id, "abc");
    grpc_peer_expect_status(peer, id, STATUS_OK, "");
    assert_int_equal(fake.half_closes, 1);
}

static void a_stream_both_ways(void **state)
{
    struct grpc_peer *peer = *state;
    int32_t id = grpc_peer_open(peer, "Chat", NULL);
    grpc_peer_send(peer, id, "hello", false);
    grpc_peer_expect_message(peer, id, "hello");
    fake_send(fake_session(), "out of turn");
    grpc_peer_expect_message(peer, id, "out of turn");
    grpc_peer_send(peer, id, "bye", true);
    grpc_peer_expect_message(peer, id, "bye");
    grpc_peer_expect_status(peer, id, STATUS_OK, "");
}

/* The client has not ended its side: without a word from the server it never would. */
static void a_stream_that_fails_is_closed_on_both_sides(void **state)
{
    struct grpc_peer *peer = *state;
    int32_t id = grpc_peer_open(peer, "Break", NULL);
    grpc_peer_send(peer, id, "x", false);
    grpc_peer_expect_status(peer, id, STATUS_ABORTED, "broken");
    grpc_peer_expect_service(peer);
}

static void an_end_without_a_message_is_passed_on(void **state)
{
    struct grpc_peer *peer = *state;
    int32_t id = grpc_peer_open(peer, "Chat", NULL);
    grpc_peer_send_bytes(peer, id, NULL, 0, true);
    grpc_peer_expect_status(peer, id, STATUS_OK, "");
    assert_int_equal(fake.half_closes, 1);
    assert_int_equal(fake.messages, 0);
}

static void the_timeout_reaches_the_session(void **state)
{
    struct grpc_peer *peer = *state;
    int32_t id = grpc_peer_open(peer, "Echo", "1500m");
    grpc_peer_send(peer, id, "x", true);
    grpc_peer_expect_message(peer, id, "x");
    assert_int_equal(fake.timeout_us, 1500000);
    id = grpc_peer_open(peer, "Echo", "soon");
    grpc_peer_expect_status(peer, id, STATUS_INVALID_ARGUMENT, "grpc-timeout");
    assert_int_equal(fake.started, 1);
}

static void a_cancelled_call_is_taken_back_once(void **state)
{
    struct grpc_peer *peer = *state;
    int32_t id = grpc_peer_call(peer, "Silent", "");
    GRPC_PEER_WAIT(peer, fake.messages == 1);
    grpc_peer_cancel(peer, id);
    GRPC_PEER_WAIT(peer, fake.cancelled == 1);
    grpc_peer_expect_service(peer);
    fake_answer_silent(fake_session(), "too late");
    assert_int_equal(fake.answered, 1);
}

/* Messages in pieces */

static void messages_may_come_in_any_pieces(void **state)
{
    static const char bytes[] = "\0\0\0\0\1a\0\0\0\0\0\0\0\0\0\2bc";
    struct grpc_peer *peer = *state;
    for (size_t cut = 1; cut < sizeof(bytes) - 1; cut++) {
        int32_t id = grpc_peer_open(peer, "Collect", NULL);
        grpc_peer_send_bytes(peer, id, bytes, cut, false);
        turn_some(peer, 3);
        grpc_peer_send_bytes(peer, id, bytes + cut, sizeof(bytes) - 1 - cut, true);
        grpc_peer_expect_message(peer, id, "abc");
        grpc_peer_expect_status(peer, id, STATUS_OK, "");
    }
    assert_int_equal(fake.messages, 3 * (sizeof(bytes) - 2));
}

static void a_message_as_large_as_allowed_is_served(void **state)
{
    struct grpc_peer *peer = *state;
    char *text = malloc(HARNESS_MESSAGE_MAX + 1);
    memset(text, 'x', HARNESS_MESSAGE_MAX);
    text[HARNESS_MESSAGE_MAX] = '\0';
    int32_t id = grpc_peer_call(peer, "Echo", text);
    grpc_peer_expect_message(peer, id, text);
    grpc_peer_expect_status(peer, id, STATUS_OK, "");
    free(text);
}

static void a_larger_message_is_refused_by_its_prefix(void **state)
{
    struct grpc_peer *peer = *state;
    int32_t id = grpc_peer_open(peer, "Echo", NULL);
    grpc_peer_send_bytes(peer, id, "\0\0\1\0\1", 5, false);
    grpc_peer_expect_status(peer, id, STATUS_RESOURCE_EXHAUSTED, "65537 bytes");
    grpc_peer_expect_service(peer);
}

static void what_is_no_message_is_refused(void **state)
{
    static const struct {
        const char *bytes;
        size_t length;
        enum status status;
        const char *text;
    } samples[] = {
        {"\1\0\0\0\1x", 6, STATUS_UNIMPLEMENTED, "compressed"},
        {"\2\0\0\0\1x", 6, STATUS_INTERNAL, "first byte"},
        {"\0\0\0", 3, STATUS_INTERNAL, "within a message"},
        {"\0\0\0\0\2x", 6, STATUS_INTERNAL, "within a message"},
    };
    struct grpc_peer *peer = *state;
    for (size_t i = 0; i < COUNT_OF(samples); i++) {
        int32_t id = grpc_peer_open(peer, "Echo", NULL);
        grpc_peer_send_bytes(peer, id, samples[i].bytes, samples[i].length, true);
        grpc_peer_expect_status(peer, id, samples[i].status, samples[i].text);
    }
    grpc_peer_expect_service(peer);
}

/* All streams together may not keep more than so much of messages that they have begun. */
static void unfinished_messages_have_a_limit(void **state)
{
    struct grpc_peer *peer = *state;
    static uint8_t part[60000] = {0, 0, 1, 0, 0};
    size_t refused = 0;
    for (int i = 0; i < 100; i++) {
        int32_t id = grpc_peer_open(peer, "Chat", NULL);
        grpc_peer_send_bytes(peer, id, part, sizeof(part), false);
        turn_some(peer, 5);
    }
    for (int32_t id = 1; id < 200; id += 2) {
        const struct grpc_answer *answer = grpc_peer_answer(peer, id);
        refused += answer->status == STATUS_RESOURCE_EXHAUSTED &&
                   strstr(answer->text, "too many messages") != NULL;
    }
    assert_in_range(refused, 100 - 4 * 1024 * 1024 / 60000 - 1, 100 - 4 * 1024 * 1024 / 60000);
    grpc_peer_expect_service(peer);
}

/* Clients that do not read */

/* The client's window for the stream is full: what is sent on it waits, and its requests do, too.
 */
static void a_stream_that_is_not_read_is_not_listened_to(void **state)
{
    struct grpc_peer *peer = *state;
    char text[1001];
    memset(text, 'x', 1000);
    text[1000] = '\0';
    peer->is_deaf = true;
    int32_t id = grpc_peer_open(peer, "Chat", NULL);
    for (int i = 0; i < 400; i++) {
        grpc_peer_send(peer, id, text, false);
    }
    turn_some(peer, 100);
    size_t messages = fake.messages;
    assert_in_range(messages, 65, 200);
    turn_some(peer, 20);
    assert_int_equal(fake.messages, messages);
    grpc_peer_expect_service(peer);
    grpc_peer_send_bytes(peer, id, NULL, 0, true);
    grpc_peer_listen(peer, id);
    for (int i = 0; i < 400; i++) {
        grpc_peer_expect_message(peer, id, text);
    }
    grpc_peer_expect_status(peer, id, STATUS_OK, "");
}

static void what_piles_up_on_a_stream_ends_it(void **state)
{
    struct grpc_peer *peer = *state;
    char text[10001];
    memset(text, 'x', 10000);
    text[10000] = '\0';
    peer->is_deaf = true;
    int32_t id = grpc_peer_open(peer, "Chat", NULL);
    grpc_peer_send(peer, id, "hello", false);
    grpc_peer_expect_message(peer, id, "hello");
    for (int i = 0; i < 100 && !grpc_peer_answer(peer, id)->is_closed; i++) {
        fake_send(fake_session(), text);
        turn_some(peer, 2);
    }
    assert_true(grpc_peer_answer(peer, id)->is_closed);
    assert_int_equal(grpc_peer_answer(peer, id)->error, 0xb); /* ENHANCE_YOUR_CALM */
    assert_int_equal(fake.cancelled, 1);
    grpc_peer_expect_service(peer);
}

/* The service may send on and end the call before the stream is reset. */
static void a_stream_may_end_while_it_overflows(void **state)
{
    struct grpc_peer *peer = *state;
    char text[10001];
    memset(text, 'x', 10000);
    text[10000] = '\0';
    int32_t id = grpc_peer_open(peer, "Chat", NULL);
    grpc_peer_send(peer, id, "hello", false);
    grpc_peer_expect_message(peer, id, "hello");
    for (int i = 0; i < 40; i++) {
        fake_send(fake_session(), text);
    }
    session_abort_call(LIST_FIRST(&fake_session()->calls), STATUS_ABORTED, "over");
    GRPC_PEER_WAIT(peer, grpc_peer_answer(peer, id)->is_closed);
    assert_int_equal(grpc_peer_answer(peer, id)->error, 0xb);
    assert_int_equal(fake.answered, 1);
    grpc_peer_expect_service(peer);
}

static void what_piles_up_on_all_streams_ends_the_connection(void **state)
{
    struct grpc_peer *peer = *state;
    peer->is_deaf = true;
    for (int i = 0; i < 20; i++) {
        grpc_peer_call(peer, "Silent", "");
    }
    GRPC_PEER_WAIT(peer, fake.messages == 20);
    char *text = malloc(200001);
    memset(text, 'x', 200000);
    text[200000] = '\0';
    fake_answer_silent(fake_session(), text);
    GRPC_PEER_WAIT(peer, peer->harness->is_ended);
    assert_int_equal(peer->harness->metrics.slow_clients_closed, 1);
    free(text);
}

/* Before that, no more requests are begun. */
static void requests_are_refused_when_much_is_queued(void **state)
{
    struct grpc_peer *peer = *state;
    peer->is_deaf = true;
    for (int i = 0; i < 3; i++) {
        int32_t id = grpc_peer_call(peer, "Big", "260000");
        GRPC_PEER_WAIT(peer, grpc_peer_answer(peer, id)->length > 60000);
    }
    int32_t id = grpc_peer_call(peer, "Echo", "x");
    GRPC_PEER_WAIT(peer, grpc_peer_answer(peer, id)->is_closed);
    assert_int_equal(grpc_peer_answer(peer, id)->error, 0x7); /* REFUSED_STREAM: try again */
    assert_int_equal(fake.started, 3);
    for (int32_t slow = 1; slow < 6; slow += 2) {
        grpc_peer_listen(peer, slow);
        grpc_peer_expect_message(peer, slow, NULL);
        grpc_peer_expect_status(peer, slow, STATUS_OK, "");
    }
    grpc_peer_expect_service(peer);
}

static void an_answer_that_does_not_fit_is_a_failure(void **state)
{
    struct grpc_peer *peer = *state;
    grpc_peer_stop(peer);
    peer->harness->host.output_max = (size_t)64 * 1024 * 1024;
    grpc_peer_start(peer, peer->harness);
    int32_t id = grpc_peer_call(peer, "Big", "4194200");
    grpc_peer_expect_message(peer, id, NULL);
    grpc_peer_expect_status(peer, id, STATUS_OK, "");
    id = grpc_peer_call(peer, "Big", "4194305");
    grpc_peer_expect_status(peer, id, STATUS_RESOURCE_EXHAUSTED, "does not fit");
}

static void a_socket_that_is_not_read_is_not_read_either(void **state)
{
    struct grpc_peer *peer = *state;
    grpc_peer_widen(peer);
    grpc_peer_expect_service(peer);
    peer->harness->is_deaf = true;
    for (int i = 0; i < 200; i++) {
        grpc_peer_call(peer, "Big", "20000");
    }
    turn_some(peer, 50);
    size_t answered = fake.answered;
    assert_in_range(answered, 10, 199);
    turn_some(peer, 20);
    assert_int_equal(fake.answered, answered);
    peer->harness->is_deaf = false;
    for (int32_t id = 3; id < 403; id += 2) {
        grpc_peer_expect_message(peer, id, NULL);
        grpc_peer_expect_status(peer, id, STATUS_OK, "");
    }
}

/* Signs of life, and floods */

/* With nothing to do the loop sleeps. */
static void an_idle_connection_costs_no_turn(void **state)
{
    struct grpc_peer *peer = *state;
    grpc_peer_expect_service(peer);
    turn_some(peer, 10);
    int64_t before_us = clock_now_us();
    loop_turn(peer->harness->loop, 20 * CLOCK_US_PER_MS);
    assert_true(clock_now_us() - before_us >= 15 * CLOCK_US_PER_MS);
}

static void a_silent_client_is_asked_for_a_sign(void **state)
{
    struct grpc_peer *peer = *state;
    grpc_peer_stop(peer);
    peer->harness->host.ping_after_us = 20 * CLOCK_US_PER_MS;
    grpc_peer_start(peer, peer->harness);
    grpc_peer_expect_service(peer);
    GRPC_PEER_WAIT(peer, peer->pings >= 3);
    grpc_peer_expect_service(peer);
}

static void a_client_without_a_sign_is_gone(void **state)
{
    struct grpc_peer *peer = *state;
    grpc_peer_stop(peer);
    peer->harness->host.ping_after_us = 20 * CLOCK_US_PER_MS;
    grpc_peer_start(peer, peer->harness);
    grpc_peer_call(peer, "Silent", "");
    GRPC_PEER_WAIT(peer, fake.messages == 1);
    HARNESS_WAIT(peer->harness, peer->harness->is_ended);
    assert_int_equal(fake.cancelled, 1);
    assert_int_equal(peer->harness->host.count, 0);
}

static void honest_cancels_are_not_punished(void **state)
{
    struct grpc_peer *peer = *state;
    for (int i = 0; i < 500; i++) {
        int32_t id = grpc_peer_open(peer, "Silent", NULL);
        grpc_peer_turn(peer);
        grpc_peer_cancel(peer, id);
    }
    grpc_peer_expect_service(peer);
    assert_false(peer->is_going);
}

static void frames_that_bring_no_work_have_a_limit(void **state)
{
    static const uint8_t empty[] = {0, 0, 0, 0, 0, 0, 0, 0, 1};
    struct grpc_peer *peer = *state;
    struct harness *harness = peer->harness;
    grpc_peer_open(peer, "Chat", NULL);
    GRPC_PEER_WAIT(peer, fake.started == 1);
    for (int i = 0; i < 19000; i++) {
        harness_send(harness, empty, sizeof(empty));
    }
    grpc_peer_expect_service(peer);
    for (int i = 0; i < 200000 && !harness->is_ended; i++) {
        harness_send(harness, empty, sizeof(empty));
    }
    HARNESS_WAIT(harness, harness->is_ended);
    assert_int_equal(harness->metrics.protocol_errors, 1);
    assert_int_equal(fake.cancelled, 1);
}

static void one_turn_serves_a_part_of_a_long_queue(void **state)
{
    struct grpc_peer *peer = *state;
    for (int i = 0; i < 400; i++) {
        grpc_peer_call(peer, "Echo", "x");
    }
    GRPC_PEER_WAIT(peer, fake.answered > 0);
    assert_in_range(fake.answered, 1, 399);
    for (int32_t id = 1; id < 800; id += 2) {
        grpc_peer_expect_message(peer, id, "x");
        grpc_peer_expect_status(peer, id, STATUS_OK, "");
    }
}

/* The end */

static void parting_has_two_steps(void **state)
{
    struct grpc_peer *peer = *state;
    struct connection *connection = connection_of(peer);
    int32_t id = grpc_peer_call(peer, "Silent", "");
    GRPC_PEER_WAIT(peer, fake.messages == 1);
    connection_drain(connection);
    connection_drain(connection);
    GRPC_PEER_WAIT(peer, peer->is_going);
    assert_int_equal(peer->last_id, INT32_MAX);
    assert_false(connection_is_idle(connection));
    GRPC_PEER_WAIT(peer, peer->last_id == id);
    assert_false(connection_is_idle(connection));
    fake_answer_silent(fake_session(), "at last");
    grpc_peer_expect_message(peer, id, "at last");
    grpc_peer_expect_status(peer, id, STATUS_OK, "");
    HARNESS_WAIT(peer->harness, peer->harness->is_ended);
}

/* It would hang up, and lose the lease. */
static void who_holds_between_calls_is_not_told_to_go(void **state)
{
    struct grpc_peer *peer = *state;
    struct connection *connection = connection_of(peer);
    grpc_peer_expect_service(peer);
    fake_session()->lease_count = 1;
    connection_drain(connection);
    turn_some(peer, 50);
    assert_false(peer->is_going);
    fake_session()->lease_count = 0;
    connection_drain(connection);
    GRPC_PEER_WAIT(peer, peer->is_going);
    HARNESS_WAIT(peer->harness, peer->harness->is_ended);
}

static void shutting_down_answers_what_is_in_flight(void **state)
{
    struct grpc_peer *peer = *state;
    int32_t first = grpc_peer_call(peer, "Silent", "");
    int32_t second = grpc_peer_open(peer, "Chat", NULL);
    grpc_peer_send(peer, second, "x", false);
    grpc_peer_expect_message(peer, second, "x");
    connection_shut_down(connection_of(peer));
    grpc_peer_expect_status(peer, first, STATUS_UNAVAILABLE, "shutting down");
    grpc_peer_expect_status(peer, second, STATUS_UNAVAILABLE, "shutting down");
    assert_true(peer->is_going);
    HARNESS_WAIT(peer->harness, peer->harness->is_ended);
}

static void what_is_in_flight_is_cancelled_once(void **state)
{
    struct grpc_peer *peer = *state;
    for (int i = 0; i < 200; i++) {
        grpc_peer_call(peer, i % 2 == 0 ? "Silent" : "Collect", "x");
        grpc_peer_send(peer, grpc_peer_open(peer, "Chat", NULL), "x", false);
    }
    GRPC_PEER_WAIT(peer, fake.messages == 400);
    harness_hang_up(peer->harness);
    HARNESS_WAIT(peer->harness, peer->harness->host.count == 0);
    assert_int_equal(fake.cancelled, 300);
}

static void a_preface_of_nonsense_closes(void **state)
{
    static const char nonsense[] = "PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n";
    struct grpc_peer *peer = *state;
    harness_connect(peer->harness);
    harness_send(peer->harness, nonsense, sizeof(nonsense) - 1);
    HARNESS_WAIT(peer->harness, peer->harness->is_ended);
    assert_int_equal(peer->harness->metrics.protocol_errors, 1);
    peer->harness->length = 0;
}

static void half_a_greeting_is_closed_in_time(void **state)
{
    struct grpc_peer *peer = *state;
    peer->harness->host.handshake_timeout_us = 50 * CLOCK_US_PER_MS;
    harness_connect(peer->harness);
    harness_send(peer->harness, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 24);
    HARNESS_WAIT(peer->harness, peer->harness->is_ended);
    assert_int_equal(peer->harness->metrics.protocol_errors, 1);
    peer->harness->length = 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_unary_call_is_answered),
        TEST(a_failure_is_one_header),
        TEST(a_server_stream_is_not_half_closed),
        TEST(a_client_stream_ends_with_one_message),
        TEST(a_stream_both_ways),
        TEST(a_stream_that_fails_is_closed_on_both_sides),
        TEST(an_end_without_a_message_is_passed_on),
        TEST(the_timeout_reaches_the_session),
        TEST(a_cancelled_call_is_taken_back_once),
        TEST(messages_may_come_in_any_pieces),
        TEST(a_message_as_large_as_allowed_is_served),
        TEST(a_larger_message_is_refused_by_its_prefix),
        TEST(what_is_no_message_is_refused),
        TEST(unfinished_messages_have_a_limit),
        TEST(a_stream_that_is_not_read_is_not_listened_to),
        TEST(what_piles_up_on_a_stream_ends_it),
        TEST(a_stream_may_end_while_it_overflows),
        TEST(what_piles_up_on_all_streams_ends_the_connection),
        TEST(requests_are_refused_when_much_is_queued),
        TEST(an_answer_that_does_not_fit_is_a_failure),
        TEST(a_socket_that_is_not_read_is_not_read_either),
        TEST(an_idle_connection_costs_no_turn),
        TEST(a_silent_client_is_asked_for_a_sign),
        TEST(a_client_without_a_sign_is_gone),
        TEST(honest_cancels_are_not_punished),
        TEST(frames_that_bring_no_work_have_a_limit),
        TEST(one_turn_serves_a_part_of_a_long_queue),
        TEST(parting_has_two_steps),
        TEST(who_holds_between_calls_is_not_told_to_go),
        TEST(shutting_down_answers_what_is_in_flight),
        TEST(what_is_in_flight_is_cancelled_once),
        TEST(a_preface_of_nonsense_closes),
        TEST(half_a_greeting_is_closed_in_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
