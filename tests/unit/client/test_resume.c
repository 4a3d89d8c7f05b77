/* SPDX-License-Identifier: Apache-2.0 */
/* Leases that outlive their connection: resumed by the library, or by whoever has the token. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "async_loop.h"
#include "base/clock.h"
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

/* Reads an ask that resumes the lease of FAKE_TOKEN. */
static uint32_t read_resumption(int connection, uint32_t grace_ms)
{
    struct fake_ask taken;
    uint32_t stream_id = fake_take_ask(connection, &taken);
    const Holdfast__V1__HoldAsk *ask = taken.message->ask;
    REQUIRE(strcmp(ask->key, FAKE_KEY) == 0);
    REQUIRE(ask->resume_token.len == 16);
    REQUIRE(memcmp(ask->resume_token.data, FAKE_TOKEN, 16) == 0);
    REQUIRE(ask->grace_ms == grace_ms);
    REQUIRE(ask->label[0] == '\0' && ask->value.len == 0 && ask->wait_ms == 0);
    fake_release_ask(&taken);
    return stream_id;
}

static void hold_with_grace(struct async_loop *loop, uint32_t grace_ms, struct news *news,
                            struct answer *answer)
{
    struct holdfast_ask ask = async_ask(news);
    ask.grace_ms = grace_ms;
    *answer = (struct answer){.count = 0};
    holdfast_async_hold(loop->async, &ask, async_on_lease, answer);
    async_loop_run_until(loop, &answer->count, 1);
    assert_int_equal(answer->result, HOLDFAST_OK);
}

static void drop_then_resume(struct fake_server *server, void *argument)
{
    struct latch *latch = argument;
    int connection = fake_accept(server);
    fake_send_granted(connection, fake_read_ask(connection), 8900);
    latch_wait(latch);
    (void)close(connection);
    connection = fake_accept(server);
    uint32_t stream_id = read_resumption(connection, 5000);
    fake_send_granted(connection, stream_id, 8800);
    fake_read_half_close(connection, stream_id);
    fake_send_released(connection, stream_id);
    fake_drain(connection);
}

static void test_a_dropped_lease_is_resumed(void **state)
{
    (void)state;
    struct fake_server server;
    struct async_loop loop;
    struct news news;
    struct answer held;
    struct answer renewed = {.count = 0};
    struct answer released = {.count = 0};
    struct latch latch;
    latch_init(&latch);
    start(&loop, &server, drop_then_resume, &latch);
    hold_with_grace(&loop, 5000, &news, &held);
    /* The grace bounds the validity once the connection is gone, and no longer when it is back. */
    assert_in_range(holdfast_lease_valid_for_ms(held.lease), 5001, 8900);
    latch_open(&latch);
    holdfast_async_renew(loop.async, held.lease, 0, async_on_done, &renewed);
    async_loop_run_until(&loop, &renewed.count, 1);
    assert_int_equal(renewed.result, HOLDFAST_OK);
    assert_in_range(holdfast_lease_valid_for_ms(held.lease), 5001, 8800);
    assert_int_equal(news.lost_count, 0);
    holdfast_async_release(loop.async, held.lease, async_on_done, &released);
    async_loop_run_until(&loop, &released.count, 1);
    assert_int_equal(released.result, HOLDFAST_OK);
    holdfast_lease_free(held.lease);
    finish(&loop, &server);
    latch_release(&latch);
}

static void grant_and_vanish(struct fake_server *server, void *argument)
{
    (void)argument;
    int connection = fake_accept(server);
    fake_send_granted(connection, fake_read_ask(connection), 8900);
    (void)unlink(server->path);
    (void)close(connection);
}

static void test_nobody_comes_back_within_the_grace(void **state)
{
    (void)state;
    struct fake_server server;
    struct async_loop loop;
    struct news news;
    struct answer held;
    int64_t began_us = clock_now_us();
    start(&loop, &server, grant_and_vanish, NULL);
    hold_with_grace(&loop, 300, &news, &held);
    async_loop_run_until(&loop, &news.lost_count, 1);
    assert_int_equal(news.loss, HOLDFAST_LOSS_CONNECTION);
    assert_int_equal(news.valid_when_lost_ms, 0);
    assert_true(clock_now_us() - began_us >= 300 * CLOCK_US_PER_MS);
    assert_true(clock_now_us() - began_us < 3 * CLOCK_US_PER_S);
    holdfast_lease_free(held.lease);
    finish(&loop, &server);
}

static void drop_then_say_lost(struct fake_server *server, void *argument)
{
    (void)argument;
    int connection = fake_accept(server);
    fake_send_granted(connection, fake_read_ask(connection), 8900);
    (void)close(connection);
    connection = fake_accept(server);
    fake_send_lost(connection, read_resumption(connection, 5000),
                   HOLDFAST__V1__HOLD_LOST__REASON__REASON_TAKEN);
    fake_drain(connection);
}

static void test_the_server_has_it_no_more(void **state)
{
    (void)state;
    struct fake_server server;
    struct async_loop loop;
    struct news news;
    struct answer held;
    start(&loop, &server, drop_then_say_lost, NULL);
    hold_with_grace(&loop, 5000, &news, &held);
    async_loop_run_until(&loop, &news.lost_count, 1);
    assert_int_equal(news.loss, HOLDFAST_LOSS_TAKEN);
    holdfast_lease_free(held.lease);
    finish(&loop, &server);
}

static void drop_then_be_busy_twice(struct fake_server *server, void *argument)
{
    (void)argument;
    int connection = fake_accept(server);
    fake_send_granted(connection, fake_read_ask(connection), 8900);
    (void)close(connection);
    connection = fake_accept(server);
    fake_respond_status(connection, read_resumption(connection, 5000), STATUS_UNAVAILABLE,
                        "Redis is away");
    (void)read_resumption(connection, 5000);
    (void)close(connection);
    connection = fake_accept(server);
    fake_send_granted(connection, read_resumption(connection, 5000), 8800);
    fake_drain(connection);
}

static void test_resuming_is_tried_until_it_succeeds(void **state)
{
    (void)state;
    struct fake_server server;
    struct async_loop loop;
    struct news news;
    struct answer held;
    struct answer renewed = {.count = 0};
    start(&loop, &server, drop_then_be_busy_twice, NULL);
    hold_with_grace(&loop, 5000, &news, &held);
    async_loop_run_for(&loop, 30);
    holdfast_async_renew(loop.async, held.lease, 0, async_on_done, &renewed);
    async_loop_run_until(&loop, &renewed.count, 1);
    assert_int_equal(renewed.result, HOLDFAST_OK);
    assert_int_equal(news.lost_count, 0);
    holdfast_lease_free(held.lease);
    finish(&loop, &server);
}

/* Refuses to listen until the release has been asked for. */
static void drop_then_take_release(struct fake_server *server, void *argument)
{
    (void)argument;
    struct fake_frame frame;
    int connection = fake_accept(server);
    fake_send_granted(connection, fake_read_ask(connection), 8900);
    (void)close(connection);
    connection = fake_accept(server);
    Ttrpc__Request *request = fake_read_request(connection, "Release", &frame);
    ttrpc__request__free_unpacked(request, NULL);
    Holdfast__V1__ReleaseResponse response = HOLDFAST__V1__RELEASE_RESPONSE__INIT;
    response.outcome = HOLDFAST__V1__RELEASE_RESPONSE__OUTCOME__OUTCOME_RELEASED;
    fake_respond(connection, frame.header.stream_id, &response.base);
    fake_drain(connection);
}

/* Released in on_at_risk, which the drop of a lease with a grace below a sixth of its ttl brings at
 * once: so before the connection is back. */
static void release_at_risk(struct holdfast_lease *lease, int64_t valid_for_ms, void *user)
{
    void **arguments = user;
    (void)valid_for_ms;
    holdfast_async_release(arguments[0], lease, async_on_done, arguments[1]);
}

static void test_released_while_the_connection_is_away(void **state)
{
    (void)state;
    struct fake_server server;
    struct async_loop loop;
    struct answer held = {.count = 0};
    struct answer released = {.count = 0};
    start(&loop, &server, drop_then_take_release, NULL);
    void *arguments[] = {loop.async, &released};
    const struct holdfast_ask ask = {.key = FAKE_KEY,
                                     .grace_ms = 1000,
                                     .events = {.on_at_risk = release_at_risk, .user = arguments}};
    holdfast_async_hold(loop.async, &ask, async_on_lease, &held);
    async_loop_run_until(&loop, &released.count, 1);
    assert_int_equal(released.result, HOLDFAST_OK);
    assert_int_equal(holdfast_lease_valid_for_ms(held.lease), 0);
    holdfast_lease_free(held.lease);
    finish(&loop, &server);
}

static void take_over(struct fake_server *server, void *argument)
{
    const bool *is_there = argument;
    int connection = fake_accept(server);
    uint32_t stream_id = read_resumption(connection, 0);
    if (*is_there) {
        fake_send_granted(connection, stream_id, 8900);
    } else {
        fake_send_lost(connection, stream_id, HOLDFAST__V1__HOLD_LOST__REASON__REASON_TAKEN);
    }
    fake_drain(connection);
}

static void test_resume_by_token(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        struct fake_server server;
        struct async_loop loop;
        struct answer held = {.count = 0};
        bool is_there = i == 0;
        const struct holdfast_ask ask = {
            .key = FAKE_KEY, .label = "unused", .wait_ms = 5, .value = "v", .value_length = 1};
        start(&loop, &server, take_over, &is_there);
        holdfast_async_resume(loop.async, &ask, (const unsigned char *)FAKE_TOKEN, async_on_lease,
                              &held);
        async_loop_run_until(&loop, &held.count, 1);
        assert_int_equal(held.result, is_there ? HOLDFAST_OK : HOLDFAST_NOT_HELD);
        if (is_there) {
            assert_int_equal(holdfast_lease_fence(held.lease), FAKE_FENCE);
        }
        holdfast_lease_free(held.lease);
        finish(&loop, &server);
    }
}

static void test_resume_in_blocking_style(void **state)
{
    (void)state;
    struct fake_server server;
    struct holdfast_lease *lease;
    bool is_there = true;
    fake_server_start(&server, take_over, &is_there);
    const struct holdfast_options options = {.server = server.url};
    const struct holdfast_ask ask = {.key = FAKE_KEY};
    struct holdfast *holdfast = holdfast_open(&options, NULL);
    assert_non_null(holdfast);
    assert_int_equal(holdfast_resume(holdfast, &ask, NULL, &lease), HOLDFAST_INVALID);
    assert_int_equal(holdfast_resume(holdfast, &ask, (const unsigned char *)FAKE_TOKEN, &lease),
                     HOLDFAST_OK);
    assert_in_range(holdfast_lease_valid_for_ms(lease), 1, 8900);
    holdfast_lease_free(lease);
    holdfast_close(holdfast);
    fake_server_finish(&server);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_dropped_lease_is_resumed),
        cmocka_unit_test(test_nobody_comes_back_within_the_grace),
        cmocka_unit_test(test_the_server_has_it_no_more),
        cmocka_unit_test(test_resuming_is_tried_until_it_succeeds),
        cmocka_unit_test(test_released_while_the_connection_is_away),
        cmocka_unit_test(test_resume_by_token),
        cmocka_unit_test(test_resume_in_blocking_style),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
