/* SPDX-License-Identifier: Apache-2.0 */
#include "grpc/grpc_answer.h"

#include <stdio.h>
#include <string.h>

#include "base/compiler.h"
#include "wire/grpc_text.h"
#include "wire/http2.h"

#define STATUS_DIGITS_MAX 9

/* Of RFC 9113, beyond those that we send ourselves. */
enum { INADEQUATE_SECURITY = 0xc };

static bool is_named(const char *name, size_t length, const char *wanted)
{
    return length == strlen(wanted) && memcmp(name, wanted, length) == 0;
}

/* -1: not a number. */
static int number_of(const char *value, size_t length)
{
    int number = 0;
    size_t digits = 0;
    while (digits < length && digits < STATUS_DIGITS_MAX && value[digits] >= '0' &&
           value[digits] <= '9') {
        number = number * 10 + (value[digits++] - '0');
    }
    return length > 0 && digits == length ? number : -1;
}

/* "application/grpc", with a format or parameters behind it. */
static bool is_grpc_type(const char *value, size_t length)
{
    static const char type[] = "application/grpc";
    const size_t size = sizeof(type) - 1;
    return length >= size && memcmp(value, type, size) == 0 &&
           (length == size || value[size] == '+' || value[size] == ';');
}

static void take_type(struct grpc_answer *answer, const char *value, size_t length)
{
    answer->is_grpc = is_grpc_type(value, length);
    snprintf(answer->type, sizeof(answer->type), "%.*s", (int)length, value);
}

static void take_status(struct grpc_answer *answer, const char *value, size_t length)
{
    const int number = number_of(value, length);
    answer->has_status = true;
    answer->status = number >= 0 ? number : STATUS_UNKNOWN;
}

void grpc_answer_begin(struct grpc_answer *answer)
{
    *answer = (struct grpc_answer){.http_status = 0};
}

void grpc_answer_field(struct grpc_answer *answer, const char *name, size_t name_length,
                       const char *value, size_t value_length)
{
    if (is_named(name, name_length, ":status")) {
        const int number = number_of(value, value_length);
        answer->http_status = number > 0 ? (unsigned)number : 0;
    } else if (is_named(name, name_length, "content-type")) {
        take_type(answer, value, value_length);
    } else if (is_named(name, name_length, "grpc-status")) {
        take_status(answer, value, value_length);
    } else if (is_named(name, name_length, "grpc-message")) {
        grpc_text_decode(value, value_length, answer->text, sizeof(answer->text));
    }
}

static bool is_interim(const struct grpc_answer *answer)
{
    return answer->http_status >= 100 && answer->http_status < 200;
}

bool grpc_answer_is_possible(const struct grpc_answer *answer)
{
    return answer->has_status || is_interim(answer) ||
           (answer->http_status == 200 && answer->is_grpc);
}

static enum status status_of_http(unsigned http_status)
{
    switch (http_status) {
    case 400:
        return STATUS_INTERNAL;
    case 401:
        return STATUS_UNAUTHENTICATED;
    case 403:
        return STATUS_PERMISSION_DENIED;
    case 404:
        return STATUS_UNIMPLEMENTED;
    case 429:
    case 502:
    case 503:
    case 504:
        return STATUS_UNAVAILABLE;
    default:
        return STATUS_UNKNOWN;
    }
}

static enum status status_of_error(uint32_t error)
{
    switch (error) {
    case HTTP2_REFUSED_STREAM:
        return STATUS_UNAVAILABLE;
    case HTTP2_CANCEL:
        return STATUS_CANCELLED;
    case HTTP2_ENHANCE_YOUR_CALM:
        return STATUS_RESOURCE_EXHAUSTED;
    case INADEQUATE_SECURITY:
        return STATUS_PERMISSION_DENIED;
    default:
        return STATUS_INTERNAL;
    }
}

void grpc_answer_end(const struct grpc_answer *answer, uint32_t error, const char *error_name,
                     struct grpc_answer_end *end)
{
    char *text = end->text;
    const size_t size = sizeof(end->text);
    if (answer->has_status) {
        end->status = answer->status;
        snprintf(text, size, "%s", answer->text);
    } else if (answer->http_status != 0 && answer->http_status != 200 && !is_interim(answer)) {
        end->status = (int)status_of_http(answer->http_status);
        snprintf(text, size, "the server does not answer with gRPC, but with HTTP status %u",
                 answer->http_status);
    } else if (answer->http_status == 200 && !answer->is_grpc) {
        end->status = STATUS_UNKNOWN;
        snprintf(text, size, "the server does not answer with gRPC, but with content-type \"%s\"",
                 answer->type);
    } else if (error != HTTP2_NO_ERROR) {
        end->status = (int)status_of_error(error);
        snprintf(text, size, "the server broke the call off: %s", error_name);
    } else {
        end->status = STATUS_INTERNAL;
        snprintf(text, size, "the server ended the call without a status");
    }
}
