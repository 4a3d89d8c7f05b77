/* SPDX-License-Identifier: Apache-2.0 */
/*
 * uthash with a keyed hash. Include this instead of <uthash.h>: names come from peers, and an
 * unkeyed hash would let them choose their collisions.
 */
#ifndef HOLDFAST_BASE_TABLE_H
#define HOLDFAST_BASE_TABLE_H

#include <stddef.h>
#include <stdint.h>

/* SipHash-1-3 under a key drawn once per process, folded to 32 bits.
 * Source: J.-P. Aumasson, D. J. Bernstein, "SipHash: a fast short-input PRF", 2012. */
uint32_t table_hash(const void *bytes, size_t length);

#define HASH_FUNCTION(key, length, hash) ((hash) = table_hash((key), (size_t)(length)))
#include <uthash.h>

#endif
