/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The options: one table, from which they are read and their lists in --help are made; and the
 * texts of their values.
 */
#ifndef HOLDFAST_CLI_OPTION_H
#define HOLDFAST_CLI_OPTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "arguments.h"

#define OPTION_NAME_SIZE 32

enum option_kind {
    OPTION_FLAG,
    OPTION_TEXT,
    OPTION_DURATION,
    OPTION_WAIT, /* a duration, or nothing for the longest there is */
    OPTION_COUNT,
    OPTION_TOKEN,
    OPTION_KEY,    /* may be given again and again */
    OPTION_HEADER, /* likewise */
};

struct option {
    const char *name;
    const char *argument; /* NULL for a flag */
    enum option_kind kind;
    unsigned commands;       /* OPTION_ON(...) of the commands that take it */
    size_t offset;           /* of the value in struct arguments */
    const char *environment; /* read when the option is not given; may be NULL */
    int64_t min, max;        /* of durations and counts */
    const char *help;
};

#define OPTION_ON(command) (1U << (command))
#define OPTION_MAX         64

extern const struct option option_table[];
extern const size_t option_count; /* below OPTION_MAX */

/* Whether `name`, of `length` bytes, is an option; its index. */
bool option_find(const char *name, size_t length, size_t *index);

/* Whether an option is also called by this letter; its index. */
bool option_find_letter(char letter, size_t *index);

/* The letter of the option at `index`; NUL when it has none. */
char option_letter(size_t index);

/* The name of the option, or the command, that was probably meant; NULL when nothing is near. */
const char *option_nearest(const char *typed, size_t length);
const char *option_nearest_command(const char *typed);

/* 32 hex digits. */
bool option_parse_token(const char *text, unsigned char token[HOLDFAST_TOKEN_SIZE]);

/* Decimal digits and nothing else. */
bool option_parse_count(const char *text, int64_t *count);

#endif
