/* SPDX-License-Identifier: Apache-2.0 */
/* What descriptions may have wrong; tests/e2e/test_json.py holds good ones against python's. */
#include "types.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "field.h"
#include "proto_file.h"
#include "well_known.h"

#define FIELDS_MAX 4

#define TYPE(name)  GOOGLE__PROTOBUF__FIELD_DESCRIPTOR_PROTO__TYPE__TYPE_##name
#define LABEL(name) GOOGLE__PROTOBUF__FIELD_DESCRIPTOR_PROTO__LABEL__LABEL_##name

/* A file with one message "p.M" of some fields, one enum "p.E" and one service "p.S" with the
 * method "Do" from M to M. */
struct source {
    Google__Protobuf__FieldDescriptorProto fields[FIELDS_MAX];
    Google__Protobuf__FieldDescriptorProto *field_list[FIELDS_MAX];
    Google__Protobuf__DescriptorProto message;
    Google__Protobuf__EnumValueDescriptorProto values[3];
    Google__Protobuf__EnumValueDescriptorProto *value_list[3];
    Google__Protobuf__EnumDescriptorProto enumeration;
    Google__Protobuf__MethodDescriptorProto method;
    Google__Protobuf__ServiceDescriptorProto service;
    Google__Protobuf__FileDescriptorProto file;
    Google__Protobuf__DescriptorProto *message_list[1];
    Google__Protobuf__EnumDescriptorProto *enum_list[1];
    Google__Protobuf__MethodDescriptorProto *method_list[1];
    Google__Protobuf__ServiceDescriptorProto *service_list[1];
    char *dependency_list[1];
};

static struct source source;
static struct types types;
static char problem[SCHEMA_PROBLEM_SIZE];

#define TEXT(text) ((char *)(uintptr_t)(text))

static void add_value(size_t index, const char *name, int32_t number)
{
    google__protobuf__enum_value_descriptor_proto__init(&source.values[index]);
    source.values[index].name = TEXT(name);
    source.values[index].has_number = true;
    source.values[index].number = number;
    source.value_list[index] = &source.values[index];
    source.enumeration.n_value = index + 1;
}

static void begin_enum(void)
{
    google__protobuf__enum_descriptor_proto__init(&source.enumeration);
    source.enumeration.name = TEXT("E");
    source.enumeration.value = source.value_list;
    add_value(0, "ZERO", 0);
    add_value(1, "MINUS", -1);
    add_value(2, "NOTHING", 0);
    source.enum_list[0] = &source.enumeration;
}

static void begin_service(void)
{
    google__protobuf__method_descriptor_proto__init(&source.method);
    source.method.name = TEXT("Do");
    source.method.input_type = TEXT(".p.M");
    source.method.output_type = TEXT(".p.M");
    source.method_list[0] = &source.method;
    google__protobuf__service_descriptor_proto__init(&source.service);
    source.service.name = TEXT("S");
    source.service.method = source.method_list;
    source.service.n_method = 1;
    source.service_list[0] = &source.service;
}

static void begin(void)
{
    source = (struct source){.field_list = {NULL}};
    begin_enum();
    begin_service();
    google__protobuf__descriptor_proto__init(&source.message);
    source.message.name = TEXT("M");
    source.message.field = source.field_list;
    source.message_list[0] = &source.message;
    google__protobuf__file_descriptor_proto__init(&source.file);
    source.file.name = TEXT("p.proto");
    source.file.package = TEXT("p");
    source.file.syntax = TEXT("proto3");
    source.file.message_type = source.message_list;
    source.file.n_message_type = 1;
    source.file.enum_type = source.enum_list;
    source.file.n_enum_type = 1;
    source.file.service = source.service_list;
    source.file.n_service = 1;
    source.file.dependency = source.dependency_list;
}

static Google__Protobuf__FieldDescriptorProto *
add_field(const char *name, int32_t number, Google__Protobuf__FieldDescriptorProto__Type type)
{
    Google__Protobuf__FieldDescriptorProto *field = &source.fields[source.message.n_field];
    google__protobuf__field_descriptor_proto__init(field);
    field->name = TEXT(name);
    field->has_number = field->has_type = field->has_label = true;
    field->number = number;
    field->type = type;
    field->label = LABEL(OPTIONAL);
    source.field_list[source.message.n_field++] = field;
    return field;
}

static Google__Protobuf__FileDescriptorProto *pack(void)
{
    const size_t length = protobuf_c_message_get_packed_size(&source.file.base);
    uint8_t *bytes = malloc(length + 1);
    protobuf_c_message_pack(&source.file.base, bytes);
    Google__Protobuf__FileDescriptorProto *file = proto_file_unpack(bytes, length);
    free(bytes);
    assert_non_null(file);
    return file;
}

static const ProtobufCMessageDescriptor *make(void)
{
    types_release(&types);
    types_init(&types);
    assert_true(types_add(&types, "p.proto", pack()));
    return types_find_message(&types, "p.M", problem);
}

static int setup(void **state)
{
    (void)state;
    types_init(&types);
    begin();
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    types_release(&types);
    return 0;
}

static void test_fields_are_in_order(void **state)
{
    (void)state;
    add_field("c", 9, TYPE(STRING));
    add_field("a", 1, TYPE(INT32));
    add_field("b", 2, TYPE(BOOL));
    const ProtobufCMessageDescriptor *made = make();
    assert_non_null(made);
    assert_int_equal(made->n_fields, 3);
    assert_string_equal(protobuf_c_message_descriptor_get_field(made, 1)->name, "a");
    assert_string_equal(protobuf_c_message_descriptor_get_field(made, 2)->name, "b");
    assert_string_equal(protobuf_c_message_descriptor_get_field(made, 9)->name, "c");
    assert_null(protobuf_c_message_descriptor_get_field(made, 3));
    assert_null(protobuf_c_message_descriptor_get_field(made, 0));
}

static void test_an_enum_with_aliases(void **state)
{
    (void)state;
    add_field("e", 1, TYPE(ENUM))->type_name = TEXT(".p.E");
    const ProtobufCMessageDescriptor *made = make();
    assert_non_null(made);
    const ProtobufCEnumDescriptor *type = made->fields[0].descriptor;
    assert_int_equal(protobuf_c_enum_descriptor_get_value_by_name(type, "NOTHING")->value, 0);
    assert_int_equal(protobuf_c_enum_descriptor_get_value_by_name(type, "ZERO")->value, 0);
    assert_int_equal(protobuf_c_enum_descriptor_get_value_by_name(type, "MINUS")->value, -1);
    assert_non_null(protobuf_c_enum_descriptor_get_value(type, 0));
    assert_null(protobuf_c_enum_descriptor_get_value(type, 1));
}

static void assert_refused(void)
{
    assert_null(make());
    assert_non_null(strstr(problem, "the server does not describe this type"));
}

static void test_fields_that_make_no_sense(void **state)
{
    (void)state;
    add_field("a", 0, TYPE(INT32));
    assert_refused();
    source.fields[0].number = -1;
    assert_refused();
    source.fields[0].number = 1;
    source.fields[0].type = (Google__Protobuf__FieldDescriptorProto__Type)19;
    assert_refused();
    source.fields[0].type = (Google__Protobuf__FieldDescriptorProto__Type)-1;
    assert_refused();
    source.fields[0].type = TYPE(INT32);
    source.fields[0].has_oneof_index = true;
    source.fields[0].oneof_index = 0;
    assert_refused();
    source.fields[0].oneof_index = -1;
    assert_refused();
    source.fields[0].has_oneof_index = false;
    assert_non_null(make());
    add_field("b", 1, TYPE(INT32));
    assert_refused();
}

static void test_types_that_are_not_there(void **state)
{
    (void)state;
    add_field("a", 1, TYPE(MESSAGE))->type_name = TEXT(".p.Nothing");
    assert_refused();
    assert_non_null(strstr(problem, "p.Nothing: "));
    source.fields[0].type_name = TEXT(".p.E");
    assert_refused();
    source.fields[0].type_name = NULL;
    assert_refused();
    source.fields[0].type = TYPE(ENUM);
    source.fields[0].type_name = TEXT(".p.M");
    assert_refused();
    source.fields[0].type = TYPE(MESSAGE);
    assert_non_null(make());
}

static void test_groups_are_left_out(void **state)
{
    (void)state;
    add_field("group", 1, TYPE(GROUP))->type_name = TEXT(".p.Nothing");
    add_field("a", 2, TYPE(INT32));
    const ProtobufCMessageDescriptor *made = make();
    assert_non_null(made);
    assert_int_equal(made->n_fields, 1);
}

static void test_a_method(void **state)
{
    struct schema_method found;
    (void)state;
    source.method.has_server_streaming = source.method.server_streaming = true;
    assert_true(types_add(&types, "p.proto", pack()));
    assert_true(types_find_method(&types, "p.S", "Do", &found, problem));
    assert_string_equal(found.service, "p.S");
    assert_string_equal(found.method->name, "Do");
    assert_string_equal(found.method->input->name, "p.M");
    assert_false(found.is_client_streaming);
    assert_true(found.is_server_streaming);
}

static void test_methods_that_are_not_there(void **state)
{
    struct schema_method found;
    (void)state;
    source.method.output_type = TEXT(".p.Nothing");
    assert_true(types_add(&types, "p.proto", pack()));
    assert_false(types_find_method(&types, "p.S", "Undo", &found, problem));
    assert_non_null(strstr(problem, "no such method"));
    assert_false(types_find_method(&types, "p.M", "Do", &found, problem));
    assert_false(types_find_method(&types, "p.S", "Do", &found, problem));
    assert_non_null(strstr(problem, "p.Nothing"));
}

static void test_what_files_need(void **state)
{
    (void)state;
    source.dependency_list[0] = TEXT("q.proto");
    source.file.n_dependency = 1;
    assert_true(types_add(&types, "p.proto", pack()));
    assert_true(types_add(&types, "p.proto", pack()));
    assert_int_equal(types.file_count, 1);
    assert_string_equal(types_missing(&types), "q.proto");
    assert_true(types_add(&types, types_missing(&types), NULL));
    assert_null(types_missing(&types));
}

static void test_files_have_a_limit(void **state)
{
    (void)state;
    for (size_t i = 0; i < TYPES_FILES_MAX; i++) {
        char text[32];
        snprintf(text, sizeof(text), "x%zu", i);
        assert_true(types_add(&types, text, NULL));
    }
    assert_true(types_add(&types, "x0", NULL));
    assert_false(types_add(&types, "p.proto", pack()));
}

/* A server need not name what it describes. */
static void test_a_file_without_names(void **state)
{
    static const uint8_t bytes[] = {0x22, 0x02, 0x12, 0x00, 0x32, 0x02, 0x12, 0x00};
    (void)state;
    Google__Protobuf__FileDescriptorProto *file = proto_file_unpack(bytes, sizeof(bytes));
    assert_non_null(file);
    assert_string_equal(file->name, "");
    assert_string_equal(file->package, "");
    assert_string_equal(file->message_type[0]->name, "");
    assert_string_equal(file->message_type[0]->field[0]->type_name, "");
    assert_string_equal(file->service[0]->method[0]->input_type, "");
    assert_true(types_add(&types, file->name, file));
    assert_null(types_find_message(&types, "", problem));
}

/* Names alone do not make a type well known: what reads them would go round in circles. */
static void test_types_with_borrowed_names(void **state)
{
    static const char *const names[] = {"Int32Value", "Value",     "Struct",
                                        "ListValue",  "Timestamp", "Duration"};
    char name[64];
    (void)state;
    source.file.package = TEXT("google.protobuf");
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        snprintf(name, sizeof(name), "google.protobuf.%s", names[i]);
        source.message.name = TEXT(names[i]);
        source.message.n_field = 0;
        add_field("value", 1, TYPE(MESSAGE))->type_name = name;
        types_release(&types);
        types_init(&types);
        assert_true(types_add(&types, "p.proto", pack()));
        const ProtobufCMessageDescriptor *made = types_find_message(&types, name, problem);
        assert_non_null(made);
        assert_int_equal(well_known_of(made), WELL_KNOWN_NONE);
    }
    source.message.name = TEXT("Int32Value");
    source.fields[0].type = TYPE(INT32);
    source.fields[0].type_name = NULL;
    assert_true(types_add(&types, "q.proto", pack()));
    const ProtobufCMessageDescriptor *made =
        types_find_message(&types, "google.protobuf.Int32Value", problem);
    assert_non_null(made);
    assert_int_equal(well_known_of(made), WELL_KNOWN_WRAPPER);
}

/* They look like those of a map, but for how they hold things. */
static void test_entries_that_are_none(void **state)
{
    static Google__Protobuf__DescriptorProto entry;
    static Google__Protobuf__DescriptorProto *nested[] = {&entry};
    static Google__Protobuf__FieldDescriptorProto *parts[2];
    (void)state;
    add_field("key", 1, TYPE(STRING));
    add_field("value", 2, TYPE(STRING));
    memcpy(parts, source.field_list, sizeof(parts));
    google__protobuf__descriptor_proto__init(&entry);
    entry.name = TEXT("ListEntry");
    entry.field = parts;
    entry.n_field = 2;
    source.message.nested_type = nested;
    source.message.n_nested_type = 1;
    add_field("list", 1, TYPE(MESSAGE))->type_name = TEXT(".p.M.ListEntry");
    source.fields[2].label = LABEL(REPEATED);
    source.message.field = source.field_list + 2;
    source.message.n_field = 1;
    for (int i = 0; i < 4; i++) {
        source.fields[0].has_proto3_optional = source.fields[0].proto3_optional = i == 1;
        source.fields[1].label = i == 2 ? LABEL(REPEATED) : LABEL(OPTIONAL);
        source.file.syntax = TEXT(i == 3 ? "proto2" : "proto3");
        const ProtobufCMessageDescriptor *made = make();
        assert_non_null(made);
        assert_int_equal(field_is_map(made, &made->fields[0]), i == 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_fields_are_in_order, setup, teardown),
        cmocka_unit_test_setup_teardown(test_an_enum_with_aliases, setup, teardown),
        cmocka_unit_test_setup_teardown(test_fields_that_make_no_sense, setup, teardown),
        cmocka_unit_test_setup_teardown(test_types_that_are_not_there, setup, teardown),
        cmocka_unit_test_setup_teardown(test_groups_are_left_out, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_method, setup, teardown),
        cmocka_unit_test_setup_teardown(test_methods_that_are_not_there, setup, teardown),
        cmocka_unit_test_setup_teardown(test_what_files_need, setup, teardown),
        cmocka_unit_test_setup_teardown(test_files_have_a_limit, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_file_without_names, setup, teardown),
        cmocka_unit_test_setup_teardown(test_types_with_borrowed_names, setup, teardown),
        cmocka_unit_test_setup_teardown(test_entries_that_are_none, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
