/* SPDX-License-Identifier: Apache-2.0 */
#include "app/app_options.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "lease/lease.h"
#include "redis/embedded.h"
#include "redis/url.h"
#include "transport/address.h"
#include "transport/tls.h"
#include "wire/ttrpc.h"

#define HOUR_MS  ((int64_t)3600000)
#define AT(name) .offset = offsetof(struct app_options, name)

#define PREFIX_MAX      64
#define OWN_KEYS_PREFIX "holdfast:"

static const char *const log_levels[] = {
    [LOG_LEVEL_DEBUG] = "debug", [LOG_LEVEL_INFO] = "info", [LOG_LEVEL_WARN] = "warn",
    [LOG_LEVEL_ERROR] = "error", [LOG_LEVELS] = NULL,
};

static const char *const fairness_names[] = {
    [APP_FAIRNESS_DEFAULT] = "default",
    [APP_FAIRNESS_STRICT] = "strict",
    [APP_FAIRNESSES] = NULL,
};

/* clang-format off */
const struct option app_options_table[] = {
    {.name = "config", .kind = OPTION_TEXT, AT(config), .argument = "FILE",
     .help = "A YAML file with any of these options, one 'name: value' a line."},

    {.name = "listen", .kind = OPTION_LIST, AT(listen), .argument = "URL",
     .default_text = "tcp://127.0.0.1:7420",
     .help = "Where to listen: tcp://HOST:PORT, tls://HOST:PORT or unix:///PATH. May be given "
             "several times. Whoever can reach a plain address can take any lock."},
    {.name = "unix-mode", .kind = OPTION_TEXT, AT(unix_mode), .argument = "MODE",
     .default_text = "0660", .help = "Permissions of the unix socket's file, in octal."},
    {.name = "tls-cert", .kind = OPTION_TEXT, AT(tls_cert), .argument = "FILE",
     .help = "The certificate for tls:// addresses with its chain, PEM. The file is read again on "
             "SIGHUP."},
    {.name = "tls-key", .kind = OPTION_TEXT, AT(tls_key), .argument = "FILE",
     .help = "The key of tls-cert, PEM. The file is read again on SIGHUP."},
    {.name = "tls-client-ca", .kind = OPTION_TEXT, AT(tls_client_ca), .argument = "FILE",
     .help = "Accept only TLS clients with a certificate of these authorities, PEM. The file is "
             "read again on SIGHUP."},

    {.name = "redis", .kind = OPTION_TEXT, AT(redis), .argument = "URL",
     .help = "Where Redis (or Valkey) is: redis://[USER[:PASSWORD]@]HOST[:PORT][/DATABASE] or "
             "unix:///PATH[?db=N]. Without it the server starts a private redis-server, whose "
             "locks end with it."},
    {.name = "redis-user", .kind = OPTION_TEXT, AT(redis_user), .argument = "NAME",
     .help = "The user to log in to Redis as; overrides the URL's."},
    {.name = "redis-password-file", .kind = OPTION_TEXT, AT(redis_password_file),
     .argument = "FILE",
     .help = "A file with the password for Redis; overrides the URL's and is "
             "read at every connect."},
    {.name = "redis-program", .kind = OPTION_TEXT, AT(redis_program), .argument = "PROGRAM",
     .help = "The program of the private Redis, when redis is not given. By default redis-server "
             "or valkey-server, whichever is found."},
    {.name = "key-prefix", .kind = OPTION_TEXT, AT(key_prefix), .argument = "TEXT",
     .default_text = "lock:",
     .help = "What the Redis keys of locks begin with. Programs that lock with SET NX PX on the "
             "same key exclude, and are excluded by, Holdfast."},
    {.name = "connect-timeout", .kind = OPTION_DURATION, AT(connect_timeout_ms),
     .argument = "DURATION", .default_text = "1s", .min = 10, .max = 60000,
     .help = "How long one attempt to connect to Redis may take."},
    {.name = "ack-timeout", .kind = OPTION_DURATION, AT(ack_timeout_ms), .argument = "DURATION",
     .default_text = "1s", .min = 50, .max = 1500,
     .help = "An answer of Redis that comes later than this confirms nothing. Keep it below the "
             "time in which a failover of Redis is decided."},
    {.name = "reconnect-max", .kind = OPTION_DURATION, AT(reconnect_max_ms),
     .argument = "DURATION", .default_text = "500ms", .min = 10, .max = 60000,
     .help = "The longest pause between two attempts to connect to Redis."},
    {.name = "failover-grace", .kind = OPTION_DURATION, AT(failover_grace_ms),
     .argument = "DURATION", .default_text = "2s", .min = 0, .max = 60000,
     .help = "After Redis has lost its data (a restart, a failover) no lock is granted for this "
             "long, so that those who hold one can restore it first."},
    {.name = "require-noeviction", .kind = OPTION_BOOLEAN, AT(requires_noeviction),
     .default_text = "false",
     .help = "Refuse to work with a Redis whose maxmemory-policy may evict locks, instead of "
             "warning."},

    {.name = "default-ttl", .kind = OPTION_DURATION, AT(default_ttl_ms), .argument = "DURATION",
     .default_text = "10s", .min = LEASE_TTL_MIN_MS, .max = LEASE_TTL_MAX_MS,
     .help = "The time to live of leases whose ttl_ms is 0: how long a lock stays taken when this "
             "server is killed."},

    {.name = "max-connections", .kind = OPTION_INTEGER, AT(max_connections), .argument = "N",
     .default_text = "10000", .min = 1, .max = 1000000, .help = "Client connections at a time."},
    {.name = "max-calls", .kind = OPTION_INTEGER, AT(max_calls), .argument = "N",
     .default_text = "100000", .min = 1, .max = 10000000,
     .help = "Calls in flight, Hold streams included, on all connections together."},
    {.name = "max-calls-per-connection", .kind = OPTION_INTEGER, AT(max_calls_per_connection),
     .argument = "N", .default_text = "1000", .min = 1, .max = 10000000,
     .help = "Calls in flight, Hold streams included, on one connection."},
    {.name = "max-leases", .kind = OPTION_INTEGER, AT(max_leases), .argument = "N",
     .default_text = "1000000", .min = 1, .max = 100000000,
     .help = "Leases held, waited for, being acquired or being settled at a time."},
    {.name = "max-leases-per-connection", .kind = OPTION_INTEGER, AT(max_leases_per_connection),
     .argument = "N", .default_text = "100000", .min = 1, .max = 100000000,
     .help = "Leases held or waited for by one connection."},
    {.name = "max-waiters", .kind = OPTION_INTEGER, AT(max_waiters), .argument = "N",
     .default_text = "10000", .min = 1, .max = 10000000,
     .help = "Clients of this server that wait for one lock at a time."},
    {.name = "handoff-run-max", .kind = OPTION_INTEGER, AT(handoff_run_max), .argument = "N",
     .default_text = "64", .min = 1, .max = 1000000,
     .help = "How many clients of this server may have a lock one after the other while another "
             "server waits for it."},
    {.name = "handoff-run", .kind = OPTION_DURATION, AT(handoff_run_ms), .argument = "DURATION",
     .default_text = "20ms", .min = 1, .max = 60000,
     .help = "For how long clients of this server may have a lock one after the other while "
             "another server waits for it."},
    {.name = "fairness", .kind = OPTION_CHOICE, AT(fairness), .argument = "KIND",
     .default_text = "default", .choices = fairness_names,
     .help = "strict: a lock that another server waits for is never handed on here, whatever "
             "handoff-run-max says. Fairer between servers, and slower."},
    {.name = "deadlock-check", .kind = OPTION_BOOLEAN, AT(deadlock_check),
     .default_text = "true",
     .help = "Refuse (ABORTED) to wait for a lock where that would close a circle of connections "
             "of this server that wait for each other."},
    {.name = "max-message-size", .kind = OPTION_INTEGER, AT(max_message_size),
     .argument = "BYTES", .default_text = "65536", .min = 4096, .max = TTRPC_DATA_MAX,
     .help = "Bytes of one request message."},
    {.name = "max-output", .kind = OPTION_INTEGER, AT(max_output), .argument = "BYTES",
     .default_text = "1048576", .min = 65536, .max = 1073741824,
     .help = "Unsent bytes per connection; a client that reads more slowly is disconnected."},
    {.name = "max-redis-operations", .kind = OPTION_INTEGER, AT(max_redis_operations),
     .argument = "N", .default_text = "1000000", .min = 1, .max = 100000000,
     .help = "Acquires, resumes and inspections waiting for Redis at a time; more are answered "
             "RESOURCE_EXHAUSTED."},

    {.name = "keepalive", .kind = OPTION_DURATION, AT(keepalive_ms), .argument = "DURATION",
     .default_text = "1s", .min = 1000, .max = HOUR_MS,
     .help = "A TCP client that has been silent for this long is probed, and again this often. "
             "Whole seconds."},
    {.name = "tcp-user-timeout", .kind = OPTION_DURATION, AT(tcp_user_timeout_ms),
     .argument = "DURATION", .default_text = "1s", .min = 100, .max = HOUR_MS,
     .help = "A TCP client that has acknowledged neither data nor probes for this long is gone, "
             "and its leases with it."},
    {.name = "handshake-timeout", .kind = OPTION_DURATION, AT(handshake_timeout_ms),
     .argument = "DURATION", .default_text = "5s", .min = 100, .max = HOUR_MS,
     .help = "How long a client may take for the TLS handshake, and for the rest of a message it "
             "has begun to send."},
    {.name = "drain-timeout", .kind = OPTION_DURATION, AT(drain_timeout_ms),
     .argument = "DURATION", .default_text = "10s", .min = 0, .max = 24 * HOUR_MS,
     .help = "After SIGTERM, how long clients may keep their leases before the server ends them."},
    {.name = "log-level", .kind = OPTION_CHOICE, AT(log_level), .argument = "LEVEL",
     .default_text = "info", .choices = log_levels, .is_reloadable = true,
     .help = "The least severe events to log."},
    {.name = NULL},
};
/* clang-format on */

static const char usage[] =
    "Usage: holdfastd [OPTION...]\n"
    "\n"
    "The Holdfast server: leases on named locks, kept in Redis and renewed by the server.\n"
    "\n"
    "  --help               show this list\n"
    "  --version            show the version\n"
    "  --check-config       check the options and exit: 0 when they are valid, 2 when not\n"
    "  --sample-config      print a configuration file with every option and its default\n"
    "  --markdown-options   print the options as a Markdown table\n"
    "\n"
    "Signals: SIGTERM and SIGINT end the server once its clients have left (see drain-timeout), a\n"
    "second one at once; SIGHUP reads the options and certificates again; SIGUSR1 logs the "
    "metrics.\n"
    "Exit status: 0 after a normal end, 1 when the server cannot start, 2 for wrong options.\n"
    "\n";

/* Options that were read and are checked now. */
struct checked {
    const struct app_options *options;
    const struct option_origin *origins; /* one per row */
    char *error;                         /* OPTIONS_ERROR_SIZE */
};

/* Writes the sentence about the option of that name and returns false, so that a check can end with
 * it. */
static bool PRINTF_LIKE(3, 4)
    refuse(const struct checked *checked, const char *name, const char *format, ...)
{
    const struct option *row = app_options_table;
    while (strcmp(row->name, name) != 0) {
        row++;
    }
    size_t used = options_begin_error(app_options_table, checked->options, row,
                                      &checked->origins[row - app_options_table], checked->error);
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(checked->error + used, OPTIONS_ERROR_SIZE - used, format, arguments);
    va_end(arguments);
    return false;
}

static bool has_scheme(const char *url, const char *scheme)
{
    return strncmp(url, scheme, strlen(scheme)) == 0;
}

static bool check_listen(const struct checked *checked)
{
    const struct app_options *options = checked->options;
    struct address address;
    char problem[ADDRESS_PROBLEM_SIZE];
    if (options->listen.count == 0) {
        return refuse(checked, "listen", "at least one address is needed");
    }
    for (size_t i = 0; i < options->listen.count; i++) {
        if (!address_parse(&address, options->listen.items[i], problem)) {
            return refuse(checked, "listen", "%s", problem);
        }
    }
    return true;
}

static bool check_readable(const struct checked *checked, const char *name, const char *path)
{
    if (path != NULL && access(path, R_OK) != 0) {
        return refuse(checked, name, "cannot read %.300s: %s", path, strerror(errno));
    }
    return true;
}

/* The sentence begins with the option that names the file. */
static bool refuse_file(const struct checked *checked, const char *problem)
{
    static const char *const names[] = {"tls-cert", "tls-key", "tls-client-ca"};
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        const size_t length = strlen(names[i]);
        if (strncmp(problem, names[i], length) == 0 && problem[length] == ' ') {
            return refuse(checked, names[i], "%s", problem + length + 1);
        }
    }
    return refuse(checked, "tls-cert", "%s", problem);
}

/* The server loads them once more when it starts: by then they may have changed. */
static bool check_certificates(const struct checked *checked)
{
    const struct app_options *options = checked->options;
    char problem[TLS_PROBLEM_SIZE];
    const struct tls_config config = {
        .certificate_file = options->tls_cert,
        .key_file = options->tls_key,
        .client_ca_file = options->tls_client_ca,
    };
    if (options->tls_cert == NULL) {
        return true;
    }
    struct tls *tls = tls_create(&config, problem);
    if (tls == NULL) {
        return refuse_file(checked, problem);
    }
    tls_destroy(tls);
    return true;
}

static bool check_tls(const struct checked *checked)
{
    const struct app_options *options = checked->options;
    bool has_pair = options->tls_cert != NULL && options->tls_key != NULL;
    if (app_options_want_tls(options) && !has_pair) {
        return refuse(checked, "listen", "a tls:// address needs both tls-cert and tls-key");
    }
    if (options->tls_cert != NULL && !has_pair) {
        return refuse(checked, "tls-cert", "needs tls-key, too");
    }
    if (options->tls_key != NULL && !has_pair) {
        return refuse(checked, "tls-key", "needs tls-cert, too");
    }
    if (options->tls_client_ca != NULL && !app_options_want_tls(options)) {
        return refuse(checked, "tls-client-ca",
                      "protects nothing without a tls:// address in listen");
    }
    return check_readable(checked, "tls-cert", options->tls_cert) &&
           check_readable(checked, "tls-key", options->tls_key) &&
           check_readable(checked, "tls-client-ca", options->tls_client_ca) &&
           check_certificates(checked);
}

static bool check_program(const struct checked *checked)
{
    const struct app_options *options = checked->options;
    const char *program = options->redis_program;
    return program == NULL || embedded_has_program(program) ||
           refuse(checked, "redis-program",
                  "cannot find or execute %.300s; give the path of redis-server or "
                  "valkey-server, or its name if it is in PATH",
                  program);
}

static bool check_redis(const struct checked *checked)
{
    const struct app_options *options = checked->options;
    struct redis_url url;
    char problem[REDIS_URL_PROBLEM_SIZE];
    if (options->redis == NULL) {
        if (options->redis_user != NULL || options->redis_password_file != NULL) {
            return refuse(checked,
                          options->redis_user != NULL ? "redis-user" : "redis-password-file",
                          "needs the option redis; the private Redis has no users");
        }
        return check_program(checked);
    }
    if (options->redis_program != NULL) {
        return refuse(checked, "redis-program",
                      "starts a private Redis, which the option redis "
                      "replaces; give one of them");
    }
    if (!redis_url_parse(&url, options->redis, problem)) {
        return refuse(checked, "redis", "%s", problem);
    }
    redis_url_release(&url);
    return check_readable(checked, "redis-password-file", options->redis_password_file);
}

static bool check_prefix(const struct checked *checked)
{
    const struct app_options *options = checked->options;
    size_t length = strlen(options->key_prefix);
    if (length == 0 || length > PREFIX_MAX) {
        return refuse(checked, "key-prefix", "%zu bytes; 1 to %d are allowed", length, PREFIX_MAX);
    }
    if (has_scheme(options->key_prefix, OWN_KEYS_PREFIX)) {
        return refuse(checked, "key-prefix",
                      "must not begin with \"" OWN_KEYS_PREFIX
                      "\", where Holdfast keeps its own keys");
    }
    return true;
}

static bool check_unix_mode(const struct checked *checked)
{
    const struct app_options *options = checked->options;
    const char *mode = options->unix_mode;
    size_t length = strlen(mode);
    if (length < 3 || length > 4 || strspn(mode, "01234567") != length ||
        strtol(mode, NULL, 8) > 0777) {
        return refuse(checked, "unix-mode", "\"%.20s\" is no mode; write it in octal, 0000 to 0777",
                      mode);
    }
    return true;
}

static bool check_keepalive(const struct checked *checked)
{
    const struct app_options *options = checked->options;
    return options->keepalive_ms % 1000 == 0 ||
           refuse(checked, "keepalive", "must be whole seconds, as the kernel counts it");
}

static bool check(const struct checked *checked)
{
    return check_listen(checked) && check_tls(checked) && check_redis(checked) &&
           check_prefix(checked) && check_unix_mode(checked) && check_keepalive(checked);
}

static const void *value_of(const struct option *row, const struct app_options *options)
{
    return (const char *)options + row->offset;
}

static bool texts_differ(const char *a, const char *b)
{
    return a == NULL || b == NULL ? a != b : strcmp(a, b) != 0;
}

static bool lists_differ(const struct option_list *a, const struct option_list *b)
{
    if (a->count != b->count) {
        return true;
    }
    for (size_t i = 0; i < a->count; i++) {
        if (texts_differ(a->items[i], b->items[i])) {
            return true;
        }
    }
    return false;
}

bool app_options_read(struct app_options *options, const struct app_arguments *arguments,
                      char error[OPTIONS_ERROR_SIZE])
{
    struct option_origin origins[COUNT_OF(app_options_table)];
    const struct checked checked = {.options = options, .origins = origins, .error = error};
    return options_read(app_options_table, options, arguments->argc, arguments->argv,
                        arguments->environment, origins, error) &&
           check(&checked);
}

void app_options_release(struct app_options *options)
{
    options_release(app_options_table, options);
}

bool app_options_differ(const struct option *row, const struct app_options *a,
                        const struct app_options *b)
{
    const void *in_a = value_of(row, a);
    const void *in_b = value_of(row, b);
    switch (row->kind) {
    case OPTION_BOOLEAN:
        return *(const bool *)in_a != *(const bool *)in_b;
    case OPTION_INTEGER:
    case OPTION_DURATION:
        return *(const int64_t *)in_a != *(const int64_t *)in_b;
    case OPTION_CHOICE:
        return *(const int *)in_a != *(const int *)in_b;
    case OPTION_TEXT:
        return texts_differ(*(char *const *)in_a, *(char *const *)in_b);
    case OPTION_LIST:
        return lists_differ(in_a, in_b);
    }
    return false;
}

int app_options_unix_mode(const struct app_options *options)
{
    return (int)strtol(options->unix_mode, NULL, 8);
}

bool app_options_want_tls(const struct app_options *options)
{
    for (size_t i = 0; i < options->listen.count; i++) {
        if (has_scheme(options->listen.items[i], "tls://")) {
            return true;
        }
    }
    return false;
}

void app_options_write_help(FILE *out)
{
    fputs(usage, out);
    options_write_help(app_options_table, out);
}

void app_options_write_sample(FILE *out)
{
    options_write_sample(app_options_table, out);
}

void app_options_write_markdown(FILE *out)
{
    options_write_markdown(app_options_table, out);
}
