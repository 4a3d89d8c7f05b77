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

/* A slab lies at a multiple of its size, so that an object's address tells which one it is in. */
#define SLAB_SIZE   ((size_t)64 * 1024)
#define GRAIN       ((size_t)8)
#define CLASS_COUNT (POOL_OBJECT_MAX / GRAIN)

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

struct pool {
    struct slab_list classes[CLASS_COUNT]; /* by size; slabs that have room */
    size_t slabs;
};

static struct slab_list *class_of(struct pool *pool, size_t size)
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

static struct slab *create_slab(struct pool *pool, struct slab_list *list)
{
    struct slab *slab = memory_alloc_aligned(SLAB_SIZE, SLAB_SIZE);
    *slab = (struct slab){.fresh = (uint32_t)rounded(sizeof(*slab))};
    ASAN_POISON_MEMORY_REGION((char *)slab + slab->fresh, SLAB_SIZE - slab->fresh);
    LIST_INSERT_HEAD(list, slab, link);
    pool->slabs++;
    return slab;
}

static void destroy_slab(struct pool *pool, struct slab *slab)
{
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
    struct slab_list *list = class_of(pool, size);
    struct slab *slab = LIST_FIRST(list);
    if (slab == NULL) {
        slab = create_slab(pool, list);
    }
    void *object = take_place(slab, size);
    slab->used++;
    if (!has_room(slab, size)) {
        LIST_REMOVE(slab, link);
    }
    return memset(object, 0, size);
}

/* The last slab with room stays, or a single object that comes and goes would take one each time.
 */
static bool is_spare(const struct slab *slab, const struct slab_list *list)
{
    return slab->used == 0 && (LIST_FIRST(list) != slab || LIST_NEXT(slab, link) != NULL);
}

void pool_free(struct pool *pool, void *object, size_t size)
{
    if (object == NULL || size > POOL_OBJECT_MAX) {
        memory_free(object);
        return;
    }
    struct slab_list *list = class_of(pool, size);
    struct slab *slab = (void *)((uintptr_t)object & ~(SLAB_SIZE - 1));
    struct vacancy *vacancy = object;
    CHECK(slab->used > 0);
    if (!has_room(slab, size)) {
        LIST_INSERT_HEAD(list, slab, link);
    }
    ASAN_UNPOISON_MEMORY_REGION(vacancy, sizeof(*vacancy));
    vacancy->next = slab->freed;
    ASAN_POISON_MEMORY_REGION(object, rounded(size));
    slab->freed = vacancy;
    slab->used--;
    if (is_spare(slab, list)) {
        destroy_slab(pool, slab);
    }
}

struct pool *pool_create(void)
{
    return memory_alloc(sizeof(struct pool));
}

void pool_destroy(struct pool *pool)
{
    for (size_t i = 0; i < CLASS_COUNT; i++) {
        struct slab *slab = LIST_FIRST(&pool->classes[i]);
        if (slab != NULL) {
            CHECK(slab->used == 0);
            destroy_slab(pool, slab);
        }
    }
    CHECK(pool->slabs == 0);
    memory_free(pool);
}
