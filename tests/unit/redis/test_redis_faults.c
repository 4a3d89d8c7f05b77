/* SPDX-License-Identifier: Apache-2.0 */
/* The store against a real server that refuses, stalls, dies, forgets or changes its role. */
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
#include <unistd.h>

#include <cmocka.h>
#include <hiredis/hiredis.h>

#include "base/clock.h"
#include "base/compiler.h"
#include "redis/redis_store.h"
#include "redis_fixture.h"
#include "store_fixture.h"

#define MANY 200

struct fixture {
    struct redis_fixture redis;
    struct store_fixture store;
    struct redis_store_config config;
    struct asked asked[MANY];
    char keys[MANY][16];
};

static struct fixture *new_fixture(const char *const *options)
{
    struct fixture *fixture = calloc(1, sizeof(*fixture));
    assert_non_null(fixture);
    redis_fixture_init(&fixture->redis, options);
    fixture->config = store_fixture_config();
    return fixture;
}

static void open_url(struct fixture *fixture, const char *credentials)
{
    char url[160];
    snprintf(url, sizeof(url), "redis://%s127.0.0.1:%d", credentials, fixture->redis.port);
    store_fixture_init(&fixture->store, fixture->config, url);
}

static void free_fixture(struct fixture *fixture)
{
    store_fixture_release(&fixture->store);
    redis_fixture_release(&fixture->redis);
    free(fixture);
}

static int set_up(void **state)
{
    struct fixture *fixture = new_fixture(NULL);
    fixture->config.ack_timeout_ms = 150;
    open_url(fixture, "");
    store_fixture_wait_up(&fixture->store);
    *state = fixture;
    return 0;
}

static int tear_down(void **state)
{
    free_fixture(*state);
    return 0;
}

static struct asked *ask(struct fixture *fixture, size_t slot, enum store_verb verb,
                         const char *key, uint8_t number)
{
    asked_init(&fixture->asked[slot], &fixture->store, verb, key, number);
    return &fixture->asked[slot];
}

static struct asked *ask_own_key(struct fixture *fixture, size_t slot, enum store_verb verb)
{
    snprintf(fixture->keys[slot], sizeof(fixture->keys[slot]), "key%zu", slot);
    return ask(fixture, slot, verb, fixture->keys[slot], 1);
}

/* An acquire that gives up soon, to hear why the store is down. */
static void assert_down_because(struct fixture *fixture, const char *hint)
{
    struct asked *asked = ask(fixture, MANY - 1, STORE_ACQUIRE, "probe", 9);
    asked->op.give_up_us = clock_now_us() + 300 * CLOCK_US_PER_MS;
    assert_int_equal(asked_run(asked), STORE_UNAVAILABLE);
    assert_non_null(strstr(asked->detail, hint));
    assert_int_equal(asked->result.sent_us, 0);
    assert_false(redis_store_is_up(fixture->store.store));
    assert_true(asked->answered_us >= asked->op.give_up_us);
}

static void write_file(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    close(fd);
}

/* Who we are */

static const char *const with_password[] = {"--requirepass", "s3cret", NULL};

static void test_password(void **state)
{
    (void)state;
    struct fixture *fixture = new_fixture(with_password);
    open_url(fixture, ":s3cret@");
    assert_int_equal(asked_run(ask(fixture, 0, STORE_ACQUIRE, "a", 1)), STORE_OK);
    free_fixture(fixture);
}

static void test_wrong_password(void **state)
{
    (void)state;
    struct fixture *fixture = new_fixture(with_password);
    open_url(fixture, ":wrong@");
    assert_down_because(fixture, "WRONGPASS");
    assert_null(strstr(fixture->asked[MANY - 1].detail, "wrong@"));
    free_fixture(fixture);
}

static void test_missing_password(void **state)
{
    (void)state;
    struct fixture *fixture = new_fixture(with_password);
    open_url(fixture, "");
    assert_down_because(fixture, "NOAUTH");
    free_fixture(fixture);
}

static void test_user_and_password_file_read_at_each_attempt(void **state)
{
    (void)state;
    struct fixture *fixture = new_fixture(NULL);
    char path[160];
    freeReplyObject(redis_fixture_command(&fixture->redis,
                                          "ACL SETUSER app on >changed ~lock:* ~holdfast:* +@all"));
    snprintf(path, sizeof(path), "%s/password", fixture->redis.directory);
    write_file(path, "before\n");
    fixture->config.user = "app";
    fixture->config.password_file = path;
    open_url(fixture, "nobody:unused@");
    assert_down_because(fixture, "WRONGPASS");
    write_file(path, "changed\n");
    assert_int_equal(asked_run(ask(fixture, 0, STORE_ACQUIRE, "a", 1)), STORE_OK);
    unlink(path);
    freeReplyObject(redis_fixture_command(&fixture->redis, "CLIENT KILL TYPE normal SKIPME yes"));
    assert_down_because(fixture, path);
    free_fixture(fixture);
}

static void test_rules_that_forbid_scripts(void **state)
{
    (void)state;
    struct fixture *fixture = new_fixture(NULL);
    freeReplyObject(
        redis_fixture_command(&fixture->redis, "ACL SETUSER app on >p ~* +@all -evalsha -eval"));
    open_url(fixture, "app:p@");
    struct asked *asked = ask(fixture, 0, STORE_ACQUIRE, "a", 1);
    assert_int_equal(asked_run(asked), STORE_UNAVAILABLE);
    assert_non_null(strstr(asked->detail, "ACL"));
    assert_int_equal(fixture->store.metrics.redis_connects, 1);
    free_fixture(fixture);
}

/* Which server it is */

static void test_a_replica_is_refused(void **state)
{
    (void)state;
    struct fixture *fixture = new_fixture(NULL);
    freeReplyObject(redis_fixture_command(&fixture->redis, "REPLICAOF 127.0.0.1 1"));
    open_url(fixture, "");
    assert_down_because(fixture, "replica");
    freeReplyObject(redis_fixture_command(&fixture->redis, "REPLICAOF NO ONE"));
    assert_int_equal(asked_run(ask(fixture, 0, STORE_ACQUIRE, "a", 1)), STORE_OK);
    free_fixture(fixture);
}

static void test_a_master_that_becomes_a_replica(void **state)
{
    struct fixture *fixture = *state;
    assert_int_equal(asked_run(ask(fixture, 0, STORE_ACQUIRE, "a", 1)), STORE_OK);
    freeReplyObject(redis_fixture_command(&fixture->redis, "REPLICAOF 127.0.0.1 1"));
    struct asked *renew = ask(fixture, 1, STORE_RENEW, "a", 1);
    asked_submit(renew);
    store_fixture_wait(&fixture->store, !redis_store_is_up(fixture->store.store));
    assert_int_equal(renew->answers, 0);
    assert_down_because(fixture, "replica");
    freeReplyObject(redis_fixture_command(&fixture->redis, "REPLICAOF NO ONE"));
    store_fixture_wait(&fixture->store, renew->answers == 1);
    assert_int_equal(renew->result.code, STORE_OK);
}

static const char *const evicting[] = {"--maxmemory-policy", "volatile-ttl", NULL};

static void test_an_evicting_redis_is_used_with_a_warning(void **state)
{
    (void)state;
    struct fixture *fixture = new_fixture(evicting);
    open_url(fixture, "");
    assert_int_equal(asked_run(ask(fixture, 0, STORE_ACQUIRE, "a", 1)), STORE_OK);
    free_fixture(fixture);
}

static void test_an_evicting_redis_is_refused_on_request(void **state)
{
    (void)state;
    struct fixture *fixture = new_fixture(evicting);
    fixture->config.requires_noeviction = true;
    open_url(fixture, "");
    assert_down_because(fixture, "noeviction");
    freeReplyObject(
        redis_fixture_command(&fixture->redis, "CONFIG SET maxmemory-policy noeviction"));
    store_fixture_wait_up(&fixture->store);
    free_fixture(fixture);
}

static void test_a_name_that_does_not_resolve(void **state)
{
    (void)state;
    struct fixture *fixture = new_fixture(NULL);
    fixture->config.connect_timeout_ms = 100;
    store_fixture_init(&fixture->store, fixture->config, "redis://no-such-host.invalid");
    assert_down_because(fixture, "resolve");
    free_fixture(fixture);
}

/* Connections that end */

static void test_killed_with_batches_in_flight(void **state)
{
    struct fixture *fixture = *state;
    assert_int_equal(asked_run(ask(fixture, 0, STORE_INSPECT, "a", 1)), STORE_OK);
    fixture->store.answered = 0;
    freeReplyObject(redis_fixture_command(&fixture->redis, "CLIENT PAUSE 60000 WRITE"));
    for (size_t i = 0; i < MANY; i++) {
        asked_submit(ask_own_key(fixture, i, STORE_ACQUIRE));
    }
    store_fixture_wait(&fixture->store, fixture->asked[MANY - 1].op.state == STORE_OP_SENT);
    freeReplyObject(redis_fixture_command(&fixture->redis, "CLIENT KILL TYPE normal SKIPME yes"));
    store_fixture_wait(&fixture->store, fixture->store.answered == MANY);
    for (size_t i = 0; i < MANY; i++) {
        assert_int_equal(fixture->asked[i].answers, 1);
        assert_int_equal(fixture->asked[i].result.code, STORE_UNKNOWN);
        assert_true(fixture->asked[i].result.sent_us > 0);
    }
    assert_int_equal(fixture->store.metrics.redis_unknown, MANY);
    assert_int_equal(fixture->store.metrics.redis_operations_now, 0);
    freeReplyObject(redis_fixture_command(&fixture->redis, "CLIENT UNPAUSE"));
    assert_int_equal(asked_run(ask(fixture, 0, STORE_ACQUIRE, "a", 1)), STORE_OK);
    assert_int_equal(fixture->store.metrics.redis_connects, 2);
    assert_int_equal(fixture->store.metrics.redis_disconnects, 1);
}

static void test_killed_while_idle(void **state)
{
    struct fixture *fixture = *state;
    freeReplyObject(redis_fixture_command(&fixture->redis, "CLIENT KILL TYPE normal SKIPME yes"));
    store_fixture_wait(&fixture->store, fixture->store.ups == 2);
}

static void test_stopped_while_idle(void **state)
{
    struct fixture *fixture = *state;
    redis_fixture_stop(&fixture->redis);
    store_fixture_wait(&fixture->store, !redis_store_is_up(fixture->store.store));
    redis_fixture_resume(&fixture->redis);
    store_fixture_wait_up(&fixture->store);
}

static int64_t calls_of(struct fixture *fixture, const char *command)
{
    char name[64];
    snprintf(name, sizeof(name), "cmdstat_%s:calls=", command);
    redisReply *reply = redis_fixture_command(&fixture->redis, "INFO commandstats");
    const char *at = strstr(reply->str, name);
    int64_t calls = at != NULL ? atoll(at + strlen(name)) : 0;
    freeReplyObject(reply);
    return calls;
}

static int64_t calls_of_evalsha(struct fixture *fixture)
{
    return calls_of(fixture, "evalsha");
}

/* Redis is asked for its time when nothing else shows that it answers. */
static void test_idle(void **state)
{
    struct fixture *fixture = *state;
    fixture->store.renew_on_up = ask_own_key(fixture, 0, STORE_RENEW); /* a lease */
    int64_t asked = calls_of(fixture, "time");
    int64_t until_us = clock_now_us() + 5 * CLOCK_US_PER_S;
    while (clock_now_us() < until_us) {
        loop_turn(fixture->store.loop, 20 * CLOCK_US_PER_MS);
    }
    assert_int_equal(calls_of(fixture, "time"), asked);
    fixture->store.renew_on_up = NULL;
    store_fixture_wait(&fixture->store, calls_of(fixture, "time") > asked + 1);
}

static void test_stopped_past_the_ack_timeout(void **state)
{
    struct fixture *fixture = *state;
    assert_int_equal(asked_run(ask(fixture, 0, STORE_ACQUIRE, "held", 1)), STORE_OK);
    int64_t calls = calls_of_evalsha(fixture);
    redis_fixture_stop(&fixture->redis);
    struct asked *grant = ask(fixture, 1, STORE_ACQUIRE, "a", 1);
    struct asked *release = ask(fixture, 2, STORE_RELEASE, "held", 1);
    asked_submit(grant);
    asked_submit(release);
    store_fixture_wait(&fixture->store, grant->answers == 1 && release->answers == 1);
    assert_int_equal(grant->result.code, STORE_UNKNOWN);
    assert_int_equal(release->result.code, STORE_UNKNOWN);
    assert_true(grant->answered_us - grant->result.sent_us >= 150 * CLOCK_US_PER_MS);
    redis_fixture_resume(&fixture->redis);
    store_fixture_wait_up(&fixture->store);
    /* What sat in the dead connection's socket ran, and did nothing. */
    store_fixture_wait(&fixture->store, calls_of_evalsha(fixture) > calls);
    assert_int_equal(redis_fixture_integer(&fixture->redis, "EXISTS lock:a"), 0);
    assert_int_equal(redis_fixture_integer(&fixture->redis, "EXISTS lock:held"), 1);
    assert_int_equal(asked_run(grant), STORE_OK);
}

static void test_killed_and_started_again(void **state)
{
    struct fixture *fixture = *state;
    assert_int_equal(asked_run(ask(fixture, 0, STORE_ACQUIRE, "a", 1)), STORE_OK);
    redis_fixture_kill(&fixture->redis);
    store_fixture_wait(&fixture->store, !redis_store_is_up(fixture->store.store));
    struct asked *grant = ask(fixture, 1, STORE_ACQUIRE, "b", 1);
    asked_submit(grant);
    assert_down_because(fixture, "refused");
    assert_int_equal(grant->answers, 0);
    redis_fixture_start(&fixture->redis);
    store_fixture_wait(&fixture->store, grant->answers == 1);
    assert_int_equal(grant->result.code, STORE_OK);
    assert_int_equal(redis_fixture_integer(&fixture->redis, "EXISTS lock:a"), 0);
}

static void test_renewals_go_first_when_it_is_back(void **state)
{
    struct fixture *fixture = *state;
    redis_fixture_kill(&fixture->redis);
    store_fixture_wait(&fixture->store, !redis_store_is_up(fixture->store.store));
    for (size_t i = 0; i < 50; i++) {
        asked_submit(ask_own_key(fixture, i, STORE_ACQUIRE));
    }
    fixture->store.renew_on_up = ask_own_key(fixture, 60, STORE_RENEW);
    redis_fixture_start(&fixture->redis);
    store_fixture_wait(&fixture->store, fixture->store.answered == 51);
    assert_int_equal(fixture->asked[60].position, 0);
    assert_int_equal(fixture->asked[60].result.code, STORE_NOT_HELD);
}

/* No connection breaks, so it is found by asking. */
static void test_flushall_is_noticed(void **state)
{
    struct fixture *fixture = *state;
    store_fixture_release(&fixture->store);
    fixture->config.recovery_window_ms = 1000;
    open_url(fixture, "");
    redis_store_expect_new(fixture->store.store);
    store_fixture_wait_up(&fixture->store);
    struct asked *kept = ask(fixture, 0, STORE_ACQUIRE, "kept", 1);
    assert_int_equal(asked_run(kept), STORE_OK);
    kept->op.verb = STORE_RENEW;
    kept->op.fence = kept->result.fence;
    kept->op.since_ms = kept->result.since_ms;
    fixture->store.renew_on_up = kept;
    freeReplyObject(redis_fixture_command(&fixture->redis, "FLUSHALL"));
    store_fixture_wait(&fixture->store, kept->answers == 2);
    assert_int_equal(kept->result.code, STORE_OK);
    assert_int_equal(redis_fixture_integer(&fixture->redis, "EXISTS lock:kept"), 1);
}

/* Redis tells, but refuses to be asked for a while. */
static void test_flushall_is_noticed_later(void **state)
{
    struct fixture *fixture = *state;
    store_fixture_release(&fixture->store);
    fixture->config.recovery_window_ms = 1000;
    freeReplyObject(redis_fixture_command(&fixture->redis, "ACL SETUSER app on >pw ~* &* +@all"));
    open_url(fixture, "app:pw@");
    redis_store_expect_new(fixture->store.store);
    store_fixture_wait_up(&fixture->store);
    store_fixture_wait(&fixture->store, fixture->store.subscribed == 1);
    struct asked *kept = ask(fixture, 0, STORE_ACQUIRE, "kept", 1);
    assert_int_equal(asked_run(kept), STORE_OK);
    kept->op.verb = STORE_RENEW;
    kept->op.fence = kept->result.fence;
    kept->op.since_ms = kept->result.since_ms;
    fixture->store.renew_on_up = kept;
    freeReplyObject(redis_fixture_command(&fixture->redis, "ACL SETUSER app -evalsha -eval"));
    freeReplyObject(redis_fixture_command(&fixture->redis, "FLUSHALL"));
    int64_t until_us = clock_now_us() + 600 * CLOCK_US_PER_MS;
    while (clock_now_us() < until_us) {
        loop_turn(fixture->store.loop, 20 * CLOCK_US_PER_MS);
    }
    assert_int_equal(kept->answers, 1);
    freeReplyObject(redis_fixture_command(&fixture->redis, "ACL SETUSER app +evalsha +eval"));
    store_fixture_wait(&fixture->store, kept->answers == 2);
    assert_int_equal(kept->result.code, STORE_OK);
    assert_int_equal(redis_fixture_integer(&fixture->redis, "EXISTS lock:kept"), 1);
}

static void test_giving_up_while_down(void **state)
{
    struct fixture *fixture = *state;
    redis_fixture_kill(&fixture->redis);
    store_fixture_wait(&fixture->store, !redis_store_is_up(fixture->store.store));
    int64_t now_us = clock_now_us();
    for (size_t i = 0; i < 100; i++) {
        struct asked *asked = ask_own_key(fixture, i, i % 2 == 0 ? STORE_ACQUIRE : STORE_INSPECT);
        asked->op.give_up_us = now_us + (int64_t)(i % 10) * CLOCK_US_PER_MS;
        asked_submit(asked);
    }
    struct asked *patient = ask_own_key(fixture, 100, STORE_ACQUIRE);
    asked_submit(patient);
    store_fixture_wait(&fixture->store, fixture->store.answered == 100);
    for (size_t i = 0; i < 100; i++) {
        assert_int_equal(fixture->asked[i].result.code, STORE_UNAVAILABLE);
        assert_int_equal(fixture->asked[i].answers, 1);
        assert_true(fixture->asked[i].answered_us >= fixture->asked[i].op.give_up_us);
    }
    assert_true(store_withdraw(fixture->store.port, &patient->op));
    redis_fixture_start(&fixture->redis);
    store_fixture_wait_up(&fixture->store);
    assert_int_equal(patient->answers, 0);
    assert_int_equal(redis_fixture_integer(&fixture->redis, "DBSIZE"), 0);
}

static void test_the_impatient_give_up_on_a_redis_that_is_down(void **state)
{
    struct fixture *fixture = *state;
    redis_fixture_kill(&fixture->redis);
    store_fixture_wait(&fixture->store, !redis_store_is_up(fixture->store.store));
    struct asked *impatient = ask_own_key(fixture, 0, STORE_ACQUIRE);
    struct asked *patient = ask_own_key(fixture, 1, STORE_ACQUIRE);
    impatient->op.is_impatient = true;
    asked_submit(impatient);
    asked_submit(patient);
    const int64_t queued_us = impatient->op.queued_us;
    store_fixture_wait(&fixture->store, impatient->answers == 1);
    assert_int_equal(impatient->result.code, STORE_UNAVAILABLE);
    assert_false(impatient->result.is_limit);
    assert_true(impatient->answered_us >= queued_us + STORE_PATIENCE_US);
    assert_true(store_withdraw(fixture->store.port, &patient->op));
    assert_int_equal(patient->answers, 0);
}

/* Takes the next connection and ends it at once. */
static void turn_away(struct fixture *fixture, int listener)
{
    int peer = -1;
    store_fixture_wait(&fixture->store, (peer = accept4(listener, NULL, NULL, SOCK_CLOEXEC)) >= 0);
    close(peer);
}

static void test_retry_now(void **state)
{
    (void)state;
    struct fixture *fixture = new_fixture(NULL);
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t size = sizeof(address);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    assert_int_equal(bind(listener, (struct sockaddr *)&address, size), 0);
    assert_int_equal(listen(listener, 4), 0);
    assert_int_equal(getsockname(listener, (struct sockaddr *)&address, &size), 0);
    char url[64];
    snprintf(url, sizeof(url), "redis://127.0.0.1:%d", ntohs(address.sin_port));
    fixture->config.backoff_max_ms = 3600000;
    store_fixture_init(&fixture->store, fixture->config, url);
    /* The pauses double from 20 ms; the one after the seventh attempt is at least 640 ms. */
    for (int i = 0; i < 7; i++) {
        turn_away(fixture, listener);
    }
    int64_t before_us = clock_now_us();
    /* The end of the seventh connection has to be seen first. */
    while (clock_now_us() < before_us + 50 * CLOCK_US_PER_MS) {
        loop_turn(fixture->store.loop, CLOCK_US_PER_MS);
        redis_store_retry_now(fixture->store.store);
    }
    turn_away(fixture, listener);
    assert_true(clock_now_us() - before_us < 600 * CLOCK_US_PER_MS);
    close(listener);
    free_fixture(fixture);
}

/* Memory */

static void test_out_of_memory(void **state)
{
    struct fixture *fixture = *state;
    struct asked *held = ask(fixture, 0, STORE_ACQUIRE, "held", 1);
    assert_int_equal(asked_run(held), STORE_OK);
    freeReplyObject(redis_fixture_command(&fixture->redis, "CONFIG SET maxmemory 1"));
    struct asked *grant = ask(fixture, 1, STORE_ACQUIRE, "a", 1);
    assert_int_equal(asked_run(grant), STORE_UNAVAILABLE);
    assert_non_null(strstr(grant->detail, "OOM"));
    assert_int_equal(asked_run(ask(fixture, 2, STORE_RENEW, "held", 1)), STORE_OK);
    assert_int_equal(asked_run(ask(fixture, 3, STORE_RELEASE, "held", 1)), STORE_OK);
    freeReplyObject(redis_fixture_command(&fixture->redis, "CONFIG SET maxmemory 0"));
    assert_int_equal(asked_run(grant), STORE_OK);
    assert_true(grant->result.fence > held->result.fence);
    assert_int_equal(fixture->store.metrics.redis_connects, 1);
}

static void test_a_register_that_is_not_ours(void **state)
{
    struct fixture *fixture = *state;
    freeReplyObject(redis_fixture_command(&fixture->redis, "SET holdfast:register mine"));
    struct asked *grant = ask(fixture, 0, STORE_ACQUIRE, "a", 1);
    assert_int_equal(asked_run(grant), STORE_UNAVAILABLE);
    assert_non_null(strstr(grant->detail, "holdfast:register"));
    redis_fixture_integer(&fixture->redis, "DEL holdfast:register");
    assert_int_equal(asked_run(grant), STORE_OK);
}

#define FAULT_TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_password),
        cmocka_unit_test(test_wrong_password),
        cmocka_unit_test(test_missing_password),
        cmocka_unit_test(test_user_and_password_file_read_at_each_attempt),
        cmocka_unit_test(test_rules_that_forbid_scripts),
        cmocka_unit_test(test_a_replica_is_refused),
        FAULT_TEST(test_a_master_that_becomes_a_replica),
        cmocka_unit_test(test_an_evicting_redis_is_used_with_a_warning),
        cmocka_unit_test(test_an_evicting_redis_is_refused_on_request),
        cmocka_unit_test(test_a_name_that_does_not_resolve),
        FAULT_TEST(test_killed_with_batches_in_flight),
        FAULT_TEST(test_killed_while_idle),
        FAULT_TEST(test_stopped_while_idle),
        FAULT_TEST(test_idle),
        FAULT_TEST(test_stopped_past_the_ack_timeout),
        FAULT_TEST(test_killed_and_started_again),
        FAULT_TEST(test_renewals_go_first_when_it_is_back),
        FAULT_TEST(test_flushall_is_noticed),
        FAULT_TEST(test_flushall_is_noticed_later),
        FAULT_TEST(test_giving_up_while_down),
        FAULT_TEST(test_the_impatient_give_up_on_a_redis_that_is_down),
        cmocka_unit_test(test_retry_now),
        FAULT_TEST(test_out_of_memory),
        FAULT_TEST(test_a_register_that_is_not_ours),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
