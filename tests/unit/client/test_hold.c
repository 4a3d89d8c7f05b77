/* SPDX-License-Identifier: Apache-2.0 */
/* The life of a held lease, over the asynchronous API. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <unistd.h>

#include <cmocka.h>

#include "async_loop.h"
#include "base/clock.h"
#include "base/compiler.h"
#include "fake_server.h"
#include "latch.h"
#include "wire/status.h"

static void start(struct async_loop *loop, struct fake_server *server, fake_script *script,
                  void *argument)
{
    fake_server_start(server, script, argument);
    async_loop_open_url(loop, server->url, 5000);
}

static void finish(struct async_loop *loop, struct fake_server *server)
{
    async_loop_close(loop);
    fake_server_finish(server);
}

static void grant_then_release(struct fake_server *server, void *argument)
{
    (void)argument;
    int connection = fake_accept(server);
    uint32_t stream_id = fake_read_ask(connection);
    REQUIRE(stream_id == 1);
    fake_send_granted(connection, stream_id, 8900);
    fake_read_half_close(connection, stream_id);
    fake_send_released(connection, stream_id);
    fake_drain(connection);
}

static void test_granted_and_released(void **state)
{
    (void)state;
    struct fake_server server;
    struct async_loop loop;
    struct news news;
    struct answer held;
    struct answer released = {.count = 0};
    struct answer again = {.count = 0};
    start(&loop, &server, grant_then_release, NULL);
    async_hold(&loop, &news, &held);
    assert_int_equal(held.result, HOLDFAST_OK);
    assert_string_equal(held.error, "");
    assert_false(held.has_holder);
    assert_string_equal(holdfast_lease_key(held.lease), FAKE_KEY);
    assert_memory_equal(holdfast_lease_token(held.lease), FAKE_TOKEN, HOLDFAST_TOKEN_SIZE);
    assert_int_equal(holdfast_lease_fence(held.lease), FAKE_FENCE);
    assert_int_equal(holdfast_lease_ttl_ms(held.lease), FAKE_TTL_MS);
    assert_in_range(holdfast_lease_valid_for_ms(held.lease), 1, 8900);

    holdfast_async_release(loop.async, held.lease, async_on_done, &released);
    assert_int_equal(holdfast_lease_valid_for_ms(held.lease), 0);
    assert_int_equal(released.count, 0);
    async_loop_run_until(&loop, &released.count, 1);
    assert_int_equal(released.result, HOLDFAST_OK);
    holdfast_async_release(loop.async, held.lease, async_on_done, &again);
    async_loop_run_until(&loop, &again.count, 1);
    assert_int_equal(again.result, HOLDFAST_NOT_HELD);
    assert_int_equal(released.count, 1);
    assert_int_equal(news.lost_count, 0);
    holdfast_lease_free(held.lease);
    finish(&loop, &server);
}

static void answer_busy(struct fake_server *server, void *argument)
{
    (void)argument;
    int connection = fake_accept(server);
    fake_send_busy(connection, fake_read_ask(connection));
    fake_drain(connection);
}

static void test_busy_tells_who(void **state)
{
    (void)state;
    struct fake_server server;
    struct async_loop loop;
    struct news news;
    struct answer held;
    start(&loop, &server, answer_busy, NULL);
    async_hold(&loop, &news, &held);
    assert_int_equal(held.result, HOLDFAST_BUSY);
    assert_null(held.lease);
    assert_true(held.has_holder);
    assert_true(held.holder.is_held);
    assert_false(held.holder.is_foreign);
    assert_string_equal(held.holder.label, "the other one");
    assert_int_equal(held.holder.since_ms, 1234567);
    assert_int_equal(held.holder.remaining_ms, 89);
    assert_int_equal(held.holder.fence, FAKE_FENCE);
    finish(&loop, &server);
}

static void grant_then_lose(struct fake_server *server, void *argument)
{
    const Holdfast__V1__HoldLost__Reason *reason = argument;
    int connection = fake_accept(server);
    uint32_t stream_id = fake_read_ask(connection);
    fake_send_granted(connection, stream_id, 8900);
    fake_send_lost(connection, stream_id, *reason);
    fake_drain(connection);
}

static void test_lost_says_why_and_once(void **state)
{
    (void)state;
    static const struct {
        Holdfast__V1__HoldLost__Reason reason;
        enum holdfast_loss loss;
    } rows[] = {
        {HOLDFAST__V1__HOLD_LOST__REASON__REASON_EXPIRED, HOLDFAST_LOSS_EXPIRED},
        {HOLDFAST__V1__HOLD_LOST__REASON__REASON_TAKEN, HOLDFAST_LOSS_TAKEN},
        {HOLDFAST__V1__HOLD_LOST__REASON__REASON_HEARTBEAT_MISSED, HOLDFAST_LOSS_HEARTBEAT},
        {HOLDFAST__V1__HOLD_LOST__REASON__REASON_SHUTDOWN, HOLDFAST_LOSS_SHUTDOWN},
        {HOLDFAST__V1__HOLD_LOST__REASON__REASON_MAX_HOLD, HOLDFAST_LOSS_MAX_HOLD},
        {HOLDFAST__V1__HOLD_LOST__REASON__REASON_RESUMED, HOLDFAST_LOSS_RESUMED},
        {(Holdfast__V1__HoldLost__Reason)99, HOLDFAST_LOSS_CONNECTION},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct fake_server server;
        struct async_loop loop;
        struct news news;
        struct answer held;
        struct answer released = {.count = 0};
        Holdfast__V1__HoldLost__Reason reason = rows[i].reason;
        start(&loop, &server, grant_then_lose, &reason);
        async_hold(&loop, &news, &held);
        async_loop_run_until(&loop, &news.lost_count, 1);
        assert_int_equal(news.loss, rows[i].loss);
        assert_int_equal(news.valid_when_lost_ms, 0);
        holdfast_async_release(loop.async, held.lease, async_on_done, &released);
        async_loop_run_until(&loop, &released.count, 1);
        assert_int_equal(released.result, HOLDFAST_NOT_HELD);
        assert_int_equal(news.lost_count, 1);
        assert_int_equal(holdfast_lease_fence(held.lease), FAKE_FENCE);
        holdfast_lease_free(held.lease);
        finish(&loop, &server);
    }
}

static void grant_then_close(struct fake_server *server, void *argument)
{
    (void)argument;
    int connection = fake_accept(server);
    fake_send_granted(connection, fake_read_ask(connection), 8900);
    (void)close(connection);
}

static void test_connection_lost_is_lease_lost(void **state)
{
    (void)state;
    struct fake_server server;
    struct async_loop loop;
    struct news news;
    struct answer held;
    start(&loop, &server, grant_then_close, NULL);
    async_hold(&loop, &news, &held);
    assert_int_equal(held.result, HOLDFAST_OK);
    async_loop_run_until(&loop, &news.lost_count, 1);
    assert_int_equal(news.loss, HOLDFAST_LOSS_CONNECTION);
    assert_int_equal(news.valid_when_lost_ms, 0);
    async_loop_run_for(&loop, 50);
    assert_int_equal(news.lost_count, 1);
    holdfast_lease_free(held.lease);
    finish(&loop, &server);
}

static void test_lease_may_be_freed_in_on_lost(void **state)
{
    (void)state;
    struct fake_server server;
    struct async_loop loop;
    struct news news;
    struct answer held = {.count = 0};
    struct holdfast_ask ask = async_ask(&news);
    news.frees_lease = true;
    start(&loop, &server, grant_then_close, NULL);
    holdfast_async_hold(loop.async, &ask, async_on_lease, &held);
    async_loop_run_until(&loop, &news.lost_count, 1);
    finish(&loop, &server);
}

/* Grants for 300 ms and says nothing more. */
static void grant_then_fall_silent(struct fake_server *server, void *argument)
{
    (void)argument;
    int connection = fake_accept(server);
    uint32_t stream_id = fake_read_ask(connection);
    fake_send_granted(connection, stream_id, 300);
    fake_read_half_close(connection, stream_id);
    fake_drain(connection);
}

static void test_silence_expires_the_lease_here(void **state)
{
    (void)state;
    struct fake_server server;
    struct async_loop loop;
    struct news news;
    struct answer held;
    int64_t asked_us = clock_now_us();
    start(&loop, &server, grant_then_fall_silent, NULL);
    async_hold(&loop, &news, &held);
    assert_int_equal(held.result, HOLDFAST_OK);
    async_loop_run_until(&loop, &news.lost_count, 1);
    assert_int_equal(news.loss, HOLDFAST_LOSS_EXPIRED);
    assert_true(clock_now_us() - asked_us >= 300 * CLOCK_US_PER_MS);
    assert_int_equal(news.at_risk_count, 1);
    assert_in_range(news.at_risk_ms, 1, 300);
    holdfast_lease_free(held.lease);
    finish(&loop, &server);
}

/* The server says so too, but its word cannot be here sooner. */
static void test_the_longest_hold_is_told_from_silence(void **state)
{
    (void)state;
    struct fake_server server;
    struct async_loop loop;
    struct news news;
    struct answer held = {.count = 0};
    struct holdfast_ask ask = async_ask(&news);
    ask.max_hold_ms = 300;
    start(&loop, &server, grant_then_fall_silent, NULL);
    holdfast_async_hold(loop.async, &ask, async_on_lease, &held);
    async_loop_run_until(&loop, &held.count, 1);
    assert_int_equal(held.result, HOLDFAST_OK);
    async_loop_run_until(&loop, &news.lost_count, 1);
    assert_int_equal(news.loss, HOLDFAST_LOSS_MAX_HOLD);
    holdfast_lease_free(held.lease);
    finish(&loop, &server);
}

/* The deadline that silence leaves is far from the longest hold. */
static void test_silence_within_the_longest_hold_is_silence(void **state)
{
    (void)state;
    struct fake_server server;
    struct async_loop loop;
    struct news news;
    struct answer held = {.count = 0};
    struct holdfast_ask ask = async_ask(&news);
    ask.max_hold_ms = 60000;
    start(&loop, &server, grant_then_fall_silent, NULL);
    holdfast_async_hold(loop.async, &ask, async_on_lease, &held);
    async_loop_run_until(&loop, &held.count, 1);
    async_loop_run_until(&loop, &news.lost_count, 1);
    assert_int_equal(news.loss, HOLDFAST_LOSS_EXPIRED);
    holdfast_lease_free(held.lease);
    finish(&loop, &server);
}

static void warn_twice(struct fake_server *server, void *argument)
{
    (void)argument;
    int connection = fake_accept(server);
    uint32_t stream_id = fake_read_ask(connection);
    fake_send_granted(connection, stream_id, 8900);
    fake_send_at_risk(connection, stream_id);
    fake_send_at_risk(connection, stream_id);
    fake_read_ping(connection, stream_id);
    fake_send_renewed(connection, stream_id, 8900);
    fake_send_at_risk(connection, stream_id);
    fake_drain(connection);
}

static void test_at_risk_once_until_recovery(void **state)
{
    (void)state;
    struct fake_server server;
    struct async_loop loop;
    struct news news;
    struct answer held;
    struct answer renewed = {.count = 0};
    start(&loop, &server, warn_twice, NULL);
    async_hold(&loop, &news, &held);
    async_loop_run_until(&loop, &news.at_risk_count, 1);
    assert_in_range(news.at_risk_ms, 1, 8900);
    async_loop_run_for(&loop, 30);
    assert_int_equal(news.at_risk_count, 1);
    holdfast_async_renew(loop.async, held.lease, 0, async_on_done, &renewed);
    async_loop_run_until(&loop, &news.at_risk_count, 2);
    assert_int_equal(renewed.result, HOLDFAST_OK);
    holdfast_lease_free(held.lease);
    finish(&loop, &server);
}

static void renew_when_told(struct fake_server *server, void *argument)
{
    struct latch *latch = argument;
    int connection = fake_accept(server);
    uint32_t stream_id = fake_read_ask(connection);
    fake_send_granted(connection, stream_id, 8900);
    fake_read_ping(connection, stream_id);
    latch_wait(latch);
    fake_send_renewed(connection, stream_id, 5000);
    fake_drain(connection);
}

static void spin_until(int64_t until_us)
{
    while (clock_now_us() < until_us) {
    }
}

static void test_renewal_counts_from_the_ping_not_its_answer(void **state)
{
    (void)state;
    struct fake_server server;
    struct async_loop loop;
    struct news news;
    struct answer held;
    struct answer renewed = {.count = 0};
    struct latch latch;
    latch_init(&latch);
    start(&loop, &server, renew_when_told, &latch);
    async_hold(&loop, &news, &held);
    int64_t before_us = clock_now_us();
    holdfast_async_renew(loop.async, held.lease, 0, async_on_done, &renewed);
    int64_t sent_us = clock_now_us();
    async_loop_run_for(&loop, 200);
    assert_int_equal(renewed.count, 0);
    latch_open(&latch);
    async_loop_run_until(&loop, &renewed.count, 1);
    assert_int_equal(renewed.result, HOLDFAST_OK);
    int64_t left_us = holdfast_lease_valid_for_ms(held.lease) * CLOCK_US_PER_MS;
    int64_t now_us = clock_now_us();
    assert_true(left_us <= sent_us + 5000 * CLOCK_US_PER_MS - now_us + CLOCK_US_PER_MS);
    assert_true(left_us >= before_us + 4999 * CLOCK_US_PER_MS - now_us);
    holdfast_lease_free(held.lease);
    finish(&loop, &server);
    latch_release(&latch);
}

/* Steps of a script and its test, in both directions. */
struct steps {
    atomic_bool has_ping; /* the server read it */
    struct latch may_answer;
    struct latch has_answered;
};

static void grant_briefly_then_renew_for_long(struct fake_server *server, void *argument)
{
    struct steps *steps = argument;
    int connection = fake_accept(server);
    uint32_t stream_id = fake_read_ask(connection);
    fake_send_granted(connection, stream_id, 500);
    fake_read_ping(connection, stream_id);
    atomic_store(&steps->has_ping, true);
    latch_wait(&steps->may_answer);
    fake_send_renewed(connection, stream_id, 60000);
    latch_open(&steps->has_answered);
    fake_drain(connection);
}

/* The loop stands still from the ping on until the deadline has passed, as in a stopped process. */
static void test_a_stopped_process_believes_no_late_answer(void **state)
{
    (void)state;
    struct fake_server server;
    struct async_loop loop;
    struct news news;
    struct answer held;
    struct answer renewed = {.count = 0};
    struct steps steps = {.has_ping = false};
    latch_init(&steps.may_answer);
    latch_init(&steps.has_answered);
    start(&loop, &server, grant_briefly_then_renew_for_long, &steps);
    async_hold(&loop, &news, &held);
    assert_int_equal(held.result, HOLDFAST_OK);
    holdfast_async_renew(loop.async, held.lease, 0, async_on_done, &renewed);
    while (!atomic_load(&steps.has_ping)) {
        async_loop_run_for(&loop, 1);
    }
    latch_open(&steps.may_answer);
    latch_wait(&steps.has_answered);
    while (holdfast_lease_valid_for_ms(held.lease) > 0) {
    }
    spin_until(clock_now_us() + CLOCK_US_PER_MS);
    assert_int_equal(news.lost_count, 0);
    async_loop_run_until(&loop, &news.lost_count, 1);
    assert_int_equal(news.loss, HOLDFAST_LOSS_EXPIRED);
    async_loop_run_until(&loop, &renewed.count, 1);
    assert_int_equal(renewed.result, HOLDFAST_NOT_HELD);
    assert_int_equal(holdfast_lease_valid_for_ms(held.lease), 0);
    holdfast_lease_free(held.lease);
    finish(&loop, &server);
    latch_release(&steps.may_answer);
    latch_release(&steps.has_answered);
}

/* Answers pings until it has seen ten, then says so. */
static void answer_ten_pings(struct fake_server *server, void *argument)
{
    atomic_bool *has_ten = argument;
    int connection = fake_accept(server);
    uint32_t stream_id = fake_read_ask(connection);
    fake_send_granted(connection, stream_id, 8900);
    for (int i = 0; i < 10; i++) {
        fake_read_ping(connection, stream_id);
        fake_send_renewed(connection, stream_id, 8900);
    }
    atomic_store(has_ten, true);
    fake_drain(connection);
}

static void test_heartbeats_come_three_times_as_often_as_asked(void **state)
{
    (void)state;
    struct fake_server server;
    struct async_loop loop;
    struct news news;
    struct answer held = {.count = 0};
    atomic_bool has_ten = false;
    start(&loop, &server, answer_ten_pings, &has_ten);
    struct holdfast_ask ask = async_ask(&news);
    ask.heartbeat_ms = 300;
    holdfast_async_hold(loop.async, &ask, async_on_lease, &held);
    async_loop_run_until(&loop, &held.count, 1);
    int64_t started_us = clock_now_us();
    while (!atomic_load(&has_ten)) {
        async_loop_run_for(&loop, 5);
    }
    int64_t took_us = clock_now_us() - started_us;
    assert_in_range(took_us, 800 * CLOCK_US_PER_MS, 2500 * CLOCK_US_PER_MS);
    assert_int_equal(news.lost_count, 0);
    holdfast_lease_free(held.lease);
    finish(&loop, &server);
}

/* Reads the ask, waits for the half-close that gives up, then grants and must be ignored. */
static void grant_too_late(struct fake_server *server, void *argument)
{
    (void)argument;
    int connection = fake_accept(server);
    uint32_t stream_id = fake_read_ask(connection);
    fake_read_half_close(connection, stream_id);
    fake_send_granted(connection, stream_id, 8900);
    fake_send_released(connection, stream_id);
    stream_id = fake_read_ask(connection);
    REQUIRE(stream_id == 3);
    fake_send_granted(connection, stream_id, 8900);
    fake_drain(connection);
}

static void test_timeout_gives_up_a_late_grant(void **state)
{
    (void)state;
    struct fake_server server;
    struct async_loop loop;
    struct news news;
    struct answer held;
    fake_server_start(&server, grant_too_late, NULL);
    async_loop_open_url(&loop, server.url, 100);
    async_hold(&loop, &news, &held);
    assert_int_equal(held.result, HOLDFAST_TIMEOUT);
    assert_null(held.lease);
    async_hold(&loop, &news, &held);
    assert_int_equal(held.result, HOLDFAST_OK);
    assert_int_equal(held.count, 1);
    holdfast_lease_free(held.lease);
    finish(&loop, &server);
}

static void answer_status(struct fake_server *server, void *argument)
{
    const int *code = argument;
    int connection = fake_accept(server);
    uint32_t stream_id = fake_read_ask(connection);
    fake_respond_status(connection, stream_id, *code, "ask.key: because");
    fake_drain(connection);
}

static void test_statuses_become_results(void **state)
{
    (void)state;
    static const struct {
        int code;
        enum holdfast_result result;
    } rows[] = {
        {STATUS_INVALID_ARGUMENT, HOLDFAST_INVALID},
        {STATUS_UNAVAILABLE, HOLDFAST_AWAY},
        {STATUS_DEADLINE_EXCEEDED, HOLDFAST_TIMEOUT},
        {STATUS_RESOURCE_EXHAUSTED, HOLDFAST_LIMIT},
        {STATUS_FAILED_PRECONDITION, HOLDFAST_REFUSED},
        {4242, HOLDFAST_REFUSED},
        {-1, HOLDFAST_REFUSED},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct fake_server server;
        struct async_loop loop;
        struct news news;
        struct answer held;
        int code = rows[i].code;
        start(&loop, &server, answer_status, &code);
        async_hold(&loop, &news, &held);
        assert_int_equal(held.result, rows[i].result);
        assert_string_equal(held.error, "key: because");
        finish(&loop, &server);
    }
}

static void end_without_answer(struct fake_server *server, void *argument)
{
    (void)argument;
    int connection = fake_accept(server);
    fake_send_end(connection, fake_read_ask(connection));
    fake_drain(connection);
}

static void test_an_end_without_answer_is_refused(void **state)
{
    (void)state;
    struct fake_server server;
    struct async_loop loop;
    struct news news;
    struct answer held;
    start(&loop, &server, end_without_answer, NULL);
    async_hold(&loop, &news, &held);
    assert_int_equal(held.result, HOLDFAST_REFUSED);
    finish(&loop, &server);
}

static void end_while_held(struct fake_server *server, void *argument)
{
    (void)argument;
    int connection = fake_accept(server);
    uint32_t stream_id = fake_read_ask(connection);
    fake_send_granted(connection, stream_id, 8900);
    fake_respond_status(connection, stream_id, STATUS_INTERNAL, "a bug");
    fake_drain(connection);
}

static void test_an_end_without_lost_is_a_loss(void **state)
{
    (void)state;
    struct fake_server server;
    struct async_loop loop;
    struct news news;
    struct answer held;
    start(&loop, &server, end_while_held, NULL);
    async_hold(&loop, &news, &held);
    async_loop_run_until(&loop, &news.lost_count, 1);
    assert_int_equal(news.loss, HOLDFAST_LOSS_CONNECTION);
    holdfast_lease_free(held.lease);
    finish(&loop, &server);
}

static void grant_for_nothing(struct fake_server *server, void *argument)
{
    (void)argument;
    int connection = fake_accept(server);
    uint32_t stream_id = fake_read_ask(connection);
    fake_send_granted(connection, stream_id, 0);
    fake_read_half_close(connection, stream_id);
    fake_drain(connection);
}

static void test_a_grant_that_is_over_is_given_up(void **state)
{
    (void)state;
    struct fake_server server;
    struct async_loop loop;
    struct news news;
    struct answer held;
    start(&loop, &server, grant_for_nothing, NULL);
    async_hold(&loop, &news, &held);
    assert_int_equal(held.result, HOLDFAST_TIMEOUT);
    finish(&loop, &server);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_granted_and_released),
        cmocka_unit_test(test_busy_tells_who),
        cmocka_unit_test(test_lost_says_why_and_once),
        cmocka_unit_test(test_connection_lost_is_lease_lost),
        cmocka_unit_test(test_lease_may_be_freed_in_on_lost),
        cmocka_unit_test(test_silence_expires_the_lease_here),
        cmocka_unit_test(test_the_longest_hold_is_told_from_silence),
        cmocka_unit_test(test_silence_within_the_longest_hold_is_silence),
        cmocka_unit_test(test_at_risk_once_until_recovery),
        cmocka_unit_test(test_renewal_counts_from_the_ping_not_its_answer),
        cmocka_unit_test(test_a_stopped_process_believes_no_late_answer),
        cmocka_unit_test(test_heartbeats_come_three_times_as_often_as_asked),
        cmocka_unit_test(test_timeout_gives_up_a_late_grant),
        cmocka_unit_test(test_statuses_become_results),
        cmocka_unit_test(test_an_end_without_answer_is_refused),
        cmocka_unit_test(test_an_end_without_lost_is_a_loss),
        cmocka_unit_test(test_a_grant_that_is_over_is_given_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
