/* SPDX-License-Identifier: Apache-2.0 */
#include "schema.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static char problem[SCHEMA_PROBLEM_SIZE];

static void test_streams_are_known(void **state)
{
    static const struct {
        const char *name;
        bool client, server;
    } cases[] = {
        {"holdfast.v1.Locks/Acquire", false, false},
        {"holdfast.v1.Locks/Watch", false, true},
        {"holdfast.v1.Locks/Hold", true, true},
        {"grpc.health.v1.Health/Watch", false, true},
        {"grpc.reflection.v1.ServerReflection/ServerReflectionInfo", true, true},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct schema_method found;
        assert_true(schema_find(cases[i].name, &found, problem));
        assert_int_equal(found.is_client_streaming, cases[i].client);
        assert_int_equal(found.is_server_streaming, cases[i].server);
    }
}

static void test_names_may_be_short(void **state)
{
    static const char *const names[] = {"Locks/Acquire", "Locks.Acquire",
                                        "holdfast.v1.Locks.Acquire", "holdfast.v1.Locks/Acquire"};
    (void)state;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        struct schema_method found;
        assert_true(schema_find(names[i], &found, problem));
        assert_string_equal(found.service, "holdfast.v1.Locks");
        assert_string_equal(found.method->name, "Acquire");
        assert_string_equal(found.method->input->name, "holdfast.v1.AcquireRequest");
    }
}

static void test_what_is_not_known(void **state)
{
    static const struct {
        const char *name;
        const char *expected;
    } cases[] = {
        {"Acquire", "SERVICE/METHOD"},
        {"", "SERVICE/METHOD"},
        {"Lock/Acquire", "`holdfast list`"},
        {"/Acquire", "`holdfast list`"},
        {"v1.Locks/Acquire", "`holdfast list`"},
        {"Locks/acquire", "`holdfast list holdfast.v1.Locks`"},
        {"Locks/", "`holdfast list holdfast.v1.Locks`"},
        {"Locks/Acquire/", "`holdfast list holdfast.v1.Locks`"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct schema_method found;
        assert_false(schema_find(cases[i].name, &found, problem));
        assert_non_null(strstr(problem, cases[i].expected));
    }
}

static void count(const char *name, void *user)
{
    struct schema_method found;
    size_t *methods = user;
    assert_true(schema_find(name, &found, problem));
    (*methods)++;
}

static void test_every_method_is_visited_and_found(void **state)
{
    size_t methods = 0;
    (void)state;
    schema_visit(count, &methods);
    assert_int_equal(methods, 13);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_streams_are_known),
        cmocka_unit_test(test_names_may_be_short),
        cmocka_unit_test(test_what_is_not_known),
        cmocka_unit_test(test_every_method_is_visited_and_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
