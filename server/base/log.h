/* SPDX-License-Identifier: Apache-2.0 */
/*
 * JSON logs on stderr, one event a line: {"ts":"2026-01-31T12:00:00.123Z","level":"info",
 * "event":"redis.up","message":"connected to Redis", ...fields}.
 *
 *   LOG_INFO("redis.up", LOG_MESSAGE("connected to Redis"), LOG_TEXT("address", address));
 *
 * Tokens, passwords and keys of secrets never go in. A write never blocks the loop: what stderr
 * does not take at once is dropped and counted.
 */
#ifndef HOLDFAST_BASE_LOG_H
#define HOLDFAST_BASE_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum log_level { LOG_LEVEL_DEBUG, LOG_LEVEL_INFO, LOG_LEVEL_WARN, LOG_LEVEL_ERROR, LOG_LEVELS };

struct log_field {
    const char *name; /* NULL ends the list */
    enum { LOG_FIELD_TEXT, LOG_FIELD_BYTES, LOG_FIELD_INTEGER, LOG_FIELD_BOOLEAN } kind;
    const char *text; /* TEXT (NULL is shown as null), BYTES */
    size_t length;    /* BYTES: invalid UTF-8 is replaced */
    int64_t integer;  /* INTEGER, BOOLEAN */
};

#define LOG_MESSAGE(value) LOG_TEXT("message", value)
#define LOG_TEXT(field, value)                                                                     \
    ((struct log_field){.name = (field), .kind = LOG_FIELD_TEXT, .text = (value)})
#define LOG_BYTES(field, bytes, size)                                                              \
    ((struct log_field){                                                                           \
        .name = (field), .kind = LOG_FIELD_BYTES, .text = (bytes), .length = (size)})
#define LOG_INTEGER(field, value)                                                                  \
    ((struct log_field){.name = (field), .kind = LOG_FIELD_INTEGER, .integer = (int64_t)(value)})
#define LOG_BOOLEAN(field, value)                                                                  \
    ((struct log_field){.name = (field), .kind = LOG_FIELD_BOOLEAN, .integer = (value) ? 1 : 0})

/* At least one field is required; let it be LOG_MESSAGE, for people. */
#define LOG_AT(level, event, ...)                                                                  \
    do {                                                                                           \
        if (log_is_enabled(level)) {                                                               \
            log_write(level, event, (const struct log_field[]){__VA_ARGS__, {.name = NULL}});      \
        }                                                                                          \
    } while (0)
#define LOG_DEBUG(event, ...) LOG_AT(LOG_LEVEL_DEBUG, event, __VA_ARGS__)
#define LOG_INFO(event, ...)  LOG_AT(LOG_LEVEL_INFO, event, __VA_ARGS__)
#define LOG_WARN(event, ...)  LOG_AT(LOG_LEVEL_WARN, event, __VA_ARGS__)
#define LOG_ERROR(event, ...) LOG_AT(LOG_LEVEL_ERROR, event, __VA_ARGS__)

/* Events below `level` are not written. The default is INFO. */
void log_set_level(enum log_level level);

bool log_is_enabled(enum log_level level);

/* Parses "debug", "info", "warn" or "error"; false when it is none of them. */
bool log_level_parse(const char *text, enum log_level *level);

/* Writes one line. Use the macros. */
void log_write(enum log_level level, const char *event, const struct log_field *fields);

/* Lines that stderr did not take. */
uint64_t log_dropped(void);

#endif
