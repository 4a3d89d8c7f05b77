/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A byte stream to one peer: TCP, unix socket or TLS behind one ops table; upper code never asks
 * which. Input collects in an evbuffer and is announced in the INPUT phase; output collects in an
 * evbuffer and leaves in one write in the FLUSH phase. The process must ignore SIGPIPE.
 */
#ifndef HOLDFAST_TRANSPORT_STREAM_H
#define HOLDFAST_TRANSPORT_STREAM_H

#include "base/loop.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct evbuffer;
struct ssl_st;
struct stream;

/* The reason that on_gone gives when the peer ended the connection in good order. */
extern const char stream_closed_by_peer[];

struct stream_events {
    /* New bytes are in stream_input(), or the turn that stream_yield asked for has come. Runs in
     * the INPUT phase, and not while the output is congested. */
    void (*on_input)(struct stream *stream, void *user);
    /* The peer is gone, the stream failed, or its output passed the limit. Runs at most once, in
     * the INPUT or FLUSH phase; close the stream then. `reason` is static text. */
    void (*on_gone)(struct stream *stream, const char *reason, void *user);
    /* Output is about to leave: who makes it late, as the peer makes room, writes now what there
     * is, until the output is congested. Whether there is more. Runs in the FLUSH phase; may call
     * stream_close_flushed. May be NULL. */
    bool (*on_flush)(struct stream *stream, void *user);
    /* Ends stream_close_flushed: the stream is closed now and frees itself. May be NULL. */
    void (*on_closed)(void *user);
};

/* A stream on an accepted, non-blocking socket, which it owns from now on. `tls` is NULL for plain;
 * otherwise an SSL object in accept state, owned from now on. `output_max` bounds unsent bytes. */
struct stream *stream_create(struct loop *loop, int fd, struct ssl_st *tls, size_t output_max,
                             const struct stream_events *events, void *user);

/* Detaches at once (no more events), frees at the end of the turn. Unsent output is dropped. */
void stream_close(struct stream *stream);

/* As stream_close, once the output has left or `timeout_us` has passed. No more events but
 * on_closed, which does not run before this returns. stream_close may cut it short. */
void stream_close_flushed(struct stream *stream, int64_t timeout_us);

/* Received bytes: the caller drains what it has used. */
struct evbuffer *stream_input(struct stream *stream);

/* Queues bytes for the FLUSH phase. */
void stream_write(struct stream *stream, const void *bytes, size_t length);

/* Asks for on_flush in this turn's FLUSH phase. */
void stream_ask_for_flush(struct stream *stream);

/* For output that is kept elsewhere and has passed the limit: as if it had been written. */
void stream_give_up(struct stream *stream);

/* Whether more than half of the allowed unsent bytes are waiting. Nothing more is read until the
 * peer has taken some; a reader should stop working on what it has, too, and yield. */
bool stream_is_congested(const struct stream *stream);

/* Whether bytes may flow: the TLS handshake, if there is one, is done. */
bool stream_is_established(const struct stream *stream);

/* Whether on_gone was called, or will be, because the output passed its limit or the peer took
 * nothing of a congested output for 5 s. */
bool stream_has_overflowed(const struct stream *stream);

/* Asks for on_input in the next turn, before anything more is read: for a reader that has left
 * bytes which it could use, so that other streams have their turn. */
void stream_yield(struct stream *stream);

#endif
