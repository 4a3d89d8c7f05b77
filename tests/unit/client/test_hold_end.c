/* SPDX-License-Identifier: Apache-2.0 */
/* The end of held leases by the application's doing: released, freed, closed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <unistd.h>

#include <cmocka.h>
#include <event2/event.h>

#include "async_loop.h"
#include "fake_server.h"
#include "latch.h"

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

static void never_confirm_the_release(struct fake_server *server, void *argument)
{
    (void)argument;
    int connection = fake_accept(server);
    uint32_t stream_id = fake_read_ask(connection);
    fake_send_granted(connection, stream_id, 8900);
    fake_read_half_close(connection, stream_id);
    fake_drain(connection);
}

static void test_release_without_answer_times_out(void **state)
{
    (void)state;
    struct fake_server server;
    struct async_loop loop;
    struct news news;
    struct answer held;
    struct answer released = {.count = 0};
    fake_server_start(&server, never_confirm_the_release, NULL);
    async_loop_open_url(&loop, server.url, 100);
    async_hold(&loop, &news, &held);
    holdfast_async_release(loop.async, held.lease, async_on_done, &released);
    holdfast_lease_free(held.lease);
    async_loop_run_until(&loop, &released.count, 1);
    assert_int_equal(released.result, HOLDFAST_TIMEOUT);
    finish(&loop, &server);
    assert_int_equal(released.count, 1);
    assert_int_equal(news.lost_count, 0);
}

static void lose_while_releasing(struct fake_server *server, void *argument)
{
    const bool *closes = argument;
    int connection = fake_accept(server);
    uint32_t stream_id = fake_read_ask(connection);
    fake_send_granted(connection, stream_id, 8900);
    fake_read_half_close(connection, stream_id);
    if (*closes) {
        (void)close(connection);
    } else {
        fake_send_lost(connection, stream_id, HOLDFAST__V1__HOLD_LOST__REASON__REASON_TAKEN);
        fake_drain(connection);
    }
}

static void test_loss_while_releasing_answers_the_release(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        struct fake_server server;
        struct async_loop loop;
        struct news news;
        struct answer held;
        struct answer released = {.count = 0};
        bool closes = i == 1;
        start(&loop, &server, lose_while_releasing, &closes);
        async_hold(&loop, &news, &held);
        holdfast_async_release(loop.async, held.lease, async_on_done, &released);
        async_loop_run_until(&loop, &released.count, 1);
        assert_int_equal(released.result, closes ? HOLDFAST_AWAY : HOLDFAST_NOT_HELD);
        async_loop_run_for(&loop, 20);
        assert_int_equal(released.count, 1);
        assert_int_equal(news.lost_count, 0);
        holdfast_lease_free(held.lease);
        finish(&loop, &server);
    }
}

static void grant_and_expect_half_close(struct fake_server *server, void *argument)
{
    atomic_bool *is_released = argument;
    int connection = fake_accept(server);
    uint32_t stream_id = fake_read_ask(connection);
    fake_send_granted(connection, stream_id, 8900);
    fake_read_half_close(connection, stream_id);
    atomic_store(is_released, true);
    fake_send_released(connection, stream_id);
    fake_drain(connection);
}

static void test_free_releases_in_the_background(void **state)
{
    (void)state;
    struct fake_server server;
    struct async_loop loop;
    struct news news;
    struct answer held;
    atomic_bool is_released = false;
    start(&loop, &server, grant_and_expect_half_close, &is_released);
    async_hold(&loop, &news, &held);
    holdfast_lease_free(held.lease);
    while (!atomic_load(&is_released)) {
        async_loop_run_for(&loop, 1);
    }
    async_loop_run_for(&loop, 20);
    assert_int_equal(news.lost_count, 0);
    finish(&loop, &server);
}

static void grant_once(struct fake_server *server, void *argument)
{
    (void)argument;
    int connection = fake_accept(server);
    fake_send_granted(connection, fake_read_ask(connection), 8900);
    fake_drain(connection);
}

static void test_close_ends_leases_silently(void **state)
{
    (void)state;
    struct fake_server server;
    struct async_loop loop;
    struct news news;
    struct answer held;
    start(&loop, &server, grant_once, NULL);
    async_hold(&loop, &news, &held);
    holdfast_async_close(loop.async);
    loop.async = NULL;
    assert_int_equal(holdfast_lease_valid_for_ms(held.lease), 0);
    assert_int_equal(news.lost_count, 0);
    finish(&loop, &server);
    holdfast_lease_free(held.lease);
}

/* The grant, and then a byte in the test's pipe. */
struct pipe_script {
    int pipe[2];
    atomic_bool has_asked;
    struct latch may_grant;
    struct latch has_granted;
};

static void grant_then_poke(struct fake_server *server, void *argument)
{
    struct pipe_script *script = argument;
    int connection = fake_accept(server);
    uint32_t stream_id = fake_read_ask(connection);
    atomic_store(&script->has_asked, true);
    latch_wait(&script->may_grant);
    fake_send_granted(connection, stream_id, 8900);
    REQUIRE(write(script->pipe[1], "", 1) == 1);
    latch_open(&script->has_granted);
    fake_drain(connection);
}

static void close_in_this_turn(evutil_socket_t descriptor, short what, void *argument)
{
    (void)descriptor;
    (void)what;
    struct async_loop *loop = argument;
    holdfast_async_close(loop->async);
    loop->async = NULL;
}

/* The socket becomes readable before the pipe: the loop runs the grant, then the close, and only
 * then would the answer have been delivered. */
static void test_close_between_grant_and_answer(void **state)
{
    (void)state;
    struct fake_server server;
    struct async_loop loop;
    struct news news;
    struct answer held = {.count = 0};
    struct pipe_script script = {.has_asked = false};
    latch_init(&script.may_grant);
    latch_init(&script.has_granted);
    assert_int_equal(pipe(script.pipe), 0);
    start(&loop, &server, grant_then_poke, &script);
    struct holdfast_ask ask = async_ask(&news);
    struct event *event = event_new(loop.base, script.pipe[0], EV_READ, close_in_this_turn, &loop);
    assert_int_equal(event_add(event, NULL), 0);
    holdfast_async_hold(loop.async, &ask, async_on_lease, &held);
    while (!atomic_load(&script.has_asked)) {
        async_loop_run_for(&loop, 1);
    }
    latch_open(&script.may_grant);
    latch_wait(&script.has_granted);
    async_loop_run_until(&loop, &held.count, 1);
    assert_null(loop.async);
    assert_int_equal(held.result, HOLDFAST_AWAY);
    assert_null(held.lease);
    assert_int_equal(news.lost_count, 0);
    event_free(event);
    (void)close(script.pipe[0]);
    (void)close(script.pipe[1]);
    finish(&loop, &server);
    latch_release(&script.may_grant);
    latch_release(&script.has_granted);
}

struct two_news {
    struct holdfast_lease *leases[2];
    int64_t valid_ms[2];
    int count;
};

static void look_at_both(struct holdfast_lease *lease, enum holdfast_loss loss, void *user)
{
    (void)lease;
    struct two_news *news = user;
    assert_int_equal(loss, HOLDFAST_LOSS_CONNECTION);
    for (int i = 0; i < 2; i++) {
        news->valid_ms[i] = holdfast_lease_valid_for_ms(news->leases[i]);
    }
    news->count++;
    assert_int_equal(news->valid_ms[0], 0);
    assert_int_equal(news->valid_ms[1], 0);
}

static void grant_two_then_close(struct fake_server *server, void *argument)
{
    int connection = fake_accept(server);
    for (int i = 0; i < 2; i++) {
        fake_send_granted(connection, fake_read_ask(connection), 8900);
    }
    latch_wait(argument);
    (void)close(connection);
}

static void free_the_other(struct holdfast_lease *lease, enum holdfast_loss loss, void *user)
{
    struct two_news *news = user;
    (void)loss;
    for (int i = 0; i < 2; i++) {
        if (news->leases[i] != lease) {
            holdfast_lease_free(news->leases[i]);
        }
    }
    holdfast_lease_free(lease);
    news->count++;
}

static void hold_two(struct async_loop *loop, struct two_news *news,
                     void (*on_lost)(struct holdfast_lease *, enum holdfast_loss, void *))
{
    for (int i = 0; i < 2; i++) {
        struct answer held = {.count = 0};
        const struct holdfast_ask ask = {.key = FAKE_KEY,
                                         .events = {.on_lost = on_lost, .user = news}};
        holdfast_async_hold(loop->async, &ask, async_on_lease, &held);
        async_loop_run_until(loop, &held.count, 1);
        assert_int_equal(held.result, HOLDFAST_OK);
        news->leases[i] = held.lease;
    }
}

static void test_a_freed_lease_is_not_heard_of(void **state)
{
    (void)state;
    struct fake_server server;
    struct async_loop loop;
    struct latch latch;
    struct two_news news = {.count = 0};
    latch_init(&latch);
    start(&loop, &server, grant_two_then_close, &latch);
    hold_two(&loop, &news, free_the_other);
    latch_open(&latch);
    async_loop_run_until(&loop, &news.count, 1);
    async_loop_run_for(&loop, 20);
    assert_int_equal(news.count, 1);
    finish(&loop, &server);
    latch_release(&latch);
}

static void test_all_leases_end_before_the_first_is_told(void **state)
{
    (void)state;
    struct fake_server server;
    struct async_loop loop;
    struct latch latch;
    struct two_news news = {.count = 0};
    latch_init(&latch);
    start(&loop, &server, grant_two_then_close, &latch);
    hold_two(&loop, &news, look_at_both);
    latch_open(&latch);
    async_loop_run_until(&loop, &news.count, 2);
    holdfast_lease_free(news.leases[0]);
    holdfast_lease_free(news.leases[1]);
    finish(&loop, &server);
    latch_release(&latch);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_release_without_answer_times_out),
        cmocka_unit_test(test_loss_while_releasing_answers_the_release),
        cmocka_unit_test(test_free_releases_in_the_background),
        cmocka_unit_test(test_close_ends_leases_silently),
        cmocka_unit_test(test_close_between_grant_and_answer),
        cmocka_unit_test(test_a_freed_lease_is_not_heard_of),
        cmocka_unit_test(test_all_leases_end_before_the_first_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
