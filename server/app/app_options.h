/* SPDX-License-Identifier: Apache-2.0 */
/* The server's options: one table, the struct it fills, and the checks across options. */
#ifndef HOLDFAST_APP_APP_OPTIONS_H
#define HOLDFAST_APP_APP_OPTIONS_H

#include "base/compiler.h"
#include "base/options.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

/* Where options come from besides the file: main's arguments and the environment. */
struct app_arguments {
    int argc;
    char **argv;
    char **environment;
};

enum app_fairness {
    APP_FAIRNESS_DEFAULT,
    APP_FAIRNESS_STRICT,
    APP_FAIRNESSES,
};

struct app_options {
    char *config;
    struct option_list listen;
    char *unix_mode;
    char *tls_cert;
    char *tls_key;
    char *tls_client_ca;
    char *redis;
    char *redis_user;
    char *redis_password_file;
    char *redis_program;
    char *key_prefix;
    int64_t connect_timeout_ms;
    int64_t ack_timeout_ms;
    int64_t reconnect_max_ms;
    int64_t failover_grace_ms;
    bool requires_noeviction;
    int64_t default_ttl_ms;
    int64_t max_connections;
    int64_t max_calls;
    int64_t max_calls_per_connection;
    int64_t max_leases;
    int64_t max_leases_per_connection;
    int64_t max_waiters;
    int64_t handoff_run_max;
    int64_t handoff_run_ms;
    int fairness; /* an enum app_fairness */
    bool deadlock_check;
    int64_t max_message_size;
    int64_t max_output;
    int64_t max_redis_operations;
    int64_t keepalive_ms;
    int64_t tcp_user_timeout_ms;
    int64_t handshake_timeout_ms;
    int64_t drain_timeout_ms;
    int log_level; /* an enum log_level */
};

/* The rows, ended by one without a name. */
extern const struct option app_options_table[];

/* Reads all layers and checks that the options fit together. `options` is zeroed by the caller and
 * must be released in any case. False: `error` says what is wrong and what to do. */
NODISCARD bool app_options_read(struct app_options *options, const struct app_arguments *arguments,
                                char error[OPTIONS_ERROR_SIZE]);

void app_options_release(struct app_options *options);

/* Whether the row has another value in `a` than in `b`. */
bool app_options_differ(const struct option *row, const struct app_options *a,
                        const struct app_options *b);

/* The permissions that unix-mode names, as 0660. */
int app_options_unix_mode(const struct app_options *options);

/* Whether a listener needs certificates. */
bool app_options_want_tls(const struct app_options *options);

/* What --help, --sample-config and --markdown-options print. */
void app_options_write_help(FILE *out);
void app_options_write_sample(FILE *out);
void app_options_write_markdown(FILE *out);

#endif
