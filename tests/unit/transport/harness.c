/* SPDX-License-Identifier: Apache-2.0 */
#include "harness.h"

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include <holdfast/v1/locks.pb-c.h>
#include <openssl/ssl.h>
#include <ttrpc/ttrpc.pb-c.h>

#include "base/clock.h"
#include "base/log.h"
#include "fake_session.h"

/* As recv. */
static ssize_t read_some(struct harness *harness, void *bytes, size_t size)
{
    if (harness->ssl == NULL) {
        return recv(harness->peer, bytes, size, MSG_DONTWAIT);
    }
    int got = SSL_read(harness->ssl, bytes, (int)size);
    if (got <= 0) {
        errno = SSL_get_error(harness->ssl, got) == SSL_ERROR_WANT_READ ? EAGAIN : ECONNRESET;
    }
    return got > 0 ? got : -1;
}

/* As send. */
static ssize_t write_some(struct harness *harness, const void *bytes, size_t size)
{
    if (harness->ssl != NULL) {
        return SSL_write(harness->ssl, bytes, (int)size);
    }
    return send(harness->peer, bytes, size, MSG_NOSIGNAL);
}

static void receive(struct harness *harness)
{
    uint8_t bytes[65536];
    while (harness->peer >= 0 && !harness->is_deaf && !harness->is_ended) {
        ssize_t got = read_some(harness, bytes, sizeof(bytes));
        if (got < 0 && errno == EAGAIN) {
            return;
        }
        harness->is_ended = got <= 0;
        harness->is_reset = got < 0;
        if (got > 0) {
            harness->received = realloc(harness->received, harness->length + (size_t)got);
            memcpy(harness->received + harness->length, bytes, (size_t)got);
            harness->length += (size_t)got;
        }
    }
}

int harness_set_up(void **state)
{
    struct harness *harness = calloc(1, sizeof(*harness));
    signal(SIGPIPE, SIG_IGN);
    log_set_level(LOG_LEVEL_ERROR);
    fake_reset();
    harness->loop = loop_create();
    harness->peer = -1;
    harness->services.loop = harness->loop;
    harness->services.metrics = &harness->metrics;
    harness->services.config.sessions_max = 100;
    harness->services.config.message_bytes_max = HARNESS_MESSAGE_MAX;
    harness->host = (struct connection_host){
        .loop = harness->loop,
        .services = &harness->services,
        .metrics = &harness->metrics,
        .output_max = HARNESS_OUTPUT_MAX,
        .handshake_timeout_us = HARNESS_DEADLINE_US,
        .ping_after_us = HARNESS_DEADLINE_US,
    };
    LIST_INIT(&harness->host.connections);
    *state = harness;
    return 0;
}

int harness_tear_down(void **state)
{
    struct harness *harness = *state;
    harness_hang_up(harness);
    HARNESS_WAIT(harness, harness->host.count == 0);
    harness_turn(harness);
    assert_int_equal(fake.sessions, fake.destroyed);
    assert_int_equal(fake.started, fake.answered + fake.cancelled);
    assert_int_equal(harness->services.sessions, 0);
    assert_int_equal(harness->metrics.connections_now, 0);
    loop_destroy(harness->loop);
    free(harness->received);
    free(harness);
    return 0;
}

void harness_connect(struct harness *harness)
{
    int fds[2];
    harness_hang_up(harness);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
    harness->peer = fds[0];
    harness->is_ended = false;
    harness->length = 0;
    assert_true(connection_create(&harness->host, fds[1], "unix"));
}

void harness_hang_up(struct harness *harness)
{
    SSL_free(harness->ssl);
    harness->ssl = NULL;
    if (harness->peer >= 0) {
        close(harness->peer);
        harness->peer = -1;
    }
}

void harness_turn(struct harness *harness)
{
    loop_turn(harness->loop, CLOCK_US_PER_MS);
    receive(harness);
}

void harness_calm_down(struct harness *harness)
{
    size_t answered = SIZE_MAX;
    while (answered != fake.answered) {
        answered = fake.answered;
        for (int i = 0; i < 30; i++) {
            harness_turn(harness);
        }
    }
}

void harness_send(struct harness *harness, const void *bytes, size_t length)
{
    size_t sent = 0;
    while (sent < length && !harness->is_ended) {
        ssize_t result = write_some(harness, (const uint8_t *)bytes + sent, length - sent);
        sent += result > 0 ? (size_t)result : 0;
        if (sent < length) {
            harness_turn(harness);
        }
    }
}

void harness_send_frame(struct harness *harness, const struct ttrpc_header *header,
                        const void *data)
{
    uint8_t bytes[TTRPC_HEADER_SIZE];
    ttrpc_header_encode(header, bytes);
    harness_send(harness, bytes, sizeof(bytes));
    harness_send(harness, data, header->length);
}

uint8_t *harness_request(uint32_t id, const char *method, const char *text, uint8_t flags,
                         size_t *length)
{
    Ttrpc__Request request = TTRPC__REQUEST__INIT;
    request.service = (char[]){"test.Service"};
    request.method = (char *)(uintptr_t)method;
    request.payload =
        (ProtobufCBinaryData){.len = strlen(text), .data = (uint8_t *)(uintptr_t)text};
    size_t size = ttrpc__request__get_packed_size(&request);
    uint8_t *frame = malloc(TTRPC_HEADER_SIZE + size);
    struct ttrpc_header header = {
        .length = (uint32_t)size, .stream_id = id, .type = TTRPC_REQUEST, .flags = flags};
    ttrpc_header_encode(&header, frame);
    ttrpc__request__pack(&request, frame + TTRPC_HEADER_SIZE);
    *length = TTRPC_HEADER_SIZE + size;
    return frame;
}

void harness_send_request(struct harness *harness, uint32_t id, const char *method,
                          const char *text, uint8_t flags)
{
    size_t length = 0;
    uint8_t *frame = harness_request(id, method, text, flags, &length);
    harness_send(harness, frame, length);
    free(frame);
}

void harness_send_data(struct harness *harness, uint32_t id, const char *text, uint8_t flags)
{
    struct ttrpc_header header = {
        .length = (uint32_t)strlen(text), .stream_id = id, .type = TTRPC_DATA, .flags = flags};
    harness_send_frame(harness, &header, text);
}

static bool has_frame(const struct harness *harness, struct ttrpc_header *header)
{
    if (harness->length < TTRPC_HEADER_SIZE) {
        return false;
    }
    ttrpc_header_decode(header, harness->received);
    return harness->length >= TTRPC_HEADER_SIZE + header->length;
}

void harness_take(struct harness *harness, struct received_frame *frame)
{
    static uint8_t *data;
    HARNESS_WAIT(harness, has_frame(harness, &frame->header));
    size_t size = TTRPC_HEADER_SIZE + frame->header.length;
    data = realloc(data, frame->header.length + 1);
    memcpy(data, harness->received + TTRPC_HEADER_SIZE, frame->header.length);
    memmove(harness->received, harness->received + size, harness->length - size);
    harness->length -= size;
    frame->data = data;
}

static void check_label(const uint8_t *bytes, size_t length, const char *label)
{
    Holdfast__V1__Holder *holder = holdfast__v1__holder__unpack(NULL, length, bytes);
    assert_non_null(holder);
    if (label != NULL) {
        assert_string_equal(holder->label, label);
    }
    holdfast__v1__holder__free_unpacked(holder, NULL);
}

static Ttrpc__Response *take_response(struct harness *harness, uint32_t id)
{
    struct received_frame frame;
    harness_take(harness, &frame);
    assert_int_equal(frame.header.type, TTRPC_RESPONSE);
    assert_int_equal(frame.header.stream_id, id);
    assert_int_equal(frame.header.flags, 0);
    Ttrpc__Response *response = ttrpc__response__unpack(NULL, frame.header.length, frame.data);
    assert_non_null(response);
    return response;
}

void harness_expect_reply(struct harness *harness, uint32_t id, const char *label)
{
    Ttrpc__Response *response = take_response(harness, id);
    assert_null(response->status);
    check_label(response->payload.data, response->payload.len, label);
    ttrpc__response__free_unpacked(response, NULL);
}

void harness_expect_failure(struct harness *harness, uint32_t id, enum status status,
                            const char *part_of_text)
{
    Ttrpc__Response *response = take_response(harness, id);
    assert_non_null(response->status);
    assert_int_equal(response->status->code, status);
    assert_non_null(strstr(response->status->message, part_of_text));
    assert_int_equal(response->payload.len, 0);
    ttrpc__response__free_unpacked(response, NULL);
}

void harness_expect_data(struct harness *harness, uint32_t id, const char *label)
{
    struct received_frame frame;
    harness_take(harness, &frame);
    assert_int_equal(frame.header.type, TTRPC_DATA);
    assert_int_equal(frame.header.stream_id, id);
    assert_int_equal(frame.header.flags, 0);
    check_label(frame.data, frame.header.length, label);
}

void harness_expect_end(struct harness *harness, uint32_t id)
{
    struct received_frame frame;
    harness_take(harness, &frame);
    assert_int_equal(frame.header.type, TTRPC_DATA);
    assert_int_equal(frame.header.stream_id, id);
    assert_int_equal(frame.header.flags, TTRPC_REMOTE_CLOSED | TTRPC_NO_DATA);
    assert_int_equal(frame.header.length, 0);
}

void harness_expect_service(struct harness *harness, uint32_t id)
{
    harness_send_request(harness, id, "Echo", "still here", 0);
    harness_expect_reply(harness, id, "still here");
}
