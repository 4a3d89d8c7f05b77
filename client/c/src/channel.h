/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The client's side of ttRPC over one connection that is made again whenever it drops. Calls wait
 * for a connection, then own a stream id until the server ends them, the connection drops, or they
 * are forgotten.
 *
 * Of the functions here only channel_call_start calls back before it returns: on_ready, and on_down
 * with on_end once in two thousand million calls, when the connection has no stream ids left.
 */
#ifndef HOLDFAST_CLIENT_CHANNEL_H
#define HOLDFAST_CLIENT_CHANNEL_H

#include "base/compiler.h"
#include "stream.h"
#include "wire/status.h"

#include <protobuf-c/protobuf-c.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#define CHANNEL_BUCKETS    1024
#define CHANNEL_OUTPUT_MAX ((size_t)16 << 20)

struct channel_call;

/* How a call ended. */
struct channel_end {
    bool is_disconnected;   /* the connection dropped; only the next one is set besides */
    bool is_untrusted;      /* there will be none: the server's certificate is not trusted */
    enum status status;     /* any number the server chose */
    const char *text;       /* "" for STATUS_OK */
    const uint8_t *payload; /* of a unary answer */
    size_t length;
};

struct channel_call_events {
    /* There is a connection and the call has its stream id: send the request now. */
    void (*on_ready)(struct channel_call *call);
    /* One message of a stream. False: it breaks the protocol, drop the connection. */
    bool (*on_message)(struct channel_call *call, const uint8_t *bytes, size_t length);
    /* The channel has let go of the call; it may be started again. */
    void (*on_end)(struct channel_call *call, const struct channel_end *end);
};

enum channel_call_state { CALL_IDLE, CALL_WAITING, CALL_ACTIVE };

/* Embedded in what makes the call; zero-initialised but for `events`. */
struct channel_call {
    const struct channel_call_events *events;
    enum channel_call_state state;
    uint32_t stream_id;
    LIST_ENTRY(channel_call) bucket;
    TAILQ_ENTRY(channel_call) waiting;
};

LIST_HEAD(channel_bucket, channel_call);
TAILQ_HEAD(channel_queue, channel_call);

struct channel_events {
    void (*on_up)(void *user);
    /* The connection dropped or could not be made; runs before the calls end. */
    void (*on_down)(void *user, const char *why);
};

struct channel {
    struct stream stream;
    const struct channel_events *events;
    void *user;
    bool is_up;
    bool has_heard; /* something, on this connection */
    unsigned int attempts;
    uint32_t next_stream_id;
    struct event *retry;
    struct channel_queue waiting;
    struct channel_bucket buckets[CHANNEL_BUCKETS]; /* active calls by stream id */
};

/* Starts to connect. False when the loop has no memory left. */
NODISCARD bool channel_init(struct channel *channel, const struct stream_config *config,
                            const struct channel_events *events, void *user);

/* Every call must have ended or been forgotten. */
void channel_release(struct channel *channel);

/* More output is pending than the server takes: refuse new work. */
bool channel_is_congested(const struct channel *channel);

/* Waits for a connection, or runs on_ready at once. */
void channel_call_start(struct channel *channel, struct channel_call *call);

/* Lets go of a call, whatever its state; late answers are ignored. */
void channel_call_forget(struct channel *channel, struct channel_call *call);

/* The call is active. */
struct channel_request {
    const char *service; /* NULL: holdfast.v1.Locks */
    const char *method;
    const ProtobufCMessage *message; /* NULL: opens a stream, messages follow */
    bool is_open;                    /* with a message: not half-closed by it */
    int64_t timeout_us;              /* 0: for ever */
};

void channel_send_request(struct channel *channel, struct channel_call *call,
                          const struct channel_request *request);

/* As channel_request, of a message that somebody else has packed. */
struct channel_raw_request {
    const char *service;
    const char *method;
    const uint8_t *message; /* NULL: opens a stream, messages follow */
    size_t length;
    const struct holdfast_header *headers;
    size_t header_count;
    int64_t timeout_us; /* 0: for ever */
};

/* What goes around the message of a raw request takes at most so many bytes; the whole must fit
 * into TTRPC_DATA_MAX. */
size_t channel_raw_overhead(const struct channel_raw_request *request);

void channel_send_raw_request(struct channel *channel, struct channel_call *call,
                              const struct channel_raw_request *request);

/* One packed message of a stream, of at most TTRPC_DATA_MAX bytes. */
void channel_send_raw_message(struct channel *channel, struct channel_call *call,
                              const uint8_t *bytes, size_t length);

/* One message of a stream. */
void channel_send_message(struct channel *channel, struct channel_call *call,
                          const ProtobufCMessage *message);

/* No more messages come from us on this stream. */
void channel_half_close(struct channel *channel, struct channel_call *call);

#endif
