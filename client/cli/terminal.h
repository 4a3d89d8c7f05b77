/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Job control for a program in a process group of its own: the group that reads the terminal, and
 * gets Ctrl-C and Ctrl-Z, is the program's while it runs, and ours before and after. Without a
 * controlling terminal nothing here does anything.
 */
#ifndef HOLDFAST_CLI_TERMINAL_H
#define HOLDFAST_CLI_TERMINAL_H

#include <stdbool.h>
#include <sys/types.h>
#include <termios.h>

struct terminal {
    int fd; /* -1: there is none */
    bool is_given;
    bool has_modes;
    struct termios modes; /* as we found them */
};

void terminal_open(struct terminal *terminal);
void terminal_close(struct terminal *terminal);

/* Whether our own group is in the foreground. */
bool terminal_is_ours(const struct terminal *terminal);

/* Whether the program should have the terminal from the start. Not in a pipeline: there another
 * process of our group may be the one that reads it (`holdfast run ... | less`), and the program
 * gets it when it asks (by being stopped with SIGTTIN or SIGTTOU). */
bool terminal_is_for_child(const struct terminal *terminal);

void terminal_give(struct terminal *terminal, pid_t group);
void terminal_take_back(struct terminal *terminal);

/* Undoes what a killed program did to the modes. */
void terminal_restore_modes(const struct terminal *terminal);

/* Stops our own group as Ctrl-Z would; returns true once it is continued, and false at once where
 * nobody could continue it (the kernel then ignores the signal). */
bool terminal_suspend_group(void);

#endif
