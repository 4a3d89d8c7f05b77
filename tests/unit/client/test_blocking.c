/* SPDX-License-Identifier: Apache-2.0 */
/* The blocking API, from one thread and from many. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "fake_server.h"
#include "latch.h"
#include "mini_server.h"

#include <holdfast/holdfast.h>

#define THREADS 8
#define ROUNDS  200
#define KEYS    3

static struct holdfast *open_url(const char *url, uint32_t timeout_ms)
{
    const struct holdfast_options options = {.server = url, .timeout_ms = timeout_ms};
    char error[HOLDFAST_ERROR_SIZE];
    struct holdfast *holdfast = holdfast_open(&options, error);
    assert_string_equal(error, "");
    assert_non_null(holdfast);
    return holdfast;
}

static void test_open_says_why_it_failed(void **state)
{
    (void)state;
    const struct holdfast_options nobody = {.server = "unix:///nonexistent/socket"};
    const struct holdfast_options wrong = {.server = "nonsense"};
    char error[HOLDFAST_ERROR_SIZE];
    assert_null(holdfast_open(&nobody, error));
    assert_non_null(strstr(error, "/nonexistent/socket"));
    assert_non_null(strstr(error, "No such file"));
    assert_string_equal(holdfast_last_error(), error);
    assert_null(holdfast_open(&wrong, error));
    assert_non_null(strstr(error, "nonsense"));
    assert_null(holdfast_open(&wrong, NULL));
}

struct counter {
    atomic_int count;
};

static void count_loss(struct holdfast_lease *lease, enum holdfast_loss loss, void *user)
{
    (void)lease;
    (void)loss;
    struct counter *counter = user;
    (void)atomic_fetch_add(&counter->count, 1);
}

static void test_hold_busy_release(void **state)
{
    (void)state;
    struct fake_server server;
    struct holdfast_lease *lease;
    struct holdfast_lease *second;
    struct holdfast_holder busy;
    struct holdfast_ask ask = {.key = "a"};
    fake_server_start(&server, mini_server, NULL);
    struct holdfast *holdfast = open_url(server.url, 0);
    assert_int_equal(holdfast_hold(holdfast, &ask, &lease, NULL), HOLDFAST_OK);
    assert_in_range(holdfast_lease_valid_for_ms(lease), 1, 8900);
    assert_int_equal(holdfast_hold(holdfast, &ask, &second, &busy), HOLDFAST_BUSY);
    assert_null(second);
    assert_string_equal(busy.label, "the other one");
    assert_string_equal(holdfast_last_error(), "somebody else holds the lock");
    assert_int_equal(holdfast_renew(holdfast, lease, 0), HOLDFAST_OK);
    assert_int_equal(holdfast_renew(holdfast, lease, 1000), HOLDFAST_INVALID);
    assert_int_equal(holdfast_release(holdfast, lease), HOLDFAST_OK);
    assert_int_equal(holdfast_lease_valid_for_ms(lease), 0);
    assert_int_equal(holdfast_release(holdfast, lease), HOLDFAST_NOT_HELD);
    assert_int_equal(holdfast_hold(holdfast, &ask, &second, &busy), HOLDFAST_OK);
    assert_true(holdfast_lease_fence(second) > holdfast_lease_fence(lease));
    holdfast_lease_free(lease);
    holdfast_lease_free(second);
    /* Freed without a release: given up in the background, before the next question. */
    struct counter counter = {.count = 0};
    ask.events = (struct holdfast_lease_events){.on_lost = count_loss, .user = &counter};
    assert_int_equal(holdfast_hold(holdfast, &ask, &lease, &busy), HOLDFAST_OK);
    holdfast_close(holdfast);
    assert_int_equal(holdfast_lease_valid_for_ms(lease), 0);
    holdfast_lease_free(lease);
    holdfast_lease_free(NULL);
    assert_int_equal(counter.count, 0);
    fake_server_finish(&server);
}

struct worker {
    pthread_t thread;
    struct holdfast *holdfast;
    atomic_int *holders; /* one per key */
    unsigned int seed;
    int granted;
    int busy;
};

static unsigned int next_number(unsigned int *seed)
{
    *seed = *seed * 1103515245U + 12345U;
    return *seed >> 16;
}

static void work_once(struct worker *worker)
{
    static const char *const keys[KEYS] = {"x", "y", "z"};
    struct holdfast_lease *lease;
    unsigned int key = next_number(&worker->seed) % KEYS;
    const struct holdfast_ask ask = {.key = keys[key], .label = "a worker"};
    enum holdfast_result result = holdfast_hold(worker->holdfast, &ask, &lease, NULL);
    if (result == HOLDFAST_BUSY) {
        worker->busy++;
        REQUIRE(lease == NULL);
        return;
    }
    REQUIRE(result == HOLDFAST_OK);
    worker->granted++;
    REQUIRE(atomic_fetch_add(&worker->holders[key], 1) == 0);
    REQUIRE(holdfast_lease_valid_for_ms(lease) > 0);
    if (next_number(&worker->seed) % 4 == 0) {
        REQUIRE(holdfast_renew(worker->holdfast, lease, 0) == HOLDFAST_OK);
    }
    REQUIRE(atomic_fetch_sub(&worker->holders[key], 1) == 1);
    if (next_number(&worker->seed) % 4 != 0) {
        REQUIRE(holdfast_release(worker->holdfast, lease) == HOLDFAST_OK);
    }
    holdfast_lease_free(lease);
}

static void *work(void *argument)
{
    struct worker *worker = argument;
    for (int i = 0; i < ROUNDS; i++) {
        work_once(worker);
    }
    return NULL;
}

static void test_eight_threads(void **state)
{
    (void)state;
    struct fake_server server;
    struct worker workers[THREADS];
    atomic_int holders[KEYS] = {0};
    int granted = 0;
    int answered = 0;
    fake_server_start(&server, mini_server, NULL);
    struct holdfast *holdfast = open_url(server.url, 10000);
    for (unsigned int i = 0; i < THREADS; i++) {
        workers[i] = (struct worker){.holdfast = holdfast, .holders = holders, .seed = i + 1};
        assert_int_equal(pthread_create(&workers[i].thread, NULL, work, &workers[i]), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_join(workers[i].thread, NULL), 0);
        granted += workers[i].granted;
        answered += workers[i].granted + workers[i].busy;
    }
    assert_int_equal(answered, THREADS * ROUNDS);
    assert_true(granted > ROUNDS);
    holdfast_close(holdfast);
    fake_server_finish(&server);
}

/* Accepts one connection and never answers. */
static void be_silent(struct fake_server *server, void *argument)
{
    atomic_int *asked = argument;
    struct fake_frame frame;
    int connection = fake_accept(server);
    while (fake_try_read(connection, &frame)) {
        (void)atomic_fetch_add(asked, 1);
    }
    (void)close(connection);
}

static void *inspect_in_vain(void *argument)
{
    struct holdfast_holder holder;
    REQUIRE(holdfast_inspect(argument, "k", &holder) == HOLDFAST_AWAY);
    REQUIRE(strcmp(holdfast_last_error(), "the handle was closed") == 0);
    return NULL;
}

static void test_close_answers_who_waits(void **state)
{
    (void)state;
    struct fake_server server;
    pthread_t threads[THREADS];
    atomic_int asked = 0;
    fake_server_start(&server, be_silent, &asked);
    struct holdfast *holdfast = open_url(server.url, 60000);
    for (int i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, inspect_in_vain, holdfast), 0);
    }
    while (atomic_load(&asked) < THREADS) {
    }
    holdfast_close(holdfast);
    for (int i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    }
    fake_server_finish(&server);
}

static void test_a_silent_server_times_out(void **state)
{
    (void)state;
    struct fake_server server;
    struct holdfast_lease *lease;
    atomic_int asked = 0;
    const struct holdfast_ask ask = {.key = FAKE_KEY};
    fake_server_start(&server, be_silent, &asked);
    struct holdfast *holdfast = open_url(server.url, 50);
    assert_int_equal(holdfast_hold(holdfast, &ask, &lease, NULL), HOLDFAST_TIMEOUT);
    assert_null(lease);
    assert_int_equal(holdfast_release_token(holdfast, "k", (const unsigned char *)FAKE_TOKEN),
                     HOLDFAST_TIMEOUT);
    holdfast_close(holdfast);
    fake_server_finish(&server);
}

/* What on_lost saw, in the library's thread. */
struct loss {
    struct latch latch;
    struct holdfast *holdfast;
    enum holdfast_loss loss;
    enum holdfast_result blocking_result;
    bool frees;
    int count;
};

static void on_lost(struct holdfast_lease *lease, enum holdfast_loss loss, void *user)
{
    struct loss *lost = user;
    struct holdfast_holder holder;
    lost->count++;
    lost->loss = loss;
    lost->blocking_result = holdfast_inspect(lost->holdfast, "k", &holder);
    if (lost->frees) {
        holdfast_lease_free(lease);
    }
    latch_open(&lost->latch);
}

static void grant_then_close_when_told(struct fake_server *server, void *argument)
{
    int connection = fake_accept(server);
    fake_send_granted(connection, fake_read_ask(connection), 8900);
    latch_wait(argument);
    (void)close(connection);
}

static void check_loss(bool frees)
{
    struct fake_server server;
    struct latch latch;
    struct loss lost = {.frees = frees};
    struct holdfast_lease *lease;
    latch_init(&latch);
    latch_init(&lost.latch);
    fake_server_start(&server, grant_then_close_when_told, &latch);
    lost.holdfast = open_url(server.url, 1000);
    const struct holdfast_ask ask = {.key = FAKE_KEY,
                                     .events = {.on_lost = on_lost, .user = &lost}};
    assert_int_equal(holdfast_hold(lost.holdfast, &ask, &lease, NULL), HOLDFAST_OK);
    latch_open(&latch);
    latch_wait(&lost.latch);
    assert_int_equal(lost.loss, HOLDFAST_LOSS_CONNECTION);
    assert_int_equal(lost.blocking_result, HOLDFAST_INVALID);
    if (!frees) {
        assert_int_equal(holdfast_lease_valid_for_ms(lease), 0);
        assert_int_equal(holdfast_release(lost.holdfast, lease), HOLDFAST_NOT_HELD);
        holdfast_lease_free(lease);
    }
    holdfast_close(lost.holdfast);
    assert_int_equal(lost.count, 1);
    fake_server_finish(&server);
    latch_release(&latch);
    latch_release(&lost.latch);
}

static void test_loss_is_told_in_the_library_thread(void **state)
{
    (void)state;
    check_loss(false);
    check_loss(true);
}

static void grant_and_close_at_once(struct fake_server *server, void *argument)
{
    const int *rounds = argument;
    for (int i = 0; i < *rounds; i++) {
        int connection = fake_accept(server);
        fake_send_granted(connection, fake_read_ask(connection), 8900);
        (void)close(connection);
    }
}

/* The loss races with the free; after the free nobody may call back. */
static void test_no_callback_after_free(void **state)
{
    (void)state;
    struct fake_server server;
    int rounds = 20;
    fake_server_start(&server, grant_and_close_at_once, &rounds);
    struct holdfast *holdfast = open_url(server.url, 5000);
    for (int granted = 0; granted < rounds;) {
        struct counter counter = {.count = 0};
        struct holdfast_lease *lease;
        const struct holdfast_ask ask = {.key = FAKE_KEY,
                                         .events = {.on_lost = count_loss, .user = &counter}};
        enum holdfast_result result = holdfast_hold(holdfast, &ask, &lease, NULL);
        if (result != HOLDFAST_OK) {
            assert_int_equal(result, HOLDFAST_AWAY);
            continue;
        }
        granted++;
        holdfast_lease_free(lease);
        assert_in_range(atomic_load(&counter.count), 0, 1);
    }
    holdfast_close(holdfast);
    fake_server_finish(&server);
}

static void test_texts(void **state)
{
    (void)state;
    for (int i = HOLDFAST_OK; i <= HOLDFAST_REFUSED; i++) {
        assert_string_not_equal(holdfast_result_text((enum holdfast_result)i), "unknown result");
    }
    for (int i = HOLDFAST_LOSS_EXPIRED; i <= HOLDFAST_LOSS_CONNECTION; i++) {
        assert_string_not_equal(holdfast_loss_text((enum holdfast_loss)i), "unknown loss");
    }
    assert_string_equal(holdfast_result_text((enum holdfast_result)99), "unknown result");
    assert_string_equal(holdfast_loss_text((enum holdfast_loss)99), "unknown loss");
    unsigned int numbers[3];
    assert_int_equal(sscanf(holdfast_version(), "%u.%u.%u", &numbers[0], &numbers[1], &numbers[2]),
                     3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_open_says_why_it_failed),
        cmocka_unit_test(test_hold_busy_release),
        cmocka_unit_test(test_eight_threads),
        cmocka_unit_test(test_close_answers_who_waits),
        cmocka_unit_test(test_a_silent_server_times_out),
        cmocka_unit_test(test_loss_is_told_in_the_library_thread),
        cmocka_unit_test(test_no_callback_after_free),
        cmocka_unit_test(test_texts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
