/* SPDX-License-Identifier: Apache-2.0 */
#include "commands.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "input.h"
#include "json_reader.h"
#include "memory.h"
#include "message_json.h"
#include "output.h"
#include "schema.h"
#include "session.h"

/* A message on its way out. */
struct packed {
    STAILQ_ENTRY(packed) link;
    size_t length;
    uint8_t bytes[];
};

struct call {
    struct session session;
    struct schema_method method;
    struct holdfast_call *call;
    struct json_reader reader;
    STAILQ_HEAD(, packed) messages; /* those that are there before the call */
    size_t message_count;
    struct input input; /* where they follow one by one */
    struct holdfast_header headers[HOLDFAST_HEADERS_MAX];
};

/*
 * ---- What is sent ----
 */

static bool refuse(const struct call *call, const char *problem)
{
    output_error("%s: %s", call->session.arguments->key, problem);
    return false;
}

/* NULL after saying why; takes the reference. */
static struct packed *pack(const struct call *call, json_t *object)
{
    char problem[MESSAGE_JSON_PROBLEM_SIZE];
    ProtobufCMessage *message = message_from_json(call->method.method->input, object, problem);
    json_decref(object);
    if (message == NULL) {
        (void)refuse(call, problem);
        return NULL;
    }
    const size_t length = protobuf_c_message_get_packed_size(message);
    struct packed *packed = memory_take(sizeof(*packed) + length);
    packed->length = protobuf_c_message_pack(message, packed->bytes);
    protobuf_c_message_free_unpacked(message, NULL);
    return packed;
}

/* Whatever is complete in the reader goes to `take`. False after saying why. */
static bool read_messages(struct call *call, bool (*take)(struct call *call, struct packed *packed))
{
    char problem[JSON_READER_PROBLEM_SIZE];
    for (;;) {
        json_t *object = NULL;
        switch (json_reader_next(&call->reader, &object, problem)) {
        case JSON_READER_MORE:
            return true;
        case JSON_READER_WRONG:
            return refuse(call, problem);
        case JSON_READER_OBJECT:
            break;
        }
        struct packed *packed = pack(call, object);
        if (packed == NULL || !take(call, packed)) {
            return false;
        }
    }
}

static bool check_whole(const struct call *call)
{
    return !json_reader_is_within(&call->reader) || refuse(call, "the JSON ends within an object");
}

static bool keep(struct call *call, struct packed *packed)
{
    STAILQ_INSERT_TAIL(&call->messages, packed, link);
    call->message_count++;
    return true;
}

/* False after ending the session, too. */
static bool send_packed(struct call *call, struct packed *packed)
{
    const bool is_sent = holdfast_call_send(call->call, packed->bytes, packed->length);
    const bool is_long = packed->length > HOLDFAST_MESSAGE_MAX;
    free(packed);
    if (!is_sent) {
        session_end(&call->session, is_long ? EXIT_USAGE : EXIT_AWAY);
        return refuse(call, is_long ? "the message is longer than 4194304 bytes"
                                    : "the server does not take what it is sent");
    }
    return true;
}

static bool read_file(struct call *call, FILE *file)
{
    char bytes[16384];
    size_t length = 0;
    while ((length = fread(bytes, 1, sizeof(bytes), file)) > 0) {
        json_reader_feed(&call->reader, bytes, length);
        if (!read_messages(call, keep)) {
            return false;
        }
    }
    return ferror(file) == 0 ? check_whole(call) : refuse(call, strerror(errno));
}

static bool read_named_file(struct call *call, const char *path)
{
    FILE *file = fopen(path, "rbe");
    if (file == NULL) {
        output_error("%s: cannot read %.200s: %s", call->session.arguments->key, path,
                     strerror(errno));
        return false;
    }
    const bool is_read = read_file(call, file);
    (void)fclose(file);
    return is_read;
}

static bool reads_on(const struct call *call)
{
    const char *data = call->session.arguments->data;
    return data != NULL && strcmp(data, "-") == 0 && call->method.is_client_streaming;
}

/* What there is to be sent before the call is made; wrong words are found before anybody is asked.
 */
static bool gather(struct call *call)
{
    const char *data = call->session.arguments->data;
    bool is_read = true;
    if (data != NULL && data[0] == '@') {
        is_read = read_named_file(call, data + 1);
    } else if (data != NULL && strcmp(data, "-") != 0) {
        json_reader_feed(&call->reader, data, strlen(data));
        is_read = read_messages(call, keep) && check_whole(call);
    } else if (data != NULL && !reads_on(call)) {
        is_read = read_file(call, stdin);
    }
    if (is_read && !call->method.is_client_streaming && call->message_count > 1) {
        return refuse(call, "the method takes one message, and here are several");
    }
    return is_read;
}

/* Names are lower case in gRPC. `text` was checked. */
static void split_header(struct holdfast_header *header, const char *text)
{
    const size_t length = strcspn(text, ":");
    char *name = memory_take(length + 1);
    for (size_t i = 0; i < length; i++) {
        name[i] = (char)tolower((unsigned char)text[i]);
    }
    header->name = name;
    header->value = text + length + 1 + strspn(text + length + 1, " ");
}

/*
 * ---- What comes back ----
 */

static void on_message(const void *bytes, size_t length, void *user)
{
    struct call *call = (struct call *)user;
    char problem[MESSAGE_JSON_PROBLEM_SIZE] = "the server's answer makes no sense";
    if (call->session.is_ended) {
        return;
    }
    ProtobufCMessage *message =
        protobuf_c_message_unpack(call->method.method->output, NULL, length, bytes);
    json_t *json = message == NULL ? NULL : message_to_json(message, problem);
    if (message != NULL) {
        protobuf_c_message_free_unpacked(message, NULL);
    }
    if (json == NULL) {
        (void)refuse(call, problem);
        session_end(&call->session, EXIT_UNEXPECTED);
        return;
    }
    output_json(json);
}

static void on_end(int status, const char *text, void *user)
{
    struct call *call = (struct call *)user;
    if (status == 0) {
        session_end(&call->session, EXIT_OK);
    } else if (!call->session.is_ended) {
        session_end(&call->session, output_status(status, call->session.key, text));
    }
}

/*
 * ---- The call ----
 */

static void on_input(const char *bytes, size_t length, void *user)
{
    struct call *call = (struct call *)user;
    json_reader_feed(&call->reader, bytes, length);
    if (!read_messages(call, send_packed)) {
        session_end(&call->session, EXIT_USAGE);
    }
}

static void on_input_end(void *user)
{
    struct call *call = (struct call *)user;
    if (check_whole(call)) {
        holdfast_call_half_close(call->call);
    } else {
        session_end(&call->session, EXIT_USAGE);
    }
}

static void begin(struct call *call)
{
    const struct arguments *arguments = call->session.arguments;
    const struct packed *first = STAILQ_FIRST(&call->messages);
    const struct holdfast_call_events events = {
        .on_message = on_message, .on_end = on_end, .user = call};
    struct holdfast_call_ask ask = {
        .service = call->method.service,
        .method = call->method.method->name,
        .is_client_streaming = call->method.is_client_streaming,
        .is_server_streaming = call->method.is_server_streaming,
        .headers = call->headers,
        .header_count = arguments->header_count,
        .deadline_ms = (uint32_t)arguments->deadline_ms,
    };
    if (!ask.is_client_streaming && first != NULL) {
        ask.message = first->bytes;
        ask.message_length = first->length;
    }
    for (size_t i = 0; i < arguments->header_count; i++) {
        split_header(&call->headers[i], arguments->headers[i]);
    }
    call->call = holdfast_async_call(call->session.async, &ask, &events);
}

/* False after ending the session. */
static bool send_messages(struct call *call)
{
    struct packed *packed = NULL;
    while (call->method.is_client_streaming && (packed = STAILQ_FIRST(&call->messages)) != NULL) {
        STAILQ_REMOVE_HEAD(&call->messages, link);
        if (!send_packed(call, packed)) {
            return false;
        }
    }
    if (!reads_on(call)) {
        holdfast_call_half_close(call->call);
    } else if (!input_open(&call->input, call->session.base) || !input_start(&call->input)) {
        output_error("Cannot watch the input: out of memory.");
        session_end(&call->session, EXIT_UNEXPECTED);
        return false;
    }
    return true;
}

static void release(struct call *call)
{
    struct packed *packed = NULL;
    while ((packed = STAILQ_FIRST(&call->messages)) != NULL) {
        STAILQ_REMOVE_HEAD(&call->messages, link);
        free(packed);
    }
    for (size_t i = 0; i < HOLDFAST_HEADERS_MAX && call->headers[i].name != NULL; i++) {
        free((char *)(uintptr_t)call->headers[i].name);
    }
    json_reader_release(&call->reader);
    input_close(&call->input);
    holdfast_call_free(call->call);
}

int command_call(const struct arguments *arguments)
{
    struct call call = {.session = {.arguments = arguments, .exit_code = EXIT_USAGE},
                        .input = {.on_bytes = on_input, .on_end = on_input_end}};
    char problem[SCHEMA_PROBLEM_SIZE];
    int exit_code = EXIT_USAGE;
    call.input.user = &call;
    STAILQ_INIT(&call.messages);
    if (!schema_find(arguments->key, &call.method, problem)) {
        output_error("%s", problem);
        return EXIT_USAGE;
    }
    if (gather(&call)) {
        if (session_open(&call.session, arguments)) {
            begin(&call);
            if (send_messages(&call)) {
                session_run(&call.session);
            }
        }
        exit_code = session_close(&call.session);
    }
    release(&call);
    return exit_code;
}
