/* SPDX-License-Identifier: Apache-2.0 */
/* A redis_store on a loop of its own, and operations that keep what they were answered. */
#ifndef HOLDFAST_TESTS_STORE_FIXTURE_H
#define HOLDFAST_TESTS_STORE_FIXTURE_H

#include "base/loop.h"
#include "base/metrics.h"
#include "lease/store.h"
#include "redis/redis_store.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct store_fixture {
    struct loop *loop;
    struct metrics metrics;
    struct redis_url url;
    struct redis_store *store;
    struct store *port;
    struct store_listener listener;
    int ups;
    int subscribed, granted, changed;
    char hinted_key[64]; /* by the last on_granted or on_changed */
    struct id128 hinted_tenure;
    size_t answered;           /* by all operations */
    struct asked *renew_on_up; /* submitted by the listener when not NULL */
};

/* One operation and its answer. */
struct asked {
    struct store_op op;
    struct store_fixture *fixture;
    struct store_result result; /* texts are not kept */
    char detail[160];
    char label[260];
    int answers;
    size_t position; /* among all answers of the fixture */
    int64_t answered_us;
};

/* The settings that tests start from: one second of everything, no recovery window. */
struct redis_store_config store_fixture_config(void);

/* Creates the store for `url`; config->url is filled in. */
void store_fixture_init(struct store_fixture *fixture, struct redis_store_config config,
                        const char *url);
void store_fixture_release(struct store_fixture *fixture);

/* Turns the loop until the condition holds; fails the test after ten seconds. */
bool store_fixture_turn(struct store_fixture *fixture, int64_t deadline_us);
int64_t store_fixture_deadline_us(void);
#define store_fixture_wait(fixture, condition)                                                     \
    do {                                                                                           \
        int64_t wait_deadline_us = store_fixture_deadline_us();                                    \
        while (!(condition)) {                                                                     \
            if (!store_fixture_turn(fixture, wait_deadline_us)) {                                  \
                fail_msg("timed out waiting for: %s", #condition);                                 \
            }                                                                                      \
        }                                                                                          \
    } while (0)

void store_fixture_wait_up(struct store_fixture *fixture);

/* Prepares an operation on `key`; tenure and token come from `number`. */
void asked_init(struct asked *asked, struct store_fixture *fixture, enum store_verb verb,
                const char *key, uint8_t number);

void asked_submit(struct asked *asked);

/* Submits and waits for the answer; returns its code. */
enum store_code asked_run(struct asked *asked);

#endif
