/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A session is what a client connection means to the services: the calls it has in flight and the
 * leases bound to it. The transport creates one per connection and feeds it calls; when the
 * connection goes, destroying the session cancels the calls and abandons the leases.
 *
 * A started call leaves its session exactly once, by one of
 *   session_forget_call   which the transport's finish calls: the call was answered
 *   session_cancel_call   the client took this one call back
 *   session_destroy       the connection is gone
 */
#ifndef HOLDFAST_SERVICE_SESSION_H
#define HOLDFAST_SERVICE_SESSION_H

#include "base/compiler.h"
#include "lease/party.h"
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
    TAILQ_ENTRY(session) link; /* in the services' list */
    uint64_t id;               /* rises with every session of this server */
    int64_t created_us;
    struct lease_party party; /* who waits, and whom others wait for */
    bool is_unsecured;        /* in plaintext, on an address that serves TLS: see methods.h */
    char *peer;               /* "unix", "127.0.0.1:51234": for logs */
    struct call_list calls;
    size_t call_count;
    struct binding_list bindings; /* leases bound to this connection: see service/binding.h */
    size_t lease_count;           /* locks held or waited for */
};

/* A session for a new connection from `peer`; NULL when the limit of connections is reached. */
NODISCARD struct session *session_create(struct services *services, const char *peer);

/* The connection is gone: cancels every call, gives up every lease or keeps it for its grace, frees
 * the session. The transport frees the calls, which are ended now. */
void session_destroy(struct session *session);

/* Whether nothing is in flight or held: such a connection may be closed by a drain. */
bool session_is_idle(const struct session *session);

/* Whether a lease is held between calls, bound to the connection alone. */
bool session_holds_between_calls(const struct session *session);

/* Tells every holder that the server is shutting down: streams hear Lost, other calls end with
 * UNAVAILABLE, all leases are given up but those with a grace, which their owners may resume at
 * another server. */
void session_shut_down(struct session *session);

/* Starts a call that the transport has prepared with call_init. Finds the method, applies the
 * limits and sets the deadline; `timeout_us` 0 means none, a negative one has passed already. May
 * end the call at once. Follow with session_message and session_half_close. */
void session_start_call(struct session *session, struct call *call, const char *service,
                        const char *method, int64_t timeout_us);

/* One request message of a started call. Validates, unpacks, runs the handler. May end the call;
 * ignored when the call has ended. */
void session_message(struct call *call, const uint8_t *bytes, size_t length);

/* The client sends no more messages on this started call. May end the call; ignored when the call
 * has ended. */
void session_half_close(struct call *call);

/* Takes an ended call off its session: the transport's finish calls this. Harmless for a call that
 * was never started or has left already. The call's `session` is NULL afterwards. */
void session_forget_call(struct call *call);

/* The client takes one started call back: ends it without an answer. Ignored when it has ended. */
void session_cancel_call(struct call *call);

/*
 * ---- For the services ----
 */

/* Ends an active call with a status other than OK, for a handler that has let go of the call. The
 * text names the thing and the remedy. */
void session_fail_call(struct call *call, enum status status, const char *format, ...)
    PRINTF_LIKE(3, 4);

/* As session_fail_call, but makes the handler let go first (on_cancel). */
void session_abort_call(struct call *call, enum status status, const char *format, ...)
    PRINTF_LIKE(3, 4);

/* Ends a call whose deadline has passed, for a handler that has let go of it. */
void session_expire_call(struct call *call);

#endif
