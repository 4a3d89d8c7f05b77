/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One question of the application: answered exactly once, by its owner (the call that the server
 * works on, or a hold), or because of its timeout.
 */
#ifndef HOLDFAST_CLIENT_REQUEST_H
#define HOLDFAST_CLIENT_REQUEST_H

#include "base/compiler.h"
#include "client.h"

#include <holdfast/holdfast.h>
#include <stdbool.h>
#include <stdint.h>

#define REQUEST_CLOSED "the handle was closed"

enum callback_kind { CALLBACK_LEASE, CALLBACK_DONE, CALLBACK_INSPECT };

/* The application's function and its argument. */
struct callback {
    enum callback_kind kind;
    union {
        holdfast_lease_fn *on_lease;
        holdfast_done_fn *on_done;
        holdfast_inspect_fn *on_inspect;
    };
    void *user;
};

struct request {
    struct delivery delivery;
    TAILQ_ENTRY(request) link; /* in client->requests until it is answered */
    struct holdfast_async *client;
    struct callback callback;
    struct event *timer;
    int64_t deadline_us;

    /* The owner's side, until it answers. */
    void *owner;
    /* The time is up, or the client is being closed: answer it. While the client is not closing
     * request_wait_longer will do, too. */
    void (*on_timeout)(struct request *request);

    /* The answer. */
    enum holdfast_result result;
    char error[HOLDFAST_ERROR_SIZE];
    bool has_holder;
    struct holdfast_holder holder;
    struct holdfast_lease *lease; /* with a reference, which becomes the application's */
};

/* A request that is due an answer within the client's timeout. NULL when it is answered already:
 * too many are open. */
NODISCARD struct request *request_create(struct holdfast_async *client,
                                         const struct callback *callback);

/* Answers; `text` is copied, "" on success. The owner forgets the request. */
void request_answer(struct request *request, enum holdfast_result result, const char *text);

void request_answer_format(struct request *request, enum holdfast_result result, const char *format,
                           ...) PRINTF_LIKE(3, 4);

/* Gives the server `delay_us` more than was asked for: its own answer says more than ours. */
void request_wait_longer(struct request *request, int64_t delay_us);

#endif
