/* SPDX-License-Identifier: Apache-2.0 */
#include "service/reflection.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "base/utf8.h"
#include "service/descriptors.h"
#include "service/methods.h"
#include "service/session.h"

#define TEXT_SIZE    256
#define SERVICES_MAX 32

#define RESPONSE(which) GRPC__REFLECTION__V1__SERVER_REFLECTION_RESPONSE__MESSAGE_RESPONSE_##which
#define REQUEST(which)  GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__MESSAGE_REQUEST_##which

/* One request of a stream. */
struct question {
    struct call *call;
    const Grpc__Reflection__V1__ServerReflectionRequest *request;
};

static void answer(const struct question *question,
                   Grpc__Reflection__V1__ServerReflectionResponse *response)
{
    /* protobuf-c only reads what these point to. */
    response->valid_host = question->request->host;
    response->original_request = (Grpc__Reflection__V1__ServerReflectionRequest *)question->request;
    call_send(question->call, &response->base);
}

static void PRINTF_LIKE(3, 4)
    answer_error(const struct question *question, enum status status, const char *format, ...)
{
    char text[TEXT_SIZE];
    char clean[TEXT_SIZE];
    size_t length = 0;
    va_list arguments;
    Grpc__Reflection__V1__ServerReflectionResponse response =
        GRPC__REFLECTION__V1__SERVER_REFLECTION_RESPONSE__INIT;
    Grpc__Reflection__V1__ErrorResponse error = GRPC__REFLECTION__V1__ERROR_RESPONSE__INIT;
    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    /* A name that is quoted may have been cut within a character. */
    utf8_clean(text, strlen(text), clean, sizeof(clean) - 1, &length);
    clean[length] = '\0';
    error.error_code = (int32_t)status;
    error.error_message = clean;
    response.message_response_case = RESPONSE(ERROR_RESPONSE);
    response.error_response = &error;
    answer(question, &response);
}

static void answer_files(const struct question *question, const struct descriptors_file *files,
                         size_t count)
{
    Grpc__Reflection__V1__ServerReflectionResponse response =
        GRPC__REFLECTION__V1__SERVER_REFLECTION_RESPONSE__INIT;
    Grpc__Reflection__V1__FileDescriptorResponse found =
        GRPC__REFLECTION__V1__FILE_DESCRIPTOR_RESPONSE__INIT;
    ProtobufCBinaryData *protos = memory_alloc(count * sizeof(*protos));
    for (size_t i = 0; i < count; i++) {
        protos[i].data = (uint8_t *)files[i].bytes;
        protos[i].len = files[i].length;
    }
    found.n_file_descriptor_proto = count;
    found.file_descriptor_proto = protos;
    response.message_response_case = RESPONSE(FILE_DESCRIPTOR_RESPONSE);
    response.file_descriptor_response = &found;
    answer(question, &response);
    memory_free(protos);
}

/* `index` is what was found for `name`. */
static void answer_file(const struct question *question, size_t index, const char *kind,
                        const char *name)
{
    const struct descriptors *descriptors = question->call->session->services->descriptors;
    if (index == DESCRIPTORS_NONE) {
        answer_error(question, STATUS_NOT_FOUND, "there is no %s \"%.128s\" here", kind, name);
        return;
    }
    struct descriptors_file *files = memory_alloc(descriptors_count(descriptors) * sizeof(*files));
    answer_files(question, files, descriptors_gather(descriptors, index, files));
    memory_free(files);
}

/* Rows of one service stand together in the table. */
static void answer_services(const struct question *question)
{
    Grpc__Reflection__V1__ServerReflectionResponse response =
        GRPC__REFLECTION__V1__SERVER_REFLECTION_RESPONSE__INIT;
    Grpc__Reflection__V1__ListServiceResponse list =
        GRPC__REFLECTION__V1__LIST_SERVICE_RESPONSE__INIT;
    Grpc__Reflection__V1__ServiceResponse services[SERVICES_MAX];
    Grpc__Reflection__V1__ServiceResponse *pointers[SERVICES_MAX];
    const char *last = "";
    list.service = pointers;
    for (size_t i = 0; i < method_table.count && list.n_service < SERVICES_MAX; i++) {
        Grpc__Reflection__V1__ServiceResponse *service = &services[list.n_service];
        if (strcmp(method_table.rows[i].service, last) != 0) {
            last = method_table.rows[i].service;
            grpc__reflection__v1__service_response__init(service);
            service->name = (char *)last;
            pointers[list.n_service++] = service;
        }
    }
    response.message_response_case = RESPONSE(LIST_SERVICES_RESPONSE);
    response.list_services_response = &list;
    answer(question, &response);
}

static void on_half_close(struct call *call)
{
    call_finish(call, STATUS_OK, "%s", "");
}

static void
reflection_server_reflection_info(Grpc__Reflection__V1__ServerReflection_Service *service,
                                  const Grpc__Reflection__V1__ServerReflectionRequest *request,
                                  Grpc__Reflection__V1__ServerReflectionResponse_Closure closure,
                                  void *user)
{
    struct call *call = user;
    const struct descriptors *descriptors = call->session->services->descriptors;
    const struct question question = {.call = call, .request = request};
    (void)service;
    (void)closure;
    call->on_half_close = on_half_close;
    switch (request->message_request_case) {
    case REQUEST(FILE_BY_FILENAME):
        answer_file(&question, descriptors_find_file(descriptors, request->file_by_filename),
                    "file", request->file_by_filename);
        break;
    case REQUEST(FILE_CONTAINING_SYMBOL):
        answer_file(&question,
                    descriptors_find_symbol(descriptors, request->file_containing_symbol), "symbol",
                    request->file_containing_symbol);
        break;
    case REQUEST(FILE_CONTAINING_EXTENSION):
        answer_error(&question, STATUS_NOT_FOUND, "there are no extensions here: %.128s, %" PRId32,
                     request->file_containing_extension->containing_type,
                     request->file_containing_extension->extension_number);
        break;
    case REQUEST(ALL_EXTENSION_NUMBERS_OF_TYPE):
        answer_error(&question, STATUS_NOT_FOUND, "there are no extensions here: %.128s",
                     request->all_extension_numbers_of_type);
        break;
    case REQUEST(LIST_SERVICES):
        answer_services(&question);
        break;
    default:
        answer_error(&question, STATUS_INVALID_ARGUMENT, "message_request: nothing is asked");
        break;
    }
}

Grpc__Reflection__V1__ServerReflection_Service reflection_service =
    GRPC__REFLECTION__V1__SERVER_REFLECTION__INIT(reflection_);
