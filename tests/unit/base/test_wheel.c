/* SPDX-License-Identifier: Apache-2.0 */
#include "base/wheel.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/compiler.h"
#include "base/memory.h"

#define MS  CLOCK_US_PER_MS
#define S   CLOCK_US_PER_S
#define DAY (86400 * S)

struct probe {
    struct timer timer;
    struct wheel *wheel;
    struct probe *other; /* cleared on firing, when not NULL */
    int64_t again_us;    /* set to this on firing, when not 0 */
    int64_t fired_at_us;
    int count;
};

static void on_due(struct timer *timer, int64_t now_us)
{
    struct probe *probe = CONTAINER_OF(timer, struct probe, timer);
    assert_false(timer_is_set(timer));
    probe->fired_at_us = now_us;
    probe->count++;
    if (probe->other != NULL) {
        wheel_clear(probe->wheel, &probe->other->timer);
    }
    if (probe->again_us != 0) {
        wheel_set(probe->wheel, timer, probe->again_us);
    }
}

static struct probe make_probe(struct wheel *wheel)
{
    struct probe probe = {.wheel = wheel};
    timer_init(&probe.timer, on_due);
    return probe;
}

static void test_an_empty_wheel_never_wants_to_run(void **state)
{
    (void)state;
    struct wheel *wheel = wheel_create(5 * S);
    assert_true(wheel_next_us(wheel) == CLOCK_NEVER);
    wheel_run(wheel, 5 * S);
    wheel_run(wheel, 3600 * S);
    assert_true(wheel_next_us(wheel) == CLOCK_NEVER);
    wheel_destroy(wheel);
}

static void test_a_timer_fires_once_and_to_the_microsecond(void **state)
{
    (void)state;
    static const int64_t dues[] = {
        1,         999,       1000,     1001, 63999,     64000,           64001,          4096000,
        262144000, 262144001, 3600 * S, DAY,  400 * DAY, CLOCK_NEVER / 2, CLOCK_NEVER - 1};
    for (size_t i = 0; i < COUNT_OF(dues); i++) {
        struct wheel *wheel = wheel_create(0);
        struct probe probe = make_probe(wheel);
        wheel_set(wheel, &probe.timer, dues[i]);
        assert_true(timer_is_set(&probe.timer));
        wheel_run(wheel, dues[i] - 1);
        assert_int_equal(probe.count, 0);
        assert_true(wheel_next_us(wheel) >= dues[i] - 1);
        wheel_run(wheel, dues[i]);
        assert_int_equal(probe.count, 1);
        assert_false(timer_is_set(&probe.timer));
        wheel_run(wheel, dues[i]);
        assert_int_equal(probe.count, 1);
        wheel_destroy(wheel);
    }
}

static void test_running_when_asked_reaches_the_timer_in_few_steps(void **state)
{
    (void)state;
    for (int64_t due_us = 1; due_us < CLOCK_NEVER / 3; due_us = due_us * 3 + 1) {
        int64_t start_us = 123456789;
        struct wheel *wheel = wheel_create(start_us);
        struct probe probe = make_probe(wheel);
        wheel_set(wheel, &probe.timer, start_us + due_us);
        int steps = 0;
        while (probe.count == 0) {
            wheel_run(wheel, wheel_next_us(wheel));
            steps++;
        }
        assert_true(steps <= 9);
        assert_true(probe.fired_at_us - (start_us + due_us) < MS);
        wheel_destroy(wheel);
    }
}

static void test_never_clears(void **state)
{
    (void)state;
    struct wheel *wheel = wheel_create(0);
    struct probe probe = make_probe(wheel);
    wheel_clear(wheel, &probe.timer);
    wheel_set(wheel, &probe.timer, 10 * MS);
    wheel_set(wheel, &probe.timer, CLOCK_NEVER);
    assert_false(timer_is_set(&probe.timer));
    wheel_run(wheel, S);
    assert_int_equal(probe.count, 0);
    wheel_destroy(wheel);
}

static void test_the_past_fires_in_the_next_run(void **state)
{
    (void)state;
    static const int64_t dues[] = {-S, 0, 9 * S, 10 * S};
    for (size_t i = 0; i < COUNT_OF(dues); i++) {
        struct wheel *wheel = wheel_create(10 * S);
        struct probe probe = make_probe(wheel);
        wheel_set(wheel, &probe.timer, dues[i]);
        assert_true(wheel_next_us(wheel) <= 10 * S);
        wheel_run(wheel, 10 * S);
        assert_int_equal(probe.count, 1);
        wheel_destroy(wheel);
    }
}

static void test_what_a_callback_sets_to_now_waits_for_the_next_run(void **state)
{
    (void)state;
    struct wheel *wheel = wheel_create(0);
    struct probe probe = make_probe(wheel);
    probe.again_us = 5 * MS;
    wheel_set(wheel, &probe.timer, MS);
    wheel_run(wheel, 7 * MS);
    assert_int_equal(probe.count, 1);
    assert_true(wheel_next_us(wheel) <= 7 * MS);
    wheel_run(wheel, 7 * MS);
    assert_int_equal(probe.count, 2);
    probe.again_us = 0;
    wheel_run(wheel, 7 * MS);
    assert_int_equal(probe.count, 3);
    wheel_destroy(wheel);
}

static void test_a_callback_may_clear_what_is_due_in_the_same_run(void **state)
{
    (void)state;
    struct wheel *wheel = wheel_create(0);
    struct probe first = make_probe(wheel);
    struct probe second = make_probe(wheel);
    first.other = &second;
    second.other = &first;
    int64_t start_us = 0;
    /* In one tick and in several. */
    for (int64_t apart_us = 1; apart_us < 10 * MS; apart_us += 250) {
        int before = first.count + second.count;
        start_us += S;
        wheel_set(wheel, &first.timer, start_us);
        wheel_set(wheel, &second.timer, start_us + apart_us);
        wheel_run(wheel, start_us + apart_us);
        assert_int_equal(first.count + second.count, before + 1);
        assert_true(wheel_next_us(wheel) == CLOCK_NEVER);
    }
    wheel_destroy(wheel);
}

static void free_self(struct timer *timer, int64_t now_us)
{
    (void)now_us;
    memory_free(CONTAINER_OF(timer, struct probe, timer));
}

static void test_a_callback_may_free_its_timer(void **state)
{
    (void)state;
    struct wheel *wheel = wheel_create(0);
    for (int64_t i = 0; i < 1000; i++) {
        struct probe *probe = memory_alloc(sizeof(*probe));
        timer_init(&probe->timer, free_self);
        wheel_set(wheel, &probe->timer, i * 777);
    }
    wheel_run(wheel, S);
    assert_true(wheel_next_us(wheel) == CLOCK_NEVER);
    wheel_destroy(wheel);
}

/* A million timers over an hour, all due at once after a long stop. */
static void test_a_long_stop_is_caught_up_in_one_run(void **state)
{
    (void)state;
    enum { COUNT = 1000000 };
    struct wheel *wheel = wheel_create(0);
    struct probe *probes = memory_alloc(COUNT * sizeof(*probes));
    int64_t start_us = clock_now_us();
    for (int i = 0; i < COUNT; i++) {
        probes[i] = make_probe(wheel);
        wheel_set(wheel, &probes[i].timer, (int64_t)i * 3607 + 1);
    }
    int64_t set_us = clock_now_us();
    wheel_run(wheel, 365 * DAY);
    int64_t run_us = clock_now_us();
    for (int i = 0; i < COUNT; i++) {
        assert_int_equal(probes[i].count, 1);
    }
    print_message("set: %.1f ns a timer; run after a year: %.1f ns a timer\n",
                  (double)(set_us - start_us) * 1000 / (double)COUNT,
                  (double)(run_us - set_us) * 1000 / (double)COUNT);
    memory_free(probes);
    wheel_destroy(wheel);
}

static void test_setting_is_cheap(void **state)
{
    (void)state;
    enum { COUNT = 1000, ROUNDS = 1000 };
    struct wheel *wheel = wheel_create(0);
    struct probe *probes = memory_alloc(COUNT * sizeof(*probes));
    for (int i = 0; i < COUNT; i++) {
        probes[i] = make_probe(wheel);
    }
    int64_t start_us = clock_now_us();
    for (int round = 0; round < ROUNDS; round++) {
        for (int i = 0; i < COUNT; i++) {
            wheel_set(wheel, &probes[i].timer, ((int64_t)round * 7 + i % 61) * 10 * MS + 1);
        }
    }
    int64_t took_us = clock_now_us() - start_us;
    print_message("moving a set timer: %.1f ns\n", (double)took_us * 1000 / (COUNT * ROUNDS));
    for (int i = 0; i < COUNT; i++) {
        wheel_clear(wheel, &probes[i].timer);
    }
    assert_true(wheel_next_us(wheel) == CLOCK_NEVER);
    memory_free(probes);
    wheel_destroy(wheel);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_an_empty_wheel_never_wants_to_run),
        cmocka_unit_test(test_a_timer_fires_once_and_to_the_microsecond),
        cmocka_unit_test(test_running_when_asked_reaches_the_timer_in_few_steps),
        cmocka_unit_test(test_never_clears),
        cmocka_unit_test(test_the_past_fires_in_the_next_run),
        cmocka_unit_test(test_what_a_callback_sets_to_now_waits_for_the_next_run),
        cmocka_unit_test(test_a_callback_may_clear_what_is_due_in_the_same_run),
        cmocka_unit_test(test_a_callback_may_free_its_timer),
        cmocka_unit_test(test_a_long_stop_is_caught_up_in_one_run),
        cmocka_unit_test(test_setting_is_cheap),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
