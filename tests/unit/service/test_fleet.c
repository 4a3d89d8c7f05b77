/* SPDX-License-Identifier: Apache-2.0 */
#include "service/fleet.h"

#include "fixture.h"

#include <string.h>

/* A source that the test answers. */
static struct {
    fleet_step_fn *on_step; /* NULL: no scan is under way */
    void *user;
    uint64_t cursor;
    size_t count;
    char prefix[16];
    bool is_full;
    int cancelled;
} scan;

static void *start_scan(void *user, const char *prefix, size_t prefix_length, uint64_t cursor,
                        size_t count, fleet_step_fn *on_step, void *step_user)
{
    (void)user;
    if (scan.is_full) {
        return NULL;
    }
    assert_null(scan.on_step);
    assert_in_range(prefix_length, 0, sizeof(scan.prefix) - 1);
    memset(scan.prefix, 0, sizeof(scan.prefix));
    memcpy(scan.prefix, prefix, prefix_length);
    scan.on_step = on_step;
    scan.user = step_user;
    scan.cursor = cursor;
    scan.count = count;
    return &scan;
}

static void cancel_scan(void *user)
{
    assert_ptr_equal(user, &scan);
    scan.on_step = NULL;
    scan.cancelled++;
}

static const struct fleet_source source = {.start = start_scan, .cancel = cancel_scan};

static int setup(void **state)
{
    fixture_setup(state);
    memset(&scan, 0, sizeof(scan));
    ((struct fixture *)*state)->services.config.fleet = &source;
    return 0;
}

static void answer_scan(struct fixture *fixture, const struct fleet_step *step)
{
    fleet_step_fn *on_step = scan.on_step;
    scan.on_step = NULL;
    on_step(scan.user, step, fixture->now_us);
}

static struct fake_call *list(struct fixture *fixture, const char *token)
{
    Holdfast__V1__ListLocksRequest request = HOLDFAST__V1__LIST_LOCKS_REQUEST__INIT;
    request.prefix = (char *)"a";
    request.page_token = (char *)token;
    request.page_size = 10;
    request.fleet = true;
    return fixture_call(fixture, 0, "ListLocks", &request.base);
}

static const Holdfast__V1__ListLocksResponse *page_of(const struct fake_call *call)
{
    fake_call_expect_end(call, STATUS_OK, "");
    return (const void *)call->reply;
}

static void see(struct fixture *fixture, const char *key, const struct store_holder *holder)
{
    struct store_op *op = fake_store_send(&fixture->store, STORE_INSPECT);
    assert_memory_equal(op->key, key, strlen(key));
    fake_store_answer(&fixture->store, op,
                      &(struct store_result){.code = STORE_OK, .holder = *holder});
}

static const struct fleet_name names[] = {{"a1 and more", 2}, {"a2", 2}, {"a3", 2}, {"a4", 2}};

static void what_a_step_finds_is_inspected(void **state)
{
    struct fixture *fixture = *state;
    struct fake_call *call = list(fixture, "");
    assert_string_equal(scan.prefix, "a");
    assert_int_equal(scan.cursor, 0);
    assert_int_equal(scan.count, 10);
    answer_scan(fixture, &(struct fleet_step){.cursor = 77, .names = names, .count = 4});
    see(fixture, "a1",
        &(struct store_holder){.is_held = true,
                               .mode = STORE_SHARED,
                               .remaining_us = 1500,
                               .fence = 4,
                               .waiting = 3,
                               .label = "me",
                               .label_length = 2});
    see(fixture, "a2", &(struct store_holder){0});
    fake_store_code(&fixture->store, STORE_INSPECT, STORE_WRONG_TYPE, "list");
    fake_call_expect_open(call);
    see(fixture, "a4", &(struct store_holder){.is_held = true, .is_foreign = true});
    const Holdfast__V1__ListLocksResponse *page = page_of(call);
    assert_int_equal(page->n_locks, 2);
    assert_string_equal(page->next_page_token, "77");
    const Holdfast__V1__LockState *lock = page->locks[0];
    assert_string_equal(lock->key, "a1");
    assert_int_equal(lock->mode, HOLDFAST__V1__MODE__MODE_SHARED);
    assert_int_equal(lock->waiting, 3);
    assert_int_equal(lock->n_holders, 1);
    assert_string_equal(lock->holders[0]->label, "me");
    assert_int_equal(lock->holders[0]->remaining_ms, 2);
    assert_int_equal(lock->holders[0]->fence, 4);
    assert_false(page->locks[0]->holders[0]->closed);
    assert_true(page->locks[1]->holders[0]->foreign);
}

static void the_last_step_has_no_token(void **state)
{
    struct fixture *fixture = *state;
    struct fake_call *call = list(fixture, "18446744073709551615");
    assert_true(scan.cursor == UINT64_MAX);
    answer_scan(fixture, &(struct fleet_step){.cursor = 0});
    assert_int_equal(page_of(call)->n_locks, 0);
    assert_string_equal(page_of(call)->next_page_token, "");
}

static void only_so_many_are_inspected_at_a_time(void **state)
{
    struct fixture *fixture = *state;
    struct fleet_name many[100];
    for (size_t i = 0; i < 100; i++) {
        many[i] = names[1];
    }
    struct fake_call *call = list(fixture, "");
    answer_scan(fixture, &(struct fleet_step){.names = many, .count = 100});
    for (int i = 0; i < 100; i++) {
        assert_in_range(fake_store_count(&fixture->store), 1, 32);
        see(fixture, "a2", &(struct store_holder){.is_held = true});
    }
    assert_int_equal(page_of(call)->n_locks, 100);
}

static void failures_are_told(void **state)
{
    struct fixture *fixture = *state;
    struct fake_call *call = list(fixture, "");
    answer_scan(fixture, &(struct fleet_step){.problem = "no connection"});
    fake_call_expect_end(call, STATUS_UNAVAILABLE, "no connection");
    call = list(fixture, "");
    answer_scan(fixture, &(struct fleet_step){.names = names, .count = 4});
    fake_store_code(&fixture->store, STORE_INSPECT, STORE_UNAVAILABLE, "away");
    fake_call_expect_end(call, STATUS_UNAVAILABLE, "away");
    assert_int_equal(keeper_count(fixture->keeper), 0);
    scan.is_full = true;
    fake_call_expect_end(list(fixture, ""), STATUS_RESOURCE_EXHAUSTED, "fleet: too many");
    fake_call_expect_end(list(fixture, "x"), STATUS_INVALID_ARGUMENT, "page_token: ");
}

static void whoever_goes_leaves_nothing_under_way(void **state)
{
    struct fixture *fixture = *state;
    struct fake_call *call = list(fixture, "");
    session_cancel_call(&call->call);
    fake_call_expect_cancelled(call);
    assert_int_equal(scan.cancelled, 1);
    call = list(fixture, "");
    answer_scan(fixture, &(struct fleet_step){.names = names, .count = 4});
    fixture_drop(fixture, 0);
    fake_call_expect_cancelled(call);
    assert_int_equal(fake_store_count(&fixture->store), 0);
    assert_int_equal(keeper_count(fixture->keeper), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_a_step_finds_is_inspected, setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(the_last_step_has_no_token, setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(only_so_many_are_inspected_at_a_time, setup,
                                        fixture_teardown),
        cmocka_unit_test_setup_teardown(failures_are_told, setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(whoever_goes_leaves_nothing_under_way, setup,
                                        fixture_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
