/* SPDX-License-Identifier: Apache-2.0 */
/* Standard input on the event loop: a terminal, a pipe or a file. */
#ifndef HOLDFAST_CLI_INPUT_H
#define HOLDFAST_CLI_INPUT_H

#include <stdbool.h>
#include <stddef.h>

struct event;
struct event_base;

struct input {
    /* What was read; NULL: it is ignored. */
    void (*on_bytes)(const char *bytes, size_t length, void *user);
    /* Once: there is no more. Neither runs after input_stop. */
    void (*on_end)(void *user);
    void *user;
    struct event *readable; /* the rest is the input's; zero at first */
    struct event *retry;
};

/* Reading the terminal from the background is postponed from here on, instead of stopping the
 * process. False when memory has run out; close it either way. */
bool input_open(struct input *input, struct event_base *base);

/* Begins to read. False when memory has run out. */
bool input_start(struct input *input);

void input_stop(struct input *input);

/* Harmless when it was never opened. */
void input_close(struct input *input);

#endif
