/* SPDX-License-Identifier: Apache-2.0 */
#include "transport/grpc_stream.h"

#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "base/compiler.h"
#include "base/memory.h"
#include "service/methods.h"
#include "service/session.h"
#include "transport/stream.h"
#include "wire/grpc_message.h"
#include "wire/grpc_text.h"
#include "wire/http2.h"

/* Answers of one stream that wait: from where on it is not listened to, and from where on it is
 * again. */
#define PILE_MAX ((size_t)32 * 1024)
#define PILE_MIN ((size_t)16 * 1024)

/* What one stream may queue of all that its connection may; what all of them may before none is
 * listened to any more; and below which they are again. */
#define SHARE_OF_OUTPUT 4
#define FULL_OUTPUT     2
#define EASED_OUTPUT    4

/* Bytes of unfinished messages, and of those that wait behind piled up answers, on one connection.
 */
#define HELD_MAX ((size_t)4 * 1024 * 1024)

/* What clients take for one message. */
#define ANSWER_MAX ((size_t)4 * 1024 * 1024)

/* Unpacking takes more than the bytes on the wire: see message_unpack. */
#define ARENA_FACTOR ((size_t)4)
#define ARENA_BASE   ((size_t)64 * 1024)

#define NUMBER_SIZE 12

static const struct http2_field content_type = {"content-type", "application/grpc", 16};

static struct grpc_stream *stream_of(struct call *call)
{
    return CONTAINER_OF(call, struct grpc_stream, call);
}

static struct http2_field number_field(const char *name, unsigned number, char text[NUMBER_SIZE])
{
    int length = snprintf(text, NUMBER_SIZE, "%u", number);
    return (struct http2_field){name, text, (size_t)length};
}

static void end(struct grpc_stream *stream)
{
    struct grpc_shared *shared = stream->shared;
    if (!stream->is_ended) {
        stream->is_ended = true;
        LIST_INSERT_HEAD(&shared->ended, stream, ended);
        loop_post(shared->loop, LOOP_FREE, &shared->reap_task);
    }
}

static void stop_waiting(struct grpc_stream *stream)
{
    if (stream->waits_in != NULL) {
        TAILQ_REMOVE(stream->waits_in, stream, wait);
        stream->waits_in = NULL;
    }
}

static void wait_in(struct grpc_stream *stream, struct grpc_stream_queue *queue)
{
    stop_waiting(stream);
    TAILQ_INSERT_TAIL(queue, stream, wait);
    stream->waits_in = queue;
}

static void make_due(struct grpc_stream *stream)
{
    struct grpc_shared *shared = stream->shared;
    wait_in(stream, &shared->due);
    loop_post(shared->loop, LOOP_INPUT, &shared->due_task);
}

static void drop_out(struct grpc_stream *stream, size_t length)
{
    stream->shared->queued -= length;
    byte_queue_drop(&stream->out, length);
}

static void drop_in(struct grpc_stream *stream, size_t length)
{
    stream->shared->held -= length;
    byte_queue_drop(&stream->in, length);
}

/*
 * ---- Answers ----
 */

/* Answers without a message are one header. */
static void answer_alone(struct grpc_stream *stream, unsigned http_status)
{
    char numbers[2][NUMBER_SIZE];
    struct http2_field fields[] = {
        number_field(":status", http_status, numbers[0]),
        content_type,
        number_field("grpc-status", (unsigned)stream->status, numbers[1]),
        {"grpc-accept-encoding", "identity", 8},
        {"grpc-message", stream->text, stream->text_length},
    };
    stream->is_responding = true;
    http2_respond(stream->shared->http2, stream->id, fields,
                  COUNT_OF(fields) - (stream->text == NULL), true);
}

static void send_trailers(struct grpc_stream *stream)
{
    char number[NUMBER_SIZE];
    struct http2_field fields[] = {
        number_field("grpc-status", (unsigned)stream->status, number),
        {"grpc-message", stream->text, stream->text_length},
    };
    http2_send_trailers(stream->shared->http2, stream->id, fields,
                        COUNT_OF(fields) - (stream->text == NULL));
}

/* The answer has something to be sent, or its end. */
static void carry_on(struct grpc_stream *stream)
{
    struct grpc_shared *shared = stream->shared;
    if (stream->is_responding) {
        http2_wake(shared->http2, stream->id);
    } else {
        const struct http2_field fields[] = {{":status", "200", 3}, content_type};
        stream->is_responding = true;
        http2_respond(shared->http2, stream->id, fields, COUNT_OF(fields), false);
    }
    stream_ask_for_flush(shared->stream);
}

static void set_status(struct grpc_stream *stream, enum status status, const char *text)
{
    size_t length = strlen(text);
    stream->is_answered = true;
    stream->status = status;
    if (length > 0) {
        stream->text = memory_alloc(GRPC_TEXT_SIZE(length));
        stream->text_length = grpc_text_encode(text, length, stream->text);
    }
}

static void queue_message(struct grpc_stream *stream, const ProtobufCMessage *message, size_t size)
{
    struct grpc_shared *shared = stream->shared;
    uint8_t *bytes = byte_queue_extend(&stream->out, GRPC_PREFIX_SIZE + size);
    grpc_prefix_encode(bytes, (uint32_t)size);
    protobuf_c_message_pack(message, bytes + GRPC_PREFIX_SIZE);
    shared->queued += GRPC_PREFIX_SIZE + size;
    if (shared->queued > shared->output_max) {
        stream_give_up(shared->stream);
    }
}

/* The call cannot be taken back while its service is sending; so it is soon. */
static void overflow(struct grpc_stream *stream)
{
    stream->is_overflowing = true;
    drop_out(stream, stream->out.length);
    make_due(stream);
}

static void on_send(struct call *call, const ProtobufCMessage *message)
{
    struct grpc_stream *stream = stream_of(call);
    size_t size = protobuf_c_message_get_packed_size(message);
    CHECK(call->method->is_server_streaming);
    CHECK(size <= ANSWER_MAX);
    if (stream->is_overflowing) {
        return;
    }
    queue_message(stream, message, size);
    if (stream->out.length > stream->shared->output_max / SHARE_OF_OUTPUT) {
        overflow(stream);
        return;
    }
    carry_on(stream);
}

static void on_finish(struct call *call, const ProtobufCMessage *reply, enum status status,
                      const char *text)
{
    struct grpc_stream *stream = stream_of(call);
    size_t size = reply == NULL ? 0 : protobuf_c_message_get_packed_size(reply);
    session_forget_call(call);
    end(stream);
    if (stream->is_overflowing) {
        return;
    }
    if (size > ANSWER_MAX) {
        reply = NULL;
        status = STATUS_RESOURCE_EXHAUSTED;
        text = "the answer does not fit into one message; ask for less";
    }
    set_status(stream, status, text);
    if (reply != NULL) {
        queue_message(stream, reply, size);
    }
    if (stream->is_responding || stream->out.length > 0) {
        carry_on(stream);
    } else {
        answer_alone(stream, 200);
        stream_ask_for_flush(stream->shared->stream);
    }
}

static const struct call_transport call_transport = {.send = on_send, .finish = on_finish};

/*
 * ---- Requests ----
 */

static bool is_full(const struct grpc_shared *shared)
{
    return shared->queued > shared->output_max / FULL_OUTPUT;
}

/* Whether the stream is not listened to for now. */
static bool is_piled_up(const struct grpc_stream *stream)
{
    return (stream->out.length > PILE_MAX || is_full(stream->shared)) && !stream->call.is_finished;
}

/* Some answers have left: those who were waiting for that are listened to again. */
static void ease(struct grpc_shared *shared)
{
    struct grpc_stream *stream = NULL;
    struct grpc_stream *next = NULL;
    if (shared->queued > shared->output_max / EASED_OUTPUT) {
        return;
    }
    for (stream = TAILQ_FIRST(&shared->paused); stream != NULL; stream = next) {
        next = TAILQ_NEXT(stream, wait);
        if (stream->out.length < PILE_MIN) {
            make_due(stream);
        }
    }
}

static void refuse_message(struct grpc_stream *stream, enum grpc_message_read why, size_t length)
{
    if (why == GRPC_TOO_LARGE) {
        session_abort_call(&stream->call, STATUS_RESOURCE_EXHAUSTED,
                           "max-message-size: the request message has %zu bytes, the limit is %zu",
                           length, stream->shared->message_max);
    } else if (why == GRPC_COMPRESSED) {
        session_abort_call(&stream->call, STATUS_UNIMPLEMENTED,
                           "compressed messages are not read here; send them as they are "
                           "(grpc-encoding identity)");
    } else {
        session_abort_call(&stream->call, STATUS_INTERNAL,
                           "the request's data is no gRPC message: its first byte must be 0");
    }
}

/* Delivers what is whole. How many bytes are done with. */
static size_t take_messages(struct grpc_stream *stream, const uint8_t *bytes, size_t length)
{
    size_t used = 0;
    while (!stream->call.is_finished && !stream->is_overflowing && !is_piled_up(stream)) {
        struct grpc_message message;
        enum grpc_message_read read =
            grpc_message_read(&message, bytes + used, length - used, stream->shared->message_max);
        if (read == GRPC_INCOMPLETE) {
            return used;
        }
        if (read != GRPC_MESSAGE) {
            refuse_message(stream, read, message.length);
            break;
        }
        used += GRPC_PREFIX_SIZE + message.length;
        session_message(&stream->call, message.bytes, message.length);
    }
    return is_piled_up(stream) ? used : length;
}

static void keep(struct grpc_stream *stream, const uint8_t *bytes, size_t length)
{
    struct grpc_shared *shared = stream->shared;
    if (length > HELD_MAX - shared->held) {
        session_abort_call(&stream->call, STATUS_RESOURCE_EXHAUSTED,
                           "this connection has begun too many messages at a time");
        drop_in(stream, stream->in.length);
        return;
    }
    byte_queue_add(&stream->in, bytes, length);
    shared->held += length;
}

static void take_kept(struct grpc_stream *stream)
{
    if (stream->in.length > 0) {
        drop_in(stream, take_messages(stream, byte_queue_front(&stream->in), stream->in.length));
    }
}

/* Every client ends its side behind the one message of a request that takes one; that says nothing.
 */
static bool is_end_of_interest(const struct call *call)
{
    return call->method->is_client_streaming || !call->has_message;
}

/* Lets the client send on, and the call hear of its end, unless its answers pile up. */
static void settle(struct grpc_stream *stream)
{
    struct call *call = &stream->call;
    if (stream->is_overflowing) {
        return;
    }
    if (is_piled_up(stream)) {
        wait_in(stream, &stream->shared->paused);
        return;
    }
    if (stream->unconsumed > 0) {
        http2_consume(stream->shared->http2, stream->id, stream->unconsumed);
        stream->unconsumed = 0;
        stream_ask_for_flush(stream->shared->stream);
    }
    if (!stream->is_half_closed || call->is_half_closed || call->is_finished) {
        return;
    }
    if (stream->in.length > 0) {
        session_abort_call(call, STATUS_INTERNAL, "the request ends within a message");
    } else if (is_end_of_interest(call)) {
        session_half_close(call);
    }
}

struct grpc_stream *grpc_stream_create(struct grpc_shared *shared, int32_t id)
{
    if (is_full(shared)) {
        return NULL;
    }
    struct grpc_stream *stream = memory_alloc(sizeof(*stream));
    stream->shared = shared;
    stream->id = id;
    call_init(&stream->call, &call_transport, ARENA_BASE + ARENA_FACTOR * shared->message_max);
    LIST_INSERT_HEAD(&shared->streams, stream, link);
    grpc_request_begin(&shared->request);
    return stream;
}

void grpc_stream_start(struct grpc_stream *stream, bool is_whole)
{
    struct grpc_shared *shared = stream->shared;
    struct grpc_verdict verdict = {200, STATUS_RESOURCE_EXHAUSTED,
                                   "the request's metadata is larger than the header list may be"};
    if (is_whole) {
        verdict = grpc_request_end(&shared->request);
    }
    if (verdict.status == STATUS_OK) {
        session_start_call(shared->session, &stream->call, shared->request.service,
                           shared->request.method, shared->request.timeout_us);
        return;
    }
    stream->call.is_finished = true;
    set_status(stream, verdict.status, verdict.text);
    answer_alone(stream, verdict.http_status);
    stream_ask_for_flush(shared->stream);
}

void grpc_stream_data(struct grpc_stream *stream, const uint8_t *bytes, size_t length)
{
    size_t used = 0;
    stream->unconsumed += length;
    if (stream->call.is_finished || stream->is_overflowing) {
        drop_in(stream, stream->in.length);
        used = length;
    } else if (stream->in.length == 0) {
        used = take_messages(stream, bytes, length);
    }
    if (used < length) {
        keep(stream, bytes + used, length - used);
        take_kept(stream);
    }
    settle(stream);
}

void grpc_stream_half_close(struct grpc_stream *stream)
{
    stream->is_half_closed = true;
    settle(stream);
}

void grpc_stream_close(struct grpc_stream *stream)
{
    stream->is_closed = true;
    stop_waiting(stream);
    drop_in(stream, stream->in.length);
    drop_out(stream, stream->out.length);
    ease(stream->shared);
    if (stream->call.session != NULL) {
        session_cancel_call(&stream->call);
    }
    stream->call.is_finished = true;
    end(stream);
}

size_t grpc_stream_pull(struct grpc_stream *stream, uint8_t *bytes, size_t size, bool *is_last)
{
    size_t length = stream->out.length < size ? stream->out.length : size;
    if (length > 0) {
        memcpy(bytes, byte_queue_front(&stream->out), length);
        drop_out(stream, length);
    }
    ease(stream->shared);
    if (stream->is_answered && stream->out.length == 0) {
        send_trailers(stream);
        *is_last = true;
    }
    return length;
}

/*
 * ---- What the streams share ----
 */

static void see_to(struct grpc_stream *stream)
{
    if (!stream->is_overflowing) {
        take_kept(stream);
        settle(stream);
        return;
    }
    if (!stream->call.is_finished) {
        session_cancel_call(&stream->call);
        end(stream);
    }
    http2_reset(stream->shared->http2, stream->id, HTTP2_ENHANCE_YOUR_CALM);
    stream_ask_for_flush(stream->shared->stream);
}

static void run_due(struct task *task)
{
    struct grpc_shared *shared = CONTAINER_OF(task, struct grpc_shared, due_task);
    struct grpc_stream *stream = NULL;
    while ((stream = TAILQ_FIRST(&shared->due)) != NULL) {
        stop_waiting(stream);
        see_to(stream);
    }
}

static void free_stream(struct grpc_stream *stream)
{
    LIST_REMOVE(stream, link);
    if (!stream->is_released) {
        call_release(&stream->call);
    }
    byte_queue_release(&stream->in);
    byte_queue_release(&stream->out);
    memory_free(stream->text);
    memory_free(stream);
}

/* An answer may wait long for its client; the request need not. */
static void run_reap(struct task *task)
{
    struct grpc_shared *shared = CONTAINER_OF(task, struct grpc_shared, reap_task);
    struct grpc_stream *stream = NULL;
    while ((stream = LIST_FIRST(&shared->ended)) != NULL) {
        LIST_REMOVE(stream, ended);
        stream->is_ended = false;
        if (stream->is_closed) {
            free_stream(stream);
        } else {
            call_release(&stream->call);
            stream->is_released = true;
        }
    }
}

void grpc_shared_init(struct grpc_shared *shared)
{
    LIST_INIT(&shared->streams);
    LIST_INIT(&shared->ended);
    TAILQ_INIT(&shared->paused);
    TAILQ_INIT(&shared->due);
    task_init(&shared->reap_task, run_reap);
    task_init(&shared->due_task, run_due);
}

void grpc_shared_release(struct grpc_shared *shared)
{
    struct grpc_stream *stream = NULL;
    loop_unpost(shared->loop, &shared->reap_task);
    loop_unpost(shared->loop, &shared->due_task);
    while ((stream = LIST_FIRST(&shared->streams)) != NULL) {
        CHECK(stream->call.session == NULL);
        free_stream(stream);
    }
}
