/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a server says of its API, by reflection: one question after another, each waited for. The
 * texts are the server's; clean them before they are shown.
 */
#ifndef HOLDFAST_CLI_REFLECT_H
#define HOLDFAST_CLI_REFLECT_H

#include "session.h"

#include <google/protobuf/descriptor.pb-c.h>
#include <grpc/reflection/v1/reflection.pb-c.h>
#include <stdbool.h>
#include <stddef.h>

struct reflect {
    struct session *session;
    struct holdfast_call *call;
    Grpc__Reflection__V1__ServerReflectionResponse *answer; /* the last one */
    Google__Protobuf__FileDescriptorProto **files;          /* of the last one */
    size_t file_count;
};

/* The session is open. */
void reflect_open(struct reflect *reflect, struct session *session);

void reflect_close(struct reflect *reflect);

/* Full names of the services, in the order of their names; NULL after ending the session with a
 * report. They live until the next question. */
const Grpc__Reflection__V1__ListServiceResponse *reflect_services(struct reflect *reflect);

/* Finds `symbol`, "holdfast.v1.Locks" or, in that package, "Locks"; a method may have a slash.
 * Writes its full name into `name`; `reflect->files` are the file that has it, and its imports.
 * False after ending the session with a report. */
#define REFLECT_NAME_SIZE 512
bool reflect_find(struct reflect *reflect, const char *symbol, char name[REFLECT_NAME_SIZE]);

#endif
