/* SPDX-License-Identifier: Apache-2.0 */
#include "watch.h"

#include <event2/event.h>
#include <stdio.h>

#include "ask.h"
#include "base/arena.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/memory.h"
#include "holdfast/v1/locks.pb-c.h"
#include "latch.h"
#include "mailbox.h"
#include "outcome.h"
#include "wire/message.h"

#define EVENT_ARENA_MAX ((size_t)64 << 10)

/* Until the server is asked again, when it says "not now". */
#define RETRY_US (250 * CLOCK_US_PER_MS)

struct holdfast_watch {
    LIST_ENTRY(holdfast_watch) link;
    struct holdfast_async *client; /* NULL once that is closed */
    struct mailbox *mailbox; /* with a reference; NULL: the caller's thread is the library's */
    struct channel_call call;
    struct event *retry; /* NULL once the client is closed */
    char *key;
    holdfast_watch_fn *on_state;
    void *user;
    bool is_interrupted; /* the application knows */
    struct delivery tell;
    enum holdfast_result result;
    struct holdfast_holder holder;
    char error[HOLDFAST_ERROR_SIZE];
};

/* The callback may stop the watch. */
static void deliver(struct delivery *delivery)
{
    struct holdfast_watch *watch = CONTAINER_OF(delivery, struct holdfast_watch, tell);
    struct holdfast_holder holder = watch->holder;
    char error[HOLDFAST_ERROR_SIZE];
    (void)snprintf(error, sizeof(error), "%s", watch->error);
    watch->on_state(watch->result, watch->result == HOLDFAST_OK ? &holder : NULL, error,
                    watch->user);
}

static void tell(struct holdfast_watch *watch, enum holdfast_result result, const char *text)
{
    watch->result = result;
    (void)snprintf(watch->error, sizeof(watch->error), "%s", text);
    client_deliver(watch->client, &watch->tell);
}

static void tell_interrupted(struct holdfast_watch *watch, const char *text)
{
    if (!watch->is_interrupted) {
        watch->is_interrupted = true;
        tell(watch, HOLDFAST_AWAY, text);
    }
}

static void send_watch(struct channel_call *call)
{
    struct holdfast_watch *watch = CONTAINER_OF(call, struct holdfast_watch, call);
    Holdfast__V1__WatchRequest message = HOLDFAST__V1__WATCH_REQUEST__INIT;
    /* Half-closing it ends it. */
    const struct channel_request request = {
        .method = "Watch", .message = &message.base, .is_open = true};
    message.key = watch->key;
    channel_send_request(&watch->client->channel, call, &request);
}

static bool take_event(struct holdfast_watch *watch, const Holdfast__V1__WatchEvent *event)
{
    switch (event->state_case) {
    case HOLDFAST__V1__WATCH_EVENT__STATE_FREE:
        watch->holder = (struct holdfast_holder){.is_held = false};
        break;
    case HOLDFAST__V1__WATCH_EVENT__STATE_HELD:
        outcome_take_holder(&watch->holder, event->held);
        break;
    default:
        return true; /* a state of the future */
    }
    watch->is_interrupted = false;
    evtimer_del(watch->retry);
    tell(watch, HOLDFAST_OK, "");
    return true;
}

static bool on_message(struct channel_call *call, const uint8_t *bytes, size_t length)
{
    struct holdfast_watch *watch = CONTAINER_OF(call, struct holdfast_watch, call);
    char problem[MESSAGE_PROBLEM_SIZE];
    struct arena arena;
    arena_init(&arena, EVENT_ARENA_MAX);
    const Holdfast__V1__WatchEvent *event = (const Holdfast__V1__WatchEvent *)message_unpack(
        &holdfast__v1__watch_event__descriptor, bytes, length, &arena, problem);
    bool is_understood = event != NULL && take_event(watch, event);
    arena_release(&arena);
    return is_understood;
}

/* There was no connection or no answer for as long as the application is patient, or it is time to
 * ask again. */
static void on_retry(evutil_socket_t descriptor, short what, void *argument)
{
    (void)descriptor;
    (void)what;
    struct holdfast_watch *watch = argument;
    if (watch->call.state == CALL_WAITING) {
        tell_interrupted(watch, watch->client->down);
    } else if (watch->call.state == CALL_ACTIVE) {
        tell_interrupted(watch, "the server did not answer in time; perhaps its Redis is away");
    } else if (watch->call.state == CALL_IDLE) {
        channel_call_start(&watch->client->channel, &watch->call);
    }
}

static void set_retry(struct holdfast_watch *watch, int64_t delay_us)
{
    const struct timeval delay = {.tv_sec = (time_t)(delay_us / CLOCK_US_PER_S),
                                  .tv_usec = (suseconds_t)(delay_us % CLOCK_US_PER_S)};
    CHECK(evtimer_add(watch->retry, &delay) == 0);
}

static void on_end(struct channel_call *call, const struct channel_end *end)
{
    struct holdfast_watch *watch = CONTAINER_OF(call, struct holdfast_watch, call);
    if (end->is_disconnected) {
        tell_interrupted(watch, watch->client->down);
        channel_call_start(&watch->client->channel, call);
    } else if (end->status == STATUS_OK || end->status == STATUS_UNAVAILABLE) {
        tell_interrupted(watch, end->text[0] != '\0' ? end->text : "the server ended the watch");
        set_retry(watch, RETRY_US);
    } else {
        tell(watch, outcome_of_status(end->status), end->text);
    }
}

static const struct channel_call_events call_events = {
    .on_ready = send_watch, .on_message = on_message, .on_end = on_end};

struct holdfast_watch *watch_start(struct holdfast_async *client, const char *key,
                                   holdfast_watch_fn *on_state, void *user)
{
    const char *problem = ask_key_problem(key);
    struct holdfast_watch *watch = memory_alloc(sizeof(*watch));
    watch->client = client;
    watch->mailbox = client->mailbox;
    if (watch->mailbox != NULL) {
        mailbox_hold(watch->mailbox);
    }
    watch->call.events = &call_events;
    watch->key = memory_copy_string(key != NULL ? key : "");
    watch->on_state = on_state;
    watch->user = user;
    watch->tell.run = deliver;
    watch->retry = evtimer_new(client->base, on_retry, watch);
    CHECK(watch->retry != NULL);
    LIST_INSERT_HEAD(&client->watches, watch, link);
    client->watch_count++;
    if (problem != NULL) {
        tell(watch, HOLDFAST_INVALID, problem);
    } else if (client->watch_count > CLIENT_WATCHES_MAX) {
        tell(watch, HOLDFAST_LIMIT, "too many watches (at most 10000)");
    } else {
        set_retry(watch, (int64_t)client->reach.timeout_ms * CLOCK_US_PER_MS);
        channel_call_start(&client->channel, &watch->call);
    }
    return watch;
}

/* Lets go of the client; nothing is told any more. */
static void detach(struct holdfast_watch *watch)
{
    struct holdfast_async *client = watch->client;
    if (client == NULL) {
        return;
    }
    if (watch->call.state == CALL_ACTIVE && client->channel.is_up) {
        channel_half_close(&client->channel, &watch->call);
    }
    channel_call_forget(&client->channel, &watch->call);
    client_cancel(client, &watch->tell);
    event_free(watch->retry);
    LIST_REMOVE(watch, link);
    client->watch_count--;
    watch->client = NULL;
}

static void destroy(struct holdfast_watch *watch)
{
    detach(watch);
    if (watch->mailbox != NULL) {
        mailbox_let_go(watch->mailbox);
    }
    memory_free(watch->key);
    memory_free(watch);
}

void watch_close_all(struct holdfast_async *client)
{
    while (!LIST_EMPTY(&client->watches)) {
        detach(LIST_FIRST(&client->watches));
    }
}

/* Stops a watch in the library's thread. */
struct stop {
    struct task task;
    struct holdfast_watch *watch;
    struct latch latch;
};

static void run_stop(struct task *task)
{
    struct stop *stop = CONTAINER_OF(task, struct stop, task);
    detach(stop->watch);
    latch_open(&stop->latch);
}

void holdfast_watch_stop(struct holdfast_watch *watch)
{
    if (watch == NULL) {
        return;
    }
    if (watch->mailbox != NULL && !mailbox_is_here(watch->mailbox)) {
        struct stop stop = {.task = {.run = run_stop}, .watch = watch};
        latch_init(&stop.latch);
        if (mailbox_post(watch->mailbox, &stop.task)) {
            latch_wait(&stop.latch);
        }
        latch_release(&stop.latch);
    }
    destroy(watch);
}
