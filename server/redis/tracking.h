/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What makes Redis tell a connection when it is flushed. With CLIENT TRACKING on it invalidates
 * what a client may have cached; for a client that has read nothing that is all or nothing, and
 * costs Redis nothing before. Redirected to the very connection that asks, the message comes among
 * those of its subscriptions, so it needs no RESP3. Commands and replies only, no I/O.
 *
 * Where it is refused (by an ACL, a proxy, a service that is not quite Redis) nothing else suffers.
 */
#ifndef HOLDFAST_REDIS_TRACKING_H
#define HOLDFAST_REDIS_TRACKING_H

#include <stdbool.h>
#include <stddef.h>

struct redisReply;

#define TRACKING_ARGUMENTS_MAX ((size_t)5)
#define TRACKING_PROBLEM_SIZE  192

enum tracking_state {
    TRACKING_ID,       /* CLIENT ID is to be asked */
    TRACKING_REDIRECT, /* CLIENT TRACKING is to be asked */
    TRACKING_ON,
    TRACKING_REFUSED,
};

struct tracking {
    enum tracking_state state;
    char id[24];                         /* of the connection, in digits */
    char problem[TRACKING_PROBLEM_SIZE]; /* when REFUSED: a sentence */
};

struct tracking_command {
    const char *arguments[TRACKING_ARGUMENTS_MAX];
    size_t lengths[TRACKING_ARGUMENTS_MAX];
    size_t count;
};

/* For a new connection. */
void tracking_init(struct tracking *tracking);

/* Whether nothing is left to be asked. Only then may the connection subscribe. */
bool tracking_is_settled(const struct tracking *tracking);

/* Writes what is to be asked now, which points into `tracking`. */
void tracking_command(const struct tracking *tracking, struct tracking_command *command);

/* Takes the reply to that. */
void tracking_take(struct tracking *tracking, const struct redisReply *reply);

/* Whether a message says that everything was flushed. */
bool tracking_is_flush(const struct redisReply *channel, const struct redisReply *payload);

#endif
