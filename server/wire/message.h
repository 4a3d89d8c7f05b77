/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From untrusted bytes to a protobuf message. protobuf-c has no depth limit, turns 1 MB of input
 * into 70 MB of heap, checks no UTF-8 and takes "a\0b" for "a"; so bytes are validated against the
 * descriptor before they are unpacked, and unpacked into an arena.
 */
#ifndef HOLDFAST_WIRE_MESSAGE_H
#define HOLDFAST_WIRE_MESSAGE_H

#include "base/arena.h"
#include "base/compiler.h"

#include <protobuf-c/protobuf-c.h>
#include <stddef.h>
#include <stdint.h>

#define MESSAGE_DEPTH_MAX    32
#define MESSAGE_ELEMENTS_MAX 4096 /* fields on the wire, all levels together */
#define MESSAGE_PROBLEM_SIZE 160

/* Unpacks `bytes` into `arena`. Returns NULL and writes into `problem` a sentence that names the
 * field ("key: not valid UTF-8") when the bytes are not a valid message of this type. The result
 * lives until the arena is released; do not free it otherwise. */
NODISCARD ProtobufCMessage *message_unpack(const ProtobufCMessageDescriptor *descriptor,
                                           const uint8_t *bytes, size_t length, struct arena *arena,
                                           char problem[MESSAGE_PROBLEM_SIZE]);

#endif
