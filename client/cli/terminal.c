/* SPDX-License-Identifier: Apache-2.0 */
#include "terminal.h"

#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <unistd.h>

#include "guard.h"

/* Nobody notices a stopped job and continues it in less. */
#define STOPPED_US_MIN 1000

/* Whoever changes the terminal from the background is stopped, unless SIGTTOU is blocked. */
static void block_ttou(sigset_t *before)
{
    sigset_t ttou;
    sigemptyset(&ttou);
    sigaddset(&ttou, SIGTTOU);
    sigprocmask(SIG_BLOCK, &ttou, before);
}

static void set_foreground(const struct terminal *terminal, pid_t group)
{
    sigset_t before;
    block_ttou(&before);
    tcsetpgrp(terminal->fd, group);
    sigprocmask(SIG_SETMASK, &before, NULL);
}

void terminal_open(struct terminal *terminal)
{
    *terminal = (struct terminal){.fd = open("/dev/tty", O_RDWR | O_CLOEXEC)};
    terminal->has_modes = terminal->fd >= 0 && tcgetattr(terminal->fd, &terminal->modes) == 0;
}

void terminal_close(struct terminal *terminal)
{
    if (terminal->fd >= 0) {
        close(terminal->fd);
        terminal->fd = -1;
    }
}

bool terminal_is_ours(const struct terminal *terminal)
{
    return terminal->fd >= 0 && tcgetpgrp(terminal->fd) == getpgrp();
}

bool terminal_is_for_child(const struct terminal *terminal)
{
    return terminal_is_ours(terminal) && isatty(STDIN_FILENO) && isatty(STDOUT_FILENO);
}

void terminal_give(struct terminal *terminal, pid_t group)
{
    set_foreground(terminal, group);
    terminal->is_given = true;
}

void terminal_take_back(struct terminal *terminal)
{
    if (terminal->is_given) {
        set_foreground(terminal, getpgrp());
        terminal->is_given = false;
    }
}

void terminal_restore_modes(const struct terminal *terminal)
{
    if (terminal->has_modes && terminal_is_ours(terminal)) {
        sigset_t before;
        block_ttou(&before);
        tcsetattr(terminal->fd, TCSADRAIN, &terminal->modes);
        sigprocmask(SIG_SETMASK, &before, NULL);
    }
}

bool terminal_suspend_group(void)
{
    struct sigaction before;
    const struct sigaction stop = {.sa_handler = SIG_DFL};
    const int64_t began_us = guard_now_us();
    sigaction(SIGTSTP, &stop, &before);
    kill(0, SIGTSTP);
    sigaction(SIGTSTP, &before, NULL);
    return guard_now_us() - began_us >= STOPPED_US_MIN;
}
