/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/ttrpc_message.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <holdfast/v1/locks.pb-c.h>
#include <ttrpc/ttrpc.pb-c.h>

#include "base/compiler.h"

struct fixture {
    struct arena arena;
    char problem[MESSAGE_PROBLEM_SIZE];
};

static int set_up(void **state)
{
    struct fixture *fixture = calloc(1, sizeof(*fixture));
    arena_init(&fixture->arena, 65536);
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

static struct ttrpc_request unpack(struct fixture *fixture, const Ttrpc__Request *request)
{
    uint8_t bytes[512];
    struct ttrpc_request unpacked;
    assert_true(ttrpc__request__get_packed_size(request) <= sizeof(bytes));
    size_t length = ttrpc__request__pack(request, bytes);
    assert_true(ttrpc_request_unpack(&unpacked, bytes, length, &fixture->arena, fixture->problem));
    memset(bytes, 0xee, sizeof(bytes)); /* the result must not point into them */
    return unpacked;
}

static void a_request_unpacks(void **state)
{
    uint8_t payload[] = {1, 0, 2};
    Ttrpc__Request request = TTRPC__REQUEST__INIT;
    request.service = (char[]){"holdfast.v1.Locks"};
    request.method = (char[]){"Acquire"};
    request.payload = (ProtobufCBinaryData){.len = sizeof(payload), .data = payload};
    request.timeout_nano = 5000;
    struct ttrpc_request unpacked = unpack(*state, &request);
    assert_string_equal(unpacked.service, "holdfast.v1.Locks");
    assert_string_equal(unpacked.method, "Acquire");
    assert_int_equal(unpacked.payload_length, 3);
    assert_memory_equal(unpacked.payload, ((uint8_t[]){1, 0, 2}), 3);
    assert_int_equal(unpacked.timeout_us, 5);
}

static void an_empty_request_has_empty_names(void **state)
{
    struct fixture *fixture = *state;
    struct ttrpc_request unpacked;
    assert_true(ttrpc_request_unpack(&unpacked, NULL, 0, &fixture->arena, fixture->problem));
    assert_string_equal(unpacked.service, "");
    assert_string_equal(unpacked.method, "");
    assert_int_equal(unpacked.payload_length, 0);
    assert_int_equal(unpacked.timeout_us, 0);
}

/* Neither a short wait nor one that has passed may become "for ever". */
static void timeouts_round_away_from_zero(void **state)
{
    static const struct {
        int64_t nanoseconds;
        int64_t microseconds;
    } samples[] = {{0, 0},
                   {1, 1},
                   {999, 1},
                   {1000, 1},
                   {1001, 2},
                   {-1, -1},
                   {-1000, -1},
                   {-1001, -2},
                   {INT64_MAX, INT64_MAX / 1000 + 1},
                   {INT64_MIN, INT64_MIN / 1000 - 1}};
    for (size_t i = 0; i < COUNT_OF(samples); i++) {
        Ttrpc__Request request = TTRPC__REQUEST__INIT;
        request.timeout_nano = samples[i].nanoseconds;
        assert_int_equal(unpack(*state, &request).timeout_us, samples[i].microseconds);
    }
}

static void metadata_is_ignored(void **state)
{
    Ttrpc__KeyValue pair = TTRPC__KEY_VALUE__INIT;
    Ttrpc__KeyValue *pairs[] = {&pair, &pair};
    Ttrpc__Request request = TTRPC__REQUEST__INIT;
    pair.key = (char[]){"trace"};
    pair.value = (char[]){"1234"};
    request.n_metadata = COUNT_OF(pairs);
    request.metadata = pairs;
    request.method = (char[]){"Acquire"};
    assert_string_equal(unpack(*state, &request).method, "Acquire");
}

static void broken_requests_name_the_field(void **state)
{
    static const struct {
        const char *bytes;
        size_t length;
        const char *problem;
    } samples[] = {
        {"\x0a\x02\xc3\x28", 4, "service: not valid UTF-8"},
        {"\x12\x03"
         "a\0b",
         5, "method: contains a NUL character"},
        {"\x1a\x05hi", 4, "payload: the length passes the end of the message"},
        {"\x2a\x03\x0a\x01\xff", 5, "metadata.key: not valid UTF-8"},
        {"\x20\x80", 2, "timeout_nano: a number is cut short or too long"},
    };
    struct fixture *fixture = *state;
    struct ttrpc_request unpacked;
    for (size_t i = 0; i < COUNT_OF(samples); i++) {
        assert_false(ttrpc_request_unpack(&unpacked, (const uint8_t *)samples[i].bytes,
                                          samples[i].length, &fixture->arena, fixture->problem));
        assert_string_equal(fixture->problem, samples[i].problem);
    }
}

static Ttrpc__Response *round_trip(const struct ttrpc_response *response)
{
    size_t size = ttrpc_response_size(response);
    uint8_t *bytes = malloc(size + 1);
    bytes[size] = 0xee;
    assert_int_equal(ttrpc_response_pack(response, bytes), size);
    assert_int_equal(bytes[size], 0xee);
    Ttrpc__Response *unpacked = ttrpc__response__unpack(NULL, size, bytes);
    assert_non_null(unpacked);
    free(bytes);
    return unpacked;
}

/* Labels of these lengths make replies that are packed on the stack, at its edge, and beyond. */
static void a_reply_packs(void **state)
{
    static const size_t lengths[] = {0, 1, 100, 1000, 1018, 1019, 1020, 1021, 1022, 5000, 100000};
    (void)state;
    for (size_t i = 0; i < COUNT_OF(lengths); i++) {
        Holdfast__V1__Holder holder = HOLDFAST__V1__HOLDER__INIT;
        holder.label = malloc(lengths[i] + 1);
        memset(holder.label, 'x', lengths[i]);
        holder.label[lengths[i]] = '\0';
        Ttrpc__Response *response = round_trip(&(struct ttrpc_response){.reply = &holder.base});
        assert_null(response->status);
        Holdfast__V1__Holder *reply =
            holdfast__v1__holder__unpack(NULL, response->payload.len, response->payload.data);
        assert_non_null(reply);
        assert_string_equal(reply->label, holder.label);
        holdfast__v1__holder__free_unpacked(reply, NULL);
        ttrpc__response__free_unpacked(response, NULL);
        free(holder.label);
    }
}

static void a_failure_packs(void **state)
{
    (void)state;
    Ttrpc__Response *response = round_trip(
        &(struct ttrpc_response){.status = STATUS_NOT_FOUND, .text = "no such thing; make one"});
    assert_int_equal(response->status->code, STATUS_NOT_FOUND);
    assert_string_equal(response->status->message, "no such thing; make one");
    assert_int_equal(response->payload.len, 0);
    ttrpc__response__free_unpacked(response, NULL);
}

static void success_without_a_reply_is_empty(void **state)
{
    (void)state;
    assert_int_equal(ttrpc_response_size(&(struct ttrpc_response){.text = ""}), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_request_unpacks, set_up, tear_down),
        cmocka_unit_test_setup_teardown(an_empty_request_has_empty_names, set_up, tear_down),
        cmocka_unit_test_setup_teardown(timeouts_round_away_from_zero, set_up, tear_down),
        cmocka_unit_test_setup_teardown(metadata_is_ignored, set_up, tear_down),
        cmocka_unit_test_setup_teardown(broken_requests_name_the_field, set_up, tear_down),
        cmocka_unit_test(a_reply_packs),
        cmocka_unit_test(a_failure_packs),
        cmocka_unit_test(success_without_a_reply_is_empty),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
