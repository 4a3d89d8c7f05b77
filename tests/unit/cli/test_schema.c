/* SPDX-License-Identifier: Apache-2.0 */
#include "schema.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <google/protobuf/descriptor.pb-c.h>
#include <stdio.h>

extern const unsigned char cli_protoset[];
extern const size_t cli_protoset_size;

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

/* A service of the .proto files that this program was not told of is found here. */
static size_t find_all(const Google__Protobuf__FileDescriptorProto *file)
{
    size_t methods = 0;
    for (size_t i = 0; i < file->n_service; i++) {
        for (size_t j = 0; j < file->service[i]->n_method; j++, methods++) {
            struct schema_method found;
            char name[256];
            snprintf(name, sizeof(name), "%s.%s/%s", file->package, file->service[i]->name,
                     file->service[i]->method[j]->name);
            if (!schema_find(name, &found, problem)) {
                fail_msg("%s", problem);
            }
        }
    }
    return methods;
}

static void test_every_method_is_visited_and_found(void **state)
{
    size_t visited = 0;
    size_t methods = 0;
    (void)state;
    Google__Protobuf__FileDescriptorSet *set =
        google__protobuf__file_descriptor_set__unpack(NULL, cli_protoset_size, cli_protoset);
    assert_non_null(set);
    for (size_t i = 0; i < set->n_file; i++) {
        /* The older name of reflection is the server's affair. */
        if (strcmp(set->file[i]->package, "grpc.reflection.v1alpha") != 0) {
            methods += find_all(set->file[i]);
        }
    }
    google__protobuf__file_descriptor_set__free_unpacked(set, NULL);
    schema_visit(count, &visited);
    assert_int_equal(visited, methods);
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
