/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a server says of its API, by reflection: one question after another, each waited for. The
 * texts are the server's; clean them before they are shown.
 */
#ifndef HOLDFAST_CLI_REFLECT_H
#define HOLDFAST_CLI_REFLECT_H

#include "rpc.h"
#include "session.h"
#include "types.h"

#include <google/protobuf/descriptor.pb-c.h>
#include <grpc/reflection/v1/reflection.pb-c.h>
#include <stdbool.h>
#include <stddef.h>

struct reflect {
    struct session *session;
    const struct holdfast_header *headers;
    size_t header_count;
    struct rpc rpc;
    bool is_alpha;    /* the server has the older service only */
    bool is_unserved; /* it does not have the one that was asked */
    Grpc__Reflection__V1__ServerReflectionResponse *answer; /* the last one */
    Google__Protobuf__FileDescriptorProto **files;          /* of the last one */
    size_t file_count;
};

/* The session is open; metadata that is sent along lives until reflect_close. */
void reflect_open(struct reflect *reflect, struct session *session,
                  const struct holdfast_header *headers, size_t header_count);

void reflect_close(struct reflect *reflect);

/* Full names of the services, in the order of their names; NULL after ending the session with a
 * report. They live until the next question. */
const Grpc__Reflection__V1__ListServiceResponse *reflect_services(struct reflect *reflect);

/* Finds `symbol`, "holdfast.v1.Locks" or, in that package, "Locks"; a method may have a slash.
 * Writes its full name into `name`; `reflect->files` are the file that has it, and its imports.
 * False after ending the session with a report. */
#define REFLECT_NAME_SIZE 512
bool reflect_find(struct reflect *reflect, const char *symbol, char name[REFLECT_NAME_SIZE]);

/* As reflect_find, and adds to `types` all the files that the symbol's file needs. */
bool reflect_collect(struct reflect *reflect, const char *symbol, char name[REFLECT_NAME_SIZE],
                     struct types *types);

#endif
