/* SPDX-License-Identifier: Apache-2.0 */
/* The side through holdfastd over gRPC: the same calls as over ttRPC, as HTTP/2 clients encode them
 * once their table of header fields is filled. */
#include <string.h>

#include "bench.h"

#include "base/check.h"
#include "holdfast/v1/locks.pb-c.h"
#include "wire/grpc_message.h"

#define FRAME_HEADER_SIZE ((size_t)9)
#define FRAME_MAX         512

enum { FRAME_DATA = 0, FRAME_HEADERS = 1, FRAME_RST_STREAM = 3, FRAME_GOAWAY = 7 };
enum { END_STREAM = 1, END_HEADERS = 4 };

/* Literals fill the table in the first request of a kind; later ones name its entries. */
static const char first_acquire[] = "\x83\x86\x41\x09localhost\x44\x1a/holdfast.v1.Locks/Acquire"
                                    "\x5f\x10"
                                    "application/grpc\x40\x02te\x08trailers";
static const char first_release[] = "\x83\x86\xc1\x44\x1a/holdfast.v1.Locks/Release\xc0\xbf";
static const char next_acquire[] = "\x83\x86\xc2\xc1\xc0\xbf";
static const char next_release[] = "\x83\x86\xc2\xbe\xc0\xbf";

static void prepare(struct bench_client *client)
{
    static const char greeting[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
                                   "\0\0\0\4\0\0\0\0\0"
                                   "\0\0\4\10\0\0\0\0\0\x7f\0\0\0"; /* a window for all answers */
    bench_send(client, greeting, sizeof(greeting) - 1);
}

static size_t put_frame(uint8_t *out, uint8_t type, uint8_t flags, uint32_t id, size_t length)
{
    const uint8_t header[FRAME_HEADER_SIZE] = {
        0,          (uint8_t)(length >> 8), (uint8_t)length,     type,
        flags,      (uint8_t)(id >> 24),    (uint8_t)(id >> 16), (uint8_t)(id >> 8),
        (uint8_t)id};
    memcpy(out, header, sizeof(header));
    return sizeof(header);
}

static void send_call(struct bench_client *client, const char *fields, size_t length,
                      const ProtobufCMessage *message)
{
    uint8_t out[FRAME_MAX];
    size_t size = protobuf_c_message_get_packed_size(message);
    CHECK(length + size + 2 * FRAME_HEADER_SIZE + GRPC_PREFIX_SIZE <= sizeof(out));
    size_t used = put_frame(out, FRAME_HEADERS, END_HEADERS, client->next_id, length);
    memcpy(out + used, fields, length);
    used += length;
    used += put_frame(out + used, FRAME_DATA, END_STREAM, client->next_id, GRPC_PREFIX_SIZE + size);
    grpc_prefix_encode(out + used, (uint32_t)size);
    used += GRPC_PREFIX_SIZE;
    used += protobuf_c_message_pack(message, out + used);
    client->next_id += 2;
    bench_send(client, out, used);
}

static void send_acquire(struct bench_client *client)
{
    Holdfast__V1__AcquireRequest request = HOLDFAST__V1__ACQUIRE_REQUEST__INIT;
    bool is_first = client->next_id == 1;
    request.key = client->key;
    request.ttl_ms = BENCH_TTL_MS;
    request.wait_ms = client->wait_ms;
    send_call(client, is_first ? first_acquire : next_acquire,
              is_first ? sizeof(first_acquire) - 1 : sizeof(next_acquire) - 1, &request.base);
}

static void send_release(struct bench_client *client)
{
    Holdfast__V1__ReleaseRequest request = HOLDFAST__V1__RELEASE_REQUEST__INIT;
    bool is_first = client->next_id == 3;
    request.key = client->key;
    request.token.data = client->token;
    request.token.len = sizeof(client->token);
    send_call(client, is_first ? first_release : next_release,
              is_first ? sizeof(first_release) - 1 : sizeof(next_release) - 1, &request.base);
}

static void take_message(struct bench_client *client, bool is_release, const uint8_t *bytes,
                         size_t length)
{
    struct grpc_message message;
    CHECK(grpc_message_read(&message, bytes, length, length) == GRPC_MESSAGE);
    if (is_release) {
        bench_check_released(client, message.bytes, message.length);
    } else {
        bench_take_lease(client, message.bytes, message.length);
    }
}

/* An answer is HEADERS, DATA with one message, HEADERS that end it: without a message it failed. */
static enum bench_answer take_answer(struct bench_client *client, bool is_release)
{
    while (client->used >= FRAME_HEADER_SIZE) {
        const uint8_t *frame = client->input;
        size_t length = (size_t)frame[0] << 16 | (size_t)frame[1] << 8 | frame[2];
        size_t size = FRAME_HEADER_SIZE + length;
        bool is_end = frame[3] == FRAME_HEADERS && (frame[4] & END_STREAM) != 0;
        CHECK(size <= sizeof(client->input));
        if (client->used < size) {
            return BENCH_INCOMPLETE;
        }
        CHECK(frame[3] != FRAME_RST_STREAM && frame[3] != FRAME_GOAWAY);
        if (frame[3] == FRAME_DATA) {
            client->has_message = true;
            take_message(client, is_release, frame + FRAME_HEADER_SIZE, length);
        }
        bench_consume(client, size);
        if (is_end) {
            CHECK(client->has_message);
            client->has_message = false;
            return BENCH_DONE;
        }
    }
    return BENCH_INCOMPLETE;
}

const struct bench_protocol bench_grpc = {
    .prepare = prepare,
    .send_acquire = send_acquire,
    .send_release = send_release,
    .take_answer = take_answer,
};
