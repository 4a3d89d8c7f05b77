/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What every command needs: an event loop, the library on it, and an exit code. A command opens a
 * session, makes its first request, and runs the loop; callbacks go on from there until one of
 * them ends the session.
 */
#ifndef HOLDFAST_CLI_SESSION_H
#define HOLDFAST_CLI_SESSION_H

#include <stdbool.h>

#include <holdfast/holdfast.h>

#include "arguments.h"
#include "output.h"
#include "text.h"

/* A key and how many more. */
#define SESSION_KEY_SIZE (TEXT_KEY_SIZE + 32)

struct event_base;
struct grpc_channel;

struct session {
    const struct arguments *arguments;
    struct event_base *base;
    struct holdfast_async *async; /* NULL with --grpc */
    struct grpc_channel *grpc;    /* NULL without */
    bool is_ended;
    int exit_code;
    char key[SESSION_KEY_SIZE];      /* or keys, as they are shown in text */
    char label[HOLDFAST_LABEL_SIZE]; /* --label, or user@host:pid */
};

/* False after reporting why; the exit code is set. Close it either way. */
bool session_open(struct session *session, const struct arguments *arguments);

/* One more connection to the same server, the caller's to close before the session. NULL with a
 * sentence in `error`. */
struct holdfast_async *session_connect(const struct session *session,
                                       char error[HOLDFAST_ERROR_SIZE]);

/* Turns the loop until somebody ends the session. */
void session_run(struct session *session);

/* The first exit code wins; the loop stops once the current callback returns. */
void session_end(struct session *session, int exit_code);

/* Reports a failed request, or who holds the lock, and ends the session accordingly. */
void session_fail(struct session *session, enum holdfast_result result,
                  const struct holdfast_holder *holder, const char *error);

/* What was said on the connection is sent, as far as that goes without waiting. */
void session_flush(struct session *session);

/* Ends the connection; what is still held is given up. Requests still pending report into the void:
 * callbacks must look at is_ended. Returns the exit code. */
int session_close(struct session *session);

/* What the options ask for. */
struct holdfast_ask session_ask(const struct session *session);

#endif
