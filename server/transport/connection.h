/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An accepted connection: owns its stream and its session, finds out which protocol the peer
 * speaks, and closes when the peer is gone or makes no sense.
 */
#ifndef HOLDFAST_TRANSPORT_CONNECTION_H
#define HOLDFAST_TRANSPORT_CONNECTION_H

#include "base/compiler.h"
#include "base/loop.h"
#include "base/metrics.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

struct connection;
struct services;
struct tls;

LIST_HEAD(connection_list, connection);

/* What the connections of one listener share. */
struct connection_host {
    struct loop *loop;
    struct services *services;
    struct metrics *metrics;
    struct tls *tls; /* NULL: plain */
    size_t output_max;
    int64_t handshake_timeout_us;
    int64_t ping_after_us; /* a gRPC client that is silent for so long is asked for a sign */
    struct connection_list connections;
    size_t count;
    int64_t complaint_after_us; /* peers that make no sense are logged once a second at most */
};

/* Takes over an accepted, non-blocking socket. False, and the socket is still the caller's, when
 * the limit of connections is reached. */
NODISCARD bool connection_create(struct connection_host *host, int fd, const char *peer);

/* Closes at once: calls are cancelled, leases revoked. */
void connection_close(struct connection *connection);

/* Closes once the output has left, within a second. Calls are cancelled and leases revoked now. */
void connection_finish(struct connection *connection);

/* Tells the holders that the server shuts down, then as connection_finish. */
void connection_shut_down(struct connection *connection);

/* The server is going to shut down: asks the client to go elsewhere, if its protocol can say so.
 * Again: harmless. */
void connection_drain(struct connection *connection);

/* Whether nothing is in flight and nothing is held, and the client knows that it is to go. */
bool connection_is_idle(const struct connection *connection);

/* The one behind it in its host's list; NULL after the last. */
struct connection *connection_next(struct connection *connection);

#endif
