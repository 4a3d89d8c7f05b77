/* SPDX-License-Identifier: Apache-2.0 */
#include "untrusted.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <kinds.pb-c.h>

#define CHILD 0x8a, 0x01 /* field 17, of a length */
#define SIZE  ((size_t)4 << 20)

static uint8_t bytes[SIZE];

static ProtobufCMessage *unpack(const uint8_t *at, size_t length)
{
    return untrusted_unpack(&kinds__everything__descriptor, at, length);
}

/* A message with so many messages in each other, at the end of `bytes`. */
static size_t nest(unsigned depth)
{
    size_t length = 0;
    for (unsigned i = 0; i < depth; i++) {
        uint8_t head[12] = {CHILD};
        size_t used = 2;
        for (size_t left = length; used == 2 || left > 0; left >>= 7) {
            head[used++] = (uint8_t)((left & 0x7f) | (left > 0x7f ? 0x80 : 0));
        }
        length += used;
        assert_true(length <= SIZE);
        memcpy(bytes + SIZE - length, head, used);
    }
    return length;
}

static void test_depth(void **state)
{
    (void)state;
    size_t length = nest(UNTRUSTED_DEPTH_MAX);
    ProtobufCMessage *message = unpack(bytes + SIZE - length, length);
    assert_non_null(message);
    protobuf_c_message_free_unpacked(message, NULL);
    length = nest(UNTRUSTED_DEPTH_MAX + 1);
    assert_null(unpack(bytes + SIZE - length, length));
    length = nest(100000); /* more than the stack would take */
    assert_null(unpack(bytes + SIZE - length, length));
}

/* Two bytes each, which become a struct of hundreds. */
static void test_memory(void **state)
{
    (void)state;
    for (size_t i = 0; i < SIZE / 3 * 3; i += 3) {
        memcpy(bytes + i, (const uint8_t[]){0xd2, 0x01, 0x00}, 3); /* child_list: {} */
    }
    assert_null(unpack(bytes, SIZE / 3 * 3));
    ProtobufCMessage *message = unpack(bytes, 3000);
    assert_non_null(message);
    assert_int_equal(((Kinds__Everything *)message)->n_child_list, 1000);
    protobuf_c_message_free_unpacked(message, NULL);
}

static void test_what_is_malformed(void **state)
{
    static const struct {
        uint8_t bytes[12];
        size_t length;
    } cases[] = {
        {{0x08}, 1},            /* no value */
        {{0x80}, 1},            /* half a tag */
        {{0x08, 0x80}, 2},      /* half a number */
        {{0x7a, 0x02, 'a'}, 3}, /* half a text */
        {{0x4d, 1, 2, 3}, 4},   /* half of 32 bits */
        {{0x61, 1, 2, 3, 4, 5, 6, 7}, 8},
        {{CHILD, 0x02, 0x7a, 0x01}, 5}, /* half a text in a child */
        {{0x0b, 0x0c}, 2},              /* a group */
        {{0x08, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, 11},
        {{0x7a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01}, 11},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_null(unpack(cases[i].bytes, cases[i].length));
    }
}

static void test_what_is_good(void **state)
{
    static const uint8_t good[] = {
        0x08, 0x07,  0x7a, 0x01, 'a',  0x4d, 1,    0,   0,
        0,    CHILD, 0x02, 0x08, 0x02, 0xf8, 0x7f, 0x01}; /* and a field that nobody knows */
    (void)state;
    Kinds__Everything *message = (Kinds__Everything *)unpack(good, sizeof(good));
    assert_non_null(message);
    assert_int_equal(message->int32_field, 7);
    assert_string_equal(message->text, "a");
    assert_int_equal(message->child->int32_field, 2);
    protobuf_c_message_free_unpacked(&message->base, NULL);
    ProtobufCMessage *empty = unpack(NULL, 0);
    assert_non_null(empty);
    protobuf_c_message_free_unpacked(empty, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_depth),
        cmocka_unit_test(test_memory),
        cmocka_unit_test(test_what_is_malformed),
        cmocka_unit_test(test_what_is_good),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
