/* SPDX-License-Identifier: Apache-2.0 */
#include "service/methods.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/compiler.h"
#include "base/memory.h"

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
    table.count--;
    assert_false(methods_agree(&table, problem));
    assert_string_equal(problem, "method holdfast.v1.Admin/ListConnections has 0 rows");
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

/* protobuf-c's descriptors do not tell streams, so the rows are compared with the source. */
static void streaming_is_as_the_proto_says(void **state)
{
    (void)state;
    static const char *const protos[] = {LOCKS_PROTO, ADMIN_PROTO};
    static char source[131072];
    size_t size = 0;
    for (size_t i = 0; i < COUNT_OF(protos); i++) {
        FILE *file = fopen(protos[i], "r");
        assert_non_null(file);
        size += fread(source + size, 1, sizeof(source) - 1 - size, file);
        fclose(file);
    }
    source[size] = '\0';
    for (size_t i = 0; i < method_table.count; i++) {
        const struct method *row = &method_table.rows[i];
        char head[64];
        snprintf(head, sizeof(head), "rpc %s(", row->name);
        const char *rpc = strstr(source, head);
        assert_non_null(rpc);
        const char *returns = strstr(rpc, "returns (");
        assert_non_null(returns);
        bool client = strncmp(rpc + strlen(head), "stream ", 7) == 0;
        bool server = strncmp(returns + strlen("returns ("), "stream ", 7) == 0;
        assert_int_equal(row->is_client_streaming, client);
        assert_int_equal(row->is_server_streaming, server);
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
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
