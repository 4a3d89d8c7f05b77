/* SPDX-License-Identifier: Apache-2.0 */
/* A test's own event loop with one asynchronous client, and a record of what the client told. */
#ifndef HOLDFAST_TESTS_ASYNC_LOOP_H
#define HOLDFAST_TESTS_ASYNC_LOOP_H

#include <holdfast/holdfast.h>
#include <stdbool.h>
#include <stdint.h>

struct event_base;

/* What one request came to. */
struct answer {
    int count;
    enum holdfast_result result;
    struct holdfast_lease *lease;
    bool has_holder;
    struct holdfast_holder holder;
    char error[HOLDFAST_ERROR_SIZE];
};

/* What happened to a lease. */
struct news {
    int at_risk_count;
    int64_t at_risk_ms;
    int lost_count;
    enum holdfast_loss loss;
    int64_t valid_when_lost_ms;
    bool frees_lease; /* in on_lost */
};

struct async_loop {
    struct event_base *base;
    struct holdfast_async *async;
};

void async_loop_open(struct async_loop *loop, const struct holdfast_options *options);

/* Opens for `url` with a timeout of `timeout_ms`. */
void async_loop_open_url(struct async_loop *loop, const char *url, uint32_t timeout_ms);

/* Closes the client, unless that has been done, and the loop. */
void async_loop_close(struct async_loop *loop);

/* Turns the loop until *count is at least `wanted`; the test fails after ten seconds. */
void async_loop_run_until(struct async_loop *loop, const int *count, int wanted);

/* Turns the loop for about `duration_ms`, to show that something does not happen. */
void async_loop_run_for(struct async_loop *loop, int64_t duration_ms);

/* An ask for FAKE_KEY that records into `news`. */
struct holdfast_ask async_ask(struct news *news);

/* Holds FAKE_KEY and waits for the answer. */
void async_hold(struct async_loop *loop, struct news *news, struct answer *answer);

/* Callbacks that fill a struct answer. */
holdfast_lease_fn async_on_lease;
holdfast_done_fn async_on_done;
holdfast_inspect_fn async_on_inspect;

#endif
