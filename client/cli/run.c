/* SPDX-License-Identifier: Apache-2.0 */
/*
 * run: the program lives inside the lease. It starts once the lock is ours, is asked to stop while
 * the lease is still valid, and is dead before anybody else can be granted the lock; when it ends
 * by itself the lock is released before we do.
 */
#include "commands.h"

#include <event2/event.h>
#include <signal.h>
#include <stdio.h>

#include "child.h"
#include "guard.h"
#include "output.h"
#include "session.h"
#include "terminal.h"
#include "watchdog.h"

#define SIGNAL_COUNT 9

/* What we get in the program's stead. */
static const int forwarded[SIGNAL_COUNT] = {SIGTERM, SIGINT,   SIGHUP,  SIGQUIT, SIGUSR1,
                                            SIGUSR2, SIGWINCH, SIGCONT, SIGTSTP};

struct run {
    struct session session;
    struct child child;
    struct watchdog watchdog;
    struct terminal terminal;
    struct holdfast_lease *lease;
    struct guard guard;
    int64_t deadline_us; /* the program is dead by then */
    bool is_stopping;    /* it was told to end for the lease's sake */
    bool is_lost;
    bool is_killed;
    bool is_refreshing;
    int exit_code; /* the program's */
    struct event *timer;
    struct event *child_changed;
    struct event *signals[SIGNAL_COUNT]; /* NULL where the signal is ignored */
};

static const char *key_of(const struct run *run)
{
    return run->session.key;
}

static const char *program_of(const struct run *run)
{
    return run->session.arguments->program[0];
}

/* A stopped process acts on SIGTERM only once it is continued. */
static void stop_program(struct run *run)
{
    run->is_stopping = true;
    child_signal(&run->child, SIGTERM);
    child_signal(&run->child, SIGCONT);
}

static void kill_program(struct run *run)
{
    if (!run->is_stopping) {
        output_error("%s: the lease has run out; killing %s.", key_of(run), program_of(run));
    }
    run->is_stopping = true;
    run->is_killed = true;
    child_signal(&run->child, SIGKILL);
}

static void schedule(struct run *run, int64_t wait_ms)
{
    const int64_t left_ms = (run->deadline_us - guard_now_us()) / 1000;
    int64_t ms = run->is_lost || left_ms < wait_ms ? left_ms : wait_ms;
    ms = ms > 1 ? ms : 1;
    const struct timeval wait = {.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000};
    event_add(run->timer, &wait);
}

static void check(struct run *run);

static void on_refreshed(enum holdfast_result result, const char *error, void *user)
{
    struct run *run = (struct run *)user;
    (void)result; /* what counts is how long the lease is valid now */
    (void)error;
    run->is_refreshing = false;
    if (!run->session.is_ended) {
        check(run);
    }
}

static void refresh(struct run *run)
{
    if (!run->is_refreshing) {
        run->is_refreshing = true;
        holdfast_async_renew(run->session.async, run->lease, 0, on_refreshed, run);
    }
}

static void act(struct run *run, int64_t valid_for_ms)
{
    switch (guard_judge(&run->guard, valid_for_ms)) {
    case GUARD_FINE:
        break;
    case GUARD_REFRESH:
        refresh(run);
        break;
    case GUARD_STOP:
    case GUARD_KILL:
        if (!run->is_stopping) {
            output_error("%s: no renewal is confirmed and the lease ends in %lld ms; stopping %s.",
                         key_of(run), (long long)valid_for_ms, program_of(run));
            stop_program(run);
        }
        break;
    }
}

/* Compares the clock with the lease. Comes first whenever anything happens, for this process may
 * have been stopped for any length of time. */
static void check(struct run *run)
{
    if (run->child.pid == 0 || run->is_killed) {
        return;
    }
    const int64_t now_us = guard_now_us();
    const int64_t valid_for_ms = holdfast_lease_valid_for_ms(run->lease);
    /* A lease lost this instant is not valid any more; on_lost, which follows, knows more, and what
     * was announced before holds until then. */
    const bool is_valid = !run->is_lost && valid_for_ms > 0;
    if (is_valid) {
        run->deadline_us = guard_deadline_us(&run->guard, now_us, valid_for_ms);
        watchdog_allow_until(&run->watchdog, run->deadline_us);
    }
    if (now_us >= run->deadline_us) {
        kill_program(run);
        return;
    }
    if (is_valid) {
        act(run, valid_for_ms);
    }
    schedule(run, guard_wait_ms(&run->guard, valid_for_ms));
}

static void on_timer(evutil_socket_t fd, short what, void *user)
{
    (void)fd;
    (void)what;
    check((struct run *)user);
}

static void on_at_risk(struct holdfast_lease *lease, int64_t valid_for_ms, void *user)
{
    struct run *run = (struct run *)user;
    (void)lease;
    if (run->child.pid == 0) {
        return;
    }
    if (!run->session.arguments->is_quiet) {
        output_error("%s is at risk: no renewal is confirmed; the lease ends in %lld ms.",
                     key_of(run), (long long)valid_for_ms);
    }
    check(run);
}

static int64_t kill_after_ms(const struct run *run)
{
    const int64_t given_ms = run->session.arguments->kill_after_ms;
    const int64_t tenth_ms = holdfast_lease_ttl_ms(run->lease) / 10;
    const int64_t default_ms = tenth_ms < 1000 ? tenth_ms : 1000;
    return given_ms >= 0 ? given_ms : default_ms;
}

/* Says only what the user has not been told before. */
static void report_loss(const struct run *run, enum holdfast_loss loss)
{
    const char *text = holdfast_loss_text(loss);
    if (run->is_killed) {
        return;
    }
    if (run->is_stopping) {
        output_error("%s is lost: %s.", key_of(run), text);
    } else {
        output_error("%s is lost: %s; stopping %s.", key_of(run), text, program_of(run));
    }
}

static void on_lost(struct holdfast_lease *lease, enum holdfast_loss loss, void *user)
{
    struct run *run = (struct run *)user;
    (void)lease;
    if (run->child.pid == 0) {
        return;
    }
    const int64_t grace_end_us = guard_now_us() + kill_after_ms(run) * 1000;
    run->is_lost = true;
    run->deadline_us = grace_end_us < run->deadline_us ? grace_end_us : run->deadline_us;
    watchdog_allow_until(&run->watchdog, run->deadline_us);
    report_loss(run, loss);
    stop_program(run);
    check(run);
}

static void on_released(enum holdfast_result result, const char *error, void *user)
{
    struct run *run = (struct run *)user;
    int exit_code = run->exit_code;
    if (run->session.is_ended) {
        return;
    }
    if (result == HOLDFAST_NOT_HELD) {
        output_error("%s had been lost before %s ended.", key_of(run), program_of(run));
        exit_code = EXIT_LOST;
    } else if (result != HOLDFAST_OK) {
        output_error("%s: the release is not confirmed (%s); the lock frees itself when the ttl "
                     "ends.",
                     key_of(run), error);
    }
    session_end(&run->session, exit_code);
}

/* What was not forwarded before the program ended is meant for us. */
static void stop_listening(struct run *run)
{
    event_del(run->timer);
    for (size_t i = 0; i < SIGNAL_COUNT; i++) {
        if (run->signals[i] != NULL) {
            event_del(run->signals[i]);
        }
    }
}

static void on_program_ended(struct run *run)
{
    const bool is_lost =
        run->is_stopping || run->is_lost || holdfast_lease_valid_for_ms(run->lease) <= 0;
    bool was_signalled = false;
    watchdog_stop(&run->watchdog);
    if (is_lost) {
        child_signal(&run->child, SIGKILL); /* what is left of its group */
    }
    run->exit_code = child_reap(&run->child, &was_signalled);
    stop_listening(run);
    terminal_take_back(&run->terminal);
    if (was_signalled) {
        terminal_restore_modes(&run->terminal);
    }
    if (!is_lost) {
        holdfast_async_release(run->session.async, run->lease, on_released, run);
        return;
    }
    if (!run->is_stopping) {
        output_error("%s: the lease had run out before %s ended.", key_of(run), program_of(run));
    }
    session_end(&run->session, EXIT_LOST);
}

static bool is_from_terminal(int number)
{
    return number == SIGTSTP || number == SIGTTIN || number == SIGTTOU;
}

/* The program was stopped by its terminal. If it only lacks the terminal it gets it; otherwise our
 * whole job stops, so that the shell takes over, and goes on when the shell says so. */
static void on_program_stopped(struct run *run, int number)
{
    struct terminal *terminal = &run->terminal;
    if (!is_from_terminal(number) || terminal->fd < 0 || run->is_stopping) {
        return;
    }
    const bool wants_terminal = number != SIGTSTP || terminal->is_given;
    if (number == SIGTSTP || !terminal_is_ours(terminal)) {
        terminal_take_back(terminal);
        const bool was_suspended = terminal_suspend_group();
        check(run);
        if (run->is_stopping) {
            return;
        }
        /* A stop may be too short to be noticed; having the terminal now says the same. */
        if (!was_suspended && number != SIGTSTP && !terminal_is_ours(terminal)) {
            output_error("%s wants the terminal, which it cannot have in the background; it stays "
                         "stopped.",
                         program_of(run));
            return;
        }
    }
    if (wants_terminal && terminal_is_ours(terminal)) {
        terminal_give(terminal, run->child.pid);
    }
    child_signal(&run->child, SIGCONT);
}

static void on_child_changed(evutil_socket_t fd, short what, void *user)
{
    struct run *run = (struct run *)user;
    int number = 0;
    (void)fd;
    (void)what;
    if (run->session.is_ended) {
        return;
    }
    check(run);
    switch (child_look(&run->child, &number)) {
    case CHILD_UNCHANGED:
        break;
    case CHILD_STOPPED:
        on_program_stopped(run, number);
        break;
    case CHILD_ENDED:
        on_program_ended(run);
        break;
    }
}

static void on_signal(evutil_socket_t number, short what, void *user)
{
    struct run *run = (struct run *)user;
    (void)what;
    check(run);
    child_signal(&run->child, (int)number);
}

/* A signal that was ignored when we started (nohup, a background job) stays ignored. */
static bool is_ignored(int number)
{
    struct sigaction action;
    return sigaction(number, NULL, &action) == 0 && action.sa_handler == SIG_IGN;
}

static bool create_events(struct run *run)
{
    struct event_base *base = run->session.base;
    run->timer = event_new(base, -1, 0, on_timer, run);
    run->child_changed = event_new(base, SIGCHLD, EV_SIGNAL | EV_PERSIST, on_child_changed, run);
    bool is_complete = run->timer != NULL && run->child_changed != NULL;
    for (size_t i = 0; i < SIGNAL_COUNT; i++) {
        if (!is_ignored(forwarded[i])) {
            run->signals[i] = event_new(base, forwarded[i], EV_SIGNAL | EV_PERSIST, on_signal, run);
            is_complete = is_complete && run->signals[i] != NULL;
        }
    }
    if (!is_complete) {
        output_error("Cannot watch signals: out of memory.");
    }
    return is_complete;
}

static bool start_listening(struct run *run)
{
    bool is_listening = event_add(run->child_changed, NULL) == 0;
    for (size_t i = 0; i < SIGNAL_COUNT; i++) {
        if (run->signals[i] != NULL) {
            is_listening = event_add(run->signals[i], NULL) == 0 && is_listening;
        }
    }
    return is_listening;
}

static void on_granted(enum holdfast_result result, struct holdfast_lease *lease,
                       const struct holdfast_holder *holder, const char *error, void *user)
{
    struct run *run = (struct run *)user;
    run->lease = lease;
    if (run->session.is_ended) {
        return;
    }
    if (result != HOLDFAST_OK) {
        session_fail(&run->session, result, holder, error);
        return;
    }
    if (holdfast_lease_valid_for_ms(lease) <= 0) {
        output_error("%s was lost before %s could start.", key_of(run), program_of(run));
        session_end(&run->session, EXIT_LOST);
        return;
    }
    guard_init(&run->guard, holdfast_lease_ttl_ms(lease), run->session.arguments->heartbeat_ms);
    run->deadline_us = guard_now_us();
    if (!start_listening(run)) {
        output_error("Cannot watch signals: out of memory.");
        session_end(&run->session, EXIT_UNEXPECTED);
        return;
    }
    if (terminal_is_for_child(&run->terminal)) {
        terminal_give(&run->terminal, run->child.pid);
    }
    check(run);
    if (!run->is_killed && !child_start(&run->child, holdfast_lease_fence(lease))) {
        output_error("Cannot start %s: its process has died.", program_of(run));
        on_child_changed(-1, 0, run);
    }
}

/* After the forks, so that the program gets these as the user has them. */
static void settle_signals(void)
{
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGCHLD, SIG_DFL);
}

static void free_events(struct run *run)
{
    struct event *const others[] = {run->timer, run->child_changed};
    for (size_t i = 0; i < SIGNAL_COUNT; i++) {
        if (run->signals[i] != NULL) {
            event_free(run->signals[i]);
        }
    }
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        if (others[i] != NULL) {
            event_free(others[i]);
        }
    }
}

static void release_all(struct run *run)
{
    terminal_take_back(&run->terminal);
    terminal_close(&run->terminal);
    watchdog_stop(&run->watchdog);
    child_release(&run->child);
    free_events(run);
    if (run->lease != NULL) {
        holdfast_lease_free(run->lease);
    }
}

static void hold_and_run(struct run *run, const struct arguments *arguments)
{
    if (session_open(&run->session, arguments) && create_events(run)) {
        struct holdfast_ask ask = session_ask(&run->session);
        ask.events = (struct holdfast_lease_events){
            .on_at_risk = on_at_risk, .on_lost = on_lost, .user = run};
        holdfast_async_hold(run->session.async, &ask, on_granted, run);
        session_run(&run->session);
    }
}

int command_run(const struct arguments *arguments)
{
    struct run run = {.lease = NULL};
    if (!child_prepare(&run.child, arguments)) {
        return EXIT_UNEXPECTED;
    }
    if (!watchdog_start(&run.watchdog, &run.child)) {
        child_release(&run.child);
        return EXIT_UNEXPECTED;
    }
    settle_signals();
    terminal_open(&run.terminal);
    hold_and_run(&run, arguments);
    release_all(&run);
    return session_close(&run.session);
}
