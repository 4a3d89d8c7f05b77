/* SPDX-License-Identifier: Apache-2.0 */
#include "base/pool.h"

#include <sanitizer/asan_interface.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "base/check.h"
#include "base/memory.h"

/* A slab lies at a multiple of its size, so that an object's address tells which one it is in. Only
 * what of it was used takes memory; small ones would leave many gaps between them. */
#define SLAB_SIZE   ((size_t)1024 * 1024)
#define GRAIN       ((size_t)8)
#define CLASS_COUNT (POOL_OBJECT_MAX / GRAIN)

/* Empty slabs of one size that are kept, or objects that come and go would take new ones each time.
 */
#define EMPTY_MAX ((size_t)2)

/* A free object. */
struct vacancy {
    struct vacancy *next;
};

struct slab {
    LIST_ENTRY(slab) link; /* among those of its class that have room */
    struct vacancy *freed;
    uint32_t used;  /* objects in use */
    uint32_t fresh; /* where what was never used begins */
};

LIST_HEAD(slab_list, slab);

/* Objects of one size. */
struct class
{
    struct slab_list slabs; /* that have room */
    size_t empty;           /* of them */
};

struct pool {
    struct class classes[CLASS_COUNT];
    size_t slabs;
};

static struct class *class_of(struct pool *pool, size_t size)
{
    return &pool->classes[(size + GRAIN - 1) / GRAIN - 1];
}

static size_t rounded(size_t size)
{
    return (size + GRAIN - 1) / GRAIN * GRAIN;
}

static bool has_room(const struct slab *slab, size_t size)
{
    return slab->freed != NULL || slab->fresh + rounded(size) <= SLAB_SIZE;
}

static struct slab *create_slab(struct pool *pool, struct class *class)
{
    struct slab *slab = memory_alloc_aligned(SLAB_SIZE, SLAB_SIZE);
    *slab = (struct slab){.fresh = (uint32_t)rounded(sizeof(*slab))};
    ASAN_POISON_MEMORY_REGION((char *)slab + slab->fresh, SLAB_SIZE - slab->fresh);
    LIST_INSERT_HEAD(&class->slabs, slab, link);
    class->empty++;
    pool->slabs++;
    return slab;
}

static void destroy_empty(struct pool *pool, struct class *class, struct slab *slab)
{
    CHECK(slab->used == 0);
    class->empty--;
    LIST_REMOVE(slab, link);
    ASAN_UNPOISON_MEMORY_REGION(slab, SLAB_SIZE);
    memory_free(slab);
    pool->slabs--;
}

/* The place of an object that the slab has room for. */
static void *take_place(struct slab *slab, size_t size)
{
    struct vacancy *vacancy = slab->freed;
    if (vacancy == NULL) {
        vacancy = (void *)((char *)slab + slab->fresh);
        slab->fresh += (uint32_t)rounded(size);
        ASAN_UNPOISON_MEMORY_REGION(vacancy, size);
        return vacancy;
    }
    ASAN_UNPOISON_MEMORY_REGION(vacancy, size < sizeof(*vacancy) ? sizeof(*vacancy) : size);
    slab->freed = vacancy->next;
    return vacancy;
}

void *pool_alloc(struct pool *pool, size_t size)
{
    CHECK(size > 0);
    if (size > POOL_OBJECT_MAX) {
        return memory_alloc(size);
    }
    struct class *class = class_of(pool, size);
    struct slab *slab = LIST_FIRST(&class->slabs);
    if (slab == NULL) {
        slab = create_slab(pool, class);
    }
    void *object = take_place(slab, size);
    class->empty -= slab->used == 0 ? 1 : 0;
    slab->used++;
    if (!has_room(slab, size)) {
        LIST_REMOVE(slab, link);
    }
    return memset(object, 0, size);
}

void pool_free(struct pool *pool, void *object, size_t size)
{
    if (object == NULL || size > POOL_OBJECT_MAX) {
        memory_free(object);
        return;
    }
    struct class *class = class_of(pool, size);
    struct slab *slab = (void *)((uintptr_t)object & ~(SLAB_SIZE - 1));
    struct vacancy *vacancy = object;
    CHECK(slab->used > 0);
    if (!has_room(slab, size)) {
        LIST_INSERT_HEAD(&class->slabs, slab, link);
    }
    ASAN_UNPOISON_MEMORY_REGION(vacancy, sizeof(*vacancy));
    vacancy->next = slab->freed;
    ASAN_POISON_MEMORY_REGION(object, rounded(size));
    slab->freed = vacancy;
    slab->used--;
    class->empty += slab->used == 0 ? 1 : 0;
    if (class->empty > EMPTY_MAX) {
        destroy_empty(pool, class, slab);
    }
}

struct pool *pool_create(void)
{
    return memory_alloc(sizeof(struct pool));
}

void pool_destroy(struct pool *pool)
{
    for (size_t i = 0; i < CLASS_COUNT; i++) {
        struct class *class = &pool->classes[i];
        while (!LIST_EMPTY(&class->slabs)) {
            destroy_empty(pool, class, LIST_FIRST(&class->slabs));
        }
    }
    CHECK(pool->slabs == 0);
    memory_free(pool);
}
