/* SPDX-License-Identifier: Apache-2.0 */
#include "base/arena.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* What is taken from the system at once for small pieces; most requests fit into one. The C library
 * keeps freed blocks of up to this size at hand. */
#define BLOCK_SIZE ((size_t)1024)

#define ALIGNMENT _Alignof(max_align_t)

struct arena_block {
    struct arena_block *next;
    size_t capacity;
    size_t used;
    max_align_t bytes[];
};

/* A piece above a quarter of a block gets its own, so that the rest of the current one stays in
 * use. */
static bool is_large(size_t size)
{
    return size > BLOCK_SIZE / 4;
}

static struct arena_block *take_block(struct arena *arena, size_t capacity)
{
    struct arena_block *block = malloc(sizeof(*block) + capacity);
    if (block == NULL) {
        return NULL;
    }
    block->capacity = capacity;
    block->used = 0;
    arena->used += sizeof(*block) + capacity;
    return block;
}

/* A block with room for `size` bytes, linked into the arena. */
static struct arena_block *add_block(struct arena *arena, size_t size)
{
    size_t left = arena->limit - arena->used;
    if (left < sizeof(struct arena_block) || size > left - sizeof(struct arena_block)) {
        return NULL;
    }
    size_t room = left - sizeof(struct arena_block);
    size_t capacity = BLOCK_SIZE - sizeof(struct arena_block);
    if (is_large(size) || capacity > room) {
        capacity = size;
    }
    struct arena_block *block = take_block(arena, capacity);
    if (block == NULL) {
        return NULL;
    }
    if (is_large(size) && arena->blocks != NULL) {
        block->next = arena->blocks->next;
        arena->blocks->next = block;
    } else {
        block->next = arena->blocks;
        arena->blocks = block;
    }
    return block;
}

void arena_init(struct arena *arena, size_t limit)
{
    *arena = (struct arena){.limit = limit};
}

void arena_release(struct arena *arena)
{
    while (arena->blocks != NULL) {
        struct arena_block *next = arena->blocks->next;
        free(arena->blocks);
        arena->blocks = next;
    }
    arena->used = 0;
}

void *arena_alloc(struct arena *arena, size_t size)
{
    if (size > arena->limit || size > SIZE_MAX - ALIGNMENT) {
        return NULL;
    }
    size_t rounded = size == 0 ? ALIGNMENT : (size + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    struct arena_block *block = arena->blocks;
    if (block == NULL || block->capacity - block->used < rounded) {
        block = add_block(arena, rounded);
    }
    if (block == NULL) {
        return NULL;
    }
    void *piece = (char *)block->bytes + block->used;
    block->used += rounded;
    memset(piece, 0, rounded);
    return piece;
}

char *arena_copy(struct arena *arena, const void *bytes, size_t length)
{
    char *copy = length < SIZE_MAX ? arena_alloc(arena, length + 1) : NULL;
    if (copy != NULL && length > 0) {
        memcpy(copy, bytes, length);
    }
    return copy;
}
