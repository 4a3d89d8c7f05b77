/* SPDX-License-Identifier: Apache-2.0 */
#include "fake_session.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <holdfast/v1/locks.pb-c.h>

#include "base/check.h"
#include "base/memory.h"
#include "service/methods.h"

static const struct method methods[] = {
    {.name = "Echo"},
    {.name = "Fail"},
    {.name = "Silent"},
    {.name = "Big"},
    {.name = "Watch", .is_server_streaming = true},
    {.name = "Collect", .is_client_streaming = true},
    {.name = "Chat", .is_client_streaming = true, .is_server_streaming = true},
    {.name = "Break", .is_client_streaming = true, .is_server_streaming = true},
};

struct fake_counts fake;

static struct session *newest;

static bool is_named(const struct call *call, const char *name)
{
    return call->method != NULL && strcmp(call->method->name, name) == 0;
}

static void reply(struct call *call, const char *text)
{
    Holdfast__V1__Holder holder = HOLDFAST__V1__HOLDER__INIT;
    holder.label = (char *)(uintptr_t)text;
    fake.answered++;
    call_reply(call, &holder.base);
}

static void send_text(struct call *call, const char *text)
{
    Holdfast__V1__Holder holder = HOLDFAST__V1__HOLDER__INIT;
    holder.label = (char *)(uintptr_t)text;
    call_send(call, &holder.base);
}

static void finish(struct call *call, enum status status, const char *text)
{
    fake.answered++;
    call_finish(call, status, "%s", text);
}

static void reply_big(struct call *call, const char *size_text)
{
    size_t size = strtoul(size_text, NULL, 10);
    char *text = memory_alloc(size + 1);
    memset(text, 'x', size);
    reply(call, text);
    memory_free(text);
}

static void collect(struct call *call, const char *text)
{
    char *all = memory_alloc(strlen(text) + (call->user == NULL ? 0 : strlen(call->user)) + 1);
    if (call->user != NULL) {
        memcpy(all, call->user, strlen(call->user));
    }
    memcpy(all + strlen(all), text, strlen(text));
    memory_free(call->user);
    call->user = all;
}

static void serve(struct call *call, const char *text)
{
    if (is_named(call, "Echo")) {
        reply(call, text);
    } else if (is_named(call, "Fail")) {
        finish(call, STATUS_NOT_FOUND, "no such thing");
    } else if (is_named(call, "Big")) {
        reply_big(call, text);
    } else if (is_named(call, "Watch")) {
        send_text(call, "one");
        send_text(call, "two");
        finish(call, STATUS_OK, "");
    } else if (is_named(call, "Collect")) {
        collect(call, text);
    } else if (is_named(call, "Chat")) {
        send_text(call, text);
    } else if (is_named(call, "Break")) {
        finish(call, STATUS_ABORTED, "broken");
    }
}

void fake_reset(void)
{
    fake = (struct fake_counts){0};
    newest = NULL;
}

void fake_answer_silent(struct session *session, const char *text)
{
    struct call *next = NULL;
    for (struct call *call = LIST_FIRST(&session->calls); call != NULL; call = next) {
        next = LIST_NEXT(call, link);
        if (is_named(call, "Silent")) {
            reply(call, text);
        }
    }
}

void fake_send(struct session *session, const char *text)
{
    struct call *call = NULL;
    LIST_FOREACH (call, &session->calls, link) {
        if (call->method->is_server_streaming) {
            send_text(call, text);
        }
    }
}

struct session *fake_session(void)
{
    return newest;
}

struct session *session_create(struct services *services, const char *peer)
{
    if (services->sessions >= services->config.sessions_max) {
        return NULL;
    }
    struct session *session = memory_alloc(sizeof(*session));
    session->services = services;
    session->peer = memory_copy_string(peer);
    LIST_INIT(&session->calls);
    services->sessions++;
    fake.sessions++;
    newest = session;
    return session;
}

void session_destroy(struct session *session)
{
    struct call *call = NULL;
    while ((call = LIST_FIRST(&session->calls)) != NULL) {
        session_cancel_call(call);
    }
    session->services->sessions--;
    memory_free(session->peer);
    memory_free(session);
    fake.destroyed++;
}

bool session_is_idle(const struct session *session)
{
    return session->call_count == 0 && session->lease_count == 0;
}

bool session_holds_between_calls(const struct session *session)
{
    return session->lease_count > 0;
}

void session_shut_down(struct session *session)
{
    struct call *call = NULL;
    fake.shut_downs++;
    while ((call = LIST_FIRST(&session->calls)) != NULL) {
        session_abort_call(call, STATUS_UNAVAILABLE, "shutting down");
    }
}

void session_start_call(struct session *session, struct call *call, const char *service,
                        const char *method, int64_t timeout_us)
{
    CHECK(call->session == NULL);
    call->session = session;
    LIST_INSERT_HEAD(&session->calls, call, link);
    session->call_count++;
    fake.started++;
    fake.timeout_us = timeout_us;
    for (size_t i = 0; strcmp(service, "test.Service") == 0 && i < COUNT_OF(methods); i++) {
        if (strcmp(method, methods[i].name) == 0) {
            call->method = &methods[i];
            return;
        }
    }
    finish(call, STATUS_UNIMPLEMENTED, "no such method");
}

void session_message(struct call *call, const uint8_t *bytes, size_t length)
{
    if (call->is_finished) {
        return;
    }
    fake.messages++;
    call->has_message = true;
    char *text = memory_copy(bytes, length);
    serve(call, text);
    memory_free(text);
}

void session_half_close(struct call *call)
{
    if (call->is_finished) {
        return;
    }
    fake.half_closes++;
    call->is_half_closed = true;
    if (is_named(call, "Chat") || is_named(call, "Break")) {
        finish(call, STATUS_OK, "");
    } else if (is_named(call, "Collect")) {
        char *text = call->user;
        call->user = NULL;
        reply(call, text == NULL ? "" : text);
        memory_free(text);
    }
}

void session_forget_call(struct call *call)
{
    if (call->session == NULL) {
        return;
    }
    LIST_REMOVE(call, link);
    call->session->call_count--;
    call->session = NULL;
    memory_free(call->user);
    call->user = NULL;
}

void session_cancel_call(struct call *call)
{
    if (!call->is_finished) {
        fake.cancelled++;
        call_cancel(call);
    }
    session_forget_call(call);
}

void session_abort_call(struct call *call, enum status status, const char *format, ...)
{
    char text[200];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    finish(call, status, text);
}
