/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Load for one side of the comparison: many connections, each of which takes and releases a lock of
 * its own as fast as it is answered.
 *
 *   bench ttrpc SOCKET CONNECTIONS SECONDS    through holdfastd
 *   bench grpc SOCKET CONNECTIONS SECONDS     the same over gRPC
 *   bench redis SOCKET CONNECTIONS SECONDS    scripts with the same semantics, straight to Redis
 *
 * Prints one line of JSON: pairs (acquire and release), seconds, p50_us and p99_us of a pair.
 */
#include <errno.h>
#include <event2/event.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "bench.h"

#include "base/check.h"
#include "base/clock.h"
#include "base/memory.h"

#define SAMPLES_MAX ((size_t)4 << 20)

struct bench {
    struct event_base *base;
    const struct bench_protocol *protocol;
    uint32_t *samples; /* microseconds per pair */
    size_t pairs;
    int64_t ends_us;
};

struct worker {
    struct bench *bench;
    struct bench_client client;
    struct event *readable;
    bool is_releasing;
    int64_t started_us;
};

static int connect_to(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK(fd >= 0);
    CHECK(strlen(path) < sizeof(address.sun_path));
    memcpy(address.sun_path, path, strlen(path));
    if (connect(fd, (const struct sockaddr *)&address, sizeof(address)) != 0) {
        fprintf(stderr, "bench: cannot connect to %s: %s\n", path, strerror(errno));
        exit(EXIT_FAILURE);
    }
    return fd;
}

static void send_next(struct worker *worker)
{
    if (!worker->is_releasing) {
        worker->started_us = clock_now_us();
        worker->bench->protocol->send_acquire(&worker->client);
    } else {
        worker->bench->protocol->send_release(&worker->client);
    }
}

static void finish_pair(struct worker *worker)
{
    struct bench *bench = worker->bench;
    int64_t now_us = clock_now_us();
    if (bench->pairs < SAMPLES_MAX) {
        bench->samples[bench->pairs] = (uint32_t)(now_us - worker->started_us);
    }
    bench->pairs++;
    if (now_us >= bench->ends_us) {
        event_base_loopbreak(bench->base);
    }
}

static void on_readable(evutil_socket_t fd, short what, void *user)
{
    struct worker *worker = user;
    struct bench_client *client = &worker->client;
    ssize_t size = recv(fd, client->input + client->used, sizeof(client->input) - client->used, 0);
    (void)what;
    if (size <= 0) {
        fprintf(stderr, "bench: the connection was closed\n");
        exit(EXIT_FAILURE);
    }
    client->used += (size_t)size;
    if (!worker->bench->protocol->take_answer(client, worker->is_releasing)) {
        return;
    }
    if (worker->is_releasing) {
        finish_pair(worker);
    }
    worker->is_releasing = !worker->is_releasing;
    send_next(worker);
}

static void worker_init(struct worker *worker, struct bench *bench, const char *path, int number)
{
    worker->bench = bench;
    worker->client.fd = connect_to(path);
    worker->client.next_id = 1;
    /* Locks of an earlier run may still be held: it ends in the middle of its pairs. */
    snprintf(worker->client.key, sizeof(worker->client.key), "bench-%d-%d", (int)getpid(), number);
    bench->protocol->prepare(&worker->client);
    worker->readable =
        event_new(bench->base, worker->client.fd, EV_READ | EV_PERSIST, on_readable, worker);
    event_add(worker->readable, NULL);
}

static int compare_samples(const void *a, const void *b)
{
    uint32_t left = *(const uint32_t *)a;
    uint32_t right = *(const uint32_t *)b;
    return (left > right) - (left < right);
}

static void report(struct bench *bench, int64_t elapsed_us)
{
    size_t count = bench->pairs < SAMPLES_MAX ? bench->pairs : SAMPLES_MAX;
    CHECK(count > 0);
    qsort(bench->samples, count, sizeof(bench->samples[0]), compare_samples);
    printf("{\"pairs\": %zu, \"seconds\": %.3f, \"p50_us\": %" PRIu32 ", \"p99_us\": %" PRIu32
           "}\n",
           bench->pairs, (double)elapsed_us / 1e6, bench->samples[count / 2],
           bench->samples[count - 1 - count / 100]);
}

static void run(struct bench *bench, const char *path, int connections, int seconds)
{
    struct worker *workers = memory_alloc((size_t)connections * sizeof(*workers));
    for (int i = 0; i < connections; i++) {
        worker_init(&workers[i], bench, path, i);
    }
    int64_t started_us = clock_now_us();
    bench->ends_us = started_us + seconds * CLOCK_US_PER_S;
    for (int i = 0; i < connections; i++) {
        send_next(&workers[i]);
    }
    event_base_dispatch(bench->base);
    report(bench, clock_now_us() - started_us);
    for (int i = 0; i < connections; i++) {
        event_free(workers[i].readable);
        close(workers[i].client.fd);
    }
    memory_free(workers);
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

static const struct bench_protocol *protocol_named(const char *name)
{
    if (strcmp(name, "ttrpc") == 0) {
        return &bench_ttrpc;
    }
    if (strcmp(name, "grpc") == 0) {
        return &bench_grpc;
    }
    return strcmp(name, "redis") == 0 ? &bench_redis : NULL;
}

int main(int argc, char **argv)
{
    long connections = argc == 5 ? strtol(argv[3], NULL, 10) : 0;
    long seconds = argc == 5 ? strtol(argv[4], NULL, 10) : 0;
    struct bench bench = {.protocol = argc == 5 ? protocol_named(argv[1]) : NULL};
    if (bench.protocol == NULL || connections < 1 || connections > 10000 || seconds < 1 ||
        seconds > 3600) {
        fprintf(stderr, "Usage: bench ttrpc|grpc|redis SOCKET CONNECTIONS SECONDS\n");
        return EXIT_FAILURE;
    }
    bench.base = event_base_new();
    CHECK(bench.base != NULL);
    bench.samples = memory_alloc(SAMPLES_MAX * sizeof(bench.samples[0]));
    run(&bench, argv[2], (int)connections, (int)seconds);
    memory_free(bench.samples);
    event_base_free(bench.base);
    return EXIT_SUCCESS;
}
