/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Waits for a peer's first byte and looks at it, leaving it in the socket: so that what reads the
 * socket can be chosen by it. Borrows the socket.
 */
#ifndef HOLDFAST_TRANSPORT_FIRST_BYTE_H
#define HOLDFAST_TRANSPORT_FIRST_BYTE_H

#include "base/loop.h"

struct event;

#define FIRST_BYTE_NONE (-1) /* the peer is gone */

struct first_byte {
    struct loop *loop;
    int fd;
    struct event *readable; /* NULL while it does not wait */
    struct task task;
    void (*on_byte)(void *user, int byte);
    void *user;
};

/* Begins to wait on a non-blocking socket; the loop and the socket are set. `on_byte` runs once, in
 * the INPUT phase, and may free this. */
void first_byte_await(struct first_byte *first, void (*on_byte)(void *user, int byte), void *user);

/* Waits no more; harmless when it does not. */
void first_byte_stop(struct first_byte *first);

#endif
