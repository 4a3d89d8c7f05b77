/* SPDX-License-Identifier: Apache-2.0 */
#include "option.h"

#include <stdio.h>
#include <string.h>

#include "load.h"

#define ON(command) OPTION_ON(command)
#define PROGRAMS    (ON(COMMAND_RUN) | ON(COMMAND_ELECT))
#define TAKERS      (ON(COMMAND_RUN) | ON(COMMAND_HOLD) | ON(COMMAND_TRY))
#define KEEPERS     (PROGRAMS | ON(COMMAND_HOLD) | ON(COMMAND_RESUME))
#define VIEWERS     (ON(COMMAND_WATCH) | ON(COMMAND_LS) | ON(COMMAND_INSPECT))
#define PRINTERS                                                                                   \
    (ON(COMMAND_HOLD) | ON(COMMAND_RESUME) | ON(COMMAND_TRY) | ON(COMMAND_RELEASE) |               \
     ON(COMMAND_RENEW) | VIEWERS)
#define CALLERS      (PRINTERS | PROGRAMS | ON(COMMAND_TOP) | ON(COMMAND_BENCH) | GENERIC)
#define GENERIC      (ON(COMMAND_LIST) | ON(COMMAND_DESCRIBE) | ON(COMMAND_CALL))
#define EVERYWHERE   (~0U)
#define DAY_MS       ((int64_t)24 * 60 * 60 * 1000)
#define OPTION_WIDTH 24

#define VALUE(member) offsetof(struct arguments, member)

const struct option option_table[] = {
    {"ttl", "DURATION", OPTION_DURATION, TAKERS | KEEPERS | ON(COMMAND_RENEW) | ON(COMMAND_BENCH),
     VALUE(ttl_ms), NULL, 100, DAY_MS,
     "how long the lease outlives its last renewal (default: the server's)"},
    {"label", "TEXT", OPTION_TEXT, TAKERS | PROGRAMS, VALUE(label), NULL, 0, 0,
     "who holds, shown to whoever finds the lock busy (default: user@host:pid)"},
    {"wait", "[=DURATION]", OPTION_WAIT, TAKERS, VALUE(wait_ms), NULL, 0, DAY_MS,
     "wait for the lock; without a duration for as long as it takes, up to a day"},
    {"shared", NULL, OPTION_FLAG, TAKERS, VALUE(is_shared), NULL, 0, 0,
     "hold it together with others who say --shared"},
    {"limit", "N", OPTION_COUNT, TAKERS, VALUE(limit), NULL, 1, 1000000,
     "with --shared: at most N holders at a time"},
    {"key", "KEY", OPTION_KEY, TAKERS, VALUE(keys), NULL, 0, 0,
     "one more lock: all are taken or none; may be repeated"},
    {"value", "TEXT", OPTION_TEXT, TAKERS | ON(COMMAND_ELECT), VALUE(value), NULL, 0, 0,
     "shown to whoever inspects or watches the lock"},
    {"grace", "DURATION", OPTION_DURATION, KEEPERS, VALUE(grace_ms), NULL, 0, DAY_MS,
     "keep the lease that long while the connection is away (default: 0)"},
    {"lock-delay", "DURATION", OPTION_DURATION, TAKERS | KEEPERS, VALUE(lock_delay_ms), NULL, 0,
     DAY_MS, "keep the lock closed that long when the lease is lost"},
    {"max-hold", "DURATION", OPTION_DURATION, KEEPERS, VALUE(max_hold_ms), NULL, 0, DAY_MS,
     "lose the lease at the latest that long after its grant"},
    {"heartbeat", "DURATION", OPTION_DURATION, KEEPERS, VALUE(heartbeat_ms), NULL, 100, DAY_MS,
     "give the lock up if this process is frozen for that long"},
    {"kill-after", "DURATION", OPTION_DURATION, PROGRAMS, VALUE(kill_after_ms), NULL, 0, DAY_MS,
     "from SIGTERM to SIGKILL when the lease is lost (default: ttl/10, up to 1s)"},
    {"detached", NULL, OPTION_FLAG, ON(COMMAND_TRY), VALUE(is_detached), NULL, 0, 0,
     "leave the lease behind: it lives until released or its ttl ends"},
    {"token", "HEX", OPTION_TOKEN,
     ON(COMMAND_TRY) | ON(COMMAND_RELEASE) | ON(COMMAND_RENEW) | ON(COMMAND_RESUME), VALUE(token),
     "HOLDFAST_TOKEN", 0, 0, "the lease's token, 32 hex digits"},
    {"fleet", NULL, OPTION_FLAG, ON(COMMAND_LS), VALUE(is_fleet), NULL, 0, 0,
     "what Redis has, whichever server's clients hold it"},
    {"once", NULL, OPTION_FLAG, ON(COMMAND_TOP), VALUE(is_once), NULL, 0, 0,
     "print one picture and exit"},
    {"mix", "MIX", OPTION_TEXT, ON(COMMAND_BENCH), VALUE(mix), NULL, 0, 0,
     "pairs, hot or hold: see below (default: pairs)"},
    {"connections", "N", OPTION_COUNT, ON(COMMAND_BENCH), VALUE(connections), NULL, 1,
     LOAD_CONNECTIONS_MAX, "how many connections to make (default: 16)"},
    {"depth", "N", OPTION_COUNT, ON(COMMAND_BENCH), VALUE(depth), NULL, 1, LOAD_DEPTH_MAX,
     "how many locks each of them takes side by side (default: 1)"},
    {"duration", "DURATION", OPTION_DURATION, ON(COMMAND_BENCH), VALUE(duration_ms), NULL, 1,
     DAY_MS, "end after that long (default: 10s)"},
    {"count", "N", OPTION_COUNT, ON(COMMAND_BENCH), VALUE(count), NULL, 1, 1000000000000,
     "end after so many operations, if that is sooner"},
    {"rate", "N", OPTION_COUNT, ON(COMMAND_BENCH), VALUE(rate), NULL, 1, 10000000,
     "start so many operations a second, whether or not others are done"},
    {"json", NULL, OPTION_FLAG, PRINTERS | ON(COMMAND_BENCH), VALUE(is_json), NULL, 0, 0,
     "print one JSON object a line instead of text"},
    {"data", "JSON", OPTION_TEXT, ON(COMMAND_CALL), VALUE(data), NULL, 0, 0,
     "what is sent: JSON, @FILE, or - for standard input"},
    {"header", "TEXT", OPTION_HEADER, GENERIC, VALUE(headers), NULL, 0, 0,
     "\"NAME: VALUE\", sent along as metadata; may be repeated"},
    {"deadline", "DURATION", OPTION_DURATION, ON(COMMAND_CALL), VALUE(deadline_ms), NULL, 1, DAY_MS,
     "end the call after that long, whatever it waits for (default: never)"},
    {"grpc", NULL, OPTION_FLAG, GENERIC, VALUE(is_grpc), NULL, 0, 0,
     "speak gRPC instead of ttRPC, with any server that has reflection"},
    {"quiet", NULL, OPTION_FLAG, CALLERS & ~GENERIC, VALUE(is_quiet), NULL, 0, 0,
     "print errors and JSON only, nothing for the reader's comfort"},
    {"server", "URL", OPTION_TEXT, CALLERS, VALUE(server), "HOLDFAST_SERVER", 0, 0,
     "tcp://HOST:PORT, tls://HOST:PORT or unix:///PATH"},
    {"timeout", "DURATION", OPTION_DURATION, CALLERS, VALUE(timeout_ms), "HOLDFAST_TIMEOUT", 1,
     DAY_MS, "for connecting and for each answer (default: 5s)"},
    {"ca-file", "FILE", OPTION_TEXT, CALLERS, VALUE(ca_file), "HOLDFAST_CA_FILE", 0, 0,
     "tls: authorities to trust, PEM (default: the system's)"},
    {"cert-file", "FILE", OPTION_TEXT, CALLERS, VALUE(cert_file), "HOLDFAST_CERT_FILE", 0, 0,
     "tls: our certificate, if the server asks for one, PEM"},
    {"key-file", "FILE", OPTION_TEXT, CALLERS, VALUE(key_file), "HOLDFAST_KEY_FILE", 0, 0,
     "tls: its key, PEM"},
    {"help", NULL, OPTION_FLAG, EVERYWHERE, VALUE(wants_help), NULL, 0, 0, "print help and exit"},
    {"version", NULL, OPTION_FLAG, EVERYWHERE, VALUE(wants_version), NULL, 0, 0,
     "print the version and exit"},
};

const size_t option_count = sizeof(option_table) / sizeof(option_table[0]);

_Static_assert(sizeof(option_table) / sizeof(option_table[0]) < OPTION_MAX, "OPTION_MAX");

bool option_find(const char *name, size_t length, size_t *index)
{
    for (size_t i = 0; i < option_count; i++) {
        if (strlen(option_table[i].name) == length &&
            strncmp(option_table[i].name, name, length) == 0) {
            *index = i;
            return true;
        }
    }
    return false;
}

static const struct {
    char letter;
    const char *name;
} letters[] = {{'d', "data"}, {'H', "header"}, {'h', "help"}};

#define LETTER_COUNT (sizeof(letters) / sizeof(letters[0]))

bool option_find_letter(char letter, size_t *index)
{
    for (size_t i = 0; i < LETTER_COUNT; i++) {
        if (letters[i].letter == letter) {
            return option_find(letters[i].name, strlen(letters[i].name), index);
        }
    }
    return false;
}

char option_letter(size_t index)
{
    for (size_t i = 0; i < LETTER_COUNT; i++) {
        if (strcmp(letters[i].name, option_table[index].name) == 0) {
            return letters[i].letter;
        }
    }
    return '\0';
}

static size_t smallest(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* Levenshtein distance of two names, or OPTION_NAME_SIZE when one is too long to be a slip of the
 * other.
 */
static size_t distance(const char *from, size_t from_length, const char *to)
{
    const size_t to_length = strlen(to);
    if (from_length >= OPTION_NAME_SIZE || to_length >= OPTION_NAME_SIZE) {
        return OPTION_NAME_SIZE;
    }
    size_t row[OPTION_NAME_SIZE];
    for (size_t j = 0; j <= to_length; j++) {
        row[j] = j;
    }
    for (size_t i = 1; i <= from_length; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= to_length; j++) {
            const size_t replaced = diagonal + (from[i - 1] == to[j - 1] ? 0 : 1);
            diagonal = row[j];
            row[j] = smallest(replaced, smallest(row[j], row[j - 1]) + 1);
        }
    }
    return row[to_length];
}

/* Whether `candidate` is nearer to what was typed than anything before, and near enough to mean. */
static bool is_nearer(const char *typed, size_t length, const char *candidate, size_t *best)
{
    const size_t steps = distance(typed, length, candidate);
    if (steps >= *best || steps > 1 + strlen(candidate) / 3) {
        return false;
    }
    *best = steps;
    return true;
}

const char *option_nearest(const char *typed, size_t length)
{
    const char *nearest = NULL;
    size_t best = OPTION_NAME_SIZE;
    for (size_t i = 0; i < option_count; i++) {
        if (is_nearer(typed, length, option_table[i].name, &best)) {
            nearest = option_table[i].name;
        }
    }
    return nearest;
}

const char *option_nearest_command(const char *typed)
{
    const char *nearest = NULL;
    size_t best = OPTION_NAME_SIZE;
    for (size_t i = COMMAND_NONE + 1; i < COMMAND_COUNT; i++) {
        if (is_nearer(typed, strlen(typed), arguments_command_name((enum command)i), &best)) {
            nearest = arguments_command_name((enum command)i);
        }
    }
    return nearest;
}

static int hex_digit(char c)
{
    static const char digits[] = "0123456789abcdefABCDEF";
    const char *found = c == '\0' ? NULL : strchr(digits, c);
    const int digit = found == NULL ? -1 : (int)(found - digits);
    return digit > 15 ? digit - 6 : digit;
}

bool option_parse_token(const char *text, unsigned char token[HOLDFAST_TOKEN_SIZE])
{
    if (strlen(text) != (size_t)2 * HOLDFAST_TOKEN_SIZE) {
        return false;
    }
    for (size_t i = 0; i < HOLDFAST_TOKEN_SIZE; i++) {
        const int high = hex_digit(text[2 * i]);
        const int low = hex_digit(text[2 * i + 1]);
        if (high < 0 || low < 0) {
            return false;
        }
        token[i] = (unsigned char)(high << 4 | low);
    }
    return true;
}

bool option_parse_count(const char *text, int64_t *count)
{
    int64_t value = 0;
    const char *end = text;
    for (; *end >= '0' && *end <= '9' && value < INT64_MAX / 100; end++) {
        value = value * 10 + (*end - '0');
    }
    if (end == text || *end != '\0') {
        return false;
    }
    *count = value;
    return true;
}

void arguments_write_options(enum command command, FILE *out)
{
    for (size_t i = 0; i < option_count; i++) {
        const struct option *option = &option_table[i];
        if ((option->commands & ON(command)) == 0) {
            continue;
        }
        const bool has_space = option->argument != NULL && option->kind != OPTION_WAIT;
        const char *separator = has_space ? " " : "";
        char name[2 * OPTION_NAME_SIZE];
        char letter[8] = "";
        if (option_letter(i) != '\0') {
            snprintf(letter, sizeof(letter), "-%c, ", option_letter(i));
        }
        snprintf(name, sizeof(name), "%s--%s%s%s", letter, option->name, separator,
                 option->argument != NULL ? option->argument : "");
        fprintf(out, "  %-*s %s", OPTION_WIDTH - 2, name, option->help);
        if (option->environment != NULL) {
            fprintf(out, " [%s]", option->environment);
        }
        fputc('\n', out);
    }
}

bool arguments_parse_duration(const char *text, int64_t *ms)
{
    static const struct {
        const char *name;
        int64_t ms;
    } units[] = {{"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}};
    int64_t count = 0;
    const char *end = text;
    for (; *end >= '0' && *end <= '9'; end++) {
        if (count > (INT64_MAX / 3600000 - 9) / 10) {
            return false;
        }
        count = count * 10 + (*end - '0');
    }
    if (end == text) {
        return false;
    }
    if (strcmp(end, "") == 0 && count == 0) {
        *ms = 0;
        return true;
    }
    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
        if (strcmp(end, units[i].name) == 0) {
            *ms = count * units[i].ms;
            return true;
        }
    }
    return false;
}
