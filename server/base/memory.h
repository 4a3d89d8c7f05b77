/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Small internal objects: these functions end the process when memory runs out, so callers never
 * see NULL. Anything whose size a peer chooses goes through an arena or a bounded buffer instead.
 */
#ifndef HOLDFAST_BASE_MEMORY_H
#define HOLDFAST_BASE_MEMORY_H

#include <stddef.h>

/* Zeroed memory, owned by the caller, freed with memory_free. `size` is not 0. */
void *memory_alloc(size_t size) __attribute__((malloc, returns_nonnull));

/* Memory that is not zeroed, at a multiple of `alignment`, a power of two of which `size` is a
 * multiple; freed with memory_free. */
void *memory_alloc_aligned(size_t alignment, size_t size) __attribute__((malloc, returns_nonnull));

/* As realloc; `size` is not 0. New bytes are not zeroed. */
void *memory_resize(void *block, size_t size) __attribute__((returns_nonnull));

/* A copy of a C string, owned by the caller. */
char *memory_copy_string(const char *text) __attribute__((malloc, returns_nonnull));

/* A NUL-terminated copy of `length` bytes, owned by the caller. `bytes` may be NULL if length is 0.
 */
char *memory_copy(const void *bytes, size_t length) __attribute__((malloc, returns_nonnull));

/* NULL is allowed. */
void memory_free(void *block);

#endif
