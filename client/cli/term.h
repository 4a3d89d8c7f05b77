/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One term: a program lives inside a lease. It starts once the lock is ours, is asked to stop while
 * the lease is still valid, and is dead before anybody else can be granted the lock; when it ends
 * by itself the lock is released before we do.
 */
#ifndef HOLDFAST_CLI_TERM_H
#define HOLDFAST_CLI_TERM_H

#include <stdbool.h>

#include "arguments.h"

struct holdfast_lease;
struct session;

/* What somebody may want to do meanwhile. All may be NULL. */
struct term_events {
    /* The session is open, the lock not asked for yet. */
    void (*on_open)(struct session *session, void *user);
    /* The program is about to start. */
    void (*on_granted)(const struct holdfast_lease *lease, void *user);
    /* The session is about to close. */
    void (*on_close)(void *user);
    void *user;
};

/* What it came to, besides the exit code. */
struct term_end {
    bool has_begun;        /* the lock was ours */
    bool has_ended_itself; /* the program did, within its lease */
    bool was_interrupted;  /* we were told to end and told the program */
};

/* Returns the exit code: the program's own or one of enum exit_code, after saying why. */
int term_run(const struct arguments *arguments, const struct term_events *events,
             struct term_end *end);

#endif
