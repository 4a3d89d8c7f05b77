/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/call.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/utf8.h"

#define TEXT_SIZE 512

static void end(struct call *call)
{
    CHECK(!call->is_finished);
    call->is_finished = true;
    call->on_cancel = NULL;
    call->on_half_close = NULL;
}

void call_init(struct call *call, const struct call_transport *transport, size_t arena_limit)
{
    *call = (struct call){.transport = transport, .deadline_us = CLOCK_NEVER};
    arena_init(&call->arena, arena_limit);
    timer_init(&call->deadline, NULL);
}

void call_release(struct call *call)
{
    CHECK(call->session == NULL || call->is_finished);
    CHECK(!timer_is_set(&call->deadline));
    arena_release(&call->arena);
}

void call_send(struct call *call, const ProtobufCMessage *message)
{
    CHECK(!call->is_finished);
    call->transport->send(call, message);
}

void call_reply(struct call *call, const ProtobufCMessage *reply)
{
    end(call);
    call->transport->finish(call, reply, STATUS_OK, "");
}

void call_finish(struct call *call, enum status status, const char *format, ...)
{
    char text[TEXT_SIZE];
    char clean[TEXT_SIZE];
    size_t length = 0;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    /* A text that quotes a peer may have been cut within a character, and protobuf's strings must
     * be UTF-8. */
    utf8_clean(text, strlen(text), clean, sizeof(clean) - 1, &length);
    clean[length] = '\0';
    end(call);
    call->transport->finish(call, NULL, status, status == STATUS_OK ? "" : clean);
}

void call_cancel(struct call *call)
{
    void (*on_cancel)(struct call *) = call->on_cancel;
    end(call);
    if (on_cancel != NULL) {
        on_cancel(call);
    }
}
