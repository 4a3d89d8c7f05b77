/* SPDX-License-Identifier: Apache-2.0 */
#include "screen.h"

#include <signal.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "text.h"

#define HEIGHT_DEFAULT 24
#define WIDTH_DEFAULT  80
#define WIDTH_MAX      1024

#define ENTER "\033[?1049h\033[?25l" /* the other screen, no cursor */
#define LEAVE "\033[?25h\033[?1049l"
#define HOME  "\033[H"
#define WIPE  "\033[J" /* from here to the end */
#define TRIM  "\033[K" /* to the end of the line */

static void enter(struct screen *screen)
{
    screen->has_modes = tcgetattr(STDIN_FILENO, &screen->modes) == 0;
    if (screen->has_modes) {
        struct termios modes = screen->modes;
        modes.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
        tcsetattr(STDIN_FILENO, TCSADRAIN, &modes);
    }
    fputs(ENTER, stdout);
    fflush(stdout);
}

static void leave(struct screen *screen)
{
    fputs(LEAVE, stdout);
    fflush(stdout);
    if (screen->has_modes) {
        tcsetattr(STDIN_FILENO, TCSADRAIN, &screen->modes);
    }
}

void screen_open(struct screen *screen, bool is_full)
{
    *screen = (struct screen){.is_full = is_full, .is_open = true};
    if (is_full) {
        enter(screen);
    }
}

void screen_close(struct screen *screen)
{
    if (screen->is_open && screen->is_full) {
        leave(screen);
    }
    screen->is_open = false;
}

void screen_suspend(struct screen *screen)
{
    leave(screen);
    kill(0, SIGSTOP);
    enter(screen);
}

static void measure(struct screen *screen)
{
    struct winsize size = {.ws_row = 0};
    const bool is_known = ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_row > 0;
    screen->height = is_known ? size.ws_row : HEIGHT_DEFAULT;
    screen->width = is_known && size.ws_col > 0 ? size.ws_col : WIDTH_DEFAULT;
    screen->width = screen->width < WIDTH_MAX ? screen->width : WIDTH_MAX;
}

void screen_begin(struct screen *screen)
{
    screen->used = 0;
    if (screen->is_full) {
        measure(screen);
        fputs(HOME, stdout);
    }
}

/* No newline behind the last line: the terminal would scroll. */
void screen_line(struct screen *screen, const char *text)
{
    char cut[WIDTH_MAX + 1];
    if (!screen->is_full) {
        printf("%s\n", text);
        return;
    }
    if (screen->used == screen->height) {
        return;
    }
    text_clean(cut, screen->width + 1, text);
    printf("%s%s" TRIM, screen->used > 0 ? "\r\n" : "", cut);
    screen->used++;
}

void screen_end(struct screen *screen)
{
    if (screen->is_full) {
        fputs(WIPE, stdout);
    }
    fflush(stdout);
}
