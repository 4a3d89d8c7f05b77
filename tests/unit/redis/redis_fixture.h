/* SPDX-License-Identifier: Apache-2.0 */
/* A private redis-server for a test, and a blocking client to look into it. HOLDFAST_REDIS_SERVER
 * names another program than the redis-server or valkey-server in PATH. */
#ifndef HOLDFAST_TESTS_REDIS_FIXTURE_H
#define HOLDFAST_TESTS_REDIS_FIXTURE_H

#include "base/compiler.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct redisContext;
struct redisReply;

#define REDIS_FIXTURE_OPTIONS_MAX 16

struct redis_fixture {
    char directory[64];
    char socket_path[96];
    int port; /* of 127.0.0.1 */
    char options[REDIS_FIXTURE_OPTIONS_MAX][96];
    int option_count;
    pid_t pid; /* 0 while it is not running */
    struct redisContext *client;
};

/* Starts a server; `options` is a NULL-terminated list, or NULL. */
void redis_fixture_init(struct redis_fixture *redis, const char *const *options);

/* Kills the server and removes its directory. */
void redis_fixture_release(struct redis_fixture *redis);

/* SIGKILL; its data is gone. */
void redis_fixture_kill(struct redis_fixture *redis);

/* Starts it again on the same socket and port. */
void redis_fixture_start(struct redis_fixture *redis);

/* SIGSTOP and SIGCONT. The first returns when the process is stopped. */
void redis_fixture_stop(struct redis_fixture *redis);
void redis_fixture_resume(struct redis_fixture *redis);

/* Runs a command; an error reply fails the test. The caller frees the reply. */
struct redisReply *redis_fixture_command(struct redis_fixture *redis, const char *format, ...);

/* Runs a command and returns its integer reply, or -1 for a reply of another type. */
int64_t redis_fixture_integer(struct redis_fixture *redis, const char *format, ...);

#endif
