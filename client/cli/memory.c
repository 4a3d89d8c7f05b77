/* SPDX-License-Identifier: Apache-2.0 */
#include "memory.h"

#include <stdlib.h>

#include "output.h"

static void *check(void *block)
{
    if (block == NULL) {
        output_error("Out of memory.");
        exit(EXIT_UNEXPECTED);
    }
    return block;
}

void *memory_take(size_t size)
{
    return check(calloc(1, size > 0 ? size : 1));
}

void *memory_grow(void *block, size_t size)
{
    return check(realloc(block, size > 0 ? size : 1));
}
