/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A binding ties one lease, on one lock or several, to the connection that asked for it. It hears
 * the lease's events and passes them to the call that owns it (Acquire and Resume until they are
 * answered, Hold as long as it lives).
 *
 * A release is a binding whose lease is being given back, with the Release calls that wait for
 * that, whatever connection they came on. It may outlive the owner and the session.
 *
 * A binding is freed by the event that ends its lease, or when its owner is gone and no Release
 * waits for it.
 */
#ifndef HOLDFAST_SERVICE_BINDING_H
#define HOLDFAST_SERVICE_BINDING_H

#include "base/compiler.h"
#include "lease/group.h"
#include "service/ask.h"
#include "service/session.h"

#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

/* Why the server itself takes a lease away from the call that owns it. */
enum binding_withdrawal {
    BINDING_RELEASED,  /* somebody released it with its token */
    BINDING_SHUT_DOWN, /* the server is shutting down */
};

/* What the owning call hears. */
struct binding_owner {
    /* An event of the lease. After REFUSED, LOST and RELEASED the binding is gone; the group is
     * there until this returns. */
    void (*on_event)(struct call *call, const struct group *group,
                     const struct lease_report *report, int64_t now_us);
    /* The binding is gone for the call, which must end. */
    void (*on_withdrawn)(struct call *call, enum binding_withdrawal why);
};

struct binding {
    struct group group;       /* whose party is the session's */
    LIST_ENTRY(binding) link; /* in its session, until only Release calls care */
    struct call *call;        /* the owner; NULL when none listens */
    union {
        const struct binding_owner *owner;
        struct release *release; /* while the lease is being given back */
    };
};

/* One Release call that waits. */
struct release_wait {
    LIST_ENTRY(release_wait) link;
    struct release *release;
    struct call *call;
};

/* Asks for a lease, or to resume one, on behalf of `call`, bound to its session. The owner hears
 * the outcome later. When that is refused at once (a limit, a circle of waiters), ends the call and
 * returns NULL. */
NODISCARD struct binding *binding_create(struct call *call, const struct binding_owner *owner,
                                         const struct ask *ask, int64_t now_us);

/* The binding whose lease holds `key` under `token`, or is being given back. NULL: none. */
struct binding *binding_find(const struct services *services, const char *key,
                             const struct id128 *token);

/* The owner has been answered and listens no more; the lease stays with the session. */
void binding_forget_call(struct binding *binding);

/* The owner gives the lease back and hears RELEASED or LOST later. The lease must be granted. */
void binding_release(struct binding *binding, int64_t now_us);

/* The owner or its connection is gone, but may come back: the lease is kept for the grace that it
 * asked for, if any. The pointer is dead for the caller. */
void binding_abandon(struct binding *binding, int64_t now_us);

/* The owner is not to have the lease any more. The pointer is dead for the caller. */
void binding_revoke(struct binding *binding, int64_t now_us);

/* What a call that is taken back does: its deadline revokes, all else abandons. */
void binding_leave(struct binding *binding, const struct call *call, int64_t now_us);

/* The server shuts down: tells the owner, then as binding_abandon, for the lease may be resumed at
 * another server. */
void binding_withdraw(struct binding *binding, int64_t now_us);

/* Gives the lease back, taking it away from its owner, unless that is under way; and answers
 * `call`, a Release, when that is done. The result is freed then, or by binding_stop_waiting. */
struct release_wait *binding_await_release(struct binding *binding, struct call *call,
                                           int64_t now_us);

/* The Release call is gone; the release goes on. */
void binding_stop_waiting(struct release_wait *wait, int64_t now_us);

/* Logs that `lease`, which is the binding's, was lost, for people. */
void binding_log_loss(const struct binding *binding, const struct lease *lease, const char *reason);

#endif
