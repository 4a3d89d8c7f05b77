/* SPDX-License-Identifier: Apache-2.0 */
/* Standing for a lock again and again: elected, deposed, refused, ended at every stage. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "async_loop.h"
#include "fake_server.h"
#include "wire/status.h"

/* What the candidate has heard. */
struct hearing {
    int queued_count;
    int elected_count;
    uint64_t fence;
    int deposed_count;
    enum holdfast_loss loss;
    int trouble_count;
    enum holdfast_result result;
    bool ends_it; /* as soon as it hears anything */
    struct holdfast_election *election;
};

static void end_if_asked(struct hearing *hearing)
{
    if (hearing->ends_it) {
        holdfast_election_end(hearing->election);
        hearing->election = NULL;
    }
}

static void on_queued(uint32_t position, const struct holdfast_holder *holder, void *user)
{
    struct hearing *hearing = user;
    assert_int_equal(position, 1);
    assert_true(holder->is_held);
    hearing->queued_count++;
}

static void on_elected(struct holdfast_election *election, struct holdfast_lease *lease, void *user)
{
    struct hearing *hearing = user;
    assert_ptr_equal(election, hearing->election);
    hearing->elected_count++;
    hearing->fence = holdfast_lease_fence(lease);
    end_if_asked(hearing);
}

static void on_deposed(struct holdfast_election *election, enum holdfast_loss loss, void *user)
{
    struct hearing *hearing = user;
    assert_ptr_equal(election, hearing->election);
    hearing->deposed_count++;
    hearing->loss = loss;
    end_if_asked(hearing);
}

static void on_trouble(struct holdfast_election *election, enum holdfast_result result,
                       const char *error, void *user)
{
    struct hearing *hearing = user;
    assert_ptr_equal(election, hearing->election);
    assert_true(strlen(error) > 0);
    hearing->trouble_count++;
    hearing->result = result;
    end_if_asked(hearing);
}

static void stand(struct async_loop *loop, struct hearing *hearing)
{
    const struct holdfast_ask ask = {
        .key = FAKE_KEY,
        .label = "a candidate",
        .value = "here",
        .value_length = 4,
        .events = {.on_queued = on_queued, .user = hearing},
    };
    const struct holdfast_election_events events = {.on_elected = on_elected,
                                                    .on_deposed = on_deposed,
                                                    .on_trouble = on_trouble,
                                                    .user = hearing};
    hearing->election = holdfast_async_elect(loop->async, &ask, &events);
    assert_int_equal(hearing->elected_count + hearing->deposed_count + hearing->trouble_count, 0);
}

static void start(struct async_loop *loop, struct fake_server *server, fake_script *script)
{
    fake_server_start(server, script, NULL);
    async_loop_open_url(loop, server->url, 5000);
}

static void finish(struct async_loop *loop, struct fake_server *server)
{
    async_loop_close(loop);
    fake_server_finish(server);
}

/* A candidate waits as long as it may, with its value. */
static uint32_t read_candidacy(int connection)
{
    struct fake_ask ask;
    const uint32_t stream_id = fake_take_ask(connection, &ask);
    assert_int_equal(ask.message->ask->wait_ms, HOLDFAST_WAIT_MAX);
    assert_int_equal(ask.message->ask->value.len, 4);
    assert_memory_equal(ask.message->ask->value.data, "here", 4);
    fake_release_ask(&ask);
    return stream_id;
}

static void elect_depose_and_elect(struct fake_server *server, void *argument)
{
    int connection = fake_accept(server);
    (void)argument;
    uint32_t stream_id = read_candidacy(connection);
    fake_send_granted(connection, stream_id, 8900);
    fake_send_lost(connection, stream_id, HOLDFAST__V1__HOLD_LOST__REASON__REASON_TAKEN);
    fake_send_end(connection, stream_id);
    struct fake_frame frame;
    do {
        fake_read(connection, &frame); /* pings of the first term */
    } while (frame.header.type != TTRPC_REQUEST);
    fake_read(connection, &frame); /* its ask */
    fake_send_granted(connection, frame.header.stream_id, 8900);
    fake_drain(connection);
}

static void test_who_is_deposed_stands_again(void **state)
{
    struct fake_server server;
    struct async_loop loop;
    struct hearing hearing = {.elected_count = 0};
    (void)state;
    start(&loop, &server, elect_depose_and_elect);
    stand(&loop, &hearing);
    async_loop_run_until(&loop, &hearing.elected_count, 2);
    assert_int_equal(hearing.deposed_count, 1);
    assert_int_equal(hearing.loss, HOLDFAST_LOSS_TAKEN);
    assert_int_equal(hearing.fence, FAKE_FENCE);
    assert_int_equal(hearing.trouble_count, 0);
    holdfast_election_end(hearing.election);
    finish(&loop, &server);
}

static void busy_then_elect(struct fake_server *server, void *argument)
{
    int connection = fake_accept(server);
    (void)argument;
    uint32_t stream_id = read_candidacy(connection);
    fake_send_busy(connection, stream_id);
    fake_send_end(connection, stream_id);
    fake_send_granted(connection, read_candidacy(connection), 8900);
    fake_drain(connection);
}

static void test_a_wait_that_runs_out_is_no_trouble(void **state)
{
    struct fake_server server;
    struct async_loop loop;
    struct hearing hearing = {.elected_count = 0};
    (void)state;
    start(&loop, &server, busy_then_elect);
    stand(&loop, &hearing);
    async_loop_run_until(&loop, &hearing.elected_count, 1);
    assert_int_equal(hearing.trouble_count, 0);
    holdfast_election_end(hearing.election);
    finish(&loop, &server);
}

static void refuse_then_elect(struct fake_server *server, void *argument)
{
    int connection = fake_accept(server);
    (void)argument;
    fake_respond_status(connection, read_candidacy(connection), STATUS_UNAVAILABLE, "not now");
    fake_send_granted(connection, read_candidacy(connection), 8900);
    fake_drain(connection);
}

static void test_trouble_is_told_and_tried_again(void **state)
{
    struct fake_server server;
    struct async_loop loop;
    struct hearing hearing = {.elected_count = 0};
    (void)state;
    start(&loop, &server, refuse_then_elect);
    stand(&loop, &hearing);
    async_loop_run_until(&loop, &hearing.elected_count, 1);
    assert_int_equal(hearing.trouble_count, 1);
    assert_int_equal(hearing.result, HOLDFAST_AWAY);
    holdfast_election_end(hearing.election);
    finish(&loop, &server);
}

static void refuse_for_good(struct fake_server *server, void *argument)
{
    int connection = fake_accept(server);
    (void)argument;
    fake_respond_status(connection, read_candidacy(connection), STATUS_INVALID_ARGUMENT, "no");
    struct fake_frame frame;
    while (fake_try_read(connection, &frame)) {
        REQUIRE(frame.header.type != TTRPC_REQUEST);
    }
    close(connection);
}

static void test_what_cannot_work_is_not_tried_again(void **state)
{
    struct fake_server server;
    struct async_loop loop;
    struct hearing hearing = {.elected_count = 0};
    (void)state;
    start(&loop, &server, refuse_for_good);
    stand(&loop, &hearing);
    async_loop_run_until(&loop, &hearing.trouble_count, 1);
    assert_int_equal(hearing.result, HOLDFAST_INVALID);
    async_loop_run_for(&loop, 1300);
    assert_int_equal(hearing.trouble_count, 1);
    holdfast_election_end(hearing.election);
    finish(&loop, &server);
}

static void elect_until_released(struct fake_server *server, void *argument)
{
    int connection = fake_accept(server);
    (void)argument;
    uint32_t stream_id = read_candidacy(connection);
    fake_send_granted(connection, stream_id, 8900);
    fake_read_half_close(connection, stream_id);
    fake_send_released(connection, stream_id);
    fake_send_end(connection, stream_id);
    fake_drain(connection);
}

/* The script ends only if the lock is given up. */
static void test_whose_election_ends_gives_the_lock_up(void **state)
{
    struct fake_server server;
    struct async_loop loop;
    struct hearing hearing = {.ends_it = true};
    (void)state;
    start(&loop, &server, elect_until_released);
    stand(&loop, &hearing);
    async_loop_run_until(&loop, &hearing.elected_count, 1);
    async_loop_run_for(&loop, 50);
    finish(&loop, &server);
    assert_int_equal(hearing.deposed_count, 0);
}

static void queue_until_half_close(struct fake_server *server, void *argument)
{
    int connection = fake_accept(server);
    (void)argument;
    uint32_t stream_id = read_candidacy(connection);
    fake_send_queued(connection, stream_id, 1);
    fake_read_half_close(connection, stream_id);
    fake_drain(connection);
}

static void test_a_candidate_may_leave(void **state)
{
    struct fake_server server;
    struct async_loop loop;
    struct hearing hearing = {.elected_count = 0};
    (void)state;
    start(&loop, &server, queue_until_half_close);
    stand(&loop, &hearing);
    async_loop_run_until(&loop, &hearing.queued_count, 1);
    holdfast_election_end(hearing.election);
    async_loop_run_for(&loop, 50);
    finish(&loop, &server);
    assert_int_equal(hearing.elected_count + hearing.trouble_count, 0);
}

/* A handle that is closed tells nothing any more, whatever the election was at. */
static void close_and_end(struct async_loop *loop, struct fake_server *server,
                          struct hearing *hearing)
{
    const int told = hearing->elected_count;
    holdfast_async_close(loop->async);
    loop->async = NULL;
    assert_int_equal(hearing->elected_count, told);
    assert_int_equal(hearing->deposed_count + hearing->trouble_count, 0);
    holdfast_election_end(hearing->election);
    finish(loop, server);
}

static void elect(struct fake_server *server, void *argument)
{
    int connection = fake_accept(server);
    (void)argument;
    fake_send_granted(connection, read_candidacy(connection), 8900);
    fake_drain(connection);
}

static void test_a_leader_outlives_its_handle(void **state)
{
    struct fake_server server;
    struct async_loop loop;
    struct hearing hearing = {.elected_count = 0};
    (void)state;
    start(&loop, &server, elect);
    stand(&loop, &hearing);
    async_loop_run_until(&loop, &hearing.elected_count, 1);
    close_and_end(&loop, &server, &hearing);
}

static void queue(struct fake_server *server, void *argument)
{
    int connection = fake_accept(server);
    (void)argument;
    fake_send_queued(connection, read_candidacy(connection), 1);
    fake_drain(connection);
}

static void test_a_candidate_outlives_its_handle(void **state)
{
    struct fake_server server;
    struct async_loop loop;
    struct hearing hearing = {.elected_count = 0};
    (void)state;
    start(&loop, &server, queue);
    stand(&loop, &hearing);
    async_loop_run_until(&loop, &hearing.queued_count, 1);
    close_and_end(&loop, &server, &hearing);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_who_is_deposed_stands_again),
        cmocka_unit_test(test_a_wait_that_runs_out_is_no_trouble),
        cmocka_unit_test(test_trouble_is_told_and_tried_again),
        cmocka_unit_test(test_what_cannot_work_is_not_tried_again),
        cmocka_unit_test(test_whose_election_ends_gives_the_lock_up),
        cmocka_unit_test(test_a_candidate_may_leave),
        cmocka_unit_test(test_a_leader_outlives_its_handle),
        cmocka_unit_test(test_a_candidate_outlives_its_handle),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
