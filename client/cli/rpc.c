/* SPDX-License-Identifier: Apache-2.0 */
#include "rpc.h"

void rpc_start(struct rpc *rpc, const struct session *session, const struct holdfast_call_ask *ask,
               const struct grpc_call_events *events)
{
    *rpc = (struct rpc){.grpc = NULL};
    if (session->grpc != NULL) {
        rpc->grpc = grpc_call_start(session->grpc, ask, events);
    } else {
        rpc->ttrpc = holdfast_async_call(session->async, ask, &events->call);
    }
}

bool rpc_send(const struct rpc *rpc, const void *message, size_t length)
{
    return rpc->grpc != NULL ? grpc_call_send(rpc->grpc, message, length)
                             : holdfast_call_send(rpc->ttrpc, message, length);
}

bool rpc_is_full(const struct rpc *rpc)
{
    return rpc->grpc != NULL && grpc_call_is_full(rpc->grpc);
}

void rpc_half_close(const struct rpc *rpc)
{
    if (rpc->grpc != NULL) {
        grpc_call_half_close(rpc->grpc);
    } else {
        holdfast_call_half_close(rpc->ttrpc);
    }
}

void rpc_end(struct rpc *rpc)
{
    grpc_call_free(rpc->grpc);
    holdfast_call_free(rpc->ttrpc);
    *rpc = (struct rpc){.grpc = NULL};
}
