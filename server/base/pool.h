/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A pool: small objects by the hundred thousand, without what a general allocator adds to each. It
 * takes memory in slabs of objects of one size, uses first what was freed last, and gives slabs
 * back in which nothing is in use, but for a few. One thread. Like memory.h it ends the process
 * when memory runs out.
 */
#ifndef HOLDFAST_BASE_POOL_H
#define HOLDFAST_BASE_POOL_H

#include <stddef.h>

/* What is larger comes from memory_alloc. */
#define POOL_OBJECT_MAX ((size_t)512)

struct pool;

struct pool *pool_create(void);

/* Every object must have been freed. */
void pool_destroy(struct pool *pool);

/* Zeroed memory of `size` bytes, which is not 0, aligned to 8. */
void *pool_alloc(struct pool *pool, size_t size) __attribute__((returns_nonnull));

/* Frees an object of that size; NULL is allowed. */
void pool_free(struct pool *pool, void *object, size_t size);

#endif
