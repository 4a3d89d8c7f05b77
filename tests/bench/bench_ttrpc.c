/* SPDX-License-Identifier: Apache-2.0 */
/* The side through holdfastd: Locks.Acquire and Locks.Release over ttRPC. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"

#include "base/check.h"
#include "holdfast/v1/locks.pb-c.h"
#include "ttrpc/ttrpc.pb-c.h"
#include "wire/status.h"
#include "wire/ttrpc.h"

#define FRAME_MAX 512

static void prepare(struct bench_client *client)
{
    (void)client;
}

static void send_call(struct bench_client *client, const char *method,
                      const ProtobufCMessage *message)
{
    uint8_t payload[FRAME_MAX / 2];
    uint8_t frame[FRAME_MAX];
    Ttrpc__Request request = TTRPC__REQUEST__INIT;
    char service[] = "holdfast.v1.Locks";
    char name[16];
    CHECK(protobuf_c_message_get_packed_size(message) <= sizeof(payload));
    CHECK(strlen(method) < sizeof(name));
    memcpy(name, method, strlen(method) + 1);
    request.service = service;
    request.method = name;
    request.payload.data = payload;
    request.payload.len = protobuf_c_message_pack(message, payload);
    size_t length = ttrpc__request__get_packed_size(&request);
    CHECK(TTRPC_HEADER_SIZE + length <= sizeof(frame));
    struct ttrpc_header header = {
        .length = (uint32_t)length, .stream_id = client->next_id, .type = TTRPC_REQUEST};
    client->next_id += 2;
    ttrpc_header_encode(&header, frame);
    ttrpc__request__pack(&request, frame + TTRPC_HEADER_SIZE);
    bench_send(client, frame, TTRPC_HEADER_SIZE + length);
}

static void send_acquire(struct bench_client *client)
{
    Holdfast__V1__AcquireRequest request = HOLDFAST__V1__ACQUIRE_REQUEST__INIT;
    request.key = client->key;
    request.ttl_ms = BENCH_TTL_MS;
    request.wait_ms = client->wait_ms;
    send_call(client, "Acquire", &request.base);
}

static void send_release(struct bench_client *client)
{
    Holdfast__V1__ReleaseRequest request = HOLDFAST__V1__RELEASE_REQUEST__INIT;
    request.key = client->key;
    request.token.data = client->token;
    request.token.len = sizeof(client->token);
    send_call(client, "Release", &request.base);
}

void bench_take_lease(struct bench_client *client, const uint8_t *bytes, size_t length)
{
    Holdfast__V1__AcquireResponse *response =
        holdfast__v1__acquire_response__unpack(NULL, length, bytes);
    CHECK(response != NULL);
    CHECK(response->result_case == HOLDFAST__V1__ACQUIRE_RESPONSE__RESULT_LEASE);
    CHECK(response->lease->token.len == sizeof(client->token));
    memcpy(client->token, response->lease->token.data, sizeof(client->token));
    holdfast__v1__acquire_response__free_unpacked(response, NULL);
}

void bench_check_released(struct bench_client *client, const uint8_t *bytes, size_t length)
{
    Holdfast__V1__ReleaseResponse *response =
        holdfast__v1__release_response__unpack(NULL, length, bytes);
    CHECK(response != NULL);
    CHECK(response->outcome == HOLDFAST__V1__RELEASE_RESPONSE__OUTCOME__OUTCOME_RELEASED ||
          client->is_repeated);
    client->is_repeated = false;
    holdfast__v1__release_response__free_unpacked(response, NULL);
}

/* Nobody is told UNAVAILABLE who waits for a lock. */
static bool is_refused(const Ttrpc__Status *status, bool is_waiting)
{
    if (status == NULL || status->code == 0) {
        return false;
    }
    if (status->code != STATUS_UNAVAILABLE || is_waiting) {
        fprintf(stderr, "bench: refused with %d: %s\n", (int)status->code, status->message);
        exit(EXIT_FAILURE);
    }
    return true;
}

static enum bench_answer take_answer(struct bench_client *client, bool is_release)
{
    struct ttrpc_header header;
    if (client->used < TTRPC_HEADER_SIZE) {
        return BENCH_INCOMPLETE;
    }
    ttrpc_header_decode(&header, client->input);
    CHECK(header.type == TTRPC_RESPONSE);
    CHECK(TTRPC_HEADER_SIZE + header.length <= sizeof(client->input));
    if (client->used < TTRPC_HEADER_SIZE + header.length) {
        return BENCH_INCOMPLETE;
    }
    Ttrpc__Response *response =
        ttrpc__response__unpack(NULL, header.length, client->input + TTRPC_HEADER_SIZE);
    CHECK(response != NULL);
    const bool is_away = is_refused(response->status, client->wait_ms > 0 && !is_release);
    if (is_away) {
        client->is_repeated = is_release;
    } else if (is_release) {
        bench_check_released(client, response->payload.data, response->payload.len);
    } else {
        bench_take_lease(client, response->payload.data, response->payload.len);
    }
    ttrpc__response__free_unpacked(response, NULL);
    bench_consume(client, TTRPC_HEADER_SIZE + header.length);
    return is_away ? BENCH_AWAY : BENCH_DONE;
}

const struct bench_protocol bench_ttrpc = {
    .prepare = prepare,
    .send_acquire = send_acquire,
    .send_release = send_release,
    .take_answer = take_answer,
};
