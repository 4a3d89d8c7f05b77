/* SPDX-License-Identifier: Apache-2.0 */
/* Descriptors as the text of a .proto file, with its comments, on standard output. */
#ifndef HOLDFAST_CLI_PROTO_TEXT_H
#define HOLDFAST_CLI_PROTO_TEXT_H

#include <google/protobuf/descriptor.pb-c.h>
#include <stdbool.h>

/* Prints what is called `name`, in full, in this file: "NAME is a service:" and its text. False
 * when the file has no service, method, message, field, enum or enum value of that name. */
bool proto_text_print(const Google__Protobuf__FileDescriptorProto *file, const char *name);

#endif
