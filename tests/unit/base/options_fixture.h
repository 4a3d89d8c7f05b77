/* SPDX-License-Identifier: Apache-2.0 */
/* A table with a row of every kind, and the struct it fills. */
#ifndef HOLDFAST_TESTS_OPTIONS_FIXTURE_H
#define HOLDFAST_TESTS_OPTIONS_FIXTURE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/options.h"

struct values {
    char *config;
    struct option_list listen;
    struct option_list extra;
    bool strict;
    bool quiet;
    int64_t port;
    int64_t offset;
    int64_t ttl_ms;
    int64_t age_ms;
    char *redis;
    char *label;
    int level;
};

enum row {
    CONFIG,
    LISTEN,
    EXTRA,
    STRICT,
    QUIET,
    PORT,
    OFFSET,
    TTL,
    AGE,
    REDIS,
    LABEL,
    LEVEL,
    ROWS
};

static const char *const levels[] = {"debug", "info", "warn", NULL};

static const struct option table[] = {
    [CONFIG] = {.name = "config",
                .kind = OPTION_TEXT,
                .offset = offsetof(struct values, config),
                .argument = "FILE",
                .help = "Read options from this file."},
    [LISTEN] = {.name = "listen",
                .kind = OPTION_LIST,
                .offset = offsetof(struct values, listen),
                .default_text = "127.0.0.1:7420,unix:/run/h.sock",
                .argument = "ADDRESS",
                .help = "Listen here."},
    [EXTRA] = {.name = "extra",
               .kind = OPTION_LIST,
               .offset = offsetof(struct values, extra),
               .argument = "NAME",
               .help = "More names."},
    [STRICT] = {.name = "strict",
                .kind = OPTION_BOOLEAN,
                .offset = offsetof(struct values, strict),
                .default_text = "true",
                .is_reloadable = true,
                .help = "Be strict."},
    [QUIET] = {.name = "quiet",
               .kind = OPTION_BOOLEAN,
               .offset = offsetof(struct values, quiet),
               .default_text = "false",
               .help = "Say less."},
    [PORT] = {.name = "admin-port",
              .kind = OPTION_INTEGER,
              .offset = offsetof(struct values, port),
              .default_text = "80",
              .min = 1,
              .max = 65535,
              .argument = "PORT",
              .help = "A port."},
    [OFFSET] = {.name = "offset",
                .kind = OPTION_INTEGER,
                .offset = offsetof(struct values, offset),
                .default_text = "-5",
                .min = INT64_MIN,
                .max = INT64_MAX,
                .argument = "NUMBER",
                .help = "Any number."},
    [TTL] = {.name = "default-ttl",
             .kind = OPTION_DURATION,
             .offset = offsetof(struct values, ttl_ms),
             .default_text = "10s",
             .min = 100,
             .max = 3600000,
             .is_reloadable = true,
             .argument = "DURATION",
             .help = "How long a lease lives without renewal. This sentence makes the text so long "
                     "that it has to be broken into more than one line, wherever it is shown."},
    [AGE] = {.name = "age",
             .kind = OPTION_DURATION,
             .offset = offsetof(struct values, age_ms),
             .default_text = "0",
             .min = 0,
             .max = INT64_MAX,
             .argument = "DURATION",
             .help = "Unbounded above."},
    [REDIS] = {.name = "redis",
               .kind = OPTION_TEXT,
               .offset = offsetof(struct values, redis),
               .default_text = "redis://127.0.0.1:6379/\"0\"\\",
               .argument = "URL",
               .help = "A | b."},
    [LABEL] = {.name = "label",
               .kind = OPTION_TEXT,
               .offset = offsetof(struct values, label),
               .argument = "TEXT",
               .help = "A label."},
    [LEVEL] = {.name = "log-level",
               .kind = OPTION_CHOICE,
               .offset = offsetof(struct values, level),
               .default_text = "info",
               .choices = levels,
               .argument = "LEVEL",
               .help = "What to log."},
    [ROWS] = {.name = NULL},
};

/* options_read on string literals. */
static inline bool read_table(struct values *values, const char *const *argv,
                              const char *const *environment, struct option_origin *origins,
                              char error[OPTIONS_ERROR_SIZE])
{
    int argc = 0;
    while (argv[argc] != NULL) {
        argc++;
    }
    return options_read(table, values, argc, (char *const *)argv, (char *const *)environment,
                        origins, error);
}

#endif
