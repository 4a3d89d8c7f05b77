/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The .proto files of the server's own API, with their comments, from the descriptor set that is
 * built in: found by their names and by what they define.
 */
#ifndef HOLDFAST_SERVICE_DESCRIPTORS_H
#define HOLDFAST_SERVICE_DESCRIPTORS_H

#include "base/compiler.h"

#include <stddef.h>
#include <stdint.h>

struct descriptors;

/* A serialized google.protobuf.FileDescriptorProto. */
struct descriptors_file {
    const uint8_t *bytes;
    size_t length;
};

struct descriptors *descriptors_create(void);

void descriptors_destroy(struct descriptors *descriptors);

#define DESCRIPTORS_NONE SIZE_MAX

/* The index of the file called so ("holdfast/v1/locks.proto"), or DESCRIPTORS_NONE. */
size_t descriptors_find_file(const struct descriptors *descriptors, const char *name);

/* The index of the file that defines the service, method, message, field, enum or enum value with
 * this full name, or DESCRIPTORS_NONE. */
size_t descriptors_find_symbol(const struct descriptors *descriptors, const char *name);

/* How many files there are. */
size_t descriptors_count(const struct descriptors *descriptors);

/* Writes the file at `index` and all that it imports, directly or not, each once, and returns how
 * many. `files` has room for descriptors_count. They live as long as the descriptors. */
size_t descriptors_gather(const struct descriptors *descriptors, size_t index,
                          struct descriptors_file *files);

#endif
