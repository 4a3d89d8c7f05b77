/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One question of the application: answered exactly once, by its owner (the call that the server
 * works on, or a hold), or because of its timeout.
 */
#ifndef HOLDFAST_CLIENT_REQUEST_H
#define HOLDFAST_CLIENT_REQUEST_H

#include "base/compiler.h"
#include "client.h"

#include "holdfast/v1/locks.pb-c.h"

#include <holdfast/holdfast.h>
#include <stdbool.h>
#include <stdint.h>

#define REQUEST_CLOSED "the handle was closed"

struct list;

enum callback_kind {
    CALLBACK_LEASE,
    CALLBACK_DONE,
    CALLBACK_INSPECT,
    CALLBACK_LOCKS,
    CALLBACK_CONNECTIONS,
};

/* The application's function and its argument. */
struct callback {
    enum callback_kind kind;
    union {
        holdfast_lease_fn *on_lease;
        holdfast_done_fn *on_done;
        holdfast_inspect_fn *on_inspect;
        holdfast_locks_fn *on_locks;
        holdfast_connections_fn *on_connections;
    };
    void *user;
};

struct request {
    struct delivery delivery;
    TAILQ_ENTRY(request) link; /* in client->requests until it is answered */
    uint64_t id;               /* of the application's to cancel it by */
    struct holdfast_async *client;
    struct callback callback;
    struct event *timer;
    int64_t deadline_us;

    /* The owner's side, until it answers. */
    void *owner;
    /* The time is up, or the client is being closed: answer it. While the client is not closing
     * request_wait_longer will do, too. */
    void (*on_timeout)(struct request *request);
    /* The application takes it back: answer it. NULL: it cannot. */
    void (*on_cancel)(struct request *request);

    /* The answer. */
    enum holdfast_result result;
    char error[HOLDFAST_ERROR_SIZE];
    struct holdfast_holder *holder; /* the request's; NULL when there is nothing to tell */
    struct holdfast_lease *lease;   /* with a reference, which becomes the application's */
    struct list *list;              /* the request's; may be NULL */
};

/* A request that is due an answer within the client's timeout. NULL when it is answered already:
 * too many are open. */
NODISCARD struct request *request_create(struct holdfast_async *client,
                                         const struct callback *callback);

/* Answers; `text` is copied, "" on success. The owner forgets the request. */
void request_answer(struct request *request, enum holdfast_result result, const char *text);

void request_answer_format(struct request *request, enum holdfast_result result, const char *format,
                           ...) PRINTF_LIKE(3, 4);

/* Takes what the server tells about a holder; NULL: that there is none. */
void request_take_holder(struct request *request, const Holdfast__V1__Holder *holder);

/* It is due an answer `delay_us` from now instead. */
void request_postpone(struct request *request, int64_t delay_us);

/* The request with that id that is not answered yet, or NULL. */
struct request *request_find(struct holdfast_async *client, uint64_t id);

/* Gives the server `delay_us` more than was asked for: its own answer says more than ours. */
void request_wait_longer(struct request *request, int64_t delay_us);

#endif
