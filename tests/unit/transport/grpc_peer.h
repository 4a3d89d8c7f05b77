/* SPDX-License-Identifier: Apache-2.0 */
/* The test's end of a connection as a gRPC client, on the HTTP/2 library's client side. */
#ifndef HOLDFAST_TESTS_GRPC_PEER_H
#define HOLDFAST_TESTS_GRPC_PEER_H

#include "harness.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define GRPC_PEER_STREAMS 512

/* What became of one request. */
struct grpc_answer {
    uint8_t *out; /* what is still to be sent */
    size_t out_length;
    bool is_out_ended;
    int http_status; /* 0: no header has come */
    int status;      /* -1: no trailers have come */
    char text[400];  /* of the status, as it came */
    uint8_t *data;   /* messages with their prefixes */
    size_t length;   /* of data */
    size_t unread;   /* bytes of data that have not been given back to the server's window */
    size_t taken;    /* of data, by grpc_peer_expect_message */
    uint32_t error;  /* when the stream was reset */
    bool is_closed;
};

struct grpc_peer {
    struct harness *harness;
    struct nghttp2_session *session;
    struct grpc_answer answers[GRPC_PEER_STREAMS]; /* by (stream id - 1) / 2 */
    bool is_deaf;                                  /* gives no window back */
    bool is_going;                                 /* the server has said that it goes, */
    int32_t last_id;                               /* and which was the last request */
    size_t pings;                                  /* of the server */
};

/* Connects and greets. Ends the connection before, if any. */
void grpc_peer_start(struct grpc_peer *peer, struct harness *harness);
void grpc_peer_stop(struct grpc_peer *peer);

/* Lets the server send as much as it likes on all streams together. */
void grpc_peer_widen(struct grpc_peer *peer);

/* Moves bytes both ways, with one turn in between. */
void grpc_peer_turn(struct grpc_peer *peer);

#define GRPC_PEER_WAIT(peer, condition)                                                            \
    do {                                                                                           \
        int64_t deadline_us = clock_now_us() + HARNESS_DEADLINE_US;                                \
        while (!(condition)) {                                                                     \
            assert_true(clock_now_us() < deadline_us);                                             \
            grpc_peer_turn(peer);                                                                  \
        }                                                                                          \
    } while (0)

/* Opens a request for test.Service/method; returns its stream id. `timeout` may be NULL. */
int32_t grpc_peer_open(struct grpc_peer *peer, const char *method, const char *timeout);

/* Sends a message, and with `is_last` the end behind it. */
void grpc_peer_send(struct grpc_peer *peer, int32_t id, const char *text, bool is_last);

/* Sends bytes as they are. */
void grpc_peer_send_bytes(struct grpc_peer *peer, int32_t id, const void *bytes, size_t length,
                          bool is_last);

/* A whole unary request. */
int32_t grpc_peer_call(struct grpc_peer *peer, const char *method, const char *text);

/* Reads again after being deaf. */
void grpc_peer_listen(struct grpc_peer *peer, int32_t id);

void grpc_peer_cancel(struct grpc_peer *peer, int32_t id);

struct grpc_answer *grpc_peer_answer(struct grpc_peer *peer, int32_t id);

/* Waits for the next message of an answer: a Holder with this label. */
void grpc_peer_expect_message(struct grpc_peer *peer, int32_t id, const char *label);

/* Waits for the end of an answer. */
void grpc_peer_expect_status(struct grpc_peer *peer, int32_t id, enum status status,
                             const char *part_of_text);

/* A call goes through, so the connection is in order. */
void grpc_peer_expect_service(struct grpc_peer *peer);

#endif
