/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One call over a grpc_channel, as holdfast_call is one over libholdfast's: what is asked and what
 * is told is described in <holdfast/holdfast.h>, where on_end also tells what gRPC's rules make of
 * answers that are none.
 */
#ifndef HOLDFAST_GRPC_GRPC_CALL_H
#define HOLDFAST_GRPC_GRPC_CALL_H

#include <holdfast/holdfast.h>
#include <stdbool.h>
#include <stddef.h>

struct grpc_call;
struct grpc_channel;

struct grpc_call_events {
    struct holdfast_call_events call;
    /* After grpc_call_is_full: it is not any more. May be NULL. */
    void (*on_room)(void *user);
};

/* Never NULL; free it with grpc_call_free, before the channel is closed. */
struct grpc_call *grpc_call_start(struct grpc_channel *channel, const struct holdfast_call_ask *ask,
                                  const struct grpc_call_events *events);

/* Sends one more message of a request that is a stream. False, and it is not sent: it is longer
 * than HOLDFAST_MESSAGE_MAX, or far more waits than grpc_call_is_full says. */
bool grpc_call_send(struct grpc_call *call, const void *message, size_t length);

/* Whether the server takes more slowly than we send: on_room tells when to go on. */
bool grpc_call_is_full(const struct grpc_call *call);

void grpc_call_half_close(struct grpc_call *call);

/* Takes the call back unless it is over, and frees it. Also from its callbacks. NULL is allowed. */
void grpc_call_free(struct grpc_call *call);

#endif
