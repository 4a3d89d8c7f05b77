/* SPDX-License-Identifier: Apache-2.0 */
#include "redis/link.h"

#include <hiredis/hiredis.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/compiler.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/random.h"
#include "redis/credentials.h"
#include "redis/handshake.h"
#include "redis/repeat.h"
#include "redis/resolver.h"

#define BACKOFF_MIN_US ((int64_t)20000)

/* A stopped Redis answers as soon as it wakes; a dead peer is noticed by TCP long before this. */
#define GREETING_TIMEOUT_US ((int64_t)10000000)

/* An idle connection is tried this often, unless its user is patient. */
#define PROBE_INTERVAL_US ((int64_t)2000000)

#define ADDRESS_TEXT_SIZE 320
#define PROBLEM_SIZE      256

enum link_state { LINK_WAITING, LINK_RESOLVING, LINK_CONNECTING, LINK_GREETING, LINK_UP };

struct link {
    struct link_config config;
    struct link_listener listener;
    struct loop *loop;
    struct metrics *metrics;
    enum link_state state;
    struct conn *conn;
    struct resolver *resolver; /* while RESOLVING */
    struct resolver_addresses addresses;
    size_t next_address;
    struct handshake handshake;
    enum handshake_step awaited; /* while GREETING */
    struct redis_clock clock;
    int64_t asked_us;    /* when TIME was last sent */
    struct timer timer;  /* the pause, the resolver's deadline, or the next probe */
    struct task speak;   /* FLUSH: the greeting or a probe */
    int64_t backoff_us;  /* before jitter */
    bool is_outage_told; /* the log tells of an end only if it told of the beginning */
    bool is_subscribed;  /* since link_confirm */
    struct repeat repeat;
    char address_text[ADDRESS_TEXT_SIZE];
    char problem[PROBLEM_SIZE];
};

static void set_timer(struct link *link, int64_t delay_us)
{
    wheel_set(loop_wheel(link->loop), &link->timer, loop_now_us(link->loop) + delay_us);
}

/* Half of the pause is fixed and half drawn, so that a fleet does not come back in step. */
static void wait_and_retry(struct link *link)
{
    int64_t half_us = link->backoff_us / 2;
    set_timer(link, half_us + (int64_t)random_below((uint64_t)half_us + 1));
    link->state = LINK_WAITING;
    link->backoff_us *= 2;
    if (link->backoff_us > link->config.backoff_max_us) {
        link->backoff_us = link->config.backoff_max_us;
    }
}

static bool is_listening(const struct link *link)
{
    return link->listener.on_push != NULL;
}

static bool is_patient(const struct link *link)
{
    return link->listener.is_patient != NULL && link->listener.is_patient(link->listener.user);
}

static void tell_down(struct link *link, const char *reason)
{
    bool was_up = link->state == LINK_UP;
    snprintf(link->problem, sizeof(link->problem), "%s", reason);
    if (!repeat_is_news(&link->repeat, reason, loop_now_us(link->loop))) {
        return;
    }
    link->is_outage_told = true;
    if (is_listening(link)) {
        LOG_WARN("redis.unsubscribed",
                 LOG_MESSAGE("no messages from Redis: who waits here is not told that a lock is "
                             "free"),
                 LOG_TEXT("address", link->address_text), LOG_TEXT("reason", reason));
        return;
    }
    LOG_WARN(was_up ? "redis.down" : "redis.unreachable",
             LOG_MESSAGE(was_up ? "lost the connection to Redis" : "cannot connect to Redis"),
             LOG_TEXT("address", link->address_text), LOG_TEXT("reason", reason));
}

static void tell_up(struct link *link)
{
    const struct server_info *info = &link->handshake.info;
    if (!link->is_outage_told) {
        return;
    }
    link->is_outage_told = false;
    LOG_INFO("redis.up", LOG_MESSAGE("connected to Redis"), LOG_TEXT("address", link->address_text),
             LOG_TEXT("version", info->version));
    if (server_info_may_evict(info)) {
        LOG_WARN("redis.eviction",
                 LOG_MESSAGE("Redis may evict locks when its memory is full, and then two clients "
                             "hold one lock: set its maxmemory-policy to noeviction"),
                 LOG_TEXT("address", link->address_text),
                 LOG_TEXT("maxmemory_policy", info->maxmemory_policy));
    }
}

static void tell_subscribed(struct link *link)
{
    if (!link->is_outage_told) {
        return;
    }
    link->is_outage_told = false;
    LOG_INFO("redis.subscribed", LOG_MESSAGE("hears messages from Redis"),
             LOG_TEXT("address", link->address_text));
}

static void connect_next(struct link *link)
{
    const struct redis_url *url = link->config.url;
    struct conn_address address = {.socket_path = url->socket_path};
    if (url->socket_path == NULL) {
        address.ip = link->addresses.ip[link->next_address];
        address.port = url->port;
    }
    link->next_address++;
    link->state = LINK_CONNECTING;
    wheel_clear(loop_wheel(link->loop), &link->timer);
    conn_connect(link->conn, &address, link->config.connect_timeout_us);
}

static void fail_attempt(struct link *link, const char *reason)
{
    tell_down(link, reason);
    wait_and_retry(link);
}

static void on_resolved(void *user, const struct resolver_addresses *addresses, int64_t now_us)
{
    (void)now_us;
    struct link *link = user;
    link->resolver = NULL;
    if (addresses->count == 0) {
        char reason[PROBLEM_SIZE];
        snprintf(reason, sizeof(reason), "cannot resolve the host's name: %s", addresses->problem);
        fail_attempt(link, reason);
        return;
    }
    link->addresses = *addresses;
    link->next_address = 0;
    connect_next(link);
}

static void attempt(struct link *link)
{
    const struct redis_url *url = link->config.url;
    link->addresses.count = 0;
    link->next_address = 0;
    if (url->socket_path != NULL) {
        link->addresses.count = 1;
        connect_next(link);
        return;
    }
    if (resolver_is_numeric(url->host)) {
        snprintf(link->addresses.ip[0], sizeof(link->addresses.ip[0]), "%s", url->host);
        link->addresses.count = 1;
        connect_next(link);
        return;
    }
    link->state = LINK_RESOLVING;
    link->resolver = resolver_start(link->loop, url->host, on_resolved, link);
    set_timer(link, link->config.connect_timeout_us);
}

static void on_due(struct timer *timer, int64_t now_us)
{
    (void)now_us;
    struct link *link = CONTAINER_OF(timer, struct link, timer);
    switch (link->state) {
    case LINK_WAITING:
        attempt(link);
        break;
    case LINK_RESOLVING:
        resolver_cancel(link->resolver);
        link->resolver = NULL;
        fail_attempt(link, "cannot resolve the host's name in time");
        break;
    case LINK_UP:
        loop_post(link->loop, LOOP_FLUSH, &link->speak);
        break;
    case LINK_CONNECTING:
    case LINK_GREETING:
        break; /* the connection has its own deadlines */
    }
}

static void become_up(struct link *link, int64_t now_us)
{
    link->state = LINK_UP;
    if (is_listening(link)) {
        link->is_subscribed = false;
        conn_listen(link->conn, link->listener.on_push, link->listener.user);
    } else {
        link->metrics->redis_connects++;
        set_timer(link, PROBE_INTERVAL_US);
        tell_up(link);
    }
    link->listener.on_up(link->listener.user, now_us);
}

/* Starts the next pause short again. */
static void confirm(struct link *link)
{
    link->backoff_us = BACKOFF_MIN_US;
    if (is_listening(link) && !link->is_subscribed) {
        link->is_subscribed = true;
        link->metrics->redis_subscribes++;
        tell_subscribed(link);
    }
}

static void on_greeting(void *user, const struct redisReply *reply, int64_t now_us)
{
    struct link *link = user;
    if (!handshake_take(&link->handshake, link->awaited, reply)) {
        conn_fail(link->conn, link->handshake.problem);
        return;
    }
    link->awaited = handshake_next(&link->handshake, link->awaited + 1);
    if (link->awaited == HANDSHAKE_TIME) {
        /* A slow answer would say little about the time. */
        conn_set_reply_timeout(link->conn, link->config.ack_timeout_us);
        loop_post(link->loop, LOOP_FLUSH, &link->speak);
    } else if (link->awaited == HANDSHAKE_STEPS) {
        redis_clock_init(&link->clock);
        redis_clock_observe(&link->clock, link->handshake.redis_us, link->asked_us, now_us);
        become_up(link, now_us);
    }
}

static void on_probe(void *user, const struct redisReply *reply, int64_t now_us)
{
    struct link *link = user;
    int64_t redis_us = 0;
    if (!handshake_read_time(reply, &redis_us)) {
        conn_fail(link->conn, "the reply to TIME makes no sense");
        return;
    }
    redis_clock_observe(&link->clock, redis_us, link->asked_us, now_us);
    confirm(link);
}

static void send_step(struct link *link, enum handshake_step step,
                      const struct credentials *credentials, conn_reply_fn *on_reply)
{
    struct handshake_command command;
    handshake_command(&link->handshake, step, credentials, &command);
    struct conn_command sent = {
        .arguments = command.arguments,
        .lengths = command.lengths,
        .count = command.count,
        .on_reply = on_reply,
        .user = link,
    };
    link->asked_us = loop_update_now_us(link->loop);
    if (!conn_send(link->conn, &sent, link->asked_us)) {
        conn_fail(link->conn, "cannot send");
    }
}

/* Everything but the time goes out together. */
static void greet(struct link *link)
{
    const struct link_config *config = &link->config;
    const struct redis_url *url = config->url;
    const char *user = config->user != NULL ? config->user : url->user;
    struct credentials credentials;
    char problem[CREDENTIALS_PROBLEM_SIZE];
    if (!credentials_load(&credentials, user, url->password, config->password_file, problem)) {
        conn_fail(link->conn, problem);
        return;
    }
    bool has_credentials = credentials.has_password || credentials.user != NULL;
    handshake_init(&link->handshake, has_credentials, url->database, config->requires_noeviction);
    enum handshake_step step = handshake_next(&link->handshake, HANDSHAKE_AUTH);
    link->awaited = step;
    link->state = LINK_GREETING;
    while (step < HANDSHAKE_TIME) {
        send_step(link, step, &credentials, on_greeting);
        step = handshake_next(&link->handshake, step + 1);
    }
    credentials_release(&credentials);
}

static void speak(struct task *task)
{
    struct link *link = CONTAINER_OF(task, struct link, speak);
    if (!conn_is_open(link->conn)) {
        return;
    }
    if (link->state == LINK_CONNECTING) {
        greet(link);
    } else if (link->state == LINK_GREETING) {
        send_step(link, HANDSHAKE_TIME, NULL, on_greeting);
    } else if (link->state == LINK_UP && !is_listening(link)) {
        set_timer(link, PROBE_INTERVAL_US);
        if (conn_pending(link->conn) == 0 && !is_patient(link)) {
            send_step(link, HANDSHAKE_TIME, NULL, on_probe);
        }
    }
    conn_flush(link->conn);
}

static void on_open(void *user, int64_t now_us)
{
    (void)now_us;
    struct link *link = user;
    conn_set_reply_timeout(link->conn, GREETING_TIMEOUT_US);
    loop_post(link->loop, LOOP_FLUSH, &link->speak);
}

static void on_closed(void *user, const char *reason, int64_t now_us)
{
    struct link *link = user;
    bool was_up = link->state == LINK_UP;
    bool has_more = link->next_address < link->addresses.count;
    loop_unpost(link->loop, &link->speak);
    if (link->state == LINK_CONNECTING && has_more) {
        connect_next(link);
        return;
    }
    fail_attempt(link, reason);
    if (was_up) {
        if (!is_listening(link)) {
            link->metrics->redis_disconnects++;
        } else if (link->is_subscribed) {
            link->metrics->redis_unsubscribes++;
        }
        link->listener.on_down(link->listener.user, now_us);
    }
}

struct link *link_create(const struct link_config *config, const struct link_listener *listener,
                         struct loop *loop, struct metrics *metrics)
{
    struct link *link = memory_alloc(sizeof(*link));
    struct conn_listener conn_listener = {on_open, on_closed, link};
    link->config = *config;
    link->listener = *listener;
    link->loop = loop;
    link->metrics = metrics;
    link->conn = conn_create(loop, &conn_listener);
    link->backoff_us = BACKOFF_MIN_US;
    link->is_outage_told = true;
    repeat_init(&link->repeat);
    redis_clock_init(&link->clock);
    timer_init(&link->timer, on_due);
    task_init(&link->speak, speak);
    redis_url_format(config->url, link->address_text, sizeof(link->address_text));
    snprintf(link->problem, sizeof(link->problem), "not connected to Redis yet");
    link->state = LINK_WAITING;
    set_timer(link, 0);
    return link;
}

void link_destroy(struct link *link)
{
    if (link->resolver != NULL) {
        resolver_cancel(link->resolver);
    }
    wheel_clear(loop_wheel(link->loop), &link->timer);
    loop_unpost(link->loop, &link->speak);
    conn_destroy(link->conn);
    memory_free(link);
}

bool link_is_up(const struct link *link)
{
    return link->state == LINK_UP && conn_is_open(link->conn);
}

const char *link_problem(const struct link *link)
{
    return link->problem;
}

const char *link_run_id(const struct link *link)
{
    return link->handshake.info.run_id;
}

struct redis_clock *link_clock(struct link *link)
{
    return &link->clock;
}

bool link_send(struct link *link, const struct conn_command *command, int64_t now_us)
{
    return link->state == LINK_UP && conn_send(link->conn, command, now_us);
}

void link_flush(struct link *link)
{
    conn_flush(link->conn);
}

void link_confirm(struct link *link)
{
    confirm(link);
}

void link_fail(struct link *link, const char *reason)
{
    conn_fail(link->conn, reason);
}

void link_retry_now(struct link *link)
{
    if (link->state == LINK_WAITING) {
        set_timer(link, 0);
    }
}
