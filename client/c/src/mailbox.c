/* SPDX-License-Identifier: Apache-2.0 */
#include "mailbox.h"

#include <pthread.h>
#include <stdint.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <event2/event.h>

#include "base/memory.h"

STAILQ_HEAD(task_queue, task);

struct mailbox {
    pthread_mutex_t mutex; /* guards what follows, up to `event` */
    struct task_queue queue;
    int references;
    bool is_closed;
    bool has_thread;
    pthread_t thread;
    struct event *event; /* NULL once closed; the library's thread only */
    int wakeup;          /* an eventfd */
};

static struct task *take(struct mailbox *mailbox)
{
    pthread_mutex_lock(&mailbox->mutex);
    struct task *task = STAILQ_FIRST(&mailbox->queue);
    if (task != NULL) {
        STAILQ_REMOVE_HEAD(&mailbox->queue, link);
    }
    pthread_mutex_unlock(&mailbox->mutex);
    return task;
}

/* Taken one by one: a task that closes the mailbox runs all that stand behind it first. */
static void run_all(struct mailbox *mailbox)
{
    for (struct task *task = take(mailbox); task != NULL; task = take(mailbox)) {
        task->run(task);
    }
}

/* A task may close the mailbox and let it go. */
static void on_wakeup(evutil_socket_t descriptor, short what, void *argument)
{
    (void)what;
    struct mailbox *mailbox = argument;
    uint64_t count;
    (void)!read(descriptor, &count, sizeof(count));
    mailbox_hold(mailbox);
    run_all(mailbox);
    mailbox_let_go(mailbox);
}

struct mailbox *mailbox_create(struct event_base *base)
{
    int wakeup = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (wakeup < 0) {
        return NULL;
    }
    struct mailbox *mailbox = memory_alloc(sizeof(*mailbox));
    pthread_mutex_init(&mailbox->mutex, NULL);
    STAILQ_INIT(&mailbox->queue);
    mailbox->references = 1;
    mailbox->wakeup = wakeup;
    mailbox->event = event_new(base, wakeup, EV_READ | EV_PERSIST, on_wakeup, mailbox);
    if (mailbox->event == NULL || event_add(mailbox->event, NULL) != 0) {
        mailbox_close(mailbox);
        mailbox_let_go(mailbox);
        return NULL;
    }
    return mailbox;
}

void mailbox_adopt_thread(struct mailbox *mailbox)
{
    pthread_mutex_lock(&mailbox->mutex);
    mailbox->thread = pthread_self();
    mailbox->has_thread = true;
    pthread_mutex_unlock(&mailbox->mutex);
}

bool mailbox_is_here(struct mailbox *mailbox)
{
    pthread_mutex_lock(&mailbox->mutex);
    bool is_here = mailbox->has_thread && pthread_equal(mailbox->thread, pthread_self()) != 0;
    pthread_mutex_unlock(&mailbox->mutex);
    return is_here;
}

void mailbox_hold(struct mailbox *mailbox)
{
    pthread_mutex_lock(&mailbox->mutex);
    mailbox->references++;
    pthread_mutex_unlock(&mailbox->mutex);
}

void mailbox_let_go(struct mailbox *mailbox)
{
    pthread_mutex_lock(&mailbox->mutex);
    bool is_last = --mailbox->references == 0;
    pthread_mutex_unlock(&mailbox->mutex);
    if (is_last) {
        (void)close(mailbox->wakeup);
        pthread_mutex_destroy(&mailbox->mutex);
        memory_free(mailbox);
    }
}

bool mailbox_post(struct mailbox *mailbox, struct task *task)
{
    pthread_mutex_lock(&mailbox->mutex);
    bool is_open = !mailbox->is_closed;
    bool is_first = STAILQ_EMPTY(&mailbox->queue);
    if (is_open) {
        STAILQ_INSERT_TAIL(&mailbox->queue, task, link);
    }
    if (is_open && is_first) {
        /* Under the mutex: once the task has run, the mailbox may be gone. */
        uint64_t one = 1;
        (void)!write(mailbox->wakeup, &one, sizeof(one));
    }
    pthread_mutex_unlock(&mailbox->mutex);
    return is_open;
}

void mailbox_close(struct mailbox *mailbox)
{
    pthread_mutex_lock(&mailbox->mutex);
    mailbox->is_closed = true;
    pthread_mutex_unlock(&mailbox->mutex);
    run_all(mailbox);
    if (mailbox->event != NULL) {
        event_free(mailbox->event);
        mailbox->event = NULL;
    }
}
