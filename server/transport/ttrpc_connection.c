/* SPDX-License-Identifier: Apache-2.0 */
#include "transport/ttrpc_connection.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <event2/buffer.h>

#include "base/check.h"
#include "base/compiler.h"
#include "base/memory.h"
#include "base/table.h"
#include "service/methods.h"
#include "service/services.h"
#include "service/session.h"
#include "transport/stream.h"
#include "wire/call.h"
#include "wire/ttrpc.h"
#include "wire/ttrpc_message.h"

/* One turn's share of a connection. */
#define SLICE_FRAMES 64
#define SLICE_BYTES  ((size_t)256 * 1024)

/* What may stand around a request message: names and metadata. */
#define ENVELOPE_MAX ((size_t)8 * 1024)

/* Unpacking takes more than the bytes on the wire: the envelope and its payload are both in the
 * arena, then come the message's structs. */
#define ARENA_FACTOR ((size_t)4)
#define ARENA_BASE   ((size_t)64 * 1024)

/* Frames that are built on the stack. */
#define SMALL_FRAME ((size_t)1024)

#define TEXT_SIZE 200

#define OVERSIZE_TEXT                                                                              \
    "max-message-size: the ttRPC message has %" PRIu32                                             \
    " bytes; the limit, with its envelope, is %zu"

struct ttrpc_stream {
    struct call call;
    struct ttrpc_connection *connection;
    uint32_t id;
    bool is_half_closed;
    UT_hash_handle hh;              /* in connection->streams while the call is active */
    LIST_ENTRY(ttrpc_stream) ended; /* in connection->ended afterwards */
};

/* A frame on its way out. */
struct frame {
    uint8_t small[SMALL_FRAME];
    uint8_t *bytes;
    size_t size;
};

/* What the peer may put into a frame. */
static size_t frame_max(const struct ttrpc_connection *connection)
{
    size_t message_max = connection->message_max;
    return message_max < TTRPC_DATA_MAX - ENVELOPE_MAX ? message_max + ENVELOPE_MAX
                                                       : TTRPC_DATA_MAX;
}

/* Starts a frame and returns where its data goes. */
static uint8_t *open_frame(struct frame *frame, const struct ttrpc_header *header)
{
    frame->size = TTRPC_HEADER_SIZE + header->length;
    frame->bytes = frame->size > sizeof(frame->small) ? memory_alloc(frame->size) : frame->small;
    ttrpc_header_encode(header, frame->bytes);
    return frame->bytes + TTRPC_HEADER_SIZE;
}

static void write_frame(struct ttrpc_connection *connection, struct frame *frame)
{
    stream_write(connection->stream, frame->bytes, frame->size);
    if (frame->bytes != frame->small) {
        memory_free(frame->bytes);
    }
}

static void write_response(struct ttrpc_connection *connection, uint32_t id,
                           const struct ttrpc_response *response)
{
    struct ttrpc_response fitting = *response;
    if (ttrpc_response_size(&fitting) > TTRPC_DATA_MAX) {
        fitting = (struct ttrpc_response){
            .status = STATUS_RESOURCE_EXHAUSTED,
            .text = "the answer does not fit into one ttRPC message; ask for less"};
    }
    struct ttrpc_header header = {
        .length = (uint32_t)ttrpc_response_size(&fitting), .stream_id = id, .type = TTRPC_RESPONSE};
    struct frame frame;
    ttrpc_response_pack(&fitting, open_frame(&frame, &header));
    write_frame(connection, &frame);
}

static void write_message(struct ttrpc_stream *stream, const ProtobufCMessage *message)
{
    size_t size = protobuf_c_message_get_packed_size(message);
    CHECK(size <= TTRPC_DATA_MAX);
    struct ttrpc_header header = {
        .length = (uint32_t)size, .stream_id = stream->id, .type = TTRPC_DATA};
    struct frame frame;
    protobuf_c_message_pack(message, open_frame(&frame, &header));
    write_frame(stream->connection, &frame);
}

static void write_end(struct ttrpc_stream *stream)
{
    struct ttrpc_header header = {
        .stream_id = stream->id, .type = TTRPC_DATA, .flags = TTRPC_REMOTE_CLOSED | TTRPC_NO_DATA};
    struct frame frame;
    open_frame(&frame, &header);
    write_frame(stream->connection, &frame);
}

/* Answers a frame that belongs to no call. */
static void PRINTF_LIKE(4, 5) refuse(struct ttrpc_connection *connection, uint32_t id,
                                     enum status status, const char *format, ...)
{
    char text[TEXT_SIZE];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    write_response(connection, id, &(struct ttrpc_response){.status = status, .text = text});
}

static struct ttrpc_stream *stream_of(struct call *call)
{
    return CONTAINER_OF(call, struct ttrpc_stream, call);
}

static bool is_server_streaming(const struct call *call)
{
    return call->method != NULL && call->method->is_server_streaming;
}

static void on_send(struct call *call, const ProtobufCMessage *message)
{
    CHECK(is_server_streaming(call));
    write_message(stream_of(call), message);
}

static void on_finish(struct call *call, const ProtobufCMessage *reply, enum status status,
                      const char *text)
{
    struct ttrpc_stream *stream = stream_of(call);
    struct ttrpc_connection *connection = stream->connection;
    if (!is_server_streaming(call) || status != STATUS_OK) {
        write_response(connection, stream->id,
                       &(struct ttrpc_response){.reply = reply, .status = status, .text = text});
    } else {
        CHECK(reply == NULL);
        write_end(stream);
    }
    session_forget_call(call);
    HASH_DEL(connection->streams, stream);
    LIST_INSERT_HEAD(&connection->ended, stream, ended);
    loop_post(connection->loop, LOOP_FREE, &connection->reap_task);
}

static const struct call_transport call_transport = {.send = on_send, .finish = on_finish};

static void free_stream(struct ttrpc_stream *stream)
{
    call_release(&stream->call);
    memory_free(stream);
}

static void reap(struct task *task)
{
    struct ttrpc_connection *connection = CONTAINER_OF(task, struct ttrpc_connection, reap_task);
    struct ttrpc_stream *stream = NULL;
    while ((stream = LIST_FIRST(&connection->ended)) != NULL) {
        LIST_REMOVE(stream, ended);
        free_stream(stream);
    }
}

static struct ttrpc_stream *create_stream(struct ttrpc_connection *connection, uint32_t id)
{
    struct ttrpc_stream *stream = memory_alloc(sizeof(*stream));
    stream->connection = connection;
    stream->id = id;
    call_init(&stream->call, &call_transport, ARENA_BASE + ARENA_FACTOR * connection->message_max);
    return stream;
}

static struct ttrpc_stream *find_stream(struct ttrpc_connection *connection, uint32_t id)
{
    struct ttrpc_stream *stream = NULL;
    HASH_FIND(hh, connection->streams, &id, sizeof(id), stream);
    return stream;
}

static void half_close(struct ttrpc_stream *stream)
{
    stream->is_half_closed = true;
    session_half_close(&stream->call);
}

/* The call may have ended after each step; then the session ignores the next ones. */
static void start_call(struct ttrpc_stream *stream, const struct ttrpc_request *request,
                       uint8_t flags)
{
    struct ttrpc_connection *connection = stream->connection;
    struct call *call = &stream->call;
    HASH_ADD(hh, connection->streams, id, sizeof(stream->id), stream);
    session_start_call(connection->session, call, request->service, request->method,
                       request->timeout_us);
    bool is_client_streaming = call->method != NULL && call->method->is_client_streaming;
    if (!is_client_streaming || request->payload_length > 0) {
        session_message(call, request->payload, request->payload_length);
    }
    if ((flags & TTRPC_REMOTE_OPEN) == 0) {
        half_close(stream);
    }
}

/* Whether a new request may have this id. If not, says so to the peer. */
static bool take_id(struct ttrpc_connection *connection, uint32_t id)
{
    if (id % 2 == 0) {
        refuse(connection, id, STATUS_INVALID_ARGUMENT,
               "stream id %" PRIu32 ": a client's stream ids are odd", id);
        return false;
    }
    if (id <= connection->last_id) {
        refuse(connection, id, STATUS_INVALID_ARGUMENT,
               "stream id %" PRIu32 ": ids must rise, and %" PRIu32 " has been used", id,
               connection->last_id);
        return false;
    }
    connection->last_id = id;
    return true;
}

static void on_request(struct ttrpc_connection *connection, const struct ttrpc_header *header,
                       const uint8_t *data)
{
    const uint8_t both = TTRPC_REMOTE_OPEN | TTRPC_REMOTE_CLOSED;
    struct ttrpc_request request;
    char problem[MESSAGE_PROBLEM_SIZE];
    if (!take_id(connection, header->stream_id)) {
        return;
    }
    if ((header->flags & both) == both) {
        refuse(connection, header->stream_id, STATUS_INVALID_ARGUMENT,
               "a request is either \"remote open\" or \"remote closed\", not both");
        return;
    }
    struct ttrpc_stream *stream = create_stream(connection, header->stream_id);
    if (!ttrpc_request_unpack(&request, data, header->length, &stream->call.arena, problem)) {
        refuse(connection, header->stream_id, STATUS_INVALID_ARGUMENT, "the ttRPC request: %s",
               problem);
        free_stream(stream);
        return;
    }
    start_call(stream, &request, header->flags);
}

/* The call that a Data frame is for. NULL when it has ended, of which its client may not have heard
 * yet, or never begun. */
static struct ttrpc_stream *find_data_stream(struct ttrpc_connection *connection, uint32_t id)
{
    struct ttrpc_stream *stream = find_stream(connection, id);
    if (stream == NULL && (id % 2 == 0 || id > connection->last_id)) {
        refuse(connection, id, STATUS_INVALID_ARGUMENT,
               "stream id %" PRIu32 ": data for a stream that no request has opened", id);
    }
    return stream;
}

/* A stream that goes on after its end has lost a message that its client counts on. On a unary call
 * the request is complete and whatever follows it is nobody's. */
static void on_late_message(struct ttrpc_stream *stream)
{
    const struct method *method = stream->call.method;
    if (method != NULL && method->is_client_streaming) {
        session_abort_call(&stream->call, STATUS_INVALID_ARGUMENT,
                           "a message after the end of the request");
    }
}

static void on_data(struct ttrpc_connection *connection, const struct ttrpc_header *header,
                    const uint8_t *data)
{
    bool is_last = (header->flags & TTRPC_REMOTE_CLOSED) != 0;
    bool has_no_data = (header->flags & TTRPC_NO_DATA) != 0;
    bool has_message = !has_no_data && (!is_last || header->length > 0);
    struct ttrpc_stream *stream = find_data_stream(connection, header->stream_id);
    if (stream == NULL) {
        return;
    }
    if (has_no_data && header->length > 0) {
        session_abort_call(&stream->call, STATUS_INVALID_ARGUMENT,
                           "a data frame that is flagged as having no data has some");
        return;
    }
    if (has_message && stream->is_half_closed) {
        on_late_message(stream);
        return;
    }
    if (has_message) {
        session_message(&stream->call, data, header->length);
    }
    if (is_last && !stream->is_half_closed) {
        half_close(stream);
    }
}

/* "The first frame byte should always be zero": whoever sends another has lost count. */
static bool is_length_sane(const struct ttrpc_header *header)
{
    return header->length <= UINT32_MAX >> 8;
}

/* A frame that is too large is answered at once; its data is skipped as it arrives. */
static void on_oversize(struct ttrpc_connection *connection, const struct ttrpc_header *header)
{
    size_t limit = frame_max(connection);
    if (header->type == TTRPC_REQUEST && take_id(connection, header->stream_id)) {
        refuse(connection, header->stream_id, STATUS_RESOURCE_EXHAUSTED, OVERSIZE_TEXT,
               header->length, limit);
    } else if (header->type == TTRPC_DATA) {
        struct ttrpc_stream *stream = find_data_stream(connection, header->stream_id);
        if (stream != NULL) {
            session_abort_call(&stream->call, STATUS_RESOURCE_EXHAUSTED, OVERSIZE_TEXT,
                               header->length, limit);
        }
    }
}

/* Types of the future are ignored. */
static void on_frame(struct ttrpc_connection *connection, const struct ttrpc_header *header,
                     const uint8_t *data)
{
    if (header->type == TTRPC_REQUEST) {
        on_request(connection, header, data);
    } else if (header->type == TTRPC_DATA) {
        on_data(connection, header, data);
    }
}

/* Drops what has arrived of an oversize frame. Whether its end was reached. */
static bool skip_data(struct ttrpc_connection *connection, struct evbuffer *input)
{
    size_t arrived = evbuffer_get_length(input);
    size_t size = connection->skip < arrived ? connection->skip : arrived;
    CHECK(evbuffer_drain(input, size) == 0);
    connection->skip -= (uint32_t)size;
    return connection->skip == 0;
}

/* Takes one frame from the input, or the present part of one to be skipped. False when more bytes
 * must come first. */
static bool take_frame(struct ttrpc_connection *connection, struct evbuffer *input)
{
    uint8_t bytes[TTRPC_HEADER_SIZE];
    struct ttrpc_header header;
    if (connection->skip > 0) {
        return skip_data(connection, input);
    }
    if (evbuffer_copyout(input, bytes, sizeof(bytes)) < (ev_ssize_t)sizeof(bytes)) {
        return false;
    }
    ttrpc_header_decode(&header, bytes);
    if (!is_length_sane(&header)) {
        connection->is_nonsense = true;
        return false;
    }
    if (header.length > frame_max(connection)) {
        on_oversize(connection, &header);
        CHECK(evbuffer_drain(input, TTRPC_HEADER_SIZE) == 0);
        connection->skip = header.length;
        connection->frames++;
        return true;
    }
    size_t size = TTRPC_HEADER_SIZE + header.length;
    if (evbuffer_get_length(input) < size) {
        return false;
    }
    const uint8_t *frame = evbuffer_pullup(input, (ev_ssize_t)size);
    CHECK(frame != NULL);
    on_frame(connection, &header, frame + TTRPC_HEADER_SIZE);
    CHECK(evbuffer_drain(input, size) == 0);
    connection->frames++;
    return true;
}

void ttrpc_connection_init(struct ttrpc_connection *connection, struct stream *stream,
                           struct session *session)
{
    const struct services *services = session->services;
    *connection = (struct ttrpc_connection){
        .loop = services->loop,
        .stream = stream,
        .session = session,
        .message_max = services->config.message_bytes_max,
    };
    LIST_INIT(&connection->ended);
    task_init(&connection->reap_task, reap);
}

void ttrpc_connection_release(struct ttrpc_connection *connection)
{
    struct ttrpc_stream *stream = NULL;
    struct ttrpc_stream *next = NULL;
    HASH_ITER (hh, connection->streams, stream, next) {
        CHECK(stream->call.is_finished);
        HASH_DEL(connection->streams, stream);
        free_stream(stream);
    }
    loop_unpost(connection->loop, &connection->reap_task);
    reap(&connection->reap_task);
}

void ttrpc_connection_input(struct ttrpc_connection *connection)
{
    struct evbuffer *input = stream_input(connection->stream);
    size_t length = evbuffer_get_length(input);
    bool has_more = true;
    for (int i = 0; i < SLICE_FRAMES && has_more; i++) {
        if (stream_is_congested(connection->stream) ||
            length - evbuffer_get_length(input) > SLICE_BYTES) {
            break;
        }
        has_more = take_frame(connection, input);
    }
    connection->is_within_a_frame =
        connection->skip > 0 || (!has_more && evbuffer_get_length(input) > 0);
    if (has_more && evbuffer_get_length(input) > 0) {
        stream_yield(connection->stream);
    }
}
