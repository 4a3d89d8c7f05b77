/* SPDX-License-Identifier: Apache-2.0 */
#include "redis/hints.h"

#include <string.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/compiler.h"
#include "base/id128.h"
#include "base/memory.h"
#include "lease/lease.h"
#include "redis/subscriber.h"

/* For how long a batch has Redis tell of watched locks. */
#define WATCH_US (10 * CLOCK_US_PER_S)

struct hints {
    const struct store *port;
    const char *key_prefix;
    size_t prefix_length;
    const struct link *commands;
    struct doubt *doubt;
    struct loop *loop;
    struct metrics *metrics;
    struct subscriber *subscriber;
    struct task tell; /* WORK: on_subscribed */
    /* Until then Redis certainly tells of watched locks; CLOCK_NEVER: the first was just added. */
    int64_t watched_until_us;
};

static void run_tell(struct task *task)
{
    struct hints *hints = CONTAINER_OF(task, struct hints, tell);
    struct store_listener *listener = hints->port->listener;
    if (listener != NULL && hints_are_heard(hints)) {
        listener->on_subscribed(listener, loop_now_us(hints->loop));
    }
}

/* A name may stand for one Redis now and for another a moment later. */
static void compare_servers(struct hints *hints)
{
    if (link_is_up(hints->commands) && subscriber_is_up(hints->subscriber) &&
        strcmp(link_run_id(hints->commands), subscriber_run_id(hints->subscriber)) != 0) {
        subscriber_fail(hints->subscriber, "messages come from another Redis than answers");
    }
}

static void raise_doubt(struct hints *hints)
{
    doubt_raise(hints->doubt, subscriber_hears_flushes(hints->subscriber));
}

static void on_up(void *user, int64_t now_us)
{
    (void)now_us;
    struct hints *hints = user;
    compare_servers(hints);
    hints_tell(hints);
    raise_doubt(hints);
}

static void on_down(void *user, int64_t now_us)
{
    (void)now_us;
    struct hints *hints = user;
    loop_unpost(hints->loop, &hints->tell);
    raise_doubt(hints);
}

static void on_forgotten(void *user, int64_t now_us)
{
    (void)now_us;
    raise_doubt(user);
}

/* A lock was given to us: the tenure that our queue entry announced, and the lock's full key. */
static void on_message(void *user, const char *payload, size_t length, int64_t now_us)
{
    struct hints *hints = user;
    struct store_listener *listener = hints->port->listener;
    size_t key_at = ID128_SIZE + hints->prefix_length;
    struct id128 tenure;
    if (length <= key_at || length - key_at > LEASE_KEY_MAX ||
        memcmp(payload + ID128_SIZE, hints->key_prefix, hints->prefix_length) != 0 ||
        !id128_from_bytes(&tenure, payload, ID128_SIZE)) {
        hints->metrics->redis_messages_ignored++;
        return;
    }
    if (listener != NULL) {
        listener->on_granted(listener, payload + key_at, length - key_at, &tenure, now_us);
    }
}

static void on_lock_up(void *user, const char *key, size_t key_length, int64_t now_us)
{
    struct hints *hints = user;
    struct store_listener *listener = hints->port->listener;
    if (listener != NULL) {
        listener->on_changed(listener, key + hints->prefix_length,
                             key_length - hints->prefix_length, now_us);
    }
}

static void on_lock_message(void *user, const char *key, size_t key_length, const char *payload,
                            size_t length, int64_t now_us)
{
    (void)payload;
    (void)length;
    on_lock_up(user, key, key_length, now_us);
}

/* Writes the lock's full key and returns its length. */
static size_t full_key(const struct hints *hints, const char *key, size_t key_length,
                       char full[SUBSCRIBER_KEY_MAX])
{
    CHECK(hints->prefix_length + key_length <= SUBSCRIBER_KEY_MAX);
    memcpy(full, hints->key_prefix, hints->prefix_length);
    memcpy(full + hints->prefix_length, key, key_length);
    return hints->prefix_length + key_length;
}

struct hints *hints_create(const struct link_config *config, const struct store *port,
                           const char *key_prefix, const struct link *commands, struct doubt *doubt,
                           struct loop *loop, struct metrics *metrics)
{
    struct hints *hints = memory_alloc(sizeof(*hints));
    struct link_config link_config = *config;
    struct subscriber_listener listener = {
        .on_up = on_up,
        .on_down = on_down,
        .on_forgotten = on_forgotten,
        .on_message = on_message,
        .on_lock_up = on_lock_up,
        .on_lock_message = on_lock_message,
        .user = hints,
    };
    hints->port = port;
    hints->key_prefix = key_prefix;
    hints->prefix_length = strlen(key_prefix);
    hints->commands = commands;
    hints->doubt = doubt;
    hints->loop = loop;
    hints->metrics = metrics;
    task_init(&hints->tell, run_tell);
    /* Whether locks are safe there is found out by the link for commands. */
    link_config.requires_noeviction = false;
    hints->subscriber = subscriber_create(&link_config, &listener, loop, metrics);
    return hints;
}

void hints_destroy(struct hints *hints)
{
    subscriber_destroy(hints->subscriber);
    loop_unpost(hints->loop, &hints->tell);
    memory_free(hints);
}

const char *hints_server_id(const struct hints *hints)
{
    return subscriber_id(hints->subscriber);
}

bool hints_are_heard(const struct hints *hints)
{
    return subscriber_is_up(hints->subscriber);
}

void hints_tell(struct hints *hints)
{
    loop_post(hints->loop, LOOP_WORK, &hints->tell);
}

void hints_commands_up(struct hints *hints)
{
    subscriber_retry_now(hints->subscriber);
    compare_servers(hints);
}

void hints_watch(struct hints *hints, const char *key, size_t key_length)
{
    char full[SUBSCRIBER_KEY_MAX];
    size_t length = full_key(hints, key, key_length, full);
    if (subscriber_locks(hints->subscriber) == 0) {
        hints->watched_until_us = CLOCK_NEVER;
    }
    if (!subscriber_add(hints->subscriber, full, length)) {
        /* Then it sees at least what there is now. */
        hints_tell(hints);
    }
}

void hints_unwatch(struct hints *hints, const char *key, size_t key_length)
{
    char full[SUBSCRIBER_KEY_MAX];
    size_t length = full_key(hints, key, key_length, full);
    subscriber_remove(hints->subscriber, full, length);
}

int64_t hints_watch_us(const struct hints *hints)
{
    return subscriber_locks(hints->subscriber) > 0 ? WATCH_US : 0;
}

/* Redis tells of watched locks for so long as it was asked to. If that ended before this batch
 * came, something may have gone untold. */
void hints_watched(struct hints *hints, int64_t sent_us, int64_t now_us)
{
    int64_t until_us = sent_us + WATCH_US / 4 * 3;
    bool is_first = hints->watched_until_us == CLOCK_NEVER;
    bool was_interrupted = !is_first && now_us > hints->watched_until_us;
    if (is_first || until_us > hints->watched_until_us) {
        hints->watched_until_us = until_us;
    }
    if (was_interrupted) {
        hints_tell(hints);
    }
}

void hints_retry_now(struct hints *hints)
{
    subscriber_retry_now(hints->subscriber);
}
