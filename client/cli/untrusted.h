/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Messages of a server that need not mean well. protobuf-c itself limits neither how deep messages
 * are nested, which takes stack, nor how much memory a few bytes may come to.
 */
#ifndef HOLDFAST_CLI_UNTRUSTED_H
#define HOLDFAST_CLI_UNTRUSTED_H

#include <protobuf-c/protobuf-c.h>
#include <stddef.h>
#include <stdint.h>

#define UNTRUSTED_DEPTH_MAX  100
#define UNTRUSTED_MEMORY_MAX ((size_t)256 << 20)

/* As protobuf_c_message_unpack, and NULL for what passes these limits, too. */
ProtobufCMessage *untrusted_unpack(const ProtobufCMessageDescriptor *descriptor,
                                   const uint8_t *bytes, size_t length);

#endif
