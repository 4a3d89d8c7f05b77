/* SPDX-License-Identifier: Apache-2.0 */
#include "async_loop.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>
#include <event2/event.h>

#include "base/clock.h"
#include "fake_server.h"

#define PATIENCE_US (10 * CLOCK_US_PER_S)

static void on_at_risk(struct holdfast_lease *lease, int64_t valid_for_ms, void *user)
{
    struct news *news = user;
    assert_string_equal(holdfast_lease_key(lease), FAKE_KEY);
    news->at_risk_count++;
    news->at_risk_ms = valid_for_ms;
}

static void on_lost(struct holdfast_lease *lease, enum holdfast_loss loss, void *user)
{
    struct news *news = user;
    news->lost_count++;
    news->loss = loss;
    news->valid_when_lost_ms = holdfast_lease_valid_for_ms(lease);
    if (news->frees_lease) {
        holdfast_lease_free(lease);
    }
}

static void on_tick(evutil_socket_t descriptor, short what, void *user)
{
    (void)descriptor;
    (void)what;
    (void)user;
}

/* Ticks bound each wait of the loop. */
static void turn_until(struct async_loop *loop, const int *count, int wanted, int64_t until_us)
{
    const struct timeval tick = {.tv_usec = 5000};
    struct event *event = event_new(loop->base, -1, EV_PERSIST, on_tick, NULL);
    (void)event_add(event, &tick);
    while ((count == NULL || *count < wanted) && clock_now_us() < until_us) {
        (void)event_base_loop(loop->base, EVLOOP_ONCE);
    }
    event_free(event);
}

void async_loop_open(struct async_loop *loop, const struct holdfast_options *options)
{
    char error[HOLDFAST_ERROR_SIZE];
    loop->base = event_base_new();
    loop->async = holdfast_async_open(loop->base, options, error);
    assert_string_equal(error, "");
    assert_non_null(loop->async);
}

void async_loop_open_url(struct async_loop *loop, const char *url, uint32_t timeout_ms)
{
    const struct holdfast_options options = {.server = url, .timeout_ms = timeout_ms};
    async_loop_open(loop, &options);
}

void async_loop_close(struct async_loop *loop)
{
    if (loop->async != NULL) {
        holdfast_async_close(loop->async);
    }
    event_base_free(loop->base);
}

void async_loop_run_until(struct async_loop *loop, const int *count, int wanted)
{
    turn_until(loop, count, wanted, clock_now_us() + PATIENCE_US);
    assert_true(*count >= wanted);
}

void async_loop_run_for(struct async_loop *loop, int64_t duration_ms)
{
    turn_until(loop, NULL, 0, clock_now_us() + duration_ms * CLOCK_US_PER_MS);
}

struct holdfast_ask async_ask(struct news *news)
{
    *news = (struct news){.lost_count = 0};
    return (struct holdfast_ask){
        .key = FAKE_KEY,
        .label = "a test",
        .events = {.on_at_risk = on_at_risk, .on_lost = on_lost, .user = news},
    };
}

void async_hold(struct async_loop *loop, struct news *news, struct answer *answer)
{
    struct holdfast_ask ask = async_ask(news);
    *answer = (struct answer){.count = 0};
    holdfast_async_hold(loop->async, &ask, async_on_lease, answer);
    assert_int_equal(answer->count, 0);
    async_loop_run_until(loop, &answer->count, 1);
}

static void take(struct answer *answer, enum holdfast_result result, const char *error)
{
    answer->count++;
    answer->result = result;
    (void)snprintf(answer->error, sizeof(answer->error), "%s", error);
}

static void take_holder(struct answer *answer, const struct holdfast_holder *holder)
{
    answer->has_holder = holder != NULL;
    if (holder != NULL) {
        answer->holder = *holder;
    }
}

void async_on_lease(enum holdfast_result result, struct holdfast_lease *lease,
                    const struct holdfast_holder *holder, const char *error, void *user)
{
    struct answer *answer = user;
    answer->lease = lease;
    take_holder(answer, holder);
    take(answer, result, error);
}

void async_on_done(enum holdfast_result result, const char *error, void *user)
{
    take(user, result, error);
}

void async_on_inspect(enum holdfast_result result, const struct holdfast_holder *holder,
                      const char *error, void *user)
{
    take_holder(user, holder);
    take(user, result, error);
}
