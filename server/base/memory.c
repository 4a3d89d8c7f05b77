/* SPDX-License-Identifier: Apache-2.0 */
#include "base/memory.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"

static void *or_end(void *block, size_t size)
{
    if (block == NULL) {
        dprintf(STDERR_FILENO, "holdfast: out of memory (%zu bytes wanted)\n", size);
        abort();
    }
    return block;
}

void *memory_alloc(size_t size)
{
    CHECK(size > 0);
    return or_end(calloc(1, size), size);
}

void *memory_alloc_aligned(size_t alignment, size_t size)
{
    CHECK(size > 0);
    return or_end(aligned_alloc(alignment, size), size);
}

void *memory_resize(void *block, size_t size)
{
    CHECK(size > 0);
    return or_end(realloc(block, size), size);
}

char *memory_copy_string(const char *text)
{
    return memory_copy(text, strlen(text));
}

char *memory_copy(const void *bytes, size_t length)
{
    CHECK(length < SIZE_MAX);
    char *copy = or_end(malloc(length + 1), length + 1);
    if (length > 0) {
        memcpy(copy, bytes, length);
    }
    copy[length] = '\0';
    return copy;
}

void memory_free(void *block)
{
    free(block);
}
