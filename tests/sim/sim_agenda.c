/* SPDX-License-Identifier: Apache-2.0 */
#include "sim_agenda.h"

#include "base/memory.h"

static bool is_before(const struct agenda_entry *a, const struct agenda_entry *b)
{
    return a->at_us != b->at_us ? a->at_us < b->at_us : a->order < b->order;
}

static void swap(struct agenda_entry *a, struct agenda_entry *b)
{
    const struct agenda_entry kept = *a;
    *a = *b;
    *b = kept;
}

static void sift_up(struct agenda *agenda, size_t at)
{
    while (at > 0 && is_before(&agenda->entries[at], &agenda->entries[(at - 1) / 2])) {
        swap(&agenda->entries[at], &agenda->entries[(at - 1) / 2]);
        at = (at - 1) / 2;
    }
}

static void sift_down(struct agenda *agenda, size_t at)
{
    for (;;) {
        size_t first = at;
        for (size_t child = 2 * at + 1; child <= 2 * at + 2 && child < agenda->count; child++) {
            if (is_before(&agenda->entries[child], &agenda->entries[first])) {
                first = child;
            }
        }
        if (first == at) {
            return;
        }
        swap(&agenda->entries[at], &agenda->entries[first]);
        at = first;
    }
}

void agenda_init(struct agenda *agenda)
{
    *agenda = (struct agenda){.capacity = 256};
    agenda->entries = memory_alloc(agenda->capacity * sizeof(*agenda->entries));
}

void agenda_release(struct agenda *agenda)
{
    memory_free(agenda->entries);
}

void agenda_add(struct agenda *agenda, int64_t at_us, agenda_fn *run, void *user, uint64_t number)
{
    if (agenda->count == agenda->capacity) {
        agenda->capacity *= 2;
        agenda->entries =
            memory_resize(agenda->entries, agenda->capacity * sizeof(*agenda->entries));
    }
    agenda->entries[agenda->count] = (struct agenda_entry){
        .at_us = at_us,
        .order = agenda->orders++,
        .run = run,
        .user = user,
        .number = number,
    };
    sift_up(agenda, agenda->count++);
}

bool agenda_take(struct agenda *agenda, struct agenda_entry *entry)
{
    if (agenda->count == 0) {
        return false;
    }
    *entry = agenda->entries[0];
    agenda->entries[0] = agenda->entries[--agenda->count];
    sift_down(agenda, 0);
    return true;
}
