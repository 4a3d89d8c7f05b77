/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The locks of one server by name: a hash table that grows and shrinks by one chain at a time, so
 * that no insertion has to wait for a million others to move. A lock lends it a pointer and its
 * hash, which is a third of what a general table takes for an entry. For the lease core's own
 * files.
 *
 * Source: W. Litwin, "Linear Hashing: A New Tool for File and Table Addressing", VLDB 1980.
 */
#ifndef HOLDFAST_LEASE_LOCK_TABLE_H
#define HOLDFAST_LEASE_LOCK_TABLE_H

#include <stddef.h>
#include <stdint.h>

struct lock;

/* Zeroed it is empty; an empty one owns no memory. */
struct lock_table {
    struct lock **chains;
    size_t chain_count;
    size_t room; /* in `chains`, a power of two */
    size_t count;
};

/* The lock of that name, or NULL. */
struct lock *lock_table_find(const struct lock_table *table, const char *key, size_t key_length);

/* Adds a lock whose name is not there yet. */
void lock_table_insert(struct lock_table *table, struct lock *lock);

/* Takes a lock out that is in the table. */
void lock_table_remove(struct lock_table *table, struct lock *lock);

/* All locks in no stated order: the one after `lock`, or the first for NULL; NULL after the last.
 * The table must not change in between. */
struct lock *lock_table_next(const struct lock_table *table, const struct lock *lock);

#endif
