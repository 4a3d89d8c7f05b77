/* SPDX-License-Identifier: Apache-2.0 */
/*
 * top: the locks of one server and its connections, asked for each second. Those that most wait for
 * come first.
 */
#include "commands.h"

#include <event2/event.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "output.h"
#include "screen.h"
#include "session.h"
#include "view.h"

#define PAGE_SIZE 1000

/* What one picture takes; a server with more shows that it has more. */
#define PAGES_MAX 5
#define ROWS_MAX  5000

#define WATCHED_SIGNALS 4

static const int watched[WATCHED_SIGNALS] = {SIGINT, SIGTERM, SIGWINCH, SIGTSTP};

struct row {
    uint32_t waiting;
    size_t order; /* keeps the order of names among equals */
    char text[VIEW_ROW_SIZE];
};

struct totals {
    size_t locks;
    size_t held;
    size_t waiting;
    size_t connections;
    size_t calls;
    bool has_more;
};

struct top {
    struct session session;
    struct screen screen;
    struct row *rows;
    size_t row_count;
    int pages;
    struct totals totals;
    bool has_drawn;
    struct event *timer;
    struct event *input;
    struct event *signals[WATCHED_SIGNALS];
};

static int by_waiting(const void *left, const void *right)
{
    const struct row *a = (const struct row *)left;
    const struct row *b = (const struct row *)right;
    if (a->waiting != b->waiting) {
        return a->waiting > b->waiting ? -1 : 1;
    }
    return a->order < b->order ? -1 : 1;
}

static void write_totals(const struct top *top, char text[VIEW_ROW_SIZE])
{
    const struct totals *totals = &top->totals;
    snprintf(text, VIEW_ROW_SIZE,
             "locks %zu%s (held %zu), waiting %zu, connections %zu (calls in flight %zu)",
             totals->locks, totals->has_more ? "+" : "", totals->held, totals->waiting,
             totals->connections, totals->calls);
}

static void draw(struct top *top)
{
    char text[VIEW_ROW_SIZE];
    screen_begin(&top->screen);
    write_totals(top, text);
    screen_line(&top->screen, text);
    screen_line(&top->screen, "");
    view_head(text);
    screen_line(&top->screen, text);
    for (size_t i = 0; i < top->row_count; i++) {
        screen_line(&top->screen, top->rows[i].text);
    }
    screen_end(&top->screen);
    top->has_drawn = true;
}

static void plan(struct top *top)
{
    static const struct timeval second = {.tv_sec = 1};
    if (top->session.arguments->is_once) {
        session_end(&top->session, EXIT_OK);
    } else {
        event_add(top->timer, &second);
    }
}

/* Once there was a picture, a server that is away for a while does not end it. */
static void fail(struct top *top, enum holdfast_result result, const char *error)
{
    const bool is_passing = result == HOLDFAST_AWAY || result == HOLDFAST_TIMEOUT;
    if (!top->has_drawn || !is_passing) {
        screen_close(&top->screen);
        session_fail(&top->session, result, NULL, error);
        return;
    }
    char clean[VIEW_ROW_SIZE];
    text_clean(clean, sizeof(clean), error);
    screen_begin(&top->screen);
    screen_line(&top->screen, clean);
    screen_end(&top->screen);
    plan(top);
}

static void on_connections(enum holdfast_result result,
                           const struct holdfast_connection *connections, size_t count,
                           const char *next, const char *error, void *user);

static void ask_connections(struct top *top, const char *page)
{
    const struct holdfast_list list = {.page_size = PAGE_SIZE, .page = page};
    top->pages++;
    holdfast_async_list_connections(top->session.async, &list, on_connections, top);
}

static void on_connections(enum holdfast_result result,
                           const struct holdfast_connection *connections, size_t count,
                           const char *next, const char *error, void *user)
{
    struct top *top = (struct top *)user;
    if (top->session.is_ended) {
        return;
    }
    if (result != HOLDFAST_OK) {
        fail(top, result, error);
        return;
    }
    for (size_t i = 0; i < count; i++) {
        top->totals.connections++;
        top->totals.calls += connections[i].calls;
    }
    if (next[0] != '\0' && top->pages < PAGES_MAX) {
        ask_connections(top, next);
        return;
    }
    draw(top);
    plan(top);
}

static void add_lock(struct top *top, const struct holdfast_lock_state *lock, int64_t now_ms)
{
    top->totals.locks++;
    top->totals.held += lock->holder_count > 0 ? 1 : 0;
    top->totals.waiting += lock->waiting;
    for (size_t i = 0; i < view_rows(lock) && top->row_count < ROWS_MAX; i++) {
        struct row *row = &top->rows[top->row_count];
        row->waiting = lock->waiting;
        row->order = top->row_count++;
        view_lock(lock, i, now_ms, row->text);
    }
}

static void on_locks(enum holdfast_result result, const struct holdfast_lock_state *locks,
                     size_t count, const char *next, const char *error, void *user);

static void ask_locks(struct top *top, const char *page)
{
    const struct holdfast_list list = {.page_size = PAGE_SIZE, .page = page};
    top->pages++;
    holdfast_async_list_locks(top->session.async, &list, on_locks, top);
}

static void on_locks(enum holdfast_result result, const struct holdfast_lock_state *locks,
                     size_t count, const char *next, const char *error, void *user)
{
    struct top *top = (struct top *)user;
    const int64_t now_ms = view_now_ms();
    if (top->session.is_ended) {
        return;
    }
    if (result != HOLDFAST_OK) {
        fail(top, result, error);
        return;
    }
    for (size_t i = 0; i < count; i++) {
        add_lock(top, &locks[i], now_ms);
    }
    if (next[0] != '\0' && top->pages < PAGES_MAX) {
        ask_locks(top, next);
        return;
    }
    top->totals.has_more = next[0] != '\0';
    qsort(top->rows, top->row_count, sizeof(top->rows[0]), by_waiting);
    top->pages = 0;
    ask_connections(top, NULL);
}

static void on_timer(evutil_socket_t fd, short what, void *user)
{
    struct top *top = (struct top *)user;
    (void)fd;
    (void)what;
    top->row_count = 0;
    top->pages = 0;
    top->totals = (struct totals){.locks = 0};
    ask_locks(top, NULL);
}

static void on_input(evutil_socket_t fd, short what, void *user)
{
    struct top *top = (struct top *)user;
    char key = '\0';
    (void)what;
    const ssize_t count = read(fd, &key, 1);
    if (count <= 0) {
        event_del(top->input);
    } else if (key == 'q' || key == 'Q') {
        session_end(&top->session, EXIT_OK);
    }
}

static void on_signal(evutil_socket_t number, short what, void *user)
{
    struct top *top = (struct top *)user;
    (void)what;
    if (number == SIGTSTP) {
        screen_suspend(&top->screen);
    }
    if (number == SIGTSTP || number == SIGWINCH) {
        draw(top);
    } else {
        session_end(&top->session, EXIT_OK);
    }
}

static bool create_events(struct top *top)
{
    struct event_base *base = top->session.base;
    top->rows = calloc(ROWS_MAX, sizeof(*top->rows));
    top->timer = event_new(base, -1, 0, on_timer, top);
    bool is_complete = top->rows != NULL && top->timer != NULL;
    if (is_complete && !top->session.arguments->is_once) {
        top->input = event_new(base, STDIN_FILENO, EV_READ | EV_PERSIST, on_input, top);
        is_complete = top->input != NULL && event_add(top->input, NULL) == 0;
        for (size_t i = 0; i < WATCHED_SIGNALS && is_complete; i++) {
            top->signals[i] = event_new(base, watched[i], EV_SIGNAL | EV_PERSIST, on_signal, top);
            is_complete = top->signals[i] != NULL && event_add(top->signals[i], NULL) == 0;
        }
    }
    if (!is_complete) {
        output_error("Cannot watch the input and signals: out of memory.");
    }
    return is_complete;
}

static void release(struct top *top)
{
    struct event *const events[] = {top->timer,      top->input,      top->signals[0],
                                    top->signals[1], top->signals[2], top->signals[3]};
    for (size_t i = 0; i < sizeof(events) / sizeof(events[0]); i++) {
        if (events[i] != NULL) {
            event_free(events[i]);
        }
    }
    free(top->rows);
}

int command_top(const struct arguments *arguments)
{
    struct top top = {.rows = NULL};
    if (!arguments->is_once && (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO))) {
        output_error("top needs a terminal; `holdfast top --once` prints one picture.");
        return EXIT_USAGE;
    }
    if (session_open(&top.session, arguments) && create_events(&top)) {
        screen_open(&top.screen, !arguments->is_once);
        on_timer(-1, 0, &top);
        session_run(&top.session);
        screen_close(&top.screen);
    }
    release(&top);
    return session_close(&top.session);
}
