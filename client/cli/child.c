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

/* False: nothing will come, the lock was not to be had. */
static bool receive_fence(int fd, uint64_t *fence)
{
    ssize_t count;
    do {
        count = read(fd, fence, sizeof(*fence));
    } while (count < 0 && errno == EINTR);
    return count == (ssize_t)sizeof(*fence);
}

static bool set_environment(const struct arguments *arguments, uint64_t fence)
{
    char text[24];
    snprintf(text, sizeof(text), "%" PRIu64, fence);
    return setenv("HOLDFAST_KEY", arguments->key, 1) == 0 &&
           setenv("HOLDFAST_FENCE", text, 1) == 0 &&
           (!arguments->is_server_flag || setenv("HOLDFAST_SERVER", arguments->server, 1) == 0);
}

_Noreturn static void become_program(const struct arguments *arguments, int start_fd, pid_t parent)
{
    uint64_t fence = 0;
    setpgid(0, 0);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    /* The parent may have died before the line above. */
    if (getppid() != parent || !receive_fence(start_fd, &fence)) {
        _exit(EXIT_UNEXPECTED);
    }
    if (!set_environment(arguments, fence)) {
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

bool child_start(struct child *child, uint64_t fence)
{
    const bool has_started =
        write(child->start_fd, &fence, sizeof(fence)) == (ssize_t)sizeof(fence);
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
