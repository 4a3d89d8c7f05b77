/* SPDX-License-Identifier: Apache-2.0 */
#include "base/loop.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <event2/event.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/compiler.h"
#include "base/memory.h"

#define MS CLOCK_US_PER_MS
#define S  CLOCK_US_PER_S

/* A task or timer that writes its letter into a shared record. */
struct step {
    struct task task;
    struct timer timer;
    struct loop *loop;
    char *record;
    struct step *posts;   /* posted on running, when not NULL */
    struct step *unposts; /* taken back on running, when not NULL */
    enum loop_phase posts_to;
    char letter;
    bool stops; /* the loop */
};

static void take_step(struct step *step)
{
    step->record[strlen(step->record)] = step->letter;
    if (step->posts != NULL) {
        loop_post(step->loop, step->posts_to, &step->posts->task);
    }
    if (step->unposts != NULL) {
        loop_unpost(step->loop, &step->unposts->task);
    }
    if (step->stops) {
        loop_stop(step->loop);
    }
}

static void run_task(struct task *task)
{
    assert_false(task_is_posted(task));
    take_step(CONTAINER_OF(task, struct step, task));
}

static void run_timer(struct timer *timer, int64_t now_us)
{
    struct step *step = CONTAINER_OF(timer, struct step, timer);
    assert_true(now_us == loop_now_us(step->loop));
    take_step(step);
}

static struct step make_step(struct loop *loop, char *record, char letter)
{
    struct step step = {.loop = loop, .record = record, .letter = letter};
    task_init(&step.task, run_task);
    timer_init(&step.timer, run_timer);
    return step;
}

static struct loop *make_loop(void)
{
    struct loop *loop = loop_create();
    assert_non_null(loop);
    return loop;
}

static void test_a_turn_runs_timers_and_then_the_phases(void **state)
{
    (void)state;
    char record[16] = "";
    struct loop *loop = make_loop();
    struct step steps[5];
    for (int i = 0; i < 5; i++) {
        steps[i] = make_step(loop, record, "TIWXF"[i]);
    }
    loop_post(loop, LOOP_FREE, &steps[4].task);
    loop_post(loop, LOOP_FLUSH, &steps[3].task);
    loop_post(loop, LOOP_WORK, &steps[2].task);
    loop_post(loop, LOOP_INPUT, &steps[1].task);
    wheel_set(loop_wheel(loop), &steps[0].timer, loop_now_us(loop));
    loop_turn(loop, 10 * S);
    assert_string_equal(record, "TIWXF");
    loop_destroy(loop);
}

static void test_a_phase_is_first_in_first_out(void **state)
{
    (void)state;
    char record[16] = "";
    struct loop *loop = make_loop();
    struct step steps[3];
    for (int i = 0; i < 3; i++) {
        steps[i] = make_step(loop, record, "abc"[i]);
        loop_post(loop, LOOP_WORK, &steps[i].task);
    }
    loop_turn(loop, 10 * S);
    assert_string_equal(record, "abc");
    loop_destroy(loop);
}

static void test_posting_to_a_later_phase_runs_in_this_turn(void **state)
{
    (void)state;
    char record[16] = "";
    struct loop *loop = make_loop();
    struct step first = make_step(loop, record, 'a');
    struct step second = make_step(loop, record, 'b');
    first.posts = &second;
    first.posts_to = LOOP_FLUSH;
    loop_post(loop, LOOP_WORK, &first.task);
    loop_turn(loop, 10 * S);
    assert_string_equal(record, "ab");
    loop_destroy(loop);
}

/* Posting to `to` while WORK runs must wait for the next turn, which must not sleep. */
static void check_next_turn(enum loop_phase to)
{
    char record[16] = "";
    struct loop *loop = make_loop();
    struct step first = make_step(loop, record, 'a');
    struct step second = make_step(loop, record, 'b');
    struct step last = make_step(loop, record, 'c');
    first.posts = &second;
    first.posts_to = to;
    loop_post(loop, LOOP_WORK, &first.task);
    loop_post(loop, LOOP_FREE, &last.task);
    loop_turn(loop, 3600 * S);
    assert_string_equal(record, "ac");
    assert_true(task_is_posted(&second.task));
    loop_turn(loop, 3600 * S);
    assert_string_equal(record, "acb");
    loop_destroy(loop);
}

static void test_posting_to_the_running_or_a_past_phase_waits_for_the_next_turn(void **state)
{
    (void)state;
    check_next_turn(LOOP_WORK);
    check_next_turn(LOOP_INPUT);
}

static void test_a_task_that_posts_itself_runs_once_a_turn(void **state)
{
    (void)state;
    char record[16] = "";
    struct loop *loop = make_loop();
    struct step step = make_step(loop, record, 'a');
    step.posts = &step;
    step.posts_to = LOOP_WORK;
    loop_post(loop, LOOP_WORK, &step.task);
    loop_turn(loop, 3600 * S);
    loop_turn(loop, 3600 * S);
    assert_string_equal(record, "aa");
    loop_unpost(loop, &step.task);
    loop_destroy(loop);
}

static void test_posting_twice_changes_nothing(void **state)
{
    (void)state;
    char record[16] = "";
    struct loop *loop = make_loop();
    struct step first = make_step(loop, record, 'a');
    struct step second = make_step(loop, record, 'b');
    loop_post(loop, LOOP_FLUSH, &first.task);
    loop_post(loop, LOOP_WORK, &second.task);
    loop_post(loop, LOOP_INPUT, &first.task);
    loop_turn(loop, 3600 * S);
    assert_string_equal(record, "ba");
    loop_destroy(loop);
}

static void test_unposting_works_at_any_moment(void **state)
{
    (void)state;
    char record[16] = "";
    struct loop *loop = make_loop();
    struct step steps[3];
    for (int i = 0; i < 3; i++) {
        steps[i] = make_step(loop, record, "abc"[i]);
        loop_post(loop, LOOP_WORK, &steps[i].task);
    }
    loop_unpost(loop, &steps[1].task);
    loop_unpost(loop, &steps[1].task);
    assert_false(task_is_posted(&steps[1].task));
    /* From within its own phase, and the last of the queue. */
    steps[0].unposts = &steps[2];
    loop_turn(loop, 3600 * S);
    assert_string_equal(record, "a");
    loop_post(loop, LOOP_WORK, &steps[1].task);
    loop_turn(loop, 3600 * S);
    assert_string_equal(record, "ab");
    loop_destroy(loop);
}

static void free_task(struct task *task)
{
    memory_free(task);
}

static void test_a_task_may_free_itself(void **state)
{
    (void)state;
    struct loop *loop = make_loop();
    for (int i = 0; i < 3; i++) {
        struct task *task = memory_alloc(sizeof(*task));
        task_init(task, free_task);
        loop_post(loop, LOOP_FREE, task);
    }
    loop_turn(loop, 3600 * S);
    loop_destroy(loop);
}

/* A pipe whose readiness posts a step to INPUT. */
struct source {
    struct event *event;
    int ends[2];
};

/* Reads nothing, as the callbacks of the server: the source stays ready. */
static void on_readable(evutil_socket_t fd, short what, void *context)
{
    (void)fd;
    (void)what;
    struct step *step = context;
    loop_post(step->loop, LOOP_INPUT, &step->task);
}

static void source_open(struct source *source, struct step *step)
{
    assert_int_equal(pipe(source->ends), 0);
    source->event = event_new(loop_event_base(step->loop), source->ends[0], EV_READ | EV_PERSIST,
                              on_readable, step);
    assert_int_equal(event_add(source->event, NULL), 0);
}

static void source_feed(struct source *source)
{
    assert_int_equal(write(source->ends[1], "x", 1), 1);
}

static void source_drain(struct source *source)
{
    char byte;
    assert_int_equal(read(source->ends[0], &byte, 1), 1);
}

static void source_close(struct source *source)
{
    event_free(source->event);
    close(source->ends[0]);
    close(source->ends[1]);
}

static void test_a_timer_ends_the_sleep_and_is_never_early(void **state)
{
    (void)state;
    char record[16] = "";
    struct loop *loop = make_loop();
    struct step step = make_step(loop, record, 'a');
    int64_t worst_us = 0;
    for (int i = 0; i < 5; i++) {
        int64_t due_us = clock_now_us() + 3 * MS + (int64_t)i * 333;
        wheel_set(loop_wheel(loop), &step.timer, due_us);
        while (timer_is_set(&step.timer)) {
            loop_turn(loop, 3600 * S);
        }
        int64_t late_us = loop_now_us(loop) - due_us;
        assert_true(late_us >= 0);
        worst_us = late_us > worst_us ? late_us : worst_us;
    }
    print_message("latest timer: %lld us\n", (long long)worst_us);
    assert_true(worst_us < S);
    loop_destroy(loop);
}

/* Turns until it has fired: in one turn, but where the wheel asks to be run before (a cascade). */
static void turn_until_fired(struct loop *loop, const struct step *step)
{
    int64_t due_us = step->timer.due_us;
    while (timer_is_set(&step->timer)) {
        int64_t asked_us = wheel_next_us(loop_wheel(loop));
        loop_turn(loop, 3600 * S);
        assert_true(!timer_is_set(&step->timer) || asked_us < due_us);
    }
}

static void test_one_turn_is_enough_for_a_timer(void **state)
{
    (void)state;
    char record[16] = "";
    struct loop *loop = make_loop();
    struct step step = make_step(loop, record, 'a');
    /* Longer than the wheel goes without a cascade: some of them meet one. */
    for (int i = 0; i < 40; i++) {
        memset(record, 0, sizeof(record));
        wheel_set(loop_wheel(loop), &step.timer, clock_now_us() + 3 * MS);
        turn_until_fired(loop, &step);
        assert_string_equal(record, "a");
    }
    loop_destroy(loop);
}

static void test_a_nearer_timer_shortens_the_sleep(void **state)
{
    (void)state;
    char record[16] = "";
    struct loop *loop = make_loop();
    struct step input = make_step(loop, record, 'i');
    struct step far = make_step(loop, record, 'f');
    struct step near = make_step(loop, record, 'n');
    struct source source;
    source_open(&source, &input);
    source_feed(&source);
    wheel_set(loop_wheel(loop), &far.timer, clock_now_us() + 3600 * S);
    loop_turn(loop, 3600 * S);
    source_drain(&source);
    int64_t due_us = clock_now_us() + 2 * MS;
    wheel_set(loop_wheel(loop), &near.timer, due_us);
    turn_until_fired(loop, &near);
    assert_string_equal(record, "in");
    assert_true(loop_now_us(loop) - due_us < S);
    wheel_clear(loop_wheel(loop), &far.timer);
    source_close(&source);
    loop_destroy(loop);
}

static void test_a_moved_timer_still_ends_the_sleep(void **state)
{
    (void)state;
    char record[16] = "";
    struct loop *loop = make_loop();
    struct step step = make_step(loop, record, 'a');
    struct wheel *wheel = loop_wheel(loop);
    /* The alarm is set for the first time and must ring again for the second. */
    wheel_set(wheel, &step.timer, clock_now_us() + 2 * MS);
    loop_turn(loop, 100);
    int64_t due_us = clock_now_us() + 6 * MS;
    wheel_set(wheel, &step.timer, due_us);
    while (timer_is_set(&step.timer)) {
        loop_turn(loop, 3600 * S);
    }
    assert_true(loop_now_us(loop) >= due_us);
    loop_destroy(loop);
}

static void test_a_turn_returns_at_its_timeout(void **state)
{
    (void)state;
    struct loop *loop = make_loop();
    int64_t start_us = clock_now_us();
    loop_turn(loop, 2 * MS);
    assert_true(clock_now_us() - start_us >= 2 * MS);
    loop_turn(loop, 0);
    loop_turn(loop, -1);
    loop_destroy(loop);
}

static void test_readiness_ends_the_sleep_and_comes_after_timers(void **state)
{
    (void)state;
    char record[16] = "";
    struct loop *loop = make_loop();
    struct step input = make_step(loop, record, 'i');
    struct step timer = make_step(loop, record, 't');
    struct source source;
    source_open(&source, &input);
    source_feed(&source);
    wheel_set(loop_wheel(loop), &timer.timer, loop_now_us(loop) + 1);
    loop_turn(loop, 3600 * S);
    assert_string_equal(record, "ti");
    source_feed(&source);
    loop_turn(loop, 3600 * S);
    assert_string_equal(record, "tii");
    source_close(&source);
    loop_destroy(loop);
}

static void test_pending_tasks_do_not_keep_readiness_out(void **state)
{
    (void)state;
    char record[16] = "";
    struct loop *loop = make_loop();
    struct step input = make_step(loop, record, 'i');
    struct step busy = make_step(loop, record, 'b');
    struct source source;
    source_open(&source, &input);
    source_feed(&source);
    loop_post(loop, LOOP_WORK, &busy.task);
    loop_turn(loop, 3600 * S);
    assert_string_equal(record, "ib");
    source_close(&source);
    loop_destroy(loop);
}

static void test_stop_ends_run_after_the_turn(void **state)
{
    (void)state;
    char record[16] = "";
    struct loop *loop = make_loop();
    struct step stopper = make_step(loop, record, 's');
    struct step after = make_step(loop, record, 'a');
    stopper.stops = true;
    for (int round = 0; round < 2; round++) {
        memset(record, 0, sizeof(record));
        loop_post(loop, LOOP_INPUT, &stopper.task);
        loop_post(loop, LOOP_FREE, &after.task);
        loop_run(loop);
        assert_string_equal(record, "sa");
    }
    memset(record, 0, sizeof(record));
    /* A stop counts once: the first turn of a new run does not end it. */
    wheel_set(loop_wheel(loop), &stopper.timer, clock_now_us() + 2 * MS);
    loop_post(loop, LOOP_WORK, &after.task);
    loop_run(loop);
    assert_string_equal(record, "as");
    loop_destroy(loop);
}

static void test_the_time_of_the_turn_stands_still_until_updated(void **state)
{
    (void)state;
    struct loop *loop = make_loop();
    loop_turn(loop, 0);
    int64_t now_us = loop_now_us(loop);
    while (clock_now_us() <= now_us) {
    }
    assert_true(loop_now_us(loop) == now_us);
    assert_true(loop_update_now_us(loop) > now_us);
    assert_true(loop_now_us(loop) > now_us);
    loop_destroy(loop);
}

static void test_a_turn_is_cheap(void **state)
{
    (void)state;
    enum { TURNS = 20000 };
    char record[2] = "";
    struct loop *loop = make_loop();
    struct step step = make_step(loop, record, '\0');
    step.posts = &step;
    step.posts_to = LOOP_WORK;
    loop_post(loop, LOOP_WORK, &step.task);
    int64_t start_us = clock_now_us();
    for (int i = 0; i < TURNS; i++) {
        loop_turn(loop, 0);
    }
    print_message("a turn: %.0f ns\n", (double)(clock_now_us() - start_us) * 1000 / (double)TURNS);
    assert_true(task_is_posted(&step.task));
    loop_unpost(loop, &step.task);
    loop_destroy(loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_turn_runs_timers_and_then_the_phases),
        cmocka_unit_test(test_a_phase_is_first_in_first_out),
        cmocka_unit_test(test_posting_to_a_later_phase_runs_in_this_turn),
        cmocka_unit_test(test_posting_to_the_running_or_a_past_phase_waits_for_the_next_turn),
        cmocka_unit_test(test_a_task_that_posts_itself_runs_once_a_turn),
        cmocka_unit_test(test_posting_twice_changes_nothing),
        cmocka_unit_test(test_unposting_works_at_any_moment),
        cmocka_unit_test(test_a_task_may_free_itself),
        cmocka_unit_test(test_a_timer_ends_the_sleep_and_is_never_early),
        cmocka_unit_test(test_one_turn_is_enough_for_a_timer),
        cmocka_unit_test(test_a_nearer_timer_shortens_the_sleep),
        cmocka_unit_test(test_a_moved_timer_still_ends_the_sleep),
        cmocka_unit_test(test_a_turn_returns_at_its_timeout),
        cmocka_unit_test(test_readiness_ends_the_sleep_and_comes_after_timers),
        cmocka_unit_test(test_pending_tasks_do_not_keep_readiness_out),
        cmocka_unit_test(test_stop_ends_run_after_the_turn),
        cmocka_unit_test(test_the_time_of_the_turn_stands_still_until_updated),
        cmocka_unit_test(test_a_turn_is_cheap),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
