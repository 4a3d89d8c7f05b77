/* SPDX-License-Identifier: Apache-2.0 */
#include "app/lag_watch.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/log.h"

/* Lets the watch's timer fire `late_us` after it was due. */
static void be_late(struct lag_watch *watch, int64_t late_us)
{
    wheel_clear(loop_wheel(watch->loop), &watch->timer);
    watch->timer.on_due(&watch->timer, watch->due_us + late_us);
}

static void only_a_long_delay_is_worth_a_warning(void **state)
{
    (void)state;
    struct lag_watch watch;
    struct loop *loop = loop_create();
    log_set_level(LOG_LEVEL_ERROR);
    lag_watch_init(&watch, loop);
    be_late(&watch, 0);
    be_late(&watch, LAG_WATCH_WARN_US);
    assert_int_equal(watch.warnings, 0);
    be_late(&watch, LAG_WATCH_WARN_US + 1);
    assert_int_equal(watch.warnings, 1);
    assert_true(timer_is_set(&watch.timer));
    lag_watch_release(&watch);
    assert_false(timer_is_set(&watch.timer));
    loop_destroy(loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_a_long_delay_is_worth_a_warning),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
