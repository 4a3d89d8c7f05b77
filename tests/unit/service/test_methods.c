/* SPDX-License-Identifier: Apache-2.0 */
#include "service/methods.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#include <google/protobuf/descriptor.pb-c.h>

#include "base/memory.h"

extern const unsigned char protoset[];
extern const size_t protoset_size;

static char problem[METHODS_PROBLEM_SIZE];

/* A copy of the real table with room for one row more, to be spoilt by a test. */
static struct method *copy_rows(struct method_table *table)
{
    struct method *rows = memory_alloc((method_table.count + 1) * sizeof(*rows));
    memcpy(rows, method_table.rows, method_table.count * sizeof(*rows));
    *table = method_table;
    table->rows = rows;
    return rows;
}

static void the_table_agrees_with_the_descriptors(void **state)
{
    (void)state;
    assert_true(methods_agree(&method_table, problem));
    methods_init();
}

static void a_method_without_a_row_is_found(void **state)
{
    (void)state;
    struct method_table table;
    struct method *rows = copy_rows(&table);
    rows[0] = rows[1];
    assert_false(methods_agree(&table, problem));
    assert_string_equal(problem, "method holdfast.v1.Locks/Acquire has 0 rows");
    memory_free(rows);
}

static void a_second_row_for_a_method_is_found(void **state)
{
    (void)state;
    struct method_table table;
    struct method *rows = copy_rows(&table);
    rows[table.count++] = rows[0];
    assert_false(methods_agree(&table, problem));
    assert_string_equal(problem, "method holdfast.v1.Locks/Acquire has 2 rows");
    memory_free(rows);
}

static void a_row_without_its_method_is_found(void **state)
{
    (void)state;
    struct method_table table;
    struct method *rows = copy_rows(&table);
    rows[1].name = "Steal";
    assert_false(methods_agree(&table, problem));
    assert_string_equal(problem, "row holdfast.v1.Locks/Steal: no such method at index 1");
    rows[1].name = "Renew";
    rows[1].index = 99;
    assert_false(methods_agree(&table, problem));
    assert_string_equal(problem, "row holdfast.v1.Locks/Renew: no such method at index 99");
    rows[1] = method_table.rows[1];
    rows[1].input = rows[0].input;
    assert_false(methods_agree(&table, problem));
    assert_string_equal(problem,
                        "row holdfast.v1.Locks/Renew: its input is holdfast.v1.RenewRequest");
    rows[1] = method_table.rows[1];
    rows[1].service = "holdfast.v1.Keys";
    assert_false(methods_agree(&table, problem));
    assert_string_equal(problem, "row holdfast.v1.Keys/Renew is served by holdfast.v1.Locks");
    memory_free(rows);
}

static void every_method_is_found_by_name(void **state)
{
    (void)state;
    bool is_known = false;
    for (size_t i = 0; i < method_table.count; i++) {
        const struct method *row = &method_table.rows[i];
        assert_ptr_equal(methods_find(row->service, row->name, &is_known), row);
        assert_true(is_known);
    }
    assert_null(methods_find("holdfast.v1.Locks", "acquire", &is_known));
    assert_true(is_known);
    assert_null(methods_find("holdfast.v1.Lock", "Acquire", &is_known));
    assert_false(is_known);
    assert_null(methods_find("", "", &is_known));
    assert_false(is_known);
}

/* What the built-in descriptor set says of a service; NULL when it is not in this file. */
static const Google__Protobuf__ServiceDescriptorProto *
service_in(const Google__Protobuf__FileDescriptorProto *file, const char *name)
{
    size_t length = strlen(file->package);
    for (size_t i = 0; i < file->n_service; i++) {
        if (strncmp(name, file->package, length) == 0 && name[length] == '.' &&
            strcmp(name + length + 1, file->service[i]->name) == 0) {
            return file->service[i];
        }
    }
    return NULL;
}

static void compare_streaming(const struct method *row,
                              const Google__Protobuf__ServiceDescriptorProto *service)
{
    for (size_t i = 0; i < service->n_method; i++) {
        const Google__Protobuf__MethodDescriptorProto *method = service->method[i];
        if (strcmp(method->name, row->name) == 0) {
            assert_int_equal(row->is_client_streaming, method->client_streaming);
            assert_int_equal(row->is_server_streaming, method->server_streaming);
            return;
        }
    }
    fail_msg("%s has no method %s", row->service, row->name);
}

/* protobuf-c's descriptors do not tell streams, so the rows are compared with the .proto files. */
static void streaming_is_as_the_proto_says(void **state)
{
    (void)state;
    Google__Protobuf__FileDescriptorSet *set =
        google__protobuf__file_descriptor_set__unpack(NULL, protoset_size, protoset);
    assert_non_null(set);
    for (size_t i = 0; i < method_table.count; i++) {
        const struct method *row = &method_table.rows[i];
        const Google__Protobuf__ServiceDescriptorProto *service = NULL;
        for (size_t j = 0; j < set->n_file && service == NULL; j++) {
            service = service_in(set->file[j], row->service);
        }
        assert_non_null(service);
        compare_streaming(row, service);
    }
    google__protobuf__file_descriptor_set__free_unpacked(set, NULL);
}

/* Those who list services count on it. */
static void rows_of_a_service_stand_together(void **state)
{
    (void)state;
    for (size_t i = 1; i < method_table.count; i++) {
        const char *service = method_table.rows[i].service;
        if (strcmp(method_table.rows[i - 1].service, service) == 0) {
            continue;
        }
        for (size_t j = 0; j < i; j++) {
            assert_string_not_equal(method_table.rows[j].service, service);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_table_agrees_with_the_descriptors),
        cmocka_unit_test(a_method_without_a_row_is_found),
        cmocka_unit_test(a_second_row_for_a_method_is_found),
        cmocka_unit_test(a_row_without_its_method_is_found),
        cmocka_unit_test(every_method_is_found_by_name),
        cmocka_unit_test(streaming_is_as_the_proto_says),
        cmocka_unit_test(rows_of_a_service_stand_together),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
