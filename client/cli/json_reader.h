/* SPDX-License-Identifier: Apache-2.0 */
/* JSON objects, one behind another, from a text that may arrive in pieces. */
#ifndef HOLDFAST_CLI_JSON_READER_H
#define HOLDFAST_CLI_JSON_READER_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

/* More than base64 makes of the longest message. */
#define JSON_READER_MAX          ((size_t)8 << 20)
#define JSON_READER_PROBLEM_SIZE 256

/* Zero-initialise. */
struct json_reader {
    char *bytes;
    size_t start, end, room; /* what is not read yet stands between start and end */
    size_t scanned;          /* what has been looked at, from the start */
    size_t depth;            /* of brackets open there */
    bool is_in_text, is_escaped;
};

enum json_reader_result {
    JSON_READER_OBJECT, /* *object is the caller's */
    JSON_READER_MORE,   /* nothing, or no more than the beginning of an object */
    JSON_READER_WRONG,  /* a sentence is in `problem`; read no further */
};

void json_reader_feed(struct json_reader *reader, const char *bytes, size_t length);

enum json_reader_result json_reader_next(struct json_reader *reader, json_t **object,
                                         char problem[JSON_READER_PROBLEM_SIZE]);

/* Whether the beginning of an object was read, and not its end. */
bool json_reader_is_within(const struct json_reader *reader);

void json_reader_release(struct json_reader *reader);

#endif
