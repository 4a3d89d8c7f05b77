/* SPDX-License-Identifier: Apache-2.0 */
#include "watchdog.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "output.h"

/* Takes the last of what was announced. False at the end of the pipe: the announcer is dead. */
static bool follow(int fd, int timer, bool *has_begun)
{
    int64_t deadlines[64];
    const ssize_t count = read(fd, deadlines, sizeof(deadlines));
    if (count < 0) {
        return errno == EINTR || errno == EAGAIN;
    }
    const size_t received = (size_t)count / sizeof(deadlines[0]);
    if (received == 0) {
        return false;
    }
    const int64_t deadline_us = deadlines[received - 1];
    const struct itimerspec when = {
        .it_value = {.tv_sec = deadline_us / 1000000, .tv_nsec = deadline_us % 1000000 * 1000}};
    *has_begun = true;
    return timerfd_settime(timer, TFD_TIMER_ABSTIME, &when, NULL) == 0;
}

_Noreturn static void watch(int fd, pid_t group)
{
    sigset_t all;
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, NULL);
    /* Out of reach of what is sent to our group and to the terminal's session. */
    setsid();
    prctl(PR_SET_NAME, "holdfast-guard");
    const int timer = timerfd_create(CLOCK_BOOTTIME, TFD_CLOEXEC);
    struct pollfd watched[] = {{.fd = fd, .events = POLLIN}, {.fd = timer, .events = POLLIN}};
    bool is_alive = timer >= 0;
    bool has_begun = false;
    while (is_alive && watched[1].revents == 0) {
        if (poll(watched, 2, -1) > 0 && watched[0].revents != 0) {
            is_alive = follow(fd, timer, &has_begun);
        }
    }
    kill(-group, SIGKILL);
    if (!is_alive && has_begun) {
        output_error("`holdfast run` is gone: killed what it had started (process group %ld).",
                     (long)group);
    }
    _exit(EXIT_LOST);
}

bool watchdog_start(struct watchdog *watchdog, const struct child *child)
{
    int ends[2];
    *watchdog = (struct watchdog){.fd = -1};
    if (pipe2(ends, O_CLOEXEC) != 0) {
        output_error("Cannot make a pipe: %s.", strerror(errno));
        return false;
    }
    watchdog->pid = fork();
    if (watchdog->pid == 0) {
        close(ends[1]);
        close(child->start_fd);
        watch(ends[0], child->pid);
    }
    close(ends[0]);
    if (watchdog->pid < 0) {
        output_error("Cannot start a process: %s.", strerror(errno));
        close(ends[1]);
        watchdog->pid = 0;
        return false;
    }
    /* A watchdog that is itself stopped must not stop us. */
    fcntl(ends[1], F_SETFL, O_NONBLOCK);
    watchdog->fd = ends[1];
    return true;
}

void watchdog_allow_until(const struct watchdog *watchdog, int64_t deadline_us)
{
    /* Zero would disarm the timer instead of firing it. */
    const int64_t when_us = deadline_us > 1 ? deadline_us : 1;
    const ssize_t written = write(watchdog->fd, &when_us, sizeof(when_us));
    (void)written; /* unheard, the watchdog acts on the deadline before, which is the safe side */
}

void watchdog_stop(struct watchdog *watchdog)
{
    if (watchdog->pid == 0) {
        return;
    }
    kill(watchdog->pid, SIGKILL);
    while (waitpid(watchdog->pid, NULL, 0) < 0 && errno == EINTR) {
    }
    close(watchdog->fd);
    *watchdog = (struct watchdog){.fd = -1};
}
