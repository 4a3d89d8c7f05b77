/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The blocking API: a thread that turns an event loop of its own with one asynchronous client on
 * it, and callers that post a job there and wait for its answer.
 */
#include <holdfast/holdfast.h>

#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>

#include <event2/event.h>

#include "base/check.h"
#include "base/memory.h"
#include "client.h"
#include "latch.h"
#include "mailbox.h"
#include "watch.h"

struct holdfast {
    struct event_base *base;
    struct mailbox *mailbox;
    struct holdfast_async client; /* in the thread only, from its start on */
    pthread_t thread;
};

/* One question; on the stack of the thread that asks. */
struct job {
    struct task task;
    struct holdfast *holdfast;
    void (*start)(struct job *job); /* in the library's thread */
    struct latch latch;

    const struct holdfast_ask *ask;
    const char *key;
    const unsigned char *token;
    uint32_t ttl_ms;
    holdfast_watch_fn *on_state;
    void *user;
    struct holdfast_watch *watch;
    struct holdfast_lease *lease;   /* asked about, or obtained */
    struct holdfast_holder *holder; /* where to put it; may be NULL */

    enum holdfast_result result;
    char error[HOLDFAST_ERROR_SIZE];
};

static _Thread_local char last_error[HOLDFAST_ERROR_SIZE];

static enum holdfast_result fail(enum holdfast_result result, const char *text)
{
    (void)snprintf(last_error, sizeof(last_error), "%s", text);
    return result;
}

static void finish(struct job *job, enum holdfast_result result, const char *error)
{
    job->result = result;
    (void)snprintf(job->error, sizeof(job->error), "%s", error);
    latch_open(&job->latch);
}

static void take_holder(struct job *job, const struct holdfast_holder *holder)
{
    if (job->holder != NULL && holder != NULL) {
        *job->holder = *holder;
    }
}

static void on_lease(enum holdfast_result result, struct holdfast_lease *lease,
                     const struct holdfast_holder *holder, const char *error, void *user)
{
    struct job *job = user;
    job->lease = lease;
    take_holder(job, holder);
    finish(job, result, error);
}

static void on_done(enum holdfast_result result, const char *error, void *user)
{
    finish(user, result, error);
}

static void on_inspect(enum holdfast_result result, const struct holdfast_holder *holder,
                       const char *error, void *user)
{
    struct job *job = user;
    take_holder(job, holder);
    finish(job, result, error);
}

static void run_job(struct task *task)
{
    struct job *job = CONTAINER_OF(task, struct job, task);
    job->start(job);
}

/* Runs the job in the library's thread; every request is answered within its timeout. */
static enum holdfast_result perform(struct holdfast *holdfast, struct job *job)
{
    if (mailbox_is_here(holdfast->mailbox)) {
        return fail(HOLDFAST_INVALID, "a callback must not call a blocking function");
    }
    job->holdfast = holdfast;
    job->task.run = run_job;
    latch_init(&job->latch);
    if (!mailbox_post(holdfast->mailbox, &job->task)) {
        latch_release(&job->latch);
        return fail(HOLDFAST_AWAY, "the handle was closed");
    }
    latch_wait(&job->latch);
    latch_release(&job->latch);
    return job->result == HOLDFAST_OK ? HOLDFAST_OK : fail(job->result, job->error);
}

static void start_hold(struct job *job)
{
    (void)holdfast_async_hold(&job->holdfast->client, job->ask, on_lease, job);
}

static void start_resume(struct job *job)
{
    (void)holdfast_async_resume(&job->holdfast->client, job->ask, job->token, on_lease, job);
}

static void start_acquire(struct job *job)
{
    (void)holdfast_async_acquire_detached(&job->holdfast->client, job->ask, job->token, on_lease,
                                          job);
}

static void start_release(struct job *job)
{
    holdfast_async_release(&job->holdfast->client, job->lease, on_done, job);
}

static void start_renew(struct job *job)
{
    holdfast_async_renew(&job->holdfast->client, job->lease, job->ttl_ms, on_done, job);
}

static void start_release_token(struct job *job)
{
    holdfast_async_release_token(&job->holdfast->client, job->key, job->token, on_done, job);
}

static void start_renew_token(struct job *job)
{
    holdfast_async_renew_token(&job->holdfast->client, job->key, job->token, job->ttl_ms, on_lease,
                               job);
}

static void start_inspect(struct job *job)
{
    holdfast_async_inspect(&job->holdfast->client, job->key, on_inspect, job);
}

static void start_watch(struct job *job)
{
    job->watch = watch_start(&job->holdfast->client, job->key, job->on_state, job->user);
    finish(job, HOLDFAST_OK, "");
}

/* The client goes first: its last words may run callbacks of jobs. */
static void start_close(struct job *job)
{
    struct holdfast *holdfast = job->holdfast;
    mailbox_close(holdfast->mailbox);
    client_close(&holdfast->client);
    (void)event_base_loopbreak(holdfast->base);
    latch_open(&job->latch);
}

static void *turn(void *argument)
{
    struct holdfast *holdfast = argument;
    mailbox_adopt_thread(holdfast->mailbox);
    (void)event_base_loop(holdfast->base, EVLOOP_NO_EXIT_ON_EMPTY);
    return NULL;
}

/* The application's signals are not ours to take. */
static bool start_thread(struct holdfast *holdfast)
{
    sigset_t all;
    sigset_t before;
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    bool is_started = pthread_create(&holdfast->thread, NULL, turn, holdfast) == 0;
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    return is_started;
}

static struct event_base *create_base(void)
{
    struct event_config *config = event_config_new();
    if (config == NULL) {
        return NULL;
    }
    (void)event_config_set_flag(config, EVENT_BASE_FLAG_NOLOCK | EVENT_BASE_FLAG_PRECISE_TIMER);
    struct event_base *base = event_base_new_with_config(config);
    event_config_free(config);
    return base;
}

static void on_first_attempt(void *user, const char *why)
{
    finish(user, why[0] == '\0' ? HOLDFAST_OK : HOLDFAST_AWAY, why);
}

static void dismantle(struct holdfast *holdfast)
{
    if (holdfast->mailbox != NULL) {
        mailbox_let_go(holdfast->mailbox);
    }
    if (holdfast->base != NULL) {
        event_base_free(holdfast->base);
    }
    memory_free(holdfast);
}

static struct holdfast *assemble(void)
{
    struct holdfast *holdfast = memory_alloc(sizeof(*holdfast));
    holdfast->base = create_base();
    if (holdfast->base != NULL) {
        holdfast->mailbox = mailbox_create(holdfast->base);
    }
    if (holdfast->mailbox == NULL) {
        dismantle(holdfast);
        return NULL;
    }
    client_init(&holdfast->client, holdfast->base);
    holdfast->client.mailbox = holdfast->mailbox;
    return holdfast;
}

static void discard_unstarted(struct holdfast *holdfast)
{
    mailbox_close(holdfast->mailbox);
    dismantle(holdfast);
}

/* Returns NULL with a sentence in last_error. */
static struct holdfast *open_handle(const struct holdfast_options *options)
{
    struct holdfast *holdfast = assemble();
    struct job first = {.holdfast = holdfast};
    if (holdfast == NULL) {
        (void)fail(HOLDFAST_AWAY, "cannot start an event loop: too many open files, or no memory");
        return NULL;
    }
    latch_init(&first.latch);
    holdfast->client.on_first_attempt = on_first_attempt;
    holdfast->client.first_attempt_user = &first;
    bool is_open = client_open(&holdfast->client, options, last_error);
    bool is_started = is_open && start_thread(holdfast);
    if (!is_started) {
        if (is_open) {
            (void)fail(HOLDFAST_AWAY, "cannot start a thread");
            client_close(&holdfast->client);
        }
        latch_release(&first.latch);
        discard_unstarted(holdfast);
        return NULL;
    }
    latch_wait(&first.latch);
    latch_release(&first.latch);
    if (first.result != HOLDFAST_OK) {
        (void)fail(first.result, first.error);
        holdfast_close(holdfast);
        return NULL;
    }
    return holdfast;
}

struct holdfast *holdfast_open(const struct holdfast_options *options, char *error)
{
    struct holdfast *holdfast = open_handle(options);
    if (error != NULL) {
        (void)snprintf(error, HOLDFAST_ERROR_SIZE, "%s", holdfast == NULL ? last_error : "");
    }
    return holdfast;
}

void holdfast_close(struct holdfast *holdfast)
{
    CHECK(!mailbox_is_here(holdfast->mailbox));
    struct job job = {.task = {.run = run_job}, .holdfast = holdfast, .start = start_close};
    latch_init(&job.latch);
    CHECK(mailbox_post(holdfast->mailbox, &job.task));
    latch_wait(&job.latch);
    latch_release(&job.latch);
    CHECK(pthread_join(holdfast->thread, NULL) == 0);
    dismantle(holdfast);
}

const char *holdfast_last_error(void)
{
    return last_error;
}

static enum holdfast_result obtain(struct holdfast *holdfast, struct job *job,
                                   struct holdfast_lease **lease)
{
    *lease = NULL;
    enum holdfast_result result = perform(holdfast, job);
    *lease = job->lease;
    return result;
}

enum holdfast_result holdfast_hold(struct holdfast *holdfast, const struct holdfast_ask *ask,
                                   struct holdfast_lease **lease, struct holdfast_holder *busy)
{
    struct job job = {.start = start_hold, .ask = ask, .holder = busy};
    return obtain(holdfast, &job, lease);
}

enum holdfast_result holdfast_resume(struct holdfast *holdfast, const struct holdfast_ask *ask,
                                     const unsigned char *token, struct holdfast_lease **lease)
{
    struct job job = {.start = start_resume, .ask = ask, .token = token};
    return obtain(holdfast, &job, lease);
}

enum holdfast_result holdfast_acquire_detached(struct holdfast *holdfast,
                                               const struct holdfast_ask *ask,
                                               const unsigned char *token,
                                               struct holdfast_lease **lease,
                                               struct holdfast_holder *busy)
{
    struct job job = {.start = start_acquire, .ask = ask, .token = token, .holder = busy};
    return obtain(holdfast, &job, lease);
}

enum holdfast_result holdfast_release(struct holdfast *holdfast, struct holdfast_lease *lease)
{
    struct job job = {.start = start_release, .lease = lease};
    return perform(holdfast, &job);
}

enum holdfast_result holdfast_renew(struct holdfast *holdfast, struct holdfast_lease *lease,
                                    uint32_t ttl_ms)
{
    struct job job = {.start = start_renew, .lease = lease, .ttl_ms = ttl_ms};
    return perform(holdfast, &job);
}

enum holdfast_result holdfast_release_token(struct holdfast *holdfast, const char *key,
                                            const unsigned char *token)
{
    struct job job = {.start = start_release_token, .key = key, .token = token};
    return perform(holdfast, &job);
}

enum holdfast_result holdfast_renew_token(struct holdfast *holdfast, const char *key,
                                          const unsigned char *token, uint32_t ttl_ms,
                                          struct holdfast_lease **lease)
{
    struct job job = {.start = start_renew_token, .key = key, .token = token, .ttl_ms = ttl_ms};
    return obtain(holdfast, &job, lease);
}

enum holdfast_result holdfast_inspect(struct holdfast *holdfast, const char *key,
                                      struct holdfast_holder *holder)
{
    struct job job = {.start = start_inspect, .key = key, .holder = holder};
    return perform(holdfast, &job);
}

/* From a callback, too: starting a watch waits for nothing. */
struct holdfast_watch *holdfast_watch(struct holdfast *holdfast, const char *key,
                                      holdfast_watch_fn *on_state, void *user)
{
    struct job job = {.start = start_watch, .key = key, .on_state = on_state, .user = user};
    if (mailbox_is_here(holdfast->mailbox)) {
        return watch_start(&holdfast->client, key, on_state, user);
    }
    (void)perform(holdfast, &job);
    return job.watch;
}
