/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One gRPC request on its connection: a call of the session, the bytes of its messages on their way
 * in, and those of its answers on their way out. For grpc_connection.c only.
 */
#ifndef HOLDFAST_TRANSPORT_GRPC_STREAM_H
#define HOLDFAST_TRANSPORT_GRPC_STREAM_H

#include "base/byte_queue.h"
#include "base/loop.h"
#include "wire/call.h"
#include "wire/grpc_request.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

struct grpc_stream;
struct http2;
struct session;
struct stream;

LIST_HEAD(grpc_stream_list, grpc_stream);
TAILQ_HEAD(grpc_stream_queue, grpc_stream);

/* What the requests of one connection share. */
struct grpc_shared {
    struct loop *loop;
    struct stream *stream;
    struct session *session;
    struct http2 *http2;
    size_t message_max;              /* of one request message */
    size_t output_max;               /* of `queued` */
    size_t queued;                   /* bytes of answers that wait, all streams together */
    size_t held;                     /* bytes of requests that wait, likewise */
    struct grpc_request request;     /* whose header is coming in: there is one at a time */
    struct grpc_stream_list streams; /* all of them */
    struct grpc_stream_list ended;   /* their calls' memory, or all of theirs, goes in FREE */
    struct task reap_task;
    struct grpc_stream_queue paused; /* not listened to until answers have left */
    struct grpc_stream_queue due;    /* to be seen to in INPUT */
    struct task due_task;
};

struct grpc_stream {
    struct call call;
    struct grpc_shared *shared;
    int32_t id;
    LIST_ENTRY(grpc_stream) link;       /* in shared->streams */
    LIST_ENTRY(grpc_stream) ended;      /* in shared->ended if is_ended */
    TAILQ_ENTRY(grpc_stream) wait;      /* in shared->paused or shared->due */
    struct grpc_stream_queue *waits_in; /* which of them; NULL: neither */
    struct byte_queue in; /* the part of a message that has come, or what may not be read */
    struct byte_queue out;
    size_t unconsumed; /* bytes in `in` that the client's window does not get back yet */
    enum status status;
    char *text; /* of the status, encoded; NULL: none */
    size_t text_length;
    bool is_responding;  /* the header of the answer was sent */
    bool is_answered;    /* nothing will be added to `out`; status and text are final */
    bool is_half_closed; /* the client has sent everything */
    bool is_overflowing; /* the client did not read its answers */
    bool is_closed;      /* HTTP/2 has forgotten the stream */
    bool is_released;    /* the call's memory is gone */
    bool is_ended;
};

/* `shared` with its pointers and limits set; the rest is prepared here. */
void grpc_shared_init(struct grpc_shared *shared);

/* Frees every stream. The calls must have ended, and HTTP/2 must be gone. */
void grpc_shared_release(struct grpc_shared *shared);

/* A request whose header begins. NULL: too much waits to begin another. */
struct grpc_stream *grpc_stream_create(struct grpc_shared *shared, int32_t id);

/* The header in shared->request is complete, or was too long. */
void grpc_stream_start(struct grpc_stream *stream, bool is_whole);

void grpc_stream_data(struct grpc_stream *stream, const uint8_t *bytes, size_t length);

/* The client sends no more. */
void grpc_stream_half_close(struct grpc_stream *stream);

/* HTTP/2 forgets the stream: takes the call back if it is not answered. */
void grpc_stream_close(struct grpc_stream *stream);

/* Moves at most `size` bytes of the answer. At its end sends the trailers and sets *is_last. */
size_t grpc_stream_pull(struct grpc_stream *stream, uint8_t *bytes, size_t size, bool *is_last);

#endif
