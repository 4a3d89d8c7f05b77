/* SPDX-License-Identifier: Apache-2.0 */
/* When Redis is asked whether it has forgotten. */
#include "redis/doubt.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/compiler.h"

#define WINDOW_MS 80 /* so it is asked every 20 ms */

struct fixture {
    struct loop *loop;
    struct store port;
    struct store_listener listener;
    struct task flush;
    struct doubt doubt;
    bool has_leases;
    int asked;
};

static bool has_leases(const struct store_listener *listener)
{
    return CONTAINER_OF(listener, const struct fixture, listener)->has_leases;
}

static void run_flush(struct task *task)
{
    struct fixture *fixture = CONTAINER_OF(task, struct fixture, flush);
    fixture->asked += doubt_take(&fixture->doubt) ? 1 : 0;
    assert_false(doubt_take(&fixture->doubt));
}

static void turn_for(struct fixture *fixture, int64_t time_ms)
{
    int64_t until_us = clock_now_us() + time_ms * CLOCK_US_PER_MS;
    while (clock_now_us() < until_us) {
        loop_turn(fixture->loop, CLOCK_US_PER_MS);
    }
}

/* How often it is asked from now on, for so long. */
static int count(struct fixture *fixture, int64_t time_ms)
{
    int before = fixture->asked;
    turn_for(fixture, time_ms);
    return fixture->asked - before;
}

static void start(struct fixture *fixture, int64_t window_ms)
{
    fixture->has_leases = true;
    fixture->loop = loop_create();
    fixture->listener.has_leases = has_leases;
    fixture->port.listener = &fixture->listener;
    task_init(&fixture->flush, run_flush);
    doubt_init(&fixture->doubt, fixture->loop, &fixture->port, &fixture->flush, window_ms);
}

static void stop(struct fixture *fixture)
{
    doubt_release(&fixture->doubt);
    loop_unpost(fixture->loop, &fixture->flush);
    loop_destroy(fixture->loop);
}

static void test_asked_again_and_again_while_nothing_is_heard(void **state)
{
    (void)state;
    struct fixture fixture = {0};
    start(&fixture, WINDOW_MS);
    int asked = count(&fixture, 200);
    assert_in_range(asked, 2, 10);
    doubt_raise(&fixture.doubt, false);
    asked = count(&fixture, 200);
    assert_in_range(asked, 3, 11);
    stop(&fixture);
}

static void test_asked_once_when_something_is_heard(void **state)
{
    (void)state;
    struct fixture fixture = {0};
    start(&fixture, WINDOW_MS);
    doubt_raise(&fixture.doubt, true);
    assert_int_equal(count(&fixture, 200), 1);
    assert_int_equal(count(&fixture, 200), 0);
    doubt_raise(&fixture.doubt, true);
    assert_int_equal(count(&fixture, 200), 1);
    doubt_raise(&fixture.doubt, false);
    assert_in_range(count(&fixture, 200), 3, 11);
    doubt_raise(&fixture.doubt, true);
    assert_int_equal(count(&fixture, 200), 1);
    stop(&fixture);
}

/* A flood is asked about every 10 ms, and its end is not missed. */
static void test_a_flood(void **state)
{
    (void)state;
    struct fixture fixture = {0};
    start(&fixture, WINDOW_MS);
    int64_t until_us = clock_now_us() + 200 * CLOCK_US_PER_MS;
    while (clock_now_us() < until_us) {
        doubt_raise(&fixture.doubt, true);
        loop_turn(fixture.loop, 100);
    }
    assert_in_range(fixture.asked, 3, 21);
    doubt_raise(&fixture.doubt, true);
    assert_int_equal(count(&fixture, 100), 1);
    stop(&fixture);
}

static void test_an_answer_that_is_none(void **state)
{
    (void)state;
    struct fixture fixture = {0};
    start(&fixture, 4000);
    doubt_raise(&fixture.doubt, true);
    assert_int_equal(count(&fixture, 100), 1);
    doubt_keep(&fixture.doubt, true);
    assert_int_equal(count(&fixture, 100), 1);
    doubt_keep(&fixture.doubt, false);
    assert_int_equal(count(&fixture, 500), 0);
    assert_int_equal(count(&fixture, 1000), 1);
    assert_int_equal(count(&fixture, 1500), 0);
    stop(&fixture);
}

static void test_nothing_to_lose(void **state)
{
    (void)state;
    struct fixture fixture = {0};
    start(&fixture, WINDOW_MS);
    fixture.has_leases = false;
    doubt_raise(&fixture.doubt, true);
    assert_int_equal(count(&fixture, 50), 0);
    doubt_raise(&fixture.doubt, false);
    assert_int_equal(count(&fixture, 50), 0);
    fixture.has_leases = true;
    assert_in_range(count(&fixture, 200), 2, 11);
    fixture.port.listener = NULL;
    assert_int_equal(count(&fixture, 50), 0);
    stop(&fixture);
}

static void test_without_a_window(void **state)
{
    (void)state;
    struct fixture fixture = {0};
    start(&fixture, 0);
    doubt_raise(&fixture.doubt, true);
    doubt_raise(&fixture.doubt, false);
    assert_int_equal(count(&fixture, 100), 0);
    stop(&fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_asked_again_and_again_while_nothing_is_heard),
        cmocka_unit_test(test_asked_once_when_something_is_heard),
        cmocka_unit_test(test_a_flood),
        cmocka_unit_test(test_an_answer_that_is_none),
        cmocka_unit_test(test_nothing_to_lose),
        cmocka_unit_test(test_without_a_window),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
