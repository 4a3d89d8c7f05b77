/* SPDX-License-Identifier: Apache-2.0 */
#include "app/signals.h"

#include <signal.h>

#include <event2/event.h>

#include "base/check.h"
#include "base/compiler.h"
#include "base/memory.h"

struct watched_signal {
    struct signals *signals;
    struct event *event;
    struct task task;
    int number;
    int pending;
};

struct signals {
    struct loop *loop;
    signals_fn *on_signal;
    void *user;
    size_t count;
    struct watched_signal watched[];
};

static void on_received(evutil_socket_t number, short what, void *context)
{
    struct watched_signal *watched = context;
    (void)number;
    (void)what;
    watched->pending++;
    loop_post(watched->signals->loop, LOOP_WORK, &watched->task);
}

static void run(struct task *task)
{
    struct watched_signal *watched = CONTAINER_OF(task, struct watched_signal, task);
    for (; watched->pending > 0; watched->pending--) {
        watched->signals->on_signal(watched->signals->user, watched->number);
    }
}

static void watch(struct signals *signals, struct watched_signal *watched, int number)
{
    watched->signals = signals;
    watched->number = number;
    task_init(&watched->task, run);
    watched->event = evsignal_new(loop_event_base(signals->loop), number, on_received, watched);
    CHECK(watched->event != NULL);
    CHECK(event_add(watched->event, NULL) == 0);
}

struct signals *signals_create(struct loop *loop, const int *numbers, size_t count,
                               signals_fn *on_signal, void *user)
{
    struct signals *signals =
        memory_alloc(sizeof(*signals) + count * sizeof(struct watched_signal));
    signals->loop = loop;
    signals->on_signal = on_signal;
    signals->user = user;
    signals->count = count;
    CHECK(signal(SIGPIPE, SIG_IGN) != SIG_ERR);
    for (size_t i = 0; i < count; i++) {
        watch(signals, &signals->watched[i], numbers[i]);
    }
    return signals;
}

void signals_destroy(struct signals *signals)
{
    for (size_t i = 0; i < signals->count; i++) {
        event_free(signals->watched[i].event);
        loop_unpost(signals->loop, &signals->watched[i].task);
    }
    memory_free(signals);
}
