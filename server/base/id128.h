/* SPDX-License-Identifier: Apache-2.0 */
/* 128 random bits: lease tokens, tenures, the id of a server process. */
#ifndef HOLDFAST_BASE_ID128_H
#define HOLDFAST_BASE_ID128_H

#include "base/compiler.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ID128_SIZE     ((size_t)16)
#define ID128_HEX_SIZE ((size_t)33) /* with its NUL */

struct id128 {
    uint8_t bytes[ID128_SIZE];
};

/* A fresh random id. Ends the process if the system has no randomness. */
struct id128 id128_random(void);

/* Compares in constant time, for tokens are secrets. */
bool id128_equal(const struct id128 *a, const struct id128 *b);

/* Takes exactly ID128_SIZE bytes; false for any other length. */
NODISCARD bool id128_from_bytes(struct id128 *id, const void *bytes, size_t length);

/* Writes 32 hex digits and a NUL. A whole token must not reach a log. */
void id128_to_hex(const struct id128 *id, char hex[ID128_HEX_SIZE]);

/* Parses exactly 32 hex digits; false otherwise. */
NODISCARD bool id128_from_hex(struct id128 *id, const char *hex);

#endif
