/* SPDX-License-Identifier: Apache-2.0 */
#include "grpc/grpc_answer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "base/compiler.h"

enum { CANCEL = 8, REFUSED_STREAM = 7, INTERNAL_ERROR = 2, ENHANCE_YOUR_CALM = 11 };

static struct grpc_answer answer;
static struct grpc_answer_end end;

static void take(const char *name, const char *value)
{
    grpc_answer_field(&answer, name, strlen(name), value, strlen(value));
}

static void begin(const char *http_status, const char *type)
{
    grpc_answer_begin(&answer);
    take(":status", http_status);
    if (type != NULL) {
        take("content-type", type);
    }
}

static void assert_end(uint32_t error, int status, const char *text)
{
    grpc_answer_end(&answer, error, "NAME", &end);
    assert_int_equal(end.status, status);
    assert_string_equal(end.text, text);
}

static void test_the_status_counts(void **state)
{
    (void)state;
    begin("200", "application/grpc+proto");
    assert_true(grpc_answer_is_possible(&answer));
    take("grpc-status", "5");
    take("grpc-message", "n%C3%B6");
    assert_end(0, STATUS_NOT_FOUND, "n\xc3\xb6");
    assert_end(CANCEL, STATUS_NOT_FOUND, "n\xc3\xb6");
}

/* Even behind a status of HTTP's that is no good. */
static void test_the_status_counts_wherever_it_stands(void **state)
{
    (void)state;
    begin("503", NULL);
    assert_false(grpc_answer_is_possible(&answer));
    take("grpc-status", "0");
    assert_true(grpc_answer_is_possible(&answer));
    assert_end(0, STATUS_OK, "");
}

static void test_what_is_no_number_is_unknown(void **state)
{
    static const char *const values[] = {"", "x", "-1", "1 ", "0x1", "99999999999999999999"};
    (void)state;
    for (size_t i = 0; i < COUNT_OF(values); i++) {
        begin("200", "application/grpc");
        take("grpc-status", values[i]);
        assert_end(0, STATUS_UNKNOWN, "");
    }
    begin("200", "application/grpc");
    take("grpc-status", "4711");
    assert_end(0, 4711, "");
}

static void test_what_is_not_grpc(void **state)
{
    static const struct {
        const char *http_status;
        enum status status;
    } cases[] = {
        {"400", STATUS_INTERNAL},          {"401", STATUS_UNAUTHENTICATED},
        {"403", STATUS_PERMISSION_DENIED}, {"404", STATUS_UNIMPLEMENTED},
        {"429", STATUS_UNAVAILABLE},       {"502", STATUS_UNAVAILABLE},
        {"503", STATUS_UNAVAILABLE},       {"504", STATUS_UNAVAILABLE},
        {"500", STATUS_UNKNOWN},           {"302", STATUS_UNKNOWN},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        begin(cases[i].http_status, "text/html");
        assert_false(grpc_answer_is_possible(&answer));
        grpc_answer_end(&answer, 0, "NAME", &end);
        assert_int_equal(end.status, cases[i].status);
        assert_non_null(strstr(end.text, cases[i].http_status));
    }
    begin("200", "application/grpc-web");
    assert_false(grpc_answer_is_possible(&answer));
    assert_end(
        0, STATUS_UNKNOWN,
        "the server does not answer with gRPC, but with content-type \"application/grpc-web\"");
}

static void test_an_interim_answer_says_nothing(void **state)
{
    (void)state;
    begin("103", NULL);
    assert_true(grpc_answer_is_possible(&answer));
    assert_end(0, STATUS_INTERNAL, "the server ended the call without a status");
}

static void test_broken_streams(void **state)
{
    static const struct {
        uint32_t error;
        enum status status;
    } cases[] = {{INTERNAL_ERROR, STATUS_INTERNAL},
                 {REFUSED_STREAM, STATUS_UNAVAILABLE},
                 {CANCEL, STATUS_CANCELLED},
                 {ENHANCE_YOUR_CALM, STATUS_RESOURCE_EXHAUSTED},
                 {4711, STATUS_INTERNAL}};
    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        begin("200", "application/grpc");
        assert_end(cases[i].error, (int)cases[i].status, "the server broke the call off: NAME");
    }
}

static void test_long_texts_are_cut(void **state)
{
    char text[5000];
    (void)state;
    memset(text, 'x', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    begin("200", text);
    take("grpc-message", text);
    take("grpc-status", "2");
    grpc_answer_end(&answer, 0, "NAME", &end);
    assert_int_equal(strlen(end.text), GRPC_ANSWER_TEXT_SIZE - 1);
    assert_int_equal(strlen(answer.type), GRPC_ANSWER_TYPE_SIZE - 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_status_counts),
        cmocka_unit_test(test_the_status_counts_wherever_it_stands),
        cmocka_unit_test(test_what_is_no_number_is_unknown),
        cmocka_unit_test(test_what_is_not_grpc),
        cmocka_unit_test(test_an_interim_answer_says_nothing),
        cmocka_unit_test(test_broken_streams),
        cmocka_unit_test(test_long_texts_are_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
