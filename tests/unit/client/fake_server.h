/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A ttRPC server that does what a test tells it: a script, run in a thread, that reads and writes
 * frames on a blocking socket. Every wait ends the process with a message after ten seconds.
 */
#ifndef HOLDFAST_TESTS_FAKE_SERVER_H
#define HOLDFAST_TESTS_FAKE_SERVER_H

#include "holdfast/v1/locks.pb-c.h"
#include "ttrpc/ttrpc.pb-c.h"
#include "wire/ttrpc.h"

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FAKE_KEY    "stock"
#define FAKE_TOKEN  "0123456789abcdef"
#define FAKE_FENCE  4711
#define FAKE_TTL_MS 9000

/* For use in the server's thread, where cmocka's assertions must not be used. */
#define REQUIRE(condition)                                                                         \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fake_failed(#condition, __FILE__, __LINE__);                                           \
        }                                                                                          \
    } while (0)

void fake_failed(const char *condition, const char *file, int line) __attribute__((noreturn));

struct fake_server;
typedef void fake_script(struct fake_server *server, void *argument);

struct fake_server {
    char directory[64];
    char url[128];
    char path[108];
    int listener;
    pthread_t thread;
    fake_script *script;
    void *argument;
};

/* Listens on a unix socket in a directory of its own and runs the script. */
void fake_server_start(struct fake_server *server, fake_script *script, void *argument);

/* As fake_server_start, on TCP at 127.0.0.1. */
void fake_server_start_tcp(struct fake_server *server, fake_script *script, void *argument);

/* Waits until the script has returned, then stops listening. */
void fake_server_finish(struct fake_server *server);

/* A connection, blocking. */
int fake_accept(struct fake_server *server);

/* The client leaves the connection open for that long, whatever it says. */
void fake_stays_open(int connection, int for_ms);

/* Waits until the client closes, whatever it says before, then closes. */
void fake_drain(int connection);

struct fake_frame {
    struct ttrpc_header header;
    uint8_t data[16384];
};

/* False at the end of the connection. */
bool fake_try_read(int connection, struct fake_frame *frame);
void fake_read(int connection, struct fake_frame *frame);

void fake_write(int connection, const void *bytes, size_t length);
void fake_send(int connection, const struct ttrpc_header *header, const void *data);

/* ---- The pieces of conversations ---- */

/* Reads the opening of a Hold stream and its ask, which must be for FAKE_KEY; returns the id. */
uint32_t fake_read_ask(int connection);

/* One ask, whatever it is for. */
struct fake_ask {
    Holdfast__V1__HoldRequest *message; /* ->ask is set */
};

/* As fake_read_ask, for any key; free it with fake_release_ask. */
uint32_t fake_take_ask(int connection, struct fake_ask *ask);
void fake_release_ask(struct fake_ask *ask);

/* Reads a ping of the stream. */
void fake_read_ping(int connection, uint32_t stream_id);

/* Reads frames until the client half-closes the stream; pings are ignored. */
void fake_read_half_close(int connection, uint32_t stream_id);

void fake_send_event(int connection, uint32_t stream_id, const Holdfast__V1__HoldEvent *event);
void fake_send_granted(int connection, uint32_t stream_id, uint32_t valid_for_ms);
/* Waits at `position` for the holder of fake_send_busy. */
void fake_send_queued(int connection, uint32_t stream_id, uint32_t position);
void fake_send_busy(int connection, uint32_t stream_id);
void fake_send_renewed(int connection, uint32_t stream_id, uint32_t valid_for_ms);
void fake_send_at_risk(int connection, uint32_t stream_id);
void fake_send_lost(int connection, uint32_t stream_id, Holdfast__V1__HoldLost__Reason reason);
void fake_send_released(int connection, uint32_t stream_id);
/* The end of a stream with status OK. */
void fake_send_end(int connection, uint32_t stream_id);

/* Reads the request of that method of holdfast.v1.Locks, or with a dot in it of "Service.Method",
 * into `frame` and returns its envelope, which the caller
 * frees. */
Ttrpc__Request *fake_read_request(int connection, const char *method, struct fake_frame *frame);

void fake_respond(int connection, uint32_t stream_id, const ProtobufCMessage *message);
/* For answers of any size. */
void fake_respond_large(int connection, uint32_t stream_id, const ProtobufCMessage *message);
void fake_respond_status(int connection, uint32_t stream_id, int code, const char *text);

/* A lease on `key` with FAKE_FENCE and FAKE_TTL_MS; points into its arguments. */
Holdfast__V1__Lease fake_lease(const char *key, const uint8_t *token, uint32_t valid_for_ms);

#endif
