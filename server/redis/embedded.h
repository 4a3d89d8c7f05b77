/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The embedded Redis: a private redis-server (or valkey-server) on a unix socket in a temporary
 * directory of its own, for running the whole system with one command. It is watched, started
 * again when it dies, and gone when this process exits, however it exits (PR_SET_PDEATHSIG).
 */
#ifndef HOLDFAST_REDIS_EMBEDDED_H
#define HOLDFAST_REDIS_EMBEDDED_H

#include "base/compiler.h"
#include "base/loop.h"
#include "base/metrics.h"

#include <stdbool.h>

#define EMBEDDED_PROBLEM_SIZE 256

struct embedded;

struct embedded_config {
    const char *program; /* a path or a name looked up in PATH; NULL: redis-server, valkey-server */
    const char *directory; /* where to make the temporary directory; NULL: $TMPDIR or /tmp */
    /* The server answers; `is_first` says that this is its first start. Called from a turn. */
    void (*on_ready)(void *user, bool is_first);
    void *user;
};

/* Whether this program, a path or a name looked up in PATH, is there and may be executed. */
NODISCARD bool embedded_has_program(const char *program);

/* Starts the server. NULL and a sentence in `problem` (naming the package to install when the
 * program is missing) on failure. on_ready is called later, never from inside. */
NODISCARD struct embedded *embedded_create(const struct embedded_config *config, struct loop *loop,
                                           struct metrics *metrics,
                                           char problem[EMBEDDED_PROBLEM_SIZE]);

/* Stops the server, waits for its end (SIGKILL after 2 s) and removes the directory. */
void embedded_destroy(struct embedded *embedded);

/* "unix:///tmp/holdfast-XXXXXX/redis.sock": fixed for the embedded server's life. */
const char *embedded_url(const struct embedded *embedded);

#endif
