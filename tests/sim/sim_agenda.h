/* SPDX-License-Identifier: Apache-2.0 */
/* What is still to happen, in order of true time; what is due at the same moment happens in the
 * order in which it was added. */
#ifndef SIM_AGENDA_H
#define SIM_AGENDA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct world;

typedef void agenda_fn(struct world *world, void *user, uint64_t number);

struct agenda_entry {
    int64_t at_us;
    uint64_t order;
    agenda_fn *run;
    void *user;
    uint64_t number;
};

struct agenda {
    struct agenda_entry *entries; /* a binary heap */
    size_t count;
    size_t capacity;
    uint64_t orders;
};

void agenda_init(struct agenda *agenda);

void agenda_release(struct agenda *agenda);

void agenda_add(struct agenda *agenda, int64_t at_us, agenda_fn *run, void *user, uint64_t number);

/* Takes the earliest entry; false when there is none. */
bool agenda_take(struct agenda *agenda, struct agenda_entry *entry);

#endif
