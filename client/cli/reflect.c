/* SPDX-License-Identifier: Apache-2.0 */
#include "reflect.h"

#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "memory.h"
#include "output.h"

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
    reflect->answer = grpc__reflection__v1__server_reflection_response__unpack(NULL, length, bytes);
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
    if (status == 0) {
        output_error("%s: the server ended the reflection.", session->key);
        session_end(reflect->session, EXIT_UNEXPECTED);
    } else {
        session_end(reflect->session, output_status(status, session->key, text));
    }
}

/* NULL when the session is ended. */
static const Grpc__Reflection__V1__ServerReflectionResponse *
ask(struct reflect *reflect, const Grpc__Reflection__V1__ServerReflectionRequest *request)
{
    const size_t length = protobuf_c_message_get_packed_size(&request->base);
    uint8_t *bytes = memory_take(length);
    protobuf_c_message_pack(&request->base, bytes);
    drop_answer(reflect);
    if (!holdfast_call_send(reflect->call, bytes, length)) {
        output_error("%s: the name is too long.", reflect->session->key);
        session_end(reflect->session, EXIT_USAGE);
    }
    free(bytes);
    while (reflect->answer == NULL && !reflect->session->is_ended) {
        if (event_base_loop(reflect->session->base, EVLOOP_ONCE) != 0) {
            output_error("The event loop stopped before the command was done.");
            session_end(reflect->session, EXIT_UNEXPECTED);
        }
    }
    return reflect->session->is_ended ? NULL : reflect->answer;
}

void reflect_open(struct reflect *reflect, struct session *session)
{
    const int64_t timeout_ms = session->arguments->timeout_ms;
    const struct holdfast_call_events events = {
        .on_message = on_message, .on_end = on_end, .user = reflect};
    const struct holdfast_call_ask wanted = {
        .service = "grpc.reflection.v1.ServerReflection",
        .method = "ServerReflectionInfo",
        .is_client_streaming = true,
        .is_server_streaming = true,
        .deadline_ms = timeout_ms > 0 ? (uint32_t)timeout_ms : TIMEOUT_DEFAULT_MS,
    };
    *reflect = (struct reflect){.session = session};
    reflect->call = holdfast_async_call(session->async, &wanted, &events);
}

void reflect_close(struct reflect *reflect)
{
    drop_answer(reflect);
    holdfast_call_free(reflect->call);
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
        Google__Protobuf__FileDescriptorProto *file =
            google__protobuf__file_descriptor_proto__unpack(NULL, data->len, data->data);
        if (file == NULL) {
            return false;
        }
        reflect->files[reflect->file_count++] = file;
    }
    return true;
}

static bool find_full(struct reflect *reflect, const char *name)
{
    Grpc__Reflection__V1__ServerReflectionRequest request =
        GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__INIT;
    request.message_request_case = REQUEST(FILE_CONTAINING_SYMBOL);
    request.file_containing_symbol = (char *)(uintptr_t)name;
    const Grpc__Reflection__V1__ServerReflectionResponse *answer = ask(reflect, &request);
    return answer != NULL && answer->message_response_case == RESPONSE(FILE_DESCRIPTOR_RESPONSE) &&
           unpack_files(reflect);
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
