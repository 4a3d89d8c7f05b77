/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One attempt at a connection and then the connection: unix, TCP or TLS, non-blocking. Everything
 * is reported from the loop, never from within a function of this header. Writing never raises
 * SIGPIPE; descriptors close on exec.
 */
#ifndef HOLDFAST_CLIENT_STREAM_H
#define HOLDFAST_CLIENT_STREAM_H

#include "address.h"
#include "tls.h"

#include <holdfast/holdfast.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct addrinfo;
struct evbuffer;
struct event;
struct event_base;
struct lookup;
struct ssl_ctx_st;

struct stream_events {
    void (*on_open)(void *user);
    /* stream->input has grown; drain what is understood. */
    void (*on_data)(void *user);
    /* The attempt failed or the connection ended; the stream is closed and may be opened again. */
    void (*on_close)(void *user, const char *why);
    /* All that was written has been taken by the system. May be NULL. */
    void (*on_drained)(void *user);
};

struct stream_config {
    struct event_base *base;
    const struct address *address;
    struct ssl_ctx_st *tls; /* NULL unless the address is tls:// */
    uint32_t timeout_ms;    /* for name, connection and handshake together */
};

enum stream_state {
    STREAM_CLOSED,
    STREAM_STARTING,
    STREAM_RESOLVING,
    STREAM_CONNECTING,
    STREAM_SHAKING_HANDS,
    STREAM_OPEN,
};

struct stream {
    struct stream_config config;
    const struct stream_events *events;
    void *user;
    struct evbuffer *input; /* from the server, decrypted */

    enum stream_state state;
    int descriptor;
    struct event *readable;
    struct event *writable;
    struct event *turn;    /* runs what must not run inside a caller: start and flush */
    struct event *timeout; /* of the attempt */
    struct lookup *lookup;
    struct addrinfo *addresses;     /* what the name means */
    const struct addrinfo *address; /* tried next */
    struct tls_session tls;
    bool is_untrusted;       /* the last attempt ended for the server's certificate */
    struct evbuffer *output; /* to the server, plain */
    struct evbuffer *wire;   /* to the server, encrypted; unused without TLS */
    char why[HOLDFAST_ERROR_SIZE];
};

/* `config->address` and `config->tls` outlive the stream. False when the loop has no memory left.
 */
NODISCARD bool stream_init(struct stream *stream, const struct stream_config *config,
                           const struct stream_events *events, void *user);

/* Closes without on_close and frees. */
void stream_release(struct stream *stream);

/* Starts an attempt. The stream must be closed. */
void stream_open(struct stream *stream);

/* Ends attempt or connection without on_close. Both buffers are emptied. */
void stream_close(struct stream *stream);

/* Queues bytes; sent at the end of this turn of the loop. The stream must be open. */
void stream_write(struct stream *stream, const void *bytes, size_t length);

/* Bytes queued and not yet taken by the system. */
size_t stream_pending(const struct stream *stream);

#endif
