/* SPDX-License-Identifier: Apache-2.0 */
#include "base/log.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <jansson.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/utf8.h"

/* A pipe takes a write of up to PIPE_BUF bytes whole or not at all. */
#define LINE_SIZE ((size_t)PIPE_BUF)

/* Texts are cut to TEXT_MAX bytes; a line that is too long for all that is made again with half of
 * it, down to TEXT_MIN. */
#define TEXT_MAX ((size_t)1024)
#define TEXT_MIN ((size_t)16)

#define TIME_SIZE sizeof("2026-01-31T12:00:00.123Z")

/* Marks a text that was cut. */
static const char ellipsis[3] = {'.', '.', '.'};

static const char *const level_names[LOG_LEVELS] = {"debug", "info", "warn", "error"};

/* A log has no owner that every caller could be given. */
static enum log_level lowest_level = LOG_LEVEL_INFO;
static uint64_t dropped;

static void format_time(char text[TIME_SIZE])
{
    int64_t wall_ms = clock_wall_ms();
    time_t seconds = (time_t)(wall_ms / 1000);
    struct tm utc;
    CHECK(gmtime_r(&seconds, &utc) != NULL);
    size_t length = strftime(text, TIME_SIZE, "%Y-%m-%dT%H:%M:%S.", &utc);
    CHECK(length > 0);
    snprintf(text + length, sizeof("123Z"), "%03uZ", (unsigned int)(wall_ms % 1000) % 1000);
}

/* At most `limit` bytes of the text, and "..." where something was cut. */
static json_t *make_text(const char *bytes, size_t length, size_t limit)
{
    char clean[TEXT_MAX + sizeof(ellipsis)];
    size_t used;
    size_t taken = utf8_clean(bytes, length, clean, limit, &used);
    if (taken < length) {
        memcpy(clean + used, ellipsis, sizeof(ellipsis));
        used += sizeof(ellipsis);
    }
    return json_stringn(clean, used);
}

static json_t *make_value(const struct log_field *field, size_t limit)
{
    switch (field->kind) {
    case LOG_FIELD_TEXT:
        return field->text == NULL ? json_null()
                                   : make_text(field->text, strlen(field->text), limit);
    case LOG_FIELD_BYTES:
        return make_text(field->text, field->length, limit);
    case LOG_FIELD_INTEGER:
        return json_integer(field->integer);
    case LOG_FIELD_BOOLEAN:
        return json_boolean(field->integer != 0);
    }
    return NULL;
}

/* Writes the event as JSON into `line`; returns the bytes it takes, which may be more than there
 * are. */
static size_t make_line(char line[LINE_SIZE], enum log_level level, const char *event,
                        const struct log_field *fields, size_t limit)
{
    char time_text[TIME_SIZE];
    format_time(time_text);
    json_t *object = json_object();
    json_object_set_new(object, "ts", json_string(time_text));
    json_object_set_new(object, "level", json_string(level_names[level]));
    json_object_set_new(object, "event", json_string(event));
    for (const struct log_field *field = fields; field->name != NULL; field++) {
        json_object_set_new(object, field->name, make_value(field, limit));
    }
    size_t length = json_dumpb(object, line, LINE_SIZE, JSON_COMPACT);
    json_decref(object);
    return length;
}

/* Writes the line if stderr takes it at once. stderr is shared with other processes, so it must not
 * be switched to O_NONBLOCK. */
static bool put_line(const char *line, size_t length)
{
    struct pollfd out = {.fd = STDERR_FILENO, .events = POLLOUT};
    if (poll(&out, 1, 0) != 1 || (out.revents & POLLOUT) == 0) {
        return false;
    }
    ssize_t written;
    do {
        written = write(STDERR_FILENO, line, length);
    } while (written < 0 && errno == EINTR);
    return written == (ssize_t)length;
}

void log_set_level(enum log_level level)
{
    CHECK(level < LOG_LEVELS);
    lowest_level = level;
}

bool log_is_enabled(enum log_level level)
{
    return level >= lowest_level;
}

bool log_level_parse(const char *text, enum log_level *level)
{
    for (int i = 0; i < LOG_LEVELS; i++) {
        if (strcmp(text, level_names[i]) == 0) {
            *level = (enum log_level)i;
            return true;
        }
    }
    return false;
}

void log_write(enum log_level level, const char *event, const struct log_field *fields)
{
    int saved_errno = errno;
    char line[LINE_SIZE];
    size_t limit = TEXT_MAX;
    size_t length = make_line(line, level, event, fields, limit);
    while ((length == 0 || length >= LINE_SIZE) && limit > TEXT_MIN) {
        limit /= 2;
        length = make_line(line, level, event, fields, limit);
    }
    if (length > 0 && length < LINE_SIZE) {
        line[length] = '\n';
        length++;
    } else {
        length = 0;
    }
    if (length == 0 || !put_line(line, length)) {
        dropped++;
    }
    errno = saved_errno;
}

uint64_t log_dropped(void)
{
    return dropped;
}
