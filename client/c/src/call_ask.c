/* SPDX-License-Identifier: Apache-2.0 */
#include "call_ask.h"

#include <stdint.h>

#include "base/memory.h"

void call_ask_copy(struct holdfast_call_ask *to, const struct holdfast_call_ask *from)
{
    struct holdfast_header *headers = memory_alloc((from->header_count + 1) * sizeof(*headers));
    for (size_t i = 0; i < from->header_count; i++) {
        headers[i].name = memory_copy_string(from->headers[i].name);
        headers[i].value = memory_copy_string(from->headers[i].value);
    }
    *to = *from;
    to->service = memory_copy_string(from->service);
    to->method = memory_copy_string(from->method);
    to->headers = headers;
    to->message = NULL;
    to->message_length = 0;
}

void call_ask_release(struct holdfast_call_ask *ask)
{
    for (size_t i = 0; i < ask->header_count; i++) {
        memory_free((char *)(uintptr_t)ask->headers[i].name);
        memory_free((char *)(uintptr_t)ask->headers[i].value);
    }
    memory_free((void *)(uintptr_t)ask->headers);
    memory_free((char *)(uintptr_t)ask->service);
    memory_free((char *)(uintptr_t)ask->method);
    memory_free((void *)(uintptr_t)ask->message);
}
