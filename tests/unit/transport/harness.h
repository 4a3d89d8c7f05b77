/* SPDX-License-Identifier: Apache-2.0 */
/* A loop with connections on it, and the other end of one of them in the hand of the test. */
#ifndef HOLDFAST_TESTS_HARNESS_H
#define HOLDFAST_TESTS_HARNESS_H

#include "base/loop.h"
#include "base/metrics.h"
#include "service/services.h"
#include "transport/connection.h"
#include "wire/status.h"
#include "wire/ttrpc.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HARNESS_MESSAGE_MAX ((size_t)64 * 1024)
#define HARNESS_OUTPUT_MAX  ((size_t)1024 * 1024)
#define HARNESS_DEADLINE_US ((int64_t)10 * 1000 * 1000)

struct ssl_st;

struct harness {
    struct loop *loop;
    struct services services;
    struct metrics metrics;
    struct connection_host host;
    int peer;           /* our end; -1 when closed */
    struct ssl_st *ssl; /* NULL: plain */
    bool is_ended;      /* the server has closed its end */
    bool is_reset;      /* and it did so without reading what we had sent */
    bool is_deaf;       /* we do not read */
    uint8_t *received;
    size_t length;
};

/* A frame as the peer got it; `data` lives until the next one is taken. */
struct received_frame {
    struct ttrpc_header header;
    const uint8_t *data;
};

/* For cmocka's setup and teardown; `*state` becomes the harness, without a connection. */
int harness_set_up(void **state);
int harness_tear_down(void **state);

/* A connection over a socket pair. Ends the one before, if any. */
void harness_connect(struct harness *harness);

/* Closes our end. */
void harness_hang_up(struct harness *harness);

/* One turn of the loop, then takes what has arrived at our end. */
void harness_turn(struct harness *harness);

/* Turns until the condition holds, or fails the test after HARNESS_DEADLINE_US. */
#define HARNESS_WAIT(harness, condition)                                                           \
    do {                                                                                           \
        int64_t deadline_us = clock_now_us() + HARNESS_DEADLINE_US;                                \
        while (!(condition)) {                                                                     \
            assert_true(clock_now_us() < deadline_us);                                             \
            harness_turn(harness);                                                                 \
        }                                                                                          \
    } while (0)

/* Turns until no call is answered any more. */
void harness_calm_down(struct harness *harness);

/* Sends all bytes, turning the loop while the socket is full. */
void harness_send(struct harness *harness, const void *bytes, size_t length);

void harness_send_frame(struct harness *harness, const struct ttrpc_header *header,
                        const void *data);

/* A request for test.Service/method with `text` as its message. */
void harness_send_request(struct harness *harness, uint32_t id, const char *method,
                          const char *text, uint8_t flags);

void harness_send_data(struct harness *harness, uint32_t id, const char *text, uint8_t flags);

/* The bytes of a request frame, to be freed by the caller. */
uint8_t *harness_request(uint32_t id, const char *method, const char *text, uint8_t flags,
                         size_t *length);

/* Waits for the next frame and takes it. */
void harness_take(struct harness *harness, struct received_frame *frame);

/* Takes the next frame, which must be of this kind. A NULL label is not looked at. */
void harness_expect_reply(struct harness *harness, uint32_t id, const char *label);
void harness_expect_failure(struct harness *harness, uint32_t id, enum status status,
                            const char *part_of_text);
void harness_expect_data(struct harness *harness, uint32_t id, const char *label);
void harness_expect_end(struct harness *harness, uint32_t id);

/* A call goes through, so the connection is in order. */
void harness_expect_service(struct harness *harness, uint32_t id);

#endif
