/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The text of a gRPC status as a header field: UTF-8 whose bytes outside printable ASCII, and '%',
 * are percent-encoded.
 *
 * Source: https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md
 */
#ifndef HOLDFAST_WIRE_GRPC_TEXT_H
#define HOLDFAST_WIRE_GRPC_TEXT_H

#include <stddef.h>

/* Bytes that grpc_text_encode writes at most for a text of `length` bytes. */
#define GRPC_TEXT_SIZE(length) ((length)*3)

/* Writes the encoded text, without a NUL, and returns its length. */
size_t grpc_text_encode(const char *text, size_t length, char *encoded);

/* Writes the text that was encoded, cut to what fits, and a NUL. What is not encoded well stands
 * for itself; the text is the peer's, and need not be UTF-8. */
void grpc_text_decode(const char *encoded, size_t length, char *text, size_t size);

#endif
