/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The command line: one command, its operands, and options out of one table that also makes the
 * lists in --help. Options may stand before or after the command, until "--"; what follows it is
 * the program that `run` or `elect` starts, or for other commands a key that begins with a dash.
 */
#ifndef HOLDFAST_CLI_ARGUMENTS_H
#define HOLDFAST_CLI_ARGUMENTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <holdfast/holdfast.h>

#define ARGUMENTS_ERROR_SIZE 512

enum command {
    COMMAND_NONE, /* only with --help or --version */
    COMMAND_RUN,
    COMMAND_HOLD,
    COMMAND_TRY,
    COMMAND_RESUME,
    COMMAND_RELEASE,
    COMMAND_RENEW,
    COMMAND_INSPECT,
    COMMAND_WATCH,
    COMMAND_LS,
    COMMAND_TOP,
    COMMAND_ELECT,
    COMMAND_LIST,
    COMMAND_DESCRIBE,
    COMMAND_CALL,
    COMMAND_COMPLETION,
    COMMAND_BENCH,
    COMMAND_HELP,
    COMMAND_COUNT,
};

/* Texts point into argv and the environment. */
struct arguments {
    enum command command;
    enum command topic; /* help COMMAND; COMMAND_NONE: all of it */
    /* The first of several; NULL for help, top and bench. ls: the prefix, list and describe: the
     * symbol, each or NULL; call: the method; completion: the shell. */
    const char *key;
    const char *keys[HOLDFAST_KEYS_MAX];
    size_t key_count;                          /* 2 or more; 0: `key` is the only one */
    char *const *program;                      /* run and elect: NULL-terminated */
    const char *data;                          /* call: JSON, "@FILE" or "-"; NULL: not given */
    const char *headers[HOLDFAST_HEADERS_MAX]; /* call: "name: value" */
    size_t header_count;
    int64_t deadline_ms; /* call; 0: none */

    const char *server; /* NULL: the library's default */
    bool is_grpc;       /* list, describe and call */
    bool is_server_flag;
    const char *ca_file;
    const char *cert_file;
    const char *key_file;
    int64_t timeout_ms; /* 0: the library's default */

    int64_t ttl_ms;        /* 0: the server's default */
    int64_t heartbeat_ms;  /* 0: none */
    int64_t kill_after_ms; /* -1: not given */
    const char *label;     /* NULL: not given */
    const char *value;     /* NULL: not given */
    int64_t wait_ms;       /* 0: not at all */
    int64_t limit;         /* 0: none */
    int64_t grace_ms;      /* 0: none */
    int64_t lock_delay_ms; /* 0: none */
    int64_t max_hold_ms;   /* 0: no such bound */
    bool has_token;
    unsigned char token[HOLDFAST_TOKEN_SIZE];

    const char *mix;     /* bench: "pairs", "hot" or "hold"; NULL: not given */
    int64_t connections; /* 0: not given; so these four */
    int64_t depth;
    int64_t duration_ms;
    int64_t count;
    int64_t rate;

    bool is_shared;
    bool is_detached;
    bool is_fleet;
    bool is_once;
    bool is_json;
    bool is_quiet;
    bool wants_help;
    bool wants_version;
};

/* Reads main's argv and, where an option was not given, the environment. On failure returns false
 * with a sentence in `error` that names the argument and what is right instead. */
bool arguments_parse(struct arguments *arguments, int argc, char *const *argv,
                     char error[ARGUMENTS_ERROR_SIZE]);

/* "run"; static text. */
const char *arguments_command_name(enum command command);

/* The options that `command` takes, one a line. */
void arguments_write_options(enum command command, FILE *out);

/* "250ms", "3s", "5m", "2h", or a bare 0, as milliseconds; false, and *ms untouched, for anything
 * else. */
bool arguments_parse_duration(const char *text, int64_t *ms);

#endif
