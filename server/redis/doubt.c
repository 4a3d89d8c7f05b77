/* SPDX-License-Identifier: Apache-2.0 */
#include "redis/doubt.h"

#include "base/clock.h"
#include "base/compiler.h"

#define QUESTIONS_PER_WINDOW 4

/* Somebody may flush in a loop. */
#define PAUSE_MIN_US (10 * CLOCK_US_PER_MS)

static void set_timer(struct doubt *doubt, int64_t due_us)
{
    if (doubt->pause_us > 0 && due_us < doubt->timer.due_us) {
        wheel_set(loop_wheel(doubt->loop), &doubt->timer, due_us);
    }
}

static void on_due(struct timer *timer, int64_t now_us)
{
    struct doubt *doubt = CONTAINER_OF(timer, struct doubt, timer);
    const struct store_listener *listener = doubt->port->listener;
    doubt->asked_us = now_us;
    if (!doubt->is_heard) {
        set_timer(doubt, now_us + doubt->pause_us);
    }
    if (listener != NULL && listener->has_leases(listener)) {
        doubt->is_due = true;
        loop_post(doubt->loop, LOOP_FLUSH, doubt->flush);
    }
}

void doubt_init(struct doubt *doubt, struct loop *loop, const struct store *port,
                struct task *flush, int64_t window_ms)
{
    *doubt = (struct doubt){.loop = loop, .port = port, .flush = flush};
    doubt->pause_us = window_ms * CLOCK_US_PER_MS / QUESTIONS_PER_WINDOW;
    if (window_ms > 0 && doubt->pause_us < PAUSE_MIN_US) {
        doubt->pause_us = PAUSE_MIN_US;
    }
    timer_init(&doubt->timer, on_due);
    set_timer(doubt, loop_now_us(loop) + doubt->pause_us);
}

void doubt_release(struct doubt *doubt)
{
    wheel_clear(loop_wheel(doubt->loop), &doubt->timer);
}

void doubt_raise(struct doubt *doubt, bool is_heard)
{
    const int64_t now_us = loop_now_us(doubt->loop);
    const int64_t may_us = doubt->asked_us + PAUSE_MIN_US;
    doubt->is_heard = is_heard;
    set_timer(doubt, now_us > may_us ? now_us : may_us);
}

void doubt_keep(struct doubt *doubt, bool was_late)
{
    if (was_late) {
        doubt_raise(doubt, doubt->is_heard);
    } else {
        set_timer(doubt, loop_now_us(doubt->loop) + doubt->pause_us);
    }
}

bool doubt_take(struct doubt *doubt)
{
    bool was_due = doubt->is_due;
    doubt->is_due = false;
    return was_due;
}
