/* SPDX-License-Identifier: Apache-2.0 */
/* The connection against a server that the test itself plays, byte by byte. */
#include "redis/conn.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>
#include <hiredis/hiredis.h>

#include "base/clock.h"
#include "base/compiler.h"

#define WAIT_US    (10 * CLOCK_US_PER_S)
#define TIMEOUT_US (60 * CLOCK_US_PER_S)

struct fixture {
    char directory[32];
    char path[64];
    int listener;
    int peer; /* the server's end; -1 when there is none */
    struct loop *loop;
    struct conn *conn;
    struct task send;
    int to_send;
    int opens, closes, replies;
    int fail_after; /* conn_fail at this reply; 0: never */
    char reason[160];
    long long last_integer;
};

static void on_open(void *user, int64_t now_us)
{
    (void)now_us;
    struct fixture *fixture = user;
    fixture->opens++;
    assert_true(conn_is_open(fixture->conn));
}

static void on_closed(void *user, const char *reason, int64_t now_us)
{
    (void)now_us;
    struct fixture *fixture = user;
    fixture->closes++;
    assert_false(conn_is_open(fixture->conn));
    snprintf(fixture->reason, sizeof(fixture->reason), "%s", reason);
}

static void on_reply(void *user, const struct redisReply *reply, int64_t now_us)
{
    struct fixture *fixture = user;
    assert_true(now_us > 0);
    fixture->replies++;
    fixture->last_integer = reply->integer;
    if (fixture->replies == fixture->fail_after) {
        conn_fail(fixture->conn, "enough");
    }
}

static void run_send(struct task *task)
{
    struct fixture *fixture = CONTAINER_OF(task, struct fixture, send);
    const char *const arguments[] = {"PING"};
    const size_t lengths[] = {4};
    struct conn_command command = {arguments, lengths, 1, on_reply, fixture};
    while (fixture->to_send > 0 &&
           conn_send(fixture->conn, &command, loop_update_now_us(fixture->loop))) {
        fixture->to_send--;
    }
    conn_flush(fixture->conn);
}

#define WAIT_FOR(fixture, condition)                                                               \
    do {                                                                                           \
        int64_t deadline_us = clock_now_us() + WAIT_US;                                            \
        while (!(condition)) {                                                                     \
            loop_turn((fixture)->loop, 5 * CLOCK_US_PER_MS);                                       \
            if (clock_now_us() > deadline_us) {                                                    \
                fail_msg("timed out waiting for: %s", #condition);                                 \
            }                                                                                      \
        }                                                                                          \
    } while (0)

static int set_up(void **state)
{
    static struct fixture fixture;
    memset(&fixture, 0, sizeof(fixture));
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(fixture.directory, sizeof(fixture.directory), "/tmp/hf-unit-XXXXXX");
    assert_non_null(mkdtemp(fixture.directory));
    snprintf(fixture.path, sizeof(fixture.path), "%s/socket", fixture.directory);
    snprintf(address.sun_path, sizeof(address.sun_path), "%s", fixture.path);
    fixture.listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    assert_int_equal(bind(fixture.listener, (struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(listen(fixture.listener, 4), 0);
    fixture.peer = -1;
    fixture.loop = loop_create();
    struct conn_listener listener = {on_open, on_closed, &fixture};
    fixture.conn = conn_create(fixture.loop, &listener);
    task_init(&fixture.send, run_send);
    *state = &fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    conn_destroy(fixture->conn);
    loop_destroy(fixture->loop);
    if (fixture->peer >= 0) {
        close(fixture->peer);
    }
    close(fixture->listener);
    unlink(fixture->path);
    return rmdir(fixture->directory);
}

static void open_conn(struct fixture *fixture)
{
    int opens = fixture->opens;
    struct conn_address address = {.socket_path = fixture->path};
    conn_connect(fixture->conn, &address, TIMEOUT_US);
    assert_int_equal(fixture->opens, opens);
    WAIT_FOR(fixture, fixture->opens == opens + 1);
    if (fixture->peer >= 0) {
        close(fixture->peer);
    }
    fixture->peer = accept4(fixture->listener, NULL, NULL, SOCK_CLOEXEC);
    assert_true(fixture->peer >= 0);
}

/* Sends commands and reads them at the server's end. */
static void ask(struct fixture *fixture, int commands)
{
    static const char ping[] = "*1\r\n$4\r\nPING\r\n";
    fixture->to_send = commands;
    loop_post(fixture->loop, LOOP_FLUSH, &fixture->send);
    WAIT_FOR(fixture, fixture->to_send == 0);
    for (int i = 0; i < commands; i++) {
        char bytes[sizeof(ping)] = "";
        assert_int_equal(recv(fixture->peer, bytes, sizeof(ping) - 1, MSG_WAITALL),
                         sizeof(ping) - 1);
        assert_string_equal(bytes, ping);
    }
}

static void say(struct fixture *fixture, const char *bytes)
{
    size_t length = strlen(bytes);
    assert_int_equal(send(fixture->peer, bytes, length, MSG_NOSIGNAL), length);
}

static void test_replies_in_order(void **state)
{
    struct fixture *fixture = *state;
    open_conn(fixture);
    ask(fixture, 3);
    assert_int_equal(conn_pending(fixture->conn), 3);
    say(fixture, ":1\r\n:2\r\n:");
    WAIT_FOR(fixture, fixture->replies == 2);
    assert_int_equal(fixture->last_integer, 2);
    say(fixture, "3\r\n");
    WAIT_FOR(fixture, fixture->replies == 3);
    assert_int_equal(conn_pending(fixture->conn), 0);
    assert_int_equal(fixture->closes, 0);
}

static void test_descriptor_is_not_inherited(void **state)
{
    enum { DESCRIPTORS = 64 };
    struct fixture *fixture = *state;
    bool was_open[DESCRIPTORS];
    int new_ones = 0;
    for (int fd = 0; fd < DESCRIPTORS; fd++) {
        was_open[fd] = fcntl(fd, F_GETFD) >= 0;
    }
    open_conn(fixture);
    for (int fd = 0; fd < DESCRIPTORS; fd++) {
        int flags = fcntl(fd, F_GETFD);
        if (!was_open[fd] && flags >= 0) {
            assert_true((flags & FD_CLOEXEC) != 0);
            new_ones++;
        }
    }
    assert_int_equal(new_ones, 2);
}

static void test_nobody_listens(void **state)
{
    struct fixture *fixture = *state;
    struct conn_address nowhere = {.socket_path = "/nonexistent/socket"};
    for (int i = 1; i <= 2; i++) {
        conn_connect(fixture->conn, &nowhere, TIMEOUT_US);
        assert_int_equal(fixture->closes, i - 1);
        WAIT_FOR(fixture, fixture->closes == i);
        assert_non_null(strstr(fixture->reason, "No such file"));
    }
    assert_int_equal(fixture->opens, 0);
}

static void test_refused_over_tcp(void **state)
{
    struct fixture *fixture = *state;
    struct conn_address closed = {.ip = "127.0.0.1", .port = 1};
    conn_connect(fixture->conn, &closed, TIMEOUT_US);
    WAIT_FOR(fixture, fixture->closes == 1);
    assert_non_null(strstr(fixture->reason, "refused"));
    assert_int_equal(fixture->opens, 0);
}

/* A listener whose queue is full does not answer. */
static void test_no_connection_in_time(void **state)
{
    enum { FILLERS = 8 };
    struct fixture *fixture = *state;
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t size = sizeof(address);
    int fillers[FILLERS];
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(listener, (struct sockaddr *)&address, size), 0);
    assert_int_equal(listen(listener, 0), 0);
    assert_int_equal(getsockname(listener, (struct sockaddr *)&address, &size), 0);
    for (int i = 0; i < FILLERS; i++) {
        fillers[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        (void)connect(fillers[i], (struct sockaddr *)&address, size);
    }
    struct conn_address full = {.ip = "127.0.0.1", .port = ntohs(address.sin_port)};
    int64_t before_us = loop_now_us(fixture->loop);
    conn_connect(fixture->conn, &full, 50 * CLOCK_US_PER_MS);
    WAIT_FOR(fixture, fixture->closes == 1);
    assert_string_equal(fixture->reason, "no connection in time");
    assert_true(clock_now_us() - before_us >= 50 * CLOCK_US_PER_MS);
    assert_int_equal(fixture->opens, 0);
    for (int i = 0; i < FILLERS; i++) {
        close(fillers[i]);
    }
    close(listener);
}

static void test_end_with_commands_pending(void **state)
{
    struct fixture *fixture = *state;
    open_conn(fixture);
    ask(fixture, 3);
    say(fixture, ":1\r\n:2");
    shutdown(fixture->peer, SHUT_RDWR);
    WAIT_FOR(fixture, fixture->closes == 1);
    assert_int_equal(fixture->replies, 1);
    assert_int_equal(conn_pending(fixture->conn), 0);
    open_conn(fixture);
    ask(fixture, 1);
    say(fixture, ":7\r\n");
    WAIT_FOR(fixture, fixture->replies == 2);
    assert_int_equal(fixture->last_integer, 7);
}

static void test_garbage(void **state)
{
    static const char *const garbage[] = {"hello\r\n", "*1\r\n?\r\n", "$-5\r\n", "*-9\r\n",
                                          "HTTP/1.1 400 Bad Request\r\n\r\n"};
    struct fixture *fixture = *state;
    for (int i = 0; i < (int)COUNT_OF(garbage); i++) {
        open_conn(fixture);
        ask(fixture, 1);
        say(fixture, garbage[i]);
        WAIT_FOR(fixture, fixture->closes == i + 1);
    }
    assert_int_equal(fixture->replies, 0);
}

/* hiredis would abort the process over these. */
static void test_replies_to_nothing(void **state)
{
    static const char *const unasked[] = {"+OK\r\n", ":1\r\n", "*0\r\n", "$1\r\nx\r\n"};
    struct fixture *fixture = *state;
    for (int i = 0; i < (int)COUNT_OF(unasked); i++) {
        open_conn(fixture);
        say(fixture, unasked[i]);
        WAIT_FOR(fixture, fixture->closes == i + 1);
        assert_non_null(strstr(fixture->reason, "nothing"));
    }
}

static void test_one_reply_too_many(void **state)
{
    struct fixture *fixture = *state;
    open_conn(fixture);
    ask(fixture, 2);
    say(fixture, ":1\r\n:2\r\n:3\r\n");
    WAIT_FOR(fixture, fixture->closes == 1);
    assert_non_null(strstr(fixture->reason, "nothing"));
    assert_int_equal(fixture->replies, 1);
}

static void test_error_before_the_end_is_the_reason(void **state)
{
    struct fixture *fixture = *state;
    open_conn(fixture);
    say(fixture, "-ERR max number of clients reached\r\n");
    shutdown(fixture->peer, SHUT_RDWR);
    WAIT_FOR(fixture, fixture->closes == 1);
    assert_non_null(strstr(fixture->reason, "max number of clients"));
}

static void test_no_reply_in_time(void **state)
{
    struct fixture *fixture = *state;
    open_conn(fixture);
    conn_set_reply_timeout(fixture->conn, 20 * CLOCK_US_PER_MS);
    ask(fixture, 1);
    WAIT_FOR(fixture, fixture->closes == 1);
    assert_string_equal(fixture->reason, "no reply in time");
}

/* The reply is there when the process wakes, but it comes too late to count. */
static void test_a_late_reply_does_not_count(void **state)
{
    struct fixture *fixture = *state;
    open_conn(fixture);
    conn_set_reply_timeout(fixture->conn, 20 * CLOCK_US_PER_MS);
    ask(fixture, 1);
    say(fixture, ":1\r\n");
    int64_t late_us = clock_now_us() + 21 * CLOCK_US_PER_MS;
    while (clock_now_us() < late_us) {
    }
    WAIT_FOR(fixture, fixture->closes == 1);
    assert_int_equal(fixture->replies, 0);
}

static void test_fail_from_a_reply(void **state)
{
    struct fixture *fixture = *state;
    fixture->fail_after = 2;
    open_conn(fixture);
    ask(fixture, 4);
    say(fixture, ":1\r\n:2\r\n:3\r\n");
    WAIT_FOR(fixture, fixture->closes == 1);
    assert_int_equal(fixture->replies, 2);
    assert_string_equal(fixture->reason, "enough");
    open_conn(fixture);
    assert_int_equal(fixture->closes, 1);
}

static void test_only_so_many_commands(void **state)
{
    struct fixture *fixture = *state;
    open_conn(fixture);
    fixture->to_send = (int)CONN_COMMANDS_MAX + 1;
    loop_post(fixture->loop, LOOP_FLUSH, &fixture->send);
    WAIT_FOR(fixture, fixture->to_send == 1);
    assert_int_equal(conn_pending(fixture->conn), CONN_COMMANDS_MAX);
    say(fixture, ":1\r\n");
    WAIT_FOR(fixture, fixture->replies == 1);
    loop_post(fixture->loop, LOOP_FLUSH, &fixture->send);
    WAIT_FOR(fixture, fixture->to_send == 0);
}

static void on_push(void *user, const struct redisReply *reply, int64_t now_us)
{
    on_reply(user, reply, now_us);
    struct fixture *fixture = user;
    fixture->last_integer = (long long)reply->elements;
}

static void listen_conn(struct fixture *fixture)
{
    open_conn(fixture);
    conn_listen(fixture->conn, on_push, fixture);
}

static void test_listening(void **state)
{
    struct fixture *fixture = *state;
    listen_conn(fixture);
    conn_set_reply_timeout(fixture->conn, CLOCK_US_PER_MS);
    ask(fixture, (int)CONN_COMMANDS_MAX + 1);
    assert_int_equal(conn_pending(fixture->conn), 0);
    say(fixture, "*1\r\n:1\r\n*2\r\n:1\r\n:2\r\n*3\r\n:1\r\n");
    WAIT_FOR(fixture, fixture->replies == 2);
    assert_int_equal(fixture->last_integer, 2);
    say(fixture, ":2\r\n:3\r\n");
    WAIT_FOR(fixture, fixture->replies == 3);
    assert_int_equal(fixture->last_integer, 3);
    shutdown(fixture->peer, SHUT_RDWR);
    WAIT_FOR(fixture, fixture->closes == 1);
    assert_string_equal(fixture->reason, "Server closed the connection");
    open_conn(fixture);
    ask(fixture, 1);
    say(fixture, ":7\r\n");
    WAIT_FOR(fixture, fixture->replies == 4);
    assert_int_equal(fixture->last_integer, 7);
}

static void test_garbage_while_listening(void **state)
{
    static const char *const garbage[] = {"hello\r\n", "*1\r\n?\r\n", "$-5\r\n"};
    struct fixture *fixture = *state;
    for (int i = 0; i < (int)COUNT_OF(garbage); i++) {
        listen_conn(fixture);
        say(fixture, garbage[i]);
        WAIT_FOR(fixture, fixture->closes == i + 1);
    }
    assert_int_equal(fixture->replies, 0);
}

static void test_a_push_without_end(void **state)
{
    static char junk[65536];
    struct fixture *fixture = *state;
    memset(junk, 'x', sizeof(junk) - 1);
    listen_conn(fixture);
    say(fixture, "$100000000\r\n");
    while (fixture->closes == 0) {
        (void)send(fixture->peer, junk, sizeof(junk), MSG_NOSIGNAL | MSG_DONTWAIT);
        loop_turn(fixture->loop, CLOCK_US_PER_MS);
    }
    assert_non_null(strstr(fixture->reason, "too long"));
}

static void test_fail_from_a_push(void **state)
{
    struct fixture *fixture = *state;
    fixture->fail_after = 2;
    listen_conn(fixture);
    say(fixture, "*1\r\n:1\r\n*1\r\n:2\r\n*1\r\n:3\r\n");
    WAIT_FOR(fixture, fixture->closes == 1);
    assert_int_equal(fixture->replies, 2);
    assert_string_equal(fixture->reason, "enough");
}

static void test_destroy_in_every_state(void **state)
{
    struct fixture *fixture = *state;
    struct conn_listener listener = {on_open, on_closed, fixture};
    struct conn_address address = {.socket_path = fixture->path};
    conn_destroy(fixture->conn);
    fixture->conn = conn_create(fixture->loop, &listener);
    conn_connect(fixture->conn, &address, TIMEOUT_US);
    conn_destroy(fixture->conn);
    close(accept4(fixture->listener, NULL, NULL, SOCK_CLOEXEC));
    fixture->conn = conn_create(fixture->loop, &listener);
    open_conn(fixture);
    ask(fixture, 2);
    conn_destroy(fixture->conn);
    fixture->conn = conn_create(fixture->loop, &listener);
    open_conn(fixture);
    conn_fail(fixture->conn, "gone");
    conn_destroy(fixture->conn);
    fixture->conn = conn_create(fixture->loop, &listener);
    assert_int_equal(fixture->closes, 0);
}

#define CONN_TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CONN_TEST(test_replies_in_order),
        CONN_TEST(test_descriptor_is_not_inherited),
        CONN_TEST(test_nobody_listens),
        CONN_TEST(test_refused_over_tcp),
        CONN_TEST(test_no_connection_in_time),
        CONN_TEST(test_end_with_commands_pending),
        CONN_TEST(test_garbage),
        CONN_TEST(test_replies_to_nothing),
        CONN_TEST(test_one_reply_too_many),
        CONN_TEST(test_error_before_the_end_is_the_reason),
        CONN_TEST(test_no_reply_in_time),
        CONN_TEST(test_a_late_reply_does_not_count),
        CONN_TEST(test_fail_from_a_reply),
        CONN_TEST(test_only_so_many_commands),
        CONN_TEST(test_listening),
        CONN_TEST(test_garbage_while_listening),
        CONN_TEST(test_a_push_without_end),
        CONN_TEST(test_fail_from_a_push),
        CONN_TEST(test_destroy_in_every_state),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
