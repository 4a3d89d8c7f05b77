/* SPDX-License-Identifier: Apache-2.0 */
#include "fake_call.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/memory.h"

#define ARENA_LIMIT ((size_t)1 << 20)

static ProtobufCMessage *copy_message(const ProtobufCMessage *message)
{
    size_t size = protobuf_c_message_get_packed_size(message);
    uint8_t *bytes = memory_alloc(size + 1);
    protobuf_c_message_pack(message, bytes);
    ProtobufCMessage *copy = protobuf_c_message_unpack(message->descriptor, NULL, size, bytes);
    memory_free(bytes);
    assert_non_null(copy);
    return copy;
}

static void on_send(struct call *base, const ProtobufCMessage *message)
{
    struct fake_call *call = CONTAINER_OF(base, struct fake_call, call);
    assert_false(call->is_ended);
    assert_in_range(call->event_count, 0, FAKE_EVENTS_MAX - 1);
    call->events[call->event_count++] = copy_message(message);
}

static void on_finish(struct call *base, const ProtobufCMessage *reply, enum status status,
                      const char *text)
{
    struct fake_call *call = CONTAINER_OF(base, struct fake_call, call);
    assert_false(call->is_ended);
    call->is_ended = true;
    call->status = status;
    snprintf(call->text, sizeof(call->text), "%s", text);
    call->reply = reply == NULL ? NULL : copy_message(reply);
    session_forget_call(base);
}

static const struct call_transport transport = {.send = on_send, .finish = on_finish};

struct fake_call *fake_call_create(void)
{
    struct fake_call *call = memory_alloc(sizeof(*call));
    call_init(&call->call, &transport, ARENA_LIMIT);
    return call;
}

void fake_call_destroy(struct fake_call *call)
{
    assert_true(call->call.is_finished);
    if (call->reply != NULL) {
        protobuf_c_message_free_unpacked(call->reply, NULL);
    }
    for (size_t i = 0; i < call->event_count; i++) {
        protobuf_c_message_free_unpacked(call->events[i], NULL);
    }
    call_release(&call->call);
    memory_free(call);
}

void fake_call_message(struct fake_call *call, const ProtobufCMessage *message)
{
    size_t size = protobuf_c_message_get_packed_size(message);
    uint8_t *bytes = memory_alloc(size + 1);
    protobuf_c_message_pack(message, bytes);
    session_message(&call->call, bytes, size);
    memory_free(bytes);
}

static const ProtobufCMessage *next_event(struct fake_call *call)
{
    assert_in_range(call->events_seen + 1, 1, call->event_count);
    return call->events[call->events_seen++];
}

const Holdfast__V1__WatchEvent *fake_call_watch_event(struct fake_call *call,
                                                      Holdfast__V1__WatchEvent__StateCase which)
{
    const Holdfast__V1__WatchEvent *event = (const void *)next_event(call);
    assert_ptr_equal(event->base.descriptor, &holdfast__v1__watch_event__descriptor);
    assert_int_equal(event->state_case, which);
    return event;
}

const Holdfast__V1__HoldEvent *fake_call_event(struct fake_call *call,
                                               Holdfast__V1__HoldEvent__EventCase which)
{
    const Holdfast__V1__HoldEvent *event = (const void *)next_event(call);
    assert_ptr_equal(event->base.descriptor, &holdfast__v1__hold_event__descriptor);
    assert_int_equal(event->event_case, which);
    return event;
}

const void *fake_call_next(struct fake_call *call, const ProtobufCMessageDescriptor *descriptor)
{
    const ProtobufCMessage *event = next_event(call);
    assert_ptr_equal(event->descriptor, descriptor);
    return event;
}

void fake_call_expect_open(const struct fake_call *call)
{
    assert_false(call->is_ended);
    assert_false(call->call.is_finished);
    assert_int_equal(call->event_count, call->events_seen);
}

void fake_call_expect_end(const struct fake_call *call, enum status status, const char *text)
{
    assert_true(call->is_ended);
    assert_true(call->call.is_finished);
    assert_null(call->call.session);
    if (strstr(call->text, text) == NULL) {
        fail_msg("\"%s\" does not contain \"%s\"", call->text, text);
    }
    assert_int_equal(call->status, status);
    assert_int_equal(call->event_count, call->events_seen);
}

void fake_call_expect_cancelled(const struct fake_call *call)
{
    assert_false(call->is_ended);
    assert_true(call->call.is_finished);
    assert_null(call->call.session);
}
