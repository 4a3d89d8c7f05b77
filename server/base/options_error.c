/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "base/options.h"
#include "base/options_internal.h"

#define QUOTE_MAX 64

/* Longest name that is compared with what the user wrote. */
#define NAME_MAX_LENGTH 48

static size_t least(size_t a, size_t b, size_t c)
{
    size_t ab = a < b ? a : b;
    return ab < c ? ab : c;
}

/* Levenshtein distance; names above NAME_MAX_LENGTH are far from everything. */
static size_t distance(const char *a, const char *b)
{
    size_t a_length = strlen(a);
    size_t b_length = strlen(b);
    if (a_length > NAME_MAX_LENGTH || b_length > NAME_MAX_LENGTH) {
        return SIZE_MAX;
    }
    size_t row[NAME_MAX_LENGTH + 1];
    for (size_t j = 0; j <= b_length; j++) {
        row[j] = j;
    }
    for (size_t i = 1; i <= a_length; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= b_length; j++) {
            size_t above = row[j];
            size_t change = a[i - 1] == b[j - 1] ? 0 : 1;
            row[j] = least(above + 1, row[j - 1] + 1, diagonal + change);
            diagonal = above;
        }
    }
    return row[b_length];
}

void options_error_init(struct options_error *error, char text[OPTIONS_ERROR_SIZE])
{
    *error = (struct options_error){.text = text};
    options_error_clear(error);
}

void options_error_clear(struct options_error *error)
{
    error->text[0] = '\0';
    error->used = 0;
}

void options_error_add(struct options_error *error, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    size_t room = OPTIONS_ERROR_SIZE - error->used;
    int length = vsnprintf(error->text + error->used, room, format, arguments);
    va_end(arguments);
    CHECK(length >= 0);
    error->used += (size_t)length < room ? (size_t)length : room - 1;
}

void options_error_quote(struct options_error *error, const char *text)
{
    bool is_long = strlen(text) > QUOTE_MAX;
    options_error_add(error, "\"%.*s%s\"", QUOTE_MAX, text, is_long ? "..." : "");
}

void options_error_suggest(struct options_error *error, const struct option *table,
                           const char *prefix, const char *name)
{
    const struct option *nearest = NULL;
    size_t nearest_distance = 2 + strlen(name) / 4;
    for (const struct option *row = table; row->name != NULL; row++) {
        size_t row_distance = distance(name, row->name);
        if (row_distance < nearest_distance) {
            nearest_distance = row_distance;
            nearest = row;
        }
    }
    if (nearest != NULL) {
        options_error_add(error, "; did you mean \"%s%s\"?", prefix, nearest->name);
    } else {
        options_error_add(error, "; --help lists them all");
    }
}
