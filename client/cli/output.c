/* SPDX-License-Identifier: Apache-2.0 */
#include "output.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* Longer than any key, label and reason together. */
#define LINE_SIZE 4096

/* A C1 control character is two bytes in UTF-8: C2 80 to C2 9F. */
static bool is_control(unsigned char byte, unsigned char next)
{
    return byte < 0x20 || byte == 0x7f || (byte == 0xc2 && next >= 0x80 && next <= 0x9f);
}

static void copy_printable(char *to, size_t size, const char *from)
{
    size_t used = 0;
    for (; *from != '\0' && used + 1 < size; from++) {
        const bool is_bad = is_control((unsigned char)from[0], (unsigned char)from[1]);
        if (is_bad && (unsigned char)*from == 0xc2) {
            from++;
        }
        to[used++] = *from;
        if (is_bad) {
            to[used - 1] = '?';
        }
    }
    to[used] = '\0';
}

void output_error(const char *format, ...)
{
    char text[LINE_SIZE];
    va_list values;
    va_start(values, format);
    vsnprintf(text, sizeof(text), format, values);
    va_end(values);
    fprintf(stderr, "holdfast: %s\n", text);
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
    char *text = object == NULL ? NULL : json_dumps(object, JSON_COMPACT);
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

/* The library then begins with the server's address; other reasons are the server's own words. */
static bool is_about_the_connection(const char *reason)
{
    static const char *const schemes[] = {"tcp://", "tls://", "unix://"};
    for (size_t i = 0; i < sizeof(schemes) / sizeof(schemes[0]); i++) {
        if (strncmp(reason, schemes[i], strlen(schemes[i])) == 0) {
            return true;
        }
    }
    return false;
}

int output_failure(enum holdfast_result result, const char *key, const char *error)
{
    const char *reason = error != NULL && *error != '\0' ? error : holdfast_result_text(result);
    output_error("%s: %s%s", key, reason,
                 is_about_the_connection(reason) ? "; is holdfastd running there?" : "");
    switch (result) {
    case HOLDFAST_INVALID:
        return EXIT_USAGE;
    case HOLDFAST_AWAY:
    case HOLDFAST_TIMEOUT:
    case HOLDFAST_LIMIT:
        return EXIT_AWAY;
    case HOLDFAST_BUSY:
        return EXIT_BUSY;
    case HOLDFAST_NOT_HELD:
        return EXIT_LOST;
    case HOLDFAST_OK:
    case HOLDFAST_REFUSED:
        break;
    }
    return EXIT_UNEXPECTED;
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

void output_holder_text(const char *key, const struct holdfast_holder *holder,
                        char text[OUTPUT_TEXT_SIZE])
{
    char label[HOLDFAST_LABEL_SIZE];
    char since[80];
    char left[OUTPUT_DURATION_SIZE + 8] = "no expiry";
    copy_printable(label, sizeof(label), holder->label);
    write_since(holder->since_ms, since, sizeof(since));
    if (holder->remaining_ms >= 0) {
        char duration[OUTPUT_DURATION_SIZE];
        output_duration(holder->remaining_ms, duration);
        snprintf(left, sizeof(left), "%s left", duration);
    }
    const char *who = holder->is_foreign ? "another program (not through Holdfast)"
                      : *label != '\0'   ? label
                                         : "somebody without a label";
    snprintf(text, OUTPUT_TEXT_SIZE, "%.128s is held by %s%s, %s", key, who, since, left);
}

json_t *output_holder_json(const struct holdfast_holder *holder)
{
    json_t *since_ms = holder->since_ms > 0 ? json_integer(holder->since_ms) : json_null();
    json_t *remaining_ms =
        holder->remaining_ms >= 0 ? json_integer(holder->remaining_ms) : json_null();
    return json_pack("{s:s, s:o, s:o, s:o, s:b}", "label", holder->label, "since_ms", since_ms,
                     "remaining_ms", remaining_ms, "fence", output_fence_json(holder->fence),
                     "foreign", holder->is_foreign);
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
