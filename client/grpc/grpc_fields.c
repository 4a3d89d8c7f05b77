/* SPDX-License-Identifier: Apache-2.0 */
#include "grpc/grpc_fields.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "base/compiler.h"
#include "wire/http2_head.h"

#define TIMEOUT_DIGITS_END 100000000U

/* Names that say what we say ourselves, or that gRPC keeps for itself. */
static bool is_reserved(const char *name)
{
    static const char *const names[] = {"content-type", "content-length", "te", "user-agent"};
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        if (strcmp(name, names[i]) == 0) {
            return true;
        }
    }
    return strncmp(name, "grpc-", strlen("grpc-")) == 0;
}

static bool is_well_formed(const struct holdfast_header *header)
{
    struct http2_head head;
    http2_head_begin(&head, false);
    http2_head_field(&head, header->name, strlen(header->name), header->value,
                     strlen(header->value));
    return http2_head_is_well_formed(&head);
}

static bool is_name(const char *text)
{
    return text != NULL && text[0] != '\0' && strnlen(text, GRPC_NAME_MAX + 1) <= GRPC_NAME_MAX;
}

const char *grpc_fields_problem(const struct holdfast_call_ask *ask)
{
    if (!is_name(ask->service) || !is_name(ask->method)) {
        return "service and method: required, of at most 256 bytes";
    }
    if (ask->header_count > HOLDFAST_HEADERS_MAX) {
        return "headers: at most 64";
    }
    for (size_t i = 0; i < ask->header_count; i++) {
        if (is_reserved(ask->headers[i].name)) {
            return "headers: content-type, te, user-agent and what begins with grpc- is gRPC's own";
        }
        if (!is_well_formed(&ask->headers[i])) {
            return "headers: a name or a value that HTTP/2 does not allow";
        }
    }
    if (ask->message_length > HOLDFAST_MESSAGE_MAX) {
        return "message: longer than 4194304 bytes";
    }
    return NULL;
}

void grpc_timeout_write(char timeout[GRPC_TIMEOUT_SIZE], uint32_t ms)
{
    if (ms < TIMEOUT_DIGITS_END) {
        snprintf(timeout, GRPC_TIMEOUT_SIZE, "%" PRIu32 "m", ms);
    } else {
        snprintf(timeout, GRPC_TIMEOUT_SIZE, "%" PRIu32 "S", ms / 1000 + (ms % 1000 != 0));
    }
}

static void add(struct grpc_fields *fields, const char *name, const char *value)
{
    CHECK(fields->count < COUNT_OF(fields->list));
    fields->list[fields->count++] =
        (struct http2_field){.name = name, .value = value, .length = strlen(value)};
}

void grpc_fields_write(struct grpc_fields *fields, const struct holdfast_call_ask *ask,
                       const char *authority, bool is_tls, uint32_t left_ms)
{
    fields->count = 0;
    snprintf(fields->path, sizeof(fields->path), "/%s/%s", ask->service, ask->method);
    add(fields, ":method", "POST");
    add(fields, ":scheme", is_tls ? "https" : "http");
    add(fields, ":path", fields->path);
    add(fields, ":authority", authority);
    if (left_ms > 0) {
        grpc_timeout_write(fields->timeout, left_ms);
        add(fields, "grpc-timeout", fields->timeout);
    }
    add(fields, "content-type", "application/grpc");
    add(fields, "te", "trailers");
    add(fields, "grpc-accept-encoding", "identity");
    add(fields, "user-agent", "holdfast/" HOLDFAST_VERSION);
    for (size_t i = 0; i < ask->header_count; i++) {
        add(fields, ask->headers[i].name, ask->headers[i].value);
    }
}
