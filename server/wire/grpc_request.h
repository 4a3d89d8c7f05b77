/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The header fields of a gRPC request: which method is meant, how long its caller waits, and
 * whether this is gRPC at all. Fields in, one verdict out; no I/O.
 *
 * Source: https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md
 */
#ifndef HOLDFAST_WIRE_GRPC_REQUEST_H
#define HOLDFAST_WIRE_GRPC_REQUEST_H

#include "wire/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define GRPC_PATH_MAX ((size_t)255)

struct grpc_request {
    char path[GRPC_PATH_MAX + 1]; /* "/service/method", cut at its second slash by the end */
    const char *service;          /* these two: set by the end, if the verdict is good */
    const char *method;
    int64_t timeout_us; /* how long the caller waits; 0: for ever, negative: not any more */
    bool is_post;
    bool is_grpc; /* by its content type */
    bool has_long_path;
    bool has_bad_timeout;
};

/* Why a request is not worked on. Text is static. */
struct grpc_verdict {
    unsigned http_status; /* 200, or that of an answer without a gRPC status: 405, 415 */
    enum status status;   /* STATUS_OK: the request is good */
    const char *text;     /* "" when it is */
};

/* A request without a field. */
void grpc_request_begin(struct grpc_request *request);

/* One field, pseudo fields included, names in lower case as HTTP/2 has them. */
void grpc_request_field(struct grpc_request *request, const char *name, size_t name_length,
                        const char *value, size_t value_length);

/* After the last field. */
struct grpc_verdict grpc_request_end(struct grpc_request *request);

#endif
