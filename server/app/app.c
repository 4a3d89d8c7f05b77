/* SPDX-License-Identifier: Apache-2.0 */
#include "app/app.h"

#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

#include "app/drain.h"
#include "app/fleet_scan.h"
#include "app/lag_watch.h"
#include "app/notify.h"
#include "app/reload.h"
#include "app/signals.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/loop.h"
#include "base/memory.h"
#include "base/metrics.h"
#include "lease/keeper.h"
#include "redis/embedded.h"
#include "redis/redis_store.h"
#include "service/services.h"
#include "transport/listener.h"
#include "transport/tls.h"

#define READY_INTERVAL_US (5 * CLOCK_US_PER_MS)
#define OWN_DESCRIPTORS   64 /* what is open besides the clients' connections */
#define EMBEDDED_START_MS 10000

struct app {
    struct app_options *options;
    const struct app_arguments *arguments;
    struct loop *loop;
    struct signals *signals;
    struct metrics metrics;
    struct lag_watch lag_watch;
    struct embedded *embedded; /* NULL when a Redis is named */
    bool is_embedded_ready;
    bool is_ended_early; /* a signal came before the server ran */
    bool is_stopping;    /* signals have no meaning any more */
    struct redis_url redis_url;
    bool has_redis_url;
    struct redis_store *store;
    struct keeper *keeper;
    struct fleet_source fleet;
    struct services services;
    struct tls *tls;
    struct listener **listeners;
    size_t listener_count;
    struct drain drain;
    struct timer ready_timer;
};

static bool PRINTF_LIKE(2, 3) fail(char problem[APP_PROBLEM_SIZE], const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(problem, APP_PROBLEM_SIZE, format, arguments);
    va_end(arguments);
    return false;
}

/* As many descriptors as we may have: every connection takes one. */
static void raise_descriptor_limit(const struct app_options *options)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0) {
        return;
    }
    limit.rlim_cur = limit.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &limit) != 0 || getrlimit(RLIMIT_NOFILE, &limit) != 0) {
        return;
    }
    if (limit.rlim_cur < (rlim_t)options->max_connections + OWN_DESCRIPTORS) {
        LOG_WARN("descriptors",
                 LOG_MESSAGE("fewer files may be open than max-connections needs; raise the limit "
                             "(ulimit -n, LimitNOFILE=) or lower max-connections"),
                 LOG_INTEGER("limit", limit.rlim_cur),
                 LOG_INTEGER("max_connections", options->max_connections));
    }
}

static void on_embedded_ready(void *user, bool is_first)
{
    struct app *app = user;
    (void)is_first; /* the store knows already that its first connection is to a new Redis */
    app->is_embedded_ready = true;
    if (app->store != NULL) {
        redis_store_retry_now(app->store);
    }
}

/* The store connects in a later turn than it is made in, so the services are there. */
static void on_reach(void *user, bool is_up)
{
    struct app *app = user;
    health_set_store(&app->services.health, is_up);
}

static void on_drained(void *user)
{
    struct app *app = user;
    loop_stop(app->loop);
}

static void end(struct app *app)
{
    if (app->drain.services == NULL) {
        app->is_ended_early = true;
        return;
    }
    if (drain_has_begun(&app->drain)) {
        LOG_WARN("stop", LOG_MESSAGE("a second signal: ending at once"));
        loop_stop(app->loop);
        return;
    }
    notify_stopping();
    drain_begin(&app->drain);
}

static void reload(struct app *app)
{
    char problem[TLS_PROBLEM_SIZE];
    notify_reloading();
    bool is_read = reload_options(app->options, app->arguments);
    if (app->tls != NULL && !tls_reload(app->tls, problem)) {
        LOG_ERROR("reload.failed", LOG_MESSAGE("the old certificates stay in use"),
                  LOG_TEXT("reason", problem));
        is_read = false;
    }
    if (is_read) {
        LOG_INFO("reload", LOG_MESSAGE("options and certificates were read again"));
    }
    notify_ready();
}

static void on_signal(void *user, int number)
{
    struct app *app = user;
    if (app->is_stopping) {
        return;
    }
    if (number == SIGHUP) {
        reload(app);
    } else if (number == SIGUSR1) {
        metrics_log(&app->metrics);
    } else {
        end(app);
    }
}

/* The store tells nobody but the keeper that it is up, and nobody but people (and their scripts)
 * need to know. */
static void on_ready_check(struct timer *timer, int64_t now_us)
{
    struct app *app = CONTAINER_OF(timer, struct app, ready_timer);
    if (redis_store_is_up(app->store)) {
        LOG_INFO("ready", LOG_MESSAGE("ready to hold locks"), LOG_TEXT("version", app_version()));
        return;
    }
    wheel_set(loop_wheel(app->loop), &app->ready_timer, now_us + READY_INTERVAL_US);
}

static bool start_loop(struct app *app, char problem[APP_PROBLEM_SIZE])
{
    static const int numbers[] = {SIGTERM, SIGINT, SIGHUP, SIGUSR1};
    app->loop = loop_create();
    if (app->loop == NULL) {
        return fail(problem, "the event loop cannot be started: out of descriptors or memory");
    }
    app->signals = signals_create(app->loop, numbers, COUNT_OF(numbers), on_signal, app);
    lag_watch_init(&app->lag_watch, app->loop);
    timer_init(&app->ready_timer, on_ready_check);
    return true;
}

static void accept_clients(struct app *app)
{
    for (size_t i = 0; i < app->listener_count; i++) {
        listener_start(app->listeners[i]);
    }
}

/* Waits, so that a private Redis that does not come up is an error of the start. */
static bool await_embedded(struct app *app, char problem[APP_PROBLEM_SIZE])
{
    int64_t give_up_us = loop_now_us(app->loop) + EMBEDDED_START_MS * CLOCK_US_PER_MS;
    while (!app->is_embedded_ready && !app->is_ended_early) {
        int64_t left_us = give_up_us - loop_now_us(app->loop);
        if (left_us <= 0) {
            return fail(problem,
                        "redis: the private Redis did not start within %d s; see the log above, or "
                        "name a running Redis with --redis URL",
                        EMBEDDED_START_MS / 1000);
        }
        loop_turn(app->loop, left_us);
    }
    return true;
}

static bool start_embedded(struct app *app, char problem[APP_PROBLEM_SIZE])
{
    char reason[EMBEDDED_PROBLEM_SIZE];
    const struct embedded_config config = {
        .program = app->options->redis_program,
        .on_ready = on_embedded_ready,
        .user = app,
    };
    app->embedded = embedded_create(&config, app->loop, &app->metrics, reason);
    if (app->embedded == NULL) {
        return fail(problem, "redis: %s", reason);
    }
    return await_embedded(app, problem);
}

static bool find_redis(struct app *app, char problem[APP_PROBLEM_SIZE])
{
    char reason[REDIS_URL_PROBLEM_SIZE];
    if (app->options->redis == NULL && !start_embedded(app, problem)) {
        return false;
    }
    const char *url = app->embedded == NULL ? app->options->redis : embedded_url(app->embedded);
    app->has_redis_url = redis_url_parse(&app->redis_url, url, reason);
    return app->has_redis_url || fail(problem, "redis: %s", reason);
}

static void start_store(struct app *app)
{
    const struct app_options *options = app->options;
    const struct redis_store_config config = {
        .url = &app->redis_url,
        .user = options->redis_user,
        .password_file = options->redis_password_file,
        .key_prefix = options->key_prefix,
        .connect_timeout_ms = options->connect_timeout_ms,
        .ack_timeout_ms = options->ack_timeout_ms,
        .backoff_max_ms = options->reconnect_max_ms,
        .recovery_window_ms = options->failover_grace_ms,
        .operations_max = options->max_redis_operations,
        .requires_noeviction = options->requires_noeviction,
        .on_reach = on_reach,
        .reach_user = app,
    };
    app->store = redis_store_create(&config, app->loop, &app->metrics);
    if (app->embedded != NULL) {
        redis_store_expect_new(app->store);
    }
}

static void start_services(struct app *app)
{
    const struct app_options *options = app->options;
    const bool is_strict = options->fairness == APP_FAIRNESS_STRICT;
    const struct keeper_config keeper_config = {
        .leases_max = (size_t)options->max_leases,
        .waiters_max = (size_t)options->max_waiters,
        .handoff_run_max = is_strict ? 1 : (uint32_t)options->handoff_run_max,
        .handoff_run_ms = options->handoff_run_ms,
        .finds_deadlocks = options->deadlock_check,
    };
    const struct services_config config = {
        .default_ttl_ms = options->default_ttl_ms,
        .sessions_max = (size_t)options->max_connections,
        .calls_max = (size_t)options->max_calls,
        .session_calls_max = (size_t)options->max_calls_per_connection,
        .session_leases_max = (size_t)options->max_leases_per_connection,
        .message_bytes_max = (size_t)options->max_message_size,
        .leases_max = (size_t)options->max_leases,
        .waiters_max = (size_t)options->max_waiters,
        .fleet = &app->fleet,
    };
    fleet_scan_init(&app->fleet, app->store);
    app->keeper = keeper_create(&keeper_config, redis_store_port(app->store), loop_wheel(app->loop),
                                &app->metrics);
    services_init(&app->services, &config, app->loop, app->keeper, &app->metrics);
}

static bool start_tls(struct app *app, char problem[APP_PROBLEM_SIZE])
{
    char reason[TLS_PROBLEM_SIZE];
    const struct tls_config config = {
        .certificate_file = app->options->tls_cert,
        .key_file = app->options->tls_key,
        .client_ca_file = app->options->tls_client_ca,
    };
    if (!app_options_want_tls(app->options)) {
        return true;
    }
    app->tls = tls_create(&config, reason);
    return app->tls != NULL || fail(problem, "%s", reason);
}

static bool start_listener(struct app *app, const char *url, char problem[APP_PROBLEM_SIZE])
{
    char reason[LISTENER_PROBLEM_SIZE];
    const struct app_options *options = app->options;
    const struct listener_config config = {
        .url = url,
        .unix_mode = app_options_unix_mode(options),
        .tls = app->tls,
        .output_max = (size_t)options->max_output,
        .keepalive_ms = options->keepalive_ms,
        .user_timeout_ms = options->tcp_user_timeout_ms,
        .handshake_timeout_ms = options->handshake_timeout_ms,
    };
    struct listener *listener =
        listener_create(&config, app->loop, &app->services, &app->metrics, reason);
    if (listener == NULL) {
        return fail(problem, "listen: %s", reason);
    }
    app->listeners[app->listener_count++] = listener;
    LOG_INFO("listen", LOG_MESSAGE("listening"), LOG_TEXT("address", listener_address(listener)));
    return true;
}

static bool start_listeners(struct app *app, char problem[APP_PROBLEM_SIZE])
{
    const struct option_list *urls = &app->options->listen;
    app->listeners = memory_alloc(urls->count * sizeof(struct listener *));
    for (size_t i = 0; i < urls->count; i++) {
        if (!start_listener(app, urls->items[i], problem)) {
            return false;
        }
    }
    return true;
}

static void prepare_drain(struct app *app)
{
    const struct drain_config config = {
        .listeners = app->listeners,
        .listener_count = app->listener_count,
        .timeout_us = app->options->drain_timeout_ms * CLOCK_US_PER_MS,
        .on_done = on_drained,
        .user = app,
    };
    drain_init(&app->drain, &config, &app->services);
}

static bool start(struct app *app, char problem[APP_PROBLEM_SIZE])
{
    log_set_level((enum log_level)app->options->log_level);
    raise_descriptor_limit(app->options);
    /* What is most often wrong comes first, before another program is started. */
    if (!start_loop(app, problem) || !start_tls(app, problem) || !start_listeners(app, problem) ||
        !find_redis(app, problem)) {
        return false;
    }
    start_store(app);
    start_services(app);
    prepare_drain(app);
    accept_clients(app);
    return true;
}

static void stop_serving(struct app *app)
{
    app->is_stopping = true;
    wheel_clear(loop_wheel(app->loop), &app->ready_timer);
    lag_watch_release(&app->lag_watch);
    for (size_t i = 0; i < app->listener_count; i++) {
        listener_destroy(app->listeners[i]);
    }
    memory_free(app->listeners);
    if (app->drain.services != NULL) {
        drain_release(&app->drain);
    }
    if (app->tls != NULL) {
        tls_destroy(app->tls);
    }
}

/* The store goes before the keeper, whose operations it may still have. */
static void stop_keeping(struct app *app)
{
    if (app->store != NULL) {
        redis_store_destroy(app->store);
        keeper_destroy(app->keeper);
        services_release(&app->services);
    }
    if (app->embedded != NULL) {
        embedded_destroy(app->embedded);
    }
    if (app->has_redis_url) {
        redis_url_release(&app->redis_url);
    }
}

static void stop_loop(struct app *app)
{
    loop_turn(app->loop, 0); /* what was closed above is freed in the FREE phase */
    signals_destroy(app->signals);
    loop_destroy(app->loop);
}

struct app *app_create(struct app_options *options, const struct app_arguments *arguments,
                       char problem[APP_PROBLEM_SIZE])
{
    struct app *app = memory_alloc(sizeof(*app));
    app->options = options;
    app->arguments = arguments;
    if (!start(app, problem)) {
        app_destroy(app);
        return NULL;
    }
    return app;
}

void app_run(struct app *app)
{
    notify_ready();
    wheel_set(loop_wheel(app->loop), &app->ready_timer, loop_now_us(app->loop));
    if (app->is_ended_early) {
        end(app);
    }
    loop_run(app->loop);
    LOG_INFO("stop", LOG_MESSAGE("ending"));
}

void app_destroy(struct app *app)
{
    if (app->loop != NULL) {
        stop_serving(app);
        stop_keeping(app);
        stop_loop(app);
    }
    memory_free(app);
}

const char *app_version(void)
{
    return HOLDFAST_VERSION;
}
