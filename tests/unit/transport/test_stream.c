/* SPDX-License-Identifier: Apache-2.0 */
#include "transport/stream.h"

#include <errno.h>
#include <malloc.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include <event2/buffer.h>

#include "base/clock.h"

#define OUTPUT_MAX  ((size_t)1024 * 1024)
#define DEADLINE_US (10 * CLOCK_US_PER_S)

struct fixture {
    struct loop *loop;
    struct stream *stream;
    int peer;
    size_t inputs;
    size_t gones;
    size_t closeds;
    const char *reason;
    size_t yields_left; /* on_input yields as often */
    bool drains;        /* on_input takes the bytes */
    size_t drained;
};

static void on_input(struct stream *stream, void *user)
{
    struct fixture *fixture = user;
    size_t length = evbuffer_get_length(stream_input(stream));
    fixture->inputs++;
    if (fixture->drains) {
        fixture->drained += length;
        evbuffer_drain(stream_input(stream), length);
    }
    if (fixture->yields_left > 0) {
        fixture->yields_left--;
        stream_yield(stream);
    }
}

static void on_gone(struct stream *stream, const char *reason, void *user)
{
    struct fixture *fixture = user;
    fixture->gones++;
    fixture->reason = reason;
    stream_close(stream);
    fixture->stream = NULL;
}

static void on_closed(void *user)
{
    struct fixture *fixture = user;
    fixture->closeds++;
    fixture->stream = NULL;
}

static const struct stream_events events = {
    .on_input = on_input, .on_gone = on_gone, .on_closed = on_closed};

static int set_up(void **state)
{
    int fds[2];
    struct fixture *fixture = calloc(1, sizeof(*fixture));
    signal(SIGPIPE, SIG_IGN);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
    fixture->loop = loop_create();
    fixture->peer = fds[0];
    fixture->drains = true;
    fixture->stream = stream_create(fixture->loop, fds[1], NULL, OUTPUT_MAX, &events, fixture);
    *state = fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    if (fixture->stream != NULL) {
        stream_close(fixture->stream);
    }
    loop_turn(fixture->loop, 0);
    loop_destroy(fixture->loop);
    close(fixture->peer);
    free(fixture);
    return 0;
}

static void turn(struct fixture *fixture)
{
    loop_turn(fixture->loop, CLOCK_US_PER_MS);
}

#define WAIT(fixture, condition)                                                                   \
    do {                                                                                           \
        int64_t deadline_us = clock_now_us() + DEADLINE_US;                                        \
        while (!(condition)) {                                                                     \
            assert_true(clock_now_us() < deadline_us);                                             \
            turn(fixture);                                                                         \
        }                                                                                          \
    } while (0)

static void write_zeros(struct fixture *fixture, size_t length)
{
    char *zeros = calloc(1, length);
    stream_write(fixture->stream, zeros, length);
    free(zeros);
}

/* What has arrived; -1 at the end, 0 when there is nothing. */
static ssize_t take(const struct fixture *fixture)
{
    char bytes[65536];
    ssize_t got = recv(fixture->peer, bytes, sizeof(bytes), 0);
    return got == 0 ? -1 : got < 0 && errno == EAGAIN ? 0 : got;
}

static void input_arrives(void **state)
{
    struct fixture *fixture = *state;
    assert_int_equal(send(fixture->peer, "hello", 5, 0), 5);
    WAIT(fixture, fixture->inputs == 1);
    assert_int_equal(fixture->drained, 5);
    turn(fixture);
    assert_int_equal(fixture->inputs, 1);
}

static void nothing_leaves_before_the_flush(void **state)
{
    struct fixture *fixture = *state;
    stream_write(fixture->stream, "one", 3);
    stream_write(fixture->stream, "two", 3);
    assert_int_equal(take(fixture), 0);
    turn(fixture);
    assert_int_equal(take(fixture), 6);
}

static void what_the_kernel_does_not_take_leaves_later(void **state)
{
    struct fixture *fixture = *state;
    size_t total = 0;
    write_zeros(fixture, OUTPUT_MAX);
    assert_true(stream_is_congested(fixture->stream));
    turn(fixture);
    for (int64_t end_us = clock_now_us() + DEADLINE_US; total < OUTPUT_MAX; turn(fixture)) {
        ssize_t got = take(fixture);
        assert_true(got >= 0 && clock_now_us() < end_us);
        total += (size_t)got;
    }
    assert_int_equal(total, OUTPUT_MAX);
    assert_false(stream_is_congested(fixture->stream));
    assert_int_equal(fixture->gones, 0);
}

static void the_limit_of_output_is_exact(void **state)
{
    struct fixture *fixture = *state;
    write_zeros(fixture, OUTPUT_MAX - 1);
    write_zeros(fixture, 1);
    assert_false(stream_has_overflowed(fixture->stream));
    write_zeros(fixture, 1);
    assert_true(stream_has_overflowed(fixture->stream));
    assert_int_equal(fixture->gones, 0);
    turn(fixture);
    assert_int_equal(fixture->gones, 1);
    assert_non_null(strstr(fixture->reason, "limit"));
}

static void a_single_write_may_be_too_large(void **state)
{
    struct fixture *fixture = *state;
    write_zeros(fixture, OUTPUT_MAX + 1);
    assert_true(stream_has_overflowed(fixture->stream));
}

static int turns_in(struct fixture *fixture, int64_t time_us)
{
    int turns = 0;
    for (int64_t end_us = clock_now_us() + time_us; clock_now_us() < end_us; turns++) {
        loop_turn(fixture->loop, time_us);
    }
    return turns;
}

/* Twice, for the second time must be like the first: not read, and no reason to wake up. */
static void a_congested_stream_is_not_read(void **state)
{
    struct fixture *fixture = *state;
    for (size_t i = 1; i <= 2; i++) {
        write_zeros(fixture, OUTPUT_MAX - 8192);
        turn(fixture);
        assert_int_equal(send(fixture->peer, "hello", 5, 0), 5);
        turn(fixture);
        assert_true(turns_in(fixture, 20 * CLOCK_US_PER_MS) <= 5);
        assert_int_equal(fixture->inputs, i - 1);
        while (fixture->inputs < i) {
            assert_true(take(fixture) >= 0);
            turn(fixture);
        }
        assert_int_equal(fixture->drained, 5 * i);
        while (take(fixture) > 0 || stream_is_congested(fixture->stream)) {
            turn(fixture);
        }
    }
}

static void yielding_brings_another_turn_without_reading(void **state)
{
    struct fixture *fixture = *state;
    fixture->yields_left = 3;
    assert_int_equal(send(fixture->peer, "hello", 5, 0), 5);
    WAIT(fixture, fixture->inputs == 1);
    assert_int_equal(send(fixture->peer, "later", 5, 0), 5);
    for (size_t i = 2; i <= 4; i++) {
        assert_int_equal(fixture->drained, 5);
        turn(fixture);
        assert_int_equal(fixture->inputs, i);
    }
    WAIT(fixture, fixture->drained == 10);
}

static void the_end_is_reported_once_after_the_input(void **state)
{
    struct fixture *fixture = *state;
    fixture->yields_left = 2;
    assert_int_equal(send(fixture->peer, "hello", 5, 0), 5);
    assert_int_equal(shutdown(fixture->peer, SHUT_WR), 0);
    WAIT(fixture, fixture->gones == 1);
    assert_int_equal(fixture->inputs, 3);
    assert_ptr_equal(fixture->reason, stream_closed_by_peer);
    turn(fixture);
    assert_int_equal(fixture->gones, 1);
}

static void a_failing_write_is_the_end(void **state)
{
    struct fixture *fixture = *state;
    assert_int_equal(shutdown(fixture->peer, SHUT_RD), 0);
    stream_write(fixture->stream, "x", 1);
    WAIT(fixture, fixture->gones == 1);
    assert_string_equal(fixture->reason, "Broken pipe");
}

static void closing_drops_the_output(void **state)
{
    struct fixture *fixture = *state;
    stream_write(fixture->stream, "x", 1);
    stream_close(fixture->stream);
    fixture->stream = NULL;
    turn(fixture);
    assert_int_equal(take(fixture), -1);
    assert_int_equal(fixture->gones + fixture->closeds + fixture->inputs, 0);
}

static void closing_twice_does_no_harm(void **state)
{
    struct fixture *fixture = *state;
    stream_close(fixture->stream);
    stream_close(fixture->stream);
    stream_write(fixture->stream, "x", 1);
    fixture->stream = NULL;
}

static void closing_flushed_sends_everything_first(void **state)
{
    struct fixture *fixture = *state;
    size_t total = 0;
    ssize_t got = 0;
    write_zeros(fixture, OUTPUT_MAX);
    assert_int_equal(send(fixture->peer, "unread", 6, 0), 6);
    stream_close_flushed(fixture->stream, DEADLINE_US);
    assert_int_equal(fixture->closeds, 0);
    while ((got = take(fixture)) >= 0) {
        total += (size_t)got;
        turn(fixture);
    }
    assert_int_equal(total, OUTPUT_MAX);
    assert_int_equal(fixture->closeds, 1);
    assert_int_equal(fixture->inputs + fixture->gones, 0);
}

static void closing_flushed_gives_up_in_time(void **state)
{
    struct fixture *fixture = *state;
    int64_t since_us = loop_now_us(fixture->loop);
    write_zeros(fixture, OUTPUT_MAX);
    stream_close_flushed(fixture->stream, 30 * CLOCK_US_PER_MS);
    WAIT(fixture, fixture->closeds == 1);
    assert_true(loop_now_us(fixture->loop) - since_us >= 30 * CLOCK_US_PER_MS);
}

static void closing_flushed_ends_when_the_peer_goes(void **state)
{
    struct fixture *fixture = *state;
    write_zeros(fixture, OUTPUT_MAX);
    stream_close_flushed(fixture->stream, CLOCK_US_PER_S * 3600);
    turn(fixture);
    assert_int_equal(shutdown(fixture->peer, SHUT_RDWR), 0);
    WAIT(fixture, fixture->closeds == 1);
    assert_int_equal(fixture->gones, 0);
}

static void closing_flushed_can_be_cut_short(void **state)
{
    struct fixture *fixture = *state;
    write_zeros(fixture, OUTPUT_MAX);
    stream_close_flushed(fixture->stream, CLOCK_US_PER_S * 3600);
    turn(fixture);
    stream_close(fixture->stream);
    fixture->stream = NULL;
    turn(fixture);
    assert_int_equal(fixture->closeds, 0);
}

/* A stream that reads and answers keeps no memory between requests. */
static void an_idle_stream_is_small(void **state)
{
    struct fixture *fixture = *state;
    size_t before = mallinfo2().uordblks;
    for (int i = 0; i < 100; i++) {
        size_t inputs = fixture->inputs;
        assert_int_equal(send(fixture->peer, "request", 7, 0), 7);
        WAIT(fixture, fixture->inputs > inputs);
        write_zeros(fixture, 30000);
        turn(fixture);
        assert_true(take(fixture) == 30000);
    }
    assert_true(mallinfo2().uordblks <= before + 256);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(input_arrives),
        TEST(nothing_leaves_before_the_flush),
        TEST(what_the_kernel_does_not_take_leaves_later),
        TEST(the_limit_of_output_is_exact),
        TEST(a_single_write_may_be_too_large),
        TEST(a_congested_stream_is_not_read),
        TEST(yielding_brings_another_turn_without_reading),
        TEST(the_end_is_reported_once_after_the_input),
        TEST(a_failing_write_is_the_end),
        TEST(closing_drops_the_output),
        TEST(closing_twice_does_no_harm),
        TEST(closing_flushed_sends_everything_first),
        TEST(closing_flushed_gives_up_in_time),
        TEST(closing_flushed_ends_when_the_peer_goes),
        TEST(closing_flushed_can_be_cut_short),
        TEST(an_idle_stream_is_small),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
