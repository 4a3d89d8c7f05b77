/* SPDX-License-Identifier: Apache-2.0 */
#include "load.h"

#include <event2/event.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/resource.h>

#include "guard.h"
#include "output.h"
#include "session.h"

#define US_PER_S 1000000

/* Connections being made at a time: fewer than a listener's queue has room for. */
#define CONNECTING_MAX 64

/* LOAD_HOLD: asks on their way on one connection. */
#define TAKING_MAX 100

/* Descriptors for all but the connections. */
#define OTHER_FILES 32

enum worker_state { WORKER_FREE, WORKER_ASKING, WORKER_HOLDING, WORKER_RELEASING };

struct load_worker {
    TAILQ_ENTRY(load_worker) ready;
    struct load *load;
    enum worker_state state;
    int64_t from_us; /* of what is on its way */
    uint64_t request;
    struct holdfast_lease *lease;
};

static size_t number_of(const struct load_worker *worker)
{
    return (size_t)(worker - worker->load->workers);
}

static struct holdfast_async *connection_of(const struct load_worker *worker)
{
    return worker->load->connections[number_of(worker) % worker->load->plan.connections];
}

static void end_if_idle(struct load *load)
{
    if (load->state == LOAD_ENDING && load->busy == 0) {
        load->state = LOAD_ENDED;
        load->on_end(load);
    }
}

static void fail(struct load *load, enum holdfast_result result, const char *error)
{
    if (load->failure == HOLDFAST_OK) {
        load->failure = result;
        snprintf(load->error, sizeof(load->error), "%s", error);
    }
    load_stop(load);
}

/* Of the load's own making. */
static void rest(struct load_worker *worker)
{
    holdfast_lease_free(worker->lease);
    worker->lease = NULL;
    worker->state = WORKER_FREE;
    worker->load->busy--;
    if (worker->load->plan.mix != LOAD_HOLD) {
        TAILQ_INSERT_TAIL(&worker->load->ready, worker, ready);
    }
    end_if_idle(worker->load);
}

static void pump(struct load *load);

static void on_released(enum holdfast_result result, const char *error, void *user)
{
    struct load_worker *worker = (struct load_worker *)user;
    struct load *load = worker->load;
    if (result != HOLDFAST_OK) {
        fail(load, result, error);
    } else if (load->state == LOAD_RUNNING) {
        histogram_add(&load->release, guard_now_us() - worker->from_us);
        load->operations++;
    }
    rest(worker);
    pump(load);
}

static void give_up(struct load_worker *worker)
{
    worker->state = WORKER_RELEASING;
    worker->from_us = guard_now_us();
    holdfast_async_release(connection_of(worker), worker->lease, on_released, worker);
}

static void on_end_of_time(evutil_socket_t fd, short what, void *user)
{
    (void)fd;
    (void)what;
    load_stop((struct load *)user);
}

static void set_timer(struct event *timer, int64_t delay_us)
{
    const int64_t us = delay_us > 0 ? delay_us : 0;
    const struct timeval delay = {.tv_sec = us / US_PER_S, .tv_usec = us % US_PER_S};
    event_add(timer, &delay);
}

/* Whose turn on this connection it is next. */
static void keep(struct load_worker *worker)
{
    struct load *load = worker->load;
    const size_t next = number_of(worker) + TAKING_MAX * load->plan.connections;
    load->operations++;
    if (next < load->worker_count) {
        TAILQ_INSERT_TAIL(&load->ready, &load->workers[next], ready);
    }
    if (load->operations == load->worker_count || load->operations == load->plan.count) {
        load->all_held_us = guard_now_us();
        set_timer(load->end, load->plan.duration_us);
    }
    pump(load);
}

static void on_taken(enum holdfast_result result, struct holdfast_lease *lease,
                     const struct holdfast_holder *holder, const char *error, void *user)
{
    struct load_worker *worker = (struct load_worker *)user;
    struct load *load = worker->load;
    (void)holder;
    worker->lease = lease;
    if (result != HOLDFAST_OK) {
        if (result != HOLDFAST_CANCELLED) {
            fail(load, result, error);
        }
        rest(worker);
        return;
    }
    if (load->state == LOAD_RUNNING) {
        histogram_add(&load->acquire, guard_now_us() - worker->from_us);
    }
    worker->state = WORKER_HOLDING;
    if (load->state == LOAD_RUNNING && load->plan.mix == LOAD_HOLD) {
        keep(worker);
    } else {
        give_up(worker);
    }
}

static void on_at_risk(struct holdfast_lease *lease, int64_t valid_for_ms, void *user)
{
    struct load_worker *worker = (struct load_worker *)user;
    (void)lease;
    (void)valid_for_ms;
    worker->load->at_risk++;
}

/* Who is releasing it hears of the loss from the answer. */
static void on_lost(struct holdfast_lease *lease, enum holdfast_loss loss, void *user)
{
    struct load_worker *worker = (struct load_worker *)user;
    (void)lease;
    (void)loss;
    worker->load->lost++;
    if (worker->state == WORKER_HOLDING) {
        rest(worker);
    }
}

static void take(struct load_worker *worker, int64_t from_us)
{
    struct load *load = worker->load;
    char key[64];
    if (load->plan.mix == LOAD_HOT) {
        snprintf(key, sizeof(key), "%s", load->prefix);
    } else {
        snprintf(key, sizeof(key), "%s-%zu", load->prefix, number_of(worker));
    }
    struct holdfast_ask ask = session_ask(load->session);
    ask.key = key;
    ask.wait_ms = load->plan.mix == LOAD_HOT ? HOLDFAST_WAIT_MAX : 0;
    ask.events = (struct holdfast_lease_events){
        .on_at_risk = on_at_risk, .on_lost = on_lost, .user = worker};
    worker->state = WORKER_ASKING;
    worker->from_us = from_us;
    load->busy++;
    load->started++;
    worker->request = holdfast_async_hold(connection_of(worker), &ask, on_taken, worker);
}

static int64_t due_us(const struct load *load, uint64_t operation)
{
    return load->started_us + (int64_t)(operation * US_PER_S / load->plan.rate);
}

static bool may_start(const struct load *load)
{
    return load->state == LOAD_RUNNING && !TAILQ_EMPTY(&load->ready) &&
           (load->plan.count == 0 || load->started < load->plan.count);
}

/* Starts what is due and can be. */
static void pump(struct load *load)
{
    while (may_start(load)) {
        const int64_t now_us = guard_now_us();
        const int64_t from_us = load->plan.rate > 0 ? due_us(load, load->started) : now_us;
        if (from_us > now_us) {
            set_timer(load->pace, from_us - now_us);
            return;
        }
        struct load_worker *worker = TAILQ_FIRST(&load->ready);
        TAILQ_REMOVE(&load->ready, worker, ready);
        take(worker, from_us);
    }
    const bool has_all = load->plan.count > 0 && load->operations == load->plan.count;
    if (has_all && load->plan.mix != LOAD_HOLD) {
        load_stop(load);
    }
}

static void on_pace(evutil_socket_t fd, short what, void *user)
{
    (void)fd;
    (void)what;
    pump((struct load *)user);
}

static void begin(struct load *load)
{
    const size_t at_once = load->plan.mix == LOAD_HOLD ? TAKING_MAX : LOAD_DEPTH_MAX;
    for (size_t i = 0; i < load->worker_count && i < at_once * load->plan.connections; i++) {
        TAILQ_INSERT_TAIL(&load->ready, &load->workers[i], ready);
    }
    load->state = LOAD_RUNNING;
    load->started_us = guard_now_us();
    if (load->plan.mix != LOAD_HOLD) {
        set_timer(load->end, load->plan.duration_us);
    }
    pump(load);
}

static void connect_some(struct load *load);

/* Who answers is connected, and its Redis is there. */
static void on_connected(enum holdfast_result result, const struct holdfast_holder *holder,
                         const char *error, void *user)
{
    struct load *load = (struct load *)user;
    (void)holder;
    load->connected++;
    if (result != HOLDFAST_OK && load->state == LOAD_CONNECTING) {
        fail(load, result, error);
    } else if (load->state == LOAD_CONNECTING && load->connected == load->plan.connections) {
        begin(load);
    } else if (load->state == LOAD_CONNECTING) {
        connect_some(load);
    }
}

static void connect_some(struct load *load)
{
    while (load->opened < load->plan.connections &&
           load->opened - load->connected < CONNECTING_MAX) {
        struct holdfast_async *connection = load->session->async;
        if (load->opened > 0) {
            char error[HOLDFAST_ERROR_SIZE];
            connection = session_connect(load->session, error);
            if (connection == NULL) {
                fail(load, HOLDFAST_AWAY, error);
                return;
            }
        }
        load->connections[load->opened++] = connection;
        holdfast_async_inspect(connection, load->prefix, on_connected, load);
    }
}

static bool raise_file_limit(size_t connections)
{
    struct rlimit limit;
    const rlim_t wanted = (rlim_t)connections + OTHER_FILES;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= wanted) {
        return true;
    }
    limit.rlim_cur = limit.rlim_max < wanted ? limit.rlim_max : wanted;
    if (limit.rlim_cur < wanted || setrlimit(RLIMIT_NOFILE, &limit) != 0) {
        output_error("%zu connections need %llu open files, and %llu are allowed (ulimit -n).",
                     connections, (unsigned long long)wanted, (unsigned long long)limit.rlim_max);
        return false;
    }
    return true;
}

bool load_open(struct load *load, struct session *session, const struct load_plan *plan,
               void (*on_end)(struct load *load))
{
    uint32_t random = 0;
    memset(load, 0, sizeof(*load));
    load->plan = *plan;
    load->session = session;
    load->on_end = on_end;
    TAILQ_INIT(&load->ready);
    if (!raise_file_limit(plan->connections)) {
        return false;
    }
    load->worker_count = plan->connections * plan->depth;
    load->workers = calloc(load->worker_count, sizeof(*load->workers));
    load->connections = calloc(plan->connections, sizeof(struct holdfast_async *));
    load->pace = event_new(session->base, -1, 0, on_pace, load);
    load->end = event_new(session->base, -1, 0, on_end_of_time, load);
    if (load->workers == NULL || load->connections == NULL || load->pace == NULL ||
        load->end == NULL || getrandom(&random, sizeof(random), 0) != (ssize_t)sizeof(random)) {
        output_error("Cannot prepare the load: out of memory.");
        return false;
    }
    for (size_t i = 0; i < load->worker_count; i++) {
        load->workers[i].load = load;
    }
    snprintf(load->prefix, sizeof(load->prefix), "bench-%08" PRIx32, random);
    connect_some(load);
    return true;
}

/* Who waits takes that back: what it obtains all the same goes with its connection. The other
 * answers are awaited, and what they bring is given up. */
void load_stop(struct load *load)
{
    if (load->state >= LOAD_ENDING) {
        return;
    }
    load->ended_us = guard_now_us();
    load->state = LOAD_ENDING;
    event_del(load->pace);
    event_del(load->end);
    for (size_t i = 0; i < load->worker_count; i++) {
        struct load_worker *worker = &load->workers[i];
        if (worker->state == WORKER_ASKING && load->plan.mix == LOAD_HOT) {
            holdfast_async_cancel(connection_of(worker), worker->request);
        } else if (worker->state == WORKER_HOLDING) {
            give_up(worker);
        }
    }
    end_if_idle(load);
}

int64_t load_elapsed_us(const struct load *load)
{
    if (load->started_us == 0) {
        return 0;
    }
    return (load->ended_us > 0 ? load->ended_us : guard_now_us()) - load->started_us;
}

uint64_t load_behind(const struct load *load)
{
    if (load->plan.rate == 0 || load->started_us == 0) {
        return 0;
    }
    uint64_t due = (uint64_t)load_elapsed_us(load) * load->plan.rate / US_PER_S;
    const uint64_t most = load->plan.mix == LOAD_HOLD ? load->worker_count : load->plan.count;
    if (most > 0 && due > most) {
        due = most;
    }
    return due > load->started ? due - load->started : 0;
}

void load_close(struct load *load)
{
    load->state = LOAD_ENDED;
    /* Callbacks that are due run now. */
    for (size_t i = 0; i < load->opened; i++) {
        holdfast_async_close(load->connections[i]);
        load->session->async = NULL;
    }
    for (size_t i = 0; i < load->worker_count && load->workers != NULL; i++) {
        holdfast_lease_free(load->workers[i].lease);
    }
    if (load->pace != NULL) {
        event_free(load->pace);
    }
    if (load->end != NULL) {
        event_free(load->end);
    }
    free(load->connections);
    free(load->workers);
}
