/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The program that `run` starts. It is forked before anything else is opened, so it inherits what
 * the user gave and nothing of ours; it then waits in a process group of its own, and becomes the
 * program only when it is handed the fences. It dies with us (PR_SET_PDEATHSIG).
 */
#ifndef HOLDFAST_CLI_CHILD_H
#define HOLDFAST_CLI_CHILD_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "arguments.h"

struct child {
    pid_t pid;    /* of the process and of its group; 0 once it has been reaped */
    int start_fd; /* the fences go here; -1 once they have */
};

/* False after reporting why. */
bool child_prepare(struct child *child, const struct arguments *arguments);

/* `fences` are those of the keys on the command line, in their order, or of the only one. False if
 * the process has died in the meantime. */
bool child_start(struct child *child, const uint64_t fences[HOLDFAST_KEYS_MAX]);

/* Sends a signal to the whole group. */
void child_signal(const struct child *child, int number);

/* What a look at the process finds. CHILD_ENDED leaves it unreaped, so that its group's id cannot
 * come to mean somebody else. */
enum child_state { CHILD_UNCHANGED, CHILD_STOPPED, CHILD_ENDED };

/* `number` receives the signal of CHILD_STOPPED. */
enum child_state child_look(const struct child *child, int *number);

/* Takes the exit code as a shell would see it: 128 + n for a signal. Waits if need be. */
int child_reap(struct child *child, bool *was_signalled);

/* Kills and reaps what still lives; harmless when nothing does. */
void child_release(struct child *child);

#endif
