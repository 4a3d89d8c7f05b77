/* SPDX-License-Identifier: Apache-2.0 */
/* One type of `types`: a message or an enum, by its full name; described first, made when a method
 * needs it. */
#ifndef HOLDFAST_CLI_TYPE_H
#define HOLDFAST_CLI_TYPE_H

#include <google/protobuf/descriptor.pb-c.h>
#include <protobuf-c/protobuf-c.h>
#include <stdbool.h>
#include <sys/queue.h>

struct types;

struct type {
    STAILQ_ENTRY(type) link;
    STAILQ_ENTRY(type) wanted;
    char *name;
    const Google__Protobuf__FileDescriptorProto *file;
    const Google__Protobuf__DescriptorProto *message; /* one of these is NULL */
    const Google__Protobuf__EnumDescriptorProto *enumeration;
    bool is_wanted;
    ProtobufCMessageDescriptor made_message;
    ProtobufCEnumDescriptor made_enum;
    ProtobufCFieldDescriptor *fields;
    ProtobufCEnumValue *values;
    ProtobufCEnumValueIndex *names;
    ProtobufCIntRange *ranges;
};

/* Makes the descriptor. `find` tells what the type of a field is, by its name as the .proto file
 * has it, or NULL. False, and `wrong` is the name of what cannot be made. */
bool type_make(struct type *type, struct type *(*find)(struct types *types, const char *name),
               struct types *types, const char **wrong);

/* Frees all of it. */
void type_destroy(struct type *type);

#endif
