/* SPDX-License-Identifier: Apache-2.0 */
#include "lease/lock_table.h"

#include <string.h>

#include "base/check.h"
#include "base/memory.h"
#include "base/table.h"
#include "lease/lock.h"

#define CHAINS_MIN ((size_t)16)
#define LOAD       ((size_t)2) /* locks in a chain, on average */

/* The chain of a hash. Chains above the last power of two were split off those below it; where that
 * is still to come, the one below has both. */
static size_t chain_of(const struct lock_table *table, uint32_t hash)
{
    const size_t chain = hash & (table->room - 1);
    return chain < table->chain_count ? chain : hash & (table->room / 2 - 1);
}

static struct lock **place_of(const struct lock_table *table, const struct lock *lock)
{
    struct lock **place = &table->chains[chain_of(table, lock->hash)];
    while (*place != lock) {
        place = &(*place)->next;
    }
    return place;
}

/* `room` is such that the chains, and one more, are more than a half of it and fit. */
static void make_room(struct lock_table *table, size_t room)
{
    if (room != table->room) {
        table->chains = memory_resize(table->chains, room * sizeof(struct lock *));
        table->room = room;
    }
}

/* Adds a chain, to which those of another one go that belong there now. */
static void split(struct lock_table *table)
{
    const size_t added = table->chain_count;
    make_room(table, added == table->room ? table->room * 2 : table->room);
    table->chain_count++;
    struct lock **kept = &table->chains[added & (table->room / 2 - 1)];
    struct lock **moved = &table->chains[added];
    while (*kept != NULL) {
        struct lock *lock = *kept;
        if (chain_of(table, lock->hash) == added) {
            *kept = lock->next;
            *moved = lock;
            moved = &lock->next;
        } else {
            kept = &lock->next;
        }
    }
    *moved = NULL;
}

/* Takes the last chain away and gives what is in it back to the one it was split off. */
static void merge(struct lock_table *table)
{
    const size_t last = table->chain_count - 1;
    struct lock **place = &table->chains[last & (table->room / 2 - 1)];
    while (*place != NULL) {
        place = &(*place)->next;
    }
    *place = table->chains[last];
    table->chain_count = last;
    make_room(table, last == table->room / 2 ? last : table->room);
}

static void create_chains(struct lock_table *table)
{
    table->chains = memory_alloc(CHAINS_MIN * sizeof(struct lock *));
    table->chain_count = CHAINS_MIN;
    table->room = CHAINS_MIN;
}

static void free_chains(struct lock_table *table)
{
    memory_free(table->chains);
    *table = (struct lock_table){.chains = NULL};
}

struct lock *lock_table_find(const struct lock_table *table, const char *key, size_t key_length)
{
    if (table->count == 0) {
        return NULL;
    }
    const uint32_t hash = table_hash(key, key_length);
    struct lock *lock = table->chains[chain_of(table, hash)];
    while (lock != NULL && (lock->hash != hash || lock->key_length != key_length ||
                            memcmp(lock->key, key, key_length) != 0)) {
        lock = lock->next;
    }
    return lock;
}

void lock_table_insert(struct lock_table *table, struct lock *lock)
{
    if (table->chains == NULL) {
        create_chains(table);
    }
    lock->hash = table_hash(lock->key, lock->key_length);
    struct lock **chain = &table->chains[chain_of(table, lock->hash)];
    lock->next = *chain;
    *chain = lock;
    table->count++;
    if (table->count > table->chain_count * LOAD) {
        split(table);
    }
}

void lock_table_remove(struct lock_table *table, struct lock *lock)
{
    CHECK(table->count > 0);
    *place_of(table, lock) = lock->next;
    table->count--;
    if (table->count == 0) {
        free_chains(table);
    } else if (table->chain_count > CHAINS_MIN && table->count < table->chain_count) {
        merge(table);
    }
}

struct lock *lock_table_next(const struct lock_table *table, const struct lock *lock)
{
    if (lock != NULL && lock->next != NULL) {
        return lock->next;
    }
    size_t chain = lock == NULL ? 0 : chain_of(table, lock->hash) + 1;
    while (chain < table->chain_count && table->chains[chain] == NULL) {
        chain++;
    }
    return chain < table->chain_count ? table->chains[chain] : NULL;
}
