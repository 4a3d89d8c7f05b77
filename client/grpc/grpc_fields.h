/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The header fields of a gRPC request: whose method, for how long, and the caller's metadata. What
 * is to be called in, fields out; no I/O.
 *
 * Source: https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md
 */
#ifndef HOLDFAST_GRPC_GRPC_FIELDS_H
#define HOLDFAST_GRPC_GRPC_FIELDS_H

#include "wire/http2.h"

#include <holdfast/holdfast.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define GRPC_NAME_MAX        ((size_t)256) /* of a service, of a method */
#define GRPC_TIMEOUT_SIZE    12
#define GRPC_FIELDS_OURS_MAX 9

struct grpc_fields {
    struct http2_field list[HOLDFAST_HEADERS_MAX + GRPC_FIELDS_OURS_MAX];
    size_t count;
    char path[2 * GRPC_NAME_MAX + 3];
    char timeout[GRPC_TIMEOUT_SIZE];
};

/* Why `ask` cannot be asked: static text. NULL: it can. */
const char *grpc_fields_problem(const struct holdfast_call_ask *ask);

/* Of an ask without a problem; points into it, and at `authority`. `left_ms` is what is left of the
 * deadline; 0: there is none. */
void grpc_fields_write(struct grpc_fields *fields, const struct holdfast_call_ask *ask,
                       const char *authority, bool is_tls, uint32_t left_ms);

/* "250m": at most eight digits, rounded up. */
void grpc_timeout_write(char timeout[GRPC_TIMEOUT_SIZE], uint32_t ms);

#endif
