/* SPDX-License-Identifier: Apache-2.0 */
/* What tests/e2e/test_json.py does not show: the writing of each kind, and what is freed. */
#include "message_json.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <kinds.pb-c.h>

#include "field.h"

static char problem[MESSAGE_JSON_PROBLEM_SIZE];

/* `from` is read, and written as `to`. */
static void expect(const char *from, const char *to)
{
    json_t *json = json_loads(from, 0, NULL);
    assert_non_null(json);
    ProtobufCMessage *message = message_from_json(&kinds__everything__descriptor, json, problem);
    json_decref(json);
    if (message == NULL) {
        fail_msg("%s: %s", from, problem);
    }
    json = message_to_json(message, problem);
    assert_non_null(json);
    char *text = json_dumps(json, JSON_COMPACT);
    assert_string_equal(text, to);
    free(text);
    json_decref(json);
    protobuf_c_message_free_unpacked(message, NULL);
}

static void expect_refused(const char *from, const char *expected)
{
    json_t *json = json_loads(from, 0, NULL);
    assert_non_null(json);
    assert_null(message_from_json(&kinds__everything__descriptor, json, problem));
    assert_string_equal(problem, expected);
    json_decref(json);
}

static void test_each_kind(void **state)
{
    (void)state;
    expect("{}", "{}");
    expect("{\"int32_field\":-5,\"uint64_field\":7,\"bool_field\":true}",
           "{\"int32Field\":-5,\"uint64Field\":\"7\",\"boolField\":true}");
    expect("{\"colourField\":1,\"colourList\":[\"COLOUR_DARK\",99]}",
           "{\"colourField\":\"COLOUR_RED\",\"colourList\":[\"COLOUR_DARK\",99]}");
    expect("{\"doubleField\":\"NaN\",\"doubleList\":[\"Infinity\",\"-Infinity\",\"2\",1]}",
           "{\"doubleField\":\"NaN\",\"doubleList\":[\"Infinity\",\"-Infinity\",2.0,1.0]}");
    expect("{\"blob\":\"-_8\",\"text\":\"a\\\"b\"}", "{\"text\":\"a\\\"b\",\"blob\":\"+/8=\"}");
    expect("{\"textMap\":{\"a\":\"\"},\"boolMap\":{\"true\":0.5},\"childMap\":{\"-1\":{}}}",
           "{\"textMap\":{\"a\":\"\"},\"boolMap\":{\"true\":0.5},\"childMap\":{\"-1\":{}}}");
    expect("{\"int64Field\":\"-9223372036854775808\",\"uint64Field\":\"18446744073709551615\"}",
           "{\"int64Field\":\"-9223372036854775808\",\"uint64Field\":\"18446744073709551615\"}");
}

/* Of what has a presence of its own, the default is written; of the rest it is left out. */
static void test_presence(void **state)
{
    (void)state;
    expect("{\"int32Field\":0,\"text\":\"\",\"blob\":\"\",\"textList\":[],\"textMap\":{}}", "{}");
    expect("{\"number\":0,\"maybeNumber\":0,\"maybeText\":\"\",\"child\":{}}",
           "{\"child\":{},\"number\":0,\"maybeNumber\":0,\"maybeText\":\"\"}");
    expect("{\"text\":null,\"left\":null,\"child\":null,\"textMap\":null,\"number\":1}",
           "{\"number\":1}");
}

static void test_refusals_name_the_place(void **state)
{
    (void)state;
    expect_refused("{\"child\":{\"textList\":[\"a\",7]}}", "child.textList[1]: not a text");
    expect_refused("{\"childList\":[{},{\"x\":1}]}",
                   "childList[1].x: no such field in kinds.Everything");
    expect_refused("{\"childMap\":{\"7\":{\"blob\":\"?\"}}}", "childMap.7.blob: not base64");
    expect_refused("{\"left\":\"a\",\"raw\":\"\"}",
                   "raw: another field of the same oneof is set, too");
    expect_refused("{\"text\":\"a\",\"int32Field\":1,\"int32_field\":1}",
                   "int32_field: given twice, under both its names");
    expect_refused("{\"int32Map\":{\"07\":\"\"}}",
                   "int32Map.07: not a whole number from -2147483648 to 2147483647");
    expect_refused("{\"int64Field\":\"-0\"}", "int64Field: not a whole number of 64 bits");
    expect_refused("[]", "not an object, as kinds.Everything is written");
}

static void test_a_text_that_is_not_utf8(void **state)
{
    (void)state;
    Kinds__Everything message = KINDS__EVERYTHING__INIT;
    Kinds__Everything child = KINDS__EVERYTHING__INIT;
    char bad[] = "a\xff";
    child.text = bad;
    message.child = &child;
    assert_null(message_to_json(&message.base, problem));
    assert_string_equal(problem, "child.text: not valid UTF-8");
}

static void test_only_maps_are_maps(void **state)
{
    (void)state;
    size_t maps = 0;
    for (unsigned i = 0; i < kinds__everything__descriptor.n_fields; i++) {
        const ProtobufCFieldDescriptor *field = &kinds__everything__descriptor.fields[i];
        const bool is_map = field_is_map(&kinds__everything__descriptor, field);
        const char *end = strrchr(field->name, '_');
        assert_int_equal(is_map, end != NULL && strcmp(end, "_map") == 0);
        maps += is_map;
    }
    assert_int_equal(maps, 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_kind),
        cmocka_unit_test(test_presence),
        cmocka_unit_test(test_refusals_name_the_place),
        cmocka_unit_test(test_a_text_that_is_not_utf8),
        cmocka_unit_test(test_only_maps_are_maps),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
