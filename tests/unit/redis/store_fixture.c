/* SPDX-License-Identifier: Apache-2.0 */
#include "store_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/compiler.h"

#define WAIT_US (10 * CLOCK_US_PER_S)
#define TURN_US (20 * CLOCK_US_PER_MS)

static void on_up(struct store_listener *listener, int64_t now_us)
{
    (void)now_us;
    struct store_fixture *fixture = CONTAINER_OF(listener, struct store_fixture, listener);
    fixture->ups++;
    if (fixture->renew_on_up != NULL) {
        asked_submit(fixture->renew_on_up);
    }
}

static bool has_leases(const struct store_listener *listener)
{
    return CONTAINER_OF(listener, const struct store_fixture, listener)->renew_on_up != NULL;
}

static void keep_text(char *text, size_t size, const char *bytes, size_t length)
{
    assert_true(length < size);
    memcpy(text, bytes, length);
    text[length] = '\0';
}

static void on_granted(struct store_listener *listener, const char *key, size_t key_length,
                       const struct id128 *tenure, int64_t now_us)
{
    struct store_fixture *fixture = CONTAINER_OF(listener, struct store_fixture, listener);
    assert_true(now_us > 0);
    fixture->granted++;
    fixture->hinted_tenure = *tenure;
    keep_text(fixture->hinted_key, sizeof(fixture->hinted_key), key, key_length);
}

static void on_changed(struct store_listener *listener, const char *key, size_t key_length,
                       int64_t now_us)
{
    struct store_fixture *fixture = CONTAINER_OF(listener, struct store_fixture, listener);
    assert_true(now_us > 0);
    fixture->changed++;
    keep_text(fixture->hinted_key, sizeof(fixture->hinted_key), key, key_length);
}

static void on_subscribed(struct store_listener *listener, int64_t now_us)
{
    assert_true(now_us > 0);
    CONTAINER_OF(listener, struct store_fixture, listener)->subscribed++;
}

static void on_done(struct store_op *op, const struct store_result *result, int64_t now_us)
{
    struct asked *asked = CONTAINER_OF(op, struct asked, op);
    assert_int_equal(op->state, STORE_OP_IDLE);
    asked->answers++;
    asked->result = *result;
    asked->answered_us = now_us;
    asked->position = asked->fixture->answered++;
    if (result->detail != NULL) {
        keep_text(asked->detail, sizeof(asked->detail), result->detail, strlen(result->detail));
    }
    if (result->holder.label != NULL) {
        keep_text(asked->label, sizeof(asked->label), result->holder.label,
                  result->holder.label_length);
    }
}

struct redis_store_config store_fixture_config(void)
{
    return (struct redis_store_config){
        .key_prefix = "lock:",
        .connect_timeout_ms = 1000,
        .ack_timeout_ms = 1000,
        .backoff_max_ms = 100,
        .recovery_window_ms = 0,
        .operations_max = 100000,
    };
}

void store_fixture_init(struct store_fixture *fixture, struct redis_store_config config,
                        const char *url)
{
    char problem[REDIS_URL_PROBLEM_SIZE];
    memset(fixture, 0, sizeof(*fixture));
    assert_true(redis_url_parse(&fixture->url, url, problem));
    config.url = &fixture->url;
    fixture->loop = loop_create();
    assert_non_null(fixture->loop);
    fixture->store = redis_store_create(&config, fixture->loop, &fixture->metrics);
    fixture->port = redis_store_port(fixture->store);
    fixture->listener.on_up = on_up;
    fixture->listener.has_leases = has_leases;
    fixture->listener.on_granted = on_granted;
    fixture->listener.on_changed = on_changed;
    fixture->listener.on_subscribed = on_subscribed;
    fixture->port->listener = &fixture->listener;
}

void store_fixture_release(struct store_fixture *fixture)
{
    redis_store_destroy(fixture->store);
    loop_destroy(fixture->loop);
    redis_url_release(&fixture->url);
}

bool store_fixture_turn(struct store_fixture *fixture, int64_t deadline_us)
{
    loop_turn(fixture->loop, TURN_US);
    return clock_now_us() < deadline_us;
}

int64_t store_fixture_deadline_us(void)
{
    return clock_now_us() + WAIT_US;
}

void store_fixture_wait_up(struct store_fixture *fixture)
{
    store_fixture_wait(fixture, redis_store_is_up(fixture->store));
}

void asked_init(struct asked *asked, struct store_fixture *fixture, enum store_verb verb,
                const char *key, uint8_t number)
{
    memset(asked, 0, sizeof(*asked));
    asked->fixture = fixture;
    asked->op.verb = verb;
    asked->op.key = key;
    asked->op.key_length = strlen(key);
    memset(asked->op.tenure.bytes, number, ID128_SIZE);
    memset(asked->op.token.bytes, number + 100, ID128_SIZE);
    asked->op.label = "label";
    asked->op.label_length = strlen("label");
    asked->op.ttl_ms = 60000;
    asked->op.give_up_us = CLOCK_NEVER;
    asked->op.on_done = on_done;
}

void asked_submit(struct asked *asked)
{
    store_submit(asked->fixture->port, &asked->op, loop_now_us(asked->fixture->loop));
}

enum store_code asked_run(struct asked *asked)
{
    int before = asked->answers;
    asked_submit(asked);
    store_fixture_wait(asked->fixture, asked->answers > before);
    return asked->result.code;
}
