/* SPDX-License-Identifier: Apache-2.0 */
#include "redis/embedded.h"

#include <errno.h>
#include <fcntl.h>
#include <hiredis/hiredis.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"
#include "redis/child.h"
#include "redis/conn.h"
#include "redis/scratch.h"

#define SOCKET_NAME "/redis.sock"
#define LOG_NAME    "/redis.log"
#define URL_SCHEME  "unix://"

#define ASK_INTERVAL_US  ((int64_t)5000) /* while it starts */
#define ASK_TIMEOUT_US   ((int64_t)1000000)
#define START_TIMEOUT_US ((int64_t)10000000)
#define BACKOFF_MIN_US   ((int64_t)20000)
#define BACKOFF_MAX_US   ((int64_t)2000000)
#define STOP_PATIENCE_MS 2000

static const char *const program_names[] = {"redis-server", "valkey-server"};

enum embedded_state { EMBEDDED_STARTING, EMBEDDED_READY, EMBEDDED_DEAD };

struct embedded {
    struct embedded_config config;
    struct loop *loop;
    struct metrics *metrics;
    enum embedded_state state;
    char *program;
    struct scratch scratch;
    char *url; /* the socket's path follows the scheme */
    char *log_path;
    struct child *child; /* NULL while DEAD */
    struct conn *conn;   /* asks whether it answers */
    struct task ask;     /* FLUSH: PING */
    struct timer timer;  /* STARTING: ask again; DEAD: start again */
    int64_t started_us;
    int64_t backoff_us;
    bool was_ready;
};

static const char *socket_path(const struct embedded *embedded)
{
    return embedded->url + strlen(URL_SCHEME);
}

static char *join(const char *a, const char *b, const char *c)
{
    size_t size = strlen(a) + strlen(b) + strlen(c) + 1;
    char *text = memory_alloc(size);
    snprintf(text, size, "%s%s%s", a, b, c);
    return text;
}

static bool is_program(const char *path)
{
    struct stat found;
    return stat(path, &found) == 0 && S_ISREG(found.st_mode) && access(path, X_OK) == 0;
}

/* The program's path, owned by the caller; NULL when it is not in PATH. */
static char *find_in_path(const char *name)
{
    const char *path = getenv("PATH");
    while (path != NULL && *path != '\0') {
        size_t length = strcspn(path, ":");
        char *directory = memory_copy(path, length);
        char *program = join(length > 0 ? directory : ".", "/", name);
        memory_free(directory);
        if (is_program(program)) {
            return program;
        }
        memory_free(program);
        path += length;
        path += *path == ':' ? 1 : 0;
    }
    return NULL;
}

/* Owned by the caller; NULL when it is not to be found or not to be executed. */
static char *find_named(const char *wanted)
{
    if (strchr(wanted, '/') == NULL) {
        return find_in_path(wanted);
    }
    return is_program(wanted) ? memory_copy_string(wanted) : NULL;
}

bool embedded_has_program(const char *program)
{
    char *found = find_named(program);
    memory_free(found);
    return found != NULL;
}

static char *find_program(const char *wanted, char *problem)
{
    if (wanted != NULL) {
        char *program = find_named(wanted);
        if (program == NULL) {
            snprintf(problem, EMBEDDED_PROBLEM_SIZE, "the program %s cannot be found or executed",
                     wanted);
        }
        return program;
    }
    for (size_t i = 0; i < COUNT_OF(program_names); i++) {
        char *program = find_in_path(program_names[i]);
        if (program != NULL) {
            return program;
        }
    }
    snprintf(problem, EMBEDDED_PROBLEM_SIZE,
             "neither redis-server nor valkey-server is in PATH; install the package redis-server "
             "or valkey-server, or name a running Redis with --redis URL");
    return NULL;
}

static void set_timer(struct embedded *embedded, int64_t delay_us)
{
    int64_t due_us = loop_now_us(embedded->loop) + delay_us;
    wheel_set(loop_wheel(embedded->loop), &embedded->timer, due_us);
}

static void wait_and_restart(struct embedded *embedded)
{
    embedded->state = EMBEDDED_DEAD;
    set_timer(embedded, embedded->backoff_us);
    embedded->backoff_us *= 2;
    if (embedded->backoff_us > BACKOFF_MAX_US) {
        embedded->backoff_us = BACKOFF_MAX_US;
    }
}

static void on_exit_of_child(void *user, int status)
{
    struct embedded *embedded = user;
    int signal_number = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
    int code = WIFEXITED(status) ? WEXITSTATUS(status) : 0;
    LOG_ERROR("embedded.exited", LOG_MESSAGE("the embedded Redis ended; it is started again"),
              LOG_INTEGER("status", code), LOG_INTEGER("signal", signal_number),
              LOG_TEXT("log", embedded->log_path));
    embedded->child = NULL;
    embedded->metrics->embedded_restarts++;
    conn_fail(embedded->conn, "the embedded Redis ended");
    wait_and_restart(embedded);
}

static bool start(struct embedded *embedded)
{
    const char *const arguments[] = {
        embedded->program,
        "--port",
        "0",
        "--unixsocket",
        socket_path(embedded),
        "--unixsocketperm",
        "700",
        "--save",
        "",
        "--appendonly",
        "no",
        "--maxmemory-policy",
        "noeviction",
        "--daemonize",
        "no",
        "--databases",
        "1",
        "--loglevel",
        "warning",
        "--dir",
        embedded->scratch.path,
        "--logfile",
        embedded->log_path,
        NULL,
    };
    int output_fd = open(embedded->log_path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (output_fd < 0) {
        return false;
    }
    struct child_config config = {
        .program = embedded->program,
        .arguments = arguments,
        .output_fd = output_fd,
        .on_exit = on_exit_of_child,
        .user = embedded,
    };
    embedded->child = child_start(embedded->loop, &config);
    int error = errno;
    close(output_fd);
    errno = error;
    if (embedded->child == NULL) {
        return false;
    }
    embedded->state = EMBEDDED_STARTING;
    embedded->started_us = loop_now_us(embedded->loop);
    set_timer(embedded, ASK_INTERVAL_US);
    return true;
}

static void become_ready(struct embedded *embedded)
{
    bool is_first = !embedded->was_ready;
    embedded->state = EMBEDDED_READY;
    embedded->was_ready = true;
    embedded->backoff_us = BACKOFF_MIN_US;
    wheel_clear(loop_wheel(embedded->loop), &embedded->timer);
    LOG_INFO("embedded.ready", LOG_MESSAGE("the embedded Redis answers"),
             LOG_TEXT("program", embedded->program), LOG_TEXT("url", embedded->url),
             LOG_INTEGER("pid", child_pid(embedded->child)));
    embedded->config.on_ready(embedded->config.user, is_first);
}

static void on_reply(void *user, const struct redisReply *reply, int64_t now_us)
{
    (void)now_us;
    struct embedded *embedded = user;
    bool is_ready = reply->type == REDIS_REPLY_STATUS;
    conn_fail(embedded->conn, "asked");
    if (is_ready && embedded->state == EMBEDDED_STARTING) {
        become_ready(embedded);
    }
}

static void on_open(void *user, int64_t now_us)
{
    (void)now_us;
    struct embedded *embedded = user;
    loop_post(embedded->loop, LOOP_FLUSH, &embedded->ask);
}

static void run_ask(struct task *task)
{
    struct embedded *embedded = CONTAINER_OF(task, struct embedded, ask);
    const char *const arguments[] = {"PING"};
    const size_t lengths[] = {strlen("PING")};
    struct conn_command command = {
        .arguments = arguments,
        .lengths = lengths,
        .count = COUNT_OF(arguments),
        .on_reply = on_reply,
        .user = embedded,
    };
    if (conn_send(embedded->conn, &command, loop_update_now_us(embedded->loop))) {
        conn_flush(embedded->conn);
    }
}

static void on_closed(void *user, const char *reason, int64_t now_us)
{
    (void)reason;
    struct embedded *embedded = user;
    if (embedded->state != EMBEDDED_STARTING) {
        return;
    }
    if (now_us - embedded->started_us > START_TIMEOUT_US) {
        LOG_ERROR("embedded.silent", LOG_MESSAGE("the embedded Redis does not answer; killing it"),
                  LOG_TEXT("log", embedded->log_path));
        child_kill(embedded->child);
        return;
    }
    set_timer(embedded, ASK_INTERVAL_US);
}

static void on_due(struct timer *timer, int64_t now_us)
{
    (void)now_us;
    struct embedded *embedded = CONTAINER_OF(timer, struct embedded, timer);
    if (embedded->state == EMBEDDED_STARTING) {
        struct conn_address address = {.socket_path = socket_path(embedded)};
        conn_connect(embedded->conn, &address, ASK_TIMEOUT_US);
    } else if (!start(embedded)) {
        LOG_ERROR("embedded.failed", LOG_MESSAGE("cannot start the embedded Redis"),
                  LOG_TEXT("program", embedded->program), LOG_TEXT("reason", strerror(errno)));
        wait_and_restart(embedded);
    }
}

static const char *parent_directory(const struct embedded_config *config)
{
    const char *directory = config->directory;
    if (directory == NULL) {
        directory = getenv("TMPDIR");
    }
    return directory != NULL && *directory != '\0' ? directory : "/tmp";
}

static void embedded_free(struct embedded *embedded)
{
    scratch_release(&embedded->scratch);
    conn_destroy(embedded->conn);
    memory_free(embedded->url);
    memory_free(embedded->log_path);
    memory_free(embedded->program);
    memory_free(embedded);
}

struct embedded *embedded_create(const struct embedded_config *config, struct loop *loop,
                                 struct metrics *metrics, char problem[EMBEDDED_PROBLEM_SIZE])
{
    char *program = find_program(config->program, problem);
    if (program == NULL) {
        return NULL;
    }
    struct scratch scratch;
    if (!scratch_init(&scratch, parent_directory(config), problem)) {
        memory_free(program);
        return NULL;
    }
    struct embedded *embedded = memory_alloc(sizeof(*embedded));
    struct conn_listener listener = {on_open, on_closed, embedded};
    embedded->config = *config;
    embedded->loop = loop;
    embedded->metrics = metrics;
    embedded->program = program;
    embedded->scratch = scratch;
    embedded->url = join(URL_SCHEME, scratch.path, SOCKET_NAME);
    embedded->log_path = join(scratch.path, LOG_NAME, "");
    embedded->backoff_us = BACKOFF_MIN_US;
    embedded->conn = conn_create(loop, &listener);
    timer_init(&embedded->timer, on_due);
    task_init(&embedded->ask, run_ask);
    struct sockaddr_un address;
    if (strlen(socket_path(embedded)) >= sizeof(address.sun_path)) {
        snprintf(problem, EMBEDDED_PROBLEM_SIZE,
                 "the path %s is too long for a socket; set TMPDIR to a shorter one", scratch.path);
        embedded_free(embedded);
        return NULL;
    }
    if (!start(embedded)) {
        snprintf(problem, EMBEDDED_PROBLEM_SIZE, "cannot start %s: %s", program, strerror(errno));
        embedded_free(embedded);
        return NULL;
    }
    return embedded;
}

void embedded_destroy(struct embedded *embedded)
{
    wheel_clear(loop_wheel(embedded->loop), &embedded->timer);
    loop_unpost(embedded->loop, &embedded->ask);
    if (embedded->child != NULL) {
        child_stop(embedded->child, STOP_PATIENCE_MS);
    }
    embedded_free(embedded);
}

const char *embedded_url(const struct embedded *embedded)
{
    return embedded->url;
}
