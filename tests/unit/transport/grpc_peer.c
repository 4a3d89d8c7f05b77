/* SPDX-License-Identifier: Apache-2.0 */
#include "grpc_peer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <holdfast/v1/locks.pb-c.h>
#include <nghttp2/nghttp2.h>

#include "base/clock.h"
#include "base/compiler.h"
#include "wire/grpc_message.h"

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
                     size_t name_length, const uint8_t *value, size_t value_length, uint8_t flags,
                     void *user)
{
    struct grpc_answer *answer = grpc_peer_answer(user, frame->hd.stream_id);
    (void)session;
    (void)flags;
    (void)name_length;
    if (strcmp((const char *)name, ":status") == 0) {
        answer->http_status = (int)strtol((const char *)value, NULL, 10);
    } else if (strcmp((const char *)name, "grpc-status") == 0) {
        answer->status = (int)strtol((const char *)value, NULL, 10);
    } else if (strcmp((const char *)name, "grpc-message") == 0) {
        assert_true(value_length < sizeof(answer->text));
        memcpy(answer->text, value, value_length + 1);
    }
    return 0;
}

static int on_data(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *bytes,
                   size_t length, void *user)
{
    struct grpc_peer *peer = user;
    struct grpc_answer *answer = grpc_peer_answer(peer, id);
    (void)flags;
    answer->data = realloc(answer->data, answer->length + length);
    memcpy(answer->data + answer->length, bytes, length);
    answer->length += length;
    assert_int_equal(nghttp2_session_consume_connection(session, length), 0);
    answer->unread += length;
    if (!peer->is_deaf) {
        grpc_peer_listen(peer, id);
    }
    return 0;
}

static int on_close(nghttp2_session *session, int32_t id, uint32_t error, void *user)
{
    struct grpc_answer *answer = grpc_peer_answer(user, id);
    (void)session;
    answer->is_closed = true;
    answer->error = error;
    return 0;
}

static int on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *user)
{
    struct grpc_peer *peer = user;
    (void)session;
    if (frame->hd.type == NGHTTP2_GOAWAY) {
        peer->is_going = true;
        peer->last_id = frame->goaway.last_stream_id;
    }
    peer->pings += frame->hd.type == NGHTTP2_PING && (frame->hd.flags & NGHTTP2_FLAG_ACK) == 0;
    return 0;
}

static ssize_t read_out(nghttp2_session *session, int32_t id, uint8_t *bytes, size_t size,
                        uint32_t *flags, nghttp2_data_source *source, void *user)
{
    struct grpc_answer *answer = grpc_peer_answer(user, id);
    size_t length = answer->out_length < size ? answer->out_length : size;
    (void)session;
    (void)source;
    if (length > 0) {
        memcpy(bytes, answer->out, length);
        memmove(answer->out, answer->out + length, answer->out_length - length);
    }
    answer->out_length -= length;
    if (answer->is_out_ended && answer->out_length == 0) {
        *flags |= NGHTTP2_DATA_FLAG_EOF;
    } else if (length == 0) {
        return NGHTTP2_ERR_DEFERRED;
    }
    return (ssize_t)length;
}

static void create_session(struct grpc_peer *peer)
{
    nghttp2_session_callbacks *callbacks = NULL;
    nghttp2_option *option = NULL;
    nghttp2_session_callbacks_new(&callbacks);
    nghttp2_option_new(&option);
    nghttp2_option_set_no_auto_window_update(option, 1);
    nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_close);
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_frame);
    assert_int_equal(nghttp2_session_client_new2(&peer->session, callbacks, peer, option), 0);
    nghttp2_option_del(option);
    nghttp2_session_callbacks_del(callbacks);
}

void grpc_peer_start(struct grpc_peer *peer, struct harness *harness)
{
    *peer = (struct grpc_peer){.harness = harness};
    for (size_t i = 0; i < GRPC_PEER_STREAMS; i++) {
        peer->answers[i].status = -1;
    }
    harness_connect(harness);
    create_session(peer);
    assert_int_equal(nghttp2_submit_settings(peer->session, NGHTTP2_FLAG_NONE, NULL, 0), 0);
}

void grpc_peer_stop(struct grpc_peer *peer)
{
    nghttp2_session_del(peer->session);
    for (size_t i = 0; i < GRPC_PEER_STREAMS; i++) {
        free(peer->answers[i].out);
        free(peer->answers[i].data);
    }
}

void grpc_peer_widen(struct grpc_peer *peer)
{
    assert_int_equal(
        nghttp2_session_set_local_window_size(peer->session, NGHTTP2_FLAG_NONE, 0, 1 << 30), 0);
}

void grpc_peer_turn(struct grpc_peer *peer)
{
    struct harness *harness = peer->harness;
    const uint8_t *bytes = NULL;
    ssize_t length = 0;
    while (!harness->is_ended && (length = nghttp2_session_mem_send(peer->session, &bytes)) > 0) {
        harness_send(harness, bytes, (size_t)length);
    }
    harness_turn(harness);
    if (harness->length > 0) {
        assert_int_equal(
            nghttp2_session_mem_recv(peer->session, harness->received, harness->length),
            harness->length);
        harness->length = 0;
    }
}

#define FIELD(field_name, text)                                                                    \
    (nghttp2_nv)                                                                                   \
    {                                                                                              \
        .name = (uint8_t *)(uintptr_t)(field_name), .namelen = strlen(field_name),                 \
        .value = (uint8_t *)(uintptr_t)(text), .valuelen = strlen(text)                            \
    }

int32_t grpc_peer_open(struct grpc_peer *peer, const char *method, const char *timeout)
{
    char path[100];
    nghttp2_data_provider body = {.read_callback = read_out};
    snprintf(path, sizeof(path), "/test.Service/%s", method);
    const nghttp2_nv fields[] = {FIELD(":method", "POST"),
                                 FIELD(":scheme", "http"),
                                 FIELD(":path", path),
                                 FIELD(":authority", "test"),
                                 FIELD("content-type", "application/grpc"),
                                 FIELD("grpc-timeout", timeout == NULL ? "" : timeout)};
    int32_t id = nghttp2_submit_request(peer->session, NULL, fields,
                                        COUNT_OF(fields) - (timeout == NULL), &body, NULL);
    assert_true(id > 0 && id < 2 * GRPC_PEER_STREAMS);
    return id;
}

void grpc_peer_send_bytes(struct grpc_peer *peer, int32_t id, const void *bytes, size_t length,
                          bool is_last)
{
    struct grpc_answer *answer = grpc_peer_answer(peer, id);
    answer->out = realloc(answer->out, answer->out_length + length + 1);
    if (length > 0) {
        memcpy(answer->out + answer->out_length, bytes, length);
    }
    answer->out_length += length;
    answer->is_out_ended = is_last;
    nghttp2_session_resume_data(peer->session, id);
}

void grpc_peer_send(struct grpc_peer *peer, int32_t id, const char *text, bool is_last)
{
    uint8_t prefix[GRPC_PREFIX_SIZE];
    grpc_prefix_encode(prefix, (uint32_t)strlen(text));
    grpc_peer_send_bytes(peer, id, prefix, sizeof(prefix), false);
    grpc_peer_send_bytes(peer, id, text, strlen(text), is_last);
}

int32_t grpc_peer_call(struct grpc_peer *peer, const char *method, const char *text)
{
    int32_t id = grpc_peer_open(peer, method, NULL);
    grpc_peer_send(peer, id, text, true);
    return id;
}

void grpc_peer_listen(struct grpc_peer *peer, int32_t id)
{
    struct grpc_answer *answer = grpc_peer_answer(peer, id);
    peer->is_deaf = false;
    assert_int_equal(nghttp2_session_consume_stream(peer->session, id, answer->unread), 0);
    answer->unread = 0;
}

void grpc_peer_cancel(struct grpc_peer *peer, int32_t id)
{
    assert_int_equal(
        nghttp2_submit_rst_stream(peer->session, NGHTTP2_FLAG_NONE, id, NGHTTP2_CANCEL), 0);
}

struct grpc_answer *grpc_peer_answer(struct grpc_peer *peer, int32_t id)
{
    assert_true(id > 0 && id % 2 == 1 && id < 2 * GRPC_PEER_STREAMS);
    return &peer->answers[(id - 1) / 2];
}

void grpc_peer_expect_message(struct grpc_peer *peer, int32_t id, const char *label)
{
    struct grpc_answer *answer = grpc_peer_answer(peer, id);
    struct grpc_message message;
    GRPC_PEER_WAIT(peer,
                   answer->data != NULL &&
                       grpc_message_read(&message, answer->data + answer->taken,
                                         answer->length - answer->taken, SIZE_MAX) == GRPC_MESSAGE);
    Holdfast__V1__Holder *holder =
        holdfast__v1__holder__unpack(NULL, message.length, message.bytes);
    assert_non_null(holder);
    if (label != NULL) {
        assert_string_equal(holder->label, label);
    }
    holdfast__v1__holder__free_unpacked(holder, NULL);
    answer->taken += GRPC_PREFIX_SIZE + message.length;
}

void grpc_peer_expect_status(struct grpc_peer *peer, int32_t id, enum status status,
                             const char *part_of_text)
{
    struct grpc_answer *answer = grpc_peer_answer(peer, id);
    GRPC_PEER_WAIT(peer, answer->is_closed);
    assert_int_equal(answer->error, NGHTTP2_NO_ERROR);
    assert_int_equal(answer->http_status, 200);
    assert_int_equal(answer->status, status);
    if (strstr(answer->text, part_of_text) == NULL) {
        print_error("%s\n", answer->text);
    }
    assert_non_null(strstr(answer->text, part_of_text));
    assert_int_equal(answer->taken, answer->length);
}

void grpc_peer_expect_service(struct grpc_peer *peer)
{
    int32_t id = grpc_peer_call(peer, "Echo", "still here");
    grpc_peer_expect_message(peer, id, "still here");
    grpc_peer_expect_status(peer, id, STATUS_OK, "");
}
