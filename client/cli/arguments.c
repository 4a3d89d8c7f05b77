/* SPDX-License-Identifier: Apache-2.0 */
#include "arguments.h"

#include <stdlib.h>
#include <string.h>

#include "option.h"

static const char *const command_names[COMMAND_COUNT] = {
    [COMMAND_NONE] = "",         [COMMAND_RUN] = "run",
    [COMMAND_HOLD] = "hold",     [COMMAND_TRY] = "try",
    [COMMAND_RESUME] = "resume", [COMMAND_RELEASE] = "release",
    [COMMAND_RENEW] = "renew",   [COMMAND_INSPECT] = "inspect",
    [COMMAND_WATCH] = "watch",   [COMMAND_LS] = "ls",
    [COMMAND_TOP] = "top",       [COMMAND_ELECT] = "elect",
    [COMMAND_LIST] = "list",     [COMMAND_DESCRIBE] = "describe",
    [COMMAND_CALL] = "call",     [COMMAND_COMPLETION] = "completion",
    [COMMAND_BENCH] = "bench",   [COMMAND_HELP] = "help",
};

struct parser {
    struct arguments *arguments;
    char *const *next; /* the argument to read now; ends with NULL */
    bool is_given[OPTION_MAX];
    bool has_ended_options; /* "--" was seen */
    bool has_bare_wait;     /* the argument before was --wait without a value */
    char *error;
};

#define FAIL(parser, ...) (snprintf((parser)->error, ARGUMENTS_ERROR_SIZE, __VA_ARGS__), false)

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

/* Without a value the wait is as long as it may be. */
static bool set_wait(struct parser *parser, const struct option *option, const char *text,
                     const char *from)
{
    if (text != NULL) {
        return set_duration(parser, option, text, from);
    }
    parser->arguments->wait_ms = option->max;
    return true;
}

static bool set_count(struct parser *parser, const struct option *option, const char *text,
                      const char *from)
{
    int64_t *value = (int64_t *)(void *)((char *)parser->arguments + option->offset);
    if (!option_parse_count(text, value) || *value < option->min || *value > option->max) {
        return FAIL(parser, "%s: \"%.64s\" is not a number from %lld to %lld.", from, text,
                    (long long)option->min, (long long)option->max);
    }
    return true;
}

static bool add_key(struct parser *parser, const char *text)
{
    struct arguments *arguments = parser->arguments;
    if (arguments->key_count == HOLDFAST_KEYS_MAX) {
        return FAIL(parser, "--key: at most %d locks can be taken at once.", HOLDFAST_KEYS_MAX);
    }
    arguments->keys[arguments->key_count++] = text;
    return true;
}

static bool add_header(struct parser *parser, const char *text)
{
    struct arguments *arguments = parser->arguments;
    if (text[0] == ':' || strchr(text, ':') == NULL) {
        return FAIL(parser, "--header: \"%.64s\" is not \"NAME: VALUE\".", text);
    }
    if (arguments->header_count == HOLDFAST_HEADERS_MAX) {
        return FAIL(parser, "--header: at most %d can be sent.", HOLDFAST_HEADERS_MAX);
    }
    arguments->headers[arguments->header_count++] = text;
    return true;
}

static bool set_value(struct parser *parser, const struct option *option, const char *text,
                      const char *from)
{
    char *member = (char *)parser->arguments + option->offset;
    switch (option->kind) {
    case OPTION_FLAG:
        *(bool *)(void *)member = true;
        break;
    case OPTION_TEXT:
        *(const char **)(void *)member = text;
        break;
    case OPTION_DURATION:
        return set_duration(parser, option, text, from);
    case OPTION_WAIT:
        return set_wait(parser, option, text, from);
    case OPTION_COUNT:
        return set_count(parser, option, text, from);
    case OPTION_KEY:
        return add_key(parser, text);
    case OPTION_HEADER:
        return add_header(parser, text);
    case OPTION_TOKEN:
        /* The text is a secret, even a mistyped one: it is not repeated. */
        if (!option_parse_token(text, (unsigned char *)member)) {
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

static int shown_length(size_t length)
{
    return length < 64 ? (int)length : 64;
}

static bool fail_unknown_option(struct parser *parser, const char *name, size_t length)
{
    const char *nearest = option_nearest(name, length);
    if (nearest != NULL) {
        return FAIL(parser, "Unknown option --%.*s; did you mean --%s?", shown_length(length), name,
                    nearest);
    }
    return FAIL(parser, "Unknown option --%.*s; `holdfast help %s` lists the options.",
                shown_length(length), name, command_to_ask_about(parser));
}

/* `value` is what follows the "=", or NULL; takes the next argument where one is needed. */
static bool find_value(struct parser *parser, const struct option *option, const char **value)
{
    const bool needs_value = option->kind != OPTION_FLAG && option->kind != OPTION_WAIT;
    if (option->kind == OPTION_FLAG && *value != NULL) {
        return FAIL(parser, "--%s takes no value.", option->name);
    }
    if (needs_value && *value == NULL) {
        *value = *parser->next;
        if (*value == NULL) {
            return FAIL(parser, "--%s needs a value: --%s %s.", option->name, option->name,
                        option->argument);
        }
        parser->next++;
    }
    return true;
}

/* `value` is what follows the "=", or NULL. */
static bool take_option(struct parser *parser, size_t i, const char *value)
{
    const struct option *option = &option_table[i];
    char from[OPTION_NAME_SIZE + 2];
    snprintf(from, sizeof(from), "--%s", option->name);
    if (!find_value(parser, option, &value)) {
        return false;
    }
    parser->is_given[i] = true;
    parser->has_bare_wait = option->kind == OPTION_WAIT && value == NULL;
    return set_value(parser, option, value, from);
}

/* `text` follows the two dashes. */
static bool parse_long_option(struct parser *parser, const char *text)
{
    const size_t length = strcspn(text, "=");
    size_t i = 0;
    if (!option_find(text, length, &i)) {
        return fail_unknown_option(parser, text, length);
    }
    return take_option(parser, i, text[length] == '=' ? text + length + 1 : NULL);
}

static bool parse_option(struct parser *parser, const char *text)
{
    if (strncmp(text, "--", 2) == 0) {
        return parse_long_option(parser, text + 2);
    }
    size_t i = 0;
    if (text[2] == '\0' && option_find_letter(text[1], &i)) {
        return take_option(parser, i, NULL);
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
    const char *nearest = option_nearest_command(text);
    if (nearest != NULL) {
        return FAIL(parser, "Unknown command \"%.64s\"; did you mean \"%s\"?", text, nearest);
    }
    return FAIL(parser, "Unknown command \"%.64s\"; `holdfast --help` lists the commands.", text);
}

static bool takes_program(enum command command)
{
    return command == COMMAND_RUN || command == COMMAND_ELECT;
}

static bool takes_key(enum command command)
{
    return command != COMMAND_HELP && command != COMMAND_TOP && command != COMMAND_BENCH;
}

static bool parse_operand(struct parser *parser, const char *text)
{
    struct arguments *arguments = parser->arguments;
    int64_t ms = 0;
    if (parser->has_bare_wait && arguments_parse_duration(text, &ms)) {
        return FAIL(parser, "Write the duration behind a \"=\": --wait=%.32s.", text);
    }
    parser->has_bare_wait = false;
    if (arguments->command == COMMAND_NONE) {
        return parse_command(parser, text, &arguments->command);
    }
    if (arguments->command == COMMAND_HELP && arguments->topic == COMMAND_NONE) {
        return parse_command(parser, text, &arguments->topic);
    }
    if (takes_key(arguments->command) && arguments->key == NULL) {
        arguments->key = text;
        return true;
    }
    if (arguments->command == COMMAND_CALL && arguments->data == NULL) {
        arguments->data = text;
        return true;
    }
    if (takes_program(arguments->command)) {
        return FAIL(parser,
                    "Write \"--\" between the key and the command: "
                    "holdfast %s %.40s -- %.64s ...",
                    command_names[arguments->command], arguments->key, text);
    }
    return FAIL(parser, "Unexpected argument \"%.64s\"; `holdfast help %s` shows the usage.", text,
                arguments_command_name(arguments->command));
}

static bool parse_all(struct parser *parser)
{
    while (*parser->next != NULL) {
        const char *text = *parser->next++;
        if (strcmp(text, "--") == 0 && !parser->has_ended_options) {
            if (takes_program(parser->arguments->command)) {
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
    for (size_t i = 0; i < option_count; i++) {
        const struct option *option = &option_table[i];
        if (option->environment == NULL || parser->is_given[i] ||
            (option->commands & OPTION_ON(parser->arguments->command)) == 0) {
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
    for (size_t i = 0; i < option_count; i++) {
        if (parser->is_given[i] && (option_table[i].commands & OPTION_ON(command)) == 0) {
            return FAIL(parser, "--%s does not go with %s; `holdfast help %s` lists what does.",
                        option_table[i].name, command_names[command], command_names[command]);
        }
    }
    return true;
}

/* The key in front of the options and those of --key are one set. */
static bool gather_keys(struct parser *parser)
{
    struct arguments *arguments = parser->arguments;
    if (arguments->key_count > 0 && arguments->key != NULL) {
        if (!add_key(parser, arguments->key)) {
            return false;
        }
        memmove(arguments->keys + 1, arguments->keys,
                (arguments->key_count - 1) * sizeof(arguments->keys[0]));
        arguments->keys[0] = arguments->key;
    }
    if (arguments->key_count > 0) {
        arguments->key = arguments->keys[0];
    }
    if (arguments->key_count == 1) {
        arguments->key_count = 0;
    }
    return true;
}

static bool check_operands(struct parser *parser)
{
    const struct arguments *arguments = parser->arguments;
    const enum command command = arguments->command;
    const char *name = command_names[command];
    const bool has_program = arguments->program != NULL && arguments->program[0] != NULL;
    if (command == COMMAND_NONE) {
        return FAIL(parser, "A command is missing; `holdfast --help` lists the commands.");
    }
    if (!takes_key(command) || command == COMMAND_LS || command == COMMAND_LIST ||
        command == COMMAND_DESCRIBE) {
        return true;
    }
    if (arguments->key == NULL && command == COMMAND_CALL) {
        return FAIL(parser, "call needs a method: holdfast call SERVICE/METHOD; `holdfast list` "
                            "shows the services.");
    }
    if (arguments->key == NULL && command == COMMAND_COMPLETION) {
        return FAIL(parser, "completion needs a shell: bash or zsh.");
    }
    if (arguments->key == NULL || *arguments->key == '\0') {
        return FAIL(parser, "%s needs a key: the name of the lock.", name);
    }
    if (takes_program(command) && !has_program) {
        return FAIL(parser, "%s needs a command to start: holdfast %s %.40s -- COMMAND ...", name,
                    name, arguments->key);
    }
    return true;
}

static bool check_bench(struct parser *parser)
{
    const struct arguments *arguments = parser->arguments;
    const char *mix = arguments->mix;
    if (mix == NULL) {
        return true;
    }
    if (strcmp(mix, "pairs") != 0 && strcmp(mix, "hot") != 0 && strcmp(mix, "hold") != 0) {
        return FAIL(parser, "--mix: \"%.64s\" is not one of pairs, hot and hold.", mix);
    }
    if (strcmp(mix, "hot") == 0 && arguments->depth > 1) {
        return FAIL(parser, "--depth: with --mix hot each connection waits once; give more "
                            "--connections.");
    }
    return true;
}

static bool check_together(struct parser *parser)
{
    const struct arguments *arguments = parser->arguments;
    if (arguments->limit > 0 && !arguments->is_shared) {
        return FAIL(parser, "--limit goes with --shared only.");
    }
    if (arguments->command == COMMAND_ELECT && arguments->value == NULL) {
        return FAIL(parser,
                    "elect needs what to show of the leader, an address say: --value TEXT.");
    }
    return check_bench(parser);
}

static bool check_token(struct parser *parser)
{
    struct arguments *arguments = parser->arguments;
    const bool needs_token = arguments->command == COMMAND_RELEASE ||
                             arguments->command == COMMAND_RENEW ||
                             arguments->command == COMMAND_RESUME;
    if (needs_token && !arguments->has_token) {
        return FAIL(parser, "%s needs the lease's token: --token HEX, or HOLDFAST_TOKEN.",
                    command_names[arguments->command]);
    }
    if (arguments->command == COMMAND_TRY && !arguments->is_detached) {
        for (size_t i = 0; i < option_count; i++) {
            if (option_table[i].kind == OPTION_TOKEN && parser->is_given[i]) {
                return FAIL(parser, "--token goes with try --detached only.");
            }
        }
        arguments->has_token = false;
    }
    return true;
}

static void note_origins(struct parser *parser)
{
    for (size_t i = 0; i < option_count; i++) {
        if (option_table[i].offset == offsetof(struct arguments, server)) {
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
    return gather_keys(&parser) && check_operands(&parser) && check_options_fit(&parser) &&
           read_environment(&parser) && check_token(&parser) && check_together(&parser);
}

const char *arguments_command_name(enum command command)
{
    return command_names[command];
}
