/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A service floor with the real session, keeper, loop and wheel, between a recording transport and
 * a scripted store.
 */
#ifndef HOLDFAST_TESTS_SERVICE_FIXTURE_H
#define HOLDFAST_TESTS_SERVICE_FIXTURE_H

/* cmocka needs these before it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/loop.h"
#include "base/metrics.h"
#include "fake_call.h"
#include "fake_store.h"
#include "lease/keeper.h"
#include "service/services.h"
#include "service/session.h"

#define FIXTURE_CALLS_MAX    64
#define FIXTURE_SESSIONS_MAX 4
#define FIXTURE_TTL_MS       10000
#define FIXTURE_MESSAGE_MAX  8192
#define FIXTURE_WAITERS_MAX  3

struct fixture {
    struct loop *loop;
    struct metrics metrics;
    struct fake_store store;
    struct keeper *keeper;
    struct services services;
    struct session *sessions[FIXTURE_SESSIONS_MAX]; /* one at the start */
    struct fake_call *calls[FIXTURE_CALLS_MAX];
    size_t call_count;
    int64_t now_us;
};

/* For cmocka_unit_test_setup_teardown. The teardown checks that nothing is left behind. */
int fixture_setup(void **state);
int fixture_teardown(void **state);

/* As fixture_setup, but the keeper takes only so many leases. */
void fixture_start(void **state, size_t leases_max);

/* The client of session `index` connects, or drops. */
void fixture_connect(struct fixture *fixture, size_t index);
void fixture_drop(struct fixture *fixture, size_t index);

/* Lets time pass in steps of a millisecond, a turn each. */
void fixture_advance_ms(struct fixture *fixture, int64_t ms);

/* Starts a call of holdfast.v1.Locks (of Admin: List...) on session `index`; freed by the teardown.
 */
struct fake_call *fixture_start_call(struct fixture *fixture, size_t index, const char *method,
                                     int64_t timeout_us);

/* Likewise of any service. */
struct fake_call *fixture_start_call_of(struct fixture *fixture, size_t index, const char *service,
                                        const char *method, int64_t timeout_us);

/* As fixture_start_call, with one message and the half-close behind it: a unary call. */
struct fake_call *fixture_call(struct fixture *fixture, size_t index, const char *method,
                               const ProtobufCMessage *request);

/* Acquires `key` bound to session `index`, granted with `fence`; returns the call's lease. */
const Holdfast__V1__Lease *fixture_acquire(struct fixture *fixture, size_t index, const char *key,
                                           uint64_t fence);

/* A Hold stream on session `index` that has asked for `key`. */
struct fake_call *fixture_hold(struct fixture *fixture, size_t index, const char *key,
                               uint32_t heartbeat_ms);

/* Likewise with any ask. */
struct fake_call *fixture_hold_with(struct fixture *fixture, size_t index,
                                    const Holdfast__V1__HoldAsk *ask);

/* A test with a fresh fixture. */
#define FIXTURE_TEST(function)                                                                     \
    cmocka_unit_test_setup_teardown(function, fixture_setup, fixture_teardown)

#endif
