/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the user sees: results on stdout (text, or one JSON object a line), everything else on
 * stderr after "holdfast: ". What is not JSON is printable UTF-8, whatever keys and labels are made
 * of, and shows no more than the beginning of a long key.
 */
#ifndef HOLDFAST_CLI_OUTPUT_H
#define HOLDFAST_CLI_OUTPUT_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include <holdfast/holdfast.h>

/* The numbers of sysexits.h, so that scripts can tell these from the exit codes of a child. */
enum exit_code {
    EXIT_OK = 0,
    EXIT_USAGE = 64,
    EXIT_AWAY = 69,
    EXIT_UNEXPECTED = 70,
    EXIT_BUSY = 75,
    EXIT_LOST = 76,
    EXIT_NOT_EXECUTABLE = 126,
    EXIT_NOT_FOUND = 127,
    EXIT_SIGNAL = 128, /* plus the signal's number */
};

#define OUTPUT_TEXT_SIZE     640
#define OUTPUT_DURATION_SIZE 32
#define OUTPUT_WHO_SIZE      192
#define OUTPUT_TOKEN_SIZE    ((size_t)2 * HOLDFAST_TOKEN_SIZE + 1)

/* One line on stderr, cleaned. */
__attribute__((format(printf, 1, 2))) void output_error(const char *format, ...);

/* One line of text on stdout, at once. What is in it must be clean. */
__attribute__((format(printf, 1, 2))) void output_line(const char *format, ...);

/* One JSON object, or another value, as one line on stdout, at once. Takes the reference; NULL (out
 * of memory) is reported. */
void output_json(json_t *object);

/* False, after saying so, if something written to stdout was lost. Called once, at the end. */
bool output_finish(void);

/* Reports why a request about `key` failed and returns the exit code for it. `error` is what the
 * library says. */
int output_failure(enum holdfast_result result, const char *key, const char *error);

/* Likewise of a call that ended with a gRPC status other than 0. */
int output_status(int status, const char *what, const char *text);

/* "KEY is held by LABEL since ..., N s left", or why nobody can have it */
void output_holder_text(const char *key, const struct holdfast_holder *holder,
                        char text[OUTPUT_TEXT_SIZE]);

/* "LABEL", or what is known instead. */
void output_who(const struct holdfast_holder *holder, char text[OUTPUT_WHO_SIZE]);

/* {"label", "since_ms", "remaining_ms", "fence", "foreign", "closed", "mode", "holders", "value"};
 * unknown values are null. */
json_t *output_holder_json(const struct holdfast_holder *holder);

/* ", value \"...\"", cleaned, or "" where there is none. */
void output_value(const struct holdfast_holder *holder, char text[OUTPUT_TEXT_SIZE]);

/* "exclusive", "shared"; static text. */
const char *output_mode(enum holdfast_mode mode);

/* null for 0, which is no fence. */
json_t *output_fence_json(uint64_t fence);

/* "850 ms", "7.4 s", "3 min 20 s", "2 h 5 min": for people. */
void output_duration(int64_t ms, char text[OUTPUT_DURATION_SIZE]);

/* 32 hex digits and a NUL. */
void output_token(const unsigned char token[HOLDFAST_TOKEN_SIZE], char text[OUTPUT_TOKEN_SIZE]);

#endif
