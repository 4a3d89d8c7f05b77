/* SPDX-License-Identifier: Apache-2.0 */
#include "redis/subscriber.h"

#include <hiredis/hiredis.h>
#include <stdio.h>
#include <string.h>
#include <sys/queue.h>

#include "base/check.h"
#include "base/compiler.h"
#include "base/id128.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/table.h"
#include "redis/error.h"
#include "redis/tracking.h"

#define SERVER_PREFIX "holdfast:server:"
#define LOCK_PREFIX   "holdfast:lock:"
#define FORGOTTEN     "holdfast:forgotten"

#define LOCK_PREFIX_LENGTH (sizeof(LOCK_PREFIX) - 1)
#define SERVER_NAME_LENGTH (sizeof(SERVER_PREFIX) - 1 + ID128_HEX_SIZE - 1)

/* Channels named in one command, and channels that await Redis' word at one time. */
#define COMMAND_CHANNELS_MAX 64
#define AWAITED_MAX          ((size_t)1024)

enum channel_state {
    CHANNEL_OUT,     /* not subscribed to */
    CHANNEL_JOINING, /* SUBSCRIBE was sent */
    CHANNEL_IN,
    CHANNEL_LEAVING, /* UNSUBSCRIBE was sent */
};

/* The channel of a lock. While it awaits Redis' word nothing more is asked for it, so that one is
 * never subscribed to twice. */
struct channel {
    UT_hash_handle hh;
    TAILQ_ENTRY(channel) link;
    struct channel_list *list; /* what it waits in; NULL: in none */
    enum channel_state state;
    bool is_wanted;
    size_t name_length;
    char name[];
};

TAILQ_HEAD(channel_list, channel);

struct subscriber {
    struct subscriber_listener listener;
    struct loop *loop;
    struct metrics *metrics;
    struct link *link;
    struct tracking tracking;
    bool is_tracking_asked; /* its reply is awaited */
    bool is_refusal_told;   /* the log tells why it was refused */
    bool is_asked;          /* SUBSCRIBE to the server's channel was sent */
    bool is_up;
    char id[ID128_HEX_SIZE];
    char name[SERVER_NAME_LENGTH + 1];
    struct channel *channels; /* by name */
    size_t wanted;
    struct channel_list to_join;  /* OUT and wanted, while the link is up */
    struct channel_list to_leave; /* IN and not wanted */
    size_t awaited;
    struct task flush; /* FLUSH: send what waits */
};

struct text {
    const char *bytes;
    size_t length;
};

static bool equals(const struct redisReply *reply, const char *text, size_t length)
{
    return reply->type == REDIS_REPLY_STRING && reply->len == length &&
           memcmp(reply->str, text, length) == 0;
}

static bool is_word(const struct redisReply *reply, const char *word)
{
    return equals(reply, word, strlen(word));
}

static void leave_list(struct channel *channel)
{
    if (channel->list != NULL) {
        TAILQ_REMOVE(channel->list, channel, link);
    }
    channel->list = NULL;
}

static void free_channel(struct subscriber *subscriber, struct channel *channel)
{
    leave_list(channel);
    HASH_DEL(subscriber->channels, channel);
    memory_free(channel);
}

/* Brings the channel on its way to where it is wanted, unless it is there or already moves. */
static void direct(struct subscriber *subscriber, struct channel *channel)
{
    leave_list(channel);
    if (channel->state == CHANNEL_OUT && channel->is_wanted) {
        channel->list = &subscriber->to_join;
    } else if (channel->state == CHANNEL_IN && !channel->is_wanted) {
        channel->list = &subscriber->to_leave;
    }
    if (channel->list != NULL) {
        TAILQ_INSERT_TAIL(channel->list, channel, link);
        loop_post(subscriber->loop, LOOP_FLUSH, &subscriber->flush);
    }
}

static bool send_command(struct subscriber *subscriber, const char *const *arguments,
                         const size_t *lengths, size_t count)
{
    struct conn_command command = {.arguments = arguments, .lengths = lengths, .count = count};
    if (!link_send(subscriber->link, &command, loop_now_us(subscriber->loop))) {
        link_fail(subscriber->link, "cannot send");
        return false;
    }
    return true;
}

/* The server's channel is the last to be confirmed. */
static bool send_own(struct subscriber *subscriber)
{
    const char *const arguments[] = {"SUBSCRIBE", FORGOTTEN, subscriber->name};
    const size_t lengths[] = {strlen("SUBSCRIBE"), strlen(FORGOTTEN), SERVER_NAME_LENGTH};
    return send_command(subscriber, arguments, lengths, COUNT_OF(arguments));
}

/* False while Redis' word on tracking is awaited: whoever is subscribed may ask for nothing else.
 */
static bool settle_tracking(struct subscriber *subscriber)
{
    struct tracking_command command;
    if (tracking_is_settled(&subscriber->tracking)) {
        return true;
    }
    if (!subscriber->is_tracking_asked) {
        tracking_command(&subscriber->tracking, &command);
        subscriber->is_tracking_asked =
            send_command(subscriber, command.arguments, command.lengths, command.count);
        link_flush(subscriber->link);
    }
    return false;
}

/* Sends `verb` for everything in the list, in commands of many channels. */
static bool send_list(struct subscriber *subscriber, struct channel_list *list, const char *verb,
                      enum channel_state state)
{
    while (!TAILQ_EMPTY(list) && subscriber->awaited < AWAITED_MAX) {
        const char *arguments[1 + COMMAND_CHANNELS_MAX] = {verb};
        size_t lengths[1 + COMMAND_CHANNELS_MAX] = {strlen(verb)};
        size_t count = 1;
        while (count <= COMMAND_CHANNELS_MAX && !TAILQ_EMPTY(list)) {
            struct channel *channel = TAILQ_FIRST(list);
            leave_list(channel);
            channel->state = state;
            arguments[count] = channel->name;
            lengths[count] = channel->name_length;
            count++;
        }
        subscriber->awaited += count - 1;
        if (!send_command(subscriber, arguments, lengths, count)) {
            return false;
        }
    }
    return true;
}

static void run_flush(struct task *task)
{
    struct subscriber *subscriber = CONTAINER_OF(task, struct subscriber, flush);
    if (!link_is_up(subscriber->link) || !settle_tracking(subscriber)) {
        return;
    }
    if (!subscriber->is_asked) {
        subscriber->is_asked = send_own(subscriber);
    }
    if (subscriber->is_asked &&
        send_list(subscriber, &subscriber->to_join, "SUBSCRIBE", CHANNEL_JOINING) &&
        send_list(subscriber, &subscriber->to_leave, "UNSUBSCRIBE", CHANNEL_LEAVING)) {
        link_flush(subscriber->link);
    }
}

static struct channel *find(const struct subscriber *subscriber, const char *name, size_t length)
{
    struct channel *channel = NULL;
    HASH_FIND(hh, subscriber->channels, name, length, channel);
    return channel;
}

static struct text key_of(const struct channel *channel)
{
    return (struct text){channel->name + LOCK_PREFIX_LENGTH,
                         channel->name_length - LOCK_PREFIX_LENGTH};
}

static void ignore(struct subscriber *subscriber)
{
    subscriber->metrics->redis_messages_ignored++;
}

static void take_message(struct subscriber *subscriber, const struct redisReply *name,
                         const struct redisReply *payload, int64_t now_us)
{
    const struct subscriber_listener *listener = &subscriber->listener;
    if (tracking_is_flush(name, payload) || is_word(name, FORGOTTEN)) {
        subscriber->metrics->redis_messages++;
        listener->on_forgotten(listener->user, now_us);
        return;
    }
    if (name->type != REDIS_REPLY_STRING || payload->type != REDIS_REPLY_STRING ||
        payload->len > SUBSCRIBER_PAYLOAD_MAX) {
        ignore(subscriber);
        return;
    }
    if (equals(name, subscriber->name, SERVER_NAME_LENGTH)) {
        subscriber->metrics->redis_messages++;
        listener->on_message(listener->user, payload->str, payload->len, now_us);
        return;
    }
    struct channel *channel = find(subscriber, name->str, name->len);
    if (channel == NULL || channel->state == CHANNEL_OUT) {
        ignore(subscriber);
        return;
    }
    subscriber->metrics->redis_messages++;
    if (channel->is_wanted) {
        struct text key = key_of(channel);
        listener->on_lock_message(listener->user, key.bytes, key.length, payload->str, payload->len,
                                  now_us);
    }
}

/* The channel has arrived where Redis was asked to bring it. False when it was not on its way. */
static bool take_arrival(struct subscriber *subscriber, const struct redisReply *name,
                         enum channel_state from, enum channel_state to, int64_t now_us)
{
    struct channel *channel = find(subscriber, name->str, name->len);
    if (channel == NULL || channel->state != from) {
        return false;
    }
    channel->state = to;
    subscriber->awaited--;
    if (!TAILQ_EMPTY(&subscriber->to_join) || !TAILQ_EMPTY(&subscriber->to_leave)) {
        loop_post(subscriber->loop, LOOP_FLUSH, &subscriber->flush);
    }
    if (to == CHANNEL_OUT && !channel->is_wanted) {
        free_channel(subscriber, channel);
        return true;
    }
    direct(subscriber, channel);
    if (to == CHANNEL_IN && channel->is_wanted) {
        struct text key = key_of(channel);
        const struct subscriber_listener *listener = &subscriber->listener;
        listener->on_lock_up(listener->user, key.bytes, key.length, now_us);
    }
    return true;
}

/* Returns false when Redis says what it was not asked. */
static bool take_word(struct subscriber *subscriber, const struct redisReply *word,
                      const struct redisReply *name, int64_t now_us)
{
    if (name->type != REDIS_REPLY_STRING) {
        return false;
    }
    if (is_word(word, "unsubscribe")) {
        return take_arrival(subscriber, name, CHANNEL_LEAVING, CHANNEL_OUT, now_us);
    }
    if (!is_word(word, "subscribe")) {
        return false;
    }
    if (is_word(name, FORGOTTEN)) {
        return subscriber->is_asked && !subscriber->is_up;
    }
    if (!equals(name, subscriber->name, SERVER_NAME_LENGTH)) {
        return take_arrival(subscriber, name, CHANNEL_JOINING, CHANNEL_IN, now_us);
    }
    if (!subscriber->is_asked || subscriber->is_up) {
        return false;
    }
    subscriber->is_up = true;
    link_confirm(subscriber->link);
    subscriber->listener.on_up(subscriber->listener.user, now_us);
    return true;
}

static void take_tracking(struct subscriber *subscriber, const struct redisReply *reply)
{
    subscriber->is_tracking_asked = false;
    tracking_take(&subscriber->tracking, reply);
    loop_post(subscriber->loop, LOOP_FLUSH, &subscriber->flush);
    const bool is_refused = subscriber->tracking.state == TRACKING_REFUSED;
    if (is_refused && !subscriber->is_refusal_told) {
        LOG_INFO("redis.untold",
                 LOG_MESSAGE("Redis does not tell when it is flushed: while leases are held it is "
                             "asked four times in a recovery window"),
                 LOG_TEXT("reason", subscriber->tracking.problem));
    }
    if (tracking_is_settled(&subscriber->tracking)) {
        subscriber->is_refusal_told = is_refused;
    }
}

static void on_push(void *user, const struct redisReply *reply, int64_t now_us)
{
    struct subscriber *subscriber = user;
    if (subscriber->is_tracking_asked) {
        take_tracking(subscriber, reply);
        return;
    }
    if (reply->type == REDIS_REPLY_ERROR) {
        char word[REDIS_ERROR_WORD_SIZE];
        redis_error_word(reply->str, word);
        const char *explanation = redis_error_explain(word);
        link_fail(subscriber->link, explanation != word ? explanation : reply->str);
        return;
    }
    if (reply->type != REDIS_REPLY_ARRAY || reply->elements != 3) {
        ignore(subscriber);
        return;
    }
    struct redisReply *const *elements = reply->element;
    if (is_word(elements[0], "message")) {
        take_message(subscriber, elements[1], elements[2], now_us);
    } else if (!take_word(subscriber, elements[0], elements[1], now_us)) {
        link_fail(subscriber->link, "Redis sent a reply to nothing");
    }
}

/* A new connection is subscribed to nothing. */
static void start_over(struct subscriber *subscriber)
{
    struct channel *channel = NULL;
    struct channel *next = NULL;
    tracking_init(&subscriber->tracking);
    subscriber->is_tracking_asked = false;
    subscriber->is_asked = false;
    subscriber->awaited = 0;
    HASH_ITER (hh, subscriber->channels, channel, next) {
        channel->state = CHANNEL_OUT;
        if (channel->is_wanted) {
            direct(subscriber, channel);
        } else {
            free_channel(subscriber, channel);
        }
    }
}

static void on_link_up(void *user, int64_t now_us)
{
    (void)now_us;
    struct subscriber *subscriber = user;
    loop_post(subscriber->loop, LOOP_FLUSH, &subscriber->flush);
}

static void on_link_down(void *user, int64_t now_us)
{
    struct subscriber *subscriber = user;
    bool was_up = subscriber->is_up;
    subscriber->is_up = false;
    start_over(subscriber);
    if (was_up) {
        subscriber->listener.on_down(subscriber->listener.user, now_us);
    }
}

struct subscriber *subscriber_create(const struct link_config *config,
                                     const struct subscriber_listener *listener, struct loop *loop,
                                     struct metrics *metrics)
{
    struct subscriber *subscriber = memory_alloc(sizeof(*subscriber));
    struct id128 id = id128_random();
    struct link_listener link_listener = {
        .on_up = on_link_up, .on_down = on_link_down, .on_push = on_push, .user = subscriber};
    subscriber->listener = *listener;
    subscriber->loop = loop;
    subscriber->metrics = metrics;
    id128_to_hex(&id, subscriber->id);
    snprintf(subscriber->name, sizeof(subscriber->name), SERVER_PREFIX "%s", subscriber->id);
    TAILQ_INIT(&subscriber->to_join);
    TAILQ_INIT(&subscriber->to_leave);
    tracking_init(&subscriber->tracking);
    task_init(&subscriber->flush, run_flush);
    subscriber->link = link_create(config, &link_listener, loop, metrics);
    return subscriber;
}

void subscriber_destroy(struct subscriber *subscriber)
{
    struct channel *channel = NULL;
    struct channel *next = NULL;
    link_destroy(subscriber->link);
    loop_unpost(subscriber->loop, &subscriber->flush);
    HASH_ITER (hh, subscriber->channels, channel, next) {
        free_channel(subscriber, channel);
    }
    memory_free(subscriber);
}

const char *subscriber_id(const struct subscriber *subscriber)
{
    return subscriber->id;
}

bool subscriber_is_up(const struct subscriber *subscriber)
{
    return subscriber->is_up && link_is_up(subscriber->link);
}

bool subscriber_hears_flushes(const struct subscriber *subscriber)
{
    return subscriber_is_up(subscriber) && subscriber->tracking.state == TRACKING_ON;
}

const char *subscriber_run_id(const struct subscriber *subscriber)
{
    return link_run_id(subscriber->link);
}

static void count_wanted(struct subscriber *subscriber, bool is_one_more)
{
    subscriber->wanted += is_one_more ? 1 : (size_t)-1;
    subscriber->metrics->redis_watches_now = subscriber->wanted;
}

bool subscriber_add(struct subscriber *subscriber, const char *key, size_t key_length)
{
    if (subscriber->wanted == SUBSCRIBER_LOCKS_MAX) {
        subscriber->metrics->redis_watches_refused++;
        return false;
    }
    CHECK(key_length <= SUBSCRIBER_KEY_MAX);
    size_t length = LOCK_PREFIX_LENGTH + key_length;
    struct channel *made = memory_alloc(sizeof(*made) + length);
    memcpy(made->name, LOCK_PREFIX, LOCK_PREFIX_LENGTH);
    memcpy(made->name + LOCK_PREFIX_LENGTH, key, key_length);
    made->name_length = length;
    struct channel *channel = find(subscriber, made->name, length);
    if (channel != NULL) { /* on its way out */
        memory_free(made);
    } else {
        channel = made;
        HASH_ADD_KEYPTR(hh, subscriber->channels, channel->name, length, channel);
    }
    CHECK(!channel->is_wanted);
    channel->is_wanted = true;
    count_wanted(subscriber, true);
    /* One that is about to leave does so first, for only arriving is told. */
    if (channel->state != CHANNEL_IN) {
        direct(subscriber, channel);
    }
    return true;
}

void subscriber_remove(struct subscriber *subscriber, const char *key, size_t key_length)
{
    char name[LOCK_PREFIX_LENGTH + SUBSCRIBER_KEY_MAX];
    if (key_length > SUBSCRIBER_KEY_MAX) {
        return;
    }
    memcpy(name, LOCK_PREFIX, LOCK_PREFIX_LENGTH);
    memcpy(name + LOCK_PREFIX_LENGTH, key, key_length);
    struct channel *channel = find(subscriber, name, LOCK_PREFIX_LENGTH + key_length);
    if (channel == NULL || !channel->is_wanted) {
        return;
    }
    channel->is_wanted = false;
    count_wanted(subscriber, false);
    if (channel->state == CHANNEL_OUT) {
        free_channel(subscriber, channel);
    } else {
        direct(subscriber, channel);
    }
}

size_t subscriber_locks(const struct subscriber *subscriber)
{
    return subscriber->wanted;
}

void subscriber_fail(struct subscriber *subscriber, const char *reason)
{
    link_fail(subscriber->link, reason);
}

void subscriber_retry_now(struct subscriber *subscriber)
{
    link_retry_now(subscriber->link);
}
