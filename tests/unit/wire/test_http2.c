/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/http2.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/compiler.h"

#define HEADER_LIST_MAX 500
#define STREAMS_MAX     20
#define OUTPUT_SIZE     ((size_t)256 * 1024)

enum { DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE };
enum { END_STREAM = 1, ACK = 1, END_HEADERS = 4 };

/* A connection, what its events said, and what it wrote. */
struct fixture {
    struct http2 *http2;
    char log[4096];
    const char *body; /* of every answer; NULL: none yet */
    bool is_refusing;
    uint8_t *output;
    size_t length;
    size_t at; /* of what was looked at */
};

static const struct http2_config config = {.streams_max = STREAMS_MAX,
                                           .header_list_max = HEADER_LIST_MAX,
                                           .connection_window = 1024 * 1024};

static void note(struct fixture *fixture, const char *what, const void *bytes, size_t length)
{
    size_t used = strlen(fixture->log);
    assert_true(used + strlen(what) + length + 2 < sizeof(fixture->log));
    memcpy(fixture->log + used, what, strlen(what));
    used += strlen(what);
    if (length > 0) {
        memcpy(fixture->log + used, bytes, length);
    }
    fixture->log[used + length] = ' ';
}

static void assert_heard(struct fixture *fixture, const char *log)
{
    assert_string_equal(fixture->log, log);
    memset(fixture->log, 0, sizeof(fixture->log));
}

static int32_t id_of(const void *stream)
{
    return (int32_t)(intptr_t)stream;
}

static void *on_open(void *user, int32_t id)
{
    struct fixture *fixture = user;
    note(fixture, "open", "", 0);
    return fixture->is_refusing ? NULL : (void *)(intptr_t)id;
}

static void on_field(void *user, void *stream, const char *name, size_t name_length,
                     const char *value, size_t value_length)
{
    (void)stream;
    (void)value;
    (void)value_length;
    note(user, "", name, name_length);
}

static void on_request(void *user, void *stream, bool is_whole)
{
    (void)stream;
    note(user, is_whole ? "request" : "cut", "", 0);
}

static void on_data(void *user, void *stream, const uint8_t *bytes, size_t length)
{
    (void)stream;
    note(user, "data=", bytes, length);
}

static void on_half_close(void *user, void *stream)
{
    (void)stream;
    note(user, "half", "", 0);
}

static void on_close(void *user, void *stream)
{
    (void)stream;
    note(user, "close", "", 0);
}

static size_t on_pull(void *user, void *stream, uint8_t *bytes, size_t size, bool *is_last)
{
    static const struct http2_field trailers[] = {{"grpc-status", "0", 1}};
    struct fixture *fixture = user;
    if (fixture->body == NULL) {
        return 0;
    }
    size_t length = strlen(fixture->body);
    assert_true(length <= size);
    memcpy(bytes, fixture->body, length);
    http2_send_trailers(fixture->http2, id_of(stream), trailers, COUNT_OF(trailers));
    *is_last = true;
    return length;
}

static const struct http2_events events = {
    .on_open = on_open,
    .on_field = on_field,
    .on_request = on_request,
    .on_data = on_data,
    .on_half_close = on_half_close,
    .on_close = on_close,
    .on_pull = on_pull,
};

static bool give(struct fixture *fixture, const void *bytes, size_t length)
{
    return http2_receive(fixture->http2, bytes, length);
}

static bool send_frame(struct fixture *fixture, uint8_t type, uint8_t flags, uint32_t id,
                       const void *payload, size_t length)
{
    uint8_t header[9] = {
        (uint8_t)(length >> 16), (uint8_t)(length >> 8), (uint8_t)length,    type,       flags,
        (uint8_t)(id >> 24),     (uint8_t)(id >> 16),    (uint8_t)(id >> 8), (uint8_t)id};
    return give(fixture, header, sizeof(header)) && give(fixture, payload, length);
}

/* :method POST, :scheme http, :path / of the static table, and an :authority. */
static void send_request(struct fixture *fixture, uint32_t id, uint8_t flags)
{
    assert_true(send_frame(fixture, HEADERS, flags | END_HEADERS, id, "\x83\x86\x84\1\1a", 6));
}

static void flush(struct fixture *fixture)
{
    const uint8_t *bytes = NULL;
    size_t length = 0;
    do {
        assert_true(http2_produce(fixture->http2, &bytes, &length));
        assert_true(fixture->length + length <= OUTPUT_SIZE);
        if (length > 0) {
            memcpy(fixture->output + fixture->length, bytes, length);
        }
        fixture->length += length;
    } while (length > 0);
}

/* The next frame of the output must be this; returns its payload. */
static const uint8_t *expect_frame(struct fixture *fixture, uint8_t type, uint8_t flags,
                                   uint32_t id)
{
    const uint8_t *frame = fixture->output + fixture->at;
    flush(fixture);
    assert_true(fixture->at + 9 <= fixture->length);
    assert_int_equal(frame[3], type);
    assert_int_equal(frame[4], flags);
    assert_int_equal(frame[7] << 8 | frame[8], id);
    fixture->at += 9 + ((size_t)frame[0] << 16 | (size_t)frame[1] << 8 | frame[2]);
    return frame + 9;
}

static void expect_nothing(struct fixture *fixture)
{
    flush(fixture);
    assert_int_equal(fixture->at, fixture->length);
}

static void create(struct fixture *fixture)
{
    fixture->http2 = http2_create(&config, &events, fixture);
    fixture->output = malloc(OUTPUT_SIZE);
}

static int set_up(void **state)
{
    struct fixture *fixture = calloc(1, sizeof(*fixture));
    create(fixture);
    assert_true(give(fixture, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 24));
    assert_true(send_frame(fixture, SETTINGS, 0, 0, "", 0));
    expect_frame(fixture, SETTINGS, 0, 0);
    expect_frame(fixture, SETTINGS, ACK, 0);
    expect_frame(fixture, WINDOW_UPDATE, 0, 0);
    expect_nothing(fixture);
    *state = fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    http2_destroy(fixture->http2);
    free(fixture->output);
    free(fixture);
    return 0;
}

static void respond(struct fixture *fixture, int32_t id, bool is_all)
{
    static const struct http2_field fields[] = {{":status", "200", 3}};
    http2_respond(fixture->http2, id, fields, COUNT_OF(fields), is_all);
}

/* The greeting */

static void the_greeting_may_come_in_pieces(void **state)
{
    static const char greeting[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0";
    struct fixture fixture = {0};
    (void)state;
    create(&fixture);
    for (size_t i = 0; i < sizeof(greeting) - 1; i++) {
        assert_true(http2_is_awaiting(fixture.http2));
        assert_true(give(&fixture, greeting + i, 1));
    }
    assert_false(http2_is_awaiting(fixture.http2));
    http2_destroy(fixture.http2);
    free(fixture.output);
}

static void others_do_not_greet(void **state)
{
    struct fixture fixture = {0};
    (void)state;
    create(&fixture);
    assert_false(give(&fixture, "PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n", 24));
    assert_non_null(http2_problem(fixture.http2));
    http2_destroy(fixture.http2);
    free(fixture.output);
}

/* Requests */

static void a_request_is_heard_of_step_by_step(void **state)
{
    struct fixture *fixture = *state;
    send_request(fixture, 1, 0);
    assert_heard(fixture, "open :method :scheme :path :authority request ");
    assert_true(send_frame(fixture, DATA, 0, 1, "abc", 3));
    assert_true(send_frame(fixture, DATA, END_STREAM, 1, "d", 1));
    assert_heard(fixture, "data=abc data=d half ");
    send_request(fixture, 3, END_STREAM);
    assert_heard(fixture, "open :method :scheme :path :authority request half ");
}

static void trailers_of_a_request_are_ignored(void **state)
{
    struct fixture *fixture = *state;
    send_request(fixture, 1, 0);
    assert_heard(fixture, "open :method :scheme :path :authority request ");
    assert_true(send_frame(fixture, HEADERS, END_HEADERS | END_STREAM, 1, "\0\1x\1y", 5));
    assert_heard(fixture, "half ");
}

/* HTTP2_PROTOCOL_ERROR for one stream; what follows on it is not heard of. */
static void expect_reset(struct fixture *fixture, uint32_t id)
{
    assert_true(send_frame(fixture, DATA, END_STREAM, id, "x", 1));
    assert_int_equal(expect_frame(fixture, RST_STREAM, 0, id)[3], HTTP2_PROTOCOL_ERROR);
    expect_nothing(fixture);
}

static void a_malformed_request_is_reset(void **state)
{
    struct fixture *fixture = *state;
    assert_true(send_frame(fixture, HEADERS, END_HEADERS, 1, "\x83\x86\1\1a", 5)); /* no :path */
    expect_reset(fixture, 1);
    assert_heard(fixture, "open :method :scheme :authority close ");
    assert_true(send_frame(fixture, HEADERS, END_HEADERS | END_STREAM, 3, "\x83\x86", 2));
    assert_int_equal(expect_frame(fixture, RST_STREAM, 0, 3)[3], HTTP2_PROTOCOL_ERROR);
    assert_heard(fixture, "open :method :scheme close ");
}

static void trailers_are_the_end(void **state)
{
    struct fixture *fixture = *state;
    send_request(fixture, 1, 0);
    assert_true(send_frame(fixture, HEADERS, END_HEADERS, 1, "\0\1x\1y", 5));
    expect_reset(fixture, 1);
    send_request(fixture, 3, 0);
    assert_true(send_frame(fixture, HEADERS, END_HEADERS | END_STREAM, 3, "\x83", 1));
    assert_int_equal(expect_frame(fixture, RST_STREAM, 0, 3)[3], HTTP2_PROTOCOL_ERROR);
    assert_heard(fixture, "open :method :scheme :path :authority request close "
                          "open :method :scheme :path :authority request close ");
}

/* As grpcurl does with the path of a unix socket. */
static void an_authority_may_be_a_path(void **state)
{
    struct fixture *fixture = *state;
    static const char block[] = "\x83\x86\x84\1\7/h.sock";
    assert_true(
        send_frame(fixture, HEADERS, END_HEADERS | END_STREAM, 1, block, sizeof(block) - 1));
    assert_heard(fixture, "open :method :scheme :path :authority request half ");
    expect_nothing(fixture);
}

static void a_refused_request_is_not_heard_of(void **state)
{
    struct fixture *fixture = *state;
    fixture->is_refusing = true;
    send_request(fixture, 1, 0);
    assert_true(send_frame(fixture, DATA, 0, 1, "abc", 3));
    assert_heard(fixture, "open ");
    assert_int_equal(expect_frame(fixture, RST_STREAM, 0, 1)[3], HTTP2_REFUSED_STREAM);
    expect_nothing(fixture);
}

static void a_header_list_has_a_limit(void **state)
{
    struct fixture *fixture = *state;
    uint8_t block[20 + HEADER_LIST_MAX] = "\x83\x86\x84\1\1a\0\1x\x7f";
    size_t room =
        HEADER_LIST_MAX - (7 + 4 + 32) - (7 + 4 + 32) - (5 + 1 + 32) - (10 + 1 + 32) - (1 + 32);
    assert_true(room >= 127 + 128 && room < 127 + 256);
    block[10] = (uint8_t)((room - 127) | 0x80);
    block[11] = (uint8_t)((room - 127) >> 7);
    memset(block + 12, 'v', room + 1);
    assert_true(send_frame(fixture, HEADERS, END_HEADERS, 1, block, 12 + room));
    assert_heard(fixture, "open :method :scheme :path :authority x request ");
    block[10]++;
    assert_true(send_frame(fixture, HEADERS, END_HEADERS, 3, block, 12 + room + 1));
    assert_heard(fixture, "open :method :scheme :path :authority cut ");
}

static void half_a_header_is_waited_for(void **state)
{
    struct fixture *fixture = *state;
    assert_true(send_frame(fixture, HEADERS, 0, 1, "\x83", 1));
    assert_true(http2_is_awaiting(fixture->http2));
    assert_true(send_frame(fixture, 9, END_HEADERS, 1, "\x86\x84\1\1a", 5));
    assert_false(http2_is_awaiting(fixture->http2));
    assert_heard(fixture, "open :method :scheme :path :authority request ");
}

static void open_too_many(struct fixture *fixture)
{
    for (uint32_t i = 0; i <= STREAMS_MAX; i++) {
        memset(fixture->log, 0, sizeof(fixture->log));
        send_request(fixture, 2 * i + 1, 0);
    }
    assert_heard(fixture, "");
}

/* Who has not read our settings is to try again; who has breaks the rules. */
static void more_streams_than_allowed_are_refused(void **state)
{
    struct fixture *fixture = *state;
    open_too_many(fixture);
    assert_int_equal(expect_frame(fixture, RST_STREAM, 0, 2 * STREAMS_MAX + 1)[3],
                     HTTP2_REFUSED_STREAM);
    expect_nothing(fixture);
}

static void more_streams_than_agreed_end_the_connection(void **state)
{
    struct fixture *fixture = *state;
    assert_true(send_frame(fixture, SETTINGS, ACK, 0, "", 0));
    open_too_many(fixture);
    assert_int_equal(expect_frame(fixture, GOAWAY, 0, 0)[7], 1); /* PROTOCOL_ERROR */
}

/* Answers */

static void an_answer_is_header_data_and_trailers(void **state)
{
    struct fixture *fixture = *state;
    fixture->body = "hello";
    send_request(fixture, 1, END_STREAM);
    respond(fixture, 1, false);
    expect_frame(fixture, HEADERS, END_HEADERS, 1);
    assert_memory_equal(expect_frame(fixture, DATA, 0, 1), "hello", 5);
    expect_frame(fixture, HEADERS, END_HEADERS | END_STREAM, 1);
    expect_nothing(fixture);
    assert_heard(fixture, "open :method :scheme :path :authority request half close ");
}

static void an_answer_may_wait_for_its_data(void **state)
{
    struct fixture *fixture = *state;
    send_request(fixture, 1, END_STREAM);
    respond(fixture, 1, false);
    expect_frame(fixture, HEADERS, END_HEADERS, 1);
    expect_nothing(fixture);
    fixture->body = "later";
    expect_nothing(fixture);
    http2_wake(fixture->http2, 1);
    http2_wake(fixture->http2, 1);
    assert_memory_equal(expect_frame(fixture, DATA, 0, 1), "later", 5);
    expect_frame(fixture, HEADERS, END_HEADERS | END_STREAM, 1);
}

static void who_is_answered_is_told_to_stop(void **state)
{
    struct fixture *fixture = *state;
    send_request(fixture, 1, 0);
    respond(fixture, 1, true);
    expect_frame(fixture, HEADERS, END_HEADERS | END_STREAM, 1);
    assert_int_equal(expect_frame(fixture, RST_STREAM, 0, 1)[3], HTTP2_NO_ERROR);
    assert_heard(fixture, "open :method :scheme :path :authority request close ");
}

static void a_stream_may_be_taken_back_by_both(void **state)
{
    struct fixture *fixture = *state;
    send_request(fixture, 1, 0);
    assert_true(send_frame(fixture, RST_STREAM, 0, 1, "\0\0\0\x8", 4));
    assert_heard(fixture, "open :method :scheme :path :authority request close ");
    send_request(fixture, 3, 0);
    http2_reset(fixture->http2, 3, HTTP2_CANCEL);
    assert_int_equal(expect_frame(fixture, RST_STREAM, 0, 3)[3], HTTP2_CANCEL);
    assert_heard(fixture, "open :method :scheme :path :authority request close ");
}

/* gRPC's C library does that when a deadline passes at the wrong moment. */
static void a_stream_may_be_taken_back_before_it_is_opened(void **state)
{
    static const uint8_t reset[] = {0, 0, 4, RST_STREAM, 0, 0, 0, 0, 3, 0, 0, 0, 8};
    struct fixture *fixture = *state;
    uint64_t idle_frames = http2_idle_frames(fixture->http2);
    send_request(fixture, 1, END_STREAM);
    for (size_t cut = 1; cut < sizeof(reset); cut++) {
        assert_true(give(fixture, reset, cut));
        assert_true(give(fixture, reset + cut, sizeof(reset) - cut));
    }
    send_request(fixture, 5, END_STREAM);
    assert_heard(fixture, "open :method :scheme :path :authority request half "
                          "open :method :scheme :path :authority request half ");
    expect_nothing(fixture);
    assert_int_equal(http2_idle_frames(fixture->http2), idle_frames + sizeof(reset) - 1);
    assert_true(give(fixture, reset, sizeof(reset)));
    expect_nothing(fixture);
}

static void who_goes_may_name_its_own_stream_as_the_last(void **state)
{
    static const uint8_t goaway[] = {0, 0, 9, GOAWAY, 0, 0, 0, 0, 0, /* its header */
                                     0, 0, 0, 1,      0, 0, 0, 0, 'x'};
    struct fixture *fixture = *state;
    send_request(fixture, 1, END_STREAM);
    for (size_t cut = 1; cut < sizeof(goaway); cut++) {
        assert_true(give(fixture, goaway, cut));
        assert_true(give(fixture, goaway + cut, sizeof(goaway) - cut));
    }
    expect_nothing(fixture);
    assert_false(http2_is_over(fixture->http2));
    respond(fixture, 1, true);
    expect_frame(fixture, HEADERS, END_HEADERS | END_STREAM, 1);
    assert_true(http2_is_over(fixture->http2));
    assert_null(http2_problem(fixture->http2));
}

static void windows_grow_by_what_is_consumed(void **state)
{
    struct fixture *fixture = *state;
    uint8_t bytes[100];
    memset(bytes, 'x', sizeof(bytes));
    send_request(fixture, 1, 0);
    for (int i = 0; i < 600; i++) {
        assert_true(send_frame(fixture, DATA, 0, 1, bytes, sizeof(bytes)));
        memset(fixture->log, 0, sizeof(fixture->log));
    }
    expect_nothing(fixture);
    http2_consume(fixture->http2, 1, 50000);
    const uint8_t *update = expect_frame(fixture, WINDOW_UPDATE, 0, 1);
    assert_int_equal(update[2] << 8 | update[3], 50000);
}

/* Floods and ends */

static void idle_frames_are_counted(void **state)
{
    struct fixture *fixture = *state;
    uint64_t idle_frames = http2_idle_frames(fixture->http2);
    send_request(fixture, 1, 0);
    assert_true(send_frame(fixture, DATA, 0, 1, "x", 1));
    assert_int_equal(http2_idle_frames(fixture->http2), idle_frames);
    assert_true(send_frame(fixture, DATA, 0, 1, "", 0));
    assert_true(send_frame(fixture, DATA, 8, 1, "\2\0\0", 3)); /* nothing but padding */
    assert_int_equal(http2_idle_frames(fixture->http2), idle_frames + 2);
    assert_true(send_frame(fixture, RST_STREAM, 0, 1, "\0\0\0\x8", 4));
    assert_int_equal(http2_idle_frames(fixture->http2), idle_frames + 3);
    send_request(fixture, 3, END_STREAM);
    assert_int_equal(http2_idle_frames(fixture->http2), idle_frames + 3);
}

static void resets_by_the_thousand_are_the_users_business(void **state)
{
    struct fixture *fixture = *state;
    for (uint32_t id = 1; id < 10000; id += 2) {
        send_request(fixture, id, 0);
        assert_true(send_frame(fixture, RST_STREAM, 0, id, "\0\0\0\x8", 4));
        memset(fixture->log, 0, sizeof(fixture->log));
    }
    expect_nothing(fixture);
    assert_false(http2_is_over(fixture->http2));
}

static void unread_answers_to_pings_have_a_limit(void **state)
{
    struct fixture *fixture = *state;
    bool is_good = true;
    for (int i = 0; i < 1100 && is_good; i++) {
        is_good = send_frame(fixture, PING, 0, 0, "12345678", 8);
    }
    assert_false(is_good);
    assert_non_null(http2_problem(fixture->http2));
}

static void an_offence_ends_in_words(void **state)
{
    struct fixture *fixture = *state;
    assert_true(send_frame(fixture, DATA, 0, 0, "x", 1));
    assert_int_equal(expect_frame(fixture, GOAWAY, 0, 0)[7], 1); /* PROTOCOL_ERROR */
    expect_nothing(fixture);
    assert_true(http2_is_over(fixture->http2));
    assert_string_equal(http2_problem(fixture->http2), "PROTOCOL_ERROR");
}

static void parting_has_two_steps(void **state)
{
    struct fixture *fixture = *state;
    fixture->body = "x";
    send_request(fixture, 1, END_STREAM);
    http2_announce_end(fixture->http2);
    assert_int_equal(expect_frame(fixture, GOAWAY, 0, 0)[0], 0x7f);
    send_request(fixture, 3, END_STREAM);
    http2_end(fixture->http2, HTTP2_NO_ERROR);
    const uint8_t *last = expect_frame(fixture, GOAWAY, 0, 0);
    assert_int_equal(last[3], 3);
    memset(fixture->log, 0, sizeof(fixture->log));
    send_request(fixture, 5, END_STREAM);
    assert_heard(fixture, "");
    assert_false(http2_is_over(fixture->http2));
    respond(fixture, 1, true);
    respond(fixture, 3, true);
    flush(fixture);
    assert_true(http2_is_over(fixture->http2));
    assert_null(http2_problem(fixture->http2));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_greeting_may_come_in_pieces),
        cmocka_unit_test(others_do_not_greet),
        TEST(a_request_is_heard_of_step_by_step),
        TEST(trailers_of_a_request_are_ignored),
        TEST(a_malformed_request_is_reset),
        TEST(trailers_are_the_end),
        TEST(an_authority_may_be_a_path),
        TEST(a_refused_request_is_not_heard_of),
        TEST(a_header_list_has_a_limit),
        TEST(half_a_header_is_waited_for),
        TEST(more_streams_than_allowed_are_refused),
        TEST(more_streams_than_agreed_end_the_connection),
        TEST(an_answer_is_header_data_and_trailers),
        TEST(an_answer_may_wait_for_its_data),
        TEST(who_is_answered_is_told_to_stop),
        TEST(a_stream_may_be_taken_back_by_both),
        TEST(a_stream_may_be_taken_back_before_it_is_opened),
        TEST(who_goes_may_name_its_own_stream_as_the_last),
        TEST(windows_grow_by_what_is_consumed),
        TEST(idle_frames_are_counted),
        TEST(resets_by_the_thousand_are_the_users_business),
        TEST(unread_answers_to_pings_have_a_limit),
        TEST(an_offence_ends_in_words),
        TEST(parting_has_two_steps),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
