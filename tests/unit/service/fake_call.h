/* SPDX-License-Identifier: Apache-2.0 */
/* A call on a transport that records what it is told to send. */
#ifndef HOLDFAST_TESTS_SERVICE_FAKE_CALL_H
#define HOLDFAST_TESTS_SERVICE_FAKE_CALL_H

#include "service/session.h"
#include "wire/call.h"

#include <holdfast/v1/locks.pb-c.h>
#include <stdbool.h>
#include <stdint.h>

#define FAKE_EVENTS_MAX 16
#define FAKE_TEXT_SIZE  512

struct fake_call {
    struct call call;
    bool is_ended;
    enum status status;
    char text[FAKE_TEXT_SIZE];
    ProtobufCMessage *reply; /* NULL unless the call ended with one */
    ProtobufCMessage *events[FAKE_EVENTS_MAX];
    size_t event_count;
    size_t events_seen;
};

struct fake_call *fake_call_create(void);

/* The call has ended or its session is gone. */
void fake_call_destroy(struct fake_call *call);

/* Packs a message and hands it to the session. */
void fake_call_message(struct fake_call *call, const ProtobufCMessage *message);

/* The next event of a Hold stream, which must be of this kind. */
const Holdfast__V1__HoldEvent *fake_call_event(struct fake_call *call,
                                               Holdfast__V1__HoldEvent__EventCase which);

/* Likewise of a Watch stream. */
const Holdfast__V1__WatchEvent *fake_call_watch_event(struct fake_call *call,
                                                      Holdfast__V1__WatchEvent__StateCase which);

/* The next message of any stream, which must be of this type. */
const void *fake_call_next(struct fake_call *call, const ProtobufCMessageDescriptor *descriptor);

/* The call is still being worked on, and there is no event that the test has not seen. */
void fake_call_expect_open(const struct fake_call *call);

/* The call has ended with this status, a text that contains `text`, and no event unseen. */
void fake_call_expect_end(const struct fake_call *call, enum status status, const char *text);

/* The call was taken back: neither answered nor active. */
void fake_call_expect_cancelled(const struct fake_call *call);

#endif
