/* SPDX-License-Identifier: Apache-2.0 */
#include "service/reflection.h"

#include <google/protobuf/descriptor.pb-c.h>
#include <stdio.h>
#include <string.h>

#include "fixture.h"
#include "service/methods.h"

#define V1      "grpc.reflection.v1.ServerReflection"
#define V1ALPHA "grpc.reflection.v1alpha.ServerReflection"

typedef Grpc__Reflection__V1__ServerReflectionRequest request_type;
typedef Grpc__Reflection__V1__ServerReflectionRequest__MessageRequestCase request_case;
typedef Grpc__Reflection__V1__ServerReflectionResponse response_type;
typedef Google__Protobuf__FileDescriptorProto file_type;

#define REQUEST(which)  GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__MESSAGE_REQUEST_##which
#define RESPONSE(which) GRPC__REFLECTION__V1__SERVER_REFLECTION_RESPONSE__MESSAGE_RESPONSE_##which

static struct fake_call *start(struct fixture *fixture, const char *service)
{
    return fixture_start_call_of(fixture, 0, service, "ServerReflectionInfo", 0);
}

static const response_type *ask(struct fake_call *call, request_case which, const char *text)
{
    request_type request = GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__INIT;
    request.host = (char *)"here";
    request.message_request_case = which;
    request.file_by_filename = (char *)text; /* all the texts share one place */
    fake_call_message(call, &request.base);
    const response_type *response =
        fake_call_next(call, &grpc__reflection__v1__server_reflection_response__descriptor);
    assert_string_equal(response->valid_host, "here");
    assert_int_equal(response->original_request->message_request_case, which);
    assert_string_equal(response->original_request->file_by_filename, text);
    return response;
}

static file_type *file_of(const response_type *response, size_t index)
{
    assert_int_equal(response->message_response_case, RESPONSE(FILE_DESCRIPTOR_RESPONSE));
    const Grpc__Reflection__V1__FileDescriptorResponse *files = response->file_descriptor_response;
    assert_in_range(files->n_file_descriptor_proto, index + 1, 64);
    file_type *file = google__protobuf__file_descriptor_proto__unpack(
        NULL, files->file_descriptor_proto[index].len, files->file_descriptor_proto[index].data);
    assert_non_null(file);
    return file;
}

static void expect_file(const response_type *response, size_t index, const char *name)
{
    file_type *file = file_of(response, index);
    assert_string_equal(file->name, name);
    google__protobuf__file_descriptor_proto__free_unpacked(file, NULL);
}

static void expect_error(const response_type *response, enum status status, const char *text)
{
    assert_int_equal(response->message_response_case, RESPONSE(ERROR_RESPONSE));
    assert_int_equal(response->error_response->error_code, status);
    assert_non_null(strstr(response->error_response->error_message, text));
}

static void every_service_is_listed_once(void **state)
{
    struct fake_call *call = start(*state, V1);
    const response_type *response = ask(call, REQUEST(LIST_SERVICES), "");
    const Grpc__Reflection__V1__ListServiceResponse *list = response->list_services_response;
    size_t found = 0;
    assert_int_equal(response->message_response_case, RESPONSE(LIST_SERVICES_RESPONSE));
    for (size_t i = 0; i < method_table.count; i++) {
        bool is_new =
            i == 0 || strcmp(method_table.rows[i].service, method_table.rows[i - 1].service) != 0;
        for (size_t j = 0; is_new && j < list->n_service; j++) {
            found += strcmp(list->service[j]->name, method_table.rows[i].service) == 0;
        }
    }
    assert_int_equal(found, list->n_service);
    assert_int_equal(found, 5);
    session_half_close(&call->call);
    fake_call_expect_end(call, STATUS_OK, "");
}

static void everything_listed_is_described(void **state)
{
    for (size_t i = 0; i < method_table.count; i++) {
        struct fake_call *call = start(*state, V1);
        char name[128];
        snprintf(name, sizeof(name), "%s.%s", method_table.rows[i].service,
                 method_table.rows[i].name);
        file_type *file = file_of(ask(call, REQUEST(FILE_CONTAINING_SYMBOL), name), 0);
        assert_int_equal(strncmp(name, file->package, strlen(file->package)), 0);
        google__protobuf__file_descriptor_proto__free_unpacked(file, NULL);
        session_half_close(&call->call);
        fake_call_expect_end(call, STATUS_OK, "");
    }
}

static void a_file_has_its_comments(void **state)
{
    struct fake_call *call = start(*state, V1);
    file_type *file = file_of(ask(call, REQUEST(FILE_BY_FILENAME), "holdfast/v1/locks.proto"), 0);
    bool has_comment = false;
    assert_string_equal(file->name, "holdfast/v1/locks.proto");
    assert_non_null(file->source_code_info);
    for (size_t i = 0; i < file->source_code_info->n_location; i++) {
        const char *comment = file->source_code_info->location[i]->leading_comments;
        has_comment |= comment != NULL && strstr(comment, "Losing is an answer") != NULL;
    }
    assert_true(has_comment);
    google__protobuf__file_descriptor_proto__free_unpacked(file, NULL);
    session_half_close(&call->call);
}

static void symbols_of_every_kind_are_found(void **state)
{
    struct fake_call *call = start(*state, V1);
    static const char *const names[] = {
        "holdfast.v1.Locks",
        "holdfast.v1.Locks.Acquire",
        "holdfast.v1.Lease",
        "holdfast.v1.Lease.fence",
        "holdfast.v1.Mode",
        "holdfast.v1.MODE_SHARED",
        "holdfast.v1.HoldLost.Reason",
        "holdfast.v1.HoldLost.REASON_EXPIRED",
    };
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        expect_file(ask(call, REQUEST(FILE_CONTAINING_SYMBOL), names[i]), 0,
                    "holdfast/v1/locks.proto");
    }
    session_half_close(&call->call);
}

/* admin.proto imports locks.proto. */
static void a_file_brings_its_imports(void **state)
{
    struct fake_call *call = start(*state, V1);
    const response_type *response = ask(call, REQUEST(FILE_CONTAINING_SYMBOL), "holdfast.v1.Admin");
    expect_file(response, 0, "holdfast/v1/admin.proto");
    expect_file(response, 1, "holdfast/v1/locks.proto");
    assert_int_equal(response->file_descriptor_response->n_file_descriptor_proto, 2);
    session_half_close(&call->call);
}

static void what_is_not_there_is_an_error_inside_the_stream(void **state)
{
    struct fake_call *call = start(*state, V1);
    expect_error(ask(call, REQUEST(FILE_BY_FILENAME), "locks.proto"), STATUS_NOT_FOUND,
                 "\"locks.proto\"");
    expect_error(ask(call, REQUEST(FILE_CONTAINING_SYMBOL), "holdfast.v1"), STATUS_NOT_FOUND,
                 "\"holdfast.v1\"");
    expect_error(ask(call, REQUEST(ALL_EXTENSION_NUMBERS_OF_TYPE), "holdfast.v1.Lease"),
                 STATUS_NOT_FOUND, "extensions");
    request_type request = GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__INIT;
    Grpc__Reflection__V1__ExtensionRequest extension =
        GRPC__REFLECTION__V1__EXTENSION_REQUEST__INIT;
    extension.containing_type = (char *)"holdfast.v1.Lease";
    request.message_request_case = REQUEST(FILE_CONTAINING_EXTENSION);
    request.file_containing_extension = &extension;
    fake_call_message(call, &request.base);
    expect_error(
        fake_call_next(call, &grpc__reflection__v1__server_reflection_response__descriptor),
        STATUS_NOT_FOUND, "extensions");
    request.message_request_case = REQUEST(_NOT_SET);
    fake_call_message(call, &request.base);
    expect_error(
        fake_call_next(call, &grpc__reflection__v1__server_reflection_response__descriptor),
        STATUS_INVALID_ARGUMENT, "message_request");
    fake_call_expect_open(call);
    session_half_close(&call->call);
    fake_call_expect_end(call, STATUS_OK, "");
}

/* A name that is cut for the text of the error must not be cut within a character. */
static void an_error_is_valid_text(void **state)
{
    struct fake_call *call = start(*state, V1);
    static const char euro[] = "\xe2\x82\xac";
    char name[512] = "";
    for (size_t i = 0; i + sizeof(euro) < sizeof(name); i += sizeof(euro) - 1) {
        memcpy(name + i, euro, sizeof(euro));
    }
    const response_type *response = ask(call, REQUEST(FILE_BY_FILENAME), name);
    const char *text = strstr(response->error_response->error_message, euro);
    assert_non_null(text);
    for (; strncmp(text, euro, 3) == 0; text += 3) {
    }
    assert_true((unsigned char)text[0] < 0x80 || strncmp(text, "\xef\xbf\xbd", 3) == 0);
    session_half_close(&call->call);
}

static void the_older_name_answers_alike(void **state)
{
    struct fake_call *call = start(*state, V1ALPHA);
    expect_file(ask(call, REQUEST(FILE_CONTAINING_SYMBOL), V1ALPHA), 0,
                "grpc/reflection/v1alpha/reflection.proto");
    session_half_close(&call->call);
    fake_call_expect_end(call, STATUS_OK, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(every_service_is_listed_once),
        FIXTURE_TEST(everything_listed_is_described),
        FIXTURE_TEST(a_file_has_its_comments),
        FIXTURE_TEST(symbols_of_every_kind_are_found),
        FIXTURE_TEST(a_file_brings_its_imports),
        FIXTURE_TEST(what_is_not_there_is_an_error_inside_the_stream),
        FIXTURE_TEST(an_error_is_valid_text),
        FIXTURE_TEST(the_older_name_answers_alike),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
