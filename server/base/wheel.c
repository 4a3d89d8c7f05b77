/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A timer belongs to the tick at or after its due time. A tick is a number of 54 bits, read as nine
 * digits of six bits, one level of slots per digit. A timer lies on the level of the highest digit
 * in which its tick differs from the wheel's, in the slot of that digit. So every timer of a level
 * comes before every timer of the levels above, the slots of a level come in order, nothing wraps
 * around, and the place of a timer follows from its due time alone, at any moment.
 *
 * When the wheel's tick enters a slot above level 0, its timers spread over the levels below.
 */
#include "base/wheel.h"

#include <stddef.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/memory.h"

#define TICK_US     CLOCK_US_PER_MS
#define DIGIT_BITS  6U
#define SLOT_COUNT  (1U << DIGIT_BITS)
#define SLOT_MASK   ((uint64_t)SLOT_COUNT - 1)
#define LEVEL_COUNT 9U

struct level {
    uint64_t occupied; /* bit i: slots[i] is not empty */
    struct timer_list slots[SLOT_COUNT];
};

struct wheel {
    int64_t now_us; /* of the last run */
    uint64_t tick;  /* now_us, rounded up: the slot of level 0 that a run looks into last */
    struct level levels[LEVEL_COUNT];
    struct timer_list late; /* set when their time had come; they wait for the next run */
    struct timer_list due;  /* what the run under way has still to fire */
};

struct place {
    struct level *level;
    unsigned int slot;
};

static uint64_t tick_of(int64_t us)
{
    return us <= 0 ? 0 : ((uint64_t)us + (uint64_t)TICK_US - 1) / (uint64_t)TICK_US;
}

static struct place place_of(struct wheel *wheel, int64_t due_us)
{
    uint64_t tick = tick_of(due_us);
    if (tick < wheel->tick) {
        tick = wheel->tick;
    }
    uint64_t difference = tick ^ wheel->tick;
    unsigned int digit =
        difference == 0 ? 0 : (63U - (unsigned int)__builtin_clzll(difference)) / DIGIT_BITS;
    return (struct place){
        .level = &wheel->levels[digit],
        .slot = (unsigned int)((tick >> (digit * DIGIT_BITS)) & SLOT_MASK),
    };
}

static void insert(struct wheel *wheel, struct timer *timer)
{
    struct place place = place_of(wheel, timer->due_us);
    LIST_INSERT_HEAD(&place.level->slots[place.slot], timer, link);
    place.level->occupied |= UINT64_C(1) << place.slot;
}

struct next_slot {
    unsigned int level; /* LEVEL_COUNT when every slot is empty */
    unsigned int slot;
    uint64_t tick; /* at which the slot is entered */
};

static struct next_slot find_next_slot(const struct wheel *wheel)
{
    for (unsigned int i = 0; i < LEVEL_COUNT; i++) {
        uint64_t occupied = wheel->levels[i].occupied;
        if (occupied != 0) {
            unsigned int slot = (unsigned int)__builtin_ctzll(occupied);
            uint64_t above = wheel->tick >> ((i + 1) * DIGIT_BITS);
            uint64_t tick = ((above << DIGIT_BITS) | slot) << (i * DIGIT_BITS);
            return (struct next_slot){.level = i, .slot = slot, .tick = tick};
        }
    }
    return (struct next_slot){.level = LEVEL_COUNT};
}

/* Appends the due timers of `slot` behind `tail` and keeps the others; returns the new tail. */
static struct timer *collect(struct wheel *wheel, struct timer_list *slot, struct timer *tail)
{
    struct timer *timer = LIST_FIRST(slot);
    while (timer != NULL) {
        struct timer *next = LIST_NEXT(timer, link);
        if (timer->due_us <= wheel->now_us) {
            LIST_REMOVE(timer, link);
            if (tail == NULL) {
                LIST_INSERT_HEAD(&wheel->due, timer, link);
            } else {
                LIST_INSERT_AFTER(tail, timer, link);
            }
            tail = timer;
        }
        timer = next;
    }
    return tail;
}

/* Spreads the timers of a slot that was just entered over the levels below. */
static void spread(struct wheel *wheel, struct timer_list *slot)
{
    struct timer *timer = LIST_FIRST(slot);
    LIST_INIT(slot);
    while (timer != NULL) {
        struct timer *next = LIST_NEXT(timer, link);
        insert(wheel, timer);
        timer = next;
    }
}

/* Moves the wheel to `tick` and everything due to `due`, in order of tick. */
static void advance(struct wheel *wheel, uint64_t tick)
{
    struct timer *tail = collect(wheel, &wheel->late, NULL);
    for (;;) {
        struct next_slot next = find_next_slot(wheel);
        if (next.level == LEVEL_COUNT || next.tick > tick) {
            break;
        }
        struct level *level = &wheel->levels[next.level];
        wheel->tick = next.tick;
        level->occupied &= ~(UINT64_C(1) << next.slot);
        if (next.level > 0) {
            spread(wheel, &level->slots[next.slot]);
            continue;
        }
        tail = collect(wheel, &level->slots[next.slot], tail);
        if (!LIST_EMPTY(&level->slots[next.slot])) {
            level->occupied |= UINT64_C(1) << next.slot;
            break;
        }
    }
    wheel->tick = tick;
}

struct wheel *wheel_create(int64_t now_us)
{
    CHECK(now_us >= 0);
    struct wheel *wheel = memory_alloc(sizeof(*wheel));
    wheel->now_us = now_us;
    wheel->tick = tick_of(now_us);
    return wheel;
}

void wheel_destroy(struct wheel *wheel)
{
    CHECK(wheel_next_us(wheel) == CLOCK_NEVER);
    memory_free(wheel);
}

void timer_init(struct timer *timer, timer_fn *on_due)
{
    *timer = (struct timer){.due_us = CLOCK_NEVER, .on_due = on_due};
}

void wheel_set(struct wheel *wheel, struct timer *timer, int64_t due_us)
{
    wheel_clear(wheel, timer);
    if (due_us == CLOCK_NEVER) {
        return;
    }
    timer->due_us = due_us;
    if (due_us <= wheel->now_us) {
        LIST_INSERT_HEAD(&wheel->late, timer, link);
    } else {
        insert(wheel, timer);
    }
}

void wheel_clear(struct wheel *wheel, struct timer *timer)
{
    if (!timer_is_set(timer)) {
        return;
    }
    LIST_REMOVE(timer, link);
    struct place place = place_of(wheel, timer->due_us);
    if (LIST_EMPTY(&place.level->slots[place.slot])) {
        place.level->occupied &= ~(UINT64_C(1) << place.slot);
    }
    timer->due_us = CLOCK_NEVER;
}

bool timer_is_set(const struct timer *timer)
{
    return timer->due_us != CLOCK_NEVER;
}

void wheel_run(struct wheel *wheel, int64_t now_us)
{
    CHECK(now_us >= wheel->now_us);
    CHECK(LIST_EMPTY(&wheel->due));
    wheel->now_us = now_us;
    advance(wheel, tick_of(now_us));
    struct timer *timer;
    while ((timer = LIST_FIRST(&wheel->due)) != NULL) {
        LIST_REMOVE(timer, link);
        timer->due_us = CLOCK_NEVER;
        timer->on_due(timer, now_us);
    }
}

int64_t wheel_next_us(const struct wheel *wheel)
{
    if (!LIST_EMPTY(&wheel->late) || !LIST_EMPTY(&wheel->due)) {
        return wheel->now_us;
    }
    struct next_slot next = find_next_slot(wheel);
    if (next.level == LEVEL_COUNT) {
        return CLOCK_NEVER;
    }
    bool fits = next.tick <= (uint64_t)(CLOCK_NEVER / TICK_US);
    return fits ? (int64_t)next.tick * TICK_US : CLOCK_NEVER - 1;
}
