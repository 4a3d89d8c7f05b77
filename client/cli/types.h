/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Message types that this program was not built with, made of .proto files as a server describes
 * them. They are what protobuf-c's own are, but for defaults and extensions, which JSON has none
 * of, and for groups, which are left out. A field with presence, as `optional` gives, is a oneof of
 * its own.
 */
#ifndef HOLDFAST_CLI_TYPES_H
#define HOLDFAST_CLI_TYPES_H

#include "schema.h"

#include <google/protobuf/descriptor.pb-c.h>
#include <protobuf-c/protobuf-c.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/queue.h>

#define TYPES_FILES_MAX ((size_t)1000)

struct type;
STAILQ_HEAD(type_list, type);

struct types {
    Google__Protobuf__FileDescriptorProto **files; /* NULL: one that the server does not have */
    char **file_names;
    size_t file_count;
    struct type_list known;
    struct type_list wanted; /* to be made */
    ProtobufCMethodDescriptor method;
    char *service;
};

void types_init(struct types *types);

void types_release(struct types *types);

/* Takes the file over, which may be NULL: the server does not have `name`. False: too many. */
bool types_add(struct types *types, const char *name, Google__Protobuf__FileDescriptorProto *file);

/* The name of a file that one of these imports and that was not added; NULL: there is none. It
 * lives as long as the types. */
const char *types_missing(const struct types *types);

/* Makes a message type and all that it contains, by its full name; it lives as long as the types.
 * NULL and a sentence in `problem` when it, or a part of it, is not described. */
const ProtobufCMessageDescriptor *types_find_message(struct types *types, const char *name,
                                                     char problem[SCHEMA_PROBLEM_SIZE]);

/* Makes the types of a method; what is found lives as long as the types. To be called once. False
 * and a sentence in `problem` when there is no such method, or a type of it is not described. */
bool types_find_method(struct types *types, const char *service, const char *method,
                       struct schema_method *found, char problem[SCHEMA_PROBLEM_SIZE]);

#endif
