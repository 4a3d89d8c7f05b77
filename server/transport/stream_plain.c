/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TCP and unix sockets without TLS. A lone request costs one recv and one write: the socket is read
 * without asking first how much there is, and written without waiting for it to be writable.
 */
#include "transport/stream_ops.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <event2/buffer.h>
#include <event2/event.h>

#include "base/check.h"
#include "base/memory.h"

#define READ_SIZE ((size_t)16 * 1024)

/* Reads per turn, so that one peer does not keep the others waiting. */
#define READS_PER_TURN 4

/* The kernel has a limit for watched descriptors, too. */
static const char unwatchable[] = "the kernel does not watch more sockets (fs.epoll)";

struct stream_plain {
    struct stream common;
    struct event *readable;
    struct event *writable; /* NULL until the kernel refused something */
};

static struct stream_plain *plain_of(struct stream *stream)
{
    return (struct stream_plain *)(void *)stream;
}

static void on_readable(evutil_socket_t fd, short what, void *stream)
{
    (void)fd;
    (void)what;
    stream_post_input(stream);
}

static void on_writable(evutil_socket_t fd, short what, void *stream)
{
    (void)fd;
    (void)what;
    stream_post_flush(stream);
}

static bool plain_fill(struct stream *stream)
{
    char bytes[READ_SIZE];
    bool has_news = false;
    for (int i = 0; i < READS_PER_TURN; i++) {
        ssize_t got = recv(stream->fd, bytes, sizeof(bytes), 0);
        if (got > 0) {
            has_news = true;
            CHECK(evbuffer_add(stream->input, bytes, (size_t)got) == 0);
        } else if (got == 0) {
            stream_end(stream, stream_closed_by_peer);
        } else if (errno != EAGAIN && errno != EINTR) {
            stream_end(stream, strerrordesc_np(errno));
        }
        if (got < (ssize_t)sizeof(bytes)) {
            break;
        }
    }
    return has_news;
}

static bool await_writable(struct stream_plain *plain)
{
    if (plain->writable == NULL) {
        plain->writable = event_new(loop_event_base(plain->common.loop), plain->common.fd, EV_WRITE,
                                    on_writable, plain);
        CHECK(plain->writable != NULL);
    }
    return event_add(plain->writable, NULL) == 0;
}

static bool is_awaiting_writable(const struct stream_plain *plain)
{
    return plain->writable != NULL && event_pending(plain->writable, EV_WRITE, NULL) != 0;
}

static const char *plain_flush(struct stream *stream)
{
    struct stream_plain *plain = plain_of(stream);
    if (evbuffer_get_length(stream->output) == 0 || is_awaiting_writable(plain)) {
        return NULL;
    }
    if (evbuffer_write(stream->output, stream->fd) < 0 && errno != EAGAIN && errno != EINTR) {
        return strerrordesc_np(errno);
    }
    if (evbuffer_get_length(stream->output) > 0 && !await_writable(plain)) {
        return unwatchable;
    }
    return NULL;
}

static size_t plain_pending(const struct stream *stream)
{
    (void)stream;
    return 0;
}

static void plain_set_reading(struct stream *stream, bool is_reading)
{
    struct stream_plain *plain = plain_of(stream);
    if (!is_reading) {
        event_del(plain->readable);
    } else if (event_add(plain->readable, NULL) != 0) {
        stream_end(stream, unwatchable);
    }
}

static void plain_finish(struct stream *stream)
{
    (void)stream;
}

static void plain_detach(struct stream *stream)
{
    struct stream_plain *plain = plain_of(stream);
    event_del(plain->readable);
    if (plain->writable != NULL) {
        event_del(plain->writable);
    }
}

static void plain_destroy(struct stream *stream)
{
    struct stream_plain *plain = plain_of(stream);
    event_free(plain->readable);
    if (plain->writable != NULL) {
        event_free(plain->writable);
    }
    close(stream->fd);
    stream_release(stream);
    memory_free(plain);
}

static const struct stream_ops plain_ops = {
    .fill = plain_fill,
    .flush = plain_flush,
    .pending = plain_pending,
    .set_reading = plain_set_reading,
    .finish = plain_finish,
    .detach = plain_detach,
    .destroy = plain_destroy,
};

struct stream *stream_plain_create(const struct stream_setup *setup)
{
    struct stream_plain *plain = memory_alloc(sizeof(*plain));
    stream_init(&plain->common, &plain_ops, setup);
    plain->common.is_established = true;
    plain->readable = event_new(loop_event_base(setup->loop), setup->fd, EV_READ | EV_PERSIST,
                                on_readable, plain);
    CHECK(plain->readable != NULL);
    plain_set_reading(&plain->common, true);
    return &plain->common;
}
