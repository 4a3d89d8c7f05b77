/* SPDX-License-Identifier: Apache-2.0 */
/* A random walk of the wheel beside a plain array that says what must happen. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/compiler.h"
#include "base/random.h"
#include "base/wheel.h"

#define MS CLOCK_US_PER_MS

enum { TIMERS = 150, STEPS = 100000, WALKS = 3 };

struct walk;

struct walker {
    struct timer timer;
    struct walk *walk;
    int64_t due_us; /* what the wheel should believe */
    bool is_late;   /* set in the run under way, to a time already due */
};

struct walk {
    struct wheel *wheel;
    uint64_t random;
    int64_t now_us;
    bool is_running;
    uint64_t fired;
    struct walker walkers[TIMERS];
};

/* xorshift64*: repeatable from the seed. */
static uint64_t draw(struct walk *walk, uint64_t bound)
{
    walk->random ^= walk->random >> 12;
    walk->random ^= walk->random << 25;
    walk->random ^= walk->random >> 27;
    return (walk->random * UINT64_C(2685821657736338717) >> 11) % bound;
}

/* Spans of every size, from microseconds to a year. */
static int64_t draw_span_us(struct walk *walk)
{
    return (int64_t)draw(walk, UINT64_C(2) << draw(walk, 45));
}

static int64_t draw_due_us(struct walk *walk)
{
    switch (draw(walk, 10)) {
    case 0:
        return walk->now_us - draw_span_us(walk);
    case 1:
        return walk->now_us;
    case 2:
        return CLOCK_NEVER;
    case 3:
        return (walk->now_us / MS + (int64_t)draw(walk, 200)) * MS;
    default:
        return walk->now_us + draw_span_us(walk);
    }
}

static void set_one(struct walk *walk)
{
    struct walker *walker = &walk->walkers[draw(walk, TIMERS)];
    walker->due_us = draw_due_us(walk);
    walker->is_late = walk->is_running && walker->due_us <= walk->now_us;
    wheel_set(walk->wheel, &walker->timer, walker->due_us);
}

static void clear_one(struct walk *walk)
{
    struct walker *walker = &walk->walkers[draw(walk, TIMERS)];
    walker->due_us = CLOCK_NEVER;
    wheel_clear(walk->wheel, &walker->timer);
}

static void check_next(struct walk *walk)
{
    int64_t earliest_us = CLOCK_NEVER;
    for (size_t i = 0; i < TIMERS; i++) {
        struct walker *walker = &walk->walkers[i];
        assert_int_equal(timer_is_set(&walker->timer), walker->due_us != CLOCK_NEVER);
        if (walker->due_us < earliest_us) {
            earliest_us = walker->due_us;
        }
    }
    int64_t next_us = wheel_next_us(walk->wheel);
    if (earliest_us == CLOCK_NEVER) {
        assert_true(next_us == CLOCK_NEVER);
    } else if (earliest_us <= walk->now_us) {
        assert_true(next_us <= walk->now_us);
    } else {
        /* In the future, or the loop would spin. */
        assert_true(next_us > walk->now_us);
        assert_true(next_us <= (earliest_us + MS - 1) / MS * MS);
    }
}

static void on_due(struct timer *timer, int64_t now_us)
{
    struct walker *walker = CONTAINER_OF(timer, struct walker, timer);
    struct walk *walk = walker->walk;
    assert_true(now_us == walk->now_us);
    assert_true(walker->due_us <= now_us);
    assert_false(walker->is_late);
    walker->due_us = CLOCK_NEVER;
    walk->fired++;
    for (uint64_t i = draw(walk, 4); i > 0; i--) {
        if (draw(walk, 3) == 0) {
            clear_one(walk);
        } else {
            set_one(walk);
        }
    }
    check_next(walk);
}

static void run(struct walk *walk)
{
    int64_t next_us = wheel_next_us(walk->wheel);
    bool is_on_time = next_us != CLOCK_NEVER && next_us > walk->now_us && draw(walk, 2) == 0;
    walk->now_us = is_on_time ? next_us : walk->now_us + draw_span_us(walk) / 64;
    walk->is_running = true;
    wheel_run(walk->wheel, walk->now_us);
    walk->is_running = false;
    for (size_t i = 0; i < TIMERS; i++) {
        struct walker *walker = &walk->walkers[i];
        assert_true(walker->due_us > walk->now_us || walker->is_late);
        walker->is_late = false;
    }
}

static void walk_once(uint64_t seed)
{
    static struct walk walk;
    walk = (struct walk){.random = seed | 1, .now_us = (int64_t)(seed >> 14)};
    walk.wheel = wheel_create(walk.now_us);
    for (size_t i = 0; i < TIMERS; i++) {
        walk.walkers[i].walk = &walk;
        walk.walkers[i].due_us = CLOCK_NEVER;
        timer_init(&walk.walkers[i].timer, on_due);
    }
    for (int step = 0; step < STEPS; step++) {
        uint64_t choice = draw(&walk, 10);
        if (choice < 5) {
            set_one(&walk);
        } else if (choice < 6) {
            clear_one(&walk);
        } else {
            run(&walk);
        }
        check_next(&walk);
    }
    assert_true(walk.fired > STEPS / 20);
    for (size_t i = 0; i < TIMERS; i++) {
        wheel_clear(walk.wheel, &walk.walkers[i].timer);
    }
    wheel_destroy(walk.wheel);
}

static void test_the_wheel_does_what_the_array_says(void **state)
{
    (void)state;
    const char *given = getenv("WHEEL_SEED");
    for (int i = 0; i < WALKS; i++) {
        uint64_t seed = given != NULL ? strtoull(given, NULL, 10) : random_below(UINT64_MAX);
        print_message("WHEEL_SEED=%llu\n", (unsigned long long)seed);
        walk_once(seed);
    }
}

struct ordered {
    struct timer timer;
    int64_t due_us;
    int64_t *last_tick;
};

static void check_order(struct timer *timer, int64_t now_us)
{
    (void)now_us;
    struct ordered *ordered = CONTAINER_OF(timer, struct ordered, timer);
    int64_t tick = (ordered->due_us + MS - 1) / MS;
    assert_true(tick >= *ordered->last_tick);
    *ordered->last_tick = tick;
}

static void test_one_run_fires_in_order_of_tick(void **state)
{
    (void)state;
    static struct ordered all[2000];
    struct walk walk = {.random = random_below(UINT64_MAX) | 1};
    for (int round = 0; round < 20; round++) {
        int64_t last_tick = 0;
        struct wheel *wheel = wheel_create(0);
        for (size_t i = 0; i < COUNT_OF(all); i++) {
            all[i] = (struct ordered){.due_us = 1 + draw_span_us(&walk), .last_tick = &last_tick};
            timer_init(&all[i].timer, check_order);
            wheel_set(wheel, &all[i].timer, all[i].due_us);
        }
        wheel_run(wheel, CLOCK_NEVER / 2);
        assert_true(last_tick > 0);
        assert_true(wheel_next_us(wheel) == CLOCK_NEVER);
        wheel_destroy(wheel);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_wheel_does_what_the_array_says),
        cmocka_unit_test(test_one_run_fires_in_order_of_tick),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
