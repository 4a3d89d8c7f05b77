/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One load generator for both sides of the comparison, bare of what a client library costs.
 *
 *   bench SIDE MIX CONNECTIONS SECONDS [OPTION=N...] SOCKET...
 *
 *   SIDE  ttrpc    through holdfastd
 *         grpc     the same over gRPC
 *         redis    scripts with the same semantics, straight to Redis
 *   MIX   pairs    each connection takes and gives up a lock of its own (rate=N: N pairs a second)
 *         hot      all want one lock (straight to Redis they poll: poll=MS)
 *         hold     each connection takes leases=N locks and keeps them (rate=N: N a second);
 *                  ttrpc only
 *
 * Says "ready" once it is connected, begins at the next line of input, prints one line of JSON at
 * the end, and stays connected until the end of input: so what its owner measures in between is the
 * load and nothing else.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "bench_load.h"

#include "base/check.h"
#include "base/clock.h"

#define CONNECTIONS_MAX 50000
#define SECONDS_MAX     100000
#define LEASES_MAX      1000000
#define RATE_MAX        1000000
#define POLL_MS_MAX     10000

static _Noreturn void fail_usage(void)
{
    fprintf(stderr, "Usage: bench ttrpc|grpc|redis pairs|hot|hold CONNECTIONS SECONDS "
                    "[rate=N|leases=N|poll=MS] SOCKET...\n");
    exit(EXIT_FAILURE);
}

static uint64_t number(const char *text, uint64_t min, uint64_t max)
{
    char *end = NULL;
    const unsigned long long value = strtoull(text, &end, 10);
    if (*text == '\0' || *end != '\0' || value < min || value > max) {
        fail_usage();
    }
    return value;
}

static const struct bench_protocol *side_named(const char *name)
{
    if (strcmp(name, "ttrpc") == 0) {
        return &bench_ttrpc;
    }
    if (strcmp(name, "grpc") == 0) {
        return &bench_grpc;
    }
    return strcmp(name, "redis") == 0 ? &bench_redis : NULL;
}

static bool find_mix(const char *name, enum bench_mix *mix)
{
    static const char *const names[] = {
        [BENCH_PAIRS] = "pairs", [BENCH_HOT] = "hot", [BENCH_HOLD] = "hold"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (strcmp(name, names[i]) == 0) {
            *mix = (enum bench_mix)i;
            return true;
        }
    }
    return false;
}

static void take_word(struct bench_plan *plan, const char *word)
{
    if (strncmp(word, "rate=", 5) == 0) {
        plan->rate = number(word + 5, 1, RATE_MAX);
    } else if (strncmp(word, "leases=", 7) == 0) {
        plan->leases = number(word + 7, 0, LEASES_MAX);
    } else if (strncmp(word, "poll=", 5) == 0) {
        plan->poll_ms = (uint32_t)number(word + 5, 0, POLL_MS_MAX);
    } else if (plan->socket_count < BENCH_SOCKETS_MAX) {
        plan->sockets[plan->socket_count++] = word;
    } else {
        fail_usage();
    }
}

static struct bench_plan plan_of(int argc, char **argv)
{
    struct bench_plan plan = {.protocol = argc > 5 ? side_named(argv[1]) : NULL};
    if (plan.protocol == NULL || !find_mix(argv[2], &plan.mix)) {
        fail_usage();
    }
    plan.connections = number(argv[3], 1, CONNECTIONS_MAX);
    plan.duration_us = (int64_t)number(argv[4], 1, SECONDS_MAX) * CLOCK_US_PER_S;
    for (int i = 5; i < argc; i++) {
        take_word(&plan, argv[i]);
    }
    const bool is_possible = plan.mix != BENCH_HOLD || plan.protocol == &bench_ttrpc;
    if (plan.socket_count == 0 || !is_possible) {
        fail_usage();
    }
    return plan;
}

static void print_durations(const char *name, const struct histogram *histogram)
{
    printf(", \"%s_p50_us\": %" PRId64 ", \"%s_p99_us\": %" PRId64, name,
           histogram_percentile(histogram, 50), name, histogram_percentile(histogram, 99));
}

int main(int argc, char **argv)
{
    static struct bench_result result;
    const struct bench_plan plan = plan_of(argc, argv);
    struct rlimit limit;
    CHECK(getrlimit(RLIMIT_NOFILE, &limit) == 0);
    limit.rlim_cur = limit.rlim_max;
    CHECK(setrlimit(RLIMIT_NOFILE, &limit) == 0);
    struct bench_load *load = bench_load_create(&plan);
    printf("ready\n");
    fflush(stdout);
    if (getchar() == EOF) {
        return EXIT_FAILURE;
    }
    bench_load_run(load, &result);
    printf("{\"operations\": %" PRIu64 ", \"tries\": %" PRIu64 ", \"refused\": %" PRIu64
           ", \"hand_offs\": %" PRIu64 ", \"seconds\": %.3f",
           result.operations, result.tries, result.refused, result.hand_offs,
           (double)result.elapsed_us / 1e6);
    print_durations("acquire", &result.acquire);
    print_durations("pair", &result.pair);
    printf("}\n");
    fflush(stdout);
    while (getchar() != EOF) {
    }
    bench_load_destroy(load);
    return EXIT_SUCCESS;
}
