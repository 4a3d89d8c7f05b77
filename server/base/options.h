/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Options out of one table: flags (--name VALUE or --name=VALUE), environment (HOLDFAST_NAME, with
 * '_' for '-'), and a YAML file (name: value). Precedence: flag, environment, file, default. The
 * same table makes --help, the sample file and the documentation page.
 *
 * Values are stored in a struct of the caller's at the offset the row names, so every component
 * gets its own small config and nothing is global.
 */
#ifndef HOLDFAST_BASE_OPTIONS_H
#define HOLDFAST_BASE_OPTIONS_H

#include "base/compiler.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum option_kind {
    OPTION_BOOLEAN,  /* bool; a flag without value means true, --no-NAME means false */
    OPTION_INTEGER,  /* int64_t within [min, max] */
    OPTION_DURATION, /* int64_t milliseconds within [min, max] */
    OPTION_TEXT,     /* char *, owned; NULL when the default is NULL and nothing was given */
    OPTION_LIST,   /* struct option_list; repeatable flag, ',' in the environment, YAML sequence */
    OPTION_CHOICE, /* int: index into `choices` */
};

struct option_list {
    char **items;
    size_t count;
};

struct option {
    const char *name; /* "default-ttl"; NULL ends the table */
    enum option_kind kind;
    bool is_reloadable;         /* SIGHUP applies a change */
    size_t offset;              /* of the value in the caller's struct */
    const char *default_text;   /* as one would write it; NULL only for TEXT and LIST */
    int64_t min, max;           /* INTEGER, DURATION */
    const char *const *choices; /* CHOICE: NULL-terminated */
    const char *argument;       /* shown in --help: "URL"; NULL for BOOLEAN */
    const char *help;           /* one or more sentences, without a line break */
};

#define OPTIONS_ERROR_SIZE 512

/* Where a value came from. */
enum option_layer { OPTION_DEFAULT, OPTION_FILE, OPTION_ENVIRONMENT, OPTION_FLAG };

struct option_origin {
    enum option_layer layer;
    size_t line; /* FILE: where the row stands, from 1 on */
};

/* Sets every row to its default. `values` must be zeroed or hold values set by these functions
 * before (owned memory is released). */
void options_set_defaults(const struct option *table, void *values);

/* Frees what the rows own. */
void options_release(const struct option *table, void *values);

/* Reads everything, defaults included. `argv` is main's. The row "config", a TEXT, names the file;
 * it is given by flag or environment, not in the file itself. `environment` is environ's form.
 * `origins`, when not NULL, receives one entry per row.
 * On failure returns false and writes into `error` a sentence that names file, line, key and what
 * is allowed; `values` must then be released. An argument that is not a flag is an error. */
NODISCARD bool options_read(const struct option *table, void *values, int argc, char *const *argv,
                            char *const *environment, struct option_origin *origins,
                            char error[OPTIONS_ERROR_SIZE]);

/* Begins a sentence about a row's value, for checks of one's own: "FILE:LINE: NAME: ", "--NAME: ",
 * "environment variable HOLDFAST_NAME: ", or "NAME: " where nobody gave it. Returns its length. */
size_t options_begin_error(const struct option *table, const void *values, const struct option *row,
                           const struct option_origin *origin, char error[OPTIONS_ERROR_SIZE]);

/* Writes "--help"'s list: every row with its argument, default, bounds and environment name. */
void options_write_help(const struct option *table, FILE *out);

/* Writes a YAML file in which every row stands, commented out, with its help and default. */
void options_write_sample(const struct option *table, FILE *out);

/* Writes a Markdown table of the rows, for docs/options.md. */
void options_write_markdown(const struct option *table, FILE *out);

#endif
