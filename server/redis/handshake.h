/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is said on a new connection before it carries locks: who we are, which database, whether the
 * server will do, and what time it has. Everything but the time goes out together; the time is
 * asked for alone, when the server has shown that it answers, so that its estimate is not spoilt by
 * a long wait. Commands and replies only, no I/O.
 */
#ifndef HOLDFAST_REDIS_HANDSHAKE_H
#define HOLDFAST_REDIS_HANDSHAKE_H

#include "base/compiler.h"
#include "redis/credentials.h"
#include "redis/server_info.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct redisReply;

#define HANDSHAKE_ARGUMENTS_MAX ((size_t)3)
#define HANDSHAKE_PROBLEM_SIZE  256

enum handshake_step {
    HANDSHAKE_AUTH,
    HANDSHAKE_SELECT,
    HANDSHAKE_SERVER,
    HANDSHAKE_REPLICATION,
    HANDSHAKE_MEMORY,
    HANDSHAKE_PERSISTENCE,
    HANDSHAKE_TIME,
    HANDSHAKE_STEPS,
};

struct handshake {
    bool has_credentials;
    int database;
    bool requires_noeviction;
    struct server_info info;
    int64_t redis_us; /* Redis' clock, after HANDSHAKE_TIME */
    char database_text[12];
    char problem[HANDSHAKE_PROBLEM_SIZE];
};

struct handshake_command {
    const char *arguments[HANDSHAKE_ARGUMENTS_MAX];
    size_t lengths[HANDSHAKE_ARGUMENTS_MAX];
    size_t count;
};

void handshake_init(struct handshake *handshake, bool has_credentials, int database,
                    bool requires_noeviction);

/* The first step from `step` on that is needed, or HANDSHAKE_STEPS. */
enum handshake_step handshake_next(const struct handshake *handshake, enum handshake_step step);

/* Writes the command of a step, which points into `credentials` and the handshake. */
void handshake_command(const struct handshake *handshake, enum handshake_step step,
                       const struct credentials *credentials, struct handshake_command *command);

/* Takes the reply to `step`. False and a sentence in handshake->problem when the connection is of
 * no use. The last step before the time decides whether the server will do. */
NODISCARD bool handshake_take(struct handshake *handshake, enum handshake_step step,
                              const struct redisReply *reply);

/* Reads a reply to TIME; false when it is none. */
NODISCARD bool handshake_read_time(const struct redisReply *reply, int64_t *redis_us);

#endif
