/* SPDX-License-Identifier: Apache-2.0 */
/* Watches, over both APIs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "async_loop.h"
#include "base/clock.h"
#include "fake_server.h"
#include "latch.h"
#include "wire/status.h"

/* What the callback was told. */
struct states {
    int count; /* of all calls */
    int known; /* of those with a state */
    enum holdfast_result result;
    struct holdfast_holder holder;
    char error[HOLDFAST_ERROR_SIZE];
    struct holdfast_watch *watch; /* stopped by the callback when set */
};

static void on_state(enum holdfast_result result, const struct holdfast_holder *holder,
                     const char *error, void *user)
{
    struct states *states = user;
    states->count++;
    states->result = result;
    (void)snprintf(states->error, sizeof(states->error), "%s", error);
    if (result == HOLDFAST_OK) {
        states->known++;
        states->holder = *holder;
    } else {
        assert_null(holder);
    }
    if (states->watch != NULL) {
        holdfast_watch_stop(states->watch);
        states->watch = NULL;
    }
}

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

static uint32_t read_watch(int connection)
{
    struct fake_frame frame;
    Ttrpc__Request *request = fake_read_request(connection, "Watch", &frame);
    REQUIRE(frame.header.flags == TTRPC_REMOTE_OPEN);
    REQUIRE(request->timeout_nano == 0);
    Holdfast__V1__WatchRequest *watch =
        holdfast__v1__watch_request__unpack(NULL, request->payload.len, request->payload.data);
    REQUIRE(watch != NULL && strcmp(watch->key, FAKE_KEY) == 0);
    holdfast__v1__watch_request__free_unpacked(watch, NULL);
    ttrpc__request__free_unpacked(request, NULL);
    return frame.header.stream_id;
}

static void send_state(int connection, uint32_t stream_id, const Holdfast__V1__WatchEvent *event)
{
    uint8_t bytes[8192];
    REQUIRE(holdfast__v1__watch_event__get_packed_size(event) <= sizeof(bytes));
    const struct ttrpc_header header = {
        .length = (uint32_t)holdfast__v1__watch_event__pack(event, bytes),
        .stream_id = stream_id,
        .type = TTRPC_DATA,
    };
    fake_send(connection, &header, bytes);
}

static void send_free(int connection, uint32_t stream_id)
{
    Holdfast__V1__WatchEvent event = HOLDFAST__V1__WATCH_EVENT__INIT;
    Holdfast__V1__Free nobody = HOLDFAST__V1__FREE__INIT;
    event.state_case = HOLDFAST__V1__WATCH_EVENT__STATE_FREE;
    event.free = &nobody;
    send_state(connection, stream_id, &event);
}

static void send_held(int connection, uint32_t stream_id, bool is_closed)
{
    char label[] = "a leader";
    uint8_t value[] = {'a', '\0', 'b'};
    Holdfast__V1__WatchEvent event = HOLDFAST__V1__WATCH_EVENT__INIT;
    Holdfast__V1__Holder holder = HOLDFAST__V1__HOLDER__INIT;
    holder.label = label;
    holder.fence = FAKE_FENCE;
    holder.mode = HOLDFAST__V1__MODE__MODE_SHARED;
    holder.holders = 2;
    holder.value.data = value;
    holder.value.len = sizeof(value);
    holder.closed = is_closed;
    event.state_case = HOLDFAST__V1__WATCH_EVENT__STATE_HELD;
    event.held = &holder;
    send_state(connection, stream_id, &event);
}

static void tell_three_states(struct fake_server *server, void *argument)
{
    struct latch *latches = argument;
    int connection = fake_accept(server);
    uint32_t stream_id = read_watch(connection);
    send_free(connection, stream_id);
    latch_wait(&latches[0]);
    send_held(connection, stream_id, false);
    latch_wait(&latches[1]);
    send_held(connection, stream_id, true);
    fake_read_half_close(connection, stream_id);
    fake_drain(connection);
}

static void test_each_state_is_told(void **state)
{
    (void)state;
    struct fake_server server;
    struct async_loop loop;
    struct states states = {.count = 0};
    struct latch latches[2];
    latch_init(&latches[0]);
    latch_init(&latches[1]);
    start(&loop, &server, tell_three_states, latches);
    struct holdfast_watch *watch = holdfast_async_watch(loop.async, FAKE_KEY, on_state, &states);
    assert_int_equal(states.count, 0);
    async_loop_run_until(&loop, &states.count, 1);
    assert_false(states.holder.is_held);
    latch_open(&latches[0]);
    async_loop_run_until(&loop, &states.count, 2);
    assert_true(states.holder.is_held);
    assert_string_equal(states.holder.label, "a leader");
    assert_int_equal(states.holder.mode, HOLDFAST_SHARED);
    assert_int_equal(states.holder.holders, 2);
    assert_int_equal(states.holder.value_length, 3);
    assert_memory_equal(states.holder.value, "a\0b", 3);
    latch_open(&latches[1]);
    async_loop_run_until(&loop, &states.count, 3);
    assert_false(states.holder.is_held);
    assert_true(states.holder.is_closed);
    holdfast_watch_stop(watch);
    async_loop_run_for(&loop, 50); /* what is written leaves at the end of a turn */
    finish(&loop, &server);
    latch_release(&latches[0]);
    latch_release(&latches[1]);
}

static void be_away_twice(struct fake_server *server, void *argument)
{
    (void)argument;
    int connection = fake_accept(server);
    uint32_t stream_id = read_watch(connection);
    send_free(connection, stream_id);
    fake_stays_open(connection, 50);
    (void)close(connection);
    connection = fake_accept(server);
    fake_respond_status(connection, read_watch(connection), STATUS_UNAVAILABLE, "Redis is away");
    send_held(connection, read_watch(connection), false);
    fake_drain(connection);
}

static void test_an_interruption_is_told_once(void **state)
{
    (void)state;
    struct fake_server server;
    struct async_loop loop;
    struct states states = {.count = 0};
    start(&loop, &server, be_away_twice, NULL);
    struct holdfast_watch *watch = holdfast_async_watch(loop.async, FAKE_KEY, on_state, &states);
    async_loop_run_until(&loop, &states.known, 1);
    async_loop_run_until(&loop, &states.count, 2);
    assert_int_equal(states.result, HOLDFAST_AWAY);
    assert_string_not_equal(states.error, "");
    async_loop_run_until(&loop, &states.known, 2);
    assert_int_equal(states.count, 3);
    assert_true(states.holder.is_held);
    /* The client goes first. */
    holdfast_async_close(loop.async);
    loop.async = NULL;
    holdfast_watch_stop(watch);
    holdfast_watch_stop(NULL);
    finish(&loop, &server);
}

static void refuse(struct fake_server *server, void *argument)
{
    (void)argument;
    int connection = fake_accept(server);
    fake_respond_status(connection, read_watch(connection), STATUS_FAILED_PRECONDITION, "a list");
    fake_drain(connection);
}

static void test_a_refusal_ends_it(void **state)
{
    (void)state;
    struct fake_server server;
    struct async_loop loop;
    struct states states = {.count = 0};
    struct states invalid = {.count = 0};
    start(&loop, &server, refuse, NULL);
    struct holdfast_watch *watch = holdfast_async_watch(loop.async, FAKE_KEY, on_state, &states);
    async_loop_run_until(&loop, &states.count, 1);
    assert_int_equal(states.result, HOLDFAST_REFUSED);
    assert_string_equal(states.error, "a list");
    holdfast_watch_stop(watch);
    watch = holdfast_async_watch(loop.async, "", on_state, &invalid);
    async_loop_run_until(&loop, &invalid.count, 1);
    assert_int_equal(invalid.result, HOLDFAST_INVALID);
    holdfast_watch_stop(watch);
    finish(&loop, &server);
}

static void test_nobody_is_there(void **state)
{
    (void)state;
    struct async_loop loop;
    struct states states = {.count = 0};
    async_loop_open_url(&loop, "unix:///nonexistent/socket", 100);
    states.watch = holdfast_async_watch(loop.async, FAKE_KEY, on_state, &states);
    async_loop_run_until(&loop, &states.count, 1);
    assert_int_equal(states.result, HOLDFAST_AWAY);
    assert_non_null(strstr(states.error, "/nonexistent/socket"));
    async_loop_run_for(&loop, 150);
    assert_int_equal(states.count, 1);
    async_loop_close(&loop);
}

static void say_nothing(struct fake_server *server, void *argument)
{
    (void)argument;
    int connection = fake_accept(server);
    read_watch(connection);
    fake_drain(connection);
}

static void test_a_server_that_says_nothing(void **state)
{
    (void)state;
    struct fake_server server;
    struct async_loop loop;
    struct states states = {.count = 0};
    fake_server_start(&server, say_nothing, NULL);
    async_loop_open_url(&loop, server.url, 100);
    struct holdfast_watch *watch = holdfast_async_watch(loop.async, FAKE_KEY, on_state, &states);
    async_loop_run_until(&loop, &states.count, 1);
    assert_int_equal(states.result, HOLDFAST_AWAY);
    assert_non_null(strstr(states.error, "did not answer in time"));
    async_loop_run_for(&loop, 150);
    assert_int_equal(states.count, 1);
    holdfast_watch_stop(watch);
    finish(&loop, &server);
}

static void tell_free(struct fake_server *server, void *argument)
{
    (void)argument;
    int connection = fake_accept(server);
    uint32_t stream_id = read_watch(connection);
    send_free(connection, stream_id);
    fake_drain(connection);
}

static void open_latch(enum holdfast_result result, const struct holdfast_holder *holder,
                       const char *error, void *user)
{
    REQUIRE(result == HOLDFAST_OK && !holder->is_held && error[0] == '\0');
    latch_open(user);
}

static void test_in_blocking_style(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        struct fake_server server;
        struct latch latch;
        latch_init(&latch);
        fake_server_start(&server, tell_free, NULL);
        const struct holdfast_options options = {.server = server.url};
        struct holdfast *holdfast = holdfast_open(&options, NULL);
        assert_non_null(holdfast);
        struct holdfast_watch *watch = holdfast_watch(holdfast, FAKE_KEY, open_latch, &latch);
        assert_non_null(watch);
        latch_wait(&latch);
        if (i == 0) {
            holdfast_watch_stop(watch);
            holdfast_close(holdfast);
        } else {
            holdfast_close(holdfast);
            holdfast_watch_stop(watch);
        }
        fake_server_finish(&server);
        latch_release(&latch);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_state_is_told),
        cmocka_unit_test(test_an_interruption_is_told_once),
        cmocka_unit_test(test_a_refusal_ends_it),
        cmocka_unit_test(test_nobody_is_there),
        cmocka_unit_test(test_a_server_that_says_nothing),
        cmocka_unit_test(test_in_blocking_style),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
