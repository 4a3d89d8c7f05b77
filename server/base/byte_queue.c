/* SPDX-License-Identifier: Apache-2.0 */
#include "base/byte_queue.h"

#include <string.h>

#include "base/check.h"
#include "base/memory.h"

#define CAPACITY_MIN ((size_t)64)

void byte_queue_release(struct byte_queue *queue)
{
    memory_free(queue->block);
    *queue = (struct byte_queue){0};
}

static size_t larger_capacity(const struct byte_queue *queue, size_t needed)
{
    size_t capacity = queue->capacity < CAPACITY_MIN ? CAPACITY_MIN : queue->capacity;
    while (capacity < needed) {
        CHECK(capacity <= SIZE_MAX / 2);
        capacity *= 2;
    }
    return capacity;
}

/* Moves what waits to the front of its block, or of a larger one. Doubling, and moving only when at
 * least half of the block is free, keep the cost of a byte constant. */
static void make_room(struct byte_queue *queue, size_t length)
{
    size_t needed = queue->length + length;
    CHECK(needed >= length);
    if (queue->block != NULL && needed <= queue->capacity / 2) {
        memmove(queue->block, queue->block + queue->start, queue->length);
        queue->start = 0;
        return;
    }
    size_t capacity = larger_capacity(queue, needed);
    uint8_t *block = memory_alloc(capacity);
    if (queue->block != NULL) {
        memcpy(block, queue->block + queue->start, queue->length);
    }
    memory_free(queue->block);
    *queue = (struct byte_queue){.block = block, .length = queue->length, .capacity = capacity};
}

uint8_t *byte_queue_extend(struct byte_queue *queue, size_t length)
{
    if (queue->block == NULL || length > queue->capacity - queue->start - queue->length) {
        make_room(queue, length);
    }
    uint8_t *end = queue->block + queue->start + queue->length;
    queue->length += length;
    return end;
}

void byte_queue_add(struct byte_queue *queue, const void *bytes, size_t length)
{
    if (length > 0) {
        memcpy(byte_queue_extend(queue, length), bytes, length);
    }
}

const uint8_t *byte_queue_front(const struct byte_queue *queue)
{
    return queue->length == 0 ? NULL : queue->block + queue->start;
}

void byte_queue_drop(struct byte_queue *queue, size_t length)
{
    CHECK(length <= queue->length);
    queue->start += length;
    queue->length -= length;
    if (queue->length == 0) {
        byte_queue_release(queue);
    }
}
