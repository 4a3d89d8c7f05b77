/* SPDX-License-Identifier: Apache-2.0 */
/* Waiting for a lock: queued, granted, busy after all, cancelled, asked again. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "async_loop.h"
#include "base/clock.h"
#include "base/compiler.h"
#include "fake_server.h"
#include "latch.h"
#include "wire/status.h"

static void start(struct async_loop *loop, struct fake_server *server, fake_script *script,
                  void *argument, uint32_t timeout_ms)
{
    fake_server_start(server, script, argument);
    async_loop_open_url(loop, server->url, timeout_ms);
}

static void finish(struct async_loop *loop, struct fake_server *server)
{
    async_loop_close(loop);
    fake_server_finish(server);
}

/* What on_queued was told. */
struct queue_news {
    int count;
    uint32_t position;
    struct holdfast_holder holder;
};

static void on_queued(uint32_t position, const struct holdfast_holder *holder, void *user)
{
    struct queue_news *news = user;
    news->count++;
    news->position = position;
    news->holder = *holder;
}

static struct holdfast_ask waiting_ask(struct queue_news *news, uint32_t wait_ms)
{
    *news = (struct queue_news){.count = 0};
    return (struct holdfast_ask){.key = FAKE_KEY,
                                 .label = "a test",
                                 .wait_ms = wait_ms,
                                 .events = {.on_queued = on_queued, .user = news}};
}

/* Is told when to go on, for the test decides what has been seen by then. */
static void queue_then_grant(struct fake_server *server, void *argument)
{
    struct latch *latches = argument;
    int connection = fake_accept(server);
    struct fake_ask ask;
    uint32_t stream_id = fake_take_ask(connection, &ask);
    REQUIRE(ask.message->ask->wait_ms == 60000);
    fake_release_ask(&ask);
    fake_send_queued(connection, stream_id, 2);
    latch_wait(&latches[0]);
    fake_send_queued(connection, stream_id, 1);
    latch_wait(&latches[1]);
    fake_send_granted(connection, stream_id, 8900);
    fake_read_ping(connection, stream_id);
    fake_send_renewed(connection, stream_id, 8900);
    fake_read_half_close(connection, stream_id);
    fake_send_released(connection, stream_id);
    fake_drain(connection);
}

static void test_queued_then_granted(void **state)
{
    (void)state;
    struct fake_server server;
    struct async_loop loop;
    struct queue_news news;
    struct answer held = {.count = 0};
    struct latch latches[2];
    struct holdfast_ask ask = waiting_ask(&news, 60000);
    latch_init(&latches[0]);
    latch_init(&latches[1]);
    /* The wait is longer than the timeout, which counts on top. */
    start(&loop, &server, queue_then_grant, latches, 200);
    assert_true(holdfast_async_hold(loop.async, &ask, async_on_lease, &held) != 0);
    async_loop_run_until(&loop, &news.count, 1);
    assert_int_equal(news.position, 2);
    assert_true(news.holder.is_held);
    assert_string_equal(news.holder.label, "the other one");
    async_loop_run_for(&loop, 300);
    assert_int_equal(held.count, 0);
    latch_open(&latches[0]);
    async_loop_run_until(&loop, &news.count, 2);
    assert_int_equal(news.position, 1);
    latch_open(&latches[1]);
    async_loop_run_until(&loop, &held.count, 1);
    assert_int_equal(held.result, HOLDFAST_OK);
    assert_in_range(holdfast_lease_valid_for_ms(held.lease), 1, 8900);
    struct answer released = {.count = 0};
    holdfast_async_release(loop.async, held.lease, async_on_done, &released);
    async_loop_run_until(&loop, &released.count, 1);
    assert_int_equal(released.result, HOLDFAST_OK);
    assert_int_equal(news.count, 2);
    holdfast_lease_free(held.lease);
    finish(&loop, &server);
    latch_release(&latches[0]);
    latch_release(&latches[1]);
}

struct freeze {
    atomic_bool has_asked;
    struct latch is_frozen;
    struct latch has_granted;
};

/* All of it is there before the client, which is frozen, reads on. */
static void queue_and_grant_at_once(struct fake_server *server, void *argument)
{
    struct freeze *freeze = argument;
    int connection = fake_accept(server);
    uint32_t stream_id = fake_read_ask(connection);
    atomic_store(&freeze->has_asked, true);
    latch_wait(&freeze->is_frozen);
    fake_send_queued(connection, stream_id, 1);
    fake_send_granted(connection, stream_id, 8900);
    latch_open(&freeze->has_granted);
    fake_drain(connection);
}

static void test_who_was_frozen_takes_no_old_grant_for_new(void **state)
{
    (void)state;
    struct fake_server server;
    struct async_loop loop;
    struct queue_news news;
    struct answer held = {.count = 0};
    struct freeze freeze = {.has_asked = false};
    struct holdfast_ask ask = waiting_ask(&news, 60000);
    latch_init(&freeze.is_frozen);
    latch_init(&freeze.has_granted);
    start(&loop, &server, queue_and_grant_at_once, &freeze, 5000);
    holdfast_async_hold(loop.async, &ask, async_on_lease, &held);
    while (!atomic_load(&freeze.has_asked)) {
        async_loop_run_for(&loop, 1);
    }
    latch_open(&freeze.is_frozen);
    latch_wait(&freeze.has_granted);
    const int64_t granted_us = clock_now_us();
    while (clock_now_us() < granted_us + 200 * CLOCK_US_PER_MS) {
    }
    async_loop_run_until(&loop, &held.count, 1);
    assert_int_equal(held.result, HOLDFAST_OK);
    assert_in_range(holdfast_lease_valid_for_ms(held.lease), 1, 8700);
    holdfast_lease_free(held.lease);
    finish(&loop, &server);
    latch_release(&freeze.is_frozen);
    latch_release(&freeze.has_granted);
}

/* Grants for less time than has passed since anything was known. */
static void grant_late(struct fake_server *server, void *argument)
{
    const uint32_t *confirmed_ms = argument;
    int connection = fake_accept(server);
    uint32_t stream_id = fake_read_ask(connection);
    fake_send_queued(connection, stream_id, 1);
    fake_stays_open(connection, 150);
    fake_send_granted(connection, stream_id, 100);
    fake_read_ping(connection, stream_id);
    fake_send_renewed(connection, stream_id, *confirmed_ms);
    fake_drain(connection);
}

static void test_a_grant_after_a_long_silence_is_confirmed(void **state)
{
    (void)state;
    static const struct {
        uint32_t confirmed_ms;
        enum holdfast_result result;
    } rows[] = {{8900, HOLDFAST_OK}, {0, HOLDFAST_TIMEOUT}};
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct fake_server server;
        struct async_loop loop;
        struct queue_news news;
        struct answer held = {.count = 0};
        uint32_t confirmed_ms = rows[i].confirmed_ms;
        struct holdfast_ask ask = waiting_ask(&news, 60000);
        start(&loop, &server, grant_late, &confirmed_ms, 5000);
        holdfast_async_hold(loop.async, &ask, async_on_lease, &held);
        async_loop_run_until(&loop, &held.count, 1);
        assert_int_equal(held.result, rows[i].result);
        if (held.lease != NULL) {
            assert_in_range(holdfast_lease_valid_for_ms(held.lease), 5000, 8900);
        }
        holdfast_lease_free(held.lease);
        finish(&loop, &server);
    }
}

static void lose_before_confirming(struct fake_server *server, void *argument)
{
    (void)argument;
    int connection = fake_accept(server);
    uint32_t stream_id = fake_read_ask(connection);
    fake_send_queued(connection, stream_id, 1);
    fake_send_granted(connection, stream_id, 1);
    fake_read_ping(connection, stream_id);
    fake_send_lost(connection, stream_id, HOLDFAST__V1__HOLD_LOST__REASON__REASON_EXPIRED);
    fake_drain(connection);
}

static void test_lost_before_it_was_confirmed(void **state)
{
    (void)state;
    struct fake_server server;
    struct async_loop loop;
    struct queue_news news;
    struct answer held = {.count = 0};
    struct holdfast_ask ask = waiting_ask(&news, 60000);
    start(&loop, &server, lose_before_confirming, NULL, 5000);
    holdfast_async_hold(loop.async, &ask, async_on_lease, &held);
    async_loop_run_until(&loop, &held.count, 1);
    assert_int_equal(held.result, HOLDFAST_NOT_HELD);
    assert_null(held.lease);
    finish(&loop, &server);
}

static void queue_then_busy(struct fake_server *server, void *argument)
{
    (void)argument;
    int connection = fake_accept(server);
    uint32_t stream_id = fake_read_ask(connection);
    fake_send_queued(connection, stream_id, 1);
    fake_send_busy(connection, stream_id);
    fake_drain(connection);
}

static void test_busy_after_the_wait(void **state)
{
    (void)state;
    struct fake_server server;
    struct async_loop loop;
    struct queue_news news;
    struct answer held = {.count = 0};
    struct holdfast_ask ask = waiting_ask(&news, 50);
    start(&loop, &server, queue_then_busy, NULL, 5000);
    holdfast_async_hold(loop.async, &ask, async_on_lease, &held);
    async_loop_run_until(&loop, &held.count, 1);
    assert_int_equal(held.result, HOLDFAST_BUSY);
    assert_string_equal(held.holder.label, "the other one");
    finish(&loop, &server);
}

static void refuse_for_a_circle(struct fake_server *server, void *argument)
{
    (void)argument;
    int connection = fake_accept(server);
    uint32_t stream_id = fake_read_ask(connection);
    fake_respond_status(connection, stream_id, STATUS_ABORTED, "a waits for b waits for a");
    fake_drain(connection);
}

static void test_a_deadlock_has_a_result_of_its_own(void **state)
{
    (void)state;
    struct fake_server server;
    struct async_loop loop;
    struct queue_news news;
    struct answer held = {.count = 0};
    struct holdfast_ask ask = waiting_ask(&news, 50);
    start(&loop, &server, refuse_for_a_circle, NULL, 5000);
    holdfast_async_hold(loop.async, &ask, async_on_lease, &held);
    async_loop_run_until(&loop, &held.count, 1);
    assert_int_equal(held.result, HOLDFAST_DEADLOCK);
    assert_string_equal(held.error, "a waits for b waits for a");
    assert_string_equal(holdfast_result_text(held.result), "deadlock");
    finish(&loop, &server);
}

static void queue_until_half_close(struct fake_server *server, void *argument)
{
    (void)argument;
    int connection = fake_accept(server);
    uint32_t stream_id = fake_read_ask(connection);
    fake_send_queued(connection, stream_id, 3);
    fake_read_half_close(connection, stream_id);
    fake_send_released(connection, stream_id);
    fake_drain(connection);
}

static void test_cancelled_while_it_waits(void **state)
{
    (void)state;
    struct fake_server server;
    struct async_loop loop;
    struct queue_news news;
    struct answer held = {.count = 0};
    struct holdfast_ask ask = waiting_ask(&news, 60000);
    start(&loop, &server, queue_until_half_close, NULL, 5000);
    uint64_t id = holdfast_async_hold(loop.async, &ask, async_on_lease, &held);
    async_loop_run_until(&loop, &news.count, 1);
    assert_true(holdfast_async_cancel(loop.async, id));
    assert_false(holdfast_async_cancel(loop.async, id));
    assert_int_equal(held.count, 0);
    async_loop_run_until(&loop, &held.count, 1);
    assert_int_equal(held.result, HOLDFAST_CANCELLED);
    assert_null(held.lease);
    assert_false(holdfast_async_cancel(loop.async, id));
    assert_false(holdfast_async_cancel(loop.async, 0));
    finish(&loop, &server);
}

static void drop_then_grant(struct fake_server *server, void *argument)
{
    (void)argument;
    struct fake_ask ask;
    int connection = fake_accept(server);
    fake_send_queued(connection, fake_read_ask(connection), 1);
    fake_stays_open(connection, 20);
    (void)close(connection);
    connection = fake_accept(server);
    uint32_t stream_id = fake_take_ask(connection, &ask);
    REQUIRE(ask.message->ask->wait_ms < 60000);
    REQUIRE(ask.message->ask->wait_ms > 50000);
    fake_release_ask(&ask);
    fake_send_granted(connection, stream_id, 8900);
    fake_drain(connection);
}

static void test_a_dropped_wait_is_asked_again_with_the_rest(void **state)
{
    (void)state;
    struct fake_server server;
    struct async_loop loop;
    struct queue_news news;
    struct answer held = {.count = 0};
    struct holdfast_ask ask = waiting_ask(&news, 60000);
    start(&loop, &server, drop_then_grant, NULL, 5000);
    holdfast_async_hold(loop.async, &ask, async_on_lease, &held);
    async_loop_run_until(&loop, &held.count, 1);
    assert_int_equal(held.result, HOLDFAST_OK);
    holdfast_lease_free(held.lease);
    finish(&loop, &server);
}

static void queue_then_vanish(struct fake_server *server, void *argument)
{
    (void)argument;
    int connection = fake_accept(server);
    fake_send_queued(connection, fake_read_ask(connection), 1);
    (void)unlink(server->path);
    (void)close(connection);
}

static void test_a_dropped_wait_ends_when_nobody_comes_back(void **state)
{
    (void)state;
    struct fake_server server;
    struct async_loop loop;
    struct queue_news news;
    struct answer held = {.count = 0};
    struct holdfast_ask ask = waiting_ask(&news, 60000);
    start(&loop, &server, queue_then_vanish, NULL, 200);
    holdfast_async_hold(loop.async, &ask, async_on_lease, &held);
    async_loop_run_until(&loop, &held.count, 1);
    assert_int_equal(held.result, HOLDFAST_AWAY);
    finish(&loop, &server);
}

static void check_everything_asked(struct fake_server *server, void *argument)
{
    (void)argument;
    struct fake_ask taken;
    int connection = fake_accept(server);
    uint32_t stream_id = fake_take_ask(connection, &taken);
    const Holdfast__V1__HoldAsk *ask = taken.message->ask;
    REQUIRE(ask->mode == HOLDFAST__V1__MODE__MODE_SHARED);
    REQUIRE(ask->limit == 3);
    REQUIRE(ask->value.len == 3 && memcmp(ask->value.data, "a\0b", 3) == 0);
    REQUIRE(ask->grace_ms == 1000 && ask->lock_delay_ms == 2000 && ask->max_hold_ms == 3000);
    REQUIRE(ask->ttl_ms == 4000 && ask->heartbeat_ms == 500 && ask->wait_ms == 0);
    REQUIRE(strcmp(ask->key, FAKE_KEY) == 0 && strcmp(ask->label, "me") == 0);
    REQUIRE(ask->n_keys == 0 && ask->resume_token.len == 0);
    fake_release_ask(&taken);
    fake_send_busy(connection, stream_id);
    fake_drain(connection);
}

static void test_everything_asked_is_sent(void **state)
{
    (void)state;
    struct fake_server server;
    struct async_loop loop;
    struct answer held = {.count = 0};
    const struct holdfast_ask ask = {.key = FAKE_KEY,
                                     .label = "me",
                                     .ttl_ms = 4000,
                                     .heartbeat_ms = 500,
                                     .mode = HOLDFAST_SHARED,
                                     .limit = 3,
                                     .value = "a\0b",
                                     .value_length = 3,
                                     .grace_ms = 1000,
                                     .lock_delay_ms = 2000,
                                     .max_hold_ms = 3000};
    start(&loop, &server, check_everything_asked, NULL, 5000);
    holdfast_async_hold(loop.async, &ask, async_on_lease, &held);
    async_loop_run_until(&loop, &held.count, 1);
    assert_int_equal(held.result, HOLDFAST_BUSY);
    finish(&loop, &server);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_queued_then_granted),
        cmocka_unit_test(test_who_was_frozen_takes_no_old_grant_for_new),
        cmocka_unit_test(test_a_grant_after_a_long_silence_is_confirmed),
        cmocka_unit_test(test_lost_before_it_was_confirmed),
        cmocka_unit_test(test_busy_after_the_wait),
        cmocka_unit_test(test_a_deadlock_has_a_result_of_its_own),
        cmocka_unit_test(test_cancelled_while_it_waits),
        cmocka_unit_test(test_a_dropped_wait_is_asked_again_with_the_rest),
        cmocka_unit_test(test_a_dropped_wait_ends_when_nobody_comes_back),
        cmocka_unit_test(test_everything_asked_is_sent),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
