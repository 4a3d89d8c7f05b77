/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Stands in for service/session.c: keeps the contract of session.h, serves the methods below, and
 * counts what happens to calls. Replies are Holder messages whose label is the text.
 *
 *   test.Service/Echo     unary: replies with the request's bytes
 *   test.Service/Fail     unary: NOT_FOUND "no such thing"
 *   test.Service/Silent   unary: not answered until fake_answer_silent
 *   test.Service/Big      unary: the request is a number in decimal; replies with that many bytes
 *   test.Service/Watch    server streaming: "one", "two", end
 *   test.Service/Collect  client streaming: replies with all bytes at half-close
 *   test.Service/Chat     both: every message comes back; half-close ends it
 *   test.Service/Break    both: the first message ends it with ABORTED
 */
#ifndef HOLDFAST_TESTS_FAKE_SESSION_H
#define HOLDFAST_TESTS_FAKE_SESSION_H

#include "service/session.h"

#include <stddef.h>
#include <stdint.h>

struct fake_counts {
    size_t sessions; /* created */
    size_t destroyed;
    size_t shut_downs;
    size_t started; /* calls */
    size_t answered;
    size_t cancelled;
    size_t messages;
    size_t half_closes;
    int64_t timeout_us; /* of the newest call */
};

/* Counts since fake_reset. */
extern struct fake_counts fake;

void fake_reset(void);

/* Answers every Silent call of the session. */
void fake_answer_silent(struct session *session, const char *text);

/* Sends `text` on every active call that streams to the client. */
void fake_send(struct session *session, const char *text);

/* The newest session. */
struct session *fake_session(void);

#endif
