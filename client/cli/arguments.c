/* SPDX-License-Identifier: Apache-2.0 */
#include "arguments.h"

#include <stdlib.h>
#include <string.h>

enum kind { KIND_FLAG, KIND_TEXT, KIND_DURATION, KIND_TOKEN };

#define ON(command) (1U << (command))
#define TAKERS      (ON(COMMAND_RUN) | ON(COMMAND_HOLD) | ON(COMMAND_TRY))
#define HOLDERS     (ON(COMMAND_RUN) | ON(COMMAND_HOLD))
#define PRINTERS                                                                                   \
    (ON(COMMAND_HOLD) | ON(COMMAND_TRY) | ON(COMMAND_RELEASE) | ON(COMMAND_RENEW) |                \
     ON(COMMAND_INSPECT))
#define CALLERS      (PRINTERS | ON(COMMAND_RUN))
#define EVERYWHERE   (~0U)
#define DAY_MS       ((int64_t)24 * 60 * 60 * 1000)
#define NAME_SIZE    32
#define OPTION_WIDTH 24

struct option {
    const char *name;
    const char *argument; /* NULL for a flag */
    enum kind kind;
    unsigned commands;       /* ON(...) of the commands that take it */
    size_t offset;           /* of the value in struct arguments */
    const char *environment; /* read when the option is not given; may be NULL */
    int64_t min, max;        /* KIND_DURATION */
    const char *help;
};

#define VALUE(member) offsetof(struct arguments, member)

static const struct option options[] = {
    {"ttl", "DURATION", KIND_DURATION, TAKERS | ON(COMMAND_RENEW), VALUE(ttl_ms), NULL, 100, DAY_MS,
     "how long the lease outlives its last renewal (default: the server's)"},
    {"label", "TEXT", KIND_TEXT, TAKERS, VALUE(label), NULL, 0, 0,
     "who holds, shown to whoever finds the lock busy (default: user@host:pid)"},
    {"heartbeat", "DURATION", KIND_DURATION, HOLDERS, VALUE(heartbeat_ms), NULL, 100, DAY_MS,
     "give the lock up if this process is frozen for that long"},
    {"kill-after", "DURATION", KIND_DURATION, ON(COMMAND_RUN), VALUE(kill_after_ms), NULL, 0,
     DAY_MS, "from SIGTERM to SIGKILL when the lease is lost (default: ttl/10, up to 1s)"},
    {"detached", NULL, KIND_FLAG, ON(COMMAND_TRY), VALUE(is_detached), NULL, 0, 0,
     "leave the lease behind: it lives until released or its ttl ends"},
    {"token", "HEX", KIND_TOKEN, ON(COMMAND_TRY) | ON(COMMAND_RELEASE) | ON(COMMAND_RENEW),
     VALUE(token), "HOLDFAST_TOKEN", 0, 0, "the lease's token, 32 hex digits"},
    {"json", NULL, KIND_FLAG, PRINTERS, VALUE(is_json), NULL, 0, 0,
     "print one JSON object a line instead of text"},
    {"quiet", NULL, KIND_FLAG, CALLERS, VALUE(is_quiet), NULL, 0, 0,
     "print errors and JSON only, nothing for the reader's comfort"},
    {"server", "URL", KIND_TEXT, CALLERS, VALUE(server), "HOLDFAST_SERVER", 0, 0,
     "tcp://HOST:PORT, tls://HOST:PORT or unix:///PATH"},
    {"timeout", "DURATION", KIND_DURATION, CALLERS, VALUE(timeout_ms), "HOLDFAST_TIMEOUT", 1,
     DAY_MS, "for connecting and for each answer (default: 5s)"},
    {"ca-file", "FILE", KIND_TEXT, CALLERS, VALUE(ca_file), "HOLDFAST_CA_FILE", 0, 0,
     "tls: authorities to trust, PEM (default: the system's)"},
    {"cert-file", "FILE", KIND_TEXT, CALLERS, VALUE(cert_file), "HOLDFAST_CERT_FILE", 0, 0,
     "tls: our certificate, if the server asks for one, PEM"},
    {"key-file", "FILE", KIND_TEXT, CALLERS, VALUE(key_file), "HOLDFAST_KEY_FILE", 0, 0,
     "tls: its key, PEM"},
    {"help", NULL, KIND_FLAG, EVERYWHERE, VALUE(wants_help), NULL, 0, 0, "print help and exit"},
    {"version", NULL, KIND_FLAG, EVERYWHERE, VALUE(wants_version), NULL, 0, 0,
     "print the version and exit"},
};

#define OPTION_COUNT (sizeof(options) / sizeof(options[0]))

static const char *const command_names[COMMAND_COUNT] = {
    [COMMAND_NONE] = "",     [COMMAND_RUN] = "run",         [COMMAND_HOLD] = "hold",
    [COMMAND_TRY] = "try",   [COMMAND_RELEASE] = "release", [COMMAND_RENEW] = "renew",
    [COMMAND_HELP] = "help", [COMMAND_INSPECT] = "inspect",
};

struct parser {
    struct arguments *arguments;
    char *const *next; /* the argument to read now; ends with NULL */
    bool is_given[OPTION_COUNT];
    bool has_ended_options; /* "--" was seen */
    char *error;
};

#define FAIL(parser, ...) (snprintf((parser)->error, ARGUMENTS_ERROR_SIZE, __VA_ARGS__), false)

static size_t smallest(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* Levenshtein distance of two names, or NAME_SIZE when one is too long to be a slip of the other.
 */
static size_t distance(const char *from, size_t from_length, const char *to)
{
    const size_t to_length = strlen(to);
    if (from_length >= NAME_SIZE || to_length >= NAME_SIZE) {
        return NAME_SIZE;
    }
    size_t row[NAME_SIZE];
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

static const char *nearest_option(const char *typed, size_t length)
{
    const char *nearest = NULL;
    size_t best = NAME_SIZE;
    for (size_t i = 0; i < OPTION_COUNT; i++) {
        if (is_nearer(typed, length, options[i].name, &best)) {
            nearest = options[i].name;
        }
    }
    return nearest;
}

static const char *nearest_command(const char *typed)
{
    const char *nearest = NULL;
    size_t best = NAME_SIZE;
    for (size_t i = COMMAND_NONE + 1; i < COMMAND_COUNT; i++) {
        if (is_nearer(typed, strlen(typed), command_names[i], &best)) {
            nearest = command_names[i];
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

static bool parse_token(const char *text, unsigned char token[HOLDFAST_TOKEN_SIZE])
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

/* `from` is what to call the source of the value: "--ttl" or "HOLDFAST_TTL". */
static bool set_duration(struct parser *parser, const struct option *option, const char *text,
                         const char *from)
{
    int64_t *value = (int64_t *)(void *)((char *)parser->arguments + option->offset);
    int64_t ms = 0;
    if (!arguments_parse_duration(text, &ms)) {
        return FAIL(parser, "%s: \"%.64s\" is not a duration; write 250ms, 3s, 5m or 2h.", from,
                    text);
    }
    if (ms < option->min || ms > option->max) {
        return FAIL(parser, "%s: %.64s is out of bounds; %lldms to %lldh are allowed.", from, text,
                    (long long)option->min, (long long)(option->max / 3600000));
    }
    *value = ms;
    return true;
}

static bool set_value(struct parser *parser, const struct option *option, const char *text,
                      const char *from)
{
    char *member = (char *)parser->arguments + option->offset;
    switch (option->kind) {
    case KIND_FLAG:
        *(bool *)(void *)member = true;
        break;
    case KIND_TEXT:
        *(const char **)(void *)member = text;
        break;
    case KIND_DURATION:
        return set_duration(parser, option, text, from);
    case KIND_TOKEN:
        /* The text is a secret, even a mistyped one: it is not repeated. */
        if (!parse_token(text, (unsigned char *)member)) {
            return FAIL(parser, "%s: a token is 32 hex digits, as `try --detached` prints it.",
                        from);
        }
        parser->arguments->has_token = true;
        break;
    }
    return true;
}

/* An option may come before its command. */
static const char *command_to_ask_about(const struct parser *parser)
{
    const enum command command = parser->arguments->command;
    return command == COMMAND_NONE || command == COMMAND_HELP ? "COMMAND" : command_names[command];
}

static bool fail_unknown_option(struct parser *parser, const char *name, size_t length)
{
    const char *nearest = nearest_option(name, length);
    if (nearest != NULL) {
        return FAIL(parser, "Unknown option --%.*s; did you mean --%s?", (int)smallest(length, 64),
                    name, nearest);
    }
    return FAIL(parser, "Unknown option --%.*s; `holdfast help %s` lists the options.",
                (int)smallest(length, 64), name, command_to_ask_about(parser));
}

/* `text` follows the two dashes. */
static bool parse_long_option(struct parser *parser, const char *text)
{
    const size_t length = strcspn(text, "=");
    size_t i = 0;
    while (i < OPTION_COUNT &&
           (strlen(options[i].name) != length || strncmp(options[i].name, text, length) != 0)) {
        i++;
    }
    if (i == OPTION_COUNT) {
        return fail_unknown_option(parser, text, length);
    }
    char from[NAME_SIZE];
    snprintf(from, sizeof(from), "--%s", options[i].name);
    const char *value = text[length] == '=' ? text + length + 1 : NULL;
    if (options[i].kind == KIND_FLAG && value != NULL) {
        return FAIL(parser, "%s takes no value.", from);
    }
    if (options[i].kind != KIND_FLAG && value == NULL) {
        value = *parser->next;
        if (value == NULL) {
            return FAIL(parser, "%s needs a value: %s %s.", from, from, options[i].argument);
        }
        parser->next++;
    }
    parser->is_given[i] = true;
    return set_value(parser, &options[i], value, from);
}

static bool parse_option(struct parser *parser, const char *text)
{
    if (strncmp(text, "--", 2) == 0) {
        return parse_long_option(parser, text + 2);
    }
    if (strcmp(text, "-h") == 0) {
        return parse_long_option(parser, "help");
    }
    return FAIL(parser, "Unknown option %.64s; `holdfast help %s` lists the options.", text,
                command_to_ask_about(parser));
}

static bool parse_command(struct parser *parser, const char *text, enum command *command)
{
    for (size_t i = COMMAND_NONE + 1; i < COMMAND_COUNT; i++) {
        if (strcmp(command_names[i], text) == 0) {
            *command = (enum command)i;
            return true;
        }
    }
    const char *nearest = nearest_command(text);
    if (nearest != NULL) {
        return FAIL(parser, "Unknown command \"%.64s\"; did you mean \"%s\"?", text, nearest);
    }
    return FAIL(parser, "Unknown command \"%.64s\"; `holdfast --help` lists the commands.", text);
}

static bool parse_operand(struct parser *parser, const char *text)
{
    struct arguments *arguments = parser->arguments;
    if (arguments->command == COMMAND_NONE) {
        return parse_command(parser, text, &arguments->command);
    }
    if (arguments->command == COMMAND_HELP && arguments->topic == COMMAND_NONE) {
        return parse_command(parser, text, &arguments->topic);
    }
    if (arguments->command != COMMAND_HELP && arguments->key == NULL) {
        arguments->key = text;
        return true;
    }
    if (arguments->command == COMMAND_RUN) {
        return FAIL(parser,
                    "Write \"--\" between the key and the command: "
                    "holdfast run %.40s -- %.64s ...",
                    arguments->key, text);
    }
    return FAIL(parser, "Unexpected argument \"%.64s\"; `holdfast help %s` shows the usage.", text,
                arguments_command_name(arguments->command));
}

static bool parse_all(struct parser *parser)
{
    while (*parser->next != NULL) {
        const char *text = *parser->next++;
        if (strcmp(text, "--") == 0 && !parser->has_ended_options) {
            if (parser->arguments->command == COMMAND_RUN) {
                parser->arguments->program = parser->next;
                return true;
            }
            parser->has_ended_options = true;
            continue;
        }
        const bool is_option = text[0] == '-' && text[1] != '\0' && !parser->has_ended_options;
        if (!(is_option ? parse_option(parser, text) : parse_operand(parser, text))) {
            return false;
        }
    }
    return true;
}

/* An empty variable counts as unset, as scripts clear variables that way. */
static bool read_environment(struct parser *parser)
{
    for (size_t i = 0; i < OPTION_COUNT; i++) {
        const struct option *option = &options[i];
        if (option->environment == NULL || parser->is_given[i] ||
            (option->commands & ON(parser->arguments->command)) == 0) {
            continue;
        }
        const char *text = getenv(option->environment);
        if (text != NULL && *text != '\0' &&
            !set_value(parser, option, text, option->environment)) {
            return false;
        }
    }
    return true;
}

static bool check_options_fit(struct parser *parser)
{
    const enum command command = parser->arguments->command;
    for (size_t i = 0; i < OPTION_COUNT; i++) {
        if (parser->is_given[i] && (options[i].commands & ON(command)) == 0) {
            return FAIL(parser, "--%s does not go with %s; `holdfast help %s` lists what does.",
                        options[i].name, command_names[command], command_names[command]);
        }
    }
    return true;
}

static bool check_operands(struct parser *parser)
{
    const struct arguments *arguments = parser->arguments;
    const char *name = command_names[arguments->command];
    const bool has_program = arguments->program != NULL && arguments->program[0] != NULL;
    if (arguments->command == COMMAND_NONE) {
        return FAIL(parser, "A command is missing; `holdfast --help` lists the commands.");
    }
    if (arguments->command == COMMAND_HELP) {
        return true;
    }
    if (arguments->key == NULL || *arguments->key == '\0') {
        return FAIL(parser, "%s needs a key: the name of the lock.", name);
    }
    if (arguments->command == COMMAND_RUN && !has_program) {
        return FAIL(parser, "run needs a command to start: holdfast run %.40s -- COMMAND ...",
                    arguments->key);
    }
    return true;
}

static bool check_token(struct parser *parser)
{
    struct arguments *arguments = parser->arguments;
    const bool needs_token =
        arguments->command == COMMAND_RELEASE || arguments->command == COMMAND_RENEW;
    if (needs_token && !arguments->has_token) {
        return FAIL(parser, "%s needs the lease's token: --token HEX, or HOLDFAST_TOKEN.",
                    command_names[arguments->command]);
    }
    if (arguments->command == COMMAND_TRY && !arguments->is_detached) {
        for (size_t i = 0; i < OPTION_COUNT; i++) {
            if (options[i].kind == KIND_TOKEN && parser->is_given[i]) {
                return FAIL(parser, "--token goes with try --detached only.");
            }
        }
        arguments->has_token = false;
    }
    return true;
}

static void note_origins(struct parser *parser)
{
    for (size_t i = 0; i < OPTION_COUNT; i++) {
        if (options[i].offset == VALUE(server)) {
            parser->arguments->is_server_flag = parser->is_given[i];
        }
    }
}

bool arguments_parse(struct arguments *arguments, int argc, char *const *argv,
                     char error[ARGUMENTS_ERROR_SIZE])
{
    *arguments = (struct arguments){.kill_after_ms = -1};
    struct parser parser = {
        .arguments = arguments, .next = argc > 0 ? argv + 1 : argv, .error = error};
    error[0] = '\0';
    if (!parse_all(&parser)) {
        return false;
    }
    if (arguments->wants_help || arguments->wants_version) {
        return true;
    }
    note_origins(&parser);
    return check_operands(&parser) && check_options_fit(&parser) && read_environment(&parser) &&
           check_token(&parser);
}

const char *arguments_command_name(enum command command)
{
    return command_names[command];
}

void arguments_write_options(enum command command, FILE *out)
{
    for (size_t i = 0; i < OPTION_COUNT; i++) {
        const struct option *option = &options[i];
        if ((option->commands & ON(command)) == 0) {
            continue;
        }
        char name[2 * NAME_SIZE];
        snprintf(name, sizeof(name), "--%s%s%s", option->name, option->argument != NULL ? " " : "",
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
