/* SPDX-License-Identifier: Apache-2.0 */
/* What a channel and its calls share. */
#ifndef HOLDFAST_GRPC_GRPC_INTERNAL_H
#define HOLDFAST_GRPC_GRPC_INTERNAL_H

#include "grpc/grpc_answer.h"
#include "grpc/grpc_call.h"
#include "grpc/grpc_channel.h"
#include "grpc/http2_client.h"
#include "reach.h"
#include "stream.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

LIST_HEAD(grpc_call_list, grpc_call);

enum grpc_channel_state { GRPC_CONNECTING, GRPC_UP, GRPC_DOWN };

struct grpc_channel {
    struct event_base *base;
    struct reach reach;
    char authority[ADDRESS_TEXT_SIZE];
    struct stream stream;
    struct http2_client *http2;
    enum grpc_channel_state state;
    bool has_greeted;     /* the server */
    struct event *flush;  /* what calls have to say leaves in a turn of its own */
    struct event *silent; /* when the server has not greeted for too long */
    struct grpc_call_list calls;
    char down[HOLDFAST_ERROR_SIZE]; /* why */
};

struct grpc_outgoing; /* a message with its prefix */
STAILQ_HEAD(grpc_outbox, grpc_outgoing);

struct grpc_call {
    LIST_ENTRY(grpc_call) link;
    struct grpc_channel *channel;
    struct grpc_call_events events;
    struct holdfast_call_ask ask; /* what it points to is ours; the message is in the outbox */
    int64_t deadline_us;          /* CLOCK_NEVER: none */
    int32_t id;                   /* of its stream; 0: it has none, not yet or not any more */
    struct event *timer;
    struct event *tell; /* runs what must not run inside a caller or the HTTP/2 library */

    struct grpc_outbox outbox;
    size_t outbox_bytes;
    size_t sent; /* of the first one */
    bool is_half_closed;
    bool is_sent; /* all of it */
    bool was_full;

    struct grpc_answer answer;
    struct evbuffer *inbox; /* not yet a whole message */
    size_t messages;        /* told */
    bool is_over;
    bool is_told;
    bool is_delivering; /* a callback runs */
    bool is_freed;      /* by that callback: the rest comes when it has returned */
    struct grpc_answer_end end;
};

/* Something is to be sent. */
void grpc_channel_flush(struct grpc_channel *channel);

/* The channel's part of a call's life, in this order; the stream's id is call->id. */
void grpc_call_begin(struct grpc_call *call); /* the channel is up */
size_t grpc_call_pull(struct grpc_call *call, uint8_t *bytes, size_t size, bool *is_last);
void grpc_call_take_head(struct grpc_call *call, bool is_whole);
void grpc_call_take_data(struct grpc_call *call, const uint8_t *bytes, size_t length);
void grpc_call_take_end(struct grpc_call *call, uint32_t error); /* of the answer, or the stream */
void grpc_call_drop(struct grpc_call *call, const char *why);    /* the channel is down */

#endif
