/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How other threads reach the library's thread: tasks, run by its loop in order of posting. The
 * mailbox outlives the loop, for leases may be freed after their handle was closed.
 */
#ifndef HOLDFAST_CLIENT_MAILBOX_H
#define HOLDFAST_CLIENT_MAILBOX_H

#include "base/compiler.h"

#include <stdbool.h>
#include <sys/queue.h>

struct event_base;
struct mailbox;

/* Embedded in what is to be done; untouched by the mailbox once `run` is called. */
struct task {
    STAILQ_ENTRY(task) link;
    void (*run)(struct task *task);
};

/* A mailbox with one reference, whose tasks run in the loop of `base`. NULL when the system has no
 * descriptor or memory left. */
NODISCARD struct mailbox *mailbox_create(struct event_base *base);

/* Makes the calling thread the one that mailbox_is_here is true in. */
void mailbox_adopt_thread(struct mailbox *mailbox);

/* Is the caller the library's thread? */
bool mailbox_is_here(struct mailbox *mailbox);

void mailbox_hold(struct mailbox *mailbox);
void mailbox_let_go(struct mailbox *mailbox);

/* From any thread. False when the mailbox is closed: the task will not run. */
NODISCARD bool mailbox_post(struct mailbox *mailbox, struct task *task);

/* In the library's thread: runs what was posted and takes nothing any more. */
void mailbox_close(struct mailbox *mailbox);

#endif
