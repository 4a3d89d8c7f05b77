/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One connection to a gRPC server, of any make: TCP, TLS (ALPN h2) or a unix socket. It is made
 * once and not again; when it cannot be made, or drops, its calls end with UNAVAILABLE, and so do
 * later ones. Everything runs in the thread that turns the loop, and nothing is called back before
 * a function of this header returns.
 */
#ifndef HOLDFAST_GRPC_GRPC_CHANNEL_H
#define HOLDFAST_GRPC_GRPC_CHANNEL_H

#include <holdfast/holdfast.h>

struct event_base;
struct grpc_channel;

/* Begins to connect; options->timeout_ms is for that, up to the server's first words. NULL with a
 * sentence in `error` when the options make no sense. `base` outlives the channel. */
struct grpc_channel *grpc_channel_open(struct event_base *base,
                                       const struct holdfast_options *options,
                                       char error[HOLDFAST_ERROR_SIZE]);

/* Closes the connection. Every call must have been freed. Not from a callback. NULL is
 * allowed. */
void grpc_channel_close(struct grpc_channel *channel);

#endif
