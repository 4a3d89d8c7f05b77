/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/http2.h"

#include <string.h>

#include <nghttp2/nghttp2.h>

#include "base/check.h"
#include "base/memory.h"
#include "wire/http2_filter.h"
#include "wire/http2_head.h"

/* Beyond the bytes of a field, as RFC 9113 (6.5.2) counts a header list. */
#define FIELD_OVERHEAD 32

/* Acknowledgements that we may owe the peer: more than fit into what is received at a time. */
#define ACKNOWLEDGEMENTS_MAX 1000

#define FIELDS_MAX 6

struct http2 {
    nghttp2_session *session;
    const struct http2_config *config;
    const struct http2_events *events;
    void *user;
    struct http2_filter filter;
    uint64_t frames;
    uint64_t idle_frames;
    struct http2_head head; /* the header list that is coming in; there is one at a time */
    size_t list_size;       /* of that */
    bool is_within_list;    /* it has begun and not ended */
    bool has_greeted;       /* the peer's first SETTINGS have come */
    const char *problem;
};

static void *stream_of(nghttp2_session *session, int32_t id)
{
    return nghttp2_session_get_stream_user_data(session, id);
}

static bool is_request(const nghttp2_frame *frame)
{
    return frame->hd.type == NGHTTP2_HEADERS && frame->headers.cat == NGHTTP2_HCAT_REQUEST;
}

static bool is_end_of_stream(const nghttp2_frame *frame)
{
    return (frame->hd.type == NGHTTP2_HEADERS || frame->hd.type == NGHTTP2_DATA) &&
           (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0;
}

static int on_begin_headers(nghttp2_session *session, const nghttp2_frame *frame, void *context)
{
    struct http2 *http2 = context;
    http2_head_begin(&http2->head, is_request(frame));
    http2->list_size = 0;
    http2->is_within_list = true;
    if (!is_request(frame)) {
        return 0;
    }
    void *stream = http2->events->on_open(http2->user, frame->hd.stream_id);
    if (stream == NULL) {
        http2_reset(http2, frame->hd.stream_id, HTTP2_REFUSED_STREAM);
        return 0;
    }
    CHECK(nghttp2_session_set_stream_user_data(session, frame->hd.stream_id, stream) == 0);
    return 0;
}

/* Trailers of a request mean nothing to us. */
static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
                     size_t name_length, const uint8_t *value, size_t value_length, uint8_t flags,
                     void *context)
{
    struct http2 *http2 = context;
    void *stream = stream_of(session, frame->hd.stream_id);
    (void)flags;
    http2_head_field(&http2->head, (const char *)name, name_length, (const char *)value,
                     value_length);
    http2->list_size += name_length + value_length + FIELD_OVERHEAD;
    if (stream != NULL && is_request(frame) && http2->list_size <= http2->config->header_list_max) {
        http2->events->on_field(http2->user, stream, (const char *)name, name_length,
                                (const char *)value, value_length);
    }
    return 0;
}

static void count_frame(struct http2 *http2, const nghttp2_frame *frame)
{
    bool is_idle = frame->hd.type == NGHTTP2_RST_STREAM ||
                   (frame->hd.type == NGHTTP2_DATA && !is_end_of_stream(frame) &&
                    frame->hd.length <= frame->data.padlen);
    http2->frames++;
    http2->idle_frames += is_idle;
}

/* Nothing comes behind trailers. */
static bool is_malformed(const struct http2 *http2, const nghttp2_frame *frame)
{
    return frame->hd.type == NGHTTP2_HEADERS && (!http2_head_is_well_formed(&http2->head) ||
                                                 (!is_request(frame) && !is_end_of_stream(frame)));
}

static int on_frame_recv(nghttp2_session *session, const nghttp2_frame *frame, void *context)
{
    struct http2 *http2 = context;
    void *stream = stream_of(session, frame->hd.stream_id);
    count_frame(http2, frame);
    http2->has_greeted = http2->has_greeted || frame->hd.type == NGHTTP2_SETTINGS;
    if (frame->hd.type == NGHTTP2_HEADERS) {
        http2->is_within_list = false;
    }
    if (stream != NULL && is_malformed(http2, frame)) {
        http2_reset(http2, frame->hd.stream_id, HTTP2_PROTOCOL_ERROR);
        return 0;
    }
    if (stream != NULL && is_request(frame)) {
        http2->events->on_request(http2->user, stream,
                                  http2->list_size <= http2->config->header_list_max);
    }
    if (stream != NULL && is_end_of_stream(frame)) {
        http2->events->on_half_close(http2->user, stream);
    }
    return 0;
}

static int on_invalid_frame(nghttp2_session *session, const nghttp2_frame *frame, int error,
                            void *context)
{
    struct http2 *http2 = context;
    (void)session;
    (void)error;
    if (frame->hd.type == NGHTTP2_HEADERS) {
        http2->is_within_list = false;
    }
    return 0;
}

static int on_data_chunk(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *bytes,
                         size_t length, void *context)
{
    struct http2 *http2 = context;
    void *stream = stream_of(session, id);
    (void)flags;
    /* One stream that waits must not hold up the others. */
    CHECK(nghttp2_session_consume_connection(session, length) == 0);
    if (stream == NULL) {
        http2_consume(http2, id, length);
    } else {
        http2->events->on_data(http2->user, stream, bytes, length);
    }
    return 0;
}

static int on_stream_close(nghttp2_session *session, int32_t id, uint32_t error, void *context)
{
    struct http2 *http2 = context;
    void *stream = stream_of(session, id);
    (void)error;
    if (stream != NULL) {
        http2->events->on_close(http2->user, stream);
    }
    return 0;
}

/* The answer is complete. A client that is still sending would keep its stream open for ever; so it
 * is told to stop, behind the last frame of the answer. */
static int on_frame_send(nghttp2_session *session, const nghttp2_frame *frame, void *context)
{
    struct http2 *http2 = context;
    if (frame->hd.type == NGHTTP2_GOAWAY && frame->goaway.error_code != NGHTTP2_NO_ERROR) {
        http2->problem = nghttp2_http2_strerror(frame->goaway.error_code);
    }
    if (is_end_of_stream(frame) &&
        nghttp2_session_get_stream_remote_close(session, frame->hd.stream_id) == 0) {
        http2_reset(http2, frame->hd.stream_id, HTTP2_NO_ERROR);
    }
    return 0;
}

static ssize_t read_body(nghttp2_session *session, int32_t id, uint8_t *bytes, size_t size,
                         uint32_t *flags, nghttp2_data_source *source, void *context)
{
    struct http2 *http2 = context;
    bool is_last = false;
    void *stream = stream_of(session, id);
    (void)source;
    if (stream == NULL) {
        return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    }
    size_t length = http2->events->on_pull(http2->user, stream, bytes, size, &is_last);
    CHECK(length <= size);
    if (is_last) {
        *flags |= NGHTTP2_DATA_FLAG_EOF | NGHTTP2_DATA_FLAG_NO_END_STREAM;
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
    nghttp2_session_callbacks_set_on_invalid_frame_recv_callback(callbacks, on_invalid_frame);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data_chunk);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_stream_close);
    nghttp2_session_callbacks_set_on_frame_send_callback(callbacks, on_frame_send);
    return callbacks;
}

#ifdef HAVE_NGHTTP2_RESET_RATE_LIMIT
/* The library's own limit ends connections whose callers' deadlines pass by the hundred, which is
 * what waits for locks do. The user limits by http2_idle_frames. */
static void lift_reset_limit(nghttp2_option *option)
{
    nghttp2_option_set_stream_reset_rate_limit(option, INT32_MAX, INT32_MAX);
}
#else
static void lift_reset_limit(nghttp2_option *option)
{
    (void)option;
}
#endif

static nghttp2_option *option_create(void)
{
    nghttp2_option *option = NULL;
    CHECK(nghttp2_option_new(&option) == 0);
    nghttp2_option_set_no_auto_window_update(option, 1);
    nghttp2_option_set_no_closed_streams(option, 1);
    nghttp2_option_set_no_http_messaging(option, 1); /* http2_head is less strict */
    nghttp2_option_set_max_outbound_ack(option, ACKNOWLEDGEMENTS_MAX);
    lift_reset_limit(option);
    return option;
}

static void greet(struct http2 *http2)
{
    const nghttp2_settings_entry settings[] = {
        {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, http2->config->streams_max},
        {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, http2->config->header_list_max},
        {NGHTTP2_SETTINGS_NO_RFC7540_PRIORITIES, 1},
    };
    CHECK(nghttp2_submit_settings(http2->session, NGHTTP2_FLAG_NONE, settings,
                                  sizeof(settings) / sizeof(settings[0])) == 0);
    CHECK(nghttp2_session_set_local_window_size(http2->session, NGHTTP2_FLAG_NONE, 0,
                                                (int32_t)http2->config->connection_window) == 0);
}

struct http2 *http2_create(const struct http2_config *config, const struct http2_events *events,
                           void *user)
{
    struct http2 *http2 = memory_alloc(sizeof(*http2));
    nghttp2_session_callbacks *callbacks = callbacks_create();
    nghttp2_option *option = option_create();
    http2->config = config;
    http2->events = events;
    http2->user = user;
    CHECK(nghttp2_session_server_new2(&http2->session, callbacks, http2, option) == 0);
    nghttp2_option_del(option);
    nghttp2_session_callbacks_del(callbacks);
    greet(http2);
    return http2;
}

void http2_destroy(struct http2 *http2)
{
    nghttp2_session_del(http2->session);
    memory_free(http2);
}

static bool receive(void *user, const uint8_t *bytes, size_t length)
{
    struct http2 *http2 = user;
    ssize_t taken = nghttp2_session_mem_recv(http2->session, bytes, length);
    CHECK(taken != NGHTTP2_ERR_NOMEM);
    if (taken < 0) {
        http2->problem = nghttp2_strerror((int)taken);
    }
    return taken >= 0;
}

bool http2_receive(struct http2 *http2, const uint8_t *bytes, size_t length)
{
    return http2_filter_pass(&http2->filter, bytes, length, receive, http2);
}

bool http2_produce(struct http2 *http2, const uint8_t **bytes, size_t *length)
{
    ssize_t made = nghttp2_session_mem_send(http2->session, bytes);
    CHECK(made != NGHTTP2_ERR_NOMEM);
    *length = made < 0 ? 0 : (size_t)made;
    if (made < 0) {
        http2->problem = nghttp2_strerror((int)made);
    }
    return made >= 0;
}

bool http2_is_over(const struct http2 *http2)
{
    return nghttp2_session_want_read(http2->session) == 0 &&
           nghttp2_session_want_write(http2->session) == 0;
}

bool http2_is_awaiting(const struct http2 *http2)
{
    return !http2->has_greeted || http2->is_within_list;
}

/* What the library takes for a field; it copies the value. */
static size_t convert(const struct http2_field *fields, size_t count, nghttp2_nv *converted)
{
    CHECK(count <= FIELDS_MAX);
    for (size_t i = 0; i < count; i++) {
        converted[i] = (nghttp2_nv){
            .name = (uint8_t *)(uintptr_t)fields[i].name,
            .namelen = strlen(fields[i].name),
            .value = (uint8_t *)(uintptr_t)fields[i].value,
            .valuelen = fields[i].length,
            .flags = NGHTTP2_NV_FLAG_NO_COPY_NAME,
        };
    }
    return count;
}

void http2_respond(struct http2 *http2, int32_t id, const struct http2_field *fields, size_t count,
                   bool is_all)
{
    nghttp2_nv converted[FIELDS_MAX];
    nghttp2_data_provider body = {.read_callback = read_body};
    CHECK(nghttp2_submit_response(http2->session, id, converted, convert(fields, count, converted),
                                  is_all ? NULL : &body) == 0);
}

void http2_send_trailers(struct http2 *http2, int32_t id, const struct http2_field *fields,
                         size_t count)
{
    nghttp2_nv converted[FIELDS_MAX];
    CHECK(nghttp2_submit_trailer(http2->session, id, converted,
                                 convert(fields, count, converted)) == 0);
}

void http2_wake(struct http2 *http2, int32_t id)
{
    int result = nghttp2_session_resume_data(http2->session, id);
    CHECK(result == 0 || result == NGHTTP2_ERR_INVALID_ARGUMENT);
}

void http2_reset(struct http2 *http2, int32_t id, enum http2_error error)
{
    CHECK(nghttp2_submit_rst_stream(http2->session, NGHTTP2_FLAG_NONE, id, (uint32_t)error) == 0);
}

void http2_consume(struct http2 *http2, int32_t id, size_t length)
{
    CHECK(nghttp2_session_consume_stream(http2->session, id, length) == 0);
}

void http2_ping(struct http2 *http2)
{
    CHECK(nghttp2_submit_ping(http2->session, NGHTTP2_FLAG_NONE, NULL) == 0);
}

void http2_announce_end(struct http2 *http2)
{
    CHECK(nghttp2_submit_shutdown_notice(http2->session) == 0);
}

void http2_end(struct http2 *http2, enum http2_error error)
{
    int32_t last = nghttp2_session_get_last_proc_stream_id(http2->session);
    int result =
        nghttp2_submit_goaway(http2->session, NGHTTP2_FLAG_NONE, last, (uint32_t)error, NULL, 0);
    CHECK(result == 0);
}

uint64_t http2_frames(const struct http2 *http2)
{
    return http2->frames;
}

uint64_t http2_idle_frames(const struct http2 *http2)
{
    return http2->idle_frames + http2->filter.dropped;
}

const char *http2_problem(const struct http2 *http2)
{
    return http2->problem;
}
