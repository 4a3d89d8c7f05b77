/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One client: a channel, its requests and holds, and the queue from which everything that the
 * application hears is delivered. Whatever happens on the wire is recorded at once; the
 * application's functions run afterwards from a turn of their own, so they may call anything.
 */
#ifndef HOLDFAST_CLIENT_CLIENT_H
#define HOLDFAST_CLIENT_CLIENT_H

#include "channel.h"
#include "reach.h"

#include <holdfast/holdfast.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#define CLIENT_REQUESTS_MAX 10000
#define CLIENT_WATCHES_MAX  10000
#define CLIENT_CALLS_MAX    10000

struct hold;
struct mailbox;
struct request;

/* One thing to tell the application; embedded, zero-initialised but for `run`. */
struct delivery {
    TAILQ_ENTRY(delivery) link;
    bool is_queued;
    void (*run)(struct delivery *delivery); /* may free what the delivery is embedded in */
};

TAILQ_HEAD(delivery_queue, delivery);
LIST_HEAD(hold_list, hold);
LIST_HEAD(watch_list, holdfast_watch);
LIST_HEAD(client_call_list, holdfast_call);
LIST_HEAD(election_list, holdfast_election);
TAILQ_HEAD(request_queue, request);

/* The public handle of the asynchronous API; the blocking API has one in its thread. */
struct holdfast_async {
    struct event_base *base;
    struct reach reach;
    struct channel channel;
    struct request_queue requests; /* not answered yet */
    size_t request_count;
    uint64_t last_request_id;
    struct hold_list holds;
    struct watch_list watches;
    size_t watch_count;
    struct client_call_list calls;
    size_t call_count;
    struct election_list elections;
    struct delivery_queue deliveries;
    struct event *turn;
    bool is_delivering;
    bool is_closing;
    char down[HOLDFAST_ERROR_SIZE]; /* why there is no connection */

    struct mailbox *mailbox; /* of the blocking API; NULL otherwise */
    /* What the first attempt to connect came to; "" is success. May be NULL. */
    void (*on_first_attempt)(void *user, const char *why);
    void *first_attempt_user;
};

/* Queues a delivery; harmless when it is queued already. */
void client_deliver(struct holdfast_async *client, struct delivery *delivery);

/* Takes a delivery back; harmless when it is not queued. */
void client_cancel(struct holdfast_async *client, struct delivery *delivery);

/* An empty client that is not open. */
void client_init(struct holdfast_async *client, struct event_base *base);

/* Parses options and starts to connect. False and a sentence in `error` otherwise. */
NODISCARD bool client_open(struct holdfast_async *client, const struct holdfast_options *options,
                           char error[HOLDFAST_ERROR_SIZE]);

/* Answers everything that is open with HOLDFAST_AWAY before it returns; on_lost is not called, and
 * watches, calls and elections end silently. Frees all but the handle. Not from a delivery. */
void client_close(struct holdfast_async *client);

#endif
