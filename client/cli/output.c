/* SPDX-License-Identifier: Apache-2.0 */
#include "output.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "text.h"

/* Longer than any key, label and reason together. */
#define LINE_SIZE 4096

void output_error(const char *format, ...)
{
    char text[LINE_SIZE];
    char clean[LINE_SIZE];
    va_list values;
    va_start(values, format);
    vsnprintf(text, sizeof(text), format, values);
    va_end(values);
    text_clean(clean, sizeof(clean), text);
    fprintf(stderr, "holdfast: %s\n", clean);
}

void output_line(const char *format, ...)
{
    va_list values;
    va_start(values, format);
    vprintf(format, values);
    va_end(values);
    putchar('\n');
    fflush(stdout);
}

void output_json(json_t *object)
{
    char *text = object == NULL ? NULL : json_dumps(object, JSON_COMPACT | JSON_ENCODE_ANY);
    json_decref(object);
    if (text == NULL) {
        output_error("Cannot write the JSON result: out of memory, or a text is not UTF-8.");
        return;
    }
    output_line("%s", text);
    free(text);
}

bool output_finish(void)
{
    if (fflush(stdout) == 0 && !ferror(stdout)) {
        return true;
    }
    output_error("Cannot write to standard output: %s.", strerror(errno));
    return false;
}

/* What the reason itself does not say. The library's own begin with the server's address, the
 * others are the server's words; one with a remedy has it after a semicolon. */
static const char *hint(const char *reason)
{
    if (strstr(reason, "with ca_file") != NULL) {
        return " (--ca-file)";
    }
    if (strchr(reason, ';') != NULL) {
        return "";
    }
    static const char *const schemes[] = {"tcp://", "tls://", "unix://"};
    for (size_t i = 0; i < sizeof(schemes) / sizeof(schemes[0]); i++) {
        if (strncmp(reason, schemes[i], strlen(schemes[i])) == 0) {
            return "; is holdfastd running there?";
        }
    }
    return "";
}

int output_failure(enum holdfast_result result, const char *key, const char *error)
{
    const char *reason = error != NULL && *error != '\0' ? error : holdfast_result_text(result);
    char shown[TEXT_KEY_SIZE];
    text_key(shown, key);
    output_error("%s: %s%s", shown, reason, hint(reason));
    switch (result) {
    case HOLDFAST_INVALID:
        return EXIT_USAGE;
    case HOLDFAST_AWAY:
    case HOLDFAST_TIMEOUT:
    case HOLDFAST_LIMIT:
        return EXIT_AWAY;
    case HOLDFAST_BUSY:
    case HOLDFAST_DEADLOCK:
        return EXIT_BUSY;
    case HOLDFAST_NOT_HELD:
        return EXIT_LOST;
    case HOLDFAST_OK:
    case HOLDFAST_REFUSED:
    case HOLDFAST_CANCELLED:
        break;
    }
    return EXIT_UNEXPECTED;
}

/* As https://grpc.io/docs/guides/status-codes/ has them. */
enum {
    INVALID_ARGUMENT = 3,
    DEADLINE_EXCEEDED,
    RESOURCE_EXHAUSTED = 8,
    ABORTED = 10,
    UNAVAILABLE = 14
};

static const char *const status_names[] = {
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
};

int output_status(int status, const char *what, const char *text)
{
    const size_t known = sizeof(status_names) / sizeof(status_names[0]);
    const bool is_known = status > 0 && (size_t)status < known;
    output_error("%s: %s: %s%s", what, is_known ? status_names[status] : "UNKNOWN", text,
                 hint(text));
    switch (status) {
    case INVALID_ARGUMENT:
        return EXIT_USAGE;
    case UNAVAILABLE:
    case DEADLINE_EXCEEDED:
    case RESOURCE_EXHAUSTED:
        return EXIT_AWAY;
    case ABORTED:
        return EXIT_BUSY;
    default:
        return EXIT_UNEXPECTED;
    }
}

static void write_since(int64_t since_ms, char *text, size_t size)
{
    const time_t seconds = (time_t)(since_ms / 1000);
    struct tm local;
    char when[64];
    text[0] = '\0';
    if (since_ms > 0 && localtime_r(&seconds, &local) != NULL &&
        strftime(when, sizeof(when), "%Y-%m-%d %H:%M:%S", &local) > 0) {
        snprintf(text, size, " since %s", when);
    }
}

void output_who(const struct holdfast_holder *holder, char text[OUTPUT_WHO_SIZE])
{
    char label[HOLDFAST_LABEL_SIZE];
    text_clean(label, sizeof(label), holder->label);
    const char *who = holder->is_foreign ? "another program (not through Holdfast)"
                      : *label != '\0'   ? label
                                         : "somebody without a label";
    if (holder->holders > 1) {
        snprintf(text, OUTPUT_WHO_SIZE, "%s and %u more", who, holder->holders - 1);
    } else {
        snprintf(text, OUTPUT_WHO_SIZE, "%s", who);
    }
}

void output_holder_text(const char *key, const struct holdfast_holder *holder,
                        char text[OUTPUT_TEXT_SIZE])
{
    char who[OUTPUT_WHO_SIZE];
    char since[80];
    char duration[OUTPUT_DURATION_SIZE];
    char left[OUTPUT_DURATION_SIZE + 8] = "no expiry";
    char shown[TEXT_KEY_SIZE];
    output_who(holder, who);
    text_key(shown, key);
    write_since(holder->since_ms, since, sizeof(since));
    if (holder->remaining_ms >= 0) {
        output_duration(holder->remaining_ms, duration);
        snprintf(left, sizeof(left), "%s left", duration);
    }
    if (holder->is_closed) {
        snprintf(text, OUTPUT_TEXT_SIZE, "%s is closed after its holder was lost, %s", shown, left);
        return;
    }
    snprintf(text, OUTPUT_TEXT_SIZE, "%s is held%s by %s%s, %s", shown,
             holder->mode == HOLDFAST_SHARED ? " (shared)" : "", who, since, left);
}

/* A value may be any bytes; what is not text is null. */
static json_t *value_json(const struct holdfast_holder *holder)
{
    json_t *value = holder->value_length > 0
                        ? json_stringn((const char *)holder->value, holder->value_length)
                        : NULL;
    return value != NULL ? value : json_null();
}

json_t *output_holder_json(const struct holdfast_holder *holder)
{
    json_t *since_ms = holder->since_ms > 0 ? json_integer(holder->since_ms) : json_null();
    json_t *remaining_ms =
        holder->remaining_ms >= 0 ? json_integer(holder->remaining_ms) : json_null();
    return json_pack("{s:s, s:o, s:o, s:o, s:b, s:b, s:s, s:I, s:o}", "label", holder->label,
                     "since_ms", since_ms, "remaining_ms", remaining_ms, "fence",
                     output_fence_json(holder->fence), "foreign", holder->is_foreign, "closed",
                     holder->is_closed, "mode", output_mode(holder->mode), "holders",
                     (json_int_t)holder->holders, "value", value_json(holder));
}

void output_value(const struct holdfast_holder *holder, char text[OUTPUT_TEXT_SIZE])
{
    char raw[OUTPUT_TEXT_SIZE / 2];
    char clean[OUTPUT_TEXT_SIZE / 2];
    text[0] = '\0';
    if (holder->value_length > 0) {
        const size_t room = sizeof(raw) - 1;
        const size_t length = holder->value_length < room ? holder->value_length : room;
        memcpy(raw, holder->value, length);
        raw[length] = '\0';
        text_clean(clean, sizeof(clean), raw);
        snprintf(text, OUTPUT_TEXT_SIZE, ", value \"%s\"", clean);
    }
}

const char *output_mode(enum holdfast_mode mode)
{
    return mode == HOLDFAST_SHARED ? "shared" : "exclusive";
}

json_t *output_fence_json(uint64_t fence)
{
    return fence > 0 ? json_integer((json_int_t)fence) : json_null();
}

void output_duration(int64_t ms, char text[OUTPUT_DURATION_SIZE])
{
    const long long s = ms / 1000;
    if (ms < 1000) {
        snprintf(text, OUTPUT_DURATION_SIZE, "%lld ms", (long long)ms);
    } else if (s < 60) {
        snprintf(text, OUTPUT_DURATION_SIZE, "%lld.%lld s", s, (long long)(ms % 1000 / 100));
    } else if (s < 3600) {
        snprintf(text, OUTPUT_DURATION_SIZE, "%lld min %lld s", s / 60, s % 60);
    } else {
        snprintf(text, OUTPUT_DURATION_SIZE, "%lld h %lld min", s / 3600, s % 3600 / 60);
    }
}

void output_token(const unsigned char token[HOLDFAST_TOKEN_SIZE], char text[OUTPUT_TOKEN_SIZE])
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < HOLDFAST_TOKEN_SIZE; i++) {
        text[2 * i] = digits[token[i] >> 4];
        text[2 * i + 1] = digits[token[i] & 15];
    }
    text[OUTPUT_TOKEN_SIZE - 1] = '\0';
}
