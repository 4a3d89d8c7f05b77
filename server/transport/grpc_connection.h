/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The server's side of gRPC on one connection: requests become calls of the session, answers become
 * streams of HTTP/2. It borrows the stream and the session, which its owner closes before
 * destroying it.
 *
 * Answers wait here while the client's flow control holds them back. A stream whose answers pile up
 * is not listened to until they shrink; past a limit it is reset. Past max-output, all streams
 * together, the connection counts as a slow client's.
 *
 * Source: https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md
 */
#ifndef HOLDFAST_TRANSPORT_GRPC_CONNECTION_H
#define HOLDFAST_TRANSPORT_GRPC_CONNECTION_H

#include "base/compiler.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct grpc_connection;
struct session;
struct stream;

struct grpc_config {
    struct stream *stream;
    struct session *session;
    size_t output_max;     /* of answers that wait */
    int64_t ping_after_us; /* a client that has been silent for so long is asked for a sign */
};

struct grpc_connection *grpc_connection_create(const struct grpc_config *config);

/* Frees everything. Every call must have ended. */
void grpc_connection_destroy(struct grpc_connection *connection);

/* Works on the stream's input; when there is much, on a part of it, and asks for another turn. */
void grpc_connection_input(struct grpc_connection *connection);

/* Writes output to the stream until it is congested. Whether there is more. */
bool grpc_connection_flush(struct grpc_connection *connection);

/* Begins to part with the client: it is asked to make no more requests here, and a moment later
 * told which was the last. Again: harmless. */
void grpc_connection_drain(struct grpc_connection *connection);

/* Whether the client has been told which request was the last. */
bool grpc_connection_is_drained(const struct grpc_connection *connection);

/* Tells the client that this is the end, and writes what can be written. */
void grpc_connection_say_goodbye(struct grpc_connection *connection);

/* Nothing is done any more, on input or by time. */
void grpc_connection_stop(struct grpc_connection *connection);

/* The client owes the rest of something it has begun. */
bool grpc_connection_is_awaiting(const struct grpc_connection *connection);

/* Whether nothing more can come of the connection. */
bool grpc_connection_is_over(const struct grpc_connection *connection);

/* What was wrong with the client: static text. NULL: nothing. */
const char *grpc_connection_problem(const struct grpc_connection *connection);

#endif
