/* SPDX-License-Identifier: Apache-2.0 */
#include "commands.h"

#include <errno.h>
#include <event2/event.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "input.h"
#include "json_reader.h"
#include "memory.h"
#include "message_json.h"
#include "metadata.h"
#include "output.h"
#include "reflect.h"
#include "rpc.h"
#include "schema.h"
#include "session.h"
#include "types.h"
#include "untrusted.h"

#define SIGNAL_COUNT 2

static const int watched[SIGNAL_COUNT] = {SIGINT, SIGTERM};

/* A message on its way out. */
struct packed {
    STAILQ_ENTRY(packed) link;
    size_t length;
    uint8_t bytes[];
};

struct call {
    struct session session;
    struct schema_method method;
    struct types types; /* where the method was not built in */
    struct metadata metadata;
    struct rpc rpc;
    struct json_reader reader;
    STAILQ_HEAD(, packed) messages; /* those that are there before the call */
    size_t message_count;
    struct input input; /* where they follow one by one */
    struct event *signals[SIGNAL_COUNT];
    int signal; /* that ended it; 0: none */
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
    const bool is_sent = rpc_send(&call->rpc, packed->bytes, packed->length);
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
    ProtobufCMessage *message = untrusted_unpack(call->method.method->output, bytes, length);
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
    } else if (rpc_is_full(&call->rpc)) {
        input_stop(&call->input);
    }
}

static void on_input_end(void *user)
{
    struct call *call = (struct call *)user;
    if (check_whole(call)) {
        rpc_half_close(&call->rpc);
    } else {
        session_end(&call->session, EXIT_USAGE);
    }
}

/* Those that were gathered, as fast as the server takes them; what follows comes behind them. False
 * after ending the session. */
static bool send_messages(struct call *call)
{
    struct packed *packed = NULL;
    while (call->method.is_client_streaming && !rpc_is_full(&call->rpc) &&
           (packed = STAILQ_FIRST(&call->messages)) != NULL) {
        STAILQ_REMOVE_HEAD(&call->messages, link);
        if (!send_packed(call, packed)) {
            return false;
        }
    }
    if (call->method.is_client_streaming && !STAILQ_EMPTY(&call->messages)) {
        return true;
    }
    if (!reads_on(call)) {
        rpc_half_close(&call->rpc);
    } else if (!input_start(&call->input)) {
        output_error("Cannot watch the input: out of memory.");
        session_end(&call->session, EXIT_UNEXPECTED);
        return false;
    }
    return true;
}

static void on_room(void *user)
{
    struct call *call = (struct call *)user;
    if (!call->session.is_ended) {
        (void)send_messages(call);
    }
}

static void begin(struct call *call)
{
    const struct packed *first = STAILQ_FIRST(&call->messages);
    const struct grpc_call_events events = {
        .call = {.on_message = on_message, .on_end = on_end, .user = call}, .on_room = on_room};
    struct holdfast_call_ask ask = {
        .service = call->method.service,
        .method = call->method.method->name,
        .is_client_streaming = call->method.is_client_streaming,
        .is_server_streaming = call->method.is_server_streaming,
        .headers = call->metadata.headers,
        .header_count = call->metadata.count,
        .deadline_ms = (uint32_t)call->session.arguments->deadline_ms,
    };
    if (!ask.is_client_streaming && first != NULL) {
        ask.message = first->bytes;
        ask.message_length = first->length;
    }
    rpc_start(&call->rpc, &call->session, &ask, &events);
}

/* A server is told that nobody waits any more; over ttRPC the end of the connection does. */
static void on_signal(evutil_socket_t number, short what, void *user)
{
    struct call *call = (struct call *)user;
    (void)what;
    call->signal = (int)number;
    session_end(&call->session, EXIT_SIGNAL + (int)number);
}

static bool watch(struct call *call)
{
    for (size_t i = 0; call->session.grpc != NULL && i < SIGNAL_COUNT; i++) {
        call->signals[i] =
            event_new(call->session.base, watched[i], EV_SIGNAL | EV_PERSIST, on_signal, call);
        if (call->signals[i] == NULL || event_add(call->signals[i], NULL) != 0) {
            return false;
        }
    }
    return input_open(&call->input, call->session.base);
}

static void perform(struct call *call)
{
    if (!watch(call)) {
        output_error("Cannot watch the input: out of memory.");
        return;
    }
    begin(call);
    if (send_messages(call)) {
        session_run(&call->session);
    }
}

/* What holds on to the session. */
static void finish(struct call *call)
{
    rpc_end(&call->rpc);
    input_close(&call->input);
    session_flush(&call->session);
    for (size_t i = 0; i < SIGNAL_COUNT; i++) {
        if (call->signals[i] != NULL) {
            event_free(call->signals[i]);
        }
    }
}

static void release(struct call *call)
{
    struct packed *packed = NULL;
    while ((packed = STAILQ_FIRST(&call->messages)) != NULL) {
        STAILQ_REMOVE_HEAD(&call->messages, link);
        free(packed);
    }
    metadata_release(&call->metadata);
    json_reader_release(&call->reader);
    types_release(&call->types);
}

/*
 * ---- The method ----
 */

/* Of a method that this program was not built with. False after ending the session. */
static bool ask_for_method(struct call *call)
{
    char service[REFLECT_NAME_SIZE];
    char name[REFLECT_NAME_SIZE];
    char problem[SCHEMA_PROBLEM_SIZE];
    struct reflect reflect;
    const char *key = call->session.arguments->key;
    const char *slash = strchr(key, '/');
    const char *last = slash != NULL ? slash : strrchr(key, '.');
    snprintf(service, sizeof(service), "%.*s", (int)(last - key), key);
    reflect_open(&reflect, &call->session, call->metadata.headers, call->metadata.count);
    bool is_found = reflect_collect(&reflect, service, name, &call->types);
    reflect_close(&reflect);
    if (is_found && !types_find_method(&call->types, name, last + 1, &call->method, problem)) {
        output_error("%s", problem);
        session_end(&call->session, EXIT_USAGE);
        is_found = false;
    }
    return is_found;
}

/* Wrong words are found before anybody is asked, where the method is known. */
static void run(struct call *call, bool is_known)
{
    const struct arguments *arguments = call->session.arguments;
    if (is_known && !gather(call)) {
        call->session.exit_code = EXIT_USAGE;
        return;
    }
    if (!session_open(&call->session, arguments)) {
        return;
    }
    if (!is_known && !ask_for_method(call)) {
        return;
    }
    if (is_known || gather(call)) {
        perform(call);
    } else {
        session_end(&call->session, EXIT_USAGE);
    }
}

int command_call(const struct arguments *arguments)
{
    struct call call = {.session = {.arguments = arguments, .exit_code = EXIT_USAGE},
                        .input = {.on_bytes = on_input, .on_end = on_input_end}};
    char problem[SCHEMA_PROBLEM_SIZE];
    const bool is_known = schema_find(arguments->key, &call.method, problem);
    if (!is_known && strpbrk(arguments->key, "/.") == NULL) {
        output_error("%s", problem);
        return EXIT_USAGE;
    }
    call.input.user = &call;
    STAILQ_INIT(&call.messages);
    types_init(&call.types);
    metadata_init(&call.metadata, arguments);
    run(&call, is_known);
    finish(&call);
    const int exit_code = session_close(&call.session);
    release(&call);
    if (call.signal != 0) {
        signal(call.signal, SIG_DFL);
        raise(call.signal);
    }
    return exit_code;
}
