/* SPDX-License-Identifier: Apache-2.0 */
#include "app/signals.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/compiler.h"

static int seen[65];

static void on_signal(void *user, int number)
{
    assert_ptr_equal(user, seen);
    seen[number]++;
}

static void signals_are_told_in_the_turn(void **state)
{
    (void)state;
    static const int numbers[] = {SIGTERM, SIGHUP};
    struct loop *loop = loop_create();
    memset(seen, 0, sizeof(seen));
    struct signals *signals = signals_create(loop, numbers, COUNT_OF(numbers), on_signal, seen);
    raise(SIGTERM);
    assert_int_equal(seen[SIGTERM], 0);
    loop_turn(loop, 0);
    assert_int_equal(seen[SIGTERM], 1);
    raise(SIGTERM);
    raise(SIGHUP);
    loop_turn(loop, 0);
    assert_int_equal(seen[SIGTERM], 2);
    assert_int_equal(seen[SIGHUP], 1);
    loop_turn(loop, 0);
    assert_int_equal(seen[SIGTERM], 2);
    signals_destroy(signals);
    loop_destroy(loop);
}

static void a_closed_pipe_does_not_kill(void **state)
{
    (void)state;
    int ends[2];
    struct loop *loop = loop_create();
    struct signals *signals = signals_create(loop, NULL, 0, on_signal, seen);
    assert_int_equal(pipe(ends), 0);
    close(ends[0]);
    assert_int_equal(write(ends[1], "x", 1), -1);
    close(ends[1]);
    signals_destroy(signals);
    loop_destroy(loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(signals_are_told_in_the_turn),
        cmocka_unit_test(a_closed_pipe_does_not_kill),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
