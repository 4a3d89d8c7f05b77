/* SPDX-License-Identifier: Apache-2.0 */
#include "json_reader.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "memory.h"

void json_reader_feed(struct json_reader *reader, const char *bytes, size_t length)
{
    const size_t left = reader->end - reader->start;
    if (reader->start > 0) {
        memmove(reader->bytes, reader->bytes + reader->start, left);
        reader->start = 0;
        reader->end = left;
    }
    if (reader->room - left < length) {
        reader->room = 2 * (left + length);
        reader->bytes = memory_grow(reader->bytes, reader->room);
    }
    if (length > 0) {
        memcpy(reader->bytes + left, bytes, length);
    }
    reader->end += length;
}

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* Only brackets and texts matter: the parser judges what is inside. */
static void scan(struct json_reader *reader, char c)
{
    if (reader->is_in_text) {
        reader->is_in_text = c != '"' || reader->is_escaped;
        reader->is_escaped = c == '\\' && !reader->is_escaped;
    } else if (c == '"') {
        reader->is_in_text = true;
    } else if (c == '{' || c == '[') {
        reader->depth++;
    } else if (c == '}' || c == ']') {
        reader->depth--;
    }
}

/* Whether the end of the object is there; it is where `scanned` stands then. */
static bool find_end(struct json_reader *reader)
{
    const char *object = reader->bytes + reader->start;
    while (reader->scanned < reader->end - reader->start) {
        scan(reader, object[reader->scanned++]);
        if (reader->depth == 0) {
            return true;
        }
    }
    return false;
}

static enum json_reader_result parse(struct json_reader *reader, json_t **object,
                                     char problem[JSON_READER_PROBLEM_SIZE])
{
    json_error_t error;
    *object =
        json_loadb(reader->bytes + reader->start, reader->scanned, JSON_REJECT_DUPLICATES, &error);
    if (*object == NULL) {
        snprintf(problem, JSON_READER_PROBLEM_SIZE, "line %d, column %d: %s", error.line,
                 error.column, error.text);
        return JSON_READER_WRONG;
    }
    reader->start += reader->scanned;
    reader->scanned = 0;
    return JSON_READER_OBJECT;
}

enum json_reader_result json_reader_next(struct json_reader *reader, json_t **object,
                                         char problem[JSON_READER_PROBLEM_SIZE])
{
    while (reader->start < reader->end && is_space(reader->bytes[reader->start])) {
        reader->start++;
    }
    if (reader->start == reader->end) {
        return JSON_READER_MORE;
    }
    if (reader->bytes[reader->start] != '{') {
        snprintf(problem, JSON_READER_PROBLEM_SIZE, "not JSON: an object begins with {");
        return JSON_READER_WRONG;
    }
    if (find_end(reader)) {
        return parse(reader, object, problem);
    }
    if (reader->scanned > JSON_READER_MAX) {
        snprintf(problem, JSON_READER_PROBLEM_SIZE, "longer than %zu bytes", JSON_READER_MAX);
        return JSON_READER_WRONG;
    }
    return JSON_READER_MORE;
}

bool json_reader_is_within(const struct json_reader *reader)
{
    return reader->scanned > 0;
}

void json_reader_release(struct json_reader *reader)
{
    free(reader->bytes);
    *reader = (struct json_reader){.bytes = NULL};
}
