/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A session is what a client connection means to the services: the calls it has in flight and the
 * leases bound to it. The transport creates one per connection and feeds it calls; when the
 * connection goes, destroying the session cancels the calls and revokes the leases.
 */
#ifndef HOLDFAST_SERVICE_SESSION_H
#define HOLDFAST_SERVICE_SESSION_H

#include "base/compiler.h"
#include "service/services.h"
#include "wire/call.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

LIST_HEAD(call_list, call);
struct binding;
LIST_HEAD(binding_list, binding);

struct session {
    struct services *services;
    char *peer; /* "unix", "127.0.0.1:51234": for logs */
    struct call_list calls;
    size_t call_count;
    struct binding_list bindings; /* leases of unary Acquire: see service/locks.c */
    size_t lease_count;
};

/* A session for a new connection from `peer`; NULL when the limit of connections is reached. */
NODISCARD struct session *session_create(struct services *services, const char *peer);

/* The connection is gone: cancels every call, revokes every lease, frees the session. */
void session_destroy(struct session *session);

/* Whether nothing is in flight or held: such a connection may be closed by a drain. */
bool session_is_idle(const struct session *session);

/* Tells every holder that the server is shutting down: streams hear Lost, all leases are released.
 */
void session_shut_down(struct session *session);

/* Starts a call that the transport has prepared with call_init. Finds the method, applies the
 * limits and sets the deadline; `timeout_us` 0 means none. May end the call at once. Follow with
 * session_message and session_half_close. */
void session_start_call(struct session *session, struct call *call, const char *service,
                        const char *method, int64_t timeout_us);

/* One request message of an active call. Validates, unpacks, runs the handler. May end the call. */
void session_message(struct call *call, const uint8_t *bytes, size_t length);

/* The client sends no more messages on this active call. May end the call. */
void session_half_close(struct call *call);

/* Takes an ended call off its session: called by wire/call.c's two ends through the transport's
 * finish, once per started call. */
void session_forget_call(struct call *call);

#endif
