/* SPDX-License-Identifier: Apache-2.0 */
#include "grpc/grpc_fields.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "base/compiler.h"

static const struct holdfast_header headers[] = {{"a", "b"}, {"key-bin", "AAE="}, {"empty", ""}};

static const struct holdfast_call_ask plain = {
    .service = "a.B", .method = "C", .headers = headers, .header_count = COUNT_OF(headers)};

/* The value of a field, or NULL. */
static const char *value_of(const struct grpc_fields *fields, const char *name)
{
    for (size_t i = 0; i < fields->count; i++) {
        if (strcmp(fields->list[i].name, name) == 0) {
            assert_int_equal(strlen(fields->list[i].value), fields->list[i].length);
            return fields->list[i].value;
        }
    }
    return NULL;
}

static void test_a_request(void **state)
{
    struct grpc_fields fields;
    (void)state;
    assert_null(grpc_fields_problem(&plain));
    grpc_fields_write(&fields, &plain, "host:1", false, 0);
    assert_string_equal(value_of(&fields, ":method"), "POST");
    assert_string_equal(value_of(&fields, ":scheme"), "http");
    assert_string_equal(value_of(&fields, ":path"), "/a.B/C");
    assert_string_equal(value_of(&fields, ":authority"), "host:1");
    assert_string_equal(value_of(&fields, "content-type"), "application/grpc");
    assert_string_equal(value_of(&fields, "te"), "trailers");
    assert_string_equal(value_of(&fields, "a"), "b");
    assert_string_equal(value_of(&fields, "key-bin"), "AAE=");
    assert_string_equal(value_of(&fields, "empty"), "");
    assert_null(value_of(&fields, "grpc-timeout"));
    grpc_fields_write(&fields, &plain, "host:1", true, 250);
    assert_string_equal(value_of(&fields, ":scheme"), "https");
    assert_string_equal(value_of(&fields, "grpc-timeout"), "250m");
}

static void test_what_is_full_fits(void **state)
{
    struct holdfast_header many[HOLDFAST_HEADERS_MAX];
    char name[GRPC_NAME_MAX + 2];
    struct grpc_fields fields;
    (void)state;
    memset(name, 'n', sizeof(name));
    name[GRPC_NAME_MAX] = '\0';
    for (size_t i = 0; i < COUNT_OF(many); i++) {
        many[i] = headers[0];
    }
    struct holdfast_call_ask ask = {
        .service = name, .method = name, .headers = many, .header_count = COUNT_OF(many)};
    assert_null(grpc_fields_problem(&ask));
    grpc_fields_write(&fields, &ask, "host:1", true, UINT32_MAX);
    assert_int_equal(fields.count, COUNT_OF(fields.list));
    assert_int_equal(strlen(value_of(&fields, ":path")), 2 * GRPC_NAME_MAX + 2);
    ask.header_count++;
    assert_non_null(strstr(grpc_fields_problem(&ask), "at most 64"));
    ask.header_count = 0;
    name[GRPC_NAME_MAX] = 'n';
    name[GRPC_NAME_MAX + 1] = '\0';
    assert_non_null(strstr(grpc_fields_problem(&ask), "256 bytes"));
}

static void test_what_cannot_be_asked(void **state)
{
    static const struct holdfast_header wrong[] = {
        {"content-type", "text/html"},
        {"te", "trailers"},
        {"grpc-timeout", "1S"},
        {"grpc-x", ""},
        {"user-agent", "me"},
        {":path", "/"},
        {"", "x"},
        {"A", "x"},
        {"a b", "x"},
        {"connection", "x"},
        {"a", "x\ny"},
        {"a", "x "},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(wrong); i++) {
        struct holdfast_call_ask ask = plain;
        ask.headers = &wrong[i];
        ask.header_count = 1;
        assert_non_null(grpc_fields_problem(&ask));
    }
    struct holdfast_call_ask ask = plain;
    ask.message_length = HOLDFAST_MESSAGE_MAX;
    assert_null(grpc_fields_problem(&ask));
    ask.message_length++;
    assert_non_null(grpc_fields_problem(&ask));
    ask = plain;
    ask.method = "";
    assert_non_null(grpc_fields_problem(&ask));
}

/* gRPC takes eight digits. */
static void test_timeouts(void **state)
{
    static const struct {
        uint32_t ms;
        const char *text;
    } cases[] = {{1, "1m"},
                 {86400000, "86400000m"},
                 {99999999, "99999999m"},
                 {100000000, "100000S"},
                 {100000001, "100001S"},
                 {UINT32_MAX, "4294968S"}};
    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        char text[GRPC_TIMEOUT_SIZE];
        grpc_timeout_write(text, cases[i].ms);
        assert_string_equal(text, cases[i].text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_request),
        cmocka_unit_test(test_what_is_full_fits),
        cmocka_unit_test(test_what_cannot_be_asked),
        cmocka_unit_test(test_timeouts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
