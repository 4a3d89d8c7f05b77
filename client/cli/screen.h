/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A whole terminal to draw on, in place of what was on it, which screen_close brings back; or plain
 * lines on stdout.
 */
#ifndef HOLDFAST_CLI_SCREEN_H
#define HOLDFAST_CLI_SCREEN_H

#include <stdbool.h>
#include <stddef.h>
#include <termios.h>

struct screen {
    bool is_full; /* a terminal, not lines */
    bool is_open;
    bool has_modes;
    struct termios modes; /* as we found them */
    size_t height, width; /* from screen_begin on */
    size_t used;          /* lines of this picture */
};

/* Keys are read one by one and not shown while a terminal is open. */
void screen_open(struct screen *screen, bool is_full);

/* Harmless when it is closed. */
void screen_close(struct screen *screen);

/* Gives the terminal back and stops this process as Ctrl-Z would; returns once it is continued. */
void screen_suspend(struct screen *screen);

/* One picture: begin, lines from top to bottom, end. On a terminal long lines are cut, and lines
 * that it has no room for are left out. */
void screen_begin(struct screen *screen);
void screen_line(struct screen *screen, const char *text);
void screen_end(struct screen *screen);

#endif
