/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench: a load on one server, and what it came to. The first signal ends the load, which then
 * gives up its locks and is reported; a second one ends the program.
 */
#include "commands.h"

#include <event2/event.h>
#include <inttypes.h>
#include <jansson.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "load.h"
#include "output.h"
#include "session.h"

#define US_PER_MS 1000
#define US_PER_S  1000000

#define CONNECTIONS_DEFAULT 16
#define DURATION_DEFAULT_MS 10000

/* Of a core; above it the load may be what limits the figures. */
#define BUSY_SHARE 0.9

#define WATCHED_SIGNALS 2

static const int watched[WATCHED_SIGNALS] = {SIGINT, SIGTERM};

static const struct {
    const char *name;
    const char *operations;
} mixes[] = {
    [LOAD_PAIRS] = {"pairs", "pairs"},
    [LOAD_HOT] = {"hot", "hand-offs"},
    [LOAD_HOLD] = {"hold", "leases"},
};

struct bench {
    struct session session;
    struct load load;
    struct event *progress; /* NULL where there is no line */
    bool is_shown;
    uint64_t shown_operations;
    int64_t shown_us;
    struct event *signals[WATCHED_SIGNALS];
};

static double ms_at(const struct histogram *histogram, double percent)
{
    return (double)histogram_percentile(histogram, percent) / US_PER_MS;
}

static double seconds_of(const struct load *load)
{
    return (double)load_elapsed_us(load) / US_PER_S;
}

/* What the operations took: leases that are only held add nothing to it. */
static double busy_seconds(const struct load *load)
{
    return load->all_held_us > 0 ? (double)(load->all_held_us - load->started_us) / US_PER_S
                                 : seconds_of(load);
}

static double rate_of(const struct load *load)
{
    const double seconds = busy_seconds(load);
    return seconds > 0 ? (double)load->operations / seconds : 0;
}

static double own_cpu_seconds(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
           (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / US_PER_S;
}

static void remove_line(struct bench *bench)
{
    if (bench->is_shown) {
        bench->is_shown = false;
        fputs("\r\033[K", stderr);
        fflush(stderr);
    }
}

static void write_progress(struct bench *bench)
{
    const struct load *load = &bench->load;
    const int64_t us = load_elapsed_us(load);
    if (load->state == LOAD_CONNECTING) {
        fprintf(stderr, "\r\033[Kconnecting: %zu of %zu", load->connected, load->plan.connections);
    } else if (load->state == LOAD_ENDING) {
        fprintf(stderr, "\r\033[Kgiving up %zu locks", load->busy);
    } else if (us > bench->shown_us) {
        const double span = (double)(us - bench->shown_us) / US_PER_S;
        const double rate = (double)(load->operations - bench->shown_operations) / span;
        fprintf(stderr, "\r\033[K%.0f s: %" PRIu64 " %s, %.0f/s now; taken in p50 %.3f p99 %.3f ms",
                (double)us / US_PER_S, load->operations, mixes[load->plan.mix].operations, rate,
                ms_at(&load->acquire, 50), ms_at(&load->acquire, 99));
    }
    bench->shown_us = us;
    bench->shown_operations = load->operations;
    bench->is_shown = true;
    fflush(stderr);
}

static void on_progress(evutil_socket_t fd, short what, void *user)
{
    (void)fd;
    (void)what;
    write_progress((struct bench *)user);
}

static void on_signal(evutil_socket_t number, short what, void *user)
{
    struct bench *bench = (struct bench *)user;
    (void)what;
    if (bench->load.state == LOAD_ENDING) {
        session_end(&bench->session, EXIT_SIGNAL + (int)number);
    } else {
        load_stop(&bench->load);
    }
}

static void write_row(const char *name, const struct histogram *histogram)
{
    if (histogram->count > 0) {
        output_line("%-10s %9.3f %9.3f %9.3f %9.3f %9.3f %9.3f", name,
                    histogram_mean(histogram) / US_PER_MS, ms_at(histogram, 50),
                    ms_at(histogram, 90), ms_at(histogram, 99), ms_at(histogram, 99.9),
                    ms_at(histogram, 100));
    }
}

static void write_text(const struct load *load, double cpu)
{
    const struct load_plan *plan = &load->plan;
    output_line("%s: %zu connections, %zu on each", mixes[plan->mix].name, plan->connections,
                plan->depth);
    output_line("%" PRIu64 " %s in %.1f s: %.0f a second", load->operations,
                mixes[plan->mix].operations, busy_seconds(load), rate_of(load));
    if (load->all_held_us > 0) {
        output_line("then held for %.1f s: %" PRIu64 " at risk, %" PRIu64 " lost",
                    seconds_of(load) - busy_seconds(load), load->at_risk, load->lost);
    }
    if (plan->rate > 0) {
        output_line("wanted: %" PRIu64 " a second; %" PRIu64 " had not started at the end",
                    plan->rate, load_behind(load));
    }
    output_line("%-10s %9s %9s %9s %9s %9s %9s", "ms", "mean", "p50", "p90", "p99", "p99.9", "max");
    write_row("acquire", &load->acquire);
    write_row("release", &load->release);
    output_line("this program used %.2f of a core%s", cpu,
                cpu > BUSY_SHARE ? ": it may be what limits the figures" : "");
}

static json_t *histogram_json(const struct histogram *histogram)
{
    return json_pack(
        "{s:I, s:f, s:I, s:I, s:I, s:I, s:I}", "count", (json_int_t)histogram->count, "mean",
        histogram_mean(histogram), "p50", (json_int_t)histogram_percentile(histogram, 50), "p90",
        (json_int_t)histogram_percentile(histogram, 90), "p99",
        (json_int_t)histogram_percentile(histogram, 99), "p999",
        (json_int_t)histogram_percentile(histogram, 99.9), "max", (json_int_t)histogram->max_us);
}

static void write_json(const struct load *load, double cpu)
{
    const struct load_plan *plan = &load->plan;
    output_json(json_pack(
        "{s:s, s:I, s:I, s:f, s:f, s:I, s:f, s:I, s:I, s:I, s:I, s:f, s:o, s:o}", "mix",
        mixes[plan->mix].name, "connections", (json_int_t)plan->connections, "depth",
        (json_int_t)plan->depth, "seconds", seconds_of(load), "busy_seconds", busy_seconds(load),
        "operations", (json_int_t)load->operations, "per_second", rate_of(load), "rate_wanted",
        (json_int_t)plan->rate, "behind", (json_int_t)load_behind(load), "at_risk",
        (json_int_t)load->at_risk, "lost", (json_int_t)load->lost, "own_cpu", cpu, "acquire_us",
        histogram_json(&load->acquire), "release_us", histogram_json(&load->release)));
}

static void report(struct bench *bench)
{
    const struct load *load = &bench->load;
    const double seconds = seconds_of(load);
    const double cpu = seconds > 0 ? own_cpu_seconds() / seconds : 0;
    remove_line(bench);
    if (load->started_us == 0) {
        return;
    }
    if (bench->session.arguments->is_json) {
        write_json(load, cpu);
    } else {
        write_text(load, cpu);
    }
}

static void on_end(struct load *load)
{
    struct bench *bench = (struct bench *)(void *)((char *)load - offsetof(struct bench, load));
    report(bench);
    if (load->failure != HOLDFAST_OK) {
        session_fail(&bench->session, load->failure, NULL, load->error);
    } else if (load->lost > 0) {
        output_error("%" PRIu64 " leases were lost.", load->lost);
        session_end(&bench->session, EXIT_LOST);
    } else {
        session_end(&bench->session, EXIT_OK);
    }
}

static bool create_events(struct bench *bench)
{
    static const struct timeval second = {.tv_sec = 1};
    struct event_base *base = bench->session.base;
    const struct arguments *arguments = bench->session.arguments;
    bool is_complete = true;
    if (!arguments->is_quiet && isatty(STDERR_FILENO)) {
        bench->progress = event_new(base, -1, EV_PERSIST, on_progress, bench);
        is_complete = bench->progress != NULL && event_add(bench->progress, &second) == 0;
    }
    for (size_t i = 0; i < WATCHED_SIGNALS && is_complete; i++) {
        bench->signals[i] = event_new(base, watched[i], EV_SIGNAL | EV_PERSIST, on_signal, bench);
        is_complete = bench->signals[i] != NULL && event_add(bench->signals[i], NULL) == 0;
    }
    if (!is_complete) {
        output_error("Cannot watch signals: out of memory.");
    }
    return is_complete;
}

static void release(struct bench *bench)
{
    struct event *const events[] = {bench->progress, bench->signals[0], bench->signals[1]};
    remove_line(bench);
    for (size_t i = 0; i < sizeof(events) / sizeof(events[0]); i++) {
        if (events[i] != NULL) {
            event_free(events[i]);
        }
    }
}

static enum load_mix mix_named(const char *name)
{
    enum load_mix mix = LOAD_PAIRS;
    for (size_t i = 0; i < sizeof(mixes) / sizeof(mixes[0]); i++) {
        if (name != NULL && strcmp(name, mixes[i].name) == 0) {
            mix = (enum load_mix)i;
        }
    }
    return mix;
}

static struct load_plan plan_of(const struct arguments *arguments)
{
    const int64_t ms = arguments->duration_ms > 0 ? arguments->duration_ms : DURATION_DEFAULT_MS;
    return (struct load_plan){
        .mix = mix_named(arguments->mix),
        .connections =
            arguments->connections > 0 ? (size_t)arguments->connections : CONNECTIONS_DEFAULT,
        .depth = arguments->depth > 0 ? (size_t)arguments->depth : 1,
        .duration_us = ms * US_PER_MS,
        .count = (uint64_t)arguments->count,
        .rate = (uint64_t)arguments->rate,
    };
}

int command_bench(const struct arguments *arguments)
{
    static struct bench bench;
    const struct load_plan plan = plan_of(arguments);
    if (plan.connections * plan.depth > LOAD_WORKERS_MAX) {
        output_error("--connections times --depth: at most %d.", LOAD_WORKERS_MAX);
        return EXIT_USAGE;
    }
    if (session_open(&bench.session, arguments) && create_events(&bench) &&
        load_open(&bench.load, &bench.session, &plan, on_end)) {
        session_run(&bench.session);
    }
    load_close(&bench.load);
    release(&bench);
    return session_close(&bench.session);
}
