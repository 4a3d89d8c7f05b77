/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bytes that wait, in one piece: added at the end, dropped from the front. Takes memory only while
 * something waits. It has no limit of its own; whoever adds what a peer chooses counts it.
 */
#ifndef HOLDFAST_BASE_BYTE_QUEUE_H
#define HOLDFAST_BASE_BYTE_QUEUE_H

#include <stddef.h>
#include <stdint.h>

/* Empty when zeroed. */
struct byte_queue {
    uint8_t *block;
    size_t start;    /* of what waits, in the block */
    size_t length;   /* of what waits */
    size_t capacity; /* of the block */
};

/* Frees everything; the queue is empty. */
void byte_queue_release(struct byte_queue *queue);

/* Adds `length` bytes and returns where they go, to be filled by the caller at once. */
uint8_t *byte_queue_extend(struct byte_queue *queue, size_t length);

/* Adds a copy of the bytes. */
void byte_queue_add(struct byte_queue *queue, const void *bytes, size_t length);

/* What waits: queue->length bytes, valid until the queue is changed. NULL when there are none. */
const uint8_t *byte_queue_front(const struct byte_queue *queue);

/* Drops the first `length` bytes; so many must wait. */
void byte_queue_drop(struct byte_queue *queue, size_t length);

#endif
