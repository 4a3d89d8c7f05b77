/* SPDX-License-Identifier: Apache-2.0 */
#include "grpc/http2_client.h"

#include <string.h>

#include <nghttp2/nghttp2.h>

#include "base/check.h"
#include "base/memory.h"

/* Beyond the bytes of a field, as RFC 9113 (6.5.2) counts a header list. */
#define FIELD_OVERHEAD 32

/* What a server may send ahead of us: of one answer, and of all. */
#define WINDOW (1 << 20)

/* Acknowledgements that we may owe the peer while it does not read. */
#define ACKNOWLEDGEMENTS_MAX 1000

struct http2_client {
    nghttp2_session *session;
    const struct http2_client_events *events;
    void *user;
    size_t list_size; /* of the header list that is coming in; there is one at a time */
    int64_t farewell; /* the code of the peer's GOAWAY; -1: there was none */
    const char *problem;
};

static int on_begin_headers(nghttp2_session *session, const nghttp2_frame *frame, void *context)
{
    struct http2_client *http2 = context;
    (void)session;
    (void)frame;
    http2->list_size = 0;
    return 0;
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
                     size_t name_length, const uint8_t *value, size_t value_length, uint8_t flags,
                     void *context)
{
    struct http2_client *http2 = context;
    (void)session;
    (void)flags;
    http2->list_size += name_length + value_length + FIELD_OVERHEAD;
    if (http2->list_size <= HTTP2_CLIENT_HEADER_LIST_MAX) {
        http2->events->on_field(http2->user, frame->hd.stream_id, (const char *)name, name_length,
                                (const char *)value, value_length);
    }
    return 0;
}

static int on_frame_recv(nghttp2_session *session, const nghttp2_frame *frame, void *context)
{
    struct http2_client *http2 = context;
    const bool is_head = frame->hd.type == NGHTTP2_HEADERS;
    (void)session;
    if (frame->hd.type == NGHTTP2_GOAWAY) {
        http2->farewell = frame->goaway.error_code;
    }
    if (is_head) {
        http2->events->on_head(http2->user, frame->hd.stream_id,
                               http2->list_size <= HTTP2_CLIENT_HEADER_LIST_MAX);
    }
    if ((is_head || frame->hd.type == NGHTTP2_DATA) &&
        (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0) {
        http2->events->on_end(http2->user, frame->hd.stream_id);
    }
    return 0;
}

static int on_data_chunk(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *bytes,
                         size_t length, void *context)
{
    struct http2_client *http2 = context;
    (void)session;
    (void)flags;
    http2->events->on_data(http2->user, id, bytes, length);
    return 0;
}

static int on_stream_close(nghttp2_session *session, int32_t id, uint32_t error, void *context)
{
    struct http2_client *http2 = context;
    (void)session;
    http2->events->on_close(http2->user, id, error);
    return 0;
}

static int on_frame_send(nghttp2_session *session, const nghttp2_frame *frame, void *context)
{
    struct http2_client *http2 = context;
    (void)session;
    if (frame->hd.type == NGHTTP2_GOAWAY && frame->goaway.error_code != NGHTTP2_NO_ERROR) {
        http2->problem = nghttp2_http2_strerror(frame->goaway.error_code);
    }
    return 0;
}

static ssize_t read_body(nghttp2_session *session, int32_t id, uint8_t *bytes, size_t size,
                         uint32_t *flags, nghttp2_data_source *source, void *context)
{
    struct http2_client *http2 = context;
    bool is_last = false;
    (void)session;
    (void)source;
    const size_t length = http2->events->on_pull(http2->user, id, bytes, size, &is_last);
    CHECK(length <= size);
    if (is_last) {
        *flags |= NGHTTP2_DATA_FLAG_EOF;
    } else if (length == 0) {
        return NGHTTP2_ERR_DEFERRED;
    }
    return (ssize_t)length;
}

static nghttp2_session_callbacks *callbacks_create(void)
{
    nghttp2_session_callbacks *callbacks = NULL;
    CHECK(nghttp2_session_callbacks_new(&callbacks) == 0);
    nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks, on_begin_headers);
    nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_frame_recv);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data_chunk);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_stream_close);
    nghttp2_session_callbacks_set_on_frame_send_callback(callbacks, on_frame_send);
    return callbacks;
}

static void greet(struct http2_client *http2)
{
    const nghttp2_settings_entry settings[] = {
        {NGHTTP2_SETTINGS_ENABLE_PUSH, 0},
        {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, WINDOW},
        {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, HTTP2_CLIENT_HEADER_LIST_MAX},
    };
    CHECK(nghttp2_submit_settings(http2->session, NGHTTP2_FLAG_NONE, settings,
                                  COUNT_OF(settings)) == 0);
    CHECK(nghttp2_session_set_local_window_size(http2->session, NGHTTP2_FLAG_NONE, 0, WINDOW) == 0);
}

struct http2_client *http2_client_create(const struct http2_client_events *events, void *user)
{
    struct http2_client *http2 = memory_alloc(sizeof(*http2));
    nghttp2_session_callbacks *callbacks = callbacks_create();
    nghttp2_option *option = NULL;
    http2->events = events;
    http2->user = user;
    http2->farewell = -1;
    CHECK(nghttp2_option_new(&option) == 0);
    nghttp2_option_set_no_closed_streams(option, 1);
    nghttp2_option_set_max_outbound_ack(option, ACKNOWLEDGEMENTS_MAX);
    CHECK(nghttp2_session_client_new2(&http2->session, callbacks, http2, option) == 0);
    nghttp2_option_del(option);
    nghttp2_session_callbacks_del(callbacks);
    greet(http2);
    return http2;
}

void http2_client_destroy(struct http2_client *http2)
{
    nghttp2_session_del(http2->session);
    memory_free(http2);
}

bool http2_client_receive(struct http2_client *http2, const uint8_t *bytes, size_t length)
{
    const ssize_t taken = nghttp2_session_mem_recv(http2->session, bytes, length);
    CHECK(taken != NGHTTP2_ERR_NOMEM);
    if (taken < 0) {
        http2->problem = nghttp2_strerror((int)taken);
    }
    return taken >= 0;
}

bool http2_client_produce(struct http2_client *http2, const uint8_t **bytes, size_t *length)
{
    const ssize_t made = nghttp2_session_mem_send(http2->session, bytes);
    CHECK(made != NGHTTP2_ERR_NOMEM);
    *length = made < 0 ? 0 : (size_t)made;
    if (made < 0) {
        http2->problem = nghttp2_strerror((int)made);
    }
    return made >= 0;
}

bool http2_client_is_over(const struct http2_client *http2)
{
    return nghttp2_session_want_read(http2->session) == 0 &&
           nghttp2_session_want_write(http2->session) == 0;
}

int32_t http2_client_request(struct http2_client *http2, const struct http2_field *fields,
                             size_t count)
{
    nghttp2_nv *converted = memory_alloc(count * sizeof(*converted));
    const nghttp2_data_provider body = {.read_callback = read_body};
    for (size_t i = 0; i < count; i++) {
        converted[i] = (nghttp2_nv){
            .name = (uint8_t *)(uintptr_t)fields[i].name,
            .namelen = strlen(fields[i].name),
            .value = (uint8_t *)(uintptr_t)fields[i].value,
            .valuelen = fields[i].length,
        };
    }
    const int32_t id = nghttp2_submit_request(http2->session, NULL, converted, count, &body, NULL);
    CHECK(id != NGHTTP2_ERR_NOMEM);
    memory_free(converted);
    return id > 0 ? id : 0;
}

void http2_client_wake(struct http2_client *http2, int32_t id)
{
    const int result = nghttp2_session_resume_data(http2->session, id);
    CHECK(result == 0 || result == NGHTTP2_ERR_INVALID_ARGUMENT);
}

void http2_client_reset(struct http2_client *http2, int32_t id, enum http2_error error)
{
    CHECK(nghttp2_submit_rst_stream(http2->session, NGHTTP2_FLAG_NONE, id, (uint32_t)error) == 0);
}

const char *http2_client_error_name(uint32_t error)
{
    return nghttp2_http2_strerror(error);
}

const char *http2_client_problem(const struct http2_client *http2)
{
    return http2->problem;
}

int64_t http2_client_farewell(const struct http2_client *http2)
{
    return http2->farewell;
}
