/* SPDX-License-Identifier: Apache-2.0 */
/* What many leases take: bytes for each that is held, and nothing more for its renewals. */
#include <malloc.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "fixture.h"
#include "lease/group.h"
#include "lease/keeper_internal.h"
#include "lease/lock.h"
#include "lease/tenure.h"

#define MANY   60000
#define FEW    1000 /* as many as are renewed at a time where there are many */
#define TTL_MS ((int64_t)3000)

/* Of the 300 bytes that the whole server may take for a lease, the connection's part not counted.
 * With the key.
 */
#define BYTES_MAX 260

static size_t bytes_taken(void)
{
    const struct mallinfo2 info = mallinfo2();
    return info.uordblks + info.hblkhd;
}

/* Memory that is really there; 0 where a sanitizer has an allocator of its own, which takes more.
 */
static size_t bytes_resident(void)
{
    char line[128];
    size_t kib = 0;
    FILE *status = fopen("/proc/self/status", "r");
    assert_non_null(status);
    while (kib == 0 && fgets(line, sizeof(line), status) != NULL) {
        (void)sscanf(line, "RssAnon: %zu", &kib);
    }
    fclose(status);
    return bytes_taken() == 0 ? 0 : kib * 1024;
}

static void ignore(struct lease_holder *holder, struct lease *lease,
                   const struct lease_report *report, int64_t now_us)
{
    (void)holder;
    (void)lease;
    (void)report;
    (void)now_us;
}

/* The store does all that it is asked, as if it had left just now. */
static void answer_all(struct fixture *fixture)
{
    while (!TAILQ_EMPTY(&fixture->ops)) {
        fixture_answer(fixture, TAILQ_FIRST(&fixture->ops), STORE_OK, 0);
    }
}

static void hold(struct fixture *fixture, size_t count, struct lease **leases,
                 struct lease_holder *holder)
{
    char key[32];
    struct keeper_problem problem;
    struct lease_ask ask = {.key = key, .ttl_ms = TTL_MS, .deadline_us = CLOCK_NEVER};
    fixture->keeper->config.leases_max = MANY;
    holder->on_event = ignore;
    for (size_t i = 0; i < count; i++) {
        ask.key_length = (size_t)snprintf(key, sizeof(key), "bench-12345-%zu-%zu", i / 6000, i);
        leases[i] = keeper_acquire(fixture->keeper, &ask, holder, &problem, fixture->now_us);
        assert_non_null(leases[i]);
        answer_all(fixture);
        assert_int_equal(lease_state(leases[i]), LEASE_HELD);
    }
}

static void drop(struct fixture *fixture, size_t count, struct lease **leases)
{
    for (size_t i = 0; i < count; i++) {
        lease_revoke(leases[i], fixture->now_us);
        answer_all(fixture);
    }
}

static void test_a_held_lease_takes_little(void **state)
{
    struct fixture *fixture = *state;
    static struct lease *leases[MANY];
    struct lease_holder holder;
    const size_t before = bytes_resident();
    hold(fixture, MANY, leases, &holder);
    const size_t taken = bytes_resident() - before;
    drop(fixture, MANY, leases);
    assert_true(taken / MANY <= BYTES_MAX);
}

/* Nor is there anything taken and given back: what the first renewals needed is there still. */
static void test_renewals_take_nothing(void **state)
{
    struct fixture *fixture = *state;
    static struct lease *leases[FEW];
    struct lease_holder holder;
    hold(fixture, FEW, leases, &holder);
    fixture_pass(fixture, lease_renewal_us(TTL_MS));
    answer_all(fixture);
    const size_t at_rest = bytes_taken();
    const bool has_inquiry = leases[0]->tenure->inquiry != NULL;
    fixture_pass(fixture, lease_renewal_us(TTL_MS));
    const size_t at_work = bytes_taken();
    const size_t count = fixture_op_count(fixture);
    answer_all(fixture);
    const size_t afterwards = bytes_taken();
    drop(fixture, FEW, leases);
    assert_false(has_inquiry);
    assert_int_equal(count, FEW);
    assert_int_equal(at_work, at_rest);
    assert_int_equal(afterwards, at_rest);
    assert_int_equal(fixture->metrics.renewals_confirmed, 2 * FEW);
}

/* Whoever adds a member sees here what it costs. */
static void test_the_structures_of_a_held_lease_are_small(void **state)
{
    (void)state;
    assert_true(offsetof(struct lock, key) <= 43);
    assert_true(sizeof(struct tenure) <= 96);
    assert_true(sizeof(struct lease) <= 72);
    assert_true(sizeof(struct group) <= 40);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_a_held_lease_takes_little, fixture_setup,
                                        fixture_teardown),
        cmocka_unit_test_setup_teardown(test_renewals_take_nothing, fixture_setup,
                                        fixture_teardown),
        cmocka_unit_test(test_the_structures_of_a_held_lease_are_small),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
