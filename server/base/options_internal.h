/* SPDX-License-Identifier: Apache-2.0 */
/* What the options_*.c files share. */
#ifndef HOLDFAST_BASE_OPTIONS_INTERNAL_H
#define HOLDFAST_BASE_OPTIONS_INTERNAL_H

#include <stdbool.h>
#include <stddef.h>

#include "base/compiler.h"
#include "base/options.h"

#define OPTIONS_ENVIRONMENT_SIZE 80
#define OPTIONS_BOUNDS_SIZE      80

/* Rows in a table. */
#define OPTIONS_MAX 128

/* The row that names the file is not a row of the file. */
#define OPTIONS_CONFIG_ROW "config"

/* A sentence under construction; what does not fit is cut. */
struct options_error {
    char *text;
    size_t used;
};

void options_error_init(struct options_error *error, char text[OPTIONS_ERROR_SIZE]);

void options_error_clear(struct options_error *error);

void options_error_add(struct options_error *error, const char *format, ...) PRINTF_LIKE(2, 3);

/* Adds a user's text in quotes, cut when it is long. */
void options_error_quote(struct options_error *error, const char *text);

/* Adds `; did you mean "x"?` with the name nearest to `name`, if one is near, or where
 * all stand. Each is shown behind `prefix`. */
void options_error_suggest(struct options_error *error, const struct option *table,
                           const char *prefix, const char *name);

/* The row of that name; NULL when there is none. `name` ends after `length` bytes. */
const struct option *options_find(const struct option *table, const char *name, size_t length);

/* "default-ttl" -> "HOLDFAST_DEFAULT_TTL". */
void options_environment_name(const struct option *row, char name[OPTIONS_ENVIRONMENT_SIZE]);

/* Sets the row's value from text; a LIST from its items between commas. On failure adds to `error`
 * what is wrong with the text and what is allowed, and leaves the value as it was. */
NODISCARD bool options_set(const struct option *row, void *values, const char *text,
                           struct options_error *error);

/* Appends one item to a LIST. */
void options_list_add(const struct option *row, void *values, const char *item);

/* Frees what the row owns and zeroes it: a LIST is empty then. */
void options_clear(const struct option *row, void *values);

/* Writes the bounds of an INTEGER or a DURATION in words; "" for other kinds. */
void options_bounds(const struct option *row, char text[OPTIONS_BOUNDS_SIZE]);

/* What the layers share while they are read. */
struct options_reading {
    const struct option *table;
    void *values;
    struct option_origin *origins; /* NULL when nobody asked */
    size_t line;                   /* of the file, while one is read */
    struct options_error error;
};

/* Sets a row from text, behind a prefix that is in `error` already and goes on success. */
NODISCARD bool options_reading_set(struct options_reading *reading, const struct option *row,
                                   const char *text, enum option_layer layer);

/* Records where the row's value came from, once it is set, and clears the error's prefix. */
void options_reading_done(struct options_reading *reading, const struct option *row,
                          enum option_layer layer);

/* Reads the YAML file at `path`. */
NODISCARD bool options_read_file(struct options_reading *reading, const char *path);

#endif
