/* SPDX-License-Identifier: Apache-2.0 */
#include "bench_load.h"

#include <errno.h>
#include <event2/event.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/memory.h"
#include "base/random.h"

/* BENCH_HOLD: acquires on their way on one connection. */
#define TAKING_MAX 32

#define WAIT_MS 600000

/* BENCH_HOLD with a rate: how often to look whether leases are due. */
#define PACE_US 1000

struct worker {
    TAILQ_ENTRY(worker) ready;
    struct bench_load *load;
    struct bench_client client;
    size_t number;
    struct event *readable;
    struct event *again; /* BENCH_HOT straight to Redis: the next try */
    bool is_releasing;
    size_t asked;
    size_t taken;  /* BENCH_HOLD: leases */
    size_t on_way; /* BENCH_HOLD: acquires */
    int64_t from_us;
};

TAILQ_HEAD(worker_queue, worker);

struct bench_load {
    struct bench_plan plan;
    struct event_base *base;
    struct worker *workers;
    struct worker_queue ready; /* free for a pair, longest first */
    struct event *pace;        /* when the next pair ought to start */
    struct event *end;
    struct bench_result *result;
    uint64_t started;
    const struct worker *owner; /* BENCH_HOT: who had the lock last */
    int64_t started_us;
};

static int connect_to(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK(strlen(path) < sizeof(address.sun_path));
    memcpy(address.sun_path, path, strlen(path));
    if (fd < 0 || connect(fd, (const struct sockaddr *)&address, sizeof(address)) != 0) {
        fprintf(stderr, "bench: cannot connect to %s: %s\n", path, strerror(errno));
        exit(EXIT_FAILURE);
    }
    return fd;
}

void bench_send(struct bench_client *client, const void *bytes, size_t length)
{
    CHECK(send(client->fd, bytes, length, MSG_NOSIGNAL) == (ssize_t)length);
}

void bench_consume(struct bench_client *client, size_t length)
{
    client->used -= length;
    memmove(client->input, client->input + length, client->used);
}

static void set_timer(struct event *timer, int64_t delay_us)
{
    const struct timeval delay = {.tv_sec = delay_us / CLOCK_US_PER_S,
                                  .tv_usec = delay_us % CLOCK_US_PER_S};
    event_add(timer, &delay);
}

static void send_acquire(struct worker *worker)
{
    worker->load->result->tries++;
    worker->load->plan.protocol->send_acquire(&worker->client);
}

/* Starts the pairs that are due and have a free worker. */
static void pump(struct bench_load *load)
{
    while (!TAILQ_EMPTY(&load->ready)) {
        const int64_t now_us = clock_now_us();
        const uint64_t rate = load->plan.rate;
        const int64_t from_us =
            rate > 0 ? load->started_us + (int64_t)(load->started * CLOCK_US_PER_S / rate) : now_us;
        if (from_us > now_us) {
            set_timer(load->pace, from_us - now_us);
            return;
        }
        struct worker *worker = TAILQ_FIRST(&load->ready);
        TAILQ_REMOVE(&load->ready, worker, ready);
        worker->from_us = from_us;
        load->started++;
        send_acquire(worker);
    }
}

static void on_again(evutil_socket_t fd, short what, void *user)
{
    (void)fd;
    (void)what;
    send_acquire(user);
}

static void on_end(evutil_socket_t fd, short what, void *user)
{
    struct bench_load *load = user;
    (void)fd;
    (void)what;
    event_base_loopbreak(load->base);
}

/* By the clock, where there is a rate. */
static bool is_due(struct bench_load *load)
{
    const uint64_t rate = load->plan.rate;
    const int64_t elapsed_us = clock_now_us() - load->started_us;
    if (rate == 0 || load->started < (uint64_t)elapsed_us * rate / CLOCK_US_PER_S) {
        return true;
    }
    set_timer(load->pace, PACE_US);
    return false;
}

static void take_more(struct worker *worker)
{
    struct bench_load *load = worker->load;
    while (worker->on_way < TAKING_MAX && worker->taken + worker->on_way < load->plan.leases &&
           is_due(load)) {
        snprintf(worker->client.key, sizeof(worker->client.key), "bench-%d-%zu-%zu", (int)getpid(),
                 worker->number, worker->asked++);
        worker->on_way++;
        load->started++;
        send_acquire(worker);
    }
}

static void take_all(struct bench_load *load)
{
    for (size_t i = 0; i < load->plan.connections; i++) {
        take_more(&load->workers[i]);
    }
}

static void on_pace(evutil_socket_t fd, short what, void *user)
{
    struct bench_load *load = user;
    (void)fd;
    (void)what;
    if (load->plan.mix == BENCH_HOLD) {
        take_all(load);
    } else {
        pump(load);
    }
}

static void count_lease(struct worker *worker, enum bench_answer answer)
{
    struct bench_load *load = worker->load;
    worker->on_way--;
    if (answer == BENCH_DONE) {
        worker->taken++;
        load->result->operations++;
    }
    if (load->result->operations == load->plan.leases * load->plan.connections) {
        event_base_loopbreak(load->base);
    }
    take_more(worker);
}

/* Half of them sooner and half later, so that they do not march in step. */
static void try_again(struct worker *worker)
{
    const int64_t poll_us = (int64_t)worker->load->plan.poll_ms * CLOCK_US_PER_MS;
    uint16_t part = 0;
    random_fill(&part, sizeof(part));
    set_timer(worker->again, poll_us / 2 + poll_us * part / UINT16_MAX);
}

/* Its duration goes on. */
static void ask_again(struct worker *worker)
{
    if (worker->is_releasing) {
        worker->load->plan.protocol->send_release(&worker->client);
    } else {
        send_acquire(worker);
    }
}

static void go_on(struct worker *worker, enum bench_answer answer)
{
    struct bench_load *load = worker->load;
    load->result->refused += answer == BENCH_AWAY ? 1 : 0;
    if (load->plan.mix == BENCH_HOLD) {
        count_lease(worker, answer);
    } else if (answer == BENCH_AWAY) {
        ask_again(worker);
    } else if (worker->is_releasing) {
        worker->is_releasing = false;
        histogram_add(&load->result->pair, clock_now_us() - worker->from_us);
        load->result->operations++;
        TAILQ_INSERT_TAIL(&load->ready, worker, ready);
        pump(load);
    } else if (answer == BENCH_BUSY) {
        CHECK(load->plan.mix == BENCH_HOT);
        try_again(worker);
    } else {
        histogram_add(&load->result->acquire, clock_now_us() - worker->from_us);
        load->result->hand_offs += load->owner != worker ? 1 : 0;
        load->owner = worker;
        worker->is_releasing = true;
        load->plan.protocol->send_release(&worker->client);
    }
}

static void on_readable(evutil_socket_t fd, short what, void *user)
{
    struct worker *worker = user;
    struct bench_client *client = &worker->client;
    const struct bench_protocol *protocol = worker->load->plan.protocol;
    ssize_t size = recv(fd, client->input + client->used, sizeof(client->input) - client->used, 0);
    (void)what;
    if (size <= 0) {
        fprintf(stderr, "bench: the connection was closed\n");
        exit(EXIT_FAILURE);
    }
    client->used += (size_t)size;
    enum bench_answer answer = BENCH_INCOMPLETE;
    while ((answer = protocol->take_answer(client, worker->is_releasing)) != BENCH_INCOMPLETE) {
        go_on(worker, answer);
    }
}

static void worker_init(struct worker *worker, struct bench_load *load, size_t number)
{
    const struct bench_plan *plan = &load->plan;
    worker->load = load;
    worker->number = number;
    worker->client.fd = connect_to(plan->sockets[number % plan->socket_count]);
    worker->client.next_id = 1;
    worker->client.wait_ms = plan->mix == BENCH_HOT ? WAIT_MS : 0;
    /* Locks of an earlier run may still be held: it ends in the middle of its pairs. */
    snprintf(worker->client.key, sizeof(worker->client.key), "bench-%d-%zu", (int)getpid(),
             plan->mix == BENCH_HOT ? 0 : number);
    plan->protocol->prepare(&worker->client);
    worker->readable =
        event_new(load->base, worker->client.fd, EV_READ | EV_PERSIST, on_readable, worker);
    worker->again = event_new(load->base, -1, 0, on_again, worker);
    CHECK(worker->readable != NULL && worker->again != NULL);
    event_add(worker->readable, NULL);
}

struct bench_load *bench_load_create(const struct bench_plan *plan)
{
    struct bench_load *load = memory_alloc(sizeof(*load));
    struct event_config *config = event_config_new();
    CHECK(config != NULL && event_config_set_flag(config, EVENT_BASE_FLAG_PRECISE_TIMER) == 0);
    load->plan = *plan;
    load->base = event_base_new_with_config(config);
    event_config_free(config);
    CHECK(load->base != NULL);
    TAILQ_INIT(&load->ready);
    load->pace = event_new(load->base, -1, 0, on_pace, load);
    load->end = event_new(load->base, -1, 0, on_end, load);
    load->workers = memory_alloc(plan->connections * sizeof(*load->workers));
    for (size_t i = 0; i < plan->connections; i++) {
        worker_init(&load->workers[i], load, i);
    }
    return load;
}

void bench_load_run(struct bench_load *load, struct bench_result *result)
{
    const struct bench_plan *plan = &load->plan;
    load->result = result;
    load->started_us = clock_now_us();
    if (plan->mix == BENCH_HOLD) {
        take_all(load);
    } else {
        for (size_t i = 0; i < plan->connections; i++) {
            TAILQ_INSERT_TAIL(&load->ready, &load->workers[i], ready);
        }
        set_timer(load->end, plan->duration_us);
        pump(load);
    }
    if (plan->mix != BENCH_HOLD || plan->leases > 0) {
        event_base_dispatch(load->base);
    }
    result->elapsed_us = clock_now_us() - load->started_us;
}

void bench_load_destroy(struct bench_load *load)
{
    for (size_t i = 0; i < load->plan.connections; i++) {
        event_free(load->workers[i].readable);
        event_free(load->workers[i].again);
        close(load->workers[i].client.fd);
    }
    event_free(load->pace);
    event_free(load->end);
    memory_free(load->workers);
    event_base_free(load->base);
    memory_free(load);
}
