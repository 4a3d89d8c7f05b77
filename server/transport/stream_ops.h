/* SPDX-License-Identifier: Apache-2.0 */
/* What the kinds of stream share, and what each of them brings. For stream*.c only. */
#ifndef HOLDFAST_TRANSPORT_STREAM_OPS_H
#define HOLDFAST_TRANSPORT_STREAM_OPS_H

#include "base/loop.h"
#include "base/wheel.h"
#include "transport/stream.h"

#include <stdbool.h>
#include <stddef.h>

struct stream_ops {
    /* Moves what has arrived into `input`; true when there was something. Calls stream_end when
     * nothing more will come. */
    bool (*fill)(struct stream *stream);
    /* Passes `output` on, as much as goes without waiting, and sees to it that the flush task is
     * posted when more would go. Returns why that is impossible for ever, or NULL. */
    const char *(*flush)(struct stream *stream);
    /* Unsent bytes that are not in `output` any more. */
    size_t (*pending)(const struct stream *stream);
    void (*set_reading)(struct stream *stream, bool is_reading);
    /* Says good-bye to the peer: all output has left. */
    void (*finish)(struct stream *stream);
    /* No callback of the event library reaches the stream any more. */
    void (*detach)(struct stream *stream);
    /* Closes the socket and frees the stream, with stream_release. */
    void (*destroy)(struct stream *stream);
};

/* The common part, first member of every kind. */
struct stream {
    const struct stream_ops *ops;
    struct loop *loop;
    const struct stream_events *events; /* NULL when nobody listens any more */
    void *user;
    int fd;
    struct evbuffer *input;
    struct evbuffer *output;
    size_t output_max;
    bool is_established; /* the TLS handshake, if there is one, is done */
    const char *ended;   /* why nothing more will be read; NULL while it may */
    bool has_overflowed; /* output was dropped, or left congested for too long */
    bool has_yielded;    /* on_input is due without new bytes */
    bool is_held;        /* not reading: the output is congested */
    bool is_closing;     /* by stream_close_flushed */
    bool is_closed;
    struct task input_task;
    struct task flush_task;
    struct task free_task;
    struct timer close_timer;
    struct timer stall_timer; /* set while is_held */
    size_t expected;          /* unsent bytes if the peer took none since the last flush */
    bool has_progressed;      /* the peer took some since stall_timer was set */
    bool is_stall_due;        /* stall_timer has fired */
};

/* The common part of stream_create. */
struct stream_setup {
    struct loop *loop;
    int fd;
    size_t output_max;
    const struct stream_events *events;
    void *user;
};

void stream_init(struct stream *stream, const struct stream_ops *ops,
                 const struct stream_setup *setup);
void stream_release(struct stream *stream);

/* Input is waiting, or the end of it. For callbacks of the event library. */
void stream_post_input(struct stream *stream);

/* The peer takes output again, or all has left. For callbacks of the event library. */
void stream_post_flush(struct stream *stream);

/* Nothing more will be read, for a reason in static text. on_gone follows, in the INPUT phase. */
void stream_end(struct stream *stream, const char *reason);

/* What the kinds are made with. */
struct stream *stream_plain_create(const struct stream_setup *setup);
struct stream *stream_tls_create(const struct stream_setup *setup, struct ssl_st *ssl);

#endif
