/* SPDX-License-Identifier: Apache-2.0 */
/* Two stores on one server: what one does, the other is told. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <hiredis/hiredis.h>

#include "base/clock.h"
#include "redis/redis_store.h"
#include "redis_fixture.h"
#include "store_fixture.h"

struct fixture {
    struct redis_fixture redis;
    struct store_fixture here, there;
    struct asked mine, theirs, release;
};

static int set_up(void **state)
{
    char url[160];
    struct fixture *fixture = calloc(1, sizeof(*fixture));
    assert_non_null(fixture);
    redis_fixture_init(&fixture->redis, NULL);
    snprintf(url, sizeof(url), "unix://%s", fixture->redis.socket_path);
    store_fixture_init(&fixture->here, store_fixture_config(), url);
    store_fixture_init(&fixture->there, store_fixture_config(), url);
    store_fixture_wait(&fixture->here, fixture->here.subscribed == 1);
    store_fixture_wait(&fixture->there, fixture->there.subscribed == 1);
    asked_init(&fixture->mine, &fixture->here, STORE_ACQUIRE, "a", 1);
    asked_init(&fixture->theirs, &fixture->there, STORE_ACQUIRE, "a", 2);
    asked_init(&fixture->release, &fixture->there, STORE_RELEASE, "a", 2);
    fixture->mine.op.wants_queue = true;
    *state = fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    store_fixture_release(&fixture->here);
    store_fixture_release(&fixture->there);
    redis_fixture_release(&fixture->redis);
    free(fixture);
    return 0;
}

static void test_a_lock_is_handed_over(void **state)
{
    struct fixture *fixture = *state;
    struct store_fixture *here = &fixture->here;
    assert_int_equal(asked_run(&fixture->theirs), STORE_OK);
    assert_int_equal(asked_run(&fixture->mine), STORE_QUEUED);
    assert_int_equal(asked_run(&fixture->release), STORE_OK);
    store_fixture_wait(here, here->granted == 1);
    assert_string_equal(here->hinted_key, "a");
    assert_true(id128_equal(&here->hinted_tenure, &fixture->mine.op.tenure));
    assert_int_equal(asked_run(&fixture->theirs), STORE_BUSY);
    assert_int_equal(asked_run(&fixture->mine), STORE_OK);
    assert_int_equal(here->metrics.redis_messages_ignored, 0);
    assert_int_equal(here->granted, 1);
}

/* Nobody there is given the lock who would not hear of it. */
static void test_who_is_cut_off_is_passed_over(void **state)
{
    struct fixture *fixture = *state;
    struct store_fixture *here = &fixture->here;
    assert_int_equal(asked_run(&fixture->theirs), STORE_OK);
    assert_int_equal(asked_run(&fixture->mine), STORE_QUEUED);
    freeReplyObject(redis_fixture_command(&fixture->redis, "CLIENT KILL TYPE pubsub"));
    assert_int_equal(asked_run(&fixture->release), STORE_OK);
    assert_int_equal(redis_fixture_integer(&fixture->redis, "EXISTS lock:a"), 0);
    store_fixture_wait(here, here->subscribed == 2);
    assert_int_equal(here->granted, 0);
    assert_int_equal(asked_run(&fixture->mine), STORE_OK);
}

static void test_a_watched_lock_changes(void **state)
{
    struct fixture *fixture = *state;
    struct store_fixture *here = &fixture->here;
    struct asked look;
    store_watch(here->port, "a", 1);
    store_fixture_wait(here, here->changed == 1);
    asked_init(&look, here, STORE_INSPECT, "a", 0);
    assert_int_equal(asked_run(&look), STORE_OK);
    assert_false(look.result.holder.is_held);
    assert_int_equal(asked_run(&fixture->theirs), STORE_OK);
    store_fixture_wait(here, here->changed == 2);
    assert_string_equal(here->hinted_key, "a");
    assert_int_equal(asked_run(&look), STORE_OK);
    assert_true(look.result.holder.is_held);
    assert_int_equal(asked_run(&fixture->release), STORE_OK);
    store_fixture_wait(here, here->changed == 3);
    store_unwatch(here->port, "a", 1);
    assert_int_equal(fixture->there.changed, 0);
}

#define HANDOFF_TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        HANDOFF_TEST(test_a_lock_is_handed_over),
        HANDOFF_TEST(test_who_is_cut_off_is_passed_over),
        HANDOFF_TEST(test_a_watched_lock_changes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
