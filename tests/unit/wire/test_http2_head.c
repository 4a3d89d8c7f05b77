/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/http2_head.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/compiler.h"

static void give(struct http2_head *head, const char *name, const char *value)
{
    http2_head_field(head, name, strlen(name), value, strlen(value));
}

static void begin(struct http2_head *head)
{
    http2_head_begin(head, true);
    give(head, ":method", "POST");
    give(head, ":scheme", "http");
    give(head, ":path", "/holdfast.v1.Locks/Acquire");
}

/* Whether a request is well formed that has this field, too. */
static bool is_fit(const char *name, const char *value)
{
    struct http2_head head;
    begin(&head);
    give(&head, name, value);
    return http2_head_is_well_formed(&head);
}

static void an_authority_may_hold_anything(void **state)
{
    (void)state;
    assert_true(is_fit(":authority", "localhost:7420"));
    assert_true(is_fit(":authority", "/run/holdfast.sock"));
    assert_true(is_fit(":authority", "%2Frun%2Fholdfast.sock"));
    assert_true(is_fit(":authority", ""));
    assert_false(is_fit(":authority", "a\nb"));
}

static void what_is_usual_is_well_formed(void **state)
{
    (void)state;
    assert_true(is_fit("te", "trailers"));
    assert_true(is_fit("content-length", "12"));
    assert_true(is_fit("user-agent", "grpc-go/1.0 (\xc3\xa9)"));
    assert_true(is_fit("x_1.y-z", ""));
}

static void pseudo_fields_are_complete(void **state)
{
    static const char *const names[] = {":method", ":scheme", ":path"};
    struct http2_head head;
    (void)state;
    for (size_t left_out = 0; left_out < COUNT_OF(names); left_out++) {
        http2_head_begin(&head, true);
        for (size_t i = 0; i < COUNT_OF(names); i++) {
            if (i != left_out) {
                give(&head, names[i], "x");
            }
        }
        assert_false(http2_head_is_well_formed(&head));
        give(&head, names[left_out], "x");
        assert_true(http2_head_is_well_formed(&head));
    }
}

static void pseudo_fields_are_known_come_once_and_first(void **state)
{
    struct http2_head head;
    (void)state;
    assert_false(is_fit(":unknown", "x"));
    assert_false(is_fit(":protocol", "x"));
    assert_false(is_fit(":", "x"));
    assert_false(is_fit(":path", "/again"));
    begin(&head);
    give(&head, "te", "trailers");
    give(&head, ":authority", "late");
    assert_false(http2_head_is_well_formed(&head));
    http2_head_begin(&head, true);
    give(&head, ":method", "POST");
    give(&head, ":scheme", "http");
    give(&head, ":path", "");
    assert_false(http2_head_is_well_formed(&head));
}

static void fields_of_the_connection_are_none_of_a_request(void **state)
{
    (void)state;
    assert_false(is_fit("connection", "close"));
    assert_false(is_fit("keep-alive", "1"));
    assert_false(is_fit("proxy-connection", "x"));
    assert_false(is_fit("transfer-encoding", "chunked"));
    assert_false(is_fit("upgrade", "h2c"));
    assert_false(is_fit("te", "gzip"));
    assert_false(is_fit("te", ""));
}

static void lengths_are_numbers(void **state)
{
    struct http2_head head;
    (void)state;
    assert_false(is_fit("content-length", ""));
    assert_false(is_fit("content-length", "-1"));
    assert_false(is_fit("content-length", "12x"));
    begin(&head);
    give(&head, "content-length", "12");
    give(&head, "content-length", "12");
    assert_false(http2_head_is_well_formed(&head));
}

static void names_are_tokens_in_lower_case(void **state)
{
    static const char with_zero[] = "a\0b";
    struct http2_head head;
    (void)state;
    assert_false(is_fit("Upper", "x"));
    assert_false(is_fit("bad name", "x"));
    assert_false(is_fit("", "x"));
    assert_false(is_fit("a:b", "x"));
    assert_false(is_fit("\xc3\xa9", "x"));
    begin(&head);
    http2_head_field(&head, with_zero, sizeof(with_zero) - 1, "x", 1);
    assert_false(http2_head_is_well_formed(&head));
}

static void values_hold_no_line_ends(void **state)
{
    static const char with_zero[] = "a\0b";
    struct http2_head head;
    (void)state;
    assert_true(is_fit("x", "a \t b"));
    assert_false(is_fit("x", "a\nb"));
    assert_false(is_fit("x", "a\rb"));
    assert_false(is_fit("x", "a\x7f"));
    assert_false(is_fit("x", " a"));
    assert_false(is_fit("x", "a\t"));
    begin(&head);
    http2_head_field(&head, "x", 1, with_zero, sizeof(with_zero) - 1);
    assert_false(http2_head_is_well_formed(&head));
}

static void trailers_have_no_pseudo_fields(void **state)
{
    struct http2_head head;
    (void)state;
    http2_head_begin(&head, false);
    give(&head, "x", "y");
    assert_true(http2_head_is_well_formed(&head));
    http2_head_begin(&head, false);
    give(&head, ":path", "/x");
    assert_false(http2_head_is_well_formed(&head));
}

static void what_was_malformed_stays_so(void **state)
{
    struct http2_head head;
    (void)state;
    begin(&head);
    give(&head, "Upper", "x");
    give(&head, "lower", "x");
    assert_false(http2_head_is_well_formed(&head));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_authority_may_hold_anything),
        cmocka_unit_test(what_is_usual_is_well_formed),
        cmocka_unit_test(pseudo_fields_are_complete),
        cmocka_unit_test(pseudo_fields_are_known_come_once_and_first),
        cmocka_unit_test(fields_of_the_connection_are_none_of_a_request),
        cmocka_unit_test(lengths_are_numbers),
        cmocka_unit_test(names_are_tokens_in_lower_case),
        cmocka_unit_test(values_hold_no_line_ends),
        cmocka_unit_test(trailers_have_no_pseudo_fields),
        cmocka_unit_test(what_was_malformed_stays_so),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
