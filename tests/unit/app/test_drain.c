/* SPDX-License-Identifier: Apache-2.0 */
#include "app/drain.h"

#include "fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <ttrpc/ttrpc.pb-c.h>

#include "wire/ttrpc.h"

#define TIMEOUT_MS  3000
#define SETTLING_MS 2000
#define TURNS       50

struct drain_test {
    struct fixture *fixture;
    struct listener *listener;
    struct drain drain;
    char directory[32];
    char path[64];
    int done;
};

static void on_done(void *user)
{
    struct drain_test *test = user;
    test->done++;
}

static int setup(void **state)
{
    static struct drain_test test;
    char url[80];
    char problem[LISTENER_PROBLEM_SIZE];
    memset(&test, 0, sizeof(test));
    fixture_setup((void **)&test.fixture);
    fixture_drop(test.fixture, 0);
    snprintf(test.directory, sizeof(test.directory), "/tmp/holdfast-drain-XXXXXX");
    assert_non_null(mkdtemp(test.directory));
    snprintf(test.path, sizeof(test.path), "%s/s", test.directory);
    snprintf(url, sizeof(url), "unix://%s", test.path);
    const struct listener_config listener = {
        .url = url,
        .unix_mode = 0600,
        .output_max = 65536,
        .keepalive_ms = 1000,
        .user_timeout_ms = 1000,
        .handshake_timeout_ms = 60000,
    };
    test.listener = listener_create(&listener, test.fixture->loop, &test.fixture->services,
                                    &test.fixture->metrics, problem);
    assert_non_null(test.listener);
    listener_start(test.listener);
    const struct drain_config config = {
        .listeners = &test.listener,
        .listener_count = 1,
        .timeout_us = (int64_t)TIMEOUT_MS * 1000,
        .on_done = on_done,
        .user = &test,
    };
    drain_init(&test.drain, &config, &test.fixture->services);
    *state = &test;
    return 0;
}

static int teardown(void **state)
{
    struct drain_test *test = *state;
    drain_release(&test->drain);
    listener_destroy(test->listener);
    loop_turn(test->fixture->loop, 0);
    rmdir(test->directory);
    return fixture_teardown((void **)&test->fixture);
}

/* Turns without time passing: what is on its way arrives. */
static void turn(struct drain_test *test)
{
    for (int i = 0; i < TURNS; i++) {
        loop_turn(test->fixture->loop, 0);
    }
}

static int try_connect(const struct drain_test *test)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    memcpy(address.sun_path, test->path, strlen(test->path));
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    assert_true(fd >= 0);
    if (connect(fd, (const struct sockaddr *)&address, sizeof(address)) != 0) {
        close(fd);
        return -1;
    }
    return fd;
}

static int connect_client(struct drain_test *test)
{
    int fd = try_connect(test);
    assert_true(fd >= 0);
    turn(test);
    assert_int_equal(listener_connections(test->listener), 1);
    return fd;
}

static void send_frame(int fd, enum ttrpc_type type, uint8_t flags, const ProtobufCMessage *message)
{
    uint8_t bytes[512];
    size_t size = protobuf_c_message_get_packed_size(message);
    assert_in_range(size, 0, sizeof(bytes) - TTRPC_HEADER_SIZE);
    const struct ttrpc_header header = {
        .length = (uint32_t)size, .stream_id = 1, .type = (uint8_t)type, .flags = flags};
    ttrpc_header_encode(&header, bytes);
    protobuf_c_message_pack(message, bytes + TTRPC_HEADER_SIZE);
    assert_int_equal(write(fd, bytes, TTRPC_HEADER_SIZE + size), TTRPC_HEADER_SIZE + size);
}

/* A client that holds a lock. */
static int connect_holder(struct drain_test *test)
{
    Ttrpc__Request request = TTRPC__REQUEST__INIT;
    Holdfast__V1__HoldAsk ask = HOLDFAST__V1__HOLD_ASK__INIT;
    Holdfast__V1__HoldRequest message = HOLDFAST__V1__HOLD_REQUEST__INIT;
    int fd = connect_client(test);
    request.service = (char *)"holdfast.v1.Locks";
    request.method = (char *)"Hold";
    ask.key = (char *)"a";
    message.message_case = HOLDFAST__V1__HOLD_REQUEST__MESSAGE_ASK;
    message.ask = &ask;
    send_frame(fd, TTRPC_REQUEST, TTRPC_REMOTE_OPEN, &request.base);
    send_frame(fd, TTRPC_DATA, 0, &message.base);
    turn(test);
    fake_store_ok(&test->fixture->store, STORE_ACQUIRE, 1);
    turn(test);
    assert_int_equal(keeper_count(test->fixture->keeper), 1);
    return fd;
}

/* Reads all there is; returns whether the end of the connection follows. */
static bool has_ended(int fd)
{
    char bytes[4096];
    ssize_t size = 0;
    do {
        size = read(fd, bytes, sizeof(bytes));
    } while (size > 0);
    return size == 0;
}

/* Lets time pass while the holder's lease is renewed. */
static void advance_renewing_ms(struct drain_test *test, int64_t ms)
{
    for (int64_t i = 0; i < ms; i++) {
        fixture_advance_ms(test->fixture, 1);
        if (!TAILQ_EMPTY(&test->fixture->store.queue)) {
            fake_store_ok(&test->fixture->store, STORE_RENEW, 0);
        }
    }
}

static void with_nobody_there_it_ends_soon(void **state)
{
    struct drain_test *test = *state;
    assert_false(drain_has_begun(&test->drain));
    drain_begin(&test->drain);
    assert_true(drain_has_begun(&test->drain));
    assert_true(test->fixture->services.is_draining);
    fixture_advance_ms(test->fixture, 40);
    assert_int_equal(test->done, 1);
    fixture_advance_ms(test->fixture, TIMEOUT_MS + SETTLING_MS);
    assert_int_equal(test->done, 1);
}

static void idle_connections_are_closed(void **state)
{
    struct drain_test *test = *state;
    int fd = connect_client(test);
    assert_false(has_ended(fd));
    drain_begin(&test->drain);
    fixture_advance_ms(test->fixture, 60);
    assert_true(has_ended(fd));
    assert_int_equal(test->done, 1);
    close(fd);
}

static void nobody_new_is_let_in(void **state)
{
    struct drain_test *test = *state;
    int fd = connect_holder(test);
    drain_begin(&test->drain);
    assert_int_equal(try_connect(test), -1);
    close(fd);
}

static void holders_are_renewed_until_the_timeout(void **state)
{
    struct drain_test *test = *state;
    int fd = connect_holder(test);
    fixture_advance_ms(test->fixture, FIXTURE_TTL_MS / 3 - 1000);
    drain_begin(&test->drain);
    advance_renewing_ms(test, TIMEOUT_MS - 40);
    assert_int_equal(test->fixture->metrics.renewals_confirmed, 1);
    assert_false(has_ended(fd));
    assert_int_equal(test->done, 0);
    fixture_advance_ms(test->fixture, 80);
    assert_true(has_ended(fd));
    assert_int_equal(test->done, 0); /* the release is still on its way */
    fake_store_ok(&test->fixture->store, STORE_RELEASE, 0);
    fixture_advance_ms(test->fixture, 40);
    assert_int_equal(test->done, 1);
    close(fd);
}

static void a_store_that_is_away_delays_the_end_only_so_long(void **state)
{
    struct drain_test *test = *state;
    int fd = connect_holder(test);
    drain_begin(&test->drain);
    fixture_advance_ms(test->fixture, TIMEOUT_MS + SETTLING_MS - 40);
    assert_int_equal(test->done, 0);
    fixture_advance_ms(test->fixture, 120);
    assert_int_equal(test->done, 1);
    close(fd);
}

static void it_ends_when_the_last_client_has_left(void **state)
{
    struct drain_test *test = *state;
    int fd = connect_holder(test);
    drain_begin(&test->drain);
    fixture_advance_ms(test->fixture, 100);
    assert_int_equal(test->done, 0);
    close(fd);
    turn(test);
    fake_store_ok(&test->fixture->store, STORE_RELEASE, 0);
    fixture_advance_ms(test->fixture, 60);
    assert_int_equal(test->done, 1);
}

static void a_connection_that_becomes_idle_is_closed(void **state)
{
    struct drain_test *test = *state;
    const struct ttrpc_header half_close = {
        .stream_id = 1, .type = TTRPC_DATA, .flags = TTRPC_REMOTE_CLOSED | TTRPC_NO_DATA};
    uint8_t bytes[TTRPC_HEADER_SIZE];
    int fd = connect_holder(test);
    drain_begin(&test->drain);
    fixture_advance_ms(test->fixture, 100);
    ttrpc_header_encode(&half_close, bytes);
    assert_int_equal(write(fd, bytes, sizeof(bytes)), sizeof(bytes));
    turn(test);
    fake_store_ok(&test->fixture->store, STORE_RELEASE, 0);
    fixture_advance_ms(test->fixture, 60);
    assert_true(has_ended(fd));
    assert_int_equal(test->done, 1);
    close(fd);
}

#define DRAIN_TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        DRAIN_TEST(with_nobody_there_it_ends_soon),
        DRAIN_TEST(idle_connections_are_closed),
        DRAIN_TEST(nobody_new_is_let_in),
        DRAIN_TEST(holders_are_renewed_until_the_timeout),
        DRAIN_TEST(a_store_that_is_away_delays_the_end_only_so_long),
        DRAIN_TEST(it_ends_when_the_last_client_has_left),
        DRAIN_TEST(a_connection_that_becomes_idle_is_closed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
