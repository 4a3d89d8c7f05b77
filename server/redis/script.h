/* SPDX-License-Identifier: Apache-2.0 */
/* The batch script (lua/), joined at build time, and the name Redis knows it by. */
#ifndef HOLDFAST_REDIS_SCRIPT_H
#define HOLDFAST_REDIS_SCRIPT_H

#include <stddef.h>

#define SCRIPT_SHA_LENGTH ((size_t)40)

struct script {
    const char *text; /* static */
    size_t length;
    char sha[SCRIPT_SHA_LENGTH + 1]; /* SHA-1 of the text, in lower-case hex, for EVALSHA */
};

/* Needs no release. Ends the process if the system's OpenSSL has no SHA-1. */
void script_init(struct script *script);

#endif
