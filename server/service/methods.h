/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The method table: one row per RPC method, with what the descriptors of protobuf-c do not say.
 * Checked complete at start, so a method without a row never reaches a client.
 */
#ifndef HOLDFAST_SERVICE_METHODS_H
#define HOLDFAST_SERVICE_METHODS_H

#include "base/compiler.h"

#include <protobuf-c/protobuf-c.h>
#include <stdbool.h>
#include <stddef.h>

struct method {
    const char *service;     /* "holdfast.v1.Locks"; its rows stand together */
    const char *name;        /* "Acquire" */
    ProtobufCService *table; /* the generated vtable that serves it */
    const ProtobufCMessageDescriptor *input;
    unsigned index; /* in that vtable */
    bool is_client_streaming;
    bool is_server_streaming;
    bool takes_lease;  /* refused while draining */
    bool needs_no_tls; /* served in plaintext also on an address that serves TLS */
    bool is_alias;     /* `service` is another name of the service that `table` serves */
};

/* Rows, and the services whose methods they must cover. */
struct method_table {
    const struct method *rows;
    size_t count;
    const ProtobufCServiceDescriptor *const *services;
    size_t service_count;
};

/* The table that methods_find searches. */
extern const struct method_table method_table;

/* The row of service/name. NULL when there is none; then *is_service_known tells whether at least
 * the service exists. */
const struct method *methods_find(const char *service, const char *name, bool *is_service_known);

/* Checks that the rows and the descriptors agree. Call once, before methods_find. */
void methods_init(void);

#define METHODS_PROBLEM_SIZE 256

/* Whether every method of the services has exactly one row (not counting aliases) and every row its
 * method, under the same name, index and input. If not, says in `problem` which. */
NODISCARD bool methods_agree(const struct method_table *table, char problem[METHODS_PROBLEM_SIZE]);

#endif
