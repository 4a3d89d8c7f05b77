/* SPDX-License-Identifier: Apache-2.0 */
#include "term.h"

#include <event2/event.h>
#include <signal.h>
#include <stdio.h>

#include "child.h"
#include "guard.h"
#include "output.h"
#include "session.h"
#include "terminal.h"
#include "waiting.h"
#include "watchdog.h"

#define SIGNAL_COUNT 9

/* A deadline keeps a hundredth in reserve, and messages take their time. */
#define MAX_HOLD_SLACK_US 50000

/* What we get in the program's stead. */
static const int forwarded[SIGNAL_COUNT] = {SIGTERM, SIGINT,   SIGHUP,  SIGQUIT, SIGUSR1,
                                            SIGUSR2, SIGWINCH, SIGCONT, SIGTSTP};

struct term {
    const struct term_events *events;
    struct term_end *end;
    struct session session;
    struct waiting waiting;
    struct child child;
    struct watchdog watchdog;
    struct terminal terminal;
    struct holdfast_lease *lease;
    int64_t max_hold_end_us; /* 0: none */
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

static const char *key_of(const struct term *term)
{
    return term->session.key;
}

static const char *program_of(const struct term *term)
{
    return term->session.arguments->program[0];
}

/* A stopped process acts on SIGTERM only once it is continued. */
static void stop_program(struct term *term)
{
    term->is_stopping = true;
    child_signal(&term->child, SIGTERM);
    child_signal(&term->child, SIGCONT);
}

static void kill_program(struct term *term)
{
    if (!term->is_stopping) {
        output_error("%s: the lease has run out; killing %s.", key_of(term), program_of(term));
    }
    term->is_stopping = true;
    term->is_killed = true;
    child_signal(&term->child, SIGKILL);
}

/* Milliseconds that the program certainly has, unless more is confirmed. --max-hold ends the lease
 * however alive we are. */
static int64_t left_ms(const struct term *term)
{
    const int64_t valid_for_ms = holdfast_lease_valid_for_ms(term->lease);
    if (term->max_hold_end_us == 0) {
        return valid_for_ms;
    }
    const int64_t until_end_ms = (term->max_hold_end_us - guard_now_us()) / 1000;
    return until_end_ms < valid_for_ms ? until_end_ms : valid_for_ms;
}

static void schedule(struct term *term, int64_t wait_ms)
{
    const int64_t until_ms = (term->deadline_us - guard_now_us()) / 1000;
    int64_t ms = term->is_lost || until_ms < wait_ms ? until_ms : wait_ms;
    ms = ms > 1 ? ms : 1;
    const struct timeval wait = {.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000};
    event_add(term->timer, &wait);
}

static void check(struct term *term);

static void on_refreshed(enum holdfast_result result, const char *error, void *user)
{
    struct term *term = (struct term *)user;
    (void)result; /* what counts is how long the lease is valid now */
    (void)error;
    term->is_refreshing = false;
    if (!term->session.is_ended) {
        check(term);
    }
}

static void refresh(struct term *term)
{
    if (!term->is_refreshing) {
        term->is_refreshing = true;
        holdfast_async_renew(term->session.async, term->lease, 0, on_refreshed, term);
    }
}

/* The server confirms no more than the longest hold either, counted from a little before us. */
static bool is_held_too_long(const struct term *term, int64_t left_for_ms)
{
    const int64_t end_us = guard_now_us() + left_for_ms * 1000 + MAX_HOLD_SLACK_US +
                           term->session.arguments->max_hold_ms * 10;
    return term->max_hold_end_us != 0 && end_us >= term->max_hold_end_us;
}

/* The margins follow the shorter of what a renewal and the longest hold can give. */
static int64_t term_ms(const struct term *term)
{
    const int64_t ttl_ms = holdfast_lease_ttl_ms(term->lease);
    const int64_t max_hold_ms = term->session.arguments->max_hold_ms;
    return max_hold_ms > 0 && max_hold_ms < ttl_ms ? max_hold_ms : ttl_ms;
}

static void act(struct term *term, int64_t valid_for_ms)
{
    switch (guard_judge(&term->guard, valid_for_ms)) {
    case GUARD_FINE:
        break;
    case GUARD_REFRESH:
        refresh(term);
        break;
    case GUARD_STOP:
    case GUARD_KILL:
        if (!term->is_stopping && is_held_too_long(term, valid_for_ms)) {
            output_error("%s: held for almost the --max-hold; stopping %s.", key_of(term),
                         program_of(term));
            stop_program(term);
        } else if (!term->is_stopping) {
            output_error("%s: no renewal is confirmed and the lease ends in %lld ms; stopping %s.",
                         key_of(term), (long long)valid_for_ms, program_of(term));
            stop_program(term);
        }
        break;
    }
}

/* Compares the clock with the lease. Comes first whenever anything happens, for this process may
 * have been stopped for any length of time. */
static void check(struct term *term)
{
    if (term->child.pid == 0 || term->is_killed) {
        return;
    }
    const int64_t now_us = guard_now_us();
    const int64_t valid_for_ms = left_ms(term);
    /* A lease lost this instant is not valid any more; on_lost, which follows, knows more, and what
     * was announced before holds until then. */
    const bool is_valid = !term->is_lost && valid_for_ms > 0;
    if (is_valid) {
        term->deadline_us = guard_deadline_us(&term->guard, now_us, valid_for_ms);
        watchdog_allow_until(&term->watchdog, term->deadline_us);
    }
    if (now_us >= term->deadline_us) {
        kill_program(term);
        return;
    }
    if (is_valid) {
        act(term, valid_for_ms);
    }
    schedule(term, guard_wait_ms(&term->guard, valid_for_ms));
}

static void on_timer(evutil_socket_t fd, short what, void *user)
{
    (void)fd;
    (void)what;
    check((struct term *)user);
}

static void on_at_risk(struct holdfast_lease *lease, int64_t valid_for_ms, void *user)
{
    struct term *term = (struct term *)user;
    (void)lease;
    if (term->child.pid == 0) {
        return;
    }
    if (!term->session.arguments->is_quiet) {
        output_error("%s is at risk: no renewal is confirmed; the lease ends in %lld ms.",
                     key_of(term), (long long)valid_for_ms);
    }
    check(term);
}

static int64_t kill_after_ms(const struct term *term)
{
    const int64_t given_ms = term->session.arguments->kill_after_ms;
    const int64_t tenth_ms = holdfast_lease_ttl_ms(term->lease) / 10;
    const int64_t default_ms = tenth_ms < 1000 ? tenth_ms : 1000;
    return given_ms >= 0 ? given_ms : default_ms;
}

/* Says only what the user has not been told before. */
static void report_loss(const struct term *term, enum holdfast_loss loss)
{
    const char *text = holdfast_loss_text(loss);
    if (term->is_killed) {
        return;
    }
    if (term->is_stopping) {
        output_error("%s is lost: %s.", key_of(term), text);
    } else {
        output_error("%s is lost: %s; stopping %s.", key_of(term), text, program_of(term));
    }
}

static void on_lost(struct holdfast_lease *lease, enum holdfast_loss loss, void *user)
{
    struct term *term = (struct term *)user;
    (void)lease;
    if (term->child.pid == 0) {
        return;
    }
    const int64_t grace_end_us = guard_now_us() + kill_after_ms(term) * 1000;
    term->is_lost = true;
    term->deadline_us = grace_end_us < term->deadline_us ? grace_end_us : term->deadline_us;
    watchdog_allow_until(&term->watchdog, term->deadline_us);
    report_loss(term, loss);
    stop_program(term);
    check(term);
}

static void on_released(enum holdfast_result result, const char *error, void *user)
{
    struct term *term = (struct term *)user;
    int exit_code = term->exit_code;
    if (term->session.is_ended) {
        return;
    }
    if (result == HOLDFAST_NOT_HELD) {
        output_error("%s had been lost before %s ended.", key_of(term), program_of(term));
        exit_code = EXIT_LOST;
    } else if (result != HOLDFAST_OK) {
        output_error("%s: the release is not confirmed (%s); the lock frees itself when the ttl "
                     "ends.",
                     key_of(term), error);
    }
    session_end(&term->session, exit_code);
}

/* What was not forwarded before the program ended is meant for us. */
static void stop_listening(struct term *term)
{
    event_del(term->timer);
    for (size_t i = 0; i < SIGNAL_COUNT; i++) {
        if (term->signals[i] != NULL) {
            event_del(term->signals[i]);
        }
    }
}

static void on_program_ended(struct term *term)
{
    const bool is_lost =
        term->is_stopping || term->is_lost || holdfast_lease_valid_for_ms(term->lease) <= 0;
    bool was_signalled = false;
    watchdog_stop(&term->watchdog);
    if (is_lost) {
        child_signal(&term->child, SIGKILL); /* what is left of its group */
    }
    term->exit_code = child_reap(&term->child, &was_signalled);
    stop_listening(term);
    terminal_take_back(&term->terminal);
    if (was_signalled) {
        terminal_restore_modes(&term->terminal);
    }
    term->end->has_ended_itself = !is_lost;
    if (!is_lost) {
        holdfast_async_release(term->session.async, term->lease, on_released, term);
        return;
    }
    if (!term->is_stopping) {
        output_error("%s: the lease had run out before %s ended.", key_of(term), program_of(term));
    }
    session_end(&term->session, EXIT_LOST);
}

static bool is_from_terminal(int number)
{
    return number == SIGTSTP || number == SIGTTIN || number == SIGTTOU;
}

/* The program was stopped by its terminal. If it only lacks the terminal it gets it; otherwise our
 * whole job stops, so that the shell takes over, and goes on when the shell says so. */
static void on_program_stopped(struct term *term, int number)
{
    struct terminal *terminal = &term->terminal;
    if (!is_from_terminal(number) || terminal->fd < 0 || term->is_stopping) {
        return;
    }
    const bool wants_terminal = number != SIGTSTP || terminal->is_given;
    if (number == SIGTSTP || !terminal_is_ours(terminal)) {
        terminal_take_back(terminal);
        const bool was_suspended = terminal_suspend_group();
        check(term);
        if (term->is_stopping) {
            return;
        }
        /* A stop may be too short to be noticed; having the terminal now says the same. */
        if (!was_suspended && number != SIGTSTP && !terminal_is_ours(terminal)) {
            output_error("%s wants the terminal, which it cannot have in the background; it stays "
                         "stopped.",
                         program_of(term));
            return;
        }
    }
    if (wants_terminal && terminal_is_ours(terminal)) {
        terminal_give(terminal, term->child.pid);
    }
    child_signal(&term->child, SIGCONT);
}

static void on_child_changed(evutil_socket_t fd, short what, void *user)
{
    struct term *term = (struct term *)user;
    int number = 0;
    (void)fd;
    (void)what;
    if (term->session.is_ended) {
        return;
    }
    check(term);
    switch (child_look(&term->child, &number)) {
    case CHILD_UNCHANGED:
        break;
    case CHILD_STOPPED:
        on_program_stopped(term, number);
        break;
    case CHILD_ENDED:
        on_program_ended(term);
        break;
    }
}

static bool is_ending(int number)
{
    return number == SIGTERM || number == SIGINT || number == SIGHUP || number == SIGQUIT;
}

static void on_signal(evutil_socket_t number, short what, void *user)
{
    struct term *term = (struct term *)user;
    (void)what;
    check(term);
    term->end->was_interrupted = term->end->was_interrupted || is_ending((int)number);
    child_signal(&term->child, (int)number);
}

/* A signal that was ignored when we started (nohup, a background job) stays ignored. */
static bool is_ignored(int number)
{
    struct sigaction action;
    return sigaction(number, NULL, &action) == 0 && action.sa_handler == SIG_IGN;
}

static bool create_events(struct term *term)
{
    struct event_base *base = term->session.base;
    term->timer = event_new(base, -1, 0, on_timer, term);
    term->child_changed = event_new(base, SIGCHLD, EV_SIGNAL | EV_PERSIST, on_child_changed, term);
    bool is_complete = term->timer != NULL && term->child_changed != NULL;
    for (size_t i = 0; i < SIGNAL_COUNT; i++) {
        if (!is_ignored(forwarded[i])) {
            term->signals[i] =
                event_new(base, forwarded[i], EV_SIGNAL | EV_PERSIST, on_signal, term);
            is_complete = is_complete && term->signals[i] != NULL;
        }
    }
    if (!is_complete) {
        output_error("Cannot watch signals: out of memory.");
    }
    return is_complete;
}

static bool start_listening(struct term *term)
{
    bool is_listening = event_add(term->child_changed, NULL) == 0;
    for (size_t i = 0; i < SIGNAL_COUNT; i++) {
        if (term->signals[i] != NULL) {
            is_listening = event_add(term->signals[i], NULL) == 0 && is_listening;
        }
    }
    return is_listening;
}

/* The program has its fences in the order of the keys on our command line. */
static bool start_program(struct term *term)
{
    const struct arguments *arguments = term->session.arguments;
    uint64_t fences[HOLDFAST_KEYS_MAX] = {holdfast_lease_fence(term->lease)};
    for (size_t i = 0; i < arguments->key_count; i++) {
        fences[i] = holdfast_lease_fence_of(term->lease, arguments->keys[i]);
    }
    return child_start(&term->child, fences);
}

static void begin(struct term *term)
{
    const struct arguments *arguments = term->session.arguments;
    guard_init(&term->guard, term_ms(term), arguments->heartbeat_ms);
    term->deadline_us = guard_now_us();
    if (arguments->max_hold_ms > 0) {
        term->max_hold_end_us = term->deadline_us + arguments->max_hold_ms * 1000;
    }
    if (!start_listening(term)) {
        output_error("Cannot watch signals: out of memory.");
        session_end(&term->session, EXIT_UNEXPECTED);
        return;
    }
    term->end->has_begun = true;
    if (term->events->on_granted != NULL) {
        term->events->on_granted(term->lease, term->events->user);
    }
    if (terminal_is_for_child(&term->terminal)) {
        terminal_give(&term->terminal, term->child.pid);
    }
    check(term);
    if (!term->is_killed && !start_program(term)) {
        output_error("Cannot start %s: its process has died.", program_of(term));
        on_child_changed(-1, 0, term);
    }
}

static void on_queued(uint32_t position, const struct holdfast_holder *holder, void *user)
{
    struct term *term = (struct term *)user;
    if (!term->session.is_ended) {
        waiting_update(&term->waiting, position, holder);
    }
}

static void on_granted(enum holdfast_result result, struct holdfast_lease *lease,
                       const struct holdfast_holder *holder, const char *error, void *user)
{
    struct term *term = (struct term *)user;
    term->lease = lease;
    waiting_end(&term->waiting);
    if (term->session.is_ended) {
        return;
    }
    if (result != HOLDFAST_OK) {
        session_fail(&term->session, result, holder, error);
        return;
    }
    if (holdfast_lease_valid_for_ms(lease) <= 0) {
        output_error("%s was lost before %s could start.", key_of(term), program_of(term));
        session_end(&term->session, EXIT_LOST);
        return;
    }
    begin(term);
}

/* How the user has the signals that we need otherwise. */
struct signals {
    sigset_t mask;
    struct sigaction pipe;
    struct sigaction child;
};

/* After the forks, so that the program gets these as the user has them. */
static void settle_signals(struct signals *before)
{
    const struct sigaction ignore = {.sa_handler = SIG_IGN};
    const struct sigaction usual = {.sa_handler = SIG_DFL};
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, &before->mask);
    sigaction(SIGPIPE, &ignore, &before->pipe);
    sigaction(SIGCHLD, &usual, &before->child);
}

/* For the program of the next term. */
static void restore_signals(const struct signals *before)
{
    sigaction(SIGPIPE, &before->pipe, NULL);
    sigaction(SIGCHLD, &before->child, NULL);
    sigprocmask(SIG_SETMASK, &before->mask, NULL);
}

static void free_events(struct term *term)
{
    struct event *const others[] = {term->timer, term->child_changed};
    for (size_t i = 0; i < SIGNAL_COUNT; i++) {
        if (term->signals[i] != NULL) {
            event_free(term->signals[i]);
        }
    }
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        if (others[i] != NULL) {
            event_free(others[i]);
        }
    }
}

static void release_all(struct term *term)
{
    terminal_take_back(&term->terminal);
    terminal_close(&term->terminal);
    watchdog_stop(&term->watchdog);
    child_release(&term->child);
    free_events(term);
    if (term->lease != NULL) {
        holdfast_lease_free(term->lease);
    }
}

static struct holdfast_ask ask_of(struct term *term)
{
    struct holdfast_ask ask = session_ask(&term->session);
    if (term->session.arguments->command == COMMAND_ELECT) {
        ask.wait_ms = HOLDFAST_WAIT_MAX;
    }
    ask.events = (struct holdfast_lease_events){
        .on_at_risk = on_at_risk, .on_queued = on_queued, .on_lost = on_lost, .user = term};
    return ask;
}

static void hold_and_run(struct term *term, const struct arguments *arguments)
{
    const struct term_events *events = term->events;
    if (!session_open(&term->session, arguments) || !waiting_open(&term->waiting, &term->session) ||
        !create_events(term)) {
        return;
    }
    const struct holdfast_ask ask = ask_of(term);
    if (events->on_open != NULL) {
        events->on_open(&term->session, events->user);
    }
    holdfast_async_hold(term->session.async, &ask, on_granted, term);
    session_run(&term->session);
    if (events->on_close != NULL) {
        events->on_close(events->user);
    }
}

int term_run(const struct arguments *arguments, const struct term_events *events,
             struct term_end *end)
{
    struct term term = {.events = events, .end = end};
    struct signals before;
    *end = (struct term_end){.has_begun = false};
    if (!child_prepare(&term.child, arguments)) {
        return EXIT_UNEXPECTED;
    }
    if (!watchdog_start(&term.watchdog, &term.child)) {
        child_release(&term.child);
        return EXIT_UNEXPECTED;
    }
    settle_signals(&before);
    terminal_open(&term.terminal);
    hold_and_run(&term, arguments);
    waiting_close(&term.waiting);
    release_all(&term);
    const int exit_code = session_close(&term.session);
    restore_signals(&before);
    return exit_code;
}
