/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the user sees of a wait: on a terminal (stderr) one line that is rewritten in place and
 * removed at the end, with --json one event per change, otherwise nothing.
 */
#ifndef HOLDFAST_CLI_WAITING_H
#define HOLDFAST_CLI_WAITING_H

#include <stdbool.h>
#include <stdint.h>

#include <holdfast/holdfast.h>

#define WAITING_LINE_SIZE 320

struct event;
struct session;

struct waiting {
    const struct session *session;
    struct event *timer; /* NULL where there is no line */
    bool is_shown;
    uint32_t position;
    struct holdfast_holder holder;
};

/* False when memory runs out, after saying so. */
bool waiting_open(struct waiting *waiting, const struct session *session);

/* To be called by on_queued. */
void waiting_update(struct waiting *waiting, uint32_t position,
                    const struct holdfast_holder *holder);

/* The wait is over: removes the line. Harmless when there is none. */
void waiting_end(struct waiting *waiting);

/* Ends it and frees. Harmless on zeroed memory. */
void waiting_close(struct waiting *waiting);

/* "waiting for KEY: position 3, held by LABEL for 12 s" at `now_ms` since 1970. */
void waiting_line(const char *key, uint32_t position, const struct holdfast_holder *holder,
                  int64_t now_ms, char line[WAITING_LINE_SIZE]);

#endif
