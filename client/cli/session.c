/* SPDX-License-Identifier: Apache-2.0 */
#include "session.h"

#include <event2/event.h>
#include <pwd.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "grpc/grpc_channel.h"

static void write_default_label(char label[HOLDFAST_LABEL_SIZE])
{
    char host[128] = "localhost";
    char user[96];
    const struct passwd *entry = getpwuid(geteuid());
    if (entry != NULL) {
        snprintf(user, sizeof(user), "%s", entry->pw_name);
    } else {
        snprintf(user, sizeof(user), "%ld", (long)geteuid());
    }
    gethostname(host, sizeof(host) - 1);
    host[sizeof(host) - 1] = '\0';
    snprintf(label, HOLDFAST_LABEL_SIZE, "%.40s@%.64s:%ld", user, host, (long)getpid());
}

static void write_key(struct session *session)
{
    const struct arguments *arguments = session->arguments;
    char first[TEXT_KEY_SIZE];
    text_key(first,
             arguments->key != NULL ? arguments->key : arguments_command_name(arguments->command));
    if (arguments->key_count > 0) {
        snprintf(session->key, sizeof(session->key), "%s and %zu more", first,
                 arguments->key_count - 1);
    } else {
        snprintf(session->key, sizeof(session->key), "%s", first);
    }
}

/* epoll refuses regular files and /dev/null, which `hold` may have as its input. */
static struct event_base *create_base(void)
{
    struct event_config *config = event_config_new();
    if (config == NULL) {
        return NULL;
    }
    struct event_base *base = NULL;
    if (event_config_require_features(config, EV_FEATURE_FDS) == 0 &&
        event_config_set_flag(config, EVENT_BASE_FLAG_PRECISE_TIMER) == 0) {
        base = event_base_new_with_config(config);
    }
    event_config_free(config);
    return base;
}

static struct holdfast_options options_of(const struct arguments *arguments)
{
    return (struct holdfast_options){
        .server = arguments->server,
        .ca_file = arguments->ca_file,
        .cert_file = arguments->cert_file,
        .key_file = arguments->key_file,
        .timeout_ms = (uint32_t)arguments->timeout_ms,
    };
}

struct holdfast_async *session_connect(const struct session *session,
                                       char error[HOLDFAST_ERROR_SIZE])
{
    const struct holdfast_options options = options_of(session->arguments);
    return holdfast_async_open(session->base, &options, error);
}

static bool connect_by_option(struct session *session, char error[HOLDFAST_ERROR_SIZE])
{
    if (session->arguments->is_grpc) {
        const struct holdfast_options options = options_of(session->arguments);
        session->grpc = grpc_channel_open(session->base, &options, error);
        return session->grpc != NULL;
    }
    session->async = session_connect(session, error);
    return session->async != NULL;
}

bool session_open(struct session *session, const struct arguments *arguments)
{
    char error[HOLDFAST_ERROR_SIZE] = "";
    *session = (struct session){.arguments = arguments, .exit_code = EXIT_UNEXPECTED};
    write_key(session);
    write_default_label(session->label);
    session->base = create_base();
    if (session->base == NULL) {
        output_error("Cannot start the event loop: out of memory or file descriptors.");
        return false;
    }
    if (!connect_by_option(session, error)) {
        output_error("%s", error);
        session->exit_code = EXIT_USAGE;
        return false;
    }
    return true;
}

void session_run(struct session *session)
{
    if (session->is_ended) {
        return;
    }
    event_base_dispatch(session->base);
    if (!session->is_ended) {
        output_error("The event loop stopped before the command was done.");
    }
}

void session_end(struct session *session, int exit_code)
{
    if (session->is_ended) {
        return;
    }
    session->is_ended = true;
    session->exit_code = exit_code;
    event_base_loopbreak(session->base);
}

void session_fail(struct session *session, enum holdfast_result result,
                  const struct holdfast_holder *holder, const char *error)
{
    const char *key = holder != NULL && holder->key[0] != '\0' ? holder->key : session->key;
    if (result == HOLDFAST_BUSY && holder != NULL) {
        char text[OUTPUT_TEXT_SIZE];
        output_holder_text(key, holder, text);
        output_error("%s.", text);
        session_end(session, EXIT_BUSY);
        return;
    }
    session_end(session, output_failure(result, key, error));
}

void session_flush(struct session *session)
{
    if (session->base != NULL) {
        (void)event_base_loop(session->base, EVLOOP_NONBLOCK);
    }
}

int session_close(struct session *session)
{
    session->is_ended = true;
    if (session->async != NULL) {
        holdfast_async_close(session->async);
    }
    grpc_channel_close(session->grpc);
    if (session->base != NULL) {
        event_base_free(session->base);
    }
    return session->exit_code;
}

struct holdfast_ask session_ask(const struct session *session)
{
    const struct arguments *arguments = session->arguments;
    return (struct holdfast_ask){
        .key = arguments->key_count == 0 ? arguments->key : NULL,
        .label = arguments->label != NULL ? arguments->label : session->label,
        .ttl_ms = (uint32_t)arguments->ttl_ms,
        .wait_ms = (uint32_t)arguments->wait_ms,
        .mode = arguments->is_shared ? HOLDFAST_SHARED : HOLDFAST_EXCLUSIVE,
        .limit = (uint32_t)arguments->limit,
        .value = arguments->value,
        .value_length = arguments->value != NULL ? strlen(arguments->value) : 0,
        .grace_ms = (uint32_t)arguments->grace_ms,
        .lock_delay_ms = (uint32_t)arguments->lock_delay_ms,
        .max_hold_ms = (uint32_t)arguments->max_hold_ms,
        .keys = arguments->keys,
        .key_count = arguments->key_count,
        .heartbeat_ms = (uint32_t)arguments->heartbeat_ms,
    };
}
