/* SPDX-License-Identifier: Apache-2.0 */
#include "reflect.h"

#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "memory.h"
#include "output.h"
#include "proto_file.h"
#include "untrusted.h"

#define UNIMPLEMENTED      12
#define TIMEOUT_DEFAULT_MS 5000
#define PACKAGE            "holdfast.v1."

#define RESPONSE(which) GRPC__REFLECTION__V1__SERVER_REFLECTION_RESPONSE__MESSAGE_RESPONSE_##which
#define REQUEST(which)  GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__MESSAGE_REQUEST_##which

static void drop_answer(struct reflect *reflect)
{
    for (size_t i = 0; i < reflect->file_count; i++) {
        google__protobuf__file_descriptor_proto__free_unpacked(reflect->files[i], NULL);
    }
    free(reflect->files);
    reflect->files = NULL;
    reflect->file_count = 0;
    grpc__reflection__v1__server_reflection_response__free_unpacked(reflect->answer, NULL);
    reflect->answer = NULL;
}

static void on_message(const void *bytes, size_t length, void *user)
{
    struct reflect *reflect = (struct reflect *)user;
    drop_answer(reflect);
    reflect->answer = (Grpc__Reflection__V1__ServerReflectionResponse *)untrusted_unpack(
        &grpc__reflection__v1__server_reflection_response__descriptor, bytes, length);
    if (reflect->answer == NULL) {
        output_error("%s: the server's answer to reflection makes no sense.",
                     reflect->session->key);
        session_end(reflect->session, EXIT_UNEXPECTED);
    }
}

/* We never end the stream, so the server had a reason to. */
static void on_end(int status, const char *text, void *user)
{
    struct reflect *reflect = (struct reflect *)user;
    const struct session *session = reflect->session;
    if (status == UNIMPLEMENTED && !reflect->is_alpha) {
        reflect->is_unserved = true;
    } else if (status == UNIMPLEMENTED) {
        output_error("%s: the server does not describe itself: it has no reflection.",
                     session->key);
        session_end(reflect->session, EXIT_UNEXPECTED);
    } else if (status == 0) {
        output_error("%s: the server ended the reflection.", session->key);
        session_end(reflect->session, EXIT_UNEXPECTED);
    } else {
        session_end(reflect->session, output_status(status, session->key, text));
    }
}

static void start(struct reflect *reflect)
{
    const int64_t timeout_ms = reflect->session->arguments->timeout_ms;
    const struct grpc_call_events events = {
        .call = {.on_message = on_message, .on_end = on_end, .user = reflect}};
    const struct holdfast_call_ask wanted = {
        .service = reflect->is_alpha ? "grpc.reflection.v1alpha.ServerReflection"
                                     : "grpc.reflection.v1.ServerReflection",
        .method = "ServerReflectionInfo",
        .is_client_streaming = true,
        .is_server_streaming = true,
        .headers = reflect->headers,
        .header_count = reflect->header_count,
        .deadline_ms = timeout_ms > 0 ? (uint32_t)timeout_ms : TIMEOUT_DEFAULT_MS,
    };
    rpc_start(&reflect->rpc, reflect->session, &wanted, &events);
}

/* Turns the loop until the question is answered, or cannot be. */
static void ask_once(struct reflect *reflect, const uint8_t *bytes, size_t length)
{
    reflect->is_unserved = false;
    if (!rpc_send(&reflect->rpc, bytes, length)) {
        output_error("%s: the name is too long.", reflect->session->key);
        session_end(reflect->session, EXIT_USAGE);
    }
    while (reflect->answer == NULL && !reflect->is_unserved && !reflect->session->is_ended) {
        if (event_base_loop(reflect->session->base, EVLOOP_ONCE) != 0) {
            output_error("The event loop stopped before the command was done.");
            session_end(reflect->session, EXIT_UNEXPECTED);
        }
    }
}

/* The older service differs in its name only. NULL when the session is ended. */
static const Grpc__Reflection__V1__ServerReflectionResponse *
ask(struct reflect *reflect, const Grpc__Reflection__V1__ServerReflectionRequest *request)
{
    const size_t length = protobuf_c_message_get_packed_size(&request->base);
    uint8_t *bytes = memory_take(length);
    protobuf_c_message_pack(&request->base, bytes);
    drop_answer(reflect);
    ask_once(reflect, bytes, length);
    if (reflect->is_unserved) {
        rpc_end(&reflect->rpc);
        reflect->is_alpha = true;
        start(reflect);
        ask_once(reflect, bytes, length);
    }
    free(bytes);
    return reflect->session->is_ended ? NULL : reflect->answer;
}

void reflect_open(struct reflect *reflect, struct session *session,
                  const struct holdfast_header *headers, size_t header_count)
{
    *reflect =
        (struct reflect){.session = session, .headers = headers, .header_count = header_count};
    start(reflect);
}

void reflect_close(struct reflect *reflect)
{
    drop_answer(reflect);
    rpc_end(&reflect->rpc);
}

static int compare_services(const void *a, const void *b)
{
    const Grpc__Reflection__V1__ServiceResponse *const *left = a;
    const Grpc__Reflection__V1__ServiceResponse *const *right = b;
    return strcmp((*left)->name, (*right)->name);
}

const Grpc__Reflection__V1__ListServiceResponse *reflect_services(struct reflect *reflect)
{
    Grpc__Reflection__V1__ServerReflectionRequest request =
        GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__INIT;
    request.message_request_case = REQUEST(LIST_SERVICES);
    request.list_services = (char *)(uintptr_t) "";
    const Grpc__Reflection__V1__ServerReflectionResponse *answer = ask(reflect, &request);
    if (answer == NULL) {
        return NULL;
    }
    if (answer->message_response_case != RESPONSE(LIST_SERVICES_RESPONSE)) {
        output_error("%s: the server does not list its services.", reflect->session->key);
        session_end(reflect->session, EXIT_UNEXPECTED);
        return NULL;
    }
    const Grpc__Reflection__V1__ListServiceResponse *list = answer->list_services_response;
    if (list->n_service > 0) {
        qsort(list->service, list->n_service, sizeof(void *), compare_services);
    }
    return list;
}

/* False, and the session is not ended, when a file makes no sense. */
static bool unpack_files(struct reflect *reflect)
{
    const Grpc__Reflection__V1__FileDescriptorResponse *from =
        reflect->answer->file_descriptor_response;
    reflect->files = memory_take(from->n_file_descriptor_proto * sizeof(void *));
    for (size_t i = 0; i < from->n_file_descriptor_proto; i++) {
        const ProtobufCBinaryData *data = &from->file_descriptor_proto[i];
        Google__Protobuf__FileDescriptorProto *file = proto_file_unpack(data->data, data->len);
        if (file == NULL) {
            return false;
        }
        reflect->files[reflect->file_count++] = file;
    }
    return true;
}

static bool ask_files(struct reflect *reflect,
                      const Grpc__Reflection__V1__ServerReflectionRequest *request)
{
    const Grpc__Reflection__V1__ServerReflectionResponse *answer = ask(reflect, request);
    return answer != NULL && answer->message_response_case == RESPONSE(FILE_DESCRIPTOR_RESPONSE) &&
           unpack_files(reflect);
}

static bool find_full(struct reflect *reflect, const char *name)
{
    Grpc__Reflection__V1__ServerReflectionRequest request =
        GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__INIT;
    request.message_request_case = REQUEST(FILE_CONTAINING_SYMBOL);
    request.file_containing_symbol = (char *)(uintptr_t)name;
    return ask_files(reflect, &request);
}

static bool find_file(struct reflect *reflect, const char *name)
{
    Grpc__Reflection__V1__ServerReflectionRequest request =
        GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__INIT;
    request.message_request_case = REQUEST(FILE_BY_FILENAME);
    request.file_by_filename = (char *)(uintptr_t)name;
    return ask_files(reflect, &request);
}

bool reflect_find(struct reflect *reflect, const char *symbol, char name[REFLECT_NAME_SIZE])
{
    static const char *const packages[] = {"", PACKAGE};
    for (size_t i = 0; i < sizeof(packages) / sizeof(packages[0]); i++) {
        const int length = snprintf(name, REFLECT_NAME_SIZE, "%s%s", packages[i], symbol);
        char *slash = strchr(name, '/');
        if (slash != NULL) {
            *slash = '.';
        }
        if (length < REFLECT_NAME_SIZE && find_full(reflect, name)) {
            return true;
        }
        if (reflect->session->is_ended) {
            return false;
        }
    }
    output_error("%s: the server has nothing of that name; `holdfast list` shows its services.",
                 reflect->session->key);
    session_end(reflect->session, EXIT_USAGE);
    return false;
}

/* The files of the last answer become the types'. False: there are too many. */
static bool hand_over(struct reflect *reflect, struct types *types)
{
    bool is_taken = true;
    while (reflect->file_count > 0) {
        Google__Protobuf__FileDescriptorProto *file = reflect->files[--reflect->file_count];
        char *name = file->name;
        is_taken = types_add(types, name, file) && is_taken;
    }
    return is_taken;
}

bool reflect_collect(struct reflect *reflect, const char *symbol, char name[REFLECT_NAME_SIZE],
                     struct types *types)
{
    const char *missing = NULL;
    if (!reflect_find(reflect, symbol, name)) {
        return false;
    }
    bool is_taken = hand_over(reflect, types);
    while (is_taken && (missing = types_missing(types)) != NULL) {
        if (find_file(reflect, missing)) {
            is_taken = hand_over(reflect, types);
        }
        if (reflect->session->is_ended) {
            return false;
        }
        /* Known from now on, whether or not it came. */
        is_taken = is_taken && types_add(types, missing, NULL);
    }
    if (!is_taken) {
        output_error("%s: the server describes more files than anybody needs.",
                     reflect->session->key);
        session_end(reflect->session, EXIT_UNEXPECTED);
    }
    return is_taken;
}
