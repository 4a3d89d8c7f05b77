/* SPDX-License-Identifier: Apache-2.0 */
/* TLS over TCP: the event library moves the bytes through OpenSSL; we take them in our phases. */
#include "transport/stream_ops.h"

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/bufferevent_ssl.h>
#include <event2/event.h>
#include <openssl/err.h>
#include <openssl/ssl.h>

#include "base/check.h"
#include "base/memory.h"

/* Decrypted bytes that wait for the INPUT phase; one record's more may. */
#define READ_MAX ((size_t)64 * 1024)

/* A TLS record: small pieces are joined up to this, for each record is a write. */
#define RECORD_SIZE ((size_t)15000)

struct stream_tls {
    struct stream common;
    struct bufferevent *bufferevent;
    const char *broken; /* why nothing can be written any more */
    bool is_reading;    /* is wanted */
};

static struct stream_tls *tls_of(struct stream *stream)
{
    return (struct stream_tls *)(void *)stream;
}

/* Static text for the newest thing that went wrong. */
static const char *problem_of(struct stream_tls *tls)
{
    unsigned long error = bufferevent_get_openssl_error(tls->bufferevent);
    const char *reason = error == 0 ? NULL : ERR_reason_error_string(error);
    ERR_clear_error();
    if (reason != NULL) {
        return reason;
    }
    return tls->common.is_established ? "the connection failed"
                                      : "the connection failed in the handshake";
}

/* By hand: at a read watermark the event library calls back without end, and the phase in which the
 * bytes are taken never comes. */
static void adjust_reading(struct stream_tls *tls)
{
    bool has_room = evbuffer_get_length(bufferevent_get_input(tls->bufferevent)) < READ_MAX;
    if (!tls->is_reading || !has_room) {
        bufferevent_disable(tls->bufferevent, EV_READ);
    } else if (bufferevent_enable(tls->bufferevent, EV_READ) != 0) {
        stream_end(&tls->common, "reading cannot be resumed");
    }
}

static void on_readable(struct bufferevent *bufferevent, void *stream)
{
    (void)bufferevent;
    adjust_reading(tls_of(stream));
    stream_post_input(stream);
}

static void on_written(struct bufferevent *bufferevent, void *stream)
{
    (void)bufferevent;
    stream_post_flush(stream);
}

static void on_event(struct bufferevent *bufferevent, short what, void *stream)
{
    struct stream_tls *tls = tls_of(stream);
    (void)bufferevent;
    if ((what & BEV_EVENT_CONNECTED) != 0) {
        tls->common.is_established = true;
    } else if ((what & BEV_EVENT_EOF) != 0) {
        stream_end(stream, stream_closed_by_peer);
    } else {
        const char *problem = problem_of(tls);
        tls->broken = problem;
        stream_end(stream, problem);
        stream_post_flush(stream);
    }
}

static bool tls_fill(struct stream *stream)
{
    struct evbuffer *arrived = bufferevent_get_input(tls_of(stream)->bufferevent);
    bool has_news = evbuffer_get_length(arrived) > 0;
    CHECK(evbuffer_add_buffer(stream->input, arrived) == 0);
    adjust_reading(tls_of(stream));
    return has_news;
}

static const char *tls_flush(struct stream *stream)
{
    struct stream_tls *tls = tls_of(stream);
    size_t length = evbuffer_get_length(stream->output);
    if (length > 0 && tls->broken == NULL) {
        ssize_t joined = (ssize_t)(length < RECORD_SIZE ? length : RECORD_SIZE);
        CHECK(evbuffer_pullup(stream->output, joined) != NULL);
        CHECK(bufferevent_write_buffer(tls->bufferevent, stream->output) == 0);
    }
    return tls->broken;
}

static size_t tls_pending(const struct stream *stream)
{
    const struct stream_tls *tls = (const struct stream_tls *)(const void *)stream;
    return evbuffer_get_length(bufferevent_get_output(tls->bufferevent));
}

static void tls_set_reading(struct stream *stream, bool is_reading)
{
    tls_of(stream)->is_reading = is_reading;
    adjust_reading(tls_of(stream));
}

static void tls_finish(struct stream *stream)
{
    struct stream_tls *tls = tls_of(stream);
    if (tls->common.is_established && tls->broken == NULL) {
        SSL_shutdown(bufferevent_openssl_get_ssl(tls->bufferevent));
        ERR_clear_error();
    }
}

static void tls_detach(struct stream *stream)
{
    struct bufferevent *bufferevent = tls_of(stream)->bufferevent;
    bufferevent_setcb(bufferevent, NULL, NULL, NULL, NULL);
    bufferevent_disable(bufferevent, EV_READ | EV_WRITE);
}

static void tls_destroy(struct stream *stream)
{
    struct stream_tls *tls = tls_of(stream);
    bufferevent_free(tls->bufferevent);
    stream_release(stream);
    memory_free(tls);
}

static const struct stream_ops tls_ops = {
    .fill = tls_fill,
    .flush = tls_flush,
    .pending = tls_pending,
    .set_reading = tls_set_reading,
    .finish = tls_finish,
    .detach = tls_detach,
    .destroy = tls_destroy,
};

struct stream *stream_tls_create(const struct stream_setup *setup, struct ssl_st *ssl)
{
    struct stream_tls *tls = memory_alloc(sizeof(*tls));
    stream_init(&tls->common, &tls_ops, setup);
    tls->bufferevent =
        bufferevent_openssl_socket_new(loop_event_base(setup->loop), setup->fd, ssl,
                                       BUFFEREVENT_SSL_ACCEPTING, BEV_OPT_CLOSE_ON_FREE);
    CHECK(tls->bufferevent != NULL);
    bufferevent_openssl_set_allow_dirty_shutdown(tls->bufferevent, 1);
    bufferevent_setcb(tls->bufferevent, on_readable, on_written, on_event, tls);
    tls_set_reading(&tls->common, true);
    return &tls->common;
}
