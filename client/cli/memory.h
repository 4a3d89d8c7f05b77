/* SPDX-License-Identifier: Apache-2.0 */
/* Memory for small things: whoever asks for it need not look, for without it the program ends. */
#ifndef HOLDFAST_CLI_MEMORY_H
#define HOLDFAST_CLI_MEMORY_H

#include <stddef.h>

/* Zeroed, also when `size` is 0; freed with free(). Says so and exits with EXIT_UNEXPECTED when
 * there is none. */
void *memory_take(size_t size) __attribute__((malloc, returns_nonnull));

/* As realloc, with the same promise. */
void *memory_grow(void *block, size_t size) __attribute__((returns_nonnull));

#endif
