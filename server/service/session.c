/* SPDX-License-Identifier: Apache-2.0 */
#include "service/session.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"
#include "service/binding.h"
#include "service/methods.h"
#include "wire/message.h"

#define TEXT_SIZE 640 /* a circle of waiters is spelt out */
#define NAME_SIZE 80

static int64_t now_us_of(const struct session *session)
{
    return loop_now_us(session->services->loop);
}

/* A name of the peer's choice, fit for a status text: short and printable. */
static void show_name(const char *name, char shown[NAME_SIZE])
{
    size_t length = strnlen(name, NAME_SIZE - 1);
    for (size_t i = 0; i < length; i++) {
        shown[i] = isgraph((unsigned char)name[i]) ? name[i] : '?';
    }
    shown[length] = '\0';
}

static void let_go(struct call *call)
{
    void (*on_cancel)(struct call *) = call->on_cancel;
    call->on_cancel = NULL;
    call->on_half_close = NULL;
    if (on_cancel != NULL) {
        on_cancel(call);
    }
}

static void fail(struct call *call, enum status status, const char *text)
{
    struct session *session = call->session;
    session->services->metrics->calls_failed++;
    LOG_DEBUG("call.failed", LOG_MESSAGE(text), LOG_TEXT("status", status_name((int)status)),
              LOG_TEXT("method", call->method == NULL ? NULL : call->method->name),
              LOG_TEXT("peer", session->peer));
    call_finish(call, status, "%s", text);
}

static void PRINTF_LIKE(2, 3) refuse(struct call *call, const char *format, ...)
{
    char text[TEXT_SIZE];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    call->session->services->metrics->calls_refused++;
    fail(call, STATUS_RESOURCE_EXHAUSTED, text);
}

static void on_deadline(struct timer *timer, int64_t now_us)
{
    struct call *call = CONTAINER_OF(timer, struct call, deadline);
    (void)now_us;
    let_go(call);
    session_expire_call(call);
}

static void link_call(struct session *session, struct call *call)
{
    CHECK(call->session == NULL);
    call->session = session;
    LIST_INSERT_HEAD(&session->calls, call, link);
    session->call_count++;
    session->services->calls++;
    session->services->metrics->calls_started++;
    session->services->metrics->calls_now++;
}

static bool find_method(struct call *call, const char *service, const char *method)
{
    char shown_service[NAME_SIZE];
    char shown_method[NAME_SIZE];
    bool is_service_known = false;
    call->method = methods_find(service, method, &is_service_known);
    if (call->method != NULL) {
        return true;
    }
    show_name(service, shown_service);
    show_name(method, shown_method);
    if (is_service_known) {
        session_fail_call(call, STATUS_UNIMPLEMENTED, "service %s has no method \"%s\"",
                          shown_service, shown_method);
    } else {
        session_fail_call(call, STATUS_UNIMPLEMENTED, "no service \"%s\" (method \"%s\")",
                          shown_service, shown_method);
    }
    return false;
}

/* The call itself is counted already. */
static bool is_admitted(struct call *call)
{
    const struct session *session = call->session;
    const struct services *services = session->services;
    if (session->call_count > services->config.session_calls_max) {
        refuse(call,
               "max-calls-per-connection: %zu calls are in flight on this connection, which is "
               "the limit; wait for answers or raise it",
               services->config.session_calls_max);
        return false;
    }
    if (services->calls > services->config.calls_max) {
        refuse(call,
               "max-calls: %zu calls are in flight, which is the limit; try again later or "
               "raise it",
               services->config.calls_max);
        return false;
    }
    if (session->is_unsecured && !call->method->needs_no_tls) {
        session_fail_call(call, STATUS_PERMISSION_DENIED,
                          "this address serves %s over TLS only; use TLS", call->method->service);
        return false;
    }
    if (services->is_draining && call->method->takes_lease) {
        session_fail_call(call, STATUS_UNAVAILABLE, "the server is shutting down; ask another one");
        return false;
    }
    return true;
}

static void set_deadline(struct call *call, int64_t timeout_us)
{
    struct loop *loop = call->session->services->loop;
    if (timeout_us != 0) {
        if (__builtin_add_overflow(call->started_us, timeout_us, &call->deadline_us)) {
            call->deadline_us = CLOCK_NEVER;
        }
        wheel_set(loop_wheel(loop), &call->deadline, call->deadline_us);
    }
}

static void deliver(struct call *call, const uint8_t *bytes, size_t length, struct arena *arena)
{
    const struct method *method = call->method;
    char problem[MESSAGE_PROBLEM_SIZE];
    ProtobufCMessage *message = message_unpack(method->input, bytes, length, arena, problem);
    if (message == NULL) {
        session_abort_call(call, STATUS_INVALID_ARGUMENT, "%s", problem);
        return;
    }
    /* Handlers answer through their call, now or later; hence no closure. */
    method->table->invoke(method->table, method->index, message, NULL, call);
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
    LIST_INIT(&session->bindings);
    party_init(&session->party, session->peer);
    session->created_us = now_us_of(session);
    session->id = ++services->last_session_id;
    TAILQ_INSERT_TAIL(&services->session_list, session, link);
    services->sessions++;
    return session;
}

void session_destroy(struct session *session)
{
    struct call *call = NULL;
    struct binding *binding = NULL;
    while ((call = LIST_FIRST(&session->calls)) != NULL) {
        session_cancel_call(call);
    }
    while ((binding = LIST_FIRST(&session->bindings)) != NULL) {
        binding_abandon(binding, now_us_of(session));
    }
    CHECK(session->call_count == 0);
    CHECK(session->lease_count == 0);
    party_release(&session->party);
    TAILQ_REMOVE(&session->services->session_list, session, link);
    session->services->sessions--;
    memory_free(session->peer);
    memory_free(session);
}

bool session_is_idle(const struct session *session)
{
    return session->call_count == 0 && session->lease_count == 0;
}

bool session_holds_between_calls(const struct session *session)
{
    const struct binding *binding = NULL;
    LIST_FOREACH (binding, &session->bindings, link) {
        if (binding->call == NULL) {
            return true;
        }
    }
    return false;
}

void session_shut_down(struct session *session)
{
    struct call *call = NULL;
    struct binding *binding = NULL;
    while ((binding = LIST_FIRST(&session->bindings)) != NULL) {
        binding_withdraw(binding, now_us_of(session));
    }
    while ((call = LIST_FIRST(&session->calls)) != NULL) {
        session_abort_call(call, STATUS_UNAVAILABLE,
                           "the server is shutting down; ask another one");
    }
}

void session_start_call(struct session *session, struct call *call, const char *service,
                        const char *method, int64_t timeout_us)
{
    link_call(session, call);
    call->started_us = now_us_of(session);
    call->deadline_us = CLOCK_NEVER;
    timer_init(&call->deadline, on_deadline);
    if (!find_method(call, service, method) || !is_admitted(call)) {
        return;
    }
    set_deadline(call, timeout_us);
    if (call->deadline_us <= call->started_us) {
        session_expire_call(call);
    }
}

void session_message(struct call *call, const uint8_t *bytes, size_t length)
{
    if (call->is_finished) {
        return;
    }
    const struct services *services = call->session->services;
    bool is_client_streaming = call->method->is_client_streaming;
    if (call->has_message && !is_client_streaming) {
        session_abort_call(call, STATUS_INVALID_ARGUMENT,
                           "more than one request message; %s takes one", call->method->name);
        return;
    }
    call->has_message = true;
    if (length > services->config.message_bytes_max) {
        let_go(call);
        refuse(call, "max-message-size: the request message has %zu bytes, the limit is %zu",
               length, services->config.message_bytes_max);
        return;
    }
    if (!is_client_streaming) {
        deliver(call, bytes, length, &call->arena);
        return;
    }
    /* A stream may live for days; its messages must not pile up in the call's arena. */
    struct arena scratch;
    arena_init(&scratch, call->arena.limit);
    deliver(call, bytes, length, &scratch);
    arena_release(&scratch);
}

void session_half_close(struct call *call)
{
    if (call->is_finished) {
        return;
    }
    call->is_half_closed = true;
    if (!call->has_message) {
        session_abort_call(call, STATUS_INVALID_ARGUMENT, "no request message; %s needs one",
                           call->method->name);
    } else if (call->on_half_close != NULL) {
        call->on_half_close(call);
    }
}

void session_forget_call(struct call *call)
{
    struct session *session = call->session;
    if (session == NULL) {
        return;
    }
    int64_t now_us = now_us_of(session);
    LOG_DEBUG("call.ended", LOG_MESSAGE("a call ended"),
              LOG_TEXT("method", call->method == NULL ? NULL : call->method->name),
              LOG_INTEGER("took_us", now_us - call->started_us), LOG_TEXT("peer", session->peer));
    wheel_clear(loop_wheel(session->services->loop), &call->deadline);
    LIST_REMOVE(call, link);
    session->call_count--;
    session->services->calls--;
    session->services->metrics->calls_now--;
    call->session = NULL;
}

void session_cancel_call(struct call *call)
{
    if (!call->is_finished) {
        call_cancel(call);
    }
    session_forget_call(call);
}

void session_fail_call(struct call *call, enum status status, const char *format, ...)
{
    char text[TEXT_SIZE];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    fail(call, status, text);
}

void session_abort_call(struct call *call, enum status status, const char *format, ...)
{
    char text[TEXT_SIZE];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    let_go(call);
    fail(call, status, text);
}

void session_expire_call(struct call *call)
{
    call->session->services->metrics->calls_deadline_exceeded++;
    session_fail_call(call, STATUS_DEADLINE_EXCEEDED,
                      "%s: the caller's deadline of %" PRId64 " ms passed", call->method->name,
                      (call->deadline_us - call->started_us) / CLOCK_US_PER_MS);
}
