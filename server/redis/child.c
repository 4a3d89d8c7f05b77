/* SPDX-License-Identifier: Apache-2.0 */
#include "redis/child.h"

#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/check.h"
#include "base/memory.h"

#define EXIT_CANNOT_EXECUTE 127

struct child {
    struct loop *loop;
    child_exit_fn *on_exit;
    void *user;
    pid_t pid;
    int pidfd;
    struct event *event;
    struct task task; /* INPUT: it has ended */
};

/* Runs in the child, where only async-signal-safe functions may be called. */
static void become(const struct child_config *config, pid_t parent) __attribute__((noreturn));

static void become(const struct child_config *config, pid_t parent)
{
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    for (int number = 1; number < NSIG; number++) {
        signal(number, SIG_DFL);
    }
    setsid();
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    /* We may have died before the kernel was told. */
    if (getppid() != parent) {
        _exit(EXIT_CANNOT_EXECUTE);
    }
    int null_fd = open("/dev/null", O_RDONLY);
    if (null_fd < 0 || dup2(null_fd, STDIN_FILENO) < 0 ||
        dup2(config->output_fd, STDOUT_FILENO) < 0 || dup2(config->output_fd, STDERR_FILENO) < 0) {
        _exit(EXIT_CANNOT_EXECUTE);
    }
    close_range(STDERR_FILENO + 1, UINT_MAX, 0);
    execv(config->program, (char *const *)config->arguments);
    _exit(EXIT_CANNOT_EXECUTE);
}

/* Where SIGCHLD is ignored, as a parent of ours may have left it, the kernel reaps. */
static int reap(const struct child *child)
{
    int status = 0;
    while (waitpid(child->pid, &status, 0) < 0) {
        if (errno == ECHILD) {
            return 0;
        }
        CHECK(errno == EINTR);
    }
    return status;
}

static void child_free(struct child *child)
{
    loop_unpost(child->loop, &child->task);
    if (child->event != NULL) {
        event_free(child->event);
    }
    close(child->pidfd);
    memory_free(child);
}

static void on_readable(evutil_socket_t fd, short what, void *user)
{
    (void)fd;
    (void)what;
    struct child *child = user;
    loop_post(child->loop, LOOP_INPUT, &child->task);
}

static void run_exit(struct task *task)
{
    struct child *child = CONTAINER_OF(task, struct child, task);
    child_exit_fn *on_exit = child->on_exit;
    void *user = child->user;
    int status = reap(child);
    child_free(child);
    on_exit(user, status);
}

static bool wait_for_end(const struct child *child, int patience_ms)
{
    struct pollfd ready = {.fd = child->pidfd, .events = POLLIN};
    return poll(&ready, 1, patience_ms) == 1;
}

struct child *child_start(struct loop *loop, const struct child_config *config)
{
    pid_t parent = getpid();
    pid_t pid = fork();
    if (pid < 0) {
        return NULL;
    }
    if (pid == 0) {
        become(config, parent);
    }
    struct child *child = memory_alloc(sizeof(*child));
    child->loop = loop;
    child->on_exit = config->on_exit;
    child->user = config->user;
    child->pid = pid;
    task_init(&child->task, run_exit);
    child->pidfd = pidfd_open(pid, 0);
    if (child->pidfd < 0) {
        int error = errno;
        kill(pid, SIGKILL);
        reap(child);
        memory_free(child);
        errno = error;
        return NULL;
    }
    child->event = event_new(loop_event_base(loop), child->pidfd, EV_READ, on_readable, child);
    CHECK(child->event != NULL);
    event_add(child->event, NULL);
    return child;
}

void child_stop(struct child *child, int patience_ms)
{
    kill(child->pid, SIGTERM);
    if (!wait_for_end(child, patience_ms)) {
        kill(child->pid, SIGKILL);
    }
    reap(child);
    child_free(child);
}

void child_kill(struct child *child)
{
    kill(child->pid, SIGKILL);
}

int64_t child_pid(const struct child *child)
{
    return child->pid;
}
