/* SPDX-License-Identifier: Apache-2.0 */
/* The methods that this program can pack messages for: those of its own version of the API. */
#ifndef HOLDFAST_CLI_SCHEMA_H
#define HOLDFAST_CLI_SCHEMA_H

#include <protobuf-c/protobuf-c.h>
#include <stdbool.h>

#define SCHEMA_PROBLEM_SIZE 320

struct schema_method {
    const char *service; /* "holdfast.v1.Locks" */
    const ProtobufCMethodDescriptor *method;
    bool is_client_streaming;
    bool is_server_streaming;
};

/* Finds "holdfast.v1.Locks/Acquire", with a dot for the slash if you like, and without the package
 * where only one service is called so. False and a sentence in `problem` when there is none. */
bool schema_find(const char *name, struct schema_method *found, char problem[SCHEMA_PROBLEM_SIZE]);

/* Calls `visit` with the short name of each method: "Locks/Acquire". */
void schema_visit(void (*visit)(const char *name, void *user), void *user);

#endif
