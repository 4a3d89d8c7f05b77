/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A listening socket: tcp://HOST:PORT, tls://HOST:PORT or unix:///PATH. Port 0 picks a free one.
 * Accepting pauses when descriptors run out and when the limit of connections is reached it refuses
 * politely by closing. HOST may be a name or an address; IPv6 in brackets; "*" is every address.
 */
#ifndef HOLDFAST_TRANSPORT_LISTENER_H
#define HOLDFAST_TRANSPORT_LISTENER_H

#include "base/compiler.h"
#include "base/loop.h"
#include "base/metrics.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LISTENER_PROBLEM_SIZE 256

struct listener;
struct services;
struct tls;

struct listener_config {
    const char *url;
    int unix_mode;           /* permissions of the socket file, as 0660 */
    struct tls *tls;         /* for tls:// URLs; shared, outlives the listener */
    size_t output_max;       /* option max-output: unsent bytes per connection */
    int64_t keepalive_ms;    /* idle time before the first probe, and between probes */
    int64_t user_timeout_ms; /* unacknowledged data or probes for this long: the peer is gone */
    int64_t handshake_timeout_ms; /* for the TLS handshake, and for the rest of
                                     a message that has begun */
};

/* Opens the socket: from now on clients may connect, and wait for listener_start. A stale unix
 * socket file (nobody listens) is replaced, a live one or another kind of file is refused. NULL and
 * a sentence in `problem` on failure. */
NODISCARD struct listener *listener_create(const struct listener_config *config, struct loop *loop,
                                           struct services *services, struct metrics *metrics,
                                           char problem[LISTENER_PROBLEM_SIZE]);

/* Begins to accept; `services` must be ready. Call once. */
void listener_start(struct listener *listener);

/* Stops listening at once; connections go on. Removes a unix socket's file. */
void listener_stop(struct listener *listener);

/* Tells the holders on every connection that the server shuts down, then closes. */
void listener_shut_down(struct listener *listener);

/* Connections accepted here and still open. */
size_t listener_connections(const struct listener *listener);

/* Closes connections on which nothing is in flight and nothing is held. */
void listener_close_idle(struct listener *listener);

/* Closes every connection, at once, and frees the listener. */
void listener_destroy(struct listener *listener);

/* The address with the port really used: "tcp://127.0.0.1:7420". */
const char *listener_address(const struct listener *listener);

#endif
