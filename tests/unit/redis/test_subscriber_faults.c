/* SPDX-License-Identifier: Apache-2.0 */
/* The subscriber against a Redis that the test itself plays, and that says what it should not. */
#include <fcntl.h>
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

#include "base/clock.h"
#include "base/compiler.h"
#include "redis/subscriber.h"

#define WAIT_US (10 * CLOCK_US_PER_S)

struct fixture {
    char directory[32];
    char path[64];
    char url_text[96];
    struct redis_url url;
    int listener;
    int peer;         /* the server's end; -1 when there is none */
    char heard[4096]; /* by the server on this connection */
    size_t heard_size;
    bool has_greeted, has_told_time, has_told_id, has_told_tracking;
    const char *id_reply, *tracking_reply;
    int connections;
    struct loop *loop;
    struct metrics metrics;
    struct subscriber *subscriber;
    int ups, downs, forgotten, messages, lock_ups, lock_messages;
    const char *add_on_up;
};

static void on_up(void *user, int64_t now_us)
{
    (void)now_us;
    struct fixture *fixture = user;
    fixture->ups++;
    if (fixture->add_on_up != NULL) {
        const char *key = fixture->add_on_up;
        assert_true(subscriber_add(fixture->subscriber, key, strlen(key)));
    }
}

static void on_down(void *user, int64_t now_us)
{
    (void)now_us;
    ((struct fixture *)user)->downs++;
}

static void on_forgotten(void *user, int64_t now_us)
{
    (void)now_us;
    ((struct fixture *)user)->forgotten++;
}

static void on_message(void *user, const char *payload, size_t length, int64_t now_us)
{
    (void)now_us;
    struct fixture *fixture = user;
    fixture->messages++;
    if (length == 4 && memcmp(payload, "fail", 4) == 0) {
        subscriber_fail(fixture->subscriber, "was told to");
    }
}

static void on_lock_up(void *user, const char *key, size_t key_length, int64_t now_us)
{
    (void)now_us;
    struct fixture *fixture = user;
    fixture->lock_ups++;
    subscriber_remove(fixture->subscriber, key, key_length);
    assert_true(subscriber_add(fixture->subscriber, key, key_length));
}

static void on_lock_message(void *user, const char *key, size_t key_length, const char *payload,
                            size_t length, int64_t now_us)
{
    (void)payload;
    (void)length;
    (void)now_us;
    struct fixture *fixture = user;
    fixture->lock_messages++;
    subscriber_remove(fixture->subscriber, key, key_length);
}

static void say(struct fixture *fixture, const char *bytes)
{
    size_t length = strlen(bytes);
    assert_int_equal(send(fixture->peer, bytes, length, MSG_NOSIGNAL), length);
}

static bool has_heard(const struct fixture *fixture, const char *text)
{
    return memmem(fixture->heard, fixture->heard_size, text, strlen(text)) != NULL;
}

static void answer_once(struct fixture *fixture, bool *has_answered, const char *text,
                        const char *reply)
{
    if (!*has_answered && has_heard(fixture, text)) {
        *has_answered = true;
        say(fixture, reply);
    }
}

/* Greets as Redis does, and keeps what is said to it. */
static void serve(struct fixture *fixture)
{
    static const char info[] = "run_id:a\r\nredis_version:7.0.0\r\nrole:master\r\n";
    char reply[128];
    int peer = accept4(fixture->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (peer >= 0) {
        if (fixture->peer >= 0) {
            close(fixture->peer);
        }
        fixture->peer = peer;
        fixture->connections++;
        fixture->heard_size = 0;
        fixture->has_greeted = false;
        fixture->has_told_time = false;
        fixture->has_told_id = false;
        fixture->has_told_tracking = false;
    }
    if (fixture->peer < 0) {
        return;
    }
    ssize_t size = recv(fixture->peer, fixture->heard + fixture->heard_size,
                        sizeof(fixture->heard) - fixture->heard_size, MSG_DONTWAIT);
    fixture->heard_size += size > 0 ? (size_t)size : 0;
    if (!fixture->has_greeted && has_heard(fixture, "persistence")) {
        fixture->has_greeted = true;
        for (int i = 0; i < 4; i++) {
            snprintf(reply, sizeof(reply), "$%zu\r\n%s\r\n", strlen(info), info);
            say(fixture, reply);
        }
    }
    if (!fixture->has_told_time && has_heard(fixture, "TIME")) {
        fixture->has_told_time = true;
        say(fixture, "*2\r\n$10\r\n1700000000\r\n$1\r\n0\r\n");
    }
    answer_once(fixture, &fixture->has_told_id, "CLIENT\r\n$2\r\nID\r\n", fixture->id_reply);
    answer_once(fixture, &fixture->has_told_tracking, "TRACKING", fixture->tracking_reply);
}

#define WAIT_FOR(fixture, condition)                                                               \
    do {                                                                                           \
        int64_t deadline_us = clock_now_us() + WAIT_US;                                            \
        while (!(condition)) {                                                                     \
            serve(fixture);                                                                        \
            loop_turn((fixture)->loop, CLOCK_US_PER_MS);                                           \
            if (clock_now_us() > deadline_us) {                                                    \
                fail_msg("timed out waiting for: %s", #condition);                                 \
            }                                                                                      \
        }                                                                                          \
    } while (0)

/* *3, kind, the channel's name, and `rest`. */
static void push(struct fixture *fixture, const char *kind, const char *channel, const char *rest)
{
    char bytes[256];
    snprintf(bytes, sizeof(bytes), "*3\r\n$%zu\r\n%s\r\n$%zu\r\n%s\r\n%s", strlen(kind), kind,
             strlen(channel), channel, rest);
    say(fixture, bytes);
}

static void push_own(struct fixture *fixture, const char *kind, const char *rest)
{
    char channel[64];
    snprintf(channel, sizeof(channel), "holdfast:server:%s", subscriber_id(fixture->subscriber));
    push(fixture, kind, channel, rest);
}

static void confirm(struct fixture *fixture)
{
    int ups = fixture->ups;
    WAIT_FOR(fixture, has_heard(fixture, "holdfast:server:"));
    push(fixture, "subscribe", "holdfast:forgotten", ":1\r\n");
    push_own(fixture, "subscribe", ":1\r\n");
    WAIT_FOR(fixture, fixture->ups == ups + 1);
}

static void expect_end(struct fixture *fixture)
{
    int connections = fixture->connections;
    int downs = fixture->downs;
    WAIT_FOR(fixture, fixture->downs == downs + 1);
    WAIT_FOR(fixture, fixture->connections == connections + 1);
    confirm(fixture);
}

static int set_up(void **state)
{
    static struct fixture fixture;
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    char problem[REDIS_URL_PROBLEM_SIZE];
    memset(&fixture, 0, sizeof(fixture));
    snprintf(fixture.directory, sizeof(fixture.directory), "/tmp/hf-unit-XXXXXX");
    assert_non_null(mkdtemp(fixture.directory));
    snprintf(fixture.path, sizeof(fixture.path), "%s/socket", fixture.directory);
    snprintf(fixture.url_text, sizeof(fixture.url_text), "unix://%s", fixture.path);
    snprintf(address.sun_path, sizeof(address.sun_path), "%s", fixture.path);
    fixture.listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    assert_int_equal(bind(fixture.listener, (struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(listen(fixture.listener, 4), 0);
    fixture.peer = -1;
    fixture.id_reply = ":42\r\n";
    fixture.tracking_reply = "+OK\r\n";
    fixture.loop = loop_create();
    assert_true(redis_url_parse(&fixture.url, fixture.url_text, problem));
    struct link_config config = {
        .url = &fixture.url,
        .connect_timeout_us = CLOCK_US_PER_S,
        .ack_timeout_us = CLOCK_US_PER_S,
        .backoff_max_us = 20 * CLOCK_US_PER_MS,
    };
    struct subscriber_listener listener = {on_up,      on_down,         on_forgotten, on_message,
                                           on_lock_up, on_lock_message, &fixture};
    fixture.subscriber = subscriber_create(&config, &listener, fixture.loop, &fixture.metrics);
    confirm(&fixture);
    *state = &fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    subscriber_destroy(fixture->subscriber);
    loop_destroy(fixture->loop);
    redis_url_release(&fixture->url);
    close(fixture->peer);
    close(fixture->listener);
    unlink(fixture->path);
    return rmdir(fixture->directory);
}

static void test_what_makes_no_sense_is_ignored(void **state)
{
    static const char *const odd[] = {
        "+OK\r\n",
        ":1\r\n",
        "$-1\r\n",
        "*-1\r\n",
        "*0\r\n",
        "*2\r\n$7\r\nmessage\r\n$1\r\nx\r\n",
        "*3\r\n$7\r\nmessage\r\n$1\r\nx\r\n$1\r\nx\r\n",
        "*3\r\n$7\r\nmessage\r\n:1\r\n$1\r\nx\r\n",
        "*4\r\n$8\r\npmessage\r\n$1\r\nx\r\n$1\r\nx\r\n$1\r\nx\r\n",
    };
    struct fixture *fixture = *state;
    for (size_t i = 0; i < COUNT_OF(odd); i++) {
        say(fixture, odd[i]);
    }
    push_own(fixture, "message", ":7\r\n");
    push_own(fixture, "message", "$1\r\nx\r\n");
    WAIT_FOR(fixture, fixture->messages == 1);
    assert_int_equal(fixture->metrics.redis_messages, 1);
    assert_int_equal(fixture->metrics.redis_messages_ignored, COUNT_OF(odd) + 1);
    assert_int_equal(fixture->downs, 0);
}

static void test_what_was_not_asked_ends_the_connection(void **state)
{
    struct fixture *fixture = *state;
    push_own(fixture, "subscribe", ":1\r\n");
    expect_end(fixture);
    push_own(fixture, "unsubscribe", ":0\r\n");
    expect_end(fixture);
    push(fixture, "subscribe", "holdfast:lock:never", ":2\r\n");
    expect_end(fixture);
    push(fixture, "subscribe", "holdfast:forgotten", ":2\r\n");
    expect_end(fixture);
    push(fixture, "unsubscribe", "holdfast:lock:never", ":1\r\n");
    expect_end(fixture);
    say(fixture, "*3\r\n$11\r\nunsubscribe\r\n$-1\r\n:0\r\n");
    expect_end(fixture);
    say(fixture, "*3\r\n$4\r\npong\r\n$0\r\n\r\n$0\r\n\r\n");
    expect_end(fixture);
    say(fixture, "*3\r\n:1\r\n:2\r\n:3\r\n");
    expect_end(fixture);
    say(fixture, "-ERR enough\r\n");
    expect_end(fixture);
    say(fixture, "?\r\n");
    expect_end(fixture);
    assert_int_equal(fixture->metrics.redis_subscribes, 11);
    assert_int_equal(fixture->metrics.redis_unsubscribes, 10);
}

/* Whatever is said about tracking, the rest goes on. */
static void test_odd_words_about_tracking(void **state)
{
    static const struct {
        const char *id, *tracking;
        bool is_on;
    } words[] = {
        {"-ERR unknown command\r\n", "", false},
        {"+OK\r\n", "", false},
        {":0\r\n", "", false},
        {":-1\r\n", "", false},
        {"$-1\r\n", "", false},
        {"*-1\r\n", "", false},
        {":42\r\n", "-NOPERM no\r\n", false},
        {":42\r\n", ":1\r\n", false},
        {":42\r\n", "$-1\r\n", false},
        {":9223372036854775807\r\n", "+OK\r\n", true},
    };
    struct fixture *fixture = *state;
    for (size_t i = 0; i < COUNT_OF(words); i++) {
        fixture->id_reply = words[i].id;
        fixture->tracking_reply = words[i].tracking;
        say(fixture, "-ERR enough\r\n");
        expect_end(fixture);
        assert_int_equal(subscriber_hears_flushes(fixture->subscriber), words[i].is_on);
        assert_int_equal(has_heard(fixture, "TRACKING"),
                         words[i].id[0] == ':' && words[i].id[1] > '0');
    }
    assert_true(has_heard(fixture, "$19\r\n9223372036854775807\r\n"));
}

/* Nobody is subscribed before tracking is settled, for Redis would refuse to hear of it then. */
static void test_an_end_before_tracking_is_settled(void **state)
{
    struct fixture *fixture = *state;
    fixture->tracking_reply = "";
    say(fixture, "-ERR enough\r\n");
    WAIT_FOR(fixture, fixture->connections == 2 && fixture->has_told_tracking);
    assert_false(has_heard(fixture, "SUBSCRIBE"));
    fixture->tracking_reply = "+OK\r\n";
    close(fixture->peer);
    fixture->peer = -1;
    WAIT_FOR(fixture, fixture->connections == 3);
    confirm(fixture);
    assert_true(subscriber_hears_flushes(fixture->subscriber));
    assert_int_equal(fixture->downs, 1);
}

static void test_only_a_message_without_a_payload_is_a_flush(void **state)
{
    struct fixture *fixture = *state;
    push(fixture, "message", "__redis__:invalidate", "*1\r\n$1\r\nk\r\n");
    push(fixture, "message", "__redis__:invalidate", "$0\r\n\r\n");
    push(fixture, "message", "__redis__:invalid", "$-1\r\n");
    push_own(fixture, "message", "$-1\r\n");
    WAIT_FOR(fixture, fixture->metrics.redis_messages_ignored == 4);
    assert_int_equal(fixture->forgotten, 0);
    push(fixture, "message", "__redis__:invalidate", "$-1\r\n");
    WAIT_FOR(fixture, fixture->forgotten == 1);
    push(fixture, "message", "holdfast:forgotten", "$0\r\n\r\n");
    WAIT_FOR(fixture, fixture->forgotten == 2);
    assert_int_equal(fixture->metrics.redis_messages, 2);
    assert_int_equal(fixture->downs, 0);
}

/* The listener takes locks in and out while it is told of them. */
static void test_changes_from_inside(void **state)
{
    struct fixture *fixture = *state;
    fixture->add_on_up = "k";
    say(fixture, "-ERR enough\r\n");
    expect_end(fixture);
    WAIT_FOR(fixture, has_heard(fixture, "holdfast:lock:k"));
    push(fixture, "subscribe", "holdfast:lock:k", ":2\r\n");
    /* It leaves before it joins again. */
    WAIT_FOR(fixture, fixture->lock_ups == 1 && has_heard(fixture, "UNSUBSCRIBE"));
    push(fixture, "message", "holdfast:lock:k", "$1\r\nx\r\n");
    push(fixture, "message", "holdfast:lock:k", "$1\r\nx\r\n");
    push(fixture, "unsubscribe", "holdfast:lock:k", ":1\r\n");
    push_own(fixture, "message", "$0\r\n\r\n");
    WAIT_FOR(fixture, fixture->messages == 1);
    assert_int_equal(fixture->lock_messages, 1);
    assert_int_equal(subscriber_locks(fixture->subscriber), 0);
    push(fixture, "message", "holdfast:lock:k", "$1\r\nx\r\n");
    WAIT_FOR(fixture, fixture->metrics.redis_messages_ignored == 1);
    fixture->add_on_up = NULL;
}

static void test_fail_from_a_message(void **state)
{
    struct fixture *fixture = *state;
    push_own(fixture, "message", "$4\r\nfail\r\n");
    push_own(fixture, "message", "$4\r\nmore\r\n");
    expect_end(fixture);
    assert_int_equal(fixture->messages, 1);
}

#define FAULT_TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        FAULT_TEST(test_what_makes_no_sense_is_ignored),
        FAULT_TEST(test_what_was_not_asked_ends_the_connection),
        FAULT_TEST(test_odd_words_about_tracking),
        FAULT_TEST(test_an_end_before_tracking_is_settled),
        FAULT_TEST(test_only_a_message_without_a_payload_is_a_flush),
        FAULT_TEST(test_changes_from_inside),
        FAULT_TEST(test_fail_from_a_message),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
