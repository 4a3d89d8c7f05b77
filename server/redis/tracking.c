/* SPDX-License-Identifier: Apache-2.0 */
#include "redis/tracking.h"

#include <hiredis/hiredis.h>
#include <stdio.h>
#include <string.h>

#include "base/check.h"

#define CHANNEL "__redis__:invalidate"

static void add(struct tracking_command *command, const char *argument)
{
    CHECK(command->count < TRACKING_ARGUMENTS_MAX);
    command->arguments[command->count] = argument;
    command->lengths[command->count] = strlen(argument);
    command->count++;
}

static const char *name_of(enum tracking_state state)
{
    return state == TRACKING_ID ? "CLIENT ID" : "CLIENT TRACKING";
}

/* Errors are told as they are: which right is missing differs, and stands there. */
static void refuse(struct tracking *tracking, const struct redisReply *reply)
{
    const char *name = name_of(tracking->state);
    tracking->state = TRACKING_REFUSED;
    if (reply->type == REDIS_REPLY_ERROR) {
        snprintf(tracking->problem, sizeof(tracking->problem), "Redis refuses %s: %s", name,
                 reply->str);
    } else {
        snprintf(tracking->problem, sizeof(tracking->problem), "the reply to %s makes no sense",
                 name);
    }
}

void tracking_init(struct tracking *tracking)
{
    tracking->state = TRACKING_ID;
    tracking->id[0] = '\0';
    tracking->problem[0] = '\0';
}

bool tracking_is_settled(const struct tracking *tracking)
{
    return tracking->state == TRACKING_ON || tracking->state == TRACKING_REFUSED;
}

void tracking_command(const struct tracking *tracking, struct tracking_command *command)
{
    CHECK(!tracking_is_settled(tracking));
    command->count = 0;
    add(command, "CLIENT");
    if (tracking->state == TRACKING_ID) {
        add(command, "ID");
        return;
    }
    add(command, "TRACKING");
    add(command, "ON");
    add(command, "REDIRECT");
    add(command, tracking->id);
}

void tracking_take(struct tracking *tracking, const struct redisReply *reply)
{
    CHECK(!tracking_is_settled(tracking));
    if (tracking->state == TRACKING_ID && reply->type == REDIS_REPLY_INTEGER &&
        reply->integer > 0) {
        snprintf(tracking->id, sizeof(tracking->id), "%lld", reply->integer);
        tracking->state = TRACKING_REDIRECT;
    } else if (tracking->state == TRACKING_REDIRECT && reply->type == REDIS_REPLY_STATUS) {
        tracking->state = TRACKING_ON;
    } else {
        refuse(tracking, reply);
    }
}

bool tracking_is_flush(const struct redisReply *channel, const struct redisReply *payload)
{
    return channel->type == REDIS_REPLY_STRING && channel->len == strlen(CHANNEL) &&
           memcmp(channel->str, CHANNEL, strlen(CHANNEL)) == 0 && payload->type == REDIS_REPLY_NIL;
}
