/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/message.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/compiler.h"
#include "sample.pb-c.h"

#define ARENA_LIMIT ((size_t)4 * 1024 * 1024)

struct fixture {
    struct arena arena;
    char problem[MESSAGE_PROBLEM_SIZE];
};

/* Bytes under construction. */
struct builder {
    uint8_t *bytes;
    size_t length;
};

static int set_up(void **state)
{
    struct fixture *fixture = calloc(1, sizeof(*fixture));
    arena_init(&fixture->arena, ARENA_LIMIT);
    *state = fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    arena_release(&fixture->arena);
    free(fixture);
    return 0;
}

/* A copy of exactly this size, so that a sanitizer sees every byte read past the end. */
static const Sample__Everything *unpack(struct fixture *fixture, const void *bytes, size_t length)
{
    uint8_t *exact = malloc(length == 0 ? 1 : length);
    memcpy(exact, bytes, length);
    memset(fixture->problem, 0, sizeof(fixture->problem));
    ProtobufCMessage *message = message_unpack(&sample__everything__descriptor, exact, length,
                                               &fixture->arena, fixture->problem);
    free(exact);
    assert_true((message == NULL) == (fixture->problem[0] != '\0'));
    return (const Sample__Everything *)(const void *)message;
}

#define UNPACK(fixture, literal) unpack((fixture), (literal), sizeof(literal) - 1)

#define ASSERT_REFUSED(fixture, literal, expected)                                                 \
    do {                                                                                           \
        assert_null(UNPACK(fixture, literal));                                                     \
        assert_string_equal((fixture)->problem, expected);                                         \
    } while (0)

static void add(struct builder *builder, const void *bytes, size_t length)
{
    builder->bytes = realloc(builder->bytes, builder->length + length);
    memcpy(builder->bytes + builder->length, bytes, length);
    builder->length += length;
}

static void add_varint(struct builder *builder, uint64_t value)
{
    while (value >= 0x80) {
        uint8_t byte = (uint8_t)(value | 0x80);
        add(builder, &byte, 1);
        value >>= 7;
    }
    uint8_t last = (uint8_t)value;
    add(builder, &last, 1);
}

/* Wraps what is built into a field that is itself a message. */
static void wrap(struct builder *builder, uint32_t number)
{
    struct builder outer = {0};
    add_varint(&outer, number << 3 | 2);
    add_varint(&outer, builder->length);
    if (builder->length > 0) {
        add(&outer, builder->bytes, builder->length);
    }
    free(builder->bytes);
    *builder = outer;
}

static void nothing_is_an_empty_message(void **state)
{
    const Sample__Everything *message = UNPACK(*state, "");
    assert_non_null(message);
    assert_string_equal(message->text, "");
    assert_null(message->child);
}

static void fill(Sample__Everything *message, Sample__Everything *child)
{
    static uint32_t numbers[] = {0, 127, 128, UINT32_MAX};
    static uint64_t fixed[] = {1, UINT64_MAX};
    static char first[] = "a";
    static char second[] = "\xf0\x9f\x94\x92";
    static char *texts[] = {first, second};
    static uint8_t blob[] = {0, 0xff, 0};
    message->int32_field = INT32_MIN;
    message->sint32_field = INT32_MIN;
    message->uint32_field = UINT32_MAX;
    message->int64_field = INT64_MIN;
    message->sint64_field = INT64_MAX;
    message->uint64_field = UINT64_MAX;
    message->bool_field = 1;
    message->colour_field = SAMPLE__COLOUR__COLOUR_RED;
    message->fixed32_field = 1;
    message->sfixed32_field = -1;
    message->float_field = 1.5F;
    message->fixed64_field = 2;
    message->sfixed64_field = -2;
    message->double_field = 2.5;
    message->text = second;
    message->blob = (ProtobufCBinaryData){.len = sizeof(blob), .data = blob};
    message->child = child;
    message->n_numbers = COUNT_OF(numbers);
    message->numbers = numbers;
    message->n_fixed_numbers = COUNT_OF(fixed);
    message->fixed_numbers = fixed;
    message->n_texts = COUNT_OF(texts);
    message->texts = texts;
}

static void every_kind_of_field_survives(void **state)
{
    uint8_t bytes[1024];
    uint8_t again[1024];
    Sample__Everything child = SAMPLE__EVERYTHING__INIT;
    Sample__Everything message = SAMPLE__EVERYTHING__INIT;
    child.choice_case = SAMPLE__EVERYTHING__CHOICE_LEFT;
    child.left = (char[]){"left"};
    fill(&message, &child);
    size_t length = sample__everything__pack(&message, bytes);
    const Sample__Everything *unpacked = unpack(*state, bytes, length);
    assert_non_null(unpacked);
    assert_int_equal(sample__everything__pack(unpacked, again), length);
    assert_memory_equal(again, bytes, length);
}

/* Whatever is cut off, nothing is read past the end: a sanitizer sees to that. */
static void every_cut_is_refused_or_a_shorter_message(void **state)
{
    struct fixture *fixture = *state;
    uint8_t bytes[1024];
    Sample__Everything child = SAMPLE__EVERYTHING__INIT;
    Sample__Everything message = SAMPLE__EVERYTHING__INIT;
    size_t refused = 0;
    fill(&message, &child);
    size_t length = sample__everything__pack(&message, bytes);
    for (size_t cut = 0; cut < length; cut++) {
        refused += unpack(fixture, bytes, cut) == NULL ? 1 : 0;
    }
    assert_true(refused > length / 2);
}

static void repeated_numbers_may_be_packed_or_not(void **state)
{
    const Sample__Everything *packed = UNPACK(*state, "\x92\x01\x03\x01\x80\x01");
    const Sample__Everything *unpacked = UNPACK(*state, "\x90\x01\x01\x90\x01\x80\x01");
    assert_int_equal(packed->n_numbers, 2);
    assert_int_equal(packed->numbers[1], 128);
    assert_int_equal(unpacked->n_numbers, 2);
    assert_int_equal(unpacked->numbers[1], 128);
    assert_int_equal(UNPACK(*state, "\x92\x01\x00")->n_numbers, 0);
}

static void broken_packed_numbers_are_refused(void **state)
{
    ASSERT_REFUSED((struct fixture *)*state, "\x92\x01\x02\x01\x80",
                   "numbers: a number is cut short or too long");
    ASSERT_REFUSED((struct fixture *)*state, "\x9a\x01\x07\x01\x02\x03\x04\x05\x06\x07",
                   "fixed_numbers: a 64-bit number is cut short");
}

static void strings_must_be_utf8(void **state)
{
    static const char *const broken[] = {
        "\xff",             /* no first byte */
        "\x80",             /* a continuation alone */
        "\xc3",             /* cut */
        "\xc3\x28",         /* not continued */
        "\xc0\xaf",         /* overlong */
        "\xe0\x80\xaf",     /* overlong */
        "\xf0\x80\x80\xaf", /* overlong */
        "\xed\xa0\x80",     /* a surrogate */
        "\xf4\x90\x80\x80", /* beyond Unicode */
        "ok\xfe",
    };
    for (size_t i = 0; i < COUNT_OF(broken); i++) {
        struct builder builder = {0};
        add(&builder, "\x7a", 1);
        add_varint(&builder, strlen(broken[i]));
        add(&builder, broken[i], strlen(broken[i]));
        assert_null(unpack(*state, builder.bytes, builder.length));
        assert_string_equal(((struct fixture *)*state)->problem, "text: not valid UTF-8");
        free(builder.bytes);
    }
}

/* The check works in pieces; a character may lie across their border. */
static void long_strings_are_checked_to_the_end(void **state)
{
    for (size_t lead = 250; lead < 262; lead++) {
        struct builder builder = {0};
        char text[600];
        memset(text, 'a', sizeof(text));
        memcpy(text + lead, "\xf0\x9f\x94\x92", 4);
        memcpy(text + sizeof(text) - 2, "\xc3\xa4", 2);
        add(&builder, "\x7a", 1);
        add_varint(&builder, sizeof(text));
        add(&builder, text, sizeof(text));
        assert_non_null(unpack(*state, builder.bytes, builder.length));
        builder.bytes[builder.length - 1] = 'x';
        assert_null(unpack(*state, builder.bytes, builder.length));
        free(builder.bytes);
    }
}

static void strings_must_not_contain_nul(void **state)
{
    struct fixture *fixture = *state;
    ASSERT_REFUSED(fixture, "\x7a\x03\x61\x00\x62", "text: contains a NUL character");
    ASSERT_REFUSED(fixture, "\x7a\x01\x00", "text: contains a NUL character");
    ASSERT_REFUSED(fixture, "\xa2\x01\x02\x61\x00", "texts: contains a NUL character");
    ASSERT_REFUSED(fixture, "\xb2\x01\x02\x00\x61", "left: contains a NUL character");
    ASSERT_REFUSED(fixture, "\xc2\x01\x03\x0a\x01\x00", "map_field.key: contains a NUL character");
    assert_non_null(UNPACK(fixture, "\x82\x01\x03\x61\x00\x62")); /* bytes may */
}

static void problems_name_the_way_to_the_field(void **state)
{
    struct fixture *fixture = *state;
    struct builder builder = {0};
    ASSERT_REFUSED(fixture, "\x8a\x01\x03\x7a\x01\xff", "child.text: not valid UTF-8");
    ASSERT_REFUSED(fixture, "\xba\x01\x03\x7a\x01\xff", "right.text: not valid UTF-8");
    add(&builder, "\x7a\x01\xff", 3);
    for (int i = 0; i < 10; i++) {
        wrap(&builder, 17);
    }
    assert_null(unpack(fixture, builder.bytes, builder.length));
    assert_string_equal(fixture->problem, "...child.child.text: not valid UTF-8");
    free(builder.bytes);
}

static void lengths_past_the_end_are_refused(void **state)
{
    struct fixture *fixture = *state;
    const char *problem = "text: the length passes the end of the message";
    ASSERT_REFUSED(fixture, "\x7a", problem);
    ASSERT_REFUSED(fixture, "\x7a\x01", problem);
    ASSERT_REFUSED(fixture, "\x7a\x7fhello", problem);
    ASSERT_REFUSED(fixture, "\x7a\xff\xff\xff\xff\x0f", problem);      /* 4 GiB - 1 */
    ASSERT_REFUSED(fixture, "\x7a\xff\xff\xff\xff\x7f", problem);      /* beyond 32 bits */
    ASSERT_REFUSED(fixture, "\x7a\x81\x80\x80\x80\x80\x00q", problem); /* 1, in six bytes */
    ASSERT_REFUSED(fixture, "\x8a\x01\x05\x7a\x01",
                   "child: the length passes the end of the message");
}

static void an_inner_length_cannot_reach_out_of_its_message(void **state)
{
    ASSERT_REFUSED((struct fixture *)*state, "\x8a\x01\x03\x7a\x04\x61\x61\x61\x61",
                   "child.text: the length passes the end of the message");
}

static void varints_have_at_most_ten_bytes(void **state)
{
    struct fixture *fixture = *state;
    const char *problem = "uint64_field: a number is cut short or too long";
    assert_true(UNPACK(fixture, "\x30\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01")->uint64_field ==
                UINT64_MAX);
    assert_int_equal(UNPACK(fixture, "\x30\x81\x80\x80\x80\x80\x80\x80\x80\x80\x00")->uint64_field,
                     1);
    ASSERT_REFUSED(fixture, "\x30\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02", problem);
    ASSERT_REFUSED(fixture, "\x30\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01", problem);
    ASSERT_REFUSED(fixture, "\x30", problem);
    ASSERT_REFUSED(fixture, "\x30\x80", problem);
}

static void broken_tags_are_refused(void **state)
{
    struct fixture *fixture = *state;
    const char *problem = "message: a field's tag is cut short or too long";
    ASSERT_REFUSED(fixture, "\x80", problem);
    ASSERT_REFUSED(fixture, "\xff\xff\xff\xff\x7f\x01", problem);
    ASSERT_REFUSED(fixture, "\xb0\x80\x80\x80\x80\x00\x01", problem);
    ASSERT_REFUSED(fixture, "\x00\x01", "message: field number 0 does not exist");
    ASSERT_REFUSED(fixture, "\x02\x01q", "message: field number 0 does not exist");
}

static void the_wrong_wire_type_is_refused(void **state)
{
    struct fixture *fixture = *state;
    ASSERT_REFUSED(fixture, "\x0a\x01\x01",
                   "int32_field: has the wire type of another kind of field");
    ASSERT_REFUSED(fixture, "\x78\x01", "text: has the wire type of another kind of field");
    ASSERT_REFUSED(fixture, "\x88\x01\x01", "child: has the wire type of another kind of field");
    ASSERT_REFUSED(fixture, "\x48\x01",
                   "fixed32_field: has the wire type of another kind of field");
    ASSERT_REFUSED(fixture, "\x65\x01\x02\x03\x04",
                   "fixed64_field: has the wire type of another kind of field");
    ASSERT_REFUSED(fixture, "\xa0\x01\x01", "texts: has the wire type of another kind of field");
}

static void groups_and_unknown_wire_types_are_refused(void **state)
{
    struct fixture *fixture = *state;
    const char *problem = "message: groups and unknown wire types are not supported";
    ASSERT_REFUSED(fixture, "\xa3\x06\xa4\x06", problem);
    ASSERT_REFUSED(fixture, "\xa4\x06", problem);
    ASSERT_REFUSED(fixture, "\xa6\x06", problem);
    ASSERT_REFUSED(fixture, "\xa7\x06", problem);
    ASSERT_REFUSED(fixture, "\x0b\x0c", "int32_field: has the wire type of another kind of field");
}

static void unknown_fields_are_skipped(void **state)
{
    const Sample__Everything *message = UNPACK(*state, "\xa0\x06\x01"
                                                       "\xa1\x06\x01\x02\x03\x04\x05\x06\x07\x08"
                                                       "\xa2\x06\x03"
                                                       "a\0b"
                                                       "\xa5\x06\x01\x02\x03\x04"
                                                       "\x7a\x02ok");
    assert_non_null(message);
    assert_string_equal(message->text, "ok");
}

static void broken_unknown_fields_are_refused(void **state)
{
    struct fixture *fixture = *state;
    ASSERT_REFUSED(fixture, "\xa0\x06\x80", "message: a number is cut short or too long");
    ASSERT_REFUSED(fixture, "\xa1\x06\x01", "message: a 64-bit number is cut short");
    ASSERT_REFUSED(fixture, "\xa5\x06\x01", "message: a 32-bit number is cut short");
    ASSERT_REFUSED(fixture, "\xa2\x06\x05q", "message: the length passes the end of the message");
}

static void depth_has_its_limit(void **state)
{
    struct fixture *fixture = *state;
    struct builder builder = {0};
    for (int depth = 2; depth <= MESSAGE_DEPTH_MAX; depth++) {
        wrap(&builder, 17);
    }
    assert_non_null(unpack(fixture, builder.bytes, builder.length));
    wrap(&builder, 17);
    assert_null(unpack(fixture, builder.bytes, builder.length));
    assert_string_equal(fixture->problem,
                        "...child.child.child: messages are nested too deep; the limit is 32");
    for (int i = 0; i < 5000; i++) {
        wrap(&builder, 21);
    }
    assert_null(unpack(fixture, builder.bytes, builder.length));
    free(builder.bytes);
}

static void fill_elements(struct builder *builder, const char *element, size_t size, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        add(builder, element, size);
    }
}

/* Known scalars, unknown ones, empty messages, and packed numbers. */
static void elements_have_their_limit(void **state)
{
    static const struct {
        const char *element;
        size_t size;
    } samples[] = {{"\x18\x01", 2}, {"\xa0\x06\x01", 3}, {"\xaa\x01\x00", 3}, {"\xa2\x01\x00", 3}};
    struct fixture *fixture = *state;
    for (size_t i = 0; i < COUNT_OF(samples); i++) {
        struct builder builder = {0};
        fill_elements(&builder, samples[i].element, samples[i].size, MESSAGE_ELEMENTS_MAX);
        assert_non_null(unpack(fixture, builder.bytes, builder.length));
        arena_release(&fixture->arena);
        fill_elements(&builder, samples[i].element, samples[i].size, 1);
        assert_null(unpack(fixture, builder.bytes, builder.length));
        assert_non_null(strstr(fixture->problem, "too many fields; the limit is 4096"));
        free(builder.bytes);
    }
}

static void packed_elements_count(void **state)
{
    struct fixture *fixture = *state;
    struct builder builder = {0};
    fill_elements(&builder, "\x01", 1, MESSAGE_ELEMENTS_MAX - 1);
    wrap(&builder, 18);
    assert_non_null(unpack(fixture, builder.bytes, builder.length));
    add(&builder, "\x18\x01", 2);
    assert_null(unpack(fixture, builder.bytes, builder.length));
    free(builder.bytes);
}

static void elements_of_all_levels_count_together(void **state)
{
    struct fixture *fixture = *state;
    struct builder builder = {0};
    fill_elements(&builder, "\x18\x01", 2, MESSAGE_ELEMENTS_MAX - 1);
    wrap(&builder, 17);
    assert_non_null(unpack(fixture, builder.bytes, builder.length));
    wrap(&builder, 17);
    assert_null(unpack(fixture, builder.bytes, builder.length));
    free(builder.bytes);
}

static void a_full_arena_is_a_refusal(void **state)
{
    struct fixture *fixture = *state;
    struct builder builder = {0};
    fill_elements(&builder, "\xaa\x01\x00", 3, 1000);
    arena_release(&fixture->arena);
    for (size_t limit = 0; limit < 100000; limit += 5000) {
        arena_init(&fixture->arena, limit);
        assert_null(unpack(fixture, builder.bytes, builder.length));
        assert_true(fixture->arena.used <= limit);
        assert_non_null(strstr(fixture->problem, "too large"));
        arena_release(&fixture->arena);
    }
    free(builder.bytes);
}

/* protobuf-c cannot merge every field that stands twice; whatever it makes of them, we survive. */
static void fields_that_stand_twice(void **state)
{
    const Sample__Everything *message = UNPACK(*state, "\x7a\x01\x61\x7a\x01\x62");
    assert_non_null(message);
    assert_string_equal(message->text, "b");
    UNPACK(*state, "\x8a\x01\x00\x8a\x01\x00");
    UNPACK(*state, "\xba\x01\x00\xb2\x01\x01q\xba\x01\x02\x18\x05");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(nothing_is_an_empty_message, set_up, tear_down),
        cmocka_unit_test_setup_teardown(every_kind_of_field_survives, set_up, tear_down),
        cmocka_unit_test_setup_teardown(every_cut_is_refused_or_a_shorter_message, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(repeated_numbers_may_be_packed_or_not, set_up, tear_down),
        cmocka_unit_test_setup_teardown(broken_packed_numbers_are_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(strings_must_be_utf8, set_up, tear_down),
        cmocka_unit_test_setup_teardown(long_strings_are_checked_to_the_end, set_up, tear_down),
        cmocka_unit_test_setup_teardown(strings_must_not_contain_nul, set_up, tear_down),
        cmocka_unit_test_setup_teardown(problems_name_the_way_to_the_field, set_up, tear_down),
        cmocka_unit_test_setup_teardown(lengths_past_the_end_are_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(an_inner_length_cannot_reach_out_of_its_message, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(varints_have_at_most_ten_bytes, set_up, tear_down),
        cmocka_unit_test_setup_teardown(broken_tags_are_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_wrong_wire_type_is_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(groups_and_unknown_wire_types_are_refused, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(unknown_fields_are_skipped, set_up, tear_down),
        cmocka_unit_test_setup_teardown(broken_unknown_fields_are_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(depth_has_its_limit, set_up, tear_down),
        cmocka_unit_test_setup_teardown(elements_have_their_limit, set_up, tear_down),
        cmocka_unit_test_setup_teardown(packed_elements_count, set_up, tear_down),
        cmocka_unit_test_setup_teardown(elements_of_all_levels_count_together, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_full_arena_is_a_refusal, set_up, tear_down),
        cmocka_unit_test_setup_teardown(fields_that_stand_twice, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
