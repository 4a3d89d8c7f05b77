/* SPDX-License-Identifier: Apache-2.0 */
/* A child process that is watched and does not outlive us. */
#ifndef HOLDFAST_REDIS_CHILD_H
#define HOLDFAST_REDIS_CHILD_H

#include "base/compiler.h"
#include "base/loop.h"

#include <stdbool.h>
#include <stdint.h>

struct child;

/* The child ended, with the status that waitpid gives. From INPUT; the child is gone. */
typedef void child_exit_fn(void *user, int status);

struct child_config {
    const char *program;          /* a path */
    const char *const *arguments; /* argv, NULL-terminated */
    int output_fd;                /* becomes its standard output and error */
    child_exit_fn *on_exit;
    void *user;
};

/* Starts the program in a session of its own, so that a terminal's signals do not reach it, with
 * none of our descriptors. The kernel kills it when we end. NULL and errno on failure. A program
 * that cannot be executed is seen as an exit with status 127. */
NODISCARD struct child *child_start(struct loop *loop, const struct child_config *config);

/* Asks it to end (SIGTERM), waits up to `patience_ms`, kills it if need be, and reaps it. on_exit
 * is not called; the pointer is dead. Blocks. */
void child_stop(struct child *child, int patience_ms);

/* Kills it; on_exit follows. */
void child_kill(struct child *child);

/* For logs. */
int64_t child_pid(const struct child *child);

#endif
