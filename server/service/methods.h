/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The method table: one row per RPC method, with what the descriptors of protobuf-c do not say.
 * Checked complete at start, so a method without a row never reaches a client.
 */
#ifndef HOLDFAST_SERVICE_METHODS_H
#define HOLDFAST_SERVICE_METHODS_H

#include <protobuf-c/protobuf-c.h>
#include <stdbool.h>

struct method {
    const char *service; /* "holdfast.v1.Locks" */
    const char *name;    /* "Acquire" */
    bool is_client_streaming;
    bool is_server_streaming;
    bool takes_lease;        /* refused while draining */
    ProtobufCService *table; /* the generated vtable that serves it */
    unsigned index;          /* in that vtable */
    const ProtobufCMessageDescriptor *input;
};

/* The row of service/name. NULL when there is none; then *is_service_known tells whether at least
 * the service exists. */
const struct method *methods_find(const char *service, const char *name, bool *is_service_known);

/* Fills the rows from the descriptors and checks that both agree. Call once, before methods_find.
 */
void methods_init(void);

#endif
