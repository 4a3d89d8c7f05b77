/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/grpc_request.h"

#include <string.h>

#include "base/compiler.h"

#define TIMEOUT_DIGITS_MAX 8

static const struct {
    char letter;
    int64_t ns;
} timeout_units[] = {
    {'H', 3600000000000}, {'M', 60000000000}, {'S', 1000000000},
    {'m', 1000000},       {'u', 1000},        {'n', 1},
};

/* 0: there is no such unit. */
static int64_t unit_ns(char letter)
{
    for (size_t i = 0; i < COUNT_OF(timeout_units); i++) {
        if (timeout_units[i].letter == letter) {
            return timeout_units[i].ns;
        }
    }
    return 0;
}

/* Rounds up, so that a short wait does not become "for ever"; none at all has passed already. */
static int64_t microseconds(int64_t count, int64_t ns)
{
    if (count == 0) {
        return -1;
    }
    return ns >= 1000 ? count * (ns / 1000) : (count + 999) / 1000;
}

static void take_timeout(struct grpc_request *request, const char *value, size_t length)
{
    int64_t count = 0;
    int64_t ns = length < 2 ? 0 : unit_ns(value[length - 1]);
    request->has_bad_timeout = ns == 0 || length - 1 > TIMEOUT_DIGITS_MAX;
    for (size_t i = 0; !request->has_bad_timeout && i < length - 1; i++) {
        request->has_bad_timeout = value[i] < '0' || value[i] > '9';
        count = count * 10 + (value[i] - '0');
    }
    if (!request->has_bad_timeout) {
        request->timeout_us = microseconds(count, ns);
    }
}

static void take_path(struct grpc_request *request, const char *value, size_t length)
{
    request->has_long_path = length > GRPC_PATH_MAX;
    if (!request->has_long_path) {
        memcpy(request->path, value, length);
        request->path[length] = '\0';
    }
}

/* "application/grpc", with a format ("+proto") or parameters behind it. Only protobuf is spoken
 * here, and what does not unpack as such is refused by its bytes. */
static bool is_grpc_type(const char *value, size_t length)
{
    static const char type[] = "application/grpc";
    size_t size = sizeof(type) - 1;
    return length >= size && memcmp(value, type, size) == 0 &&
           (length == size || value[size] == '+' || value[size] == ';');
}

static bool is_named(const char *name, size_t length, const char *wanted)
{
    return length == strlen(wanted) && memcmp(name, wanted, length) == 0;
}

/* Cuts "/service/method" in two. */
static bool split_path(struct grpc_request *request)
{
    char *slash = request->path[0] == '/' ? strrchr(request->path, '/') : NULL;
    if (slash == NULL || slash == request->path) {
        return false;
    }
    *slash = '\0';
    request->service = request->path + 1;
    request->method = slash + 1;
    return true;
}

void grpc_request_begin(struct grpc_request *request)
{
    *request = (struct grpc_request){.timeout_us = 0};
}

void grpc_request_field(struct grpc_request *request, const char *name, size_t name_length,
                        const char *value, size_t value_length)
{
    if (is_named(name, name_length, ":path")) {
        take_path(request, value, value_length);
    } else if (is_named(name, name_length, ":method")) {
        request->is_post = is_named(value, value_length, "POST");
    } else if (is_named(name, name_length, "content-type")) {
        request->is_grpc = is_grpc_type(value, value_length);
    } else if (is_named(name, name_length, "grpc-timeout")) {
        take_timeout(request, value, value_length);
    }
}

struct grpc_verdict grpc_request_end(struct grpc_request *request)
{
    if (!request->is_post) {
        return (struct grpc_verdict){405, STATUS_INTERNAL, "gRPC requests are POST requests"};
    }
    if (!request->is_grpc) {
        return (struct grpc_verdict){415, STATUS_INTERNAL,
                                     "content-type: must be application/grpc"};
    }
    if (request->has_bad_timeout) {
        return (struct grpc_verdict){200, STATUS_INVALID_ARGUMENT,
                                     "grpc-timeout: must be 1 to 8 digits and one of H M S m u n"};
    }
    if (request->has_long_path || !split_path(request)) {
        return (struct grpc_verdict){200, STATUS_UNIMPLEMENTED,
                                     "the path is no /service/method that is served here"};
    }
    return (struct grpc_verdict){200, STATUS_OK, ""};
}
