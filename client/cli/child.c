/* SPDX-License-Identifier: Apache-2.0 */
#include "child.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "output.h"

#define FENCES_SIZE (HOLDFAST_KEYS_MAX * sizeof(uint64_t))

/* False: nothing will come, the lock was not to be had. */
static bool receive_fences(int fd, uint64_t fences[HOLDFAST_KEYS_MAX])
{
    ssize_t count;
    do {
        count = read(fd, fences, FENCES_SIZE);
    } while (count < 0 && errno == EINTR);
    return count == (ssize_t)FENCES_SIZE;
}

static bool set_fence(const char *name, uint64_t fence)
{
    char text[24];
    snprintf(text, sizeof(text), "%" PRIu64, fence);
    return setenv(name, text, 1) == 0;
}

/* Several locks: HOLDFAST_KEY_1 and HOLDFAST_FENCE_1 and so on. */
static bool set_each(const struct arguments *arguments, const uint64_t *fences)
{
    bool is_set = true;
    for (size_t i = 0; i < arguments->key_count && is_set; i++) {
        char key[48];
        char fence[48];
        snprintf(key, sizeof(key), "HOLDFAST_KEY_%zu", i + 1);
        snprintf(fence, sizeof(fence), "HOLDFAST_FENCE_%zu", i + 1);
        is_set = setenv(key, arguments->keys[i], 1) == 0 && set_fence(fence, fences[i]);
    }
    return is_set;
}

static bool set_environment(const struct arguments *arguments, const uint64_t *fences)
{
    return setenv("HOLDFAST_KEY", arguments->key, 1) == 0 &&
           set_fence("HOLDFAST_FENCE", fences[0]) && set_each(arguments, fences) &&
           (!arguments->is_server_flag || setenv("HOLDFAST_SERVER", arguments->server, 1) == 0);
}

_Noreturn static void become_program(const struct arguments *arguments, int start_fd, pid_t parent)
{
    uint64_t fences[HOLDFAST_KEYS_MAX] = {0};
    setpgid(0, 0);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    /* The parent may have died before the line above. */
    if (getppid() != parent || !receive_fences(start_fd, fences)) {
        _exit(EXIT_UNEXPECTED);
    }
    if (!set_environment(arguments, fences)) {
        output_error("Cannot set the environment of %s: %s.", arguments->program[0],
                     strerror(errno));
        _exit(EXIT_UNEXPECTED);
    }
    execvp(arguments->program[0], arguments->program);
    const int error = errno;
    output_error("Cannot run %s: %s.", arguments->program[0], strerror(error));
    _exit(error == ENOENT ? EXIT_NOT_FOUND : EXIT_NOT_EXECUTABLE);
}

bool child_prepare(struct child *child, const struct arguments *arguments)
{
    const pid_t parent = getpid();
    int ends[2];
    *child = (struct child){.start_fd = -1};
    if (pipe2(ends, O_CLOEXEC) != 0) {
        output_error("Cannot make a pipe: %s.", strerror(errno));
        return false;
    }
    child->pid = fork();
    if (child->pid == 0) {
        close(ends[1]);
        become_program(arguments, ends[0], parent);
    }
    close(ends[0]);
    if (child->pid < 0) {
        output_error("Cannot start a process: %s.", strerror(errno));
        close(ends[1]);
        child->pid = 0;
        return false;
    }
    /* In both processes, whichever comes first. */
    setpgid(child->pid, child->pid);
    child->start_fd = ends[1];
    return true;
}

bool child_start(struct child *child, const uint64_t fences[HOLDFAST_KEYS_MAX])
{
    const bool has_started = write(child->start_fd, fences, FENCES_SIZE) == (ssize_t)FENCES_SIZE;
    close(child->start_fd);
    child->start_fd = -1;
    return has_started;
}

void child_signal(const struct child *child, int number)
{
    if (child->pid == 0 || kill(-child->pid, number) == 0 || errno == ESRCH) {
        return;
    }
    output_error("Cannot send %s to process group %ld: %s.", strsignal(number), (long)child->pid,
                 strerror(errno));
}

enum child_state child_look(const struct child *child, int *number)
{
    siginfo_t info = {.si_pid = 0};
    const id_t id = (id_t)child->pid;
    if (child->pid == 0 || waitid(P_PID, id, &info, WEXITED | WSTOPPED | WNOHANG | WNOWAIT) != 0 ||
        info.si_pid == 0) {
        return CHILD_UNCHANGED;
    }
    if (info.si_code != CLD_STOPPED && info.si_code != CLD_TRAPPED) {
        return CHILD_ENDED;
    }
    *number = info.si_status;
    return waitid(P_PID, id, &info, WSTOPPED | WNOHANG) == 0 && info.si_pid != 0 ? CHILD_STOPPED
                                                                                 : CHILD_UNCHANGED;
}

int child_reap(struct child *child, bool *was_signalled)
{
    int status = 0;
    pid_t pid;
    do {
        pid = waitpid(child->pid, &status, 0);
    } while (pid < 0 && errno == EINTR);
    child->pid = 0;
    *was_signalled = pid > 0 && WIFSIGNALED(status);
    if (pid < 0) {
        return EXIT_UNEXPECTED;
    }
    return *was_signalled ? EXIT_SIGNAL + WTERMSIG(status) : WEXITSTATUS(status);
}

void child_release(struct child *child)
{
    bool was_signalled;
    if (child->start_fd >= 0) {
        close(child->start_fd);
        child->start_fd = -1;
    }
    if (child->pid != 0) {
        child_signal(child, SIGKILL);
        child_reap(child, &was_signalled);
    }
}
