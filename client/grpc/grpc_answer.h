/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the header fields and trailers of a gRPC answer come to: a status and a text, also where
 * what answered does not speak gRPC. Fields in, one verdict out; no I/O.
 *
 * Source: https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md and
 * http-grpc-status-mapping.md beside it.
 */
#ifndef HOLDFAST_GRPC_GRPC_ANSWER_H
#define HOLDFAST_GRPC_GRPC_ANSWER_H

#include "wire/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define GRPC_ANSWER_TEXT_SIZE 1024
#define GRPC_ANSWER_TYPE_SIZE 64

struct grpc_answer {
    unsigned http_status; /* 0: none has come */
    bool is_grpc;         /* by its content type */
    char type[GRPC_ANSWER_TYPE_SIZE];
    bool has_status;
    int status;                       /* any number the server chose */
    char text[GRPC_ANSWER_TEXT_SIZE]; /* "" when there is none; cut when it is longer */
};

/* A stream's end. */
struct grpc_answer_end {
    int status;
    char text[GRPC_ANSWER_TEXT_SIZE];
};

/* An answer without a field. */
void grpc_answer_begin(struct grpc_answer *answer);

/* One field, pseudo fields included, of headers or trailers. */
void grpc_answer_field(struct grpc_answer *answer, const char *name, size_t name_length,
                       const char *value, size_t value_length);

/* After a list of fields: whether messages, or a status, may follow. */
bool grpc_answer_is_possible(const struct grpc_answer *answer);

/* After the end of the stream, which came with `error`, a code of RFC 9113 with this name. */
void grpc_answer_end(const struct grpc_answer *answer, uint32_t error, const char *error_name,
                     struct grpc_answer_end *end);

#endif
