/* SPDX-License-Identifier: Apache-2.0 */
/* Several locks as one lease, deadlocks, and watches. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "fixture.h"
#include "lease/group.h"
#include "lease/keeper_internal.h"
#include "lease/party.h"
#include "lease/watch.h"

#define S CLOCK_US_PER_S

struct owner {
    struct group group;
    size_t count;
    struct lease_report last;
    enum store_code code; /* of the last result */
    char concerned;       /* the first byte of the lock the last event was about */
    bool ended;
};

static void on_event(struct group *group, const struct lease_report *report, int64_t now_us)
{
    struct owner *owner = CONTAINER_OF(group, struct owner, group);
    size_t length = 0;
    (void)now_us;
    assert_false(owner->ended);
    owner->count++;
    owner->last = *report;
    if (report->result != NULL) {
        owner->code = report->result->code;
    }
    if (report->event == LEASE_EVENT_REFUSED || report->event == LEASE_EVENT_QUEUED) {
        owner->concerned = lease_key(report->lease, &length)[0];
    }
    owner->ended = report->event == LEASE_EVENT_REFUSED || report->event == LEASE_EVENT_LOST ||
                   report->event == LEASE_EVENT_RELEASED;
}

static struct group *ask_bounded(struct fixture *fixture, struct owner *owner, size_t count,
                                 uint32_t max_hold_ms)
{
    static const struct group_name names[] = {{"c", 1}, {"a", 1}, {"b", 1}};
    struct lease_ask ask = fixture_ask();
    struct keeper_problem problem;
    *owner = (struct owner){.count = 0};
    group_init(&owner->group, on_event);
    ask.wait_until_us = 0;
    ask.label = "me";
    ask.label_length = 2;
    ask.max_hold_ms = max_hold_ms;
    assert_true(group_acquire(&owner->group, fixture->keeper, names, count, &ask, &problem,
                              fixture->now_us));
    return &owner->group;
}

static struct group *ask_for(struct fixture *fixture, struct owner *owner, size_t count)
{
    return ask_bounded(fixture, owner, count, 0);
}

static void assert_asks_for(struct fixture *fixture, char name)
{
    const struct store_op *op = fixture_op(fixture, STORE_ACQUIRE);
    assert_int_equal(op->key[0], name);
    assert_memory_equal(op->label, "me", 2);
}

static void release_all(struct fixture *fixture, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct store_op *op = TAILQ_FIRST(&fixture->ops);
        assert_int_equal(op->verb, STORE_RELEASE);
        fixture_answer(fixture, op, STORE_OK, 0);
    }
    fixture_turn(fixture);
    assert_int_equal(fixture_op_count(fixture), 0);
    assert_int_equal(keeper_count(fixture->keeper), 0);
}

static struct group *hold_three(struct fixture *fixture, struct owner *owner)
{
    struct group *group = ask_for(fixture, owner, 3);
    for (const char *name = "abc"; *name != '\0'; name++) {
        assert_int_equal(owner->count, 0);
        assert_asks_for(fixture, *name);
        fixture_answer(fixture, fixture_only_op(fixture), STORE_OK, 0);
    }
    assert_int_equal(owner->last.event, LEASE_EVENT_GRANTED);
    assert_true(group_is_valid(group, fixture->now_us));
    return group;
}

static void test_locks_are_taken_in_order_and_given_back_together(void **state)
{
    struct fixture *fixture = *state;
    struct owner owner;
    struct group *group = hold_three(fixture, &owner);
    assert_ptr_equal(group_find(fixture->keeper, "b", 1, group_token(group)), group);
    group_release(group, fixture->now_us);
    assert_int_equal(owner.count, 1);
    release_all(fixture, 3);
    assert_int_equal(owner.last.event, LEASE_EVENT_RELEASED);
}

static void test_all_or_none(void **state)
{
    struct fixture *fixture = *state;
    struct owner owner;
    (void)ask_for(fixture, &owner, 2);
    fixture_answer(fixture, fixture_only_op(fixture), STORE_OK, 0);
    fixture_answer(fixture, fixture_only_op(fixture), STORE_BUSY, 0);
    assert_int_equal(owner.last.event, LEASE_EVENT_REFUSED);
    assert_int_equal(owner.code, STORE_BUSY);
    assert_int_equal(owner.concerned, 'c');
    release_all(fixture, 1);
}

static void test_one_lost_is_all_lost(void **state)
{
    struct fixture *fixture = *state;
    struct owner owner;
    (void)hold_three(fixture, &owner);
    fixture_pass(fixture, S);
    fixture_answer(fixture, TAILQ_FIRST(&fixture->ops), STORE_NOT_HELD, 0);
    assert_int_equal(owner.last.event, LEASE_EVENT_LOST);
    assert_int_equal(owner.last.loss, LEASE_LOSS_TAKEN);
    release_all(fixture, 2);
}

static void test_a_risk_is_no_news_before_the_grant(void **state)
{
    struct fixture *fixture = *state;
    struct owner owner;
    struct group *group = ask_for(fixture, &owner, 2);
    fixture_answer(fixture, fixture_only_op(fixture), STORE_OK, 0);
    fixture_pass(fixture, 2 * S + 2 * CLOCK_US_PER_MS);
    fixture_answer(fixture, fixture_op(fixture, STORE_ACQUIRE), STORE_OK, 0);
    assert_int_equal(owner.count, 0);
    assert_false(group_is_granted(group));
    fixture_answer(fixture, fixture_op(fixture, STORE_RENEW), STORE_OK, 0);
    assert_int_equal(owner.count, 1);
    assert_int_equal(owner.last.event, LEASE_EVENT_GRANTED);
    assert_true(group_is_valid(group, fixture->now_us));
    group_release(group, fixture->now_us);
    release_all(fixture, 2);
}

static void test_what_ran_out_meanwhile_is_not_granted(void **state)
{
    struct fixture *fixture = *state;
    struct owner owner;
    (void)ask_for(fixture, &owner, 2);
    fixture_answer(fixture, fixture_only_op(fixture), STORE_OK, 0);
    fixture->now_us += 3 * S; /* no timer has run */
    fixture_answer(fixture, fixture_op(fixture, STORE_ACQUIRE), STORE_OK, 0);
    assert_int_equal(owner.count, 0);
    fixture_turn(fixture);
    assert_int_equal(owner.last.event, LEASE_EVENT_REFUSED);
    assert_int_equal(owner.code, STORE_UNAVAILABLE);
    release_all(fixture, 2);
}

static void test_a_group_is_at_risk_as_long_as_one_of_it_is(void **state)
{
    struct fixture *fixture = *state;
    struct owner owner;
    struct group *group = hold_three(fixture, &owner);
    fixture_pass(fixture, 2 * S + 2 * CLOCK_US_PER_MS);
    assert_int_equal(owner.count, 2);
    assert_int_equal(owner.last.event, LEASE_EVENT_AT_RISK);
    for (size_t left = 3; left > 0; left--) {
        assert_int_equal(owner.count, 2);
        fixture_answer(fixture, TAILQ_FIRST(&fixture->ops), STORE_OK, 0);
    }
    assert_int_equal(owner.count, 3);
    assert_int_equal(owner.last.event, LEASE_EVENT_RENEWED);
    group_release(group, fixture->now_us);
    release_all(fixture, 3);
}

static void test_max_hold_counts_from_when_all_are_held(void **state)
{
    struct fixture *fixture = *state;
    struct owner owner;
    struct group *group = ask_bounded(fixture, &owner, 2, 800);
    fixture_answer(fixture, fixture_only_op(fixture), STORE_OK, 0);
    fixture_pass(fixture, 900 * CLOCK_US_PER_MS);
    assert_int_equal(owner.count, 0);
    fixture_answer(fixture, fixture_only_op(fixture), STORE_OK, 0);
    assert_int_equal(owner.last.event, LEASE_EVENT_GRANTED);
    assert_int_equal(group_deadline_us(group), fixture->now_us + 800 * CLOCK_US_PER_MS);
    fixture_pass(fixture, 790 * CLOCK_US_PER_MS);
    assert_int_equal(owner.count, 1);
    fixture_answer(fixture, fixture_only_op(fixture), STORE_OK, 0);
    fixture_pass(fixture, 11 * CLOCK_US_PER_MS);
    assert_int_equal(owner.last.event, LEASE_EVENT_LOST);
    assert_int_equal(owner.last.loss, LEASE_LOSS_MAX_HOLD);
    release_all(fixture, 2);
}

static void test_revoking_gives_everything_up(void **state)
{
    struct fixture *fixture = *state;
    struct owner owner;
    group_abandon(hold_three(fixture, &owner), fixture->now_us);
    release_all(fixture, 3);
    assert_int_equal(owner.count, 1);
}

static void test_revoking_while_asking_leaves_nothing(void **state)
{
    struct fixture *fixture = *state;
    struct owner owner;
    struct group *group = ask_for(fixture, &owner, 3);
    fixture_answer(fixture, fixture_only_op(fixture), STORE_OK, 0);
    group_revoke(group, fixture->now_us);
    release_all(fixture, 1);
    assert_int_equal(owner.count, 0);
}

static void test_resuming_a_lease_that_is_here(void **state)
{
    struct fixture *fixture = *state;
    struct owner first;
    struct owner second = {.count = 0};
    struct keeper_problem problem;
    struct lease_ask ask = fixture_ask();
    struct group *group = ask_for(fixture, &first, 1);
    fixture_answer(fixture, fixture_only_op(fixture), STORE_OK, 0);
    const struct id128 token = *group_token(group);
    ask.key = "c";
    ask.token = &token;
    group_init(&second.group, on_event);
    assert_true(group_resume(&second.group, fixture->keeper, &ask, &problem, fixture->now_us));
    assert_int_equal(second.count, 0);
    fixture_answer(fixture, fixture_op(fixture, STORE_RESUME), STORE_OK, 0);
    assert_int_equal(first.last.loss, LEASE_LOSS_RESUMED);
    assert_int_equal(second.last.event, LEASE_EVENT_GRANTED);
    fixture_answer(fixture, fixture_op(fixture, STORE_RELEASE), STORE_NOT_HELD, 0);
    group_release(&second.group, fixture->now_us);
    release_all(fixture, 1);
    assert_int_equal(second.last.event, LEASE_EVENT_RELEASED);
}

/*
 * ---- Deadlocks ----
 */

struct task {
    struct lease_party party;
    struct recorder recorders[2];
    struct lease *leases[2];
};

static struct lease *take_as(struct fixture *fixture, struct task *task, size_t slot,
                             struct lease_ask ask, struct keeper_problem *problem)
{
    ask.party = &task->party;
    fixture_recorder_init(&task->recorders[slot]);
    task->leases[slot] = keeper_acquire(fixture->keeper, &ask, &task->recorders[slot].holder,
                                        problem, fixture->now_us);
    return task->leases[slot];
}

static struct lease *take(struct fixture *fixture, struct task *task, size_t slot, const char *key,
                          struct keeper_problem *problem)
{
    struct lease_ask ask = fixture_ask();
    ask.key = key;
    return take_as(fixture, task, slot, ask, problem);
}

static struct lease *share(struct fixture *fixture, struct task *task, size_t slot, const char *key,
                           uint32_t limit)
{
    struct lease_ask ask = fixture_ask();
    struct keeper_problem problem;
    ask.key = key;
    ask.mode = STORE_SHARED;
    ask.limit = limit;
    struct lease *lease = take_as(fixture, task, slot, ask, &problem);
    assert_non_null(lease);
    return lease;
}

static void drop(struct fixture *fixture, struct task *task)
{
    for (size_t slot = 2; slot > 0; slot--) {
        if (task->leases[slot - 1] != NULL) {
            lease_revoke(task->leases[slot - 1], fixture->now_us);
        }
    }
    party_release(&task->party);
}

static void test_a_circle_of_three_is_refused_and_spelled_out(void **state)
{
    struct fixture *fixture = *state;
    struct keeper_problem problem;
    struct task tasks[3] = {0};
    for (size_t i = 0; i < 3; i++) {
        party_init(&tasks[i].party, &"one\0two\0six"[4 * i]);
        assert_non_null(take(fixture, &tasks[i], 0, &"abc"[i], &problem));
        fixture_answer(fixture, fixture_only_op(fixture), STORE_OK, 0);
    }
    assert_non_null(take(fixture, &tasks[0], 1, "b", &problem));
    assert_non_null(take(fixture, &tasks[1], 1, "c", &problem));
    assert_null(take(fixture, &tasks[2], 1, "a", &problem));
    assert_int_equal(problem.refusal, KEEPER_DEADLOCK);
    assert_string_equal(problem.text,
                        "waiting would never end: six would wait for a, held by one, which waits "
                        "for b, held by two, which waits for c, held by six");
    assert_int_equal(fixture->metrics.deadlocks_found, 1);
    for (size_t i = 0; i < 3; i++) {
        drop(fixture, &tasks[i]);
    }
}

/* A reader that has the lock is no reason to wait, but one that waits for a permit is. */
static void test_a_reader_waits_behind_one_with_a_limit(void **state)
{
    struct fixture *fixture = *state;
    struct keeper_problem problem;
    struct task tasks[3] = {0};
    for (size_t i = 0; i < 3; i++) {
        party_init(&tasks[i].party, &"one\0two\0six"[4 * i]);
    }
    (void)share(fixture, &tasks[0], 0, "a", 0);
    fixture_answer(fixture, fixture_only_op(fixture), STORE_OK, 0);
    assert_non_null(take(fixture, &tasks[1], 0, "b", &problem));
    fixture_answer(fixture, fixture_op(fixture, STORE_ACQUIRE), STORE_OK, 0);
    (void)share(fixture, &tasks[2], 0, "a", 1);
    (void)share(fixture, &tasks[1], 1, "a", 0);
    assert_null(take(fixture, &tasks[0], 1, "b", &problem));
    assert_string_equal(problem.text,
                        "waiting would never end: one would wait for b, held by two, which waits "
                        "for a, for which waits before it six, which waits for a, held by one");
    for (size_t i = 0; i < 3; i++) {
        drop(fixture, &tasks[i]);
    }
}

static void test_waiting_for_oneself_is_ones_own_affair(void **state)
{
    struct fixture *fixture = *state;
    struct keeper_problem problem;
    struct task task = {0};
    party_init(&task.party, "one");
    (void)take(fixture, &task, 0, "a", &problem);
    fixture_answer(fixture, fixture_only_op(fixture), STORE_OK, 0);
    assert_non_null(take(fixture, &task, 1, "a", &problem));
    drop(fixture, &task);
}

/*
 * ---- Watches ----
 */

struct viewer {
    size_t count;
    struct store_holder last;
    struct watch *watch;
};

static void on_state(void *user, const struct store_result *result, int64_t now_us)
{
    struct viewer *viewer = user;
    (void)now_us;
    viewer->count++;
    viewer->last = result->holder;
}

static void answer_look(struct fixture *fixture, uint64_t fence)
{
    const struct store_result seen = {
        .code = STORE_OK,
        .holder = {.is_held = fence != 0, .fence = fence, .remaining_us = S},
    };
    fixture_answer_with(fixture, fixture_only_op(fixture), seen, 0);
}

static void test_a_watch_tells_what_differs(void **state)
{
    struct fixture *fixture = *state;
    struct viewer viewer = {0};
    struct store_listener *listener = fixture->store.listener;
    viewer.watch = watch_start(fixture->keeper, "k", 1, on_state, &viewer, fixture->now_us);
    assert_int_equal(fixture->watches, 1);
    answer_look(fixture, 0);
    assert_int_equal(viewer.count, 1);
    assert_false(viewer.last.is_held);
    listener->on_changed(listener, "k", 1, fixture->now_us);
    listener->on_changed(listener, "k", 1, fixture->now_us); /* looks once more for this one */
    answer_look(fixture, 9);
    assert_int_equal(viewer.last.fence, 9);
    answer_look(fixture, 9);
    assert_int_equal(viewer.count, 2);
    fixture_pass(fixture, S + 2 * CLOCK_US_PER_MS); /* the holder's time is over */
    answer_look(fixture, 0);
    assert_int_equal(viewer.count, 3);
    watch_end(viewer.watch, fixture->now_us);
    assert_int_equal(keeper_count(fixture->keeper), 0);
}

static void test_two_watches_share_their_looks(void **state)
{
    struct fixture *fixture = *state;
    struct viewer viewers[2] = {0};
    for (size_t i = 0; i < 2; i++) {
        viewers[i].watch =
            watch_start(fixture->keeper, "k", 1, on_state, &viewers[i], fixture->now_us);
    }
    assert_int_equal(fixture->watches, 1);
    answer_look(fixture, 3);
    answer_look(fixture, 3);
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(viewers[i].count, 1);
        watch_end(viewers[i].watch, fixture->now_us);
    }
    assert_int_equal(keeper_count(fixture->keeper), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
        TEST(test_locks_are_taken_in_order_and_given_back_together),
        TEST(test_all_or_none),
        TEST(test_one_lost_is_all_lost),
        TEST(test_a_risk_is_no_news_before_the_grant),
        TEST(test_what_ran_out_meanwhile_is_not_granted),
        TEST(test_a_group_is_at_risk_as_long_as_one_of_it_is),
        TEST(test_max_hold_counts_from_when_all_are_held),
        TEST(test_revoking_gives_everything_up),
        TEST(test_revoking_while_asking_leaves_nothing),
        TEST(test_resuming_a_lease_that_is_here),
        TEST(test_a_circle_of_three_is_refused_and_spelled_out),
        TEST(test_a_reader_waits_behind_one_with_a_limit),
        TEST(test_waiting_for_oneself_is_ones_own_affair),
        TEST(test_a_watch_tells_what_differs),
        TEST(test_two_watches_share_their_looks),
#undef TEST
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
