/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The turn, the server's rhythm. Readiness callbacks of the event library only record (they post a
 * task); the turn acts, always in this order:
 *
 *   poll -> take the time -> due timers -> INPUT -> WORK -> FLUSH -> FREE
 *
 * Timers come before input, so a process that slept through a deadline first declares what it has
 * lost and only then reads answers that would pretend otherwise. Everything written in a turn
 * leaves in one write per connection in FLUSH. Every close has two steps: the object is detached
 * at once and its memory goes in FREE.
 *
 * A task posted to a phase that is still to come runs in this turn; one posted to the running or a
 * past phase runs in the next turn, which then does not sleep.
 */
#ifndef HOLDFAST_BASE_LOOP_H
#define HOLDFAST_BASE_LOOP_H

#include "base/wheel.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

struct event_base;
struct loop;
struct task;

enum loop_phase { LOOP_INPUT, LOOP_WORK, LOOP_FLUSH, LOOP_FREE, LOOP_PHASES };

/* Runs once per posting. May free its own task. */
typedef void task_fn(struct task *task);

struct task {
    TAILQ_ENTRY(task) link;
    task_fn *run;
    enum loop_phase phase; /* where it is posted; LOOP_PHASES while it is not */
};

/* Prepares a task, not posted. */
void task_init(struct task *task, task_fn *run);

bool task_is_posted(const struct task *task);

/* A loop with its own event base and wheel. NULL when the event library cannot start. */
struct loop *loop_create(void);

/* Every timer must be cleared and no task posted. */
void loop_destroy(struct loop *loop);

/* For registering events. Their callbacks must do nothing but post tasks. */
struct event_base *loop_event_base(struct loop *loop);

struct wheel *loop_wheel(struct loop *loop);

/* The time of this turn, in microseconds of CLOCK_BOOTTIME. */
int64_t loop_now_us(const struct loop *loop);

/* Reads the clock and makes that the time of this turn: for the moment before bytes leave. */
int64_t loop_update_now_us(struct loop *loop);

/* Queues the task; harmless when it is posted already (it stays where it is). */
void loop_post(struct loop *loop, enum loop_phase phase, struct task *task);

/* Takes the task back; harmless when it is not posted. */
void loop_unpost(struct loop *loop, struct task *task);

/* Turns until loop_stop. */
void loop_run(struct loop *loop);

/* One turn; sleeps at most `timeout_us`. For tests and for orderly shutdown. */
void loop_turn(struct loop *loop, int64_t timeout_us);

/* Makes loop_run return at the end of this turn. May be called from anywhere in the turn. */
void loop_stop(struct loop *loop);

#endif
