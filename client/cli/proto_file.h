/* SPDX-License-Identifier: Apache-2.0 */
/* A .proto file as a server describes it. */
#ifndef HOLDFAST_CLI_PROTO_FILE_H
#define HOLDFAST_CLI_PROTO_FILE_H

#include <google/protobuf/descriptor.pb-c.h>
#include <stddef.h>
#include <stdint.h>

/* No text in it is NULL: what is not set is "". NULL when it makes no sense; else freed with
 * google__protobuf__file_descriptor_proto__free_unpacked. */
Google__Protobuf__FileDescriptorProto *proto_file_unpack(const uint8_t *bytes, size_t length);

#endif
