/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The server's side of ttRPC on one connection: frames become calls of the session, answers become
 * frames. It borrows the stream and the session, which its owner closes before releasing it.
 *
 * Source: https://github.com/containerd/ttrpc/blob/main/PROTOCOL.md
 */
#ifndef HOLDFAST_TRANSPORT_TTRPC_CONNECTION_H
#define HOLDFAST_TRANSPORT_TTRPC_CONNECTION_H

#include "base/loop.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

struct session;
struct stream;
struct ttrpc_stream;

LIST_HEAD(ttrpc_stream_list, ttrpc_stream);

struct ttrpc_connection {
    struct loop *loop;
    struct stream *stream;
    struct session *session;
    struct ttrpc_stream *streams;   /* a hash table: the calls in flight, by stream id */
    struct ttrpc_stream_list ended; /* their memory goes in the FREE phase */
    struct task reap_task;
    size_t message_max;     /* of one request message */
    uint32_t last_id;       /* of the newest request: ids only rise */
    bool is_nonsense;       /* the input is no ttRPC; nothing more is done with it */
    uint32_t skip;          /* bytes to come of a frame that was too large */
    uint64_t frames;        /* taken from the input so far */
    bool is_within_a_frame; /* the input ends before the frame that it has begun */
};

void ttrpc_connection_init(struct ttrpc_connection *connection, struct stream *stream,
                           struct session *session);

/* Frees everything. Every call must have ended. */
void ttrpc_connection_release(struct ttrpc_connection *connection);

/* Works on the stream's input; when there is much, on a part of it, and asks for another turn. */
void ttrpc_connection_input(struct ttrpc_connection *connection);

#endif
