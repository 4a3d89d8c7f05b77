/* SPDX-License-Identifier: Apache-2.0 */
#include "redis/redis_store.h"

#include <hiredis/hiredis.h>
#include <string.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/compiler.h"
#include "base/log.h"
#include "base/memory.h"
#include "redis/batch.h"
#include "redis/doubt.h"
#include "redis/error.h"
#include "redis/hints.h"
#include "redis/link.h"
#include "redis/repeat.h"
#include "redis/scan.h"
#include "redis/script.h"

#define FLIGHTS_MAX 2

/* A Redis that is no farther than this is worth waiting for: a batch costs it as much as thirty
 * operations, so those that come meanwhile had better share one. */
#define NEAR_US 300

/* What an operation of a batch takes, about. */
#define OPERATION_US 2

/* How slowly Redis is taken to be farther; nearer at once. */
#define TRIP_SHARE 256

/* What is sent may run this much later, by an estimate of Redis' clock that comes from a reply
 * which took no longer either. */
#define ACK_TIMEOUT_MAX_US (STORE_LATE_US / 2)

/* A walk through what waits takes less than a tenth of the pause after it. */
#define GIVE_UPS_PER_US 2

/* How often Redis is asked at least to go on telling of watched locks. */
#define WATCH_REFRESH_US (3 * CLOCK_US_PER_S)

/* In op->queued_us: no longer waits to be sent, but to be told that it waited too long, or that too
 * many wait. */
#define GIVEN_UP CLOCK_NEVER
#define REFUSED  (CLOCK_NEVER - 1)

enum flight_state {
    FLIGHT_IDLE,
    FLIGHT_AGAIN, /* Redis has forgotten the script: to be sent in full */
    FLIGHT_SENT,
    FLIGHT_LOST, /* to be answered UNKNOWN */
};

/* One of the batches that may be in flight. */
struct flight {
    struct redis_store *store;
    enum flight_state state;
    int64_t sent_us;
    int64_t not_after_us; /* by Redis' clock */
    bool is_watching;     /* it asked Redis to tell of watched locks */
    bool is_deaf;         /* an ACQUIRE went without its wish to queue */
    struct batch batch;
};

/* What waits to be sent, in the order of sending. */
enum queue { QUEUE_RENEW, QUEUE_RELEASE, QUEUE_OTHER, QUEUES };

struct redis_store {
    struct store port;
    struct redis_store_config config;
    size_t prefix_length;
    struct loop *loop;
    struct metrics *metrics;
    struct link *link;
    struct script script;
    struct store_op_list queues[QUEUES];
    size_t impatient[QUEUES];      /* how many may give up */
    struct store_op_list given_up; /* to be answered UNAVAILABLE */
    int64_t operations;            /* submitted and not answered */
    int64_t refusable;             /* of these, in QUEUE_OTHER */
    int64_t heard_us;              /* when a batch was last answered */
    int64_t ack_timeout_us;
    int64_t trip_us; /* to Redis and back, lately and at best */
    struct flight flights[FLIGHTS_MAX];
    struct batch_answer answer; /* scratch */
    struct task flush;          /* FLUSH: send what waits */
    struct task settle;         /* WORK: answer what no reply answers */
    struct timer give_up;       /* at the earliest give_up_us, or before */
    bool is_give_up_due;
    int64_t give_up_from_us; /* not looked for before */
    struct doubt doubt;      /* whether Redis has forgotten; an empty batch asks */
    int64_t window_ends_us;  /* by Redis, the recovery window that everybody has been told of */
    bool expects_new;
    int64_t recovery_window_us; /* for the next batch */
    int64_t logged_until_us;    /* the recovery window that the log tells of ends */
    struct repeat repeat;

    struct scanner *scanner;
    struct hints *hints;
    struct timer refresh; /* to have Redis go on telling of watched locks */
    bool is_refresh_due;  /* by the next batch, whatever it carries */
};

static enum queue queue_of(enum store_verb verb)
{
    switch (verb) {
    case STORE_RENEW:
        return QUEUE_RENEW;
    case STORE_RELEASE:
        return QUEUE_RELEASE;
    case STORE_ACQUIRE:
    case STORE_RESUME:
    case STORE_INSPECT:
        break;
    }
    return QUEUE_OTHER;
}

static void count_operation(struct redis_store *store, const struct store_op *op, int64_t change)
{
    store->operations += change;
    store->refusable += queue_of(op->verb) == QUEUE_OTHER ? change : 0;
    store->metrics->redis_operations_now = (uint64_t)store->operations;
}

static bool may_give_up(const struct store_op *op)
{
    return op->is_impatient || op->give_up_us != CLOCK_NEVER;
}

/* When an operation that waits has waited for too long, as things stand. */
static int64_t gives_up_us(const struct redis_store *store, const struct store_op *op)
{
    const int64_t heard_us = op->queued_us > store->heard_us ? op->queued_us : store->heard_us;
    const bool is_sooner = op->is_impatient && op->give_up_us > heard_us + STORE_PATIENCE_US;
    return is_sooner ? heard_us + STORE_PATIENCE_US : op->give_up_us;
}

static void watch_give_up(struct redis_store *store, const struct store_op *op)
{
    int64_t due_us = gives_up_us(store, op);
    if (due_us < store->give_up_from_us) {
        due_us = store->give_up_from_us;
    }
    if (due_us < store->give_up.due_us) {
        wheel_set(loop_wheel(store->loop), &store->give_up, due_us);
    }
}

static void enqueue(struct redis_store *store, struct store_op *op, bool is_in_front)
{
    enum queue queue = queue_of(op->verb);
    op->state = STORE_OP_QUEUED;
    if (is_in_front) {
        TAILQ_INSERT_HEAD(&store->queues[queue], op, link);
    } else {
        TAILQ_INSERT_TAIL(&store->queues[queue], op, link);
    }
    if (may_give_up(op)) {
        store->impatient[queue]++;
        watch_give_up(store, op);
    }
}

static void dequeue(struct redis_store *store, struct store_op *op)
{
    enum queue queue = queue_of(op->verb);
    TAILQ_REMOVE(&store->queues[queue], op, link);
    if (may_give_up(op)) {
        store->impatient[queue]--;
    }
}

/* The operation is its owner's again before the owner hears of it. */
static void answer(struct redis_store *store, struct store_op *op,
                   const struct store_result *result, int64_t now_us)
{
    op->state = STORE_OP_IDLE;
    count_operation(store, op, -1);
    op->on_done(op, result, now_us);
}

/* Puts an operation that was certainly not done back in front of its queue. */
static void requeue(struct redis_store *store, struct store_op *op)
{
    enqueue(store, op, true);
}

/* What does not wait to be sent is to be told why: GIVEN_UP or REFUSED. */
static void dismiss(struct redis_store *store, struct store_op *op, int64_t why)
{
    op->queued_us = why;
    TAILQ_INSERT_TAIL(&store->given_up, op, link);
    loop_post(store->loop, LOOP_WORK, &store->settle);
}

static void give_up(struct redis_store *store, struct store_op *op)
{
    dequeue(store, op);
    dismiss(store, op, GIVEN_UP);
}

static void requeue_flight(struct redis_store *store, struct flight *flight)
{
    for (size_t i = flight->batch.count; i > 0; i--) {
        requeue(store, flight->batch.ops[i - 1]);
    }
    flight->state = FLIGHT_IDLE;
}

static void report_refusal(struct redis_store *store, const char *problem, int64_t now_us)
{
    if (repeat_is_news(&store->repeat, problem, now_us)) {
        LOG_WARN("redis.refused", LOG_MESSAGE("Redis refuses a lease operation"),
                 LOG_TEXT("reason", problem));
    }
}

/* Once per window: what is left of one says when it ends, as exactly as replies are quick. */
static void report_data_loss(struct redis_store *store, int64_t window_us, int64_t now_us)
{
    int64_t until_us = now_us + window_us;
    if (until_us <= store->logged_until_us + store->ack_timeout_us) {
        return;
    }
    store->logged_until_us = until_us;
    LOG_WARN("redis.data_lost",
             LOG_MESSAGE("Redis has lost data or was replaced: no new locks for a while, holders "
                         "re-create theirs"),
             LOG_INTEGER("window_ms", window_us / CLOCK_US_PER_MS));
}

/* Answers every operation of the batch in the same way. */
static void answer_flight(struct redis_store *store, struct flight *flight,
                          const struct store_result *result, int64_t now_us)
{
    flight->state = FLIGHT_IDLE;
    for (size_t i = 0; i < flight->batch.count; i++) {
        answer(store, flight->batch.ops[i], result, now_us);
    }
}

/* The whole batch was refused before it began. */
static void take_error(struct redis_store *store, struct flight *flight, const char *text,
                       int64_t now_us)
{
    char word[REDIS_ERROR_WORD_SIZE];
    redis_error_word(text, word);
    const char *problem = redis_error_explain(word);
    switch (redis_error_kind(word)) {
    case REDIS_ERROR_NO_SCRIPT:
        flight->state = FLIGHT_AGAIN;
        store->metrics->redis_script_reloads++;
        return;
    case REDIS_ERROR_CONNECTION:
        requeue_flight(store, flight);
        link_fail(store->link, problem);
        return;
    case REDIS_ERROR_COMMAND:
        break;
    }
    report_refusal(store, problem, now_us);
    struct store_result result = {.code = STORE_UNAVAILABLE, .detail = problem};
    if (flight->batch.count == 0) {
        doubt_keep(&store->doubt, false);
    }
    answer_flight(store, flight, &result, now_us);
}

/* Hands the results out; returns what makes the connection useless, or NULL. */
static const char *take_results(struct redis_store *store, struct flight *flight, int64_t now_us)
{
    const char *problem = NULL;
    for (size_t i = flight->batch.count; i > 0; i--) {
        struct store_result *result = &store->answer.results[i - 1];
        bool is_refused = result->code == STORE_UNAVAILABLE;
        if (is_refused && redis_error_kind(result->detail) == REDIS_ERROR_CONNECTION) {
            problem = redis_error_explain(result->detail);
            requeue(store, flight->batch.ops[i - 1]);
            flight->batch.ops[i - 1] = NULL;
        }
    }
    for (size_t i = 0; i < flight->batch.count; i++) {
        struct store_result *result = &store->answer.results[i];
        if (flight->batch.ops[i] == NULL) {
            continue;
        }
        result->sent_us = flight->sent_us;
        if (result->code == STORE_UNAVAILABLE) {
            result->sent_us = 0;
            result->detail = redis_error_explain(result->detail);
            report_refusal(store, result->detail, now_us);
        }
        if (result->code == STORE_RECOVERING) {
            report_data_loss(store, result->retry_after_us, now_us);
        }
        answer(store, flight->batch.ops[i], result, now_us);
    }
    flight->state = FLIGHT_IDLE;
    /* They are owed it, and the last one may have come before these answers. */
    if (flight->is_deaf) {
        hints_tell(store->hints);
    }
    return problem;
}

/* FLUSHALL breaks no connection: nobody would renew in time to re-create what is lost. */
static void take_window(struct redis_store *store, int64_t window_us, int64_t now_us)
{
    struct store_listener *listener = store->port.listener;
    const int64_t ends_us = store->answer.now_us + window_us;
    if (window_us == 0 || ends_us == store->window_ends_us) {
        return;
    }
    store->window_ends_us = ends_us;
    report_data_loss(store, window_us, now_us);
    if (listener != NULL) {
        listener->on_up(listener, now_us);
    }
    if (hints_watch_us(store->hints) > 0) {
        hints_tell(store->hints);
    }
}

static void refresh_watches(struct redis_store *store)
{
    store->is_refresh_due = true;
    loop_post(store->loop, LOOP_FLUSH, &store->flush);
}

static void on_refresh(struct timer *timer, int64_t now_us)
{
    (void)now_us;
    struct redis_store *store = CONTAINER_OF(timer, struct redis_store, refresh);
    if (hints_watch_us(store->hints) > 0) {
        refresh_watches(store);
    }
}

static void take_watching(struct redis_store *store, const struct flight *flight, int64_t now_us)
{
    if (flight->is_watching && store->answer.now_us <= flight->not_after_us) {
        hints_watched(store->hints, flight->sent_us, now_us);
    }
}

/* How far Redis is: a busy one or a busy machine is not, so it is the shortest trip that counts. */
static void take_trip(struct redis_store *store, const struct flight *flight, int64_t now_us)
{
    const int64_t work_us = (int64_t)flight->batch.count * OPERATION_US;
    const int64_t longer_us = now_us - flight->sent_us - work_us - store->trip_us;
    store->trip_us += longer_us < 0 ? longer_us : longer_us / TRIP_SHARE;
}

static void on_reply(void *user, const struct redisReply *reply, int64_t now_us)
{
    struct flight *flight = user;
    struct redis_store *store = flight->store;
    loop_post(store->loop, LOOP_FLUSH, &store->flush);
    if (reply->type == REDIS_REPLY_ERROR) {
        take_error(store, flight, reply->str, now_us);
        return;
    }
    if (!batch_decode(&flight->batch, reply, &store->answer)) {
        link_fail(store->link, "the reply to a batch makes no sense");
        return;
    }
    redis_clock_observe(link_clock(store->link), store->answer.now_us, flight->sent_us, now_us);
    take_trip(store, flight, now_us);
    store->recovery_window_us = store->config.recovery_window_ms * CLOCK_US_PER_MS;
    if (flight->batch.count == 0 && store->answer.now_us > flight->not_after_us) {
        doubt_keep(&store->doubt, true);
    }
    take_watching(store, flight, now_us);
    take_window(store, store->answer.window_us, now_us);
    const char *problem = take_results(store, flight, now_us);
    if (problem != NULL) {
        link_fail(store->link, problem);
        return;
    }
    store->heard_us = now_us;
    link_confirm(store->link);
}

/* Fills the batch: renewals first, then releases. */
static void fill(struct redis_store *store, struct batch *batch, int64_t now_us)
{
    for (int queue = 0; queue < QUEUES; queue++) {
        struct store_op *op = TAILQ_FIRST(&store->queues[queue]);
        while (op != NULL && batch->count < BATCH_OPERATIONS_MAX) {
            struct store_op *next = TAILQ_NEXT(op, link);
            if (gives_up_us(store, op) > now_us) {
                dequeue(store, op);
                op->state = STORE_OP_SENT;
                batch_add(batch, op);
            } else {
                give_up(store, op);
            }
            op = next;
        }
    }
}

/* While messages cannot be heard nobody is to queue: a lock given to us would go unnoticed. */
static void encode(struct redis_store *store, struct flight *flight, const struct batch_call *call)
{
    struct batch *batch = &flight->batch;
    bool is_hidden[BATCH_OPERATIONS_MAX] = {false};
    bool is_heard = hints_are_heard(store->hints);
    flight->is_deaf = false;
    for (size_t i = 0; i < batch->count && !is_heard; i++) {
        is_hidden[i] = batch->ops[i]->verb == STORE_ACQUIRE && batch->ops[i]->wants_queue;
        flight->is_deaf = flight->is_deaf || is_hidden[i];
        batch->ops[i]->wants_queue = batch->ops[i]->wants_queue && !is_hidden[i];
    }
    batch_encode(batch, call);
    for (size_t i = 0; i < batch->count; i++) {
        batch->ops[i]->wants_queue = batch->ops[i]->wants_queue || is_hidden[i];
    }
}

/* False when the connection did not take it; it was then never sent. */
static bool send_flight(struct redis_store *store, struct flight *flight, int64_t now_us)
{
    struct batch_call call = {
        .script = &store->script,
        .is_in_full = flight->state == FLIGHT_AGAIN,
        .key_prefix = store->config.key_prefix,
        .key_prefix_length = store->prefix_length,
        .run_id = link_run_id(store->link),
        .not_after_us =
            redis_clock_estimate_us(link_clock(store->link), now_us) + store->ack_timeout_us,
        .recovery_window_us = store->recovery_window_us,
        .server_id = hints_server_id(store->hints),
        .watch_us = hints_watch_us(store->hints),
    };
    encode(store, flight, &call);
    struct conn_command command = {
        .arguments = flight->batch.arguments,
        .lengths = flight->batch.lengths,
        .count = flight->batch.argument_count,
        .on_reply = on_reply,
        .user = flight,
    };
    if (!link_send(store->link, &command, now_us)) {
        requeue_flight(store, flight);
        link_fail(store->link, "cannot send");
        return false;
    }
    flight->state = FLIGHT_SENT;
    flight->sent_us = now_us;
    flight->not_after_us = call.not_after_us;
    flight->is_watching = call.watch_us > 0;
    store->is_refresh_due = false;
    if (flight->is_watching) {
        wheel_set(loop_wheel(store->loop), &store->refresh, now_us + WATCH_REFRESH_US);
    }
    store->metrics->redis_batches++;
    store->metrics->redis_operations += flight->batch.count;
    return true;
}

/* Whether a batch may go now: the second only if it is a whole one, or Redis is far. */
static bool may_send(const struct redis_store *store)
{
    int64_t waiting = store->operations;
    bool is_one_out = false;
    for (size_t i = 0; i < FLIGHTS_MAX; i++) {
        if (store->flights[i].state != FLIGHT_IDLE) {
            is_one_out = true;
            waiting -= (int64_t)store->flights[i].batch.count;
        }
    }
    return !is_one_out || store->trip_us > NEAR_US || waiting >= (int64_t)BATCH_OPERATIONS_MAX;
}

static void run_flush(struct task *task)
{
    struct redis_store *store = CONTAINER_OF(task, struct redis_store, flush);
    if (!link_is_up(store->link)) {
        return;
    }
    int64_t now_us = loop_update_now_us(store->loop);
    bool is_taken = true;
    for (size_t i = 0; i < FLIGHTS_MAX && is_taken; i++) {
        struct flight *flight = &store->flights[i];
        if (flight->state == FLIGHT_IDLE && may_send(store)) {
            bool is_empty = doubt_take(&store->doubt);
            batch_clear(&flight->batch);
            if (!is_empty) {
                fill(store, &flight->batch, now_us);
            }
            if (is_empty || store->is_refresh_due || flight->batch.count > 0) {
                is_taken = send_flight(store, flight, now_us);
            }
        } else if (flight->state == FLIGHT_AGAIN) {
            is_taken = send_flight(store, flight, now_us);
        }
    }
    link_flush(store->link);
}

/* Moves what is past its give_up_us out of the queues, and sets the timer for the next. */
static void give_up_late(struct redis_store *store, int64_t now_us)
{
    int64_t walked = 0;
    int64_t next_us = CLOCK_NEVER;
    for (int queue = 0; queue < QUEUES; queue++) {
        struct store_op *op = TAILQ_FIRST(&store->queues[queue]);
        while (op != NULL && store->impatient[queue] > 0) {
            struct store_op *next = TAILQ_NEXT(op, link);
            const int64_t due_us = gives_up_us(store, op);
            walked++;
            if (due_us <= now_us) {
                give_up(store, op);
            } else if (due_us < next_us) {
                next_us = due_us;
            }
            op = next;
        }
    }
    store->give_up_from_us = now_us + walked / GIVE_UPS_PER_US;
    if (next_us < store->give_up_from_us) {
        next_us = store->give_up_from_us;
    }
    wheel_set(loop_wheel(store->loop), &store->give_up, next_us);
}

static const char *why_given_up(const struct redis_store *store, const struct store_op *op,
                                int64_t now_us)
{
    if (op->queued_us == REFUSED) {
        return "max-redis-operations: too many lease operations wait for Redis; try again later or "
               "raise it";
    }
    if (!link_is_up(store->link)) {
        return link_problem(store->link);
    }
    return op->give_up_us <= now_us ? "too many lease operations wait for Redis"
                                    : "Redis answers nothing";
}

static void answer_given_up(struct redis_store *store, int64_t now_us)
{
    size_t count = 0;
    struct store_op *op = NULL;
    TAILQ_FOREACH (op, &store->given_up, link) {
        count++;
    }
    /* No more than there are now: what their owners submit at once has its turn in the next. */
    while (count > 0 && !TAILQ_EMPTY(&store->given_up)) {
        count--;
        op = TAILQ_FIRST(&store->given_up);
        const struct store_result result = {
            .code = STORE_UNAVAILABLE,
            .is_limit = op->queued_us == REFUSED,
            .detail = why_given_up(store, op, now_us),
        };
        TAILQ_REMOVE(&store->given_up, op, link);
        answer(store, op, &result, now_us);
    }
}

static void run_settle(struct task *task)
{
    struct redis_store *store = CONTAINER_OF(task, struct redis_store, settle);
    int64_t now_us = loop_now_us(store->loop);
    for (size_t i = 0; i < FLIGHTS_MAX; i++) {
        struct flight *flight = &store->flights[i];
        if (flight->state == FLIGHT_LOST) {
            struct store_result result = {.code = STORE_UNKNOWN, .sent_us = flight->sent_us};
            store->metrics->redis_unknown += flight->batch.count;
            answer_flight(store, flight, &result, now_us);
        }
    }
    if (store->is_give_up_due) {
        store->is_give_up_due = false;
        give_up_late(store, now_us);
    }
    answer_given_up(store, now_us);
}

static void on_give_up(struct timer *timer, int64_t now_us)
{
    (void)now_us;
    struct redis_store *store = CONTAINER_OF(timer, struct redis_store, give_up);
    store->is_give_up_due = true;
    loop_post(store->loop, LOOP_WORK, &store->settle);
}

static void tell_reach(const struct redis_store *store, bool is_up)
{
    if (store->config.on_reach != NULL) {
        store->config.on_reach(store->config.reach_user, is_up);
    }
}

static void on_up(void *user, int64_t now_us)
{
    struct redis_store *store = user;
    int64_t window_us = store->config.recovery_window_ms * CLOCK_US_PER_MS;
    store->recovery_window_us = store->expects_new ? 0 : window_us;
    store->expects_new = false;
    repeat_init(&store->repeat);
    hints_commands_up(store->hints);
    store->is_refresh_due = hints_watch_us(store->hints) > 0;
    struct store_listener *listener = store->port.listener;
    if (listener != NULL) {
        listener->on_up(listener, now_us);
    }
    tell_reach(store, true);
    loop_post(store->loop, LOOP_FLUSH, &store->flush);
}

static void on_down(void *user, int64_t now_us)
{
    (void)now_us;
    struct redis_store *store = user;
    for (size_t i = 0; i < FLIGHTS_MAX; i++) {
        struct flight *flight = &store->flights[i];
        if (flight->state == FLIGHT_SENT) {
            flight->state = FLIGHT_LOST;
        } else if (flight->state == FLIGHT_AGAIN) {
            requeue_flight(store, flight);
        }
    }
    scanner_down(store->scanner);
    tell_reach(store, false);
    loop_post(store->loop, LOOP_WORK, &store->settle);
}

/* Renewals show whether Redis answers, and whoever waits has timers; only a server without either
 * would not know whether it is any use. */
static bool is_patient(void *user)
{
    const struct redis_store *store = user;
    const struct store_listener *listener = store->port.listener;
    return listener != NULL && listener->has_leases(listener);
}

static struct redis_store *store_of(struct store *port)
{
    return CONTAINER_OF(port, struct redis_store, port);
}

static void submit(struct store *port, struct store_op *op, int64_t now_us)
{
    struct redis_store *store = store_of(port);
    CHECK(op->state == STORE_OP_IDLE);
    count_operation(store, op, 1);
    if (queue_of(op->verb) == QUEUE_OTHER && store->refusable > store->config.operations_max) {
        op->state = STORE_OP_QUEUED;
        dismiss(store, op, REFUSED);
        return;
    }
    op->queued_us = now_us;
    enqueue(store, op, false);
    loop_post(store->loop, LOOP_FLUSH, &store->flush);
}

static bool withdraw(struct store *port, struct store_op *op)
{
    struct redis_store *store = store_of(port);
    CHECK(op->state != STORE_OP_IDLE);
    if (op->state == STORE_OP_SENT) {
        return false;
    }
    if (op->queued_us >= REFUSED) {
        TAILQ_REMOVE(&store->given_up, op, link);
    } else {
        dequeue(store, op);
    }
    op->state = STORE_OP_IDLE;
    count_operation(store, op, -1);
    return true;
}

static void watch(struct store *port, const char *key, size_t key_length)
{
    struct redis_store *store = store_of(port);
    if (hints_watch_us(store->hints) == 0) {
        refresh_watches(store);
    }
    hints_watch(store->hints, key, key_length);
}

static void unwatch(struct store *port, const char *key, size_t key_length)
{
    hints_unwatch(store_of(port)->hints, key, key_length);
}

static const struct store_vtable vtable = {
    .submit = submit, .withdraw = withdraw, .watch = watch, .unwatch = unwatch};

static void init_tasks(struct redis_store *store)
{
    task_init(&store->flush, run_flush);
    task_init(&store->settle, run_settle);
    timer_init(&store->give_up, on_give_up);
    timer_init(&store->refresh, on_refresh);
    doubt_init(&store->doubt, store->loop, &store->port, &store->flush,
               store->config.recovery_window_ms);
}

struct redis_store *redis_store_create(const struct redis_store_config *config, struct loop *loop,
                                       struct metrics *metrics)
{
    struct redis_store *store = memory_alloc(sizeof(*store));
    store->port.vtable = &vtable;
    store->config = *config;
    store->prefix_length = strlen(config->key_prefix);
    store->loop = loop;
    store->metrics = metrics;
    store->ack_timeout_us = config->ack_timeout_ms * CLOCK_US_PER_MS;
    store->trip_us = CLOCK_US_PER_S;
    if (store->ack_timeout_us > ACK_TIMEOUT_MAX_US) {
        store->ack_timeout_us = ACK_TIMEOUT_MAX_US;
    }
    script_init(&store->script);
    for (int queue = 0; queue < QUEUES; queue++) {
        TAILQ_INIT(&store->queues[queue]);
    }
    TAILQ_INIT(&store->given_up);
    for (size_t i = 0; i < FLIGHTS_MAX; i++) {
        store->flights[i].store = store;
        store->flights[i].state = FLIGHT_IDLE;
        batch_init(&store->flights[i].batch);
    }
    init_tasks(store);
    repeat_init(&store->repeat);
    struct link_config link_config = {
        .url = config->url,
        .user = config->user,
        .password_file = config->password_file,
        .connect_timeout_us = config->connect_timeout_ms * CLOCK_US_PER_MS,
        .ack_timeout_us = store->ack_timeout_us,
        .backoff_max_us = config->backoff_max_ms * CLOCK_US_PER_MS,
        .requires_noeviction = config->requires_noeviction,
    };
    struct link_listener listener = {
        .on_up = on_up, .on_down = on_down, .is_patient = is_patient, .user = store};
    store->link = link_create(&link_config, &listener, loop, metrics);
    store->scanner = scanner_create(store->link, config->key_prefix, loop);
    store->hints = hints_create(&link_config, &store->port, config->key_prefix, store->link,
                                &store->doubt, loop, metrics);
    return store;
}

void redis_store_destroy(struct redis_store *store)
{
    hints_destroy(store->hints);
    scanner_destroy(store->scanner);
    link_destroy(store->link);
    loop_unpost(store->loop, &store->flush);
    loop_unpost(store->loop, &store->settle);
    wheel_clear(loop_wheel(store->loop), &store->give_up);
    doubt_release(&store->doubt);
    wheel_clear(loop_wheel(store->loop), &store->refresh);
    for (size_t i = 0; i < FLIGHTS_MAX; i++) {
        batch_release(&store->flights[i].batch);
    }
    memory_free(store);
}

struct store *redis_store_port(struct redis_store *store)
{
    return &store->port;
}

struct scanner *redis_store_scanner(struct redis_store *store)
{
    return store->scanner;
}

bool redis_store_is_up(const struct redis_store *store)
{
    return link_is_up(store->link);
}

void redis_store_expect_new(struct redis_store *store)
{
    store->expects_new = true;
}

void redis_store_retry_now(struct redis_store *store)
{
    link_retry_now(store->link);
    hints_retry_now(store->hints);
}
