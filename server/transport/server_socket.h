/* SPDX-License-Identifier: Apache-2.0 */
/* Listening sockets: bound, in listening state, non-blocking, with the options their connections
 * inherit. */
#ifndef HOLDFAST_TRANSPORT_SERVER_SOCKET_H
#define HOLDFAST_TRANSPORT_SERVER_SOCKET_H

#include "base/compiler.h"
#include "transport/address.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define SERVER_SOCKETS_MAX         8 /* a name may stand for several addresses */
#define SERVER_SOCKET_PROBLEM_SIZE 256

struct server_socket_options {
    int unix_mode;
    int64_t keepalive_ms;    /* 0: no probes */
    int64_t user_timeout_ms; /* 0: the kernel's */
};

struct server_sockets {
    int fds[SERVER_SOCKETS_MAX];
    size_t count;
    dev_t device; /* unix: of the socket file, to tell whether it is still ours */
    ino_t inode;
};

/* Opens a socket for every address that `address` stands for and stores the port that was picked
 * when it has none. False and a sentence in `problem` on failure. */
NODISCARD bool server_sockets_open(struct server_sockets *sockets, struct address *address,
                                   const struct server_socket_options *options,
                                   char problem[SERVER_SOCKET_PROBLEM_SIZE]);

/* Closes the sockets; removes a unix socket's file if it is still the one that was made. */
void server_sockets_close(struct server_sockets *sockets, const struct address *address);

#endif
