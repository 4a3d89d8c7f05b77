/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One arena per RPC call: the request is unpacked into it, scratch lives in it, all is freed in one
 * step. Memory is zeroed (protobuf-c reads fields it never wrote on some inputs) and capped, for
 * its size is the peer's choice.
 */
#ifndef HOLDFAST_BASE_ARENA_H
#define HOLDFAST_BASE_ARENA_H

#include "base/compiler.h"

#include <stddef.h>

struct arena_block;

struct arena {
    struct arena_block *blocks; /* newest first */
    size_t used;                /* bytes taken from the system so far */
    size_t limit;               /* never more than this */
};

/* An empty arena that takes at most `limit` bytes. Allocates nothing yet. */
void arena_init(struct arena *arena, size_t limit);

/* Frees everything. The arena may be used again as after arena_init. */
void arena_release(struct arena *arena);

/* Zeroed memory, aligned for any type, valid until arena_release. NULL when the limit is reached.
 */
NODISCARD void *arena_alloc(struct arena *arena, size_t size);

/* A NUL-terminated copy of `length` bytes in the arena. NULL when the limit is reached. */
NODISCARD char *arena_copy(struct arena *arena, const void *bytes, size_t length);

#endif
