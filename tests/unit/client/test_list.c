/* SPDX-License-Identifier: Apache-2.0 */
/* The lists of the Admin service, and leases on several locks. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "async_loop.h"
#include "base/compiler.h"
#include "fake_server.h"
#include "holdfast/v1/admin.pb-c.h"
#include "wire/status.h"

#define MANY 2000

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

struct listed {
    int count;
    enum holdfast_result result;
    size_t locks;
    char text[512]; /* what the first one says */
    char next[64];
    char error[HOLDFAST_ERROR_SIZE];
};

static void on_locks(enum holdfast_result result, const struct holdfast_lock_state *locks,
                     size_t count, const char *next, const char *error, void *user)
{
    struct listed *listed = user;
    listed->count++;
    listed->result = result;
    listed->locks = count;
    (void)snprintf(listed->next, sizeof(listed->next), "%s", next);
    (void)snprintf(listed->error, sizeof(listed->error), "%s", error);
    if (count > 0 && locks[0].holder_count > 0 && locks[0].waiter_count > 0) {
        const struct holdfast_lock_holder *holder = &locks[0].holders[0];
        (void)snprintf(listed->text, sizeof(listed->text), "%s %d %s@%s %d %d %d %s@%s %d %d",
                       locks[0].key, (int)locks[0].mode, holder->label, holder->peer,
                       (int)holder->fence, holder->is_orphaned, holder->is_foreign,
                       locks[0].waiters[0].label, locks[0].waiters[0].peer,
                       (int)locks[0].waiters[0].mode, (int)locks[0].waiting);
    }
}

static void answer_list(struct fake_server *server, void *argument)
{
    (void)argument;
    struct fake_frame frame;
    char key[] = "batch/a", label[] = "me", peer[] = "unix", other[] = "you", next[] = "page 2";
    int connection = fake_accept(server);
    Ttrpc__Request *request = fake_read_request(connection, "Admin.ListLocks", &frame);
    Holdfast__V1__ListLocksRequest *list =
        holdfast__v1__list_locks_request__unpack(NULL, request->payload.len, request->payload.data);
    REQUIRE(list != NULL && strcmp(list->prefix, "batch/") == 0 && list->page_size == 7);
    REQUIRE(strcmp(list->page_token, "page 1") == 0 && list->fleet);
    holdfast__v1__list_locks_request__free_unpacked(list, NULL);
    ttrpc__request__free_unpacked(request, NULL);
    Holdfast__V1__LockHolder holder = HOLDFAST__V1__LOCK_HOLDER__INIT;
    holder.label = label;
    holder.peer = peer;
    holder.fence = 42;
    holder.orphaned = true;
    Holdfast__V1__LockWaiter waiter = HOLDFAST__V1__LOCK_WAITER__INIT;
    waiter.label = other;
    waiter.peer = peer;
    waiter.mode = HOLDFAST__V1__MODE__MODE_SHARED;
    Holdfast__V1__LockHolder *holders[] = {&holder};
    Holdfast__V1__LockWaiter *waiters[] = {&waiter};
    Holdfast__V1__LockState lock = HOLDFAST__V1__LOCK_STATE__INIT;
    lock.key = key;
    lock.mode = HOLDFAST__V1__MODE__MODE_EXCLUSIVE;
    lock.n_holders = 1;
    lock.holders = holders;
    lock.n_waiters = 1;
    lock.waiters = waiters;
    lock.waiting = 3;
    Holdfast__V1__LockState *locks[] = {&lock, &lock};
    Holdfast__V1__ListLocksResponse response = HOLDFAST__V1__LIST_LOCKS_RESPONSE__INIT;
    response.n_locks = 2;
    response.locks = locks;
    response.next_page_token = next;
    fake_respond(connection, frame.header.stream_id, &response.base);
    fake_drain(connection);
}

static void test_a_page_of_locks(void **state)
{
    (void)state;
    struct fake_server server;
    struct async_loop loop;
    struct listed listed = {.count = 0};
    const struct holdfast_list list = {
        .prefix = "batch/", .page_size = 7, .page = "page 1", .fleet = true};
    start(&loop, &server, answer_list, NULL);
    holdfast_async_list_locks(loop.async, &list, on_locks, &listed);
    async_loop_run_until(&loop, &listed.count, 1);
    assert_int_equal(listed.result, HOLDFAST_OK);
    assert_int_equal(listed.locks, 2);
    assert_string_equal(listed.text, "batch/a 0 me@unix 42 1 0 you@unix 1 3");
    assert_string_equal(listed.next, "page 2");
    finish(&loop, &server);
}

static void refuse(struct fake_server *server, void *argument)
{
    (void)argument;
    struct fake_frame frame;
    int connection = fake_accept(server);
    ttrpc__request__free_unpacked(fake_read_request(connection, "Admin.ListLocks", &frame), NULL);
    fake_respond_status(connection, frame.header.stream_id, STATUS_UNIMPLEMENTED, "no Admin");
    fake_drain(connection);
}

static void test_a_list_that_is_refused(void **state)
{
    (void)state;
    struct fake_server server;
    struct async_loop loop;
    struct listed listed = {.count = 0};
    char prefix[514];
    memset(prefix, 'k', sizeof(prefix) - 1);
    prefix[513] = '\0';
    const struct holdfast_list list = {.prefix = prefix};
    start(&loop, &server, refuse, NULL);
    holdfast_async_list_locks(loop.async, &list, on_locks, &listed);
    async_loop_run_until(&loop, &listed.count, 1);
    assert_int_equal(listed.result, HOLDFAST_INVALID);
    holdfast_async_list_locks(loop.async, NULL, on_locks, &listed);
    async_loop_run_until(&loop, &listed.count, 2);
    assert_int_equal(listed.result, HOLDFAST_REFUSED);
    assert_string_equal(listed.error, "no Admin");
    assert_int_equal(listed.locks, 0);
    assert_string_equal(listed.next, "");
    finish(&loop, &server);
}

struct connections {
    int count;
    size_t connections;
    uint64_t last_id;
    char peer[32];
};

static void on_connections(enum holdfast_result result,
                           const struct holdfast_connection *connections, size_t count,
                           const char *next, const char *error, void *user)
{
    struct connections *listed = user;
    listed->count++;
    listed->connections = count;
    assert_int_equal(result, HOLDFAST_OK);
    assert_string_equal(error, "");
    assert_string_equal(next, "");
    listed->last_id = connections[count - 1].id;
    (void)snprintf(listed->peer, sizeof(listed->peer), "%s", connections[count - 1].peer);
}

/* A page may have more fields than any request. */
static void answer_connections(struct fake_server *server, void *argument)
{
    (void)argument;
    struct fake_frame frame;
    char peer[] = "127.0.0.1:5";
    Holdfast__V1__Connection *connections = calloc(MANY, sizeof(*connections));
    Holdfast__V1__Connection **pointers = calloc(MANY, sizeof(Holdfast__V1__Connection *));
    Holdfast__V1__ListConnectionsResponse response = HOLDFAST__V1__LIST_CONNECTIONS_RESPONSE__INIT;
    REQUIRE(connections != NULL && pointers != NULL);
    for (size_t i = 0; i < MANY; i++) {
        holdfast__v1__connection__init(&connections[i]);
        connections[i].id = i + 1;
        connections[i].peer = peer;
        connections[i].calls = 1;
        pointers[i] = &connections[i];
    }
    response.n_connections = MANY;
    response.connections = pointers;
    int connection = fake_accept(server);
    ttrpc__request__free_unpacked(fake_read_request(connection, "Admin.ListConnections", &frame),
                                  NULL);
    fake_respond_large(connection, frame.header.stream_id, &response.base);
    free(connections);
    free(pointers);
    fake_drain(connection);
}

static void test_a_long_page_of_connections(void **state)
{
    (void)state;
    struct fake_server server;
    struct async_loop loop;
    struct connections listed = {.count = 0};
    start(&loop, &server, answer_connections, NULL);
    holdfast_async_list_connections(loop.async, NULL, on_connections, &listed);
    async_loop_run_until(&loop, &listed.count, 1);
    assert_int_equal(listed.connections, MANY);
    assert_int_equal(listed.last_id, MANY);
    assert_string_equal(listed.peer, "127.0.0.1:5");
    finish(&loop, &server);
}

static void grant_two(struct fake_server *server, void *argument)
{
    const size_t *count = argument;
    struct fake_ask taken;
    int connection = fake_accept(server);
    uint32_t stream_id = fake_take_ask(connection, &taken);
    const Holdfast__V1__HoldAsk *ask = taken.message->ask;
    REQUIRE(ask->key[0] == '\0' && ask->n_keys == 2);
    REQUIRE(strcmp(ask->keys[0], "b") == 0 && strcmp(ask->keys[1], "a") == 0);
    fake_release_ask(&taken);
    char keys[][2] = {"a", "b"};
    Holdfast__V1__LockFence first = HOLDFAST__V1__LOCK_FENCE__INIT;
    Holdfast__V1__LockFence second = HOLDFAST__V1__LOCK_FENCE__INIT;
    Holdfast__V1__LockFence *locks[] = {&first, &second};
    Holdfast__V1__Lease lease = fake_lease("a", (const uint8_t *)FAKE_TOKEN, 8900);
    first.key = keys[0];
    first.fence = FAKE_FENCE;
    second.key = keys[1];
    second.fence = 5;
    lease.n_locks = *count;
    lease.locks = locks;
    Holdfast__V1__HoldEvent event = HOLDFAST__V1__HOLD_EVENT__INIT;
    event.event_case = HOLDFAST__V1__HOLD_EVENT__EVENT_GRANTED;
    event.granted = &lease;
    fake_send_event(connection, stream_id, &event);
    fake_drain(connection);
}

static void test_a_lease_on_two_locks(void **state)
{
    (void)state;
    static const char *const keys[] = {"b", "a"};
    const struct holdfast_ask ask = {.keys = keys, .key_count = 2};
    for (size_t count = 1; count <= 2; count++) {
        struct fake_server server;
        struct async_loop loop;
        struct answer held = {.count = 0};
        start(&loop, &server, grant_two, &count);
        holdfast_async_hold(loop.async, &ask, async_on_lease, &held);
        async_loop_run_until(&loop, &held.count, 1);
        if (count == 1) {
            assert_int_equal(held.result, HOLDFAST_AWAY); /* makes no sense: the lock is given up */
        } else {
            assert_int_equal(held.result, HOLDFAST_OK);
            assert_int_equal(holdfast_lease_key_count(held.lease), 2);
            assert_string_equal(holdfast_lease_key(held.lease), "a");
            assert_string_equal(holdfast_lease_key_at(held.lease, 1), "b");
            assert_int_equal(holdfast_lease_fence_of(held.lease, "b"), 5);
            assert_int_equal(holdfast_lease_fence_of(held.lease, "a"), FAKE_FENCE);
            assert_int_equal(holdfast_lease_fence_of(held.lease, "c"), 0);
        }
        holdfast_lease_free(held.lease);
        finish(&loop, &server);
    }
}

static void test_bounds_of_asks(void **state)
{
    (void)state;
    static const char *const keys[HOLDFAST_KEYS_MAX + 1] = {"a", "", "c"};
    static const char value[HOLDFAST_VALUE_MAX + 1] = "";
    static const struct {
        struct holdfast_ask ask;
        const char *problem;
        bool is_fine_attached;
    } rows[] = {
        {{.keys = keys, .key_count = 1}, "keys", false},
        {{.keys = keys, .key_count = 2}, "key", false},
        {{.keys = keys, .key_count = HOLDFAST_KEYS_MAX + 1}, "keys", false},
        {{.key = "k", .keys = keys, .key_count = 2}, "keys", false},
        {{.key = "k", .value = value, .value_length = sizeof(value)}, "value", false},
        {{.key = "k", .wait_ms = HOLDFAST_WAIT_MAX + 1}, "wait_ms", false},
        {{.key = "k", .grace_ms = 1}, "grace_ms", true},
        {{.key = "k", .max_hold_ms = 1}, "max_hold_ms", true},
    };
    struct async_loop loop;
    async_loop_open_url(&loop, "unix:///nonexistent/socket", 50);
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct answer hold = {.count = 0};
        struct answer acquire = {.count = 0};
        holdfast_async_hold(loop.async, &rows[i].ask, async_on_lease, &hold);
        holdfast_async_acquire_detached(loop.async, &rows[i].ask, NULL, async_on_lease, &acquire);
        async_loop_run_until(&loop, &acquire.count, 1);
        async_loop_run_until(&loop, &hold.count, 1);
        assert_int_equal(acquire.result, HOLDFAST_INVALID);
        assert_non_null(strstr(acquire.error, rows[i].problem));
        assert_int_equal(hold.result, rows[i].is_fine_attached ? HOLDFAST_AWAY : HOLDFAST_INVALID);
    }
    async_loop_close(&loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_page_of_locks),
        cmocka_unit_test(test_a_list_that_is_refused),
        cmocka_unit_test(test_a_long_page_of_connections),
        cmocka_unit_test(test_a_lease_on_two_locks),
        cmocka_unit_test(test_bounds_of_asks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
