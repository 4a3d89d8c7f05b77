/* SPDX-License-Identifier: Apache-2.0 */
#include "session.h"

#include <event2/event.h>
#include <pwd.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

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

bool session_open(struct session *session, const struct arguments *arguments)
{
    const struct holdfast_options options = {
        .server = arguments->server,
        .ca_file = arguments->ca_file,
        .cert_file = arguments->cert_file,
        .key_file = arguments->key_file,
        .timeout_ms = (uint32_t)arguments->timeout_ms,
    };
    char error[HOLDFAST_ERROR_SIZE] = "";
    *session = (struct session){.arguments = arguments, .exit_code = EXIT_UNEXPECTED};
    text_key(session->key, arguments->key);
    write_default_label(session->label);
    session->base = create_base();
    if (session->base == NULL) {
        output_error("Cannot start the event loop: out of memory or file descriptors.");
        return false;
    }
    session->async = holdfast_async_open(session->base, &options, error);
    if (session->async == NULL) {
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
    const char *key = session->arguments->key;
    if (result == HOLDFAST_BUSY && holder != NULL) {
        char text[OUTPUT_TEXT_SIZE];
        output_holder_text(key, holder, text);
        output_error("%s.", text);
        session_end(session, EXIT_BUSY);
        return;
    }
    session_end(session, output_failure(result, key, error));
}

int session_close(struct session *session)
{
    session->is_ended = true;
    if (session->async != NULL) {
        holdfast_async_close(session->async);
    }
    if (session->base != NULL) {
        event_base_free(session->base);
    }
    return session->exit_code;
}

struct holdfast_ask session_ask(const struct session *session)
{
    const struct arguments *arguments = session->arguments;
    return (struct holdfast_ask){
        .key = arguments->key,
        .label = arguments->label != NULL ? arguments->label : session->label,
        .ttl_ms = (uint32_t)arguments->ttl_ms,
        .heartbeat_ms = (uint32_t)arguments->heartbeat_ms,
    };
}
