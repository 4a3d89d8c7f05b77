/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "fixture.h"
#include "lease/keeper_internal.h"
#include "lease/lock.h"

#define TTL_MS ((int64_t)3000)

static void ignore_errand(void *user, const struct store_result *result, int64_t now_us)
{
    (void)user;
    (void)result;
    (void)now_us;
}

static struct errand *inspect(struct fixture *fixture)
{
    const struct errand_ask ask = {
        .verb = STORE_INSPECT, .key = "k", .key_length = 1, .deadline_us = CLOCK_NEVER};
    return errand_start(fixture->keeper, &ask, ignore_errand, NULL, fixture->now_us);
}

static struct lease *try_acquire_key(struct fixture *fixture, const char *key)
{
    const struct lease_ask ask = {
        .key = key, .key_length = 1, .ttl_ms = TTL_MS, .deadline_us = CLOCK_NEVER};
    struct keeper_problem problem;
    struct lease *lease =
        keeper_acquire(fixture->keeper, &ask, &fixture->recorder.holder, &problem, fixture->now_us);
    if (lease == NULL) {
        assert_int_equal(problem.refusal, KEEPER_LEASES_MAX);
    }
    return lease;
}

static struct lease *try_acquire(struct fixture *fixture)
{
    return try_acquire_key(fixture, "k");
}

/* What the store is asked for a lease. */
static struct store_op *op_of(struct fixture *fixture, const struct lease *lease)
{
    struct store_op *op = NULL;
    TAILQ_FOREACH (op, &fixture->ops, link) {
        if (id128_equal(&op->tenure, &lease->tenure->id)) {
            return op;
        }
    }
    fail_msg("the store is asked nothing for this lease");
    return NULL;
}

static void test_the_limit_counts_all_that_is_in_memory(void **state)
{
    struct fixture *fixture = *state;
    struct lease *held = fixture_hold(fixture, TTL_MS);
    struct lease *asking = try_acquire(fixture);
    struct lease *settling = try_acquire(fixture);
    struct errand *errand = inspect(fixture);
    for (size_t i = 4; i < FIXTURE_LEASES; i++) {
        assert_non_null(inspect(fixture));
    }
    assert_non_null(asking);
    assert_non_null(settling);
    assert_non_null(errand);
    assert_int_equal(keeper_count(fixture->keeper), FIXTURE_LEASES);
    assert_int_equal(fixture->metrics.leases_now, FIXTURE_LEASES);
    assert_null(try_acquire(fixture));
    assert_null(inspect(fixture));
    assert_int_equal(fixture->metrics.leases_refused, 2);
    fixture_send(op_of(fixture, settling));
    lease_revoke(settling, fixture->now_us);
    assert_null(try_acquire(fixture)); /* not in sight, but not settled */
    errand_abandon(errand, fixture->now_us);
    assert_int_equal(keeper_count(fixture->keeper), FIXTURE_LEASES - 1);
    struct lease *again = try_acquire(fixture);
    assert_non_null(again);
    lease_revoke(again, fixture->now_us);
    lease_revoke(asking, fixture->now_us);
    lease_revoke(held, fixture->now_us);
    assert_int_equal(fixture->metrics.leases_now, keeper_count(fixture->keeper));
}

static void test_only_held_leases_are_found(void **state)
{
    struct fixture *fixture = *state;
    struct keeper *keeper = fixture->keeper;
    struct lease *lease = fixture_acquire(fixture, TTL_MS);
    const struct id128 token = lease->token;
    const struct id128 other = id128_random();
    assert_null(keeper_find(keeper, "k", 1, &token));
    fixture_answer(fixture, fixture_only_op(fixture), STORE_OK, 0);
    assert_ptr_equal(keeper_find(keeper, "k", 1, &token), lease);
    assert_null(keeper_find(keeper, "k", 1, &other));
    assert_null(keeper_find(keeper, "kk", 2, &token));
    fixture_pass(fixture, lease_renewal_us(TTL_MS));
    assert_ptr_equal(keeper_find(keeper, "k", 1, &token), lease);
    lease_release(lease, fixture->now_us);
    assert_null(keeper_find(keeper, "k", 1, &token));
    lease_revoke(lease, fixture->now_us);
}

static void test_keys_are_bytes_up_to_their_bound(void **state)
{
    struct fixture *fixture = *state;
    char key[LEASE_KEY_MAX];
    char label[LEASE_LABEL_MAX];
    memset(key, 0, sizeof(key));
    memset(label, 'x', sizeof(label));
    struct lease_ask ask = {
        .key = key,
        .key_length = sizeof(key),
        .label = label,
        .label_length = sizeof(label),
        .ttl_ms = TTL_MS,
        .deadline_us = CLOCK_NEVER,
    };
    struct keeper_problem problem;
    struct lease *lease =
        keeper_acquire(fixture->keeper, &ask, &fixture->recorder.holder, &problem, fixture->now_us);
    memset(key, 'y', sizeof(key)); /* both were copied */
    memset(label, 'y', sizeof(label));
    const struct store_op *op = fixture_only_op(fixture);
    assert_int_equal(op->key_length, LEASE_KEY_MAX);
    assert_int_equal(op->key[LEASE_KEY_MAX - 1], 0);
    assert_int_equal(op->label_length, LEASE_LABEL_MAX);
    assert_int_equal(op->label[LEASE_LABEL_MAX - 1], 'x');
    lease_revoke(lease, fixture->now_us);
}

static void test_leases_of_one_tick_are_renewed_in_one_run(void **state)
{
    struct fixture *fixture = *state;
    struct lease *leases[3];
    for (size_t i = 0; i < 3; i++) {
        leases[i] = try_acquire_key(fixture, &"abc"[i]);
        fixture_answer(fixture, fixture_only_op(fixture), STORE_OK, 0);
    }
    fixture->now_us += lease_renewal_us(TTL_MS);
    wheel_run(fixture->wheel, fixture->now_us);
    assert_int_equal(fixture_op_count(fixture), 3);
    for (size_t i = 0; i < 3; i++) {
        lease_revoke(leases[i], fixture->now_us);
    }
}

static void test_destroy_takes_everything_along(void **state)
{
    struct fixture *fixture = *state;
    lease_revoke(fixture_hold(fixture, TTL_MS), fixture->now_us); /* its release is queued */
    struct lease *sent = try_acquire(fixture);
    fixture_send(op_of(fixture, sent));
    lease_revoke(sent, fixture->now_us);
    struct errand *errand = inspect(fixture);
    fixture_send(TAILQ_LAST(&fixture->ops, store_op_list));
    errand_abandon(errand, fixture->now_us);
    assert_non_null(inspect(fixture));
    assert_int_equal(keeper_count(fixture->keeper), 4);
} /* fixture_teardown destroys it */

static void test_a_lease_is_small(void **state)
{
    (void)state;
    assert_true(sizeof(struct lease) + sizeof(struct tenure) + sizeof(struct lock) <= 576);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
        TEST(test_the_limit_counts_all_that_is_in_memory),
        TEST(test_only_held_leases_are_found),
        TEST(test_keys_are_bytes_up_to_their_bound),
        TEST(test_leases_of_one_tick_are_renewed_in_one_run),
        TEST(test_destroy_takes_everything_along),
        cmocka_unit_test(test_a_lease_is_small),
#undef TEST
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
