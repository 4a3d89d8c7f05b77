/* SPDX-License-Identifier: Apache-2.0 */
/* SipHash-1-3, apart from table.h so that a test can give it a key. */
#ifndef HOLDFAST_BASE_SIPHASH_H
#define HOLDFAST_BASE_SIPHASH_H

#include <stddef.h>
#include <stdint.h>

#define SIPHASH_KEY_SIZE ((size_t)16)

/* The 64-bit hash of `length` bytes under `key`. */
uint64_t siphash_1_3(const uint8_t key[SIPHASH_KEY_SIZE], const void *bytes, size_t length);

#endif
