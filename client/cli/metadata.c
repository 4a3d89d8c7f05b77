/* SPDX-License-Identifier: Apache-2.0 */
#include "metadata.h"

#include <ctype.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "memory.h"

static void split(struct holdfast_header *header, const char *text)
{
    const size_t length = strcspn(text, ":");
    char *name = memory_take(length + 1);
    for (size_t i = 0; i < length; i++) {
        name[i] = (char)tolower((unsigned char)text[i]);
    }
    header->name = name;
    header->value = text + length + 1 + strspn(text + length + 1, " ");
}

void metadata_init(struct metadata *metadata, const struct arguments *arguments)
{
    metadata->count = arguments->header_count;
    for (size_t i = 0; i < metadata->count; i++) {
        split(&metadata->headers[i], arguments->headers[i]);
    }
}

void metadata_release(struct metadata *metadata)
{
    for (size_t i = 0; i < metadata->count; i++) {
        free((char *)(uintptr_t)metadata->headers[i].name);
    }
    metadata->count = 0;
}
