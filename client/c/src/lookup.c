/* SPDX-License-Identifier: Apache-2.0 */
#include "lookup.h"

#include <netdb.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <event2/event.h>

#include "base/memory.h"

/* Shared by the loop and the thread; whoever lets go last frees it. */
struct question {
    pthread_mutex_t mutex;
    int references;
    int wakeup; /* an eventfd */
    char *host;
    char *port;
    struct addrinfo *list;
    int error; /* of getaddrinfo */
};

struct lookup {
    struct question *question;
    struct event *event;
    lookup_fn *on_done;
    void *user;
};

static void question_let_go(struct question *question)
{
    pthread_mutex_lock(&question->mutex);
    bool is_last = --question->references == 0;
    pthread_mutex_unlock(&question->mutex);
    if (!is_last) {
        return;
    }
    if (question->list != NULL) {
        freeaddrinfo(question->list);
    }
    (void)close(question->wakeup);
    pthread_mutex_destroy(&question->mutex);
    memory_free(question->host);
    memory_free(question->port);
    memory_free(question);
}

static void *resolve(void *argument)
{
    struct question *question = argument;
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    struct addrinfo *list = NULL;
    int error = getaddrinfo(question->host, question->port, &hints, &list);
    pthread_mutex_lock(&question->mutex);
    question->list = error == 0 ? list : NULL;
    question->error = error;
    pthread_mutex_unlock(&question->mutex);
    uint64_t one = 1;
    (void)!write(question->wakeup, &one, sizeof(one));
    question_let_go(question);
    return NULL;
}

/* The application's signals are not ours to take. */
static bool start_thread(struct question *question)
{
    pthread_attr_t attributes;
    pthread_t thread;
    sigset_t all;
    sigset_t before;
    (void)sigfillset(&all);
    if (pthread_attr_init(&attributes) != 0) {
        return false;
    }
    (void)pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    question->references++;
    bool is_started = pthread_create(&thread, &attributes, resolve, question) == 0;
    if (!is_started) {
        question->references--;
    }
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    (void)pthread_attr_destroy(&attributes);
    return is_started;
}

static void on_answer(evutil_socket_t descriptor, short what, void *argument)
{
    (void)descriptor;
    (void)what;
    struct lookup *lookup = argument;
    struct question *question = lookup->question;
    pthread_mutex_lock(&question->mutex);
    struct addrinfo *list = question->list;
    question->list = NULL;
    int error = question->error;
    pthread_mutex_unlock(&question->mutex);
    lookup_fn *on_done = lookup->on_done;
    void *user = lookup->user;
    lookup_cancel(lookup);
    on_done(list, list == NULL ? gai_strerror(error) : NULL, user);
}

static struct question *question_create(const char *host, const char *port)
{
    int wakeup = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (wakeup < 0) {
        return NULL;
    }
    struct question *question = memory_alloc(sizeof(*question));
    pthread_mutex_init(&question->mutex, NULL);
    question->references = 1;
    question->wakeup = wakeup;
    question->host = memory_copy_string(host);
    question->port = memory_copy_string(port);
    return question;
}

struct lookup *lookup_start(struct event_base *base, const char *host, const char *port,
                            lookup_fn *on_done, void *user)
{
    struct question *question = question_create(host, port);
    if (question == NULL) {
        return NULL;
    }
    struct lookup *lookup = memory_alloc(sizeof(*lookup));
    *lookup = (struct lookup){.question = question, .on_done = on_done, .user = user};
    lookup->event = event_new(base, question->wakeup, EV_READ, on_answer, lookup);
    if (lookup->event == NULL || event_add(lookup->event, NULL) != 0 || !start_thread(question)) {
        lookup_cancel(lookup);
        return NULL;
    }
    return lookup;
}

void lookup_cancel(struct lookup *lookup)
{
    if (lookup->event != NULL) {
        event_free(lookup->event);
    }
    question_let_go(lookup->question);
    memory_free(lookup);
}
