/* SPDX-License-Identifier: Apache-2.0 */
/* A server that answers a call with anything, in pieces of a size that the first byte tells. */
#include "grpc/http2_client.h"

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/check.h"
#include "base/compiler.h"
#include "grpc/grpc_answer.h"
#include "grpc/grpc_greeting.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

struct call {
    struct grpc_answer answer;
    int32_t id;
    int closed;
};

static void on_field(void *user, int32_t id, const char *name, size_t name_length,
                     const char *value, size_t value_length)
{
    struct call *call = user;
    CHECK(id == call->id && call->closed == 0);
    grpc_answer_field(&call->answer, name, name_length, value, value_length);
}

static void on_head(void *user, int32_t id, bool is_whole)
{
    struct call *call = user;
    (void)is_whole;
    CHECK(id == call->id && call->closed == 0);
    (void)grpc_answer_is_possible(&call->answer);
}

static void on_data(void *user, int32_t id, const uint8_t *bytes, size_t length)
{
    struct call *call = user;
    CHECK(id == call->id && call->closed == 0);
    CHECK(bytes != NULL || length == 0);
}

static void on_end(void *user, int32_t id)
{
    struct call *call = user;
    CHECK(id == call->id && call->closed == 0);
}

static void on_close(void *user, int32_t id, uint32_t error)
{
    struct call *call = user;
    struct grpc_answer_end end;
    CHECK(id == call->id);
    CHECK(call->closed++ == 0);
    grpc_answer_end(&call->answer, error, http2_client_error_name(error), &end);
    CHECK(strnlen(end.text, sizeof(end.text)) < sizeof(end.text));
}

static size_t on_pull(void *user, int32_t id, uint8_t *bytes, size_t size, bool *is_last)
{
    struct call *call = user;
    CHECK(id == call->id && call->closed == 0);
    memset(bytes, 0, size);
    *is_last = true;
    return size < 5 ? size : 5;
}

static const struct http2_client_events events = {
    .on_field = on_field,
    .on_head = on_head,
    .on_data = on_data,
    .on_end = on_end,
    .on_close = on_close,
    .on_pull = on_pull,
};

static bool drain(struct http2_client *http2)
{
    const uint8_t *bytes = NULL;
    size_t length = 1;
    while (length > 0) {
        if (!http2_client_produce(http2, &bytes, &length)) {
            return false;
        }
    }
    return !http2_client_is_over(http2);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
    static const struct http2_field fields[] = {{":method", "POST", 4},
                                                {":scheme", "http", 4},
                                                {":path", "/a/b", 4},
                                                {"te", "trailers", 8}};
    struct call call = {.closed = 0};
    const size_t piece = length == 0 || bytes[0] == 0 ? 4096 : bytes[0];
    struct http2_client *http2 = http2_client_create(&events, &call);
    grpc_answer_begin(&call.answer);
    call.id = http2_client_request(http2, fields, COUNT_OF(fields));
    bool is_good = drain(http2);
    (void)grpc_greeting_read(bytes, length);
    for (size_t at = 1; is_good && at < length; at += piece) {
        const size_t rest = length - at;
        is_good =
            http2_client_receive(http2, bytes + at, rest < piece ? rest : piece) && drain(http2);
    }
    http2_client_destroy(http2);
    return 0;
}
