/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/grpc_request.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/compiler.h"

static void give(struct grpc_request *request, const char *name, const char *value)
{
    grpc_request_field(request, name, strlen(name), value, strlen(value));
}

static void begin(struct grpc_request *request, const char *path)
{
    grpc_request_begin(request);
    give(request, ":method", "POST");
    give(request, ":scheme", "http");
    give(request, ":path", path);
    give(request, "content-type", "application/grpc");
}

static void assert_refused(struct grpc_request *request, unsigned http_status, enum status status,
                           const char *part_of_text)
{
    struct grpc_verdict verdict = grpc_request_end(request);
    assert_int_equal(verdict.http_status, http_status);
    assert_int_equal(verdict.status, status);
    assert_non_null(strstr(verdict.text, part_of_text));
}

static void assert_good(struct grpc_request *request)
{
    struct grpc_verdict verdict = grpc_request_end(request);
    assert_int_equal(verdict.status, STATUS_OK);
    assert_int_equal(verdict.http_status, 200);
    assert_string_equal(verdict.text, "");
}

static void the_path_names_service_and_method(void **state)
{
    (void)state;
    struct grpc_request request;
    begin(&request, "/holdfast.v1.Locks/Acquire");
    give(&request, "te", "trailers");
    give(&request, "user-agent", "a test");
    assert_good(&request);
    assert_string_equal(request.service, "holdfast.v1.Locks");
    assert_string_equal(request.method, "Acquire");
    assert_int_equal(request.timeout_us, 0);
}

static void other_paths_name_nothing(void **state)
{
    (void)state;
    static const char *const paths[] = {"", "/", "*", "Locks/Acquire", "/Locks"};
    for (size_t i = 0; i < COUNT_OF(paths); i++) {
        struct grpc_request request;
        begin(&request, paths[i]);
        assert_refused(&request, 200, STATUS_UNIMPLEMENTED, "/service/method");
    }
}

static void a_path_has_a_limit(void **state)
{
    (void)state;
    char path[GRPC_PATH_MAX + 2];
    struct grpc_request request;
    memset(path, 'x', sizeof(path));
    path[0] = '/';
    path[9] = '/';
    path[GRPC_PATH_MAX] = '\0';
    begin(&request, path);
    assert_good(&request);
    assert_int_equal(strlen(request.method), GRPC_PATH_MAX - 10);
    path[GRPC_PATH_MAX] = 'x';
    path[GRPC_PATH_MAX + 1] = '\0';
    begin(&request, path);
    assert_refused(&request, 200, STATUS_UNIMPLEMENTED, "/service/method");
}

static void only_posts_are_calls(void **state)
{
    (void)state;
    static const char *const methods[] = {"GET", "post", "POSTS", ""};
    for (size_t i = 0; i < COUNT_OF(methods); i++) {
        struct grpc_request request;
        begin(&request, "/a/b");
        give(&request, ":method", methods[i]);
        assert_refused(&request, 405, STATUS_INTERNAL, "POST");
    }
}

static void the_content_type_must_be_grpc(void **state)
{
    (void)state;
    static const struct {
        const char *type;
        bool is_grpc;
    } samples[] = {{"application/grpc", true},
                   {"application/grpc+proto", true},
                   {"application/grpc;v=1", true},
                   {"application/grpc-web", false},
                   {"application/grpc-web+proto", false},
                   {"application/json", false},
                   {"application/grp", false},
                   {"", false}};
    for (size_t i = 0; i < COUNT_OF(samples); i++) {
        struct grpc_request request;
        begin(&request, "/a/b");
        give(&request, "content-type", samples[i].type);
        if (samples[i].is_grpc) {
            assert_good(&request);
        } else {
            assert_refused(&request, 415, STATUS_INTERNAL, "application/grpc");
        }
    }
    struct grpc_request untyped;
    grpc_request_begin(&untyped);
    give(&untyped, ":method", "POST");
    assert_refused(&untyped, 415, STATUS_INTERNAL, "content-type");
}

static void timeouts_become_microseconds(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t timeout_us;
    } samples[] = {
        {"1H", 3600000000},  {"2M", 120000000}, {"3S", 3000000},
        {"4m", 4000},        {"5u", 5},         {"1n", 1},
        {"1000n", 1},        {"1001n", 2},      {"99999999H", 359999996400000000},
        {"00000007m", 7000}, {"0S", -1},        {"0n", -1},
    };
    for (size_t i = 0; i < COUNT_OF(samples); i++) {
        struct grpc_request request;
        begin(&request, "/a/b");
        give(&request, "grpc-timeout", samples[i].text);
        assert_good(&request);
        assert_int_equal(request.timeout_us, samples[i].timeout_us);
    }
}

static void other_timeouts_are_refused(void **state)
{
    (void)state;
    static const char *const texts[] = {"",    "S",   "1",   "10",   "1s",   "-1S",
                                        "+1S", "1 S", "1SS", "1.5S", "0x1S", "123456789n"};
    for (size_t i = 0; i < COUNT_OF(texts); i++) {
        struct grpc_request request;
        begin(&request, "/a/b");
        give(&request, "grpc-timeout", texts[i]);
        assert_refused(&request, 200, STATUS_INVALID_ARGUMENT, "grpc-timeout");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_path_names_service_and_method),
        cmocka_unit_test(other_paths_name_nothing),
        cmocka_unit_test(a_path_has_a_limit),
        cmocka_unit_test(only_posts_are_calls),
        cmocka_unit_test(the_content_type_must_be_grpc),
        cmocka_unit_test(timeouts_become_microseconds),
        cmocka_unit_test(other_timeouts_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
