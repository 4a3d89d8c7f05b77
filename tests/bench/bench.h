/* SPDX-License-Identifier: Apache-2.0 */
/* What the sides of the comparison have in common. */
#ifndef HOLDFAST_TESTS_BENCH_H
#define HOLDFAST_TESTS_BENCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BENCH_TTL_MS   30000
#define BENCH_SHA_SIZE 41

/* One connection. */
struct bench_client {
    int fd;
    uint32_t wait_ms;                 /* of an acquire; for holdfastd only */
    uint32_t next_id;                 /* of the stream, ttRPC's or HTTP/2's */
    char acquire_sha[BENCH_SHA_SIZE]; /* Redis' names of the two scripts */
    char release_sha[BENCH_SHA_SIZE];
    char key[48];
    uint8_t token[16];
    bool has_message; /* of an answer over gRPC, whose end is still to come */
    bool is_repeated; /* the release: the one before may have had effect */
    size_t used;
    uint8_t input[4096];
};

enum bench_answer {
    BENCH_INCOMPLETE,
    BENCH_DONE,
    BENCH_BUSY, /* of an acquire that does not wait */
    BENCH_AWAY, /* holdfastd cannot now: ask again */
};

struct bench_protocol {
    void (*prepare)(struct bench_client *client);
    void (*send_acquire)(struct bench_client *client);
    void (*send_release)(struct bench_client *client);
    /* Takes one whole answer out of the input and checks that it makes sense. */
    enum bench_answer (*take_answer)(struct bench_client *client, bool is_release);
};

extern const struct bench_protocol bench_ttrpc;
extern const struct bench_protocol bench_grpc;
extern const struct bench_protocol bench_redis;

/* Take a message of the Locks service, which must tell of success. */
void bench_take_lease(struct bench_client *client, const uint8_t *bytes, size_t length);
void bench_check_released(struct bench_client *client, const uint8_t *bytes, size_t length);

/* Requests are far smaller than a socket's buffer, so they leave in one piece. */
void bench_send(struct bench_client *client, const void *bytes, size_t length);

/* Drops the first `length` bytes of the input. */
void bench_consume(struct bench_client *client, size_t length);

#endif
