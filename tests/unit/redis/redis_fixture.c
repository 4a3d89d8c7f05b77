/* SPDX-License-Identifier: Apache-2.0 */
#include "redis_fixture.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>
#include <hiredis/hiredis.h>

#include "base/clock.h"

#define START_TIMEOUT_US (20 * CLOCK_US_PER_S)
#define ARGUMENTS_MAX    40

/* A port that was free a moment ago. */
static int free_port(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t size = sizeof(address);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, size), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &size), 0);
    close(fd);
    return ntohs(address.sin_port);
}

static void execute(struct redis_fixture *redis) __attribute__((noreturn));

static void execute(struct redis_fixture *redis)
{
    char port[16];
    const char *program = getenv("HOLDFAST_REDIS_SERVER");
    const char *arguments[ARGUMENTS_MAX] = {
        "redis-server",     "--port",     port,      "--bind",       "127.0.0.1", "--unixsocket",
        redis->socket_path, "--save",     "",        "--appendonly", "no",        "--dir",
        redis->directory,   "--loglevel", "warning", "--logfile",    "redis.log",
    };
    int count = 17;
    snprintf(port, sizeof(port), "%d", redis->port);
    for (int i = 0; i < redis->option_count; i++) {
        arguments[count++] = redis->options[i];
    }
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (program != NULL) {
        execvp(program, (char *const *)arguments);
    }
    execvp("redis-server", (char *const *)arguments);
    execvp("valkey-server", (char *const *)arguments);
    _exit(127);
}

static bool answers(struct redis_fixture *redis)
{
    redis->client = redisConnectUnix(redis->socket_path);
    if (redis->client->err == 0) {
        redisReply *reply = redisCommand(redis->client, "PING");
        /* One that asks for a password answers too. */
        bool is_answer = reply != NULL && (reply->type == REDIS_REPLY_STATUS ||
                                           strncmp(reply->str, "NOAUTH", 6) == 0);
        freeReplyObject(reply);
        if (is_answer) {
            return true;
        }
    }
    redisFree(redis->client);
    redis->client = NULL;
    return false;
}

void redis_fixture_start(struct redis_fixture *redis)
{
    assert_int_equal(redis->pid, 0);
    redis->pid = fork();
    assert_true(redis->pid >= 0);
    if (redis->pid == 0) {
        execute(redis);
    }
    int64_t deadline_us = clock_now_us() + START_TIMEOUT_US;
    while (!answers(redis)) {
        assert_true(clock_now_us() < deadline_us);
        assert_int_equal(waitpid(redis->pid, NULL, WNOHANG), 0);
        poll(NULL, 0, 1);
    }
}

void redis_fixture_init(struct redis_fixture *redis, const char *const *options)
{
    memset(redis, 0, sizeof(*redis));
    snprintf(redis->directory, sizeof(redis->directory), "/tmp/hf-unit-XXXXXX");
    assert_non_null(mkdtemp(redis->directory));
    snprintf(redis->socket_path, sizeof(redis->socket_path), "%s/redis.sock", redis->directory);
    while (options != NULL && options[redis->option_count] != NULL) {
        assert_true(redis->option_count < REDIS_FIXTURE_OPTIONS_MAX);
        snprintf(redis->options[redis->option_count], sizeof(redis->options[0]), "%s",
                 options[redis->option_count]);
        redis->option_count++;
    }
    redis->port = free_port();
    redis_fixture_start(redis);
}

void redis_fixture_kill(struct redis_fixture *redis)
{
    if (redis->pid == 0) {
        return;
    }
    kill(redis->pid, SIGKILL);
    assert_int_equal(waitpid(redis->pid, NULL, 0), redis->pid);
    redis->pid = 0;
    redisFree(redis->client);
    redis->client = NULL;
}

void redis_fixture_release(struct redis_fixture *redis)
{
    char path[160];
    redis_fixture_kill(redis);
    unlink(redis->socket_path);
    snprintf(path, sizeof(path), "%s/redis.log", redis->directory);
    unlink(path);
    snprintf(path, sizeof(path), "%s/dump.rdb", redis->directory);
    unlink(path);
    rmdir(redis->directory);
}

void redis_fixture_stop(struct redis_fixture *redis)
{
    int status = 0;
    kill(redis->pid, SIGSTOP);
    assert_int_equal(waitpid(redis->pid, &status, WUNTRACED), redis->pid);
    assert_true(WIFSTOPPED(status));
}

void redis_fixture_resume(struct redis_fixture *redis)
{
    kill(redis->pid, SIGCONT);
}

static redisReply *run(struct redis_fixture *redis, const char *format, va_list arguments)
{
    redisReply *reply = redisvCommand(redis->client, format, arguments);
    assert_non_null(reply);
    if (reply->type == REDIS_REPLY_ERROR) {
        fail_msg("%s: %s", format, reply->str);
    }
    return reply;
}

redisReply *redis_fixture_command(struct redis_fixture *redis, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    redisReply *reply = run(redis, format, arguments);
    va_end(arguments);
    return reply;
}

int64_t redis_fixture_integer(struct redis_fixture *redis, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    redisReply *reply = run(redis, format, arguments);
    va_end(arguments);
    int64_t number = reply->type == REDIS_REPLY_INTEGER ? reply->integer : -1;
    freeReplyObject(reply);
    return number;
}
