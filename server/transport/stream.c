/* SPDX-License-Identifier: Apache-2.0 */
#include "transport/stream.h"

#include <sys/socket.h>
#include <sys/types.h>

#include <event2/buffer.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/compiler.h"
#include "transport/stream_ops.h"

/* Input that is thrown away so that closing the socket does not reset the connection, which could
 * cost the peer the last bytes we sent. */
#define DISCARD_MAX ((size_t)256 * 1024)

/* A peer whose output is congested and who takes none of it for so long counts as gone. */
#define STALL_US (5 * CLOCK_US_PER_S)

static const char overflowed[] = "its unsent output passed the limit, or it takes none of it";

const char stream_closed_by_peer[] = "closed by the peer";

static size_t unsent(const struct stream *stream)
{
    return evbuffer_get_length(stream->output) + stream->ops->pending(stream);
}

/* The user closes the stream now and hears nothing else. */
static void report_gone(struct stream *stream, const char *reason)
{
    const struct stream_events *events = stream->events;
    stream->events = NULL;
    if (events != NULL) {
        events->on_gone(stream, reason, stream->user);
    }
}

/* The decision waits for the next flush: if it was this process that stood still, the peer has had
 * no chance until then. */
static void on_stall(struct timer *timer, int64_t now_us)
{
    (void)now_us;
    struct stream *stream = CONTAINER_OF(timer, struct stream, stall_timer);
    stream->is_stall_due = true;
    stream_post_flush(stream);
}

static void watch_stall(struct stream *stream)
{
    stream->is_stall_due = false;
    stream->has_progressed = false;
    wheel_set(loop_wheel(stream->loop), &stream->stall_timer, loop_now_us(stream->loop) + STALL_US);
}

static void check_progress(struct stream *stream)
{
    size_t left = unsent(stream);
    stream->has_progressed = stream->has_progressed || left < stream->expected;
    stream->expected = left;
    if (!stream->is_stall_due) {
        return;
    }
    if (stream->has_progressed) {
        watch_stall(stream);
    } else {
        stream->has_overflowed = true;
    }
}

static void hold(struct stream *stream)
{
    if (!stream->is_held) {
        stream->is_held = true;
        stream->ops->set_reading(stream, false);
        watch_stall(stream);
    }
}

static void let_read_again(struct stream *stream)
{
    if (stream->is_held && !stream_is_congested(stream)) {
        stream->is_held = false;
        stream->ops->set_reading(stream, true);
        wheel_clear(loop_wheel(stream->loop), &stream->stall_timer);
        stream->is_stall_due = false;
        loop_post(stream->loop, LOOP_INPUT, &stream->input_task);
    }
}

static void run_input(struct task *task)
{
    struct stream *stream = CONTAINER_OF(task, struct stream, input_task);
    if (stream->events == NULL || stream->is_closing) {
        return;
    }
    if (stream_is_congested(stream)) {
        hold(stream);
        return;
    }
    bool had_yielded = stream->has_yielded;
    bool has_news = had_yielded;
    stream->has_yielded = false;
    if (!has_news && stream->ended == NULL) {
        has_news = stream->ops->fill(stream);
        /* What was read may have been sent after the turn began, and its sender counts from then.
         */
        loop_update_now_us(stream->loop);
    }
    if (has_news) {
        stream->events->on_input(stream, stream->user);
    }
    if (had_yielded && !stream->is_closed) { /* what came meanwhile was announced, and not taken */
        stream_post_input(stream);
    }
    if (stream->ended != NULL && !stream->has_yielded && !stream->is_closing &&
        stream->events != NULL) {
        report_gone(stream, stream->ended);
    }
}

static void discard_input(int fd)
{
    char scratch[4096];
    size_t discarded = 0;
    ssize_t got = 0;
    do {
        got = recv(fd, scratch, sizeof(scratch), MSG_DONTWAIT);
        discarded += got > 0 ? (size_t)got : 0;
    } while (got > 0 && discarded < DISCARD_MAX);
}

static void finish_closing(struct stream *stream)
{
    void (*on_closed)(void *user) = stream->events->on_closed;
    if (unsent(stream) == 0) {
        stream->ops->finish(stream);
        shutdown(stream->fd, SHUT_WR);
        discard_input(stream->fd);
    }
    stream_close(stream);
    if (on_closed != NULL) {
        on_closed(stream->user);
    }
}

/* Whether there would be more to write if the peer had room. */
static bool fetch_output(struct stream *stream)
{
    const struct stream_events *events = stream->events;
    bool is_open = !stream->is_closing && !stream->has_overflowed;
    return is_open && events != NULL && events->on_flush != NULL &&
           events->on_flush(stream, stream->user);
}

static void run_flush(struct task *task)
{
    struct stream *stream = CONTAINER_OF(task, struct stream, flush_task);
    bool has_more = fetch_output(stream);
    const char *broken = stream->has_overflowed ? overflowed : stream->ops->flush(stream);
    if (stream->is_closing) {
        if (broken != NULL || unsent(stream) == 0) {
            finish_closing(stream);
        }
        return;
    }
    check_progress(stream);
    if (broken == NULL && stream->has_overflowed) {
        broken = overflowed;
    }
    if (broken != NULL) {
        report_gone(stream, broken);
        return;
    }
    let_read_again(stream);
    if (has_more && !stream_is_congested(stream)) {
        stream_post_flush(stream);
    }
}

static void run_free(struct task *task)
{
    struct stream *stream = CONTAINER_OF(task, struct stream, free_task);
    stream->ops->destroy(stream);
}

static void on_close_timeout(struct timer *timer, int64_t now_us)
{
    (void)now_us;
    finish_closing(CONTAINER_OF(timer, struct stream, close_timer));
}

void stream_init(struct stream *stream, const struct stream_ops *ops,
                 const struct stream_setup *setup)
{
    *stream = (struct stream){
        .ops = ops,
        .loop = setup->loop,
        .events = setup->events,
        .user = setup->user,
        .fd = setup->fd,
        .input = evbuffer_new(),
        .output = evbuffer_new(),
        .output_max = setup->output_max,
    };
    CHECK(stream->input != NULL);
    CHECK(stream->output != NULL);
    task_init(&stream->input_task, run_input);
    task_init(&stream->flush_task, run_flush);
    task_init(&stream->free_task, run_free);
    timer_init(&stream->close_timer, on_close_timeout);
    timer_init(&stream->stall_timer, on_stall);
}

void stream_release(struct stream *stream)
{
    evbuffer_free(stream->input);
    evbuffer_free(stream->output);
}

void stream_post_input(struct stream *stream)
{
    loop_post(stream->loop, LOOP_INPUT, &stream->input_task);
}

void stream_post_flush(struct stream *stream)
{
    loop_post(stream->loop, LOOP_FLUSH, &stream->flush_task);
}

void stream_end(struct stream *stream, const char *reason)
{
    if (stream->ended == NULL) {
        stream->ended = reason;
        stream_post_input(stream);
    }
}

struct stream *stream_create(struct loop *loop, int fd, struct ssl_st *tls, size_t output_max,
                             const struct stream_events *events, void *user)
{
    struct stream_setup setup = {
        .loop = loop, .fd = fd, .output_max = output_max, .events = events, .user = user};
    return tls == NULL ? stream_plain_create(&setup) : stream_tls_create(&setup, tls);
}

void stream_close(struct stream *stream)
{
    if (stream->is_closed) {
        return;
    }
    stream->is_closed = true;
    stream->events = NULL;
    stream->ops->detach(stream);
    loop_unpost(stream->loop, &stream->input_task);
    loop_unpost(stream->loop, &stream->flush_task);
    wheel_clear(loop_wheel(stream->loop), &stream->close_timer);
    wheel_clear(loop_wheel(stream->loop), &stream->stall_timer);
    loop_post(stream->loop, LOOP_FREE, &stream->free_task);
}

void stream_close_flushed(struct stream *stream, int64_t timeout_us)
{
    CHECK(!stream->is_closing);
    CHECK(!stream->is_closed);
    CHECK(stream->events != NULL);
    stream->is_closing = true;
    stream->ops->set_reading(stream, false);
    loop_unpost(stream->loop, &stream->input_task);
    wheel_clear(loop_wheel(stream->loop), &stream->stall_timer);
    wheel_set(loop_wheel(stream->loop), &stream->close_timer,
              loop_now_us(stream->loop) + timeout_us);
    stream_post_flush(stream);
}

struct evbuffer *stream_input(struct stream *stream)
{
    return stream->input;
}

void stream_write(struct stream *stream, const void *bytes, size_t length)
{
    if (stream->is_closed || stream->has_overflowed) {
        return;
    }
    stream_post_flush(stream);
    if (length > stream->output_max || unsent(stream) > stream->output_max - length) {
        stream->has_overflowed = true;
        return;
    }
    CHECK(evbuffer_add(stream->output, bytes, length) == 0);
    stream->expected += length;
}

void stream_ask_for_flush(struct stream *stream)
{
    if (!stream->is_closed) {
        stream_post_flush(stream);
    }
}

void stream_give_up(struct stream *stream)
{
    if (!stream->is_closed) {
        stream->has_overflowed = true;
        stream_post_flush(stream);
    }
}

bool stream_is_congested(const struct stream *stream)
{
    return unsent(stream) > stream->output_max / 2;
}

bool stream_is_established(const struct stream *stream)
{
    return stream->is_established;
}

bool stream_has_overflowed(const struct stream *stream)
{
    return stream->has_overflowed;
}

void stream_yield(struct stream *stream)
{
    CHECK(!stream->is_closed);
    stream->has_yielded = true;
    stream_post_input(stream);
}
