/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One RPC call on the server, whatever transport carries it. The transport creates the call and
 * embeds it in its own stream object; the service answers it. Exactly one end happens to a call:
 *
 *   call_reply / call_finish   the service answers (a streaming call may call_send before that)
 *   call_cancel                the transport takes it back: connection gone, or deadline passed
 *
 * After either end neither side touches the call again except that the transport frees it, in the
 * FREE phase of the turn. A service that keeps a pointer to a call must drop it in on_cancel.
 */
#ifndef HOLDFAST_WIRE_CALL_H
#define HOLDFAST_WIRE_CALL_H

#include "base/arena.h"
#include "base/compiler.h"
#include "base/wheel.h"
#include "wire/status.h"

#include <protobuf-c/protobuf-c.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

struct call;
struct session;
struct method;

/* What a transport does for its calls. Neither function calls back before returning. */
struct call_transport {
    /* Packs and queues one message of a streaming answer. */
    void (*send)(struct call *call, const ProtobufCMessage *message);
    /* Packs and queues the end: `reply` (unary success, else NULL), status and text. `text` is ""
     * for STATUS_OK. The call is freed at the end of the turn. */
    void (*finish)(struct call *call, const ProtobufCMessage *reply, enum status status,
                   const char *text);
};

struct call {
    const struct call_transport *transport;
    struct session *session;     /* whose call it is; never NULL while the call is active */
    const struct method *method; /* the row that serves it; NULL until it is found */
    LIST_ENTRY(call) link;       /* in its session */
    struct arena arena;          /* request messages and scratch; freed with the call */
    struct timer deadline;       /* set by the session if the caller gave one */
    int64_t deadline_us;         /* CLOCK_NEVER when the caller gave none */
    int64_t started_us;
    bool is_finished;    /* one of the two ends has happened */
    bool is_half_closed; /* the client sends no more messages */
    bool has_message;    /* a request message has arrived; kept by the session */

    /* The service's side; all may be NULL. */
    void *user;
    void (*on_half_close)(struct call *call); /* the client's last message has been delivered */
    void (*on_cancel)(struct call *call);     /* drop every pointer to the call; do not answer */
};

/* Prepares a call for `transport`. Its arena takes at most `arena_limit` bytes. */
void call_init(struct call *call, const struct call_transport *transport, size_t arena_limit);

/* Frees the arena. The call must have ended. */
void call_release(struct call *call);

/* Queues one message of a streaming answer. */
void call_send(struct call *call, const ProtobufCMessage *message);

/* Ends a unary call with success. `reply` is packed before this returns. */
void call_reply(struct call *call, const ProtobufCMessage *reply);

/* Ends a call with a status; with STATUS_OK it ends a stream. The text names the thing and the
 * remedy. */
void call_finish(struct call *call, enum status status, const char *format, ...) PRINTF_LIKE(3, 4);

/* Takes an active call back without an answer: runs on_cancel once. For sessions and transports. */
void call_cancel(struct call *call);

#endif
