/* SPDX-License-Identifier: Apache-2.0 */
/* One call of any method over what the session speaks: ttRPC, or gRPC with --grpc. */
#ifndef HOLDFAST_CLI_RPC_H
#define HOLDFAST_CLI_RPC_H

#include <stdbool.h>
#include <stddef.h>

#include <holdfast/holdfast.h>

#include "grpc/grpc_call.h"
#include "session.h"

/* One of them is NULL; both are before the start. */
struct rpc {
    struct holdfast_call *ttrpc;
    struct grpc_call *grpc;
};

/* The session is open. on_room is gRPC's alone. */
void rpc_start(struct rpc *rpc, const struct session *session, const struct holdfast_call_ask *ask,
               const struct grpc_call_events *events);

/* False, and it is not sent: it is too long, or too much waits to be sent. */
bool rpc_send(const struct rpc *rpc, const void *message, size_t length);

/* Whether to wait for on_room before more is sent. */
bool rpc_is_full(const struct rpc *rpc);

void rpc_half_close(const struct rpc *rpc);

/* Takes the call back unless it is over. Harmless when it was never started. */
void rpc_end(struct rpc *rpc);

#endif
