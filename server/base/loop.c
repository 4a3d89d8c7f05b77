/* SPDX-License-Identifier: Apache-2.0 */
#include "base/loop.h"

#include <errno.h>
#include <stddef.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <event2/event.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"

TAILQ_HEAD(task_queue, task);

struct loop {
    struct event_base *base;
    struct wheel *wheel;
    int64_t now_us;
    struct task_queue queues[LOOP_PHASES];
    struct task end_of_phase; /* what lies behind it in the running queue is for the next turn */
    bool is_stopped;

    /* The event library's own timeouts run on a coarse clock that stops while the machine is
     * suspended, so we bring a timer of the clock that deadlines are in. */
    int alarm_fd;
    struct event *alarm;
    int64_t alarm_us; /* when it rings; CLOCK_NEVER when it does not */
};

static void on_alarm(evutil_socket_t fd, short what, void *context)
{
    (void)what;
    struct loop *loop = context;
    uint64_t rings;
    ssize_t got = read(fd, &rings, sizeof(rings));
    CHECK(got == (ssize_t)sizeof(rings) || errno == EAGAIN);
    loop->alarm_us = CLOCK_NEVER;
}

static bool open_alarm(struct loop *loop)
{
    loop->alarm_fd = timerfd_create(CLOCK_BOOTTIME, TFD_NONBLOCK | TFD_CLOEXEC);
    if (loop->alarm_fd < 0) {
        return false;
    }
    loop->alarm = event_new(loop->base, loop->alarm_fd, EV_READ | EV_PERSIST, on_alarm, loop);
    return loop->alarm != NULL && event_add(loop->alarm, NULL) == 0;
}

/* Otherwise the event library would write to stderr by itself. */
static void on_library_log(int severity, const char *message)
{
    if (severity == EVENT_LOG_ERR) {
        LOG_ERROR("libevent", LOG_MESSAGE(message));
    } else {
        LOG_DEBUG("libevent", LOG_MESSAGE(message));
    }
}

static struct event_base *create_base(void)
{
    event_set_log_callback(on_library_log);
    struct event_config *config = event_config_new();
    if (config == NULL) {
        return NULL;
    }
    event_config_set_flag(config, EVENT_BASE_FLAG_NOLOCK);
    event_config_set_flag(config, EVENT_BASE_FLAG_IGNORE_ENV);
    struct event_base *base = event_base_new_with_config(config);
    event_config_free(config);
    return base;
}

/* An alarm that rings too early costs one idle turn; moving it every turn would cost more. */
static void set_alarm(struct loop *loop, int64_t due_us)
{
    if (due_us >= loop->alarm_us) {
        return;
    }
    struct itimerspec when = {
        .it_value.tv_sec = (time_t)(due_us / CLOCK_US_PER_S),
        .it_value.tv_nsec = (long)(due_us % CLOCK_US_PER_S * 1000),
    };
    CHECK(timerfd_settime(loop->alarm_fd, TFD_TIMER_ABSTIME, &when, NULL) == 0);
    loop->alarm_us = due_us;
}

static bool has_tasks(const struct loop *loop)
{
    for (int phase = 0; phase < LOOP_PHASES; phase++) {
        if (!TAILQ_EMPTY(&loop->queues[phase])) {
            return true;
        }
    }
    return false;
}

/* Waits for events, a timer, or `until_us`, and lets the events' callbacks post their tasks. What
 * they announce stays ready until its task has run, so only one round may be made of it. */
static void poll_events(struct loop *loop, int64_t until_us)
{
    int64_t next_us = wheel_next_us(loop->wheel);
    int64_t wake_us = next_us < until_us ? next_us : until_us;
    int flags = EVLOOP_ONCE | EVLOOP_NONBLOCK;
    if (!has_tasks(loop) && wake_us > loop_update_now_us(loop)) {
        set_alarm(loop, wake_us);
        flags = EVLOOP_ONCE;
    }
    CHECK(event_base_loop(loop->base, flags) >= 0);
}

static void run_phase(struct loop *loop, enum loop_phase phase)
{
    struct task_queue *queue = &loop->queues[phase];
    if (TAILQ_EMPTY(queue)) {
        return;
    }
    TAILQ_INSERT_TAIL(queue, &loop->end_of_phase, link);
    for (;;) {
        struct task *task = TAILQ_FIRST(queue);
        TAILQ_REMOVE(queue, task, link);
        if (task == &loop->end_of_phase) {
            return;
        }
        task->phase = LOOP_PHASES;
        task->run(task);
    }
}

/* One turn that sleeps until `until_us` at most. */
static void turn(struct loop *loop, int64_t until_us)
{
    poll_events(loop, until_us);
    wheel_run(loop->wheel, loop_update_now_us(loop));
    for (int phase = 0; phase < LOOP_PHASES; phase++) {
        run_phase(loop, (enum loop_phase)phase);
    }
}

static void release(struct loop *loop)
{
    if (loop->alarm != NULL) {
        event_free(loop->alarm);
    }
    if (loop->alarm_fd >= 0) {
        close(loop->alarm_fd);
    }
    if (loop->base != NULL) {
        event_base_free(loop->base);
    }
    wheel_destroy(loop->wheel);
    memory_free(loop);
}

void task_init(struct task *task, task_fn *run)
{
    *task = (struct task){.run = run, .phase = LOOP_PHASES};
}

bool task_is_posted(const struct task *task)
{
    return task->phase != LOOP_PHASES;
}

struct loop *loop_create(void)
{
    struct loop *loop = memory_alloc(sizeof(*loop));
    loop->now_us = clock_now_us();
    loop->wheel = wheel_create(loop->now_us);
    loop->alarm_fd = -1;
    loop->alarm_us = CLOCK_NEVER;
    task_init(&loop->end_of_phase, NULL);
    for (int phase = 0; phase < LOOP_PHASES; phase++) {
        TAILQ_INIT(&loop->queues[phase]);
    }
    loop->base = create_base();
    if (loop->base == NULL || !open_alarm(loop)) {
        release(loop);
        return NULL;
    }
    return loop;
}

void loop_destroy(struct loop *loop)
{
    CHECK(!has_tasks(loop));
    release(loop);
}

struct event_base *loop_event_base(struct loop *loop)
{
    return loop->base;
}

struct wheel *loop_wheel(struct loop *loop)
{
    return loop->wheel;
}

int64_t loop_now_us(const struct loop *loop)
{
    return loop->now_us;
}

int64_t loop_update_now_us(struct loop *loop)
{
    loop->now_us = clock_now_us();
    return loop->now_us;
}

void loop_post(struct loop *loop, enum loop_phase phase, struct task *task)
{
    CHECK(phase < LOOP_PHASES);
    if (task_is_posted(task)) {
        return;
    }
    task->phase = phase;
    TAILQ_INSERT_TAIL(&loop->queues[phase], task, link);
}

void loop_unpost(struct loop *loop, struct task *task)
{
    if (!task_is_posted(task)) {
        return;
    }
    TAILQ_REMOVE(&loop->queues[task->phase], task, link);
    task->phase = LOOP_PHASES;
}

void loop_run(struct loop *loop)
{
    do {
        turn(loop, CLOCK_NEVER);
    } while (!loop->is_stopped);
    loop->is_stopped = false;
}

void loop_turn(struct loop *loop, int64_t timeout_us)
{
    int64_t now_us = loop_update_now_us(loop);
    turn(loop, timeout_us < CLOCK_NEVER - now_us ? now_us + timeout_us : CLOCK_NEVER);
}

void loop_stop(struct loop *loop)
{
    loop->is_stopped = true;
}
