/* SPDX-License-Identifier: Apache-2.0 */
#include "redis/handshake.h"

#include <hiredis/hiredis.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "redis/error.h"

#define SECONDS_MAX (INT64_MAX / CLOCK_US_PER_S - 1)

static const char *const sections[HANDSHAKE_STEPS] = {
    [HANDSHAKE_SERVER] = "server",
    [HANDSHAKE_REPLICATION] = "replication",
    [HANDSHAKE_MEMORY] = "memory",
    [HANDSHAKE_PERSISTENCE] = "persistence",
};

static const char *const names[HANDSHAKE_STEPS] = {
    [HANDSHAKE_AUTH] = "AUTH",          [HANDSHAKE_SELECT] = "SELECT",
    [HANDSHAKE_SERVER] = "INFO server", [HANDSHAKE_REPLICATION] = "INFO replication",
    [HANDSHAKE_MEMORY] = "INFO memory", [HANDSHAKE_PERSISTENCE] = "INFO persistence",
    [HANDSHAKE_TIME] = "TIME",
};

static void add(struct handshake_command *command, const char *argument)
{
    command->arguments[command->count] = argument;
    command->lengths[command->count] = strlen(argument);
    command->count++;
}

static bool refuse(struct handshake *handshake, const char *problem)
{
    snprintf(handshake->problem, sizeof(handshake->problem), "%s", problem);
    return false;
}

static bool refuse_error(struct handshake *handshake, enum handshake_step step, const char *text)
{
    char word[REDIS_ERROR_WORD_SIZE];
    redis_error_word(text, word);
    const char *explanation = redis_error_explain(word);
    bool is_explained = explanation != word;
    snprintf(handshake->problem, sizeof(handshake->problem), "Redis refuses %s: %s", names[step],
             is_explained ? explanation : text);
    return false;
}

/* Digits only, for Redis says nothing else. */
static bool read_number(const struct redisReply *reply, int64_t max, int64_t *number)
{
    if (reply->type != REDIS_REPLY_STRING || reply->len == 0 || reply->len > 18) {
        return false;
    }
    int64_t value = 0;
    for (size_t i = 0; i < reply->len; i++) {
        if (reply->str[i] < '0' || reply->str[i] > '9') {
            return false;
        }
        value = value * 10 + (reply->str[i] - '0');
    }
    *number = value;
    return value <= max;
}

void handshake_init(struct handshake *handshake, bool has_credentials, int database,
                    bool requires_noeviction)
{
    *handshake = (struct handshake){
        .has_credentials = has_credentials,
        .database = database,
        .requires_noeviction = requires_noeviction,
    };
    server_info_init(&handshake->info);
    snprintf(handshake->database_text, sizeof(handshake->database_text), "%d", database);
}

enum handshake_step handshake_next(const struct handshake *handshake, enum handshake_step step)
{
    if (step == HANDSHAKE_AUTH && !handshake->has_credentials) {
        step = HANDSHAKE_SELECT;
    }
    if (step == HANDSHAKE_SELECT && handshake->database == 0) {
        step = HANDSHAKE_SERVER;
    }
    return step;
}

void handshake_command(const struct handshake *handshake, enum handshake_step step,
                       const struct credentials *credentials, struct handshake_command *command)
{
    command->count = 0;
    switch (step) {
    case HANDSHAKE_AUTH:
        add(command, "AUTH");
        if (credentials->user != NULL) {
            add(command, credentials->user);
        }
        add(command, credentials->password);
        break;
    case HANDSHAKE_SELECT:
        add(command, "SELECT");
        add(command, handshake->database_text);
        break;
    case HANDSHAKE_SERVER:
    case HANDSHAKE_REPLICATION:
    case HANDSHAKE_MEMORY:
    case HANDSHAKE_PERSISTENCE:
        add(command, "INFO");
        add(command, sections[step]);
        break;
    case HANDSHAKE_TIME:
        add(command, "TIME");
        break;
    case HANDSHAKE_STEPS:
        break;
    }
}

bool handshake_take(struct handshake *handshake, enum handshake_step step,
                    const struct redisReply *reply)
{
    if (reply->type == REDIS_REPLY_ERROR) {
        return refuse_error(handshake, step, reply->str);
    }
    if (step == HANDSHAKE_AUTH || step == HANDSHAKE_SELECT) {
        return true;
    }
    if (step == HANDSHAKE_TIME) {
        return handshake_read_time(reply, &handshake->redis_us) ||
               refuse(handshake, "the reply to TIME makes no sense");
    }
    /* RESP3 would give a verbatim string; we never ask for it. */
    if (reply->type != REDIS_REPLY_STRING) {
        return refuse(handshake, "the reply to INFO makes no sense");
    }
    server_info_read(&handshake->info, reply->str, reply->len);
    if (step != HANDSHAKE_PERSISTENCE) {
        return true;
    }
    const char *refusal = server_info_refusal(&handshake->info, handshake->requires_noeviction);
    return refusal == NULL || refuse(handshake, refusal);
}

bool handshake_read_time(const struct redisReply *reply, int64_t *redis_us)
{
    int64_t seconds = 0;
    int64_t rest_us = 0;
    if (reply->type != REDIS_REPLY_ARRAY || reply->elements != 2 ||
        !read_number(reply->element[0], SECONDS_MAX, &seconds) ||
        !read_number(reply->element[1], CLOCK_US_PER_S - 1, &rest_us)) {
        return false;
    }
    *redis_us = seconds * CLOCK_US_PER_S + rest_us;
    return true;
}
