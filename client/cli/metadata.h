/* SPDX-License-Identifier: Apache-2.0 */
/* What --header says, as calls take it: names in lower case, as gRPC has them. */
#ifndef HOLDFAST_CLI_METADATA_H
#define HOLDFAST_CLI_METADATA_H

#include <stddef.h>

#include <holdfast/holdfast.h>

#include "arguments.h"

struct metadata {
    struct holdfast_header headers[HOLDFAST_HEADERS_MAX];
    size_t count;
};

/* The arguments were checked, and outlive it. */
void metadata_init(struct metadata *metadata, const struct arguments *arguments);

void metadata_release(struct metadata *metadata);

#endif
